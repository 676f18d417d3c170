/** What makes of what is written what is read. */
export interface Work<In, Out> {
  /** The size of what is written, as it is written. One for which this throws is still taken: that is where it fails. */
  sizeOf(chunk: In): number;
  /** Takes what was written. Its write is held until the promise, if there is one, is settled, and {@link isSettled}. */
  take(chunk: In): void | Promise<void>;
  /** The next piece to hand out; undefined when there is none yet. What it throws ends it. */
  next(): Out | undefined;
  /** Whether the next write may come; after `finish`, whether all is handed out. */
  readonly isSettled: boolean;
  /** Nothing more will be taken: the input has ended, or is broken. What it throws, the streams fail with. */
  finish(isBroken: boolean): void;
  /** Lets go of everything. */
  destroy(reason: unknown): void;
}

/**
 * A readable and a writable stream that go at the reader's pace and keep order. A write is held until the reader has
 * wanted all that it becomes; so is what `work` throws, until the reader has taken all that came before it, for a stream
 * that fails throws away what is still to be read. A `TransformStream` can do neither: it is not told what is wanted.
 */
export class OrderedPair<In, Out> {
  readonly readable: ReadableStream<Out>;
  readonly writable: WritableStream<In>;

  readonly #work: Work<In, Out>;
  readonly #highWaterMark: number;
  #output!: ReadableStreamDefaultController<Out>;
  #input!: WritableStreamDefaultController;
  /** The write in hand, or the end. */
  #held: { resolve(): void; reject(reason: unknown): void } | undefined;
  #taking = false;
  #wanted = false;
  #handingOut = false;
  #ending = false;
  /** Failed, cancelled or ended. */
  #over = false;
  #fault: { readonly error: unknown } | undefined;
  /** There is nothing in front of the fault any more. */
  #atFault = false;

  constructor(work: Work<In, Out>, highWaterMarks: { readonly readable: number; readonly writable: number }) {
    this.#work = work;
    this.#highWaterMark = highWaterMarks.readable;
    this.readable = new ReadableStream<Out>(
      {
        start: (controller) => {
          this.#output = controller as ReadableStreamDefaultController<Out>;
        },
        pull: () => {
          this.#wanted = true;
          this.goOn();
        },
        cancel: (reason) => this.#end(reason),
      },
      { highWaterMark: highWaterMarks.readable },
    );
    this.writable = new WritableStream<In>(
      {
        start: (controller) => {
          this.#input = controller;
          // `abort` would be called when the write in hand is done. Node's stream can't be failed from in here.
          const { signal } = controller;
          signal.addEventListener('abort', () => queueMicrotask(() => this.#abort(signal.reason)));
        },
        write: (chunk) => this.#hold(() => this.#take(chunk)),
        close: () => this.#hold(() => this.#finish()),
      },
      { highWaterMark: highWaterMarks.writable, size: (chunk) => this.#sizeOf(chunk) },
    );
  }

  /** An error in here would fail the writable stream alone, and at once. */
  #sizeOf(chunk: In): number {
    try {
      return this.#work.sizeOf(chunk);
    } catch {
      return 0;
    }
  }

  #hold(begin: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#held = { resolve, reject };
      try {
        begin();
      } catch (error) {
        this.#break(error);
      }
      this.goOn();
    });
  }

  #break(error: unknown): void {
    if (this.#fault !== undefined) return;
    this.#fault = { error };
    this.#work.finish(true);
  }

  #take(chunk: In): void {
    const taking = this.#work.take(chunk);
    if (taking === undefined) return;
    this.#taking = true;
    taking
      .catch((error) => this.#break(error))
      .then(() => {
        this.#taking = false;
        this.goOn();
      });
  }

  #finish(): void {
    this.#ending = true;
    this.#work.finish(false);
  }

  /** Hands out what is wanted. For when there may be more than there was. */
  goOn(): void {
    if (this.#over || this.#handingOut) return;
    this.#handingOut = true;
    try {
      while (this.#wanted && !this.#atFault) {
        const piece = this.#work.next();
        if (piece === undefined) break;
        this.#wanted = false;
        // It may be that this asks for more, at once.
        this.#output.enqueue(piece);
        this.#wanted ||= this.#output.desiredSize! > 0;
      }
    } catch (error) {
      this.#break(error);
      this.#atFault = true;
    }
    this.#handingOut = false;
    this.#settle();
  }

  /** What is in hand can't be gone on with. */
  fail(error: unknown): void {
    this.#break(error);
    this.#atFault = true;
    this.#settle();
  }

  #settle(): void {
    if (this.#fault !== undefined) {
      // Each piece counts as one: so much room is there when none waits to be read.
      const isRead = this.#output.desiredSize! >= this.#highWaterMark;
      if (!isRead || !(this.#atFault || this.#work.isSettled)) return;
      const { error } = this.#fault;
      this.#output.error(error);
      this.#end(error);
    } else if (this.#held !== undefined && !this.#taking && this.#work.isSettled) {
      const { resolve } = this.#held;
      this.#held = undefined;
      if (this.#ending) {
        this.#over = true;
        this.#work.destroy(undefined);
        this.#output.close();
      }
      resolve();
    }
  }

  #abort(reason: unknown): void {
    if (this.#over) return;
    this.#break(reason);
    this.#held?.reject(reason);
    this.#held = undefined;
    this.#settle();
  }

  #end(reason: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#work.destroy(reason);
    this.#input.error(reason);
    this.#held?.reject(reason);
    this.#held = undefined;
  }
}
