import { FrameBuilder } from './builder.js';
import { type ByteChunk, chunkBytes } from './chunk.js';
import { type DecodingOptions, decodingSettings } from './decoding.js';
import { type EncodingOptions, encodingSettings } from './encoding.js';
import { invalidType, invalidValue } from './errors.js';
import { concat, type Memory } from './memory.js';
import { checkParts, encodeValue, IN_HAND, isSource, type Message, type MessagePart } from './message.js';
import { FrameParser } from './parser.js';
import { messageOf, WithFormat } from './with-format.js';

/** The type of `decode`, which takes bytes in hand. `M` is the class of its messages. */
export interface Decode<M extends Uint8Array> {
  <Batch extends boolean = false, T = M>(
    source: ByteChunk | Iterable<ByteChunk>,
    options?: DecodingOptions<M, Batch, T, false>,
  ): Generator<Batch extends true ? T[] : T, void, undefined>;
  <Batch extends boolean = false, T = M>(
    source: AsyncIterable<ByteChunk> | { getReader(): any },
    options?: DecodingOptions<M, Batch, T, false>,
  ): AsyncGenerator<Batch extends true ? T[] : T, void, undefined>;
}

/** The type of `encode`, which takes a message in hand. `M` is the class of the frame. */
export interface Encode<M extends Uint8Array> {
  (
    message: MessagePart | readonly MessagePart[],
    options?: Omit<EncodingOptions & DecodingOptions<any>, 'encode'> & { encode?: undefined },
  ): M;
  <T>(
    message: T,
    options: Omit<EncodingOptions & DecodingOptions<any>, 'encode'> & { encode: (value: T) => Message },
  ): M;
}

/** Makes `decode`, with messages in this memory. */
export function decodeIn<M extends Uint8Array>(memory: Memory<M>): Decode<M> {
  return ((source: any, options: DecodingOptions<M, boolean, unknown, false> = {}) => {
    const settings = decodingSettings(options, memory);
    if (settings.inParts) throw invalidValue('options.stream', 'false, or left out', true);
    const parser = new FrameParser<M, unknown>(settings);
    if (typeof source !== 'object' || source === null) {
      throw invalidType('source', 'bytes, or an iterable of them', source);
    }
    if (ArrayBuffer.isView(source)) return decodeAll(parser, [source]);
    if (Symbol.asyncIterator in source) return decodeAsync(parser, source);
    if ('getReader' in source) return decodeAsync(parser, chunksOf(source));
    if (Symbol.iterator in source) return decodeAll(parser, source);
    return decodeAll(parser, [source]);
  }) as Decode<M>;
}

/** Makes `encode`, with frames in this memory. */
export function encodeIn<M extends Uint8Array>(memory: Memory<M>): Encode<M> {
  return (given: any, options: EncodingOptions = {}) => {
    const { format: usual, encode, defaultEncoding } = encodingSettings(options, memory);
    const format = given instanceof WithFormat ? given.format : usual;
    const message = messageOf(given);
    const bytes = encode === undefined ? message : encodeValue(encode, message, 0);
    const builder = new FrameBuilder<M>(format, memory);
    try {
      builder.add(bytes as MessagePart, defaultEncoding);
    } catch (error) {
      // The builder knows nothing of bodies and codecs: this error tells more.
      checkParts(bytes, IN_HAND, codecAdvice(bytes));
      throw error;
    }
    const pieces = builder.take();
    return pieces.length === 1 ? pieces[0]! : concat(pieces, memory);
  };
}

/** How to send another value. */
function codecAdvice(message: unknown): string {
  if (isSource(message)) return 'write a { length, body } to a stream';
  return 'another value needs a codec, as in encode(value, json), or the option encode';
}

function* decodeAll(parser: FrameParser<any, unknown>, chunks: Iterable<ByteChunk>): Generator {
  for (const chunk of chunks) {
    yield* inChunk(parser, chunk);
    if (parser.isStopped) return;
  }
  parser.finish();
}

async function* decodeAsync(parser: FrameParser<any, unknown>, chunks: AsyncIterable<ByteChunk>): AsyncGenerator {
  for await (const chunk of chunks) {
    yield* inChunk(parser, chunk);
    if (parser.isStopped) return;
  }
  parser.finish();
}

function* inChunk(parser: FrameParser<any, unknown>, chunk: ByteChunk): Generator {
  parser.push(chunkBytes(chunk));
  for (let piece = parser.next(); piece !== undefined; piece = parser.next()) yield piece;
}

/** In some browsers, streams are no async iterables. */
async function* chunksOf(stream: { getReader(): any }): AsyncGenerator<ByteChunk, void, undefined> {
  const reader = stream.getReader();
  let ended = false;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      ended = done;
      if (done) return;
      yield value;
    }
  } finally {
    if (!ended) await reader.cancel().catch(() => {});
    reader.releaseLock();
  }
}
