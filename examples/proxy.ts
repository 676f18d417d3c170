/**
 * A proxy: passes on the messages of each client to a server, and the server's messages to the client, whatever their size.
 *
 *     npm run proxy -- --port 12000 --target-port 11000
 */
import { connect, createServer } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { framed } from 'length-prefix';
import {
  checkedOptions,
  checkedTarget,
  describe,
  listen,
  run,
  sharedOptions,
  sharedUsage,
  shownAddress,
  targetOptions,
  targetUsage,
} from './options.js';

const usage = `Usage: npm run proxy -- [options] --target-port PORT

Passes on the messages of each client to a server, and the server's messages to
the client.

${targetUsage}
${sharedUsage}`;

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { ...sharedOptions, ...targetOptions } });
  if (values.help) return console.log(usage);
  const { host, port, format } = checkedOptions(values);
  const target = checkedTarget(values);
  // A message is passed on while it comes in: none is ever held as a whole.
  const options = { ...format, stream: true };

  // Half-open: a client that has no more to send gets what the server still answers.
  const proxy = createServer({ allowHalfOpen: true }, (socket) => {
    const name = shownAddress(socket.remoteAddress, socket.remotePort);
    const client = framed(socket, options);
    const server = framed(connect({ ...target, allowHalfOpen: true }), options);
    pipeline(client, server, client).catch((error) => console.error(`${name} ${describe(error)}`));
  });
  console.log(`Listening on ${await listen(proxy, host, port)}`);
}

await run('proxy', main);
