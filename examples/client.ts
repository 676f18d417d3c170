/**
 * A client that sends files of any size, each as one length-prefixed message, all over one connection.
 *
 *     npm run client -- --port 11000 picture.png notes.txt
 */
import { once } from 'node:events';
import { type FileHandle, open } from 'node:fs/promises';
import { connect } from 'node:net';
import { finished } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { framed, type Message } from 'length-prefix';
import { checkedOptions, describe, run, sharedOptions, sharedUsage, type WireFormat } from './options.js';

const usage = `Usage: npm run client -- [options] FILE...

Sends each FILE as one message; - is the standard input. Files are read while
they are sent. Where the length is not known before, as of the standard input,
all of it is read first.

${sharedUsage}`;

async function main(): Promise<void> {
  const { values, positionals: names } = parseArgs({ options: sharedOptions, allowPositionals: true });
  if (values.help) return console.log(usage);
  const { host, port, format } = checkedOptions(values);
  if (names.length === 0) throw new Error('There is no FILE to send. --help tells more');

  const socket = connect(port, host);
  await once(socket, 'connect');
  const messages = framed(socket, { ...format, stream: true });
  const closed = finished(messages);
  // A server has nothing to say here, but one that hangs up says so at the end of its messages.
  messages.on('data', ({ body }) => body.resume());
  const hungUp = new Promise<never>((_, reject) => {
    messages.on('end', () => {
      if (!messages.writableEnded) reject(new Error('The server hung up before all was sent'));
    });
  });
  const send = (message: Message) =>
    new Promise<void>((resolve, reject) => messages.write(message, (error) => (error ? reject(error) : resolve())));

  let current: string | undefined;
  const sendAll = async () => {
    for (current of names) {
      const message = await messageOf(current, format);
      await send(message);
      console.log(`All data was sent. Size: ${message.length}`);
    }
    current = undefined;
    messages.end();
  };
  // Both at a time: the connection can break while the next message is waited for.
  const done = Promise.all([sendAll(), closed]).catch((error) => {
    throw current === undefined ? error : new Error(`${current}: ${describe(error)}`);
  });
  await Promise.race([hungUp, done]);
}

/** From this many bytes on, a message is sent piece by piece, and its progress shown. */
const LARGE = 262_144;

/** The length of a message has to be known before its first byte can be sent. */
async function messageOf(name: string, { lengthFieldOffset, maxPayloadLength }: WireFormat) {
  const file = name === '-' ? undefined : await open(name);
  const stat = await file?.stat();
  if (file !== undefined && stat?.isFile() && stat.size >= LARGE) {
    return { length: stat.size, body: shown(piecesOf(file, stat.size), stat.size) };
  }
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of file?.createReadStream() ?? process.stdin) {
    chunks.push(chunk);
    length += chunk.length;
    // `framed` is the judge of what is too long. This is for an input that has no end.
    if (length > lengthFieldOffset + maxPayloadLength + 1_000_000) {
      throw new Error(`ERR_FRAME_TOO_LONG: more than ${maxPayloadLength} bytes (--max)`);
    }
  }
  return length < LARGE ? Buffer.concat(chunks) : { length, body: shown(chunks, length) };
}

async function* piecesOf(file: FileHandle, length: number): AsyncGenerator<Buffer> {
  let read = 0;
  try {
    for await (const piece of file.createReadStream({ highWaterMark: LARGE, autoClose: false })) {
      read += piece.length;
      // In front of the last piece, so that a server never has a file for whole that was not.
      const size = read < length ? length : Math.max(read, (await file.stat()).size);
      if (size !== length) throw new Error(`It grew while it was sent, from ${length} bytes to ${size}`);
      yield piece;
      if (read === length) return;
    }
    throw new Error(`It shrank while it was sent, from ${length} bytes to ${read}`);
  } finally {
    // Not awaited: a server may hang up as soon as it has the last byte.
    void file.close();
  }
}

/** Shows on a terminal how much of a message the operating system has taken, which asks for one piece after the other. */
async function* shown(pieces: Iterable<Buffer> | AsyncIterable<Buffer>, length: number): AsyncGenerator<Buffer> {
  let sent = 0;
  showProgress(0);
  for await (const piece of pieces) {
    yield piece;
    sent += piece.length;
    showProgress(sent / length);
  }
}

function showProgress(part: number): void {
  // At the beginning of the line again, so that whatever is printed next replaces it.
  if (process.stderr.isTTY) process.stderr.write(`${String(Math.floor(100 * part)).padStart(3)} %\r`);
}

await run('client', main);
