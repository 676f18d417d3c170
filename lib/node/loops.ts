import type * as node from 'node:stream';

type Result = IteratorResult<unknown, undefined>;

// So that loops have what all async iterators have, such as Symbol.asyncDispose.
const prototype = Object.getPrototypeOf(Object.getPrototypeOf((async function* () {})()));
const AsyncIteratorPrototype = Object.getPrototypeOf(prototype);

/**
 * The messages of a stream. Node's own iterator is a generator, which takes several microtasks for each message. While it
 * stands at its `yield`, this reads the messages that are there already, as the generator would. Everything else is left to
 * the generator: waiting, the end, errors, and the destruction of the stream.
 *
 *     idle --- next(): there is a message ---> read, for a microtask ---> idle
 *      | ^                                      | next(), return(), throw() wait
 *      | \-- it yields --\
 *      \-- all else ---> the generator's turn, which keeps a queue itself
 */
class Messages {
  readonly #stream: node.Readable;
  readonly #own: AsyncIterator<unknown, undefined>;
  /** The number of calls of the generator that have not settled. */
  #pending = 0;
  #isAtYield = false;
  /** There are no more. */
  isDone = false;
  /** A message was read that is not handed out yet. */
  #isReading = false;
  /** The calls that came meanwhile: one is done at a time, as in the generator. */
  #waiting: (() => void)[] = [];
  readonly #onRead = (): void => {
    this.#isReading = false;
    if (this.#waiting.length > 0) for (const call of this.#waiting.splice(0)) call();
  };

  constructor(stream: node.Readable, own: AsyncIterator<unknown>) {
    this.#stream = stream;
    this.#own = own as AsyncIterator<unknown, undefined>;
  }

  next(): Promise<Result> {
    if (this.#isReading) return this.#behind(() => this.next());
    if (!this.#isAtYield || this.#stream.destroyed) return this.#ask(this.#own.next());
    let value: unknown;
    try {
      value = this.#stream.read();
    } catch (error) {
      // A 'data' listener threw.
      return this.throw(error);
    }
    if (value === null) return this.#ask(this.#own.next());
    const result = Promise.resolve({ value, done: false as const });
    this.#isReading = true;
    result.then(this.#onRead);
    return result;
  }

  throw(reason: unknown): Promise<Result> {
    if (this.#isReading) return this.#behind(() => this.throw(reason));
    return this.#ask(this.#own.throw!(reason));
  }

  return(value?: undefined): Promise<Result> {
    if (this.#isReading) return this.#behind(() => this.return(value));
    return this.#ask(this.#own.return!(value));
  }

  #behind(call: () => Promise<Result>): Promise<Result> {
    return new Promise((resolve) => {
      this.#waiting.push(() => resolve(call()));
    });
  }

  /** Returns the generator's own promise: a promise made of it would settle later. */
  #ask(result: Promise<Result>): Promise<Result> {
    this.#isAtYield = false;
    this.#pending++;
    result.then(
      ({ done }) => {
        this.#pending--;
        this.isDone ||= done === true;
        this.#isAtYield = this.#pending === 0 && !done;
      },
      () => {},
    );
    return result;
  }
}

/** A loop over the messages of a stream; `own` is Node's iterator of it. */
export function messagesOf(stream: node.Readable, own: AsyncIterator<unknown>): AsyncIteratorObject<any, any, any> {
  return new Messages(stream, own) as unknown as AsyncIteratorObject<any, any, any>;
}

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
    const loop = new Loop(this.#stream, new Messages(this.#stream, messages), destroys, (each) => this.#close(each));
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
  #pending: Promise<Result> | undefined;

  constructor(stream: node.Duplex, messages: Messages, destroys: boolean, close: (loop: Loop) => boolean) {
    this.#stream = stream;
    this.#messages = messages;
    this.#destroys = destroys;
    this.#close = close;
  }

  next(): Promise<Result> {
    // Most messages come before the end: for them, nothing is added to the promise.
    this.#pending = this.#messages.next();
    if (this.#stream.readableEnded) this.watchLast();
    return this.#pending;
  }

  watchLast(): void {
    const closeIfDone = ({ done }: Result) => {
      // As Node's own loop, it leaves a listener behind, so that the error of a later write is no unhandled one.
      if (done && this.#close(this) && this.#destroys) this.#stream.on('error', ignore);
    };
    this.#pending?.then(closeIfDone, () => this.#close(this));
  }

  throw(reason: unknown): Promise<Result> {
    this.#close(this);
    return this.#messages.throw(reason);
  }

  async return(value?: undefined): Promise<Result> {
    const isUnderWay = this.#close(this) && this.#pending !== undefined && !this.#messages.isDone;
    const result = await this.#messages.return(value);
    // As with Node's own, a loop that has not begun or is done leaves the stream alone.
    if (this.#destroys && isUnderWay) this.#stream.destroy();
    return result;
  }
}

Object.setPrototypeOf(Messages.prototype, AsyncIteratorPrototype);
Object.setPrototypeOf(Loop.prototype, AsyncIteratorPrototype);
