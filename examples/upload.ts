/**
 * Uploads a file of any size, and shows the progress. Ctrl+C at either side aborts, and the other side learns of it.
 *
 *     npm run upload -- 11000                 the server: keeps each file in the current folder
 *     npm run upload -- 11000 picture.png
 */
import { setMaxListeners } from 'node:events';
import { createReadStream, createWriteStream } from 'node:fs';
import { rm, stat } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { finished, pipeline } from 'node:stream/promises';
import { type Framed, framed, type StreamedMessage } from 'length-prefix';

const aborter = new AbortController();
process.once('SIGINT', () => aborter.abort());
setMaxListeners(0, aborter.signal); // for any number of connections
// The signal destroys a stream with an error. That resets its connection: a peer never takes half a file for a whole one.
const options = { lengthField: 'uint64le', maxPayloadLength: 1e12, signal: aborter.signal } as const;

async function keepAll(messages: Framed<StreamedMessage, string>): Promise<void> {
  for await (const { length, body } of messages) {
    const file = `upload-${crypto.randomUUID()}`;
    try {
      await pipeline(body, createWriteStream(file));
      messages.write(`${length} bytes are kept in ${file}`);
    } catch (error) {
      messages.destroy(error as Error); // The disk may be full: the client learns of that, too.
      await rm(file, { force: true });
    }
  }
}

async function* shown(file: string, length: number): AsyncGenerator<Buffer> {
  let sent = 0;
  for await (const chunk of createReadStream(file)) {
    yield chunk;
    // The next chunk is asked for when the socket has taken this one.
    sent += chunk.length;
    process.stdout.write(`${Math.floor((100 * sent) / length)} %\r`);
  }
}

async function send(file: string, port: number): Promise<void> {
  const { size: length } = await stat(file);
  const messages = framed(connect(port, '127.0.0.1'), options);
  messages.end({ length, body: shown(file, length) });
  const [answers] = await Promise.all([messages.toArray(), finished(messages)]);
  if (answers.length === 0) throw new Error('The server hung up');
  console.log(`${answers}`);
}

const [port, file] = process.argv.slice(2);
if (file === undefined) {
  const server = createServer((socket) => {
    const messages = framed(socket, { ...options, stream: true });
    messages.on('error', (error) => console.error(`Aborted: ${error.message}`));
    keepAll(messages).catch(() => {}); // told above
  });
  const listening = { port: Number(port), host: '127.0.0.1', signal: aborter.signal };
  server.listen(listening, () => console.log('Listening on', JSON.stringify(server.address())));
} else {
  await send(file, Number(port)).catch((error) => {
    console.error(`Aborted: ${error.message}`);
    process.exitCode = 1;
  });
}
