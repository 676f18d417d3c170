import type { Buffer } from 'node:buffer';
import type { Callback } from './declarations.js';

/** Of a stream of bytes, as far as it matters when framing ends before it does. */
interface Bytes {
  readonly destroyed?: boolean;
  readonly readableEnded?: boolean;
  readonly writableEnded?: boolean;
  readonly writableFinished?: boolean;
  once(event: 'finish', listener: () => void): unknown;
  destroy?(): unknown;
  resetAndDestroy?(): unknown;
}

/** The stream is given back. */
export class Detaching {
  /** Bytes that could not be put in front of it again: it had ended when it became clear that they are no message. */
  rest: Buffer | undefined;
  /** Settle the promise of `detach()`, once that was called. */
  resolve: (() => void) | undefined;
  reject: ((error: Error) => void) | undefined;
  promise: Promise<any> | undefined;
}

/**
 * The stream is closed when both sides have ended:
 *
 *     frames that have begun are read --> all that was written is sent --> the stream is ended --> the peer ends --> done
 *              \-- a frame came too late, and nothing was written: reset
 *
 * So a peer whose frame was not taken sees no end, where a reset can take nothing from it that was sent before.
 */
export class Closing {
  /** A frame came too late. */
  refuses = false;
  readonly #readable: Bytes;
  readonly #writable: Bytes;
  #isReading = true;
  #onRead: (() => void) | undefined;
  #done: Callback | undefined;
  readonly #hasWritten: () => boolean;

  constructor(readable: Bytes, writable: Bytes, hasWritten: () => boolean) {
    this.#readable = readable;
    this.#writable = writable;
    this.#hasWritten = hasWritten;
  }

  /** Calls `run` when the frames that have begun are read. */
  whenRead(run: () => void): void {
    if (this.#isReading) this.#onRead = run;
    else run();
  }

  /** They are read: `rest` came behind them. */
  readIsOver(rest: Buffer): void {
    this.#isReading = false;
    this.take(rest);
    this.#onRead?.();
  }

  /** Bytes came that are not framed any more. */
  take(bytes: Buffer): void {
    if (bytes.length === 0 || this.refuses || this.#hasWritten()) return;
    this.refuses = true;
    if (this.#writable.writableFinished) this.refuse();
    else if (this.#writable.writableEnded) this.#writable.once('finish', () => this.refuse());
  }

  refuse(): void {
    const stream = this.#readable;
    try {
      if (stream.resetAndDestroy === undefined) stream.destroy?.();
      else stream.resetAndDestroy();
    } catch {
      // A socket that is not TCP, such as a pipe or TLS.
      stream.destroy?.();
    }
  }

  /** All was sent. `done` is called when the peer has ended, too. */
  finish(done: Callback): void {
    if (this.#readable.readableEnded || this.#readable.destroyed) done();
    else this.#done = done;
  }

  /** The stream has ended, or is closed. */
  peerIsDone(): void {
    const done = this.#done;
    this.#done = undefined;
    done?.();
  }
}
