import { bytes, corrupt, FrameError, invalidReturn, invalidType, outOfRange, reason, typeOf } from './errors.js';
import { concat, isBytes, type Memory } from './memory.js';
import { ignoreRejection, isPromise } from './promises.js';

/** Bytes, or a string. A string is sent in the encoding of the write, which is UTF-8 by default. */
export type MessagePart = Uint8Array | string;

/** The source of a message's bytes: a part, an iterable or an async iterable of parts, a stream of Node or of the web. */
export type Body = MessagePart | Iterable<MessagePart> | AsyncIterable<MessagePart> | WebBody;

/** A `ReadableStream`, also of browsers in which it is no async iterable. */
export interface WebBody {
  /** Returns a reader, as `ReadableStream` does. */
  getReader(): any;
  /** Stops the stream, as `ReadableStream` does. */
  cancel(reason?: any): Promise<void>;
}

/**
 * A message of a known length, whose bytes need not be there yet, and need not fit in memory.
 *
 * ```ts
 * messages.write({ length: (await stat(path)).size, body: createReadStream(path) });
 * ```
 */
export interface MessageSource {
  /** The number of bytes that the body has. */
  readonly length: number;
  /**
   * The bytes. Fewer than `length` are `ERR_FRAME_TRUNCATED`, more are `ERR_FRAME_TOO_LONG`; both fail the stream. The body
   * and its parts belong to the stream. A body that can't be sent is destroyed or cancelled.
   */
  readonly body: Body;
}

/** The argument of one write: a message in one part or several, or a {@link MessageSource}. */
export type Message = MessagePart | readonly MessagePart[] | MessageSource;

/** Whether a message comes as a body. */
export function isSource(message: unknown): message is MessageSource {
  return typeof message === 'object' && message !== null && 'body' in message;
}

/**
 * @throws {TypeError} `ERR_INVALID_ARG_TYPE`
 * @throws {RangeError} `ERR_OUT_OF_RANGE`
 */
export function checkSource({ length, body }: MessageSource): void {
  if (typeof length !== 'number') throw invalidType('message.length', 'of type number', length);
  if (!Number.isSafeInteger(length) || length < 0) {
    throw outOfRange('message.length', `an integer >= 0 and <= ${Number.MAX_SAFE_INTEGER}`, length);
  }
  const isObject = typeof body === 'object' && body !== null;
  const isStream = isObject && (Symbol.asyncIterator in body || Symbol.iterator in body || 'getReader' in body);
  if (typeof body !== 'string' && !isStream) {
    const isBlob = isObject && 'stream' in body;
    const hint = isBlob ? '; for a Blob, use blob.stream()' : '';
    throw invalidType('message.body', `a stream, an iterable, a string, a Buffer or a Uint8Array${hint}`, body);
  }
}

/**
 * The bytes of a part of a message.
 *
 * @throws {TypeError} `ERR_INVALID_ARG_TYPE`
 */
export function partBytes(part: unknown, name: string, memory: Memory<Uint8Array>, encoding?: string): Uint8Array {
  if (typeof part === 'string') return memory.encode(part, encoding);
  if (isBytes(part)) return part;
  throw invalidType(name, PARTS[name]!, part);
}

/**
 * Checks a message of one part or several. The error tells how else the value can be sent.
 *
 * @param allowed the kinds of messages, as the error says them
 * @param codec how other values are sent
 * @throws {TypeError} `ERR_INVALID_ARG_TYPE`
 */
export function checkParts(
  message: unknown,
  allowed = MESSAGES,
  codec = 'another value needs a codec, such as { ...json }, or the option encode',
): void {
  for (const part of Array.isArray(message) ? message : [message]) {
    if (typeof part !== 'string' && !isBytes(part)) {
      throw invalidType('message', `${allowed}; ${adviceFor(part) ?? codec}`, part);
    }
  }
}

/** How to make bytes of a value that is not bytes yet. */
function adviceFor(value: any): string | undefined {
  if (value instanceof ArrayBuffer) return 'wrap this one: new Uint8Array(buffer)';
  if (ArrayBuffer.isView(value)) return 'wrap the memory of this view in a Uint8Array';
  if (isPromise(value)) return 'await this promise, and write its result';
  return undefined;
}

