import { once } from 'node:events';
import type { Socket } from 'node:net';
import { type Duplex, Readable, type Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import * as source from '../lib/index.js';

// The element types, with no cast. This file is never run: it does not compile when they are wrong.
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const sure = <T extends true>(_?: T) => {};

export async function types(): Promise<void> {
  const one = new source.LengthPrefixDecoder();
  sure<Same<typeof one, source.LengthPrefixDecoder<false>>>();
  const read = one.read();
  sure<Same<typeof read, Buffer | null>>();
  one.on('data', (message) => sure<Same<typeof message, Buffer>>());
  one.once('data', (message) => sure<Same<typeof message, Buffer>>());
  one.on('oversize', (length, position) => sure<Same<[typeof length, typeof position], [number, number]>>());
  one.on('error', (error: source.FrameError) => error.code);
  for await (const message of one) sure<Same<typeof message, Buffer>>();
  for await (const message of one.iterator({ destroyOnReturn: false })) sure<Same<typeof message, Buffer>>();
  const all = await one.toArray();
  sure<Same<typeof all, Buffer[]>>();

  const many = new source.LengthPrefixDecoder({ batch: true, lengthField: 'varint' });
  const batch = many.read();
  sure<Same<typeof batch, Buffer[] | null>>();
  many.on('data', (messages) => sure<Same<typeof messages, Buffer[]>>());
  for await (const messages of many) sure<Same<typeof messages, Buffer[]>>();

  await pipeline(process.stdin, one, async (messages: AsyncIterable<Buffer>) => messages);
  await pipeline(process.stdin, many, async (batches: AsyncIterable<Buffer[]>) => batches);
  await pipeline(process.stdin, one, new source.LengthPrefixEncoder(), process.stdout);

  const off = new source.LengthPrefixDecoder({ batch: false, copy: true });
  for await (const message of off) sure<Same<typeof message, Buffer>>();

  // One object for both ends.
  const format = { lengthField: 'uint16be', header: Buffer.alloc(2), batch: true } as const;
  new source.LengthPrefixDecoder(format).pipe(process.stdout);
  process.stdin.pipe(new source.LengthPrefixDecoder(format)).pipe(new source.LengthPrefixEncoder(format));
}
/** What is read and what is written, with decoders, encoders and framed streams of all kinds. */
export async function messageTypes(socket: Socket): Promise<void> {
  const plain = source.framed(socket);
  sure<Same<typeof plain, source.Framed<Buffer, source.Message>>>();
  plain.write('a');
  plain.write(['a', Buffer.from('b'), new Uint8Array(1)], () => {});
  plain.write({ length: 1, body: socket }, 'utf8', (error) => error?.message);
  plain.end({ length: 1, body: new Blob(['a']).stream() });
  // @ts-expect-error: no message
  plain.write(5);
  // @ts-expect-error: a body needs a length
  plain.write({ body: 'a' });

  const chat = source.framed(socket, source.json);
  for await (const value of chat) sure<Same<typeof value, any>>();
  chat.write({ any: 'thing' });

  const lines = source.framed(socket, { ...source.text, lengthField: 'varint' });
  for await (const line of lines) sure<Same<typeof line, string>>();
  const line = lines.read();
  sure<Same<typeof line, string | null>>();
  lines.on('data', (text) => sure<Same<typeof text, string>>());
  lines.once('data', (text) => sure<Same<typeof text, string>>());
  const allLines = await lines.toArray();
  sure<Same<typeof allLines, string[]>>();
  lines.write('a');
  // @ts-expect-error: not a string
  lines.write({ a: 1 });

  const numbers: source.Codec<number, number | bigint> = {
    decode: (bytes, start) => bytes.readInt32BE(start),
    encode: (value) => [Uint8Array.of(Number(value))],
  };
  const counted = source.framed(socket, { ...numbers, lengthField: 'uint8' });
  for await (const number of counted) sure<Same<typeof number, number>>();
  counted.write(1);
  counted.end(1n);
  // @ts-expect-error: not a number
  counted.write('1');

  const encoder = new source.LengthPrefixEncoder(numbers);
  sure<Same<typeof encoder, source.LengthPrefixEncoder<number | bigint>>>();
  encoder.write(1n, 'utf8', () => {});
  encoder.end(2, () => {});
  // @ts-expect-error: not a number
  encoder.write('1');
  const messages = new source.LengthPrefixEncoder();
  messages.write(['a', new Uint8Array(1)]);
  messages.write({ length: 3, body: (async function* () {})() });

  const decoded = new source.LengthPrefixDecoder(numbers);
  const one = decoded.read();
  sure<Same<typeof one, number | null>>();
  for await (const number of decoded) sure<Same<typeof number, number>>();
  decoded.on('data', (number) => sure<Same<typeof number, number>>());

  const batches = new source.LengthPrefixDecoder({ ...numbers, batch: true });
  const batch = batches.read();
  sure<Same<typeof batch, number[] | null>>();
  for await (const list of batches) sure<Same<typeof list, number[]>>();
  batches.on('data', (list) => sure<Same<typeof list, number[]>>());
  const framedBatches = source.framed(socket, { ...source.text, batch: true });
  for await (const list of framedBatches) sure<Same<typeof list, string[]>>();

  const streamed = new source.LengthPrefixDecoder({ stream: true, lengthField: 'uint16be' });
  const message = streamed.read();
  sure<Same<typeof message, source.StreamedMessage | null>>();
  streamed.on('data', ({ length, body }) => sure<Same<typeof length, number>>() ?? body.pipe(process.stdout));
  for await (const each of streamed) sure<Same<typeof each, source.StreamedMessage>>();
  const framedStream = source.framed(socket, { stream: true });
  for await (const each of framedStream) {
    sure<Same<typeof each, source.StreamedMessage>>();
    // What is read can be written.
    framedStream.write(each);
    await pipeline(each.body, process.stdout);
  }

  // Options that do not change what is handed out do not change the type.
  const usual: source.LengthPrefixDecoder[] = [
    new source.LengthPrefixDecoder({ copy: true, oversize: 'skip' }),
    new source.LengthPrefixDecoder({ batch: false, stream: false, decode: undefined, maxPayloadLength: 5 }),
    new source.LengthPrefixDecoder({ signal: new AbortController().signal, lengthField: 'varint' }),
  ];
  // @ts-expect-error: this one hands out arrays
  usual.push(new source.LengthPrefixDecoder({ batch: true }));
  // @ts-expect-error: this one hands out numbers
  usual.push(decoded);
  // @ts-expect-error: this one hands out bodies
  usual.push(streamed);
}

/** The same elements by all ways to read them, under each option that changes them, and all ways to write. */
export async function everyWay(socket: Socket, numbers: source.Codec<number, bigint>): Promise<void> {
  const decoded = new source.LengthPrefixDecoder(numbers);
  decoded.once('data', (number) => sure<Same<typeof number, number>>());
  for await (const number of decoded.iterator()) sure<Same<typeof number, number>>();
  const allDecoded = await decoded.toArray();
  sure<Same<typeof allDecoded, number[]>>();

  const batches = new source.LengthPrefixDecoder({ batch: true });
  batches.once('data', (list) => sure<Same<typeof list, Buffer[]>>());
  for await (const list of batches.iterator()) sure<Same<typeof list, Buffer[]>>();
  const allBatches = await batches.toArray();
  sure<Same<typeof allBatches, Buffer[][]>>();

  const streamed = new source.LengthPrefixDecoder({ stream: true });
  streamed.on('data', (message) => sure<Same<typeof message, source.StreamedMessage>>());
  streamed.once('data', (message) => sure<Same<typeof message, source.StreamedMessage>>());
  for await (const message of streamed.iterator()) sure<Same<typeof message, source.StreamedMessage>>();
  const allStreamed = await streamed.toArray();
  sure<Same<typeof allStreamed, source.StreamedMessage[]>>();

  const plain = source.framed(socket);
  const message = plain.read();
  sure<Same<typeof message, Buffer | null>>();
  plain.on('data', (message) => sure<Same<typeof message, Buffer>>());
  plain.on('oversize', (length, position) => sure<Same<[typeof length, typeof position], [number, number]>>());
  for await (const message of plain) sure<Same<typeof message, Buffer>>();
  sure<Same<Parameters<typeof plain.write>[0], source.Message>>();
  sure<Same<Parameters<typeof plain.end>[0], source.Message>>();

  const counted = source.framed(socket, { ...numbers, batch: true });
  sure<Same<typeof counted, source.Framed<number[], bigint>>>();
  const batch = counted.read();
  sure<Same<typeof batch, number[] | null>>();
  counted.on('data', (list) => sure<Same<typeof list, number[]>>());
  counted.once('data', (list) => sure<Same<typeof list, number[]>>());
  for await (const list of counted.iterator()) sure<Same<typeof list, number[]>>();
  const allCounted = await counted.toArray();
  sure<Same<typeof allCounted, number[][]>>();
  sure<Same<Parameters<typeof counted.write>[0], bigint>>();
  sure<Same<Parameters<typeof counted.end>[0], bigint>>();
  counted.write(1n, (error) => sure<Same<typeof error, Error | null | undefined>>());
  // @ts-expect-error: read, not written
  counted.end(1);

  const bodies = source.framed(socket, { stream: true });
  bodies.on('data', (message) => sure<Same<typeof message, source.StreamedMessage>>());
  const body = bodies.read();
  sure<Same<typeof body, source.StreamedMessage | null>>();

  const encoder = new source.LengthPrefixEncoder(numbers);
  sure<Same<Parameters<typeof encoder.write>[0], bigint>>();
  sure<Same<Parameters<typeof encoder.end>[0], bigint>>();
  encoder.write(1n, (error) => sure<Same<typeof error, Error | null | undefined>>());
  const messages = new source.LengthPrefixEncoder();
  sure<Same<typeof messages, source.LengthPrefixEncoder<source.Message>>>();
  sure<Same<Parameters<typeof messages.write>[0], source.Message>>();
  // @ts-expect-error: no message
  messages.end(1);

  // A value with a format keeps the type of its letters.
  const either = new source.LengthPrefixEncoder<{ type: 'a' } | { type: 'b'; text: string }>({ encode: () => '' });
  either.write(source.withFormat({}, { type: 'b', text: '' }));
  // @ts-expect-error: no such value
  either.write(source.withFormat({}, { type: 'c' }));

  // The types that codecs and options are declared with.
  sure<Same<source.Decoded, Buffer>>();
  sure<Same<source.Decoded<true, number>, number[]>>();
  sure<Same<source.Decoded<false, Buffer, true>, source.StreamedMessage>>();
  sure<Same<source.FrameError['code'], `ERR_FRAME_${'TOO_LONG' | 'TRUNCATED' | 'CORRUPT' | 'TIMEOUT'}`>>();
  sure<Same<source.FrameError['position'], number>>();
}

/** Bytes in hand, and streams as functions of the user's own take them. */
export async function inHand(socket: Socket): Promise<void> {
  for (const message of source.decode(Buffer.alloc(4))) sure<Same<typeof message, Buffer>>();
  for (const list of source.decode([new Uint8Array(4)], { batch: true })) sure<Same<typeof list, Buffer[]>>();
  for await (const line of source.decode(socket, source.text)) sure<Same<typeof line, string>>();
  for await (const message of source.decode(new Blob([]).stream())) sure<Same<typeof message, Buffer>>();
  const frame = source.encode(['a', Buffer.from('b')], source.formats.kafka);
  sure<Same<typeof frame, ReturnType<typeof Buffer.alloc>>>();
  sure<Same<ReturnType<typeof source.encode>, ReturnType<typeof Buffer.alloc>>>();
  // One object serves both ends.
  source.encode('a', { lengthField: 'varint', copy: true });
  source.encode({ a: 1 }, source.json);
  // @ts-expect-error: no message
  source.encode(5);
  // @ts-expect-error: not a string
  source.encode(5, source.text);
  sure<Same<typeof source.buffers, source.Memory<Buffer>>>();
  const options: source.DecodingOptions<true, number, false> = { batch: true, decode: (bytes, start) => bytes[start]! };
  const numbers = new source.LengthPrefixDecoder(options).read();
  sure<Same<typeof numbers, number[] | null>>();
}

interface Chat {
  readonly from: string;
  readonly text: string;
}

/** Typed values through everything that Node has for streams. */
export async function chats(a: Socket, b: Socket): Promise<void> {
  const chat: source.Codec<Chat> = source.json;
  await pipeline(source.framed(a, chat), source.framed(b, chat));
  await pipeline(source.framed(a, chat), source.framed(b, chat), source.framed(a, chat));
  source.framed(a, chat).pipe(source.framed(b, chat));
  a.pipe(new source.LengthPrefixDecoder(chat)).pipe(new source.LengthPrefixEncoder(chat)).pipe(a);
  await pipeline(a, new source.LengthPrefixDecoder(chat), new source.LengthPrefixEncoder(chat), a);
  const inCapitals = async function* (messages: AsyncIterable<Chat>) {
    for await (const { from, text } of messages) yield { from, text: text.toUpperCase() };
  };
  await pipeline(source.framed(a, chat), inCapitals, source.framed(a, chat));
  new source.LengthPrefixDecoder(chat).compose(new source.LengthPrefixEncoder(chat)).pipe(a);
  Readable.from([{ from: 'a', text: 'b' }]).pipe(new source.LengthPrefixEncoder(chat));

  const framedChat: source.Framed<Chat> = source.framed(a, chat);
  const bytes: source.Framed = source.framed(a);
  const same: source.Framed<Buffer, source.Message> = bytes;
  same.write([Buffer.alloc(1), 'a']);
  sure<Same<source.Framed<Chat>, source.Framed<Chat, Chat>>>();
  sure<Same<source.Framed<any>, source.Framed<any, any>>>();
  framedChat.write({ from: 'a', text: 'b' });
  // @ts-expect-error: no Chat
  framedChat.write(5);
  // @ts-expect-error: no Chat
  framedChat.end('a');
  const encoder = new source.LengthPrefixEncoder(chat);
  // @ts-expect-error: no Chat
  encoder.write(5);
  // @ts-expect-error: no Chat
  encoder.end(5);

  const chats = new source.LengthPrefixDecoder(chat);
  for (const method of ['on', 'once', 'addListener', 'prependListener', 'prependOnceListener'] as const) {
    chats[method]('data', (each) => sure<Same<typeof each, Chat>>());
  }
  chats.off('data', (each: Chat) => each.from).removeListener('data', (each: Chat) => each.from);
  const [next] = (await once(chats, 'data')) as [Chat];
  await chats.forEach((each) => {
    sure<Same<typeof each, Chat>>();
    sure<Same<typeof each, typeof next>>();
  });
  const lengths = chats.map(async (each) => each.text.length).filter((length) => length > 3);
  for await (const length of lengths) sure<Same<typeof length, number>>();
  const texts = await chats.flatMap((each) => [each.text]).toArray();
  sure<Same<typeof texts, string[]>>();
  const few = await chats.drop(1).take(2).toArray();
  sure<Same<typeof few, Chat[]>>();
  const fromA = await chats.filter((each): each is Chat & { from: 'a' } => each.from === 'a').toArray();
  sure<Same<typeof fromA, (Chat & { from: 'a' })[]>>();
  const found = await chats.find((each) => each.from === 'a');
  sure<Same<typeof found, Chat | undefined>>();
  const total = await chats.reduce((sum, each) => sum + each.text.length, 0);
  sure<Same<typeof total, number>>();
  const last = await chats.reduce((_, each) => each);
  sure<Same<typeof last, Chat>>();
  await chats.some((each) => each.from === 'a');
  await chats.every((each) => each.from === 'a', { concurrency: 2 });

  const format = { lengthField: 'varint', header: Buffer.alloc(0) } satisfies source.FormatOptions;
  source.framed(a, { ...format, ...chat }).write({ from: 'a', text: 'b' });
  new source.LengthPrefixDecoder({ ...format, batch: true }).on('data', ([first]) => first?.length);
}

/** A function that knows no more of its messages than their type. */
export async function ask<T>(socket: Socket, codec: source.Codec<T>, question: T): Promise<T | undefined> {
  const messages: source.Framed<T> = source.framed(socket, codec);
  const same: source.Framed<T, T> = messages;
  same.write(question);
  // @ts-expect-error: no T
  messages.write('a');
  messages.end(question);
  for await (const answer of messages) return answer;
  return undefined;
}

/** All streams are node:stream's own, and declared as streams of messages. */
export async function asStreams(socket: Socket): Promise<void> {
  const decoder: source.MessageTransform<Buffer, Uint8Array | string> = new source.LengthPrefixDecoder();
  const encoder: source.MessageTransform<Buffer, source.Message> = new source.LengthPrefixEncoder();
  const plain: source.MessageDuplex<Buffer, source.Message> = source.framed(socket);
  const all: Duplex[] = [decoder, encoder, plain, source.framed(socket, { ...source.json, batch: true })];
  const transforms: Transform[] = [new source.LengthPrefixDecoder({ stream: true }), new source.LengthPrefixEncoder()];
  const either: NodeJS.ReadWriteStream[] = [...all, ...transforms];
  const nested: source.ByteStream[] = [...either, { readable: socket, writable: socket }];
  for (const stream of nested) source.framed(stream);

  const lines = source.framed(socket, source.text);
  for await (const line of lines.iterator({ destroyOnReturn: false })) sure<Same<typeof line, string>>();
  lines.once('data', (line) => sure<Same<typeof line, string>>());
  lines.once('error', (error) => sure<Same<typeof error, Error>>());
  lines.on('close', () => {}).once('drain', () => {});
  lines.setMaxListeners(0).pause().resume();
  await pipeline(lines, source.framed(socket, source.text), async (messages: AsyncIterable<string>) => messages);
  sure<Same<Parameters<source.LengthPrefixDecoder['write']>[0], Uint8Array | string>>();
  // @ts-expect-error: no bytes
  new source.LengthPrefixDecoder().write(5);
  // @ts-expect-error: no message
  new source.LengthPrefixEncoder().write(5);
  // @ts-expect-error: no message
  lines.end(5);
  // @ts-expect-error: not known
  source.framed(socket, { maxFrameLength: 100 });
  // @ts-expect-error: not known
  new source.LengthPrefixEncoder({ objectMode: true });
}
