import { Flow, type Outlet, type Work } from '../wire/flow.js';

/** How much waits on either side, in the units of its strategy. */
export interface Marks {
  readonly readable: number;
  readonly writable: number;
}

const ignore = (): void => {};

/** Calls `run` in another turn of the event loop. A timer of a browser would take 4 ms. */
export function inAnotherTurn(run: () => void): void {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => {
    port1.close();
    run();
  };
  port2.postMessage(undefined);
}

/**
 * The readable and the writable stream of a {@link Flow}. A `TransformStream` can't do this: it does not get to know when
 * its reader wants something, and when it fails it throws away the chunks that are still to be read.
 *
 *              close() --> closing ------- all is read --> closed
 *       open --- cancel() -------------------------------> failed
 *              fault, abort() ------------ all is read --> failed
 *              detach() --> raw: written chunks are passed on unchanged; the readable closes when all is read
 *
 * An abort fails the write in hand at once, although its pieces are still handed out: a writable stream calls `abort` of its
 * sink only when the write is done.
 */
export class OrderedPair<In, Out> {
  readonly readable: ReadableStream<Out>;
  readonly writable: WritableStream<In>;
  readonly flow: Flow<OrderedPair<In, Out>, In, Out>;

  readonly #highWaterMark: number;
  #output!: ReadableStreamDefaultController<Out>;
  #input!: WritableStreamDefaultController;
  /** Fails the write, or the close, in hand. */
  #reject: (reason: unknown) => void = ignore;
  #state: 'open' | 'closing' | 'closed' | 'failed' = 'open';
  /** Written chunks are passed on here, when no pieces are made of them any more. */
  #raw: Raw<In> | undefined;

  static readonly #outlet: Outlet<OrderedPair<any, any>, any> = {
    isEager: true,
    asksFirst: true,
    push: (pair, piece) => pair.#push(piece),
    // Each piece counts as one: when none waits to be read, there is room for all of them.
    isRead: (pair) => pair.#output.desiredSize! >= pair.#highWaterMark,
    release: (_, done) => done(),
    fail: (pair, _, error) => {
      pair.#output.error(error);
      pair.#end(error);
    },
    rest: inAnotherTurn,
  };
  static readonly #batchOutlet: Outlet<OrderedPair<any, any>, any> = { ...OrderedPair.#outlet, hasBatches: true };

  /** `size` must not throw: that would fail the writable stream alone, and at once. */
  constructor(work: Work<In, Out>, marks: Marks, size: (chunk: In) => number, hasBatches = false) {
    const outlet = hasBatches ? OrderedPair.#batchOutlet : OrderedPair.#outlet;
    this.flow = new Flow<OrderedPair<In, Out>, In, Out>(this, outlet, work);
    this.#highWaterMark = marks.readable;
    this.readable = new ReadableStream<Out>(
      {
        start: (controller) => {
          this.#output = controller as ReadableStreamDefaultController<Out>;
        },
        pull: () => this.flow.want(),
        cancel: (reason) => this.#end(reason),
      },
      { highWaterMark: marks.readable },
    );
    this.writable = new WritableStream<In>(
      {
        start: (controller) => {
          this.#input = controller;
          controller.signal.addEventListener('abort', () => this.#interrupt(controller.signal.reason));
        },
        write: (chunk) => this.#hold((done) => (this.#raw ?? this.flow).take(chunk, done)),
        close: () => this.#close(),
        abort: (reason) => (this.#raw === undefined ? this.fail(reason) : this.#raw.fail(reason)),
      },
      { highWaterMark: marks.writable, size },
    );
  }

  #hold(begin: (done: () => void) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#reject = reject;
      begin(resolve);
    });
  }

  /**
   * Passes on `rest` and all chunks that are still written, as `check` returns them. The readable stream closes when its
   * pieces are read.
   *
   * @returns a stream of these chunks; undefined when the streams have failed or were cancelled.
   */
  detach(rest: () => In | undefined, check: (chunk: In) => In): ReadableStream<In> | undefined {
    if (this.#raw === undefined && this.#state === 'closed') {
      this.#raw = new Raw(check, ignore);
      this.#raw.close();
    }
    if (this.#raw === undefined && this.#state !== 'failed') {
      const bytes = rest();
      this.#raw = new Raw(check, (reason) => this.#input.error(reason));
      const done = this.flow.destroy(undefined);
      if (bytes !== undefined) this.#raw.take(bytes, done ?? ignore);
      else done?.();
      this.#output.close();
    }
    return this.#raw?.readable;
  }

  #close(): Promise<void> {
    if (this.#raw !== undefined) {
      this.#raw.close();
      return Promise.resolve();
    }
    this.#state = 'closing';
    return this.#hold((done) => {
      this.flow.finish(() => {
        if (this.#raw === undefined) {
          this.#state = 'closed';
          this.#output.close();
        } else {
          this.#raw.close();
        }
        done();
      });
    });
  }

  /** Fails both streams, when all that was taken is read. */
  fail(error: unknown): void {
    this.flow.fail(error, ignore);
  }

  /** Returns whether the reader wants more. */
  #push(piece: Out): boolean {
    // A function of the user's that made the piece may have cancelled the stream.
    if (this.#isOver) return false;
    this.#output.enqueue(piece);
    return this.#output.desiredSize! > 0;
  }

  /** `abort` was called. `abort` of the sink is called when the write in hand is done, and never while the stream closes. */
  #interrupt(reason: unknown): void {
    if (this.#isOver) return;
    this.#reject(reason);
    // The streams of Node can't be failed from inside this event.
    if (this.#state === 'closing') queueMicrotask(() => this.flow.fail(reason));
  }

  #end(reason: unknown): void {
    if (this.#isOver) return;
    this.#state = 'failed';
    this.flow.destroy(reason);
    this.#raw?.fail(reason);
    this.#input.error(reason);
    this.#reject(reason);
  }

  get #isOver(): boolean {
    return this.#state === 'closed' || this.#state === 'failed';
  }
}

/** Chunks that are passed on, each when the reader asks for the one behind it. */
class Raw<In> {
  readonly readable: ReadableStream<In>;
  readonly #check: (chunk: In) => In;
  #output!: ReadableStreamDefaultController<In>;
  #done: () => void = ignore;
  #isCancelled = false;

  constructor(check: (chunk: In) => In, onCancel: (reason: unknown) => void) {
    this.#check = check;
    this.readable = new ReadableStream<In>(
      {
        start: (controller) => {
          this.#output = controller as ReadableStreamDefaultController<In>;
        },
        pull: () => this.#release(),
        cancel: (reason) => {
          this.#isCancelled = true;
          this.#release();
          onCancel(reason);
        },
      },
      { highWaterMark: 0 },
    );
  }

  take(chunk: In, done: () => void): void {
    try {
      this.#output.enqueue(this.#check(chunk));
    } catch (error) {
      this.fail(error);
      throw error;
    }
    this.#done = done;
  }

  #release(): void {
    const done = this.#done;
    this.#done = ignore;
    done();
  }

  close(): void {
    if (!this.#isCancelled) this.#output.close();
  }

  fail(reason: unknown): void {
    this.#output.error(reason);
  }
}
