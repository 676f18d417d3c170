import type { Callback } from './declarations.js';
import { Readable } from './streams.js';

/** The bytes behind the last message of a decoder. All that is still written to the decoder can be read here. */
export class Raw extends Readable {
  #done: Callback | undefined;
  /** Until `detach()` has returned this stream, only the decoder shows an error. */
  readonly #ignore = (): void => {};
  readonly #onDestroy: (error: Error | null) => void;

  /** `onDestroy` is called when the stream is destroyed before its end. */
  constructor(onDestroy: (error: Error | null) => void) {
    super();
    this.#onDestroy = onDestroy;
    this.on('error', this.#ignore);
  }

  /** For a decoder that has ended: no bytes. */
  static nothing(): Raw {
    const raw = new Raw(() => {});
    raw.finish();
    return raw;
  }

  /** `detach()` returns it: from now on, it shows errors, too. */
  claim(): this {
    this.off('error', this.#ignore);
    return this;
  }

  /** Hands out bytes. `done` is called when more are wanted. */
  add(bytes: Uint8Array, done: Callback): void {
    if (this.destroyed || this.push(bytes)) done();
    else this.#done = done;
  }

  /** No more bytes come. */
  finish(): void {
    this.push(null);
  }

  override _read(): void {
    const done = this.#done;
    this.#done = undefined;
    done?.();
  }

  override _destroy(error: Error | null, callback: Callback): void {
    this._read();
    if (!this.readableEnded) this.#onDestroy(error);
    callback(error);
  }
}
