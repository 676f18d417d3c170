import { Buffer } from 'node:buffer';
import { type BodyJob, sendBody } from '../wire/body.js';
import { LARGE } from '../wire/builder.js';
import { streamDestroyed } from '../wire/errors.js';
import { Flow, type Outlet, type Work } from '../wire/flow.js';
import { lengthOf } from '../wire/memory.js';
import type { Message } from '../wire/message.js';
import { buffers } from './buffers.js';
import type { Callback } from './declarations.js';
import { abortBy, asError, BaseTransform, destroyWritable, duplexOptions, type StreamOptions } from './streams.js';
import { countWaiting, type EncodingOptions, soon, Writing, writingSettings } from './writing.js';

/** The wire format, how messages are made, and Node's options of streams. */
export interface LengthPrefixEncoderOptions<T = any> extends EncodingOptions<T>, StreamOptions {}

/**
 * Messages in, prefixed bytes out: a Transform that takes one {@link Message} with each `write()`. A message is a `Buffer`, a
 * `Uint8Array` or a string; an array of these, which are its parts; or a length and a body. A message may be empty.
 *
 * ```ts
 * const encoder = new LengthPrefixEncoder();
 * pipeline(encoder, socket).catch((error) => console.error(error)); // It ends this connection alone.
 * encoder.write('hello');
 * ```
 *
 * Messages written in one tick leave as one chunk when it ends. Parts of 64 KiB and more are not copied. A message
 * belongs to the stream from `write()` on, as with any Transform: its bytes must not be changed any more.
 *
 * A message that the format can't carry fails its own write with a {@link FrameError}, and then the stream, when everything
 * that was written before it has been read. Not one byte of it is sent. It is `ERR_FRAME_TOO_LONG` for a message that is
 * too long, and `ERR_FRAME_CORRUPT` for a message that is too short to keep its length field.
 */
export class LengthPrefixEncoder<T = Message> extends BaseTransform<Buffer, T> {
  readonly #writing: Writing;
  readonly #flow: Flow<unknown, Buffer, Buffer>;

  static {
    // biome-ignore lint/complexity/noThisInStatic: TypeScript 7 has no name for the class here
    countWaiting(this.prototype, (encoder) => encoder.#writing.length);
  }

  /**
   * An encoder of messages that are written or piped to it.
   *
   * @throws {TypeError} `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
   * @throws {RangeError} `ERR_OUT_OF_RANGE`
   */
  constructor(options: LengthPrefixEncoderOptions<T> = {}) {
    const settings = writingSettings(options);
    super(duplexOptions(options, false, 65_536, 65_536));
    this.#writing = new Writing(this, settings);
    this.#flow = new Flow(this, byteOutlet, new Passing());
    abortBy(options.signal, this);
  }

  /** The number of bytes in the frames of all messages that were taken. A body counts from its write on. */
  get bytesWritten(): number {
    return this.#writing.bytesWritten;
  }

  /** The number of messages that were taken. */
  get messagesWritten(): number {
    return this.#writing.messagesWritten;
  }

  // Writable's own `write` takes no messages in parts, and passes on each alone.
  override write(message: never): boolean;
  override write(message: T, callback?: (error?: Error | null) => void): boolean;
  override write(message: T, encoding?: string | undefined, callback?: (error?: Error | null) => void): boolean;
  override write(message: any, encoding?: any, callback?: any): boolean {
    return this.#writing.write(message, encoding, callback);
  }

  // It writes a last message, and gives Writable the bytes that wait for the tick to end.
  override end(message: never): this;
  override end(callback?: () => void): this;
  override end(message: T, callback?: () => void): this;
  override end(message: T, encoding?: string | undefined, callback?: () => void): this;
  override end(message?: any, encoding?: any, callback?: any): this {
    this.#writing.end(message, encoding, callback);
    return this;
  }

  // `write` makes bytes of strings, and can't read the setting of Writable.
  override setDefaultEncoding(encoding: string): this {
    super.setDefaultEncoding(encoding as BufferEncoding);
    this.#writing.setDefaultEncoding(encoding);
    return this;
  }

  override _write(_chunk: Buffer, _encoding: string, callback: Callback): void {
    const { bytes, job, fault } = this.#writing.begin(callback);
    // Writable goes on with its buffer behind a write that failed inside `_write`.
    if (this.errored) {
      job?.parts.destroy(this.errored);
      process.nextTick(() => this.#writing.done(this.errored));
    } else if (bytes !== undefined) this.#flow.take(bytes, (error) => this.#writing.done(error));
    else if (job !== undefined) void this.#sendBody(job);
    else this.#fail(fault);
  }

  async #sendBody(job: BodyJob): Promise<void> {
    try {
      this.#writing.moved(job, await sendBody(job, buffers, (pieces) => this.#send(pieces), soon));
    } catch (error) {
      job.parts.destroy(error);
      // Not inside a promise: it would take an exception of a listener.
      process.nextTick(() => this.#fail(error));
      return;
    }
    process.nextTick(() => this.#writing.done());
  }

  /** Fails behind the bytes that were sent: `read(size)` can give all of them. No 'end' comes: the error comes first. */
  #fail(fault: unknown): void {
    const isUnread = this.readableLength > 0;
    if (isUnread) this.push(null);
    this.#flow.fail(fault, (error) => {
      if (isUnread) this.#writing.done(error);
      // Not inside `_write`: Node would emit the 'drain' of the write before.
      else process.nextTick(() => this.#writing.done(error));
    });
  }

  async #send(pieces: Buffer[]): Promise<void> {
    const isSmall = pieces.length > 1 && lengthOf(pieces) < LARGE;
    for (const piece of isSmall ? [Buffer.concat(pieces)] : pieces) {
      await new Promise<void>((resolve, reject) => {
        process.nextTick(() => {
          if (this.destroyed) reject(streamDestroyed());
          else this.#flow.take(piece, (error) => (error ? reject(error) : resolve()));
        });
      });
    }
  }

  override _read(): void {
    this.#flow.want();
  }

  // Only here can it be seen that the reader took the last piece: a fault may wait for that.
  override read(size?: number): Buffer | null;
  /** @hidden */
  override read(size?: number): any;
  override read(size?: number): any {
    const piece = super.read(size);
    this.#flow.wasRead();
    return piece;
  }

  // A Duplex's own `destroy` forgets callbacks: see `destroyWritable`.
  override destroy(error?: Error, callback?: (error?: Error | null) => void): this {
    if (!this.destroyed) this.#writing.destroy(error);
    destroyWritable(this, error, callback);
    return this;
  }

  override _destroy(error: Error | null, callback: Callback): void {
    this.#flow.destroy(error);
    super._destroy(error, callback);
  }
}

const byteOutlet: Outlet<LengthPrefixEncoder<any>, Buffer> = {
  isEager: false,
  push: (stream, piece) => stream.push(piece),
  isRead: (stream) => stream.readableLength === 0,
  // Not inside `_write`: the builder may have more by the time that Node emits 'drain'. Nor inside `_read`.
  release: (_, done) => process.nextTick(done),
  fail: (_, done, fault) => done(asError(fault)),
};

/** Bytes in, the same bytes out. */
class Passing implements Work<Buffer, Buffer> {
  #piece: Buffer | undefined;

  push(piece: Buffer): void {
    this.#piece = piece;
  }

  next(): Buffer | undefined {
    const piece = this.#piece;
    this.#piece = undefined;
    return piece;
  }

  get isSettled(): boolean {
    return this.#piece === undefined;
  }

  get isRead(): boolean {
    return true;
  }

  finish(): void {}

  destroy(): void {
    this.#piece = undefined;
  }
}
