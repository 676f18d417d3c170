/**
 * A server that stops gracefully: on SIGTERM it accepts no more connections, answers the messages that it has read, and
 * ends each connection. Those that are not over by a deadline are broken off.
 *
 *     npm run shutdown -- 11000 10000     the port, and the deadline in milliseconds
 */
import { createServer } from 'node:net';
import { finished } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Framed, framed, text } from 'length-prefix';

const [port, deadline = '10000'] = process.argv.slice(2);
let isStopping = false;

/** The messages of each connection, and a function that ends it if none of them is waiting. */
const connections = new Map<Framed<string>, () => void>();

async function answerTo(message: string): Promise<string> {
  await sleep(Number(message));
  return `${message} ms are over`;
}

const server = createServer(async (socket) => {
  const messages = framed(socket, text);
  let isBusy = false;
  const endIfIdle = () => {
    if (!isBusy && messages.readableLength === 0) messages.end();
  };
  connections.set(messages, endIfIdle);
  try {
    for await (const message of messages) {
      if (!messages.writable) continue; // It came too late.
      isBusy = true;
      const answer = await answerTo(message);
      await new Promise((sent) => messages.write(answer, sent));
      isBusy = false;
      if (isStopping) endIfIdle();
    }
    await finished(messages);
  } catch (error) {
    console.error((error as Error).message);
  } finally {
    connections.delete(messages);
  }
});

process.once('SIGTERM', () => {
  isStopping = true;
  server.close();
  for (const endIfIdle of connections.values()) endIfIdle();
  const breakOff = () => {
    // With an error, which resets the connection: the client learns that this is no proper end.
    for (const messages of connections.keys()) messages.destroy(new Error('Broken off at the deadline'));
  };
  setTimeout(breakOff, Number(deadline)).unref();
});

server.listen(Number(port), '127.0.0.1', () => console.log('Listening on', JSON.stringify(server.address())));
