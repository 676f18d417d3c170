import type { Callback } from './declarations.js';
import { Readable } from './streams.js';

/** The bytes behind the last message of a decoder: what is still written to the decoder is read here. */
export class Raw extends Readable {
  #done: Callback | undefined;
  /** Until somebody has it, the decoder alone shows the error. */
  readonly #ignore = (): void => {};
  readonly #onDestroy: (error: Error | null) => void;

  /** `onDestroy` is told when nobody reads any more. */
  constructor(onDestroy: (error: Error | null) => void) {
    super();
    this.#onDestroy = onDestroy;
    this.on('error', this.#ignore);
  }

  /** Of a decoder that has ended. */
  static nothing(): Raw {
    const raw = new Raw(() => {});
    raw.finish();
    return raw;
  }

  /** Somebody has it: errors are for them, too. */
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