/**
 * The message that `encode` makes of a value, for a frame that begins at `position`.
 *
 * @throws FrameError `ERR_FRAME_CORRUPT`
 */
export function encodeValue(encode: (value: any) => Message, value: unknown, position: number): Message {
  try {
    const message = encode(value);
    if (typeof message === 'string' || isBytes(message)) return message;
    const parts: readonly unknown[] = Array.isArray(message) ? message : [message];
    for (const part of parts) if (isPromise(part)) ignoreRejection(part);
    if (isSource(message) || Array.isArray(message)) return message;
    if (!isPromise(message)) throw invalidReturn('encode', MESSAGES, typeOf(message));
    throw invalidReturn('encode', MESSAGES, "a promise. 'encode' can't be asynchronous");
  } catch (cause) {
    throw notEncoded(cause, position);
  }
}

/** For a value with which `encode` threw `cause`, or of which it made a message that `cause` refuses. */
export function notEncoded(cause: unknown, position: number): FrameError {
  return corrupt(position, `the message can't be encoded: ${reason(cause)}`, { cause });
}

/**
 * The bytes of a message's parts, in order. As in a `TextEncoderStream`, a string may end in the middle of a surrogate
 * pair that the next one completes.
 */
export class PartEncoder {
  readonly #name: string;
  readonly #memory: Memory<Uint8Array>;
  readonly #encoding: string | undefined;
  /** A high surrogate at the end of the strings before. */
  #high = '';

  constructor(name: string, memory: Memory<Uint8Array>, encoding?: string) {
    this.#name = name;
    this.#memory = memory;
    this.#encoding = encoding;
  }

  /**
   * The bytes of a part, but for a high surrogate at its end.
   *
   * @throws {TypeError} `ERR_INVALID_ARG_TYPE`
   */
  bytes(part: unknown): Uint8Array {
    if (typeof part === 'string') return this.#text(part);
    const data = partBytes(part, this.#name, this.#memory);
    return this.#high === '' || data.length === 0 ? data : concat([this.rest(), data], this.#memory);
  }

  #text(part: string): Uint8Array {
    const text = this.#high === '' ? part : this.#high + part;
    this.#high = endsInHigh(text) ? text.at(-1)! : '';
    return this.#memory.encode(this.#high === '' ? text : text.slice(0, -1), this.#encoding);
  }

  /** The bytes of a high surrogate that no part completed. */
  rest(): Uint8Array {
    const rest = this.#memory.encode(this.#high, this.#encoding);
    this.#high = '';
    return rest;
  }
}

/** The bytes of the parts of one message. */
export function partsBytes(
  parts: readonly unknown[],
  name: string,
  memory: Memory<Uint8Array>,
  encoding?: string,
): Uint8Array[] {
  if (!parts.some(endsInHigh)) return parts.map((part) => partBytes(part, name, memory, encoding));
  const encoder = new PartEncoder(name, memory, encoding);
  return [...parts.map((part) => encoder.bytes(part)), encoder.rest()];
}

/** Whether the last character may be the first half of one. */
function endsInHigh(part: unknown): boolean {
  return typeof part === 'string' && (part.charCodeAt(part.length - 1) & 0xfc00) === 0xd800;
}

/** The messages that can be in hand, and all that a stream takes, as errors name them. */
export const IN_HAND = 'a string, a Buffer, a Uint8Array, or an array of these';
const MESSAGES = 'a string, a Buffer, a Uint8Array, an array of these, or { length, body }';

const PARTS: Readonly<Record<string, string>> = {
  message: IN_HAND,
  'message.body': 'of strings, Buffers or Uint8Arrays',
};

/** For a body of `found` bytes or more, instead of `length`, of a frame that begins at `position`. */
export function bodyTooLong(length: number, found: number, position: number): FrameError {
  const what = `the body has ${bytes(found)} or more, and its length is ${length}`;
  return new FrameError('ERR_FRAME_TOO_LONG', position, what);
}

/** For a body that ended when `left` bytes of `length` were due. */
export function bodyTruncated(length: number, left: number, position: number): FrameError {
  return new FrameError('ERR_FRAME_TRUNCATED', position, `the body ended after ${length - left} of ${bytes(length)}`);
}
