import { invalidType } from '../wire/errors.js';
import { type Format, type FormatOptions, formatOf } from '../wire/format.js';
import { concat, isBytes } from '../wire/memory.js';
import {
  adoptBody,
  bodyTooLong,
  bodyTruncated,
  checkedSource,
  destroyBody,
  isSource,
  type Body as MessageBody,
  type MessagePart,
  notEncoded,
} from '../wire/message.js';
import { bytesOf, frameOf } from './frame.js';
import { highWaterMarks, type StreamOptions } from './high-water-marks.js';
import { OrderedPair, type Work } from './ordered-pair.js';

/** Where the bytes of a message come from: a stream, an iterable or an async iterable of parts, or a part. */
export type Body = MessageBody | ReadableStream<MessagePart>;

/** A message of a known length whose bytes need not be there yet, nor fit in memory. */
export interface MessageSource {
  /** In bytes. */
  readonly length: number;
  /** So many bytes: fewer or more fail the stream. It is taken over: a stream is cancelled when it can't be sent. */
  readonly body: Body;
}

/** What one write takes: a message in one part or several, or a {@link MessageSource}. */
export type Message = MessagePart | readonly MessagePart[] | MessageSource;

/** What a program gives to be sent as messages. */
export interface EncodingOptions<T = any> extends FormatOptions {
  /**
   * Makes the message, as a write takes it, of each value that is written. What it throws is the `cause` of an
   * `ERR_FRAME_CORRUPT`, which fails the stream. Default: values are messages.
   */
  encode?: ((value: T) => Message) | undefined;
}

/** The wire format, what messages are made of, and how much waits. */
export interface LengthPrefixEncoderStreamOptions<T = any> extends EncodingOptions<T>, StreamOptions {}

/** From this many bytes on, a part of a message is not copied; and so many are joined at the most. */
const LARGE = 65_536;
/** What a value of unknown size counts for the writable side: 16 of them fill it, as they do any stream of objects. */
const UNKNOWN_SIZE = LARGE / 16;

const nothing = new Uint8Array(0);

/**
 * Messages in, bytes out, as a web stream: each write is one message.
 *
 * ```ts
 * const writer = encoder.writable.getWriter();
 * writer.write('hello');
 * writer.write(Uint8Array.of(1, 2, 3));
 * ```
 *
 * Like `TextEncoderStream`, it has a {@link readable} and a {@link writable} side. Messages written together leave as one
 * chunk; large ones are not copied: they are not to be changed after they were written.
 *
 * Fails with a `FrameError` for a message that the format can't carry, once all before it is read.
 */
export class LengthPrefixEncoderStream<T = Message> {
  /** Where bytes are read. */
  readonly readable: ReadableStream<Uint8Array>;
  /** Where messages are written. */
  readonly writable: WritableStream<T>;

  /**
   * @throws {TypeError} `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
   * @throws {RangeError} `ERR_OUT_OF_RANGE`
   */
  constructor(options: LengthPrefixEncoderStreamOptions<T> = {}) {
    const { format, encode } = checkedEncoding(options);
    const encoding = new Encoding<T>(format, encode, () => pair.goOn());
    const marks = highWaterMarks(options, 0, LARGE);
    const pair = new OrderedPair<T, Uint8Array>(encoding, marks);
    this.readable = pair.readable;
    this.writable = pair.writable;
  }
}

/**
 * @throws {TypeError} `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
 * @throws {RangeError} `ERR_OUT_OF_RANGE`
 */
export function checkedEncoding<T>(options: EncodingOptions<T>) {
  const format = formatOf(options);
  const { encode } = options;
  if (encode !== undefined && typeof encode !== 'function') throw invalidType('encode', 'of type function', encode);
  return { format, encode };
}

class Encoding<T> implements Work<T, Uint8Array> {
  readonly #format: Format;
  readonly #encode: ((value: T) => Message) | undefined;
  readonly #goOn: () => void;
  /** The place in the stream of the next message's frame. */
  #position = 0;
  /** Writes that have not come yet, though they are made: what they bring can be joined with what is here. */
  #coming = 0;
  #ended = false;

  /** What is complete. */
  #pieces: Uint8Array[] = [];
  /** Small ones, joined. */
  #run = nothing;
  #runLength = 0;
  /** The bodies that were taken over and not sent to their end. */
  readonly #bodies = new Map<MessageSource, MessageBody>();
  /** One of them is being sent. */
  #isSending = false;
  /** Is called when nothing is left, for the body to go on. */
  #onEmpty: (() => void) | undefined;

  constructor(format: Format, encode: ((value: T) => Message) | undefined, goOn: () => void) {
    this.#format = format;
    this.#encode = encode;
    this.#goOn = goOn;
  }

