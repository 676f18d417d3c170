import type * as node from 'node:stream';

type Messages = AsyncIterator<unknown, undefined>;

// So that loops have what all async iterators have, such as Symbol.asyncDispose.
const prototype = Object.getPrototypeOf(Object.getPrototypeOf((async function* () {})()));
const AsyncIteratorPrototype = Object.getPrototypeOf(prototype);

/** The loops over the messages of a stream that have not come round to their `done`: their bodies may still write. */
export class Loops {
  readonly #stream: node.Duplex;
  readonly #onDone: () => void;
  #open: Set<Loop> | undefined;

  constructor(stream: node.Duplex, onDone: () => void) {
    this.#stream = stream;
    this.#onDone = onDone;
  }

  get areOpen(): boolean {
    return this.#open !== undefined && this.#open.size > 0;
  }

  /** Begins a loop. */
  open(messages: AsyncIterator<unknown>, destroys: boolean): AsyncIteratorObject<any, any, any> {
    this.#open ??= new Set();
    const loop = new Loop(this.#stream, messages as Messages, destroys, (each) => this.#close(each));
    this.#open.add(loop);
    return loop as unknown as AsyncIteratorObject<any, any, any>;
  }

  /** The stream has ended: a loop that waits for a message comes to its `done` without asking again. */
  watchLast(): void {
    for (const loop of this.#open ?? []) loop.watchLast();
  }

  /** Returns whether it was open. */
  #close(loop: Loop): boolean {
    const wasOpen = this.#open!.delete(loop);
    if (wasOpen) this.#onDone();
    return wasOpen;
  }
}

const ignore = (): void => {};

class Loop {
  readonly #stream: node.Duplex;
  readonly #messages: Messages;
  readonly #destroys: boolean;
  readonly #close: (loop: Loop) => boolean;
  #pending: Promise<IteratorResult<unknown, undefined>> | undefined;

  constructor(stream: node.Duplex, messages: Messages, destroys: boolean, close: (loop: Loop) => boolean) {
    this.#stream = stream;
    this.#messages = messages;
    this.#destroys = destroys;
    this.#close = close;
  }

  next(): Promise<IteratorResult<unknown, undefined>> {
    // Most messages come before the end: for them, nothing is added to the promise.
    this.#pending = this.#messages.next();
    if (this.#stream.readableEnded) this.watchLast();
    return this.#pending;
  }

  watchLast(): void {
    const closeIfDone = ({ done }: IteratorResult<unknown, undefined>) => {
      // As Node's, it leaves a listener behind: an error of a later write is not an unhandled one.
      if (done && this.#close(this) && this.#destroys) this.#stream.on('error', ignore);
    };
    this.#pending?.then(closeIfDone, () => this.#close(this));
  }

  throw(reason: unknown): Promise<IteratorResult<unknown, undefined>> {
    this.#close(this);
    return this.#messages.throw!(reason);
  }

  async return(value?: undefined): Promise<IteratorResult<unknown, undefined>> {
    this.#close(this);
    const result = await this.#messages.return!(value);
    // As Node's: a loop that has not begun leaves the stream alone.
    if (this.#destroys && this.#pending !== undefined) this.#stream.destroy();
    return result;
  }
}

Object.setPrototypeOf(Loop.prototype, AsyncIteratorPrototype);
