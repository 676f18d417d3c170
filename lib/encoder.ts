import { Buffer } from 'node:buffer';
import type { FrameError } from './errors.js';
import { type Format, type FormatOptions, formatOf } from './format.js';
import { type Callback, OrderedTransform, type StreamOptions } from './ordered-transform.js';

export interface LengthPrefixEncoderOptions extends FormatOptions, StreamOptions {
  /** The encoding of strings written without one. Default: `'utf8'`. */
  defaultEncoding?: BufferEncoding | undefined;
}

/**
 * A message from this many bytes on is passed along uncopied, where it fills the buffer of each stream that this one is
 * piped to: then their backpressure tells when they are done with it. It fills that of any socket by default.
 */
const LARGE = 65_536;

/** Up to this many bytes, a loop copies faster than a call of `set`. */
const BY_HAND = 32;

const NO_PIECES: readonly Uint8Array[] = [];

/**
 * Messages in, prefixed bytes out: a Transform that takes one message with each `write()`, as a `Buffer`, a `Uint8Array`
 * or a string, the empty message included.
 *
 * ```ts
 * const encoder = new LengthPrefixEncoder();
 * encoder.pipe(socket);
 * encoder.write('hello');
 * ```
 *
 * Messages written in one tick leave as one chunk when it ends; those of 64 KiB and more are not copied, and leave as a
 * chunk of their own behind their prefix. As with `socket.write()`, leave a message's bytes alone until its write has
 * called back: that is when the reader has taken them and wants more.
 *
 * A message that the format can't carry fails its own write with a {@link FrameError} (`ERR_FRAME_TOO_LONG`, or
 * `ERR_FRAME_CORRUPT` for one that has no room for a length field it is to keep), and then, when all that was written
 * before it has been read, the stream. Not one byte of it is sent.
 */
export class LengthPrefixEncoder extends OrderedTransform {
  readonly #format: Format;
  #defaultEncoding: BufferEncoding;
  /** The place in the stream of the next message's frame. */
  #position = 0;
  #corked = false;
  #endingTick = false;
  /** The message that can't be sent, and its write's callback. */
  #refusal: FrameError | undefined;
  #refused: Callback | undefined;
  /** What the writes in hand become, in order. */
  #pieces: readonly Uint8Array[] = NO_PIECES;
  #sent = 0;
  /** The length from which on messages are not copied. */
  #large = LARGE;
  /** A large message was handed out as it is, and the reader may still be at it. */
  #lent = false;

  /**
   * @throws {TypeError} `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
   * @throws {RangeError} `ERR_OUT_OF_RANGE`
   */
  constructor(options: LengthPrefixEncoderOptions = {}) {
    const format = formatOf(options);
    const { defaultEncoding = 'utf8' } = options;
    super(options, { readableObjectMode: false });
    this.#format = format;
    this.#defaultEncoding = defaultEncoding;
    this.setDefaultEncoding(defaultEncoding);
  }

  override setDefaultEncoding(encoding: string): this {
    super.setDefaultEncoding(encoding);
    this.#defaultEncoding = encoding as BufferEncoding;
    return this;
  }

  override write(message: Uint8Array | string, callback?: Callback): boolean;
  override write(message: Uint8Array | string, encoding?: string | undefined, callback?: Callback): boolean;
  override write(message: Uint8Array | string, second?: string | Callback, third?: Callback): boolean {
    const callback = typeof second === 'function' ? second : third;
    const encoding = typeof second === 'string' ? (second as BufferEncoding) : this.#defaultEncoding;
    const data = typeof message === 'string' ? Buffer.from(message, encoding) : message;

    if (this.#refusal !== undefined) {
      if (callback !== undefined) process.nextTick(callback, this.#refusal);
      return false;
    }
    // What is no message, or comes too late, is Writable's to refuse.
    if (data instanceof Uint8Array) {
      try {
        this.#position += this.#format.frameLength(data, this.#position);
      } catch (error) {
        if (this.writable) return this.#refuse(error as FrameError, callback);
      }
    }
    if (!this.#corked) {
      this.#corked = true;
      this.cork();
      process.nextTick(LengthPrefixEncoder.#endOfTick, this);
    }
    return super.write(data, undefined, callback);
  }

  static #endOfTick(encoder: LengthPrefixEncoder): void {
    encoder.#corked = false;
    encoder.#endingTick = true;
    encoder.uncork();
    encoder.#endingTick = false;
    encoder.pump();
  }

  /** Ends the stream in front of the message; `finish` then fails it. */
  #refuse(error: FrameError, callback: Callback | undefined): false {
    this.#refusal = error;
    this.#refused = callback;
    super.end();
    return false;
  }

