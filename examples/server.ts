/**
 * A server that takes length-prefixed messages: from many clients at a time, and as many from each as it has to send.
 *
 *     npm run server -- --port 11000 --save messages
 */
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { isatty } from 'node:tty';
import { parseArgs } from 'node:util';
import { type Framed, framed, type StreamedMessage } from 'length-prefix';
import { checkedOptions, describe, listen, run, sharedOptions, sharedUsage, shownAddress } from './options.js';

const usage = `Usage: npm run server -- [options]

Receives messages, and prints the size of each. SIGINT (Ctrl+C) or SIGTERM stops
it as soon as it has the messages that are under way, a second one at once.

  --save DIR               keeps each message as a file in this directory; one that
                           is not whole ends in .part
${sharedUsage}`;

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { ...sharedOptions, save: { type: 'string' } } });
  if (values.help) return console.log(usage);
  const { host, port, format } = checkedOptions(values);
  const directory = values.save;
  if (directory !== undefined) await mkdir(directory, { recursive: true });

  // A file is named after the start of the server, its process, the connection and the message, such as
  // 20250131T120000000Z-4711-000002-000001. No two have one name, and those of a connection sort in their order.
  const thisRun = `${new Date().toISOString().replace(/[-:.]/g, '')}-${process.pid}`;
  let connectionCount = 0;
  const connections = new Set<Framed<StreamedMessage>>();

  // Half-open: a client that has no more to send is hung up on when its messages are dealt with, and not before.
  const server = createServer({ allowHalfOpen: true }, async (socket) => {
    const client = shownAddress(socket.remoteAddress, socket.remotePort);
    const files = `${thisRun}-${padded(++connectionCount)}`;
    let messageCount = 0;
    const take = async ({ length, body }: StreamedMessage) => {
      if (directory === undefined) await finished(body.resume());
      else await save(join(directory, `${files}-${padded(++messageCount)}`), body);
      console.log(`Data received. Size: ${length}`);
    };
    const messages = framed(socket, { ...format, stream: true });
    connections.add(messages);
    try {
      // The next message comes when this one is dealt with: a client that is faster than the disk has to wait. With an
      // error, the connection is reset: that tells a client that not all it sent was taken.
      for await (const message of messages) await take(message).catch((error) => messages.destroy(error));
      messages.end();
    } catch (error) {
      console.error(`${client} ${describe(error)}`);
    }
    connections.delete(messages);
  });

  const address = await listen(server, host, port);

  let stopping = false;
  const stop = () => {
    if (stopping) return;
    stopping = true;
    // Without a listener the next signal does what it does to any program: it ends it at once. On a terminal that has
    // to wait a moment: Ctrl+C can come twice there, from the terminal and from npm, which passes on what it got.
    const stopListening = () => process.off('SIGINT', stop).off('SIGTERM', stop);
    if (isatty(0)) setTimeout(stopListening, 500).unref();
    else stopListening();

    server.close();
    const busy = [...connections].filter((messages) => messages.insideFrame);
    // The others end at once, and their clients have a second to do so, too. The loops above tell of errors.
    for (const messages of connections) {
      messages.close(busy.includes(messages) ? {} : { deadline: 1000 }).catch(() => {});
    }
    if (busy.length > 0) console.error(`Stopping after the messages under way. Connections: ${busy.length}`);
    // There is nothing to wait for: a program ends when it has no connection open, and no file to write.
  };
  process.on('SIGINT', stop).on('SIGTERM', stop);

  console.log(`Listening on ${address}`);
}

/** Writes a file that has its name only once it is whole: who looks into the directory never takes half a message for one. */
async function save(file: string, body: StreamedMessage['body']): Promise<void> {
  const part = `${file}.part`;
  try {
    await writeFile(part, body);
    await rename(part, file);
  } catch (error) {
    await rm(part, { force: true }).catch(() => {});
    throw error;
  }
}

function padded(count: number): string {
  return String(count).padStart(6, '0');
}

await run('server', main);
