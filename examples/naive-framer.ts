/**
 * Shows what becomes of decoders as they are found in tutorials when the bytes come in other chunks than they were
 * written in, and what becomes of some packages from npm, and of LengthPrefixDecoder:
 *
 *     npm run naive
 */
import { EventEmitter } from 'node:events';
import { type Duplex, Readable } from 'node:stream';
import { Decoder } from 'frame-stream';
import { decode } from 'it-length-prefixed';
import { LengthPrefixDecoder } from 'length-prefix';
import { type AnyDecoder, CutError, checkAnyCut } from 'length-prefix/fuzz';
import { Decode } from 'length-prefix-framed-stream';
import lengthPrefixedStream from 'length-prefixed-stream';

type OnMessage = (message: Buffer) => void;

/** The lengths in the chunks are not even looked at. */
function takeEachChunk(socket: EventEmitter, onMessage: OnMessage): void {
  socket.on('data', (chunk: Buffer) => {
    onMessage(chunk.subarray(4));
  });
}

/** The length is looked at, but there is only one message in a chunk, and all of it. */
function takeFirstOfChunk(socket: EventEmitter, onMessage: OnMessage): void {
  socket.on('data', (chunk: Buffer) => {
    const length = chunk.readUInt32LE(0);
    onMessage(chunk.subarray(4, 4 + length));
  });
}

/** The rest of a chunk is kept; but a length that is cut in two is not expected. */
function keepWhatIsLeft(socket: EventEmitter, onMessage: OnMessage): void {
  let rest = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length > 0) {
      const end = 4 + rest.readUInt32LE(0);
      if (rest.length < end) return;
      onMessage(rest.subarray(4, end));
      rest = rest.subarray(end);
    }
  });
}

/** Lets a listener of a socket be checked. */
function listening(listen: (socket: EventEmitter, onMessage: OnMessage) => void): AnyDecoder {
  return async function* (chunks) {
    const socket = new EventEmitter();
    const messages: Buffer[] = [];
    listen(socket, (message) => messages.push(message));
    for await (const chunk of chunks) {
      socket.emit('data', chunk);
      yield* messages.splice(0);
    }
  };
}

type Prefix = (length: number) => Uint8Array;

const uint32le: Prefix = (length) => Uint8Array.of(length, 0, 0, 0);
const uint32be: Prefix = (length) => Uint8Array.of(0, 0, 0, length);
const uint8: Prefix = (length) => Uint8Array.of(length);

/** The verdict of the check: that a decoder is right, or what is wrong and where. */
async function verdict(decoder: AnyDecoder, texts: string[], prefix: Prefix): Promise<string> {
  const messages = texts.map((text) => Buffer.from(text));
  const wire = Buffer.concat(messages.flatMap((message) => [prefix(message.length), message]));
  try {
    // Without empty chunks, which no socket gives.
    const { runs, exhaustive } = await checkAnyCut(decoder, wire, messages, { empty: false, runs: 512 });
    return exhaustive ? `right, in all the ${runs} cuts there are` : `right, in ${runs} cuts`;
  } catch (error) {
    if (error instanceof CutError) return error.message;
    throw error;
  }
}

const handlers = { takeEachChunk, takeFirstOfChunk, keepWhatIsLeft };

/** The decoders of some packages, with the prefix that they read. */
const packages: [name: string, prefix: Prefix, decoder: () => Duplex][] = [
  ['frame-stream', uint32be, () => new Decoder()],
  ['length-prefixed-stream', uint8, () => lengthPrefixedStream.decode()],
  ['length-prefixed-stream, allowEmpty', uint8, () => lengthPrefixedStream.decode({ allowEmpty: true })],
  ['length-prefix-framed-stream', uint8, () => new Decode()],
  ['length-prefix', uint32le, () => new LengthPrefixDecoder() as unknown as Duplex],
];

async function* itLengthPrefixed(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const message of decode(chunks)) yield message.subarray();
}

async function main(): Promise<void> {
  console.log('A message, and handlers as they are found in tutorials:\n');
  for (const [name, handler] of Object.entries(handlers)) {
    console.log(`${name}: ${await verdict(listening(handler), ['hello'], uint32le)}\n`);
  }
  console.log(`LengthPrefixDecoder: ${await verdict(() => new LengthPrefixDecoder(), ['hello'], uint32le)}\n`);

  const lists = { 'two messages': ['hello', 'you'], 'an empty one between them': ['hello', '', 'you'] };
  for (const [what, texts] of Object.entries(lists)) {
    console.log(`Decoders of packages, ${what}:\n`);
    const say = async (name: string, decoder: AnyDecoder, prefix: Prefix) =>
      console.log(`  ${name}: ${(await verdict(decoder, texts, prefix)).split('\n')[0]}`);
    for (const [name, prefix, decoder] of packages) {
      await say(`${name}, by 'data'`, decoder, prefix);
      await say(`${name}, by for await`, (chunks) => Readable.from(chunks).pipe(decoder()), prefix);
    }
    await say('it-length-prefixed, by for await', itLengthPrefixed, uint8);
    console.log();
  }
}

await main();
