/**
 * A server that sends each message back to the client it came from, whatever its size.
 *
 *     npm run echo -- --port 11000
 */
import { createServer } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { framed } from 'length-prefix';
import { checkedOptions, describe, listen, run, sharedOptions, sharedUsage, shownAddress } from './options.js';

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
  console.log(`Listening on ${await listen(server, host, port)}`);
}

await run('echo', main);
