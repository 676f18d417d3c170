import type { Buffer } from 'node:buffer';
import type { Callback } from './declarations.js';

/** A stream of bytes, as far as its end is concerned. */
export interface BytesStream {
  readonly destroyed?: boolean;
  readonly connecting?: boolean;
  readonly readableEnded?: boolean;
  readonly writableEnded?: boolean;
  readonly writableFinished?: boolean;
  readonly writableLength?: number;
  once(event: 'finish', listener: () => void): unknown;
  destroy?(error?: Error): unknown;
  resetAndDestroy?(): unknown;
}

/** The stream is given back. */
export class Detaching {
  /** Bytes that could not be put in front of it again: it had ended when it became clear that they are no message. */
  rest: Buffer | undefined;
  /** Chunks that came all the same: somebody else made the stream flow. */
  readonly late: Buffer[] = [];
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
  readonly #readable: BytesStream;
  readonly #writable: BytesStream;
  #isReading = true;
  #onRead: (() => void) | undefined;
  #done: Callback | undefined;
  readonly #hasWritten: () => boolean;

  constructor(readable: BytesStream, writable: BytesStream, hasWritten: () => boolean) {
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
    const { writableEnded, writableFinished } = this.#writable;
    // Not before its end is sent: `close()` would fail with that.
    if (writableFinished) reset(this.#readable);
    else if (writableEnded) this.#writable.once('finish', () => reset(this.#readable));
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

/** A failure that is not the stream's own has to reach the peer as one: a FIN would say that all went well. */
export function reset(stream: BytesStream, error?: Error): void {
  if (typeof stream.resetAndDestroy !== 'function' || stream.connecting) {
    stream.destroy?.(error);
  } else if (stream.writableEnded && !stream.writableFinished && stream.writableLength === 0) {
    // A socket that is reset while it is shut down is never closed. That takes no longer than the current turn.
    stream.once('finish', () => reset(stream, error));
  } else {
    try {
      stream.resetAndDestroy();
    } catch {
      // A socket that is not TCP, such as a pipe or TLS.
      stream.destroy?.(error);
    }
  }
}
