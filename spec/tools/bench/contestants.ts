import type { Socket } from 'node:net';
import { Writable } from 'node:stream';
import { drained, writeAll } from './writing.js';

/** How messages are taken from a decoder. */
export type Reading = 'data' | 'writable' | 'for await';

/** Is told the length of each message, or of each piece of encoded bytes. */
export type OnLength = (length: number) => void;

/** A decoder, and the reader that takes its messages. */
export interface Receiver {
  feed(chunks: readonly Buffer[]): Promise<void>;
  from(socket: Socket): void;
}

/** A package that carries messages over a byte stream, in the wire format it has by default. */
export interface Contestant {
  readonly name: string;
  /** What it puts in front of a message of this length. */
  prefix(length: number): Uint8Array;
  receiver(reading: Reading, onMessage: OnLength): Receiver;
  /** An idle decoder. What is returned keeps it alive. */
  idle(): unknown;
  /** Encodes all the messages, at the pace of a reader that only counts. */
  encode(messages: readonly Buffer[], onBytes: OnLength): Promise<void>;
  /** Writes all the messages to the socket, at its pace. */
  send(messages: readonly Buffer[], socket: Socket): Promise<void>;
  /** Writes one message at a time. */
  sender(socket: Socket): (message: Buffer) => void;
}

/** The longest message that decoders with a limit are set to take. */
const LIMIT = 64 * 1024 * 1024;

const loaders: Record<string, () => Promise<Contestant>> = {
  'length-prefix': async () => {
    const { LengthPrefixDecoder, LengthPrefixEncoder } = await import('length-prefix');
    return new StreamContestant<Buffer>('length-prefix', {
      prefix: uint32le,
      encoder: () => new LengthPrefixEncoder({ maxPayloadLength: LIMIT }),
      decoder: () => new LengthPrefixDecoder({ maxPayloadLength: LIMIT }),
      tell: tellOne,
    });
  },

  'length-prefix, batch': async () => {
    const { LengthPrefixDecoder, LengthPrefixEncoder } = await import('length-prefix');
    return new StreamContestant<Buffer[]>('length-prefix, batch', {
      prefix: uint32le,
      encoder: () => new LengthPrefixEncoder({ maxPayloadLength: LIMIT }),
      decoder: () => new LengthPrefixDecoder({ maxPayloadLength: LIMIT, batch: true }),
      tell(batch, onMessage) {
        for (const message of batch) onMessage(message.length);
      },
    });
  },

  'length-prefix, framed': async () => {
    const { framed, LengthPrefixDecoder, LengthPrefixEncoder } = await import('length-prefix');
    const options = { maxPayloadLength: LIMIT };
    const streams = {
      prefix: uint32le,
      encoder: () => new LengthPrefixEncoder(options),
      decoder: () => new LengthPrefixDecoder(options),
      tell: tellOne,
    };
    return new FramedContestant('length-prefix, framed', streams, (socket) => {
      const messages = framed(socket, options);
      return messages.listenerCount('error') > 0 ? messages : messages.on('error', ignoreClosed);
    });
  },

  // The stream peers decode to byte mode by default, where `for await` would glue messages together.

  'frame-stream': async () => {
    const { Decoder, Encoder } = await import('frame-stream');
    return new StreamContestant<Buffer>('frame-stream', {
      prefix: uint32be,
      encoder: () => new Encoder(),
      decoder: (reading) => new Decoder(objectModeFor(reading) as object), // Its types leave out stream options.
      tell: tellOne,
    });
  },

  'length-prefixed-stream': async () => {
    const { default: lps } = await import('length-prefixed-stream');
    return new StreamContestant<Buffer>('length-prefixed-stream', {
      prefix: varint,
      encoder: () => lps.encode(),
      decoder: (reading) => lps.decode({ allowEmpty: reading === 'for await' }),
      tell: tellOne,
    });
  },

  'length-prefix-framed-stream': async () => {
    const { Decode, Encode } = await import('length-prefix-framed-stream');
    return new StreamContestant<Buffer>('length-prefix-framed-stream', {
      prefix: compactSize,
      encoder: () => new Encode(),
      decoder: (reading) => new Decode(objectModeFor(reading)),
      tell: tellOne,
    });
  },

  'it-length-prefixed': async () => {
    const lp = await import('it-length-prefixed');
    return new IterableContestant('it-length-prefixed', lp);
  },
};

/** Each package is loaded only where it runs. */
export function loadContestant(name: string): Promise<Contestant> {
  return loaders[name]!();
}

export const OURS = 'length-prefix';
export const OURS_BATCH = 'length-prefix, batch';
export const OURS_FRAMED = 'length-prefix, framed';
export const STREAM_PEERS = ['frame-stream', 'length-prefixed-stream', 'length-prefix-framed-stream'] as const;
export const PEERS = [...STREAM_PEERS, 'it-length-prefixed'] as const;
export const RAW_SOCKET = 'raw socket';
/** A raw socket whose bytes are copied into messages, by one who knows how long they are: the least that has to be done. */
export const RAW_COPIED = 'raw socket, copied';

/** What streams of node:stream and of all versions of readable-stream have in common. */
interface Stream extends NodeJS.WritableStream {
  pipe<Destination extends NodeJS.WritableStream>(destination: Destination): Destination;
}

interface StreamPackage<Item> {
  prefix(length: number): Uint8Array;
  encoder(): Stream;
  decoder(reading: Reading): Stream;
  /** Tells the lengths of the messages in what the decoder handed out. */
  tell(item: Item, onMessage: OnLength): void;
}

