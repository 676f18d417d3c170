import { Buffer } from 'node:buffer';
import { Duplex } from 'readable-stream';
import { type FrameError, streamDestroyed } from './errors.js';
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
const BY_HAND = 8;

const empty = Buffer.alloc(0);

interface Corkable {
  cork(): void;
  uncork(): void;
}

const NOWHERE: readonly Corkable[] = [];

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

  // The frames of this tick, joined as they are written, and the callbacks of their writes.
  #run: Buffer = empty;
  #runLength = 0;
  /** The bytes that Writable had room for when the run began. */
  #room = 0;
  #runCallbacks: Callback[] = [];
  #tickEnds = false;
  #drainDue = false;
  /** The length of the run before: as much as the next one is given at once. */
  #usualLength = 0;

  /** The length from which on messages are not copied. */
  #large = LARGE;
  /** What is in hand: a run, or a large message. */
  #chunk: Buffer | undefined;
  /** A large message was handed out as it is, and the reader may still be at it. */
  #lent = false;
  /** Where this is piped to. Replaced, never changed: `pump` has to uncork what it corked. */
  #destinations: readonly Corkable[] = NOWHERE;
  /** There was a large message. Without one, nothing that is handed out belongs together. */
  #hadLarge = false;

  /** The message that can't be sent, and its write's callback. */
  #refusal: FrameError | undefined;
  #refused: Callback | undefined;

  static {
    // Writable's accessor, and what is not yet with it. No member: @types/readable-stream has a property.
    const { get } = Object.getOwnPropertyDescriptor(Duplex.prototype, 'writableLength')!;
    Object.defineProperty(LengthPrefixEncoder.prototype, 'writableLength', {
      configurable: true,
      get(this: LengthPrefixEncoder): number {
        return get!.call(this) + this.#runLength;
      },
    });
  }

  /**
   * @throws {TypeError} `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
   * @throws {RangeError} `ERR_OUT_OF_RANGE`
   */
  constructor(options: LengthPrefixEncoderOptions = {}) {
    const format = formatOf(options);
    const { defaultEncoding = 'utf8' } = options;
    super(options, false, 65_536, 65_536);
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
    if (!(data instanceof Uint8Array)) return super.write(data, undefined, callback);
    if (this.#runLength === 0) {
      if (!this.writable) return super.write(data, undefined, callback);
      this.#room = this.writableHighWaterMark - this.writableLength;
    }
    let frameLength: number;
    try {
      frameLength = this.#format.frameLength(data, this.#position);
    } catch (error) {
      return this.#refuse(error as FrameError, callback);
    }
    this.#position += frameLength;
    if (data.length >= this.#large) return this.#writeLarge(data, callback);

    this.#addFrame(data, frameLength);
    if (callback !== undefined) this.#runCallbacks.push(callback);
    if (!this.#tickEnds) {
      this.#tickEnds = true;
      process.nextTick(LengthPrefixEncoder.#endTick, this);
    }
    if (this.#runLength < this.#room) return true;
    // Writable has to know that a 'drain' is due.
    this.#drainDue = true;
    if (!this.writableNeedDrain && this.writableCorked === 0) this.#flushRun();
    return false;
  }

  /** Room for this many bytes more at the end of the run. Returns where they begin. */
  #extendRun(length: number): number {
    const at = this.#runLength;
    const end = at + length;
    if (end > this.#run.length) {
      const grown = Buffer.allocUnsafe(Math.max(end, 2 * this.#run.length, this.#usualLength));
      this.#run.copy(grown, 0, 0, at);
      this.#run = grown;
    }
    this.#runLength = end;
    return at;
  }

  #addFrame(message: Uint8Array, frameLength: number): void {
    const at = this.#extendRun(frameLength);
    const format = this.#format;
    if (format.headLength > 0) {
      // No object for each message.
      format.writeHeadInto(this.#run, at, message.length);
      copy(message, 0, this.#run, at + format.headLength);
    } else {
      const head = format.writeHead(message);
      this.#run.set(head, at);
      copy(message, format.keptIn(head.length), this.#run, at + head.length);
    }
  }

  /** Gives the run to Writable. */
  #flushRun(): void {
    if (this.#runLength === 0) return;
    const run = this.#run.length === this.#runLength ? this.#run : this.#run.subarray(0, this.#runLength);
    const callbacks = this.#runCallbacks;
    this.#usualLength = Math.min(this.#runLength, 2 * LARGE);
    this.#run = empty;
    this.#runLength = 0;
    this.#runCallbacks = [];
    const callAll = (error?: Error | null) => {
      for (const callback of callbacks) callback(error);
    };
    const full = !super.write(run, undefined, callbacks.length > 0 ? callAll : undefined);
    // What was full when it was told so may no longer be, where the run was corked.
    if (this.#drainDue && !full) process.nextTick(() => this.writable && this.emit('drain'));
    this.#drainDue = false;
  }

  static #endTick(encoder: LengthPrefixEncoder): void {
    encoder.#tickEnds = false;
    if (encoder.writableCorked === 0) encoder.#flushRun();
  }

  #writeLarge(data: Uint8Array, callback: Callback | undefined): boolean {
    this.#hadLarge = true;
    const head = this.#format.writeHead(data);
    const kept = this.#format.keptIn(head.length);
    const at = this.#extendRun(head.length);
    this.#run.set(head, at);
    const message = Buffer.from(data.buffer, data.byteOffset + kept, data.length - kept);
    // Corked, so that nothing a listener writes comes between the run and the message.
    this.cork();
    this.#flushRun();
    super.write(message, undefined, callback);
    this.#together(() => this.uncork());
    return this.writableLength < this.writableHighWaterMark;
  }

  override uncork(): void {
    if (this.writableCorked === 1) this.#flushRun();
    super.uncork();
  }

  /** Ends the stream in front of the message; `finishInput` then fails it. */
  #refuse(error: FrameError, callback: Callback | undefined): false {
    this.#refusal = error;
    this.#refused = callback;
    this.end();
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
    this.#flushRun();
    return super.end(callback);
  }

  override _write(chunk: Buffer, _encoding: string, callback: Callback): void {
    this.#chunk = chunk;
    this.work(callback);
  }

  protected override nextPiece(): Uint8Array | undefined {
    const piece = this.#chunk;
    this.#chunk = undefined;
    // Or a long run: that one need not be given back, but may.
    if (piece !== undefined) this.#lent = piece.length >= LARGE;
    return piece;
  }

  /** The reader has paused in the flow, as `pipe` does for a full socket. */
  get #paused(): boolean {
    return this.readableFlowing === false && this.listenerCount('readable') === 0;
  }

  /** A reader that has paused may still be at the bytes it was lent. */
  protected override isSettled(): boolean {
    if (this.#lent && (this.readableLength > 0 || this.#paused)) return false;
    this.#lent = false;
    return true;
  }

  override push(piece: unknown): boolean {
    return super.push(piece) && !this.#paused;
  }

  /** Nothing is read ahead for a reader that has paused: it gets what comes next in one piece. */
  override _read(): void {
    if (!this.#paused) this.wantMore();
  }

  override read(size?: number): any {
    // `read(0)` only looks ahead. Who asks for more has done with what it was lent.
    if (size !== 0) this.#goOn();
    const piece = super.read(size);
    if (this.#lent && this.isSettled()) this.wantMore();
    return piece;
  }

  #goOn(): void {
    if (this.readableLength > 0) return;
    this.#lent = false;
    this.wantMore();
  }

  override on(event: string | symbol, listener: (...args: any[]) => void): this {
    super.on(event, listener);
    if (event === 'readable') process.nextTick(() => this.#goOn());
    return this;
  }

  override addListener(event: string | symbol, listener: (...args: any[]) => void): this {
    return this.on(event, listener);
  }

  override pipe<S extends NodeJS.WritableStream>(destination: S, options?: { end?: boolean | undefined }): S {
    const { writableHighWaterMark = 0, cork } = destination as { writableHighWaterMark?: number; cork?: unknown };
    this.#large = Math.max(this.#large, writableHighWaterMark);
    if (typeof cork === 'function') this.#destinations = [...this.#destinations, destination as unknown as Corkable];
    return super.pipe(destination, options);
  }

  override unpipe(destination?: any): this {
    this.#destinations = this.#destinations.filter((one) => destination !== undefined && one !== destination);
    return super.unpipe(destination);
  }

  protected override pump(once?: boolean): boolean {
    return this.#together(() => super.pump(once));
  }

  /** What is handed out in `run`, a head and its message say, reaches a socket in one system call. */
  #together<T>(run: () => T): T {
    if (!this.#hadLarge) return run();
    const destinations = this.#destinations;
    for (const destination of destinations) destination.cork();
    try {
      return run();
    } finally {
      for (const destination of destinations) destination.uncork();
    }
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
    for (const written of this.#runCallbacks) process.nextTick(written, error ?? streamDestroyed());
    this.#failRefused();
    this.#run = empty;
    this.#runLength = 0;
    this.#runCallbacks = [];
    this.#chunk = undefined;
    this.#destinations = NOWHERE;
    super._destroy(error, callback);
  }
}

/** Copies `bytes`, from `from` on, to `target[at]`. */
function copy(bytes: Uint8Array, from: number, target: Uint8Array, at: number): void {
  const length = bytes.length - from;
  if (length > BY_HAND) target.set(from === 0 ? bytes : bytes.subarray(from), at);
  else for (let i = 0; i < length; i++) target[at + i] = bytes[from + i]!;
}
