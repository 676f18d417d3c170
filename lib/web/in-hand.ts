import { invalidType, invalidValue } from '../wire/errors.js';
import type { FormatOptions } from '../wire/format.js';
import { concat } from '../wire/memory.js';
import { type MessagePart, notEncoded } from '../wire/message.js';
import type { Decoded } from './decoder-stream.js';
import { checkedEncoding, type EncodingOptions, type Message } from './encoder-stream.js';
import { frameOf } from './frame.js';
import { type ByteChunk, type DecodingOptions, Reader } from './reader.js';

/**
 * The messages in bytes that are in hand: a chunk, or an iterable of chunks.
 *
 * ```ts
 * for (const message of decode(bytes, formats.protobuf)) console.log(message.length);
 * ```
 *
 * Each message is looked for when it is asked for.
 *
 * @throws {TypeError} `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
 * @throws {RangeError} `ERR_OUT_OF_RANGE`
 * @throws FrameError while it is iterated, when all messages before the fault were handed out.
 */
export function decode<Batch extends boolean = false, T = Uint8Array>(
  source: ByteChunk | Iterable<ByteChunk>,
  options?: DecodingOptions<Batch, T, false>,
): Generator<Decoded<Batch, T>, void, undefined>;
/** The messages in bytes that come: an async iterable of chunks, such as a stream. */
export function decode<Batch extends boolean = false, T = Uint8Array>(
  source: AsyncIterable<ByteChunk> | ReadableStream<ByteChunk>,
  options?: DecodingOptions<Batch, T, false>,
): AsyncGenerator<Decoded<Batch, T>, void, undefined>;
export function decode(source: unknown, options: DecodingOptions = {}): unknown {
  const reader = new Reader(options);
  if (reader.inParts) throw invalidValue('options.stream', 'false, or left out', true);
  if (typeof source !== 'object' || source === null)
    throw invalidType('source', 'bytes, or an iterable of them', source);
  if (ArrayBuffer.isView(source)) return decodeAll(reader, [source]);
  if (Symbol.asyncIterator in source) return decodeAsync(reader, source as AsyncIterable<ByteChunk>);
  if ('getReader' in source) return decodeAsync(reader, chunksOf(source as ReadableStream<ByteChunk>));
  if (Symbol.iterator in source) return decodeAll(reader, source as Iterable<ByteChunk>);
  return decodeAll(reader, [source as ArrayBuffer]);
}

function* decodeAll(reader: Reader, chunks: Iterable<ByteChunk>): Generator {
  for (const chunk of chunks) yield* inChunk(reader, chunk);
  reader.finish();
}

async function* decodeAsync(reader: Reader, chunks: AsyncIterable<ByteChunk>): AsyncGenerator {
  for await (const chunk of chunks) yield* inChunk(reader, chunk);
  reader.finish();
}

function* inChunk(reader: Reader, chunk: ByteChunk): Generator {
  reader.pushChunk(chunk);
  for (let piece = reader.nextPiece(); piece !== undefined; piece = reader.nextPiece()) yield piece;
}

/** Not every browser's streams are async iterables. */
async function* chunksOf(stream: ReadableStream<ByteChunk>): AsyncGenerator<ByteChunk, void, undefined> {
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

/**
 * The frame of one message.
 *
 * ```ts
 * socket.send(encode('hello', formats.erlangPacket2));
 * ```
 *
 * @throws {TypeError} `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
 * @throws {RangeError} `ERR_OUT_OF_RANGE`
 * @throws FrameError when the format can't carry the message.
 */
export function encode(
  message: MessagePart | readonly MessagePart[],
  options?: FormatOptions & { encode?: undefined },
): Uint8Array;
/** The frame of one value, of which `options.encode` makes a message. */
export function encode<T>(message: T, options: FormatOptions & { encode: (value: T) => Message }): Uint8Array;
export function encode(message: unknown, options: EncodingOptions = {}): Uint8Array {
  const { format, encode: encoder } = checkedEncoding(options);
  let bytes: unknown = message;
  if (encoder !== undefined) {
    try {
      bytes = encoder(message);
    } catch (cause) {
      throw notEncoded(cause, 0);
    }
  }
  return concat(frameOf(format, bytes as MessagePart, 0));
}