  sizeOf(message: T): number {
    this.#coming++;
    if (this.#encode === undefined && isSource(message)) this.#adopt(message as MessageSource);
    const known = typeof message === 'string' || isBytes(message);
    return known ? this.#format.maxHeadLength + message.length : UNKNOWN_SIZE;
  }

  take(value: T): void | Promise<void> {
    this.#coming--;
    const message = this.#encode === undefined ? (value as Message) : this.#encoded(value);
    if (isSource(message)) {
      this.#adopt(message as MessageSource);
      return this.#ended ? undefined : this.#sendBody(message as MessageSource);
    }
    this.#addAll(frameOf(this.#format, message as MessagePart, this.#position));
  }

  /** From when it is written on, a body is let go of when it can't be sent. */
  #adopt(source: MessageSource): void {
    if (!this.#bodies.has(source)) this.#bodies.set(source, adoptBody(source.body as MessageBody));
    if (this.#ended) this.#letGo();
  }

  #letGo(): void {
    const bodies = [...this.#bodies.values()];
    this.#bodies.clear();
    for (const body of bodies) destroyBody(body);
    this.#onEmpty?.();
  }

  #encoded(value: T): Message {
    try {
      return this.#encode!(value);
    } catch (cause) {
      throw notEncoded(cause, this.#position);
    }
  }

  #addAll(parts: Uint8Array[]): void {
    for (const part of parts) {
      this.#position += part.length;
      this.#add(part);
    }
  }

  #add(bytes: Uint8Array): void {
    if (bytes.length >= LARGE) {
      this.#closeRun();
      this.#pieces.push(bytes);
      return;
    }
    const length = this.#runLength + bytes.length;
    if (length > this.#run.length) {
      const grown = new Uint8Array(Math.max(length, 2 * this.#run.length));
      grown.set(this.#run.subarray(0, this.#runLength));
      this.#run = grown;
    }
    this.#run.set(bytes, this.#runLength);
    this.#runLength = length;
  }

  #closeRun(): void {
    if (this.#runLength > 0) this.#pieces.push(this.#run.subarray(0, this.#runLength));
    this.#run = nothing;
    this.#runLength = 0;
  }

  next(): Uint8Array | undefined {
    const isWaiting = this.#coming > 0 && !this.#ended && !this.#isSending;
    if (this.#pieces.length === 0 && !(isWaiting && this.#runLength < LARGE)) this.#closeRun();
    const piece = this.#pieces.shift();
    if (this.#isEmpty) this.#onEmpty?.();
    return piece;
  }

  get #isEmpty(): boolean {
    return this.#pieces.length === 0 && this.#runLength === 0;
  }

  get isSettled(): boolean {
    return this.#ended ? this.#isEmpty : this.#pieces.length === 0 && this.#runLength < LARGE;
  }

  finish(isBroken: boolean): void {
    this.#ended = true;
    if (isBroken) this.#letGo();
  }

  async #sendBody(source: MessageSource): Promise<void> {
    const { length } = checkedSource(source as { length: number; body: MessageBody });
    const position = this.#position;
    const format = this.#format;
    if (!format.keepsOwn) format.frameLength(nothing, length, position);
    this.#isSending = true;
    const body = this.#bodies.get(source)!;
    const keptAtMost = Math.min(format.keptAtMost, length);
    /** The first bytes, until the head can be written. */
    let start: Uint8Array | undefined = nothing;
    let left = length;
    for await (const part of typeof body === 'string' || isBytes(body) ? [body] : body) {
      // What was let go of is not asked for more.
      if (!this.#bodies.has(source)) return;
      const data = bytesOf(part, 'message.body');
      if (data.length > left) throw bodyTooLong(length, position);
      left -= data.length;
      if (data.length === 0) continue;
      if (start === undefined) {
        await this.#taken([data]);
      } else {
        const missing = keptAtMost - start.length;
        start = concat([start, data.subarray(0, missing)]);
        if (data.length < missing) continue;
        const head = format.writeHead(start, length, position);
        await this.#taken([head.bytes, start.subarray(head.kept), data.subarray(missing)]);
        start = undefined;
      }
      if (!this.#bodies.has(source)) return;
    }
    if (left > 0) throw bodyTruncated(length, left, position);
    if (!this.#bodies.has(source)) return;
    if (start !== undefined) await this.#taken([format.writeHead(start, length, position).bytes]);
    this.#isSending = false;
    this.#bodies.delete(source);
  }

  /** Who made a part may use it again when it is asked for the next one. */
  async #taken(parts: Uint8Array[]): Promise<void> {
    this.#addAll(parts);
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
      this.#goOn();
    });
    this.#onEmpty = undefined;
  }

  destroy(_reason: unknown): void {
    this.finish(true);
    this.#pieces = [];
    this.#run = nothing;
    this.#runLength = 0;
  }
}
