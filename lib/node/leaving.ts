import type { Buffer } from 'node:buffer';
import { nodeError } from '../wire/errors.js';
import type { Callback } from './declarations.js';

/** The properties of a stream of bytes that matter at its end. */
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
  /** Bytes that no message was made of, of a stream that had ended before: they could not be put in front of it again. */
  rest: Buffer | undefined;
  /** Chunks that came all the same, because the user made the stream flow. */
  readonly late: Buffer[] = [];
  /** They settle the promise of `detach()`, once that was called. */
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
 * So a peer whose frame was not taken sees no end. It happens only where the reset can't take away bytes that were sent to
 * the peer before.
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

  /** The frames that have begun are read: `rest` came behind them. */
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
    // Not before the end is sent: otherwise `close()` would fail.
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

/** Destroys a stream whose failure is not its own. The peer must see a failure, too: a FIN would say that all went well. */
export function reset(stream: BytesStream, error?: Error): void {
  if (typeof stream.resetAndDestroy !== 'function' || stream.connecting) {
    stream.destroy?.(error);
  } else if (stream.writableEnded && !stream.writableFinished && stream.writableLength === 0) {
    // A socket that is reset while it is being shut down never closes. The shutdown takes no longer than the current turn.
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

/** As Node's own `ERR_STREAM_DESTROYED`. */
export function destroyedBefore(): Error {
  const what = 'The stream was destroyed before detach() was called; leaving a for await loop destroys it';
  return nodeError(new Error(what), 'ERR_STREAM_DESTROYED');
}
