import type { Message } from '../wire/message.js';
import { type EncodingOptions, LARGE, MessageWriter, writerSettings } from './message-writer.js';
import type { Callback, StreamOptions } from './ordered-transform.js';

/** How messages are framed and what they are made of, and Node's options of streams. */
export interface LengthPrefixEncoderOptions<T = any> extends EncodingOptions<T>, StreamOptions {}

interface Corkable {
  cork(): void;
  uncork(): void;
}

const NOWHERE: readonly Corkable[] = [];

/**
 * Messages in, prefixed bytes out: a Transform that takes one {@link Message} with each `write()`: a `Buffer`, a
 * `Uint8Array` or a string, an array of them that make one message, or a length and a body, the empty message included.
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
export class LengthPrefixEncoder<T = Message> extends MessageWriter {
  /** What is in hand. */
  #chunks: Buffer[] = [];
  /** A large message was handed out as it is, and the reader may still be at it. */
  #lent = false;
  /** Where this is piped to. Replaced, never changed: `pump` has to uncork what it corked. */
  #destinations: readonly Corkable[] = NOWHERE;

  /**
   * An encoder of messages that are written or piped to it.
   *
   * @throws {TypeError} `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
   * @throws {RangeError} `ERR_OUT_OF_RANGE`
   */
  constructor(options: LengthPrefixEncoderOptions<T> = {}) {
    super(writerSettings(options), options, false, 65_536);
  }

  protected override send(chunks: Buffer[], callback: Callback): void {
    this.#chunks = chunks;
    this.work(callback);
  }

  protected override failBody(error: Error, callback: Callback): void {
    this.fail(error, callback);
  }

  protected override nextPiece(): Uint8Array | undefined {
    const piece = this.#chunks[0];
    if (piece === undefined) return undefined;
    this.#chunks = this.#chunks.slice(1);
    // Or a long run: that one need not be given back, but may.
    this.#lent = piece.length >= LARGE;
    return piece;
  }

  /** The reader has paused in the flow, as `pipe` does for a full socket. */
  get #paused(): boolean {
    return this.readableFlowing === false && this.listenerCount('readable') === 0;
  }

  /** A reader that has paused may still be at the bytes it was lent. */
  protected override isSettled(): boolean {
    return !this.#lent || (this.readableLength === 0 && !this.#paused);
  }

  /** Also false to a reader that has paused: what comes next is for it to ask for. */
  override push(piece: unknown): boolean {
    return super.push(piece) && !this.#paused;
  }

  /** Nothing is read ahead for a reader that has paused: it gets what comes next in one piece. */
  override _read(): void {
    if (!this.#paused) this.wantMore();
  }

  /** Frames that are ready, as a Buffer, or null when there are none. */
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

  /** The events of Node's Transform. */
  override on(event: string | symbol, listener: (...args: any[]) => void): this {
    super.on(event, listener);
    if (event === 'readable') process.nextTick(() => this.#goOn());
    return this;
  }

  /** The same as `on`. */
  override addListener(event: string | symbol, listener: (...args: any[]) => void): this {
    return this.on(event, listener);
  }

  /** Passes the frames on to a destination, those of one tick in as few system calls as it allows. */
  override pipe<S extends NodeJS.WritableStream>(destination: S, options?: { end?: boolean | undefined }): S {
    const { writableHighWaterMark = 0, cork } = destination as { writableHighWaterMark?: number; cork?: unknown };
    this.large = Math.max(this.large, writableHighWaterMark);
    if (typeof cork === 'function') this.#destinations = [...this.#destinations, destination as unknown as Corkable];
    return super.pipe(destination, options);
  }

  /** Ends what `pipe` began, for one destination or for all. */
  override unpipe(destination?: any): this {
    this.#destinations = this.#destinations.filter((one) => destination !== undefined && one !== destination);
    return super.unpipe(destination);
  }

  protected override pump(once?: boolean): boolean {
    return this.#together(() => super.pump(once));
  }

  /** What is handed out in `run`, a head and its message say, reaches a socket in one system call. */
  #together<T>(run: () => T): T {
    if (this.#chunks.length < 2) return run();
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
      this.failRefused();
      callback(error);
    });
  }

  protected override finishInput(): void {
    if (this.refusal !== undefined) throw this.refusal;
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#chunks = [];
    this.#destinations = NOWHERE;
    super._destroy(error, callback);
  }
}

/** What `write` takes. */
export interface LengthPrefixEncoder<T> {
  /**
   * Writes a message. Returns false when `'drain'` should be waited for before the next one.
   *
   * @param callback is called when the message's bytes are done with, or with the error that it met.
   */
  write(message: T, callback?: (error?: Error | null) => void): boolean;
  /** Writes a message whose strings are in this encoding. */
  write(message: T, encoding?: string | undefined, callback?: (error?: Error | null) => void): boolean;
  /** Says that no more messages come. */
  end(callback?: () => void): this;
  /** Writes a last message. */
  end(message: T, callback?: () => void): this;
  /** Writes a last message whose strings are in this encoding. */
  end(message: T, encoding?: string | undefined, callback?: () => void): this;
}
