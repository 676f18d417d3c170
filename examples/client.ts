/**
 * A client that sends files, each as one length-prefixed message, all over one connection.
 *
 *     npm run client -- --port 11000 picture.png notes.txt
 */
import { createReadStream } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { LengthPrefixEncoder } from 'length-prefix';
import { checkedOptions, describe, run, sharedOptions, sharedUsage, type WireFormat } from './options.js';

const usage = `Usage: npm run client -- [options] FILE...

Sends each FILE as one message; - is the standard input.

${sharedUsage}`;

async function main(): Promise<void> {
  const { values, positionals: names } = parseArgs({ options: sharedOptions, allowPositionals: true });
  if (values.help) return console.log(usage);
  const { host, port, format } = checkedOptions(values);
  if (names.length === 0) throw new Error('There is no FILE to send. --help tells more');

  const socket = connect(port, host);
  const closed = finished(socket);
  // A server has nothing to say here, but one that hangs up says so at the end of its data.
  socket.resume();
  socket.on('end', () => {
    if (!socket.writableEnded) socket.destroy(new Error('The server hung up before all was sent'));
  });

  const encoder = new LengthPrefixEncoder(format);
  encoder.pipe(inSlices(socket));
  encoder.on('error', () => {}); // a message that is too long: its write fails, too
  const send = (message: Buffer) =>
    new Promise<void>((resolve, reject) => encoder.write(message, (error) => (error ? reject(error) : resolve())));

  const sendAll = async () => {
    for (const name of names) {
      try {
        const message = await readMessage(name, format);
        await send(message);
        console.log(`All data was sent. Size: ${message.length}`);
      } catch (error) {
        throw new Error(`${name}: ${describe(error)}`);
      }
    }
    socket.end();
  };
  // Both at a time: the connection can break while the next message is waited for.
  await Promise.all([sendAll(), closed]);
}

/** Reads a whole file: the length of a message has to be known before its first byte can be sent. */
async function readMessage(name: string, { lengthFieldOffset, maxPayloadLength }: WireFormat): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of name === '-' ? process.stdin : createReadStream(name)) {
    chunks.push(chunk);
    length += chunk.length;
    // The encoder is the judge of what is too long. This is for an input that has no end.
    if (length > lengthFieldOffset + maxPayloadLength + 1_000_000) {
      throw new Error(`ERR_FRAME_TOO_LONG: more than ${maxPayloadLength} bytes (--max)`);
    }
  }
  return Buffer.concat(chunks);
}

const SLICE = 262_144;

/**
 * Passes bytes on to the socket, slice by slice, and shows on a terminal how far it has come. It takes no more until
 * the operating system has what it took, and that is what the callback of an encoder's `write` waits for.
 */
function inSlices(socket: Socket): Writable {
  return new Writable({
    highWaterMark: 1,
    write(chunk: Buffer, _encoding, callback) {
      let at = 0;
      const next = (error?: Error | null) => {
        if (error) return; // the socket itself tells
        if (chunk.length > SLICE) showProgress(at / chunk.length);
        if (at === chunk.length) return callback();
        const slice = chunk.subarray(at, at + SLICE);
        at += slice.length;
        socket.write(slice, next);
      };
      next();
    },
  });
}

function showProgress(part: number): void {
  // At the beginning of the line again, so that whatever is printed next replaces it.
  if (process.stderr.isTTY) process.stderr.write(`${String(Math.floor(100 * part)).padStart(3)} %\r`);
}

await run('client', main);
