/**
 * A server that sends each message back to the client it came from, whatever its size.
 *
 *     npm run echo -- --port 11000
 */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { framed } from 'length-prefix';
import { checkedOptions, describe, run, sharedOptions, sharedUsage, shownAddress } from './options.js';

const usage = `Usage: npm run echo -- [options]

Sends each message back to the client it came from.

${sharedUsage}`;

async function main(): Promise<void> {
  const { values } = parseArgs({ options: sharedOptions });
  if (values.help) return console.log(usage);
  const { host, port, format } = checkedOptions(values);
  // A message goes back while it comes in. Without `stream` each one is a Buffer, for a function in between to work on.
  const options = { ...format, stream: true };

  // Half-open: a client that has no more to send gets its last messages, too.
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const client = shownAddress(socket.remoteAddress, socket.remotePort);
    pipeline(framed(socket, options), framed(socket, options)).catch((error) => {
      console.error(`${client} ${describe(error)}`);
    });
  });
  server.listen(port, host);
  await once(server, 'listening');
  server.on('error', (error) => console.error(describe(error)));
  const address = server.address() as AddressInfo;
  console.log(`Listening on ${shownAddress(address.address, address.port)}`);
}

await run('echo', main);