  override end(callback?: () => void): this;
  override end(message: Uint8Array | string, callback?: () => void): this;
  override end(message: Uint8Array | string, encoding?: string | undefined, callback?: () => void): this;
  override end(...args: unknown[]): this {
    const callback = args.find((arg) => typeof arg === 'function') as (() => void) | undefined;
    const [message, encoding] = args;
    if (message !== undefined && message !== null && message !== callback) {
      this.write(message as string, typeof encoding === 'string' ? encoding : undefined);
    }
    return super.end(callback);
  }

  override _write(message: Buffer, _encoding: string, callback: Callback): void {
    this._writev([{ chunk: message }], callback);
  }

  override _writev(messages: { chunk: Buffer }[], callback: Callback): void {
    this.#pieces = this.#piecesOf(messages);
    this.#sent = 0;
    this.hold(callback);
    // Not now: what a listener writes while Writable is in here is lost.
    if (!this.#endingTick) process.nextTick(() => this.pump());
  }

  /** Runs of small frames joined in one piece each, and large messages as they are. */
  #piecesOf(messages: { chunk: Buffer }[]): Uint8Array[] {
    const format = this.#format;
    // Where all heads have one length, they are written in place: no object for each message.
    const heads = format.headLength === 0 ? messages.map(({ chunk }) => format.writeHead(chunk)) : undefined;
    const pieces: Uint8Array[] = [];
    for (let start = 0, end = 0; start < messages.length; start = end) {
      let length = 0;
      let large: Buffer | undefined;
      while (end < messages.length && large === undefined) {
        const { chunk } = messages[end]!;
        const headLength = heads === undefined ? format.headLength : heads[end]!.length;
        const kept = format.keptIn(headLength);
        if (chunk.length - kept >= this.#large) large = kept > 0 ? chunk.subarray(kept) : chunk;
        length += headLength + (large === undefined ? chunk.length - kept : 0);
        end++;
      }

      const run = Buffer.allocUnsafe(length);
      let at = 0;
      for (let i = start; i < end; i++) {
        const { chunk } = messages[i]!;
        const head = heads?.[i];
        if (head === undefined) format.writeHeadInto(run, at, chunk.length);
        else run.set(head, at);
        at += head?.length ?? format.headLength;
        if (large === undefined || i < end - 1) at = copyFrom(chunk, format.keptIn(head?.length ?? 0), run, at);
      }
      pieces.push(run);
      if (large !== undefined) pieces.push(large);
    }
    return pieces;
  }

  protected override nextPiece(): Uint8Array | undefined {
    const piece = this.#pieces[this.#sent++];
    if (piece === undefined) this.#pieces = NO_PIECES;
    else if (piece.length >= LARGE) this.#lent = true; // Or a run of small ones: that one need not wait, but may.
    return piece;
  }

  /** A reader that has paused in the flow, as `pipe` does for a full socket, may still be at the bytes it was lent. */
  protected override isSettled(): boolean {
    const paused = this.readableFlowing === false && this.listenerCount('readable') === 0;
    if (this.#lent && (this.readableLength > 0 || paused)) return false;
    this.#lent = false;
    return true;
  }

  /** The reader asks for more, and so has done with what it was lent. */
  #takeBack(): void {
    if (!this.#lent || this.readableLength > 0) return;
    this.#lent = false;
    this.wantMore();
  }

  override read(size?: number): any {
    // `read(0)` only looks ahead.
    if (size !== 0) this.#takeBack();
    const piece = super.read(size);
    if (this.#lent && this.isSettled()) this.wantMore();
    return piece;
  }

  override pipe<S extends NodeJS.WritableStream>(destination: S, options?: { end?: boolean | undefined }): S {
    const { writableHighWaterMark = 0 } = destination as { writableHighWaterMark?: number };
    this.#large = Math.max(this.#large, writableHighWaterMark);
    return super.pipe(destination, options);
  }

  override on(event: string | symbol, listener: (...args: any[]) => void): this {
    super.on(event, listener);
    if (event === 'readable') process.nextTick(() => this.#takeBack());
    return this;
  }

  override addListener(event: string | symbol, listener: (...args: any[]) => void): this {
    return this.on(event, listener);
  }

  override _flush(callback: Callback): void {
    super._flush((error) => {
      this.#failRefused();
      callback(error);
    });
  }

  protected override finishInput(): void {
    if (this.#refusal !== undefined) throw this.#refusal;
  }

  #failRefused(): void {
    if (this.#refused === undefined) return;
    // Behind the callbacks of the writes before it.
    process.nextTick(this.#refused, this.#refusal);
    this.#refused = undefined;
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#failRefused();
    this.#pieces = NO_PIECES;
    super._destroy(error, callback);
  }
}

/** Copies `bytes`, from `from` on, to `target[at]`. Returns where they end. */
function copyFrom(bytes: Uint8Array, from: number, target: Uint8Array, at: number): number {
  const end = at + bytes.length - from;
  if (end - at > BY_HAND) target.set(from === 0 ? bytes : bytes.subarray(from), at);
  else for (let i = at; i < end; i++) target[i] = bytes[from + i - at]!;
  return end;
}
