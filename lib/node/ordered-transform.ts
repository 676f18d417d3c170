import { addAbortSignal, type Transform as NodeTransform } from 'node:stream';
import { Transform, type TransformOptions, Writable } from 'readable-stream';
import { streamDestroyed } from '../wire/errors.js';

/** What `_write` and `_flush` call when they are done. */
export type Callback = (error?: Error | null) => void;

/** Options of both streams, with Node's meaning. */
export interface StreamOptions {
  /**
   * Where reading ahead stops: in messages (batches, under `batch: true`) for a decoder, in bytes for an encoder.
   * Default: 16 messages, or 65,536 bytes.
   */
  readableHighWaterMark?: number | undefined;
  /**
   * The number of bytes from which on `write()` returns false; an encoder counts them as they are sent. Default: 65,536,
   * for a decoder 131,072, so that a socket need not stop after each chunk of 65,536.
   */
  writableHighWaterMark?: number | undefined;
  /** Both of the above. */
  highWaterMark?: number | undefined;
  /** Destroys the stream with an `AbortError` when it fires. */
  signal?: AbortSignal | undefined;
  /** False: the writable side ends when the readable side does. Default: true. */
  allowHalfOpen?: boolean | undefined;
  /** False: the stream is not destroyed when it has ended or failed. Default: true. */
  autoDestroy?: boolean | undefined;
  /** False: no `'close'` event. Default: true. */
  emitClose?: boolean | undefined;
}

/**
 * A Transform that goes at its reader's pace and keeps order. What was written is held, and its callback with it, until
 * the reader has wanted all that it becomes; an error is held until the reader has taken all that came before it, for
 * `destroy` throws away what is still to be read.
 *
 * It couples `_write` and `_read` by itself: the way Transform does it can hang when one write becomes many messages
 * (nodejs/node issue 49938).
 */
export abstract class OrderedTransform extends Transform {
  #held: Callback | undefined;
  #fault: Error | undefined;
  /** `_read` was called, or `push` asked for more, and nothing was pushed since. */
  #wanted = true;
  #pumping = false;
  /** A write was done inside `_write`: Writable calls it back at the end of the tick, and no later one may come before. */
  #callbackDue = false;

  /** `objects`: whether the readable side is in object mode. The last two are for when the options have none. */
  constructor(
    options: StreamOptions,
    objects: boolean,
    readableDefault: number | undefined,
    writableDefault: number | undefined,
  ) {
    const { highWaterMark, signal, allowHalfOpen, autoDestroy, emitClose } = options;
    const { readableHighWaterMark = readableDefault, writableHighWaterMark = writableDefault } = options;
    const isAborted = signal?.aborted === true;
    super({
      readableObjectMode: objects,
      highWaterMark,
      readableHighWaterMark,
      writableHighWaterMark,
      signal: isAborted ? undefined : signal,
      allowHalfOpen,
      autoDestroy,
      emitClose,
    } as TransformOptions);
    // Not inside the constructor, where there is nothing yet that could be destroyed.
    if (isAborted) process.nextTick(() => addAbortSignal(signal, this as unknown as NodeTransform));
  }

  /** The next piece of what is in hand, undefined when that is used up. What it throws fails the stream. */
  protected abstract nextPiece(): unknown;

  /** Whether a write that is used up can be called back already. */
  protected abstract isSettled(): boolean;

  /** Takes a write in hand and goes on with it. To be called by `_write`. */
  protected work(callback: Callback): void {
    this.#held = callback;
    if (!this.#pumping && this.pump(true)) this.#callbackDue = true;
  }

  static #afterCallback(stream: OrderedTransform): void {
    stream.#callbackDue = false;
    stream.pump();
  }

  /**
   * The reader wants more.
   *
   * @internal
   */
  wantMore(): void {
    this.#wanted = true;
    if (!this.#pumping) this.pump();
  }

  override _read(): void {
    this.wantMore();
  }

  /**
   * Hands out what is in hand while the reader wants it. With `once`, not past the write that is in hand now; returns
   * whether that is done.
   */
  protected pump(once = false): boolean {
    // Listeners run inside `push`, and the next `_write` inside `release`: the loop below goes on for them.
    this.#pumping = true;
    let pushed = false;
    try {
      while (this.#wanted && this.#held !== undefined && this.#fault === undefined) {
        let piece: unknown;
        try {
          piece = this.nextPiece();
        } catch (error) {
          this.#fault = error as Error;
          this.failWhenRead();
          break;
        }
        if (piece !== undefined) {
          if (pushed && this.#flows()) {
            this.emit('data', piece);
          } else {
            this.#wanted = false;
            if (this.push(piece)) this.#wanted = true;
            pushed = once;
          }
        } else if (!this.isSettled()) {
          this.#wanted = false;
        } else if (this.#callbackDue && !once) {
          process.nextTick(OrderedTransform.#afterCallback, this);
          break;
        } else {
          this.#release();
          if (once) return true;
        }
      }
    } finally {
      this.#pumping = false;
    }
    return false;
  }

  /**
   * Whether `push` would emit `'data'` and nothing else, but for what it did for the piece before. It takes longer for it
   * than the listener of a small message does. Not to be asked inside `_read`.
   */
  #flows(): boolean {
    return this.readableFlowing === true && this.readableLength === 0 && this.listenerCount('data') > 0;
  }

  #release(error?: Error): void {
    const callback = this.#held;
    this.#held = undefined;
    callback?.(error);
  }

  /** Whether the reader has taken everything that came before a fault. */
  protected isRead(): boolean {
    return this.readableLength === 0;
  }

  /**
   * Fails what is in hand, and the stream with it, once the reader has taken everything.
   *
   * @internal
   */
  failWhenRead(): void {
    if (this.#fault !== undefined && this.isRead()) this.#release(this.#fault);
  }

  /** What is in hand can't be done: fails it when the reader has taken everything. */
  protected fail(error: Error, callback: Callback): void {
    this.#held = callback;
    this.#fault ??= error;
    this.failWhenRead();
  }

  override read(size?: number): unknown {
    const piece = super.read(size);
    this.failWhenRead();
    return piece;
  }

  /** Called at the end of the input. What it throws fails the stream. */
  protected abstract finishInput(): void;

  override _flush(callback: Callback): void {
    this.#held = callback;
    try {
      this.finishInput();
    } catch (error) {
      this.#fault = error as Error;
      // Not inside `end()`, which would then never call its own callback.
      process.nextTick(() => this.failWhenRead());
      return;
    }
    this.#release();
  }

  /**
   * Destroys the stream, and fails the writes that are still buffered: the `destroy` of a Duplex forgets them, that of a
   * Writable does not.
   */
  override destroy(error?: Error, callback?: (error: Error | null) => void): this {
    return (Writable.prototype.destroy as (...args: unknown[]) => unknown).call(this, error, callback) as this;
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    const held = this.#held;
    if (held !== undefined) {
      this.#held = undefined;
      // Not at once: the write itself may still be on the stack.
      process.nextTick(held, error ?? this.#fault ?? streamDestroyed());
    }
    super._destroy(error, callback);
  }
}