class StreamContestant<Item> implements Contestant {
  readonly name: string;
  readonly #package: StreamPackage<Item>;

  constructor(name: string, streams: StreamPackage<Item>) {
    this.name = name;
    this.#package = streams;
  }

  prefix(length: number): Uint8Array {
    return this.#package.prefix(length);
  }

  receiver(reading: Reading, onMessage: OnLength): Receiver {
    const decoder = this.#package.decoder(reading);
    this.#read(decoder, reading, onMessage);
    return {
      async feed(chunks) {
        await writeAll(decoder, chunks);
        decoder.end();
      },
      from: (socket) => void socket.pipe(decoder),
    };
  }

  #read(decoder: Stream, reading: Reading, onMessage: OnLength): void {
    const { tell } = this.#package;
    if (reading === 'data') {
      decoder.on('data', (item: Item) => tell(item, onMessage));
    } else if (reading === 'writable') {
      const write = (item: Item, _encoding: string, callback: () => void) => {
        tell(item, onMessage);
        callback();
      };
      decoder.pipe(new Writable({ objectMode: true, write }));
    } else {
      const loop = async () => {
        for await (const item of decoder as unknown as AsyncIterable<Item>) tell(item, onMessage);
      };
      loop().catch(ignoreClosed);
    }
  }

  idle(): unknown {
    return this.#package.decoder('data');
  }

  async encode(messages: readonly Buffer[], onBytes: OnLength): Promise<void> {
    const encoder = this.#package.encoder();
    encoder.on('data', (bytes: Buffer) => onBytes(bytes.length));
    await writeAll(encoder, messages);
    encoder.end();
  }

  async send(messages: readonly Buffer[], socket: Socket): Promise<void> {
    const encoder = this.#package.encoder();
    encoder.pipe(socket);
    await writeAll(encoder, messages);
  }

  sender(socket: Socket): (message: Buffer) => void {
    const encoder = this.#package.encoder();
    encoder.pipe(socket);
    return (message) => void encoder.write(message);
  }
}

/** One Duplex in the place of an encoder and a decoder, where there is a socket. */
class FramedContestant extends StreamContestant<Buffer> {
  readonly #framed: (socket: Socket) => Stream;

  constructor(name: string, streams: StreamPackage<Buffer>, framed: (socket: Socket) => Stream) {
    super(name, streams);
    this.#framed = framed;
  }

  override receiver(reading: Reading, onMessage: OnLength): Receiver {
    const { feed } = super.receiver(reading, onMessage);
    return { feed, from: (socket) => void this.#framed(socket).on('data', (message) => tellOne(message, onMessage)) };
  }

  override async send(messages: readonly Buffer[], socket: Socket): Promise<void> {
    await writeAll(this.#framed(socket), messages);
  }

  override sender(socket: Socket): (message: Buffer) => void {
    const messages = this.#framed(socket);
    return (message) => void messages.write(message);
  }
}

/** Not streams: functions from one iterable to another. */
class IterableContestant implements Contestant {
  readonly name: string;
  readonly #package: typeof import('it-length-prefixed');

  constructor(name: string, iterables: typeof import('it-length-prefixed')) {
    this.name = name;
    this.#package = iterables;
  }

  prefix(length: number): Uint8Array {
    return varint(length);
  }

  receiver(_reading: Reading, onMessage: OnLength): Receiver {
    const loop = async (source: AsyncIterable<Buffer>) => {
      for await (const message of this.#decode(source)) {
        // In one piece, as all the others hand it out.
        onMessage(message.subarray().length);
      }
    };
    return {
      feed: (chunks) => loop(asynchronous(chunks)),
      from: (socket) => void loop(socket).catch(ignoreClosed),
    };
  }

  #decode(source: AsyncIterable<Buffer>): AsyncIterableIterator<{ subarray(): Uint8Array }> {
    return this.#package.decode(source, { maxDataLength: LIMIT });
  }

  idle(): unknown {
    const messages = this.#decode(silence());
    return [messages, messages.next()];
  }

  async encode(messages: readonly Buffer[], onBytes: OnLength): Promise<void> {
    for (const piece of this.#package.encode(messages)) onBytes(piece.length);
  }

  async send(messages: readonly Buffer[], socket: Socket): Promise<void> {
    for (const piece of this.#package.encode(messages)) {
      if (!socket.write(piece)) await drained(socket);
    }
  }

  sender(socket: Socket): (message: Buffer) => void {
    return (message) => void socket.write(this.#package.encode.single(message).subarray());
  }
}

function objectModeFor(reading: Reading): { readableObjectMode: boolean } {
  return { readableObjectMode: reading === 'for await' };
}

function tellOne(message: Buffer, onMessage: OnLength): void {
  onMessage(message.length);
}

async function* asynchronous(chunks: readonly Buffer[]): AsyncGenerator<Buffer> {
  yield* chunks;
}

/** A source that never has anything to say. */
async function* silence(): AsyncGenerator<Buffer> {
  await new Promise(() => {});
}

/** A connection is cut when all that was expected has come: the reader need not care. */
function ignoreClosed(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error;
}

export function uint32le(length: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(length);
  return bytes;
}

function uint32be(length: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(length);
  return bytes;
}

function varint(length: number): Buffer {
  const bytes: number[] = [];
  let rest = length;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return Buffer.from([...bytes, rest]);
}

function compactSize(length: number): Buffer {
  if (length < 0xfd) return Buffer.from([length]);
  if (length <= 0xffff) return Buffer.from([0xfd, length & 0xff, length >> 8]);
  return Buffer.concat([Buffer.from([0xfe]), uint32le(length)]);
}
