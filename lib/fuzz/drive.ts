import type { Buffer } from 'node:buffer';

/** A stream of Node, of whatever version of readable-stream. */
export interface NodeStream {
  /** Listens to `'data'`, `'end'`, `'error'` and `'close'`. */
  on(event: any, listener: (...args: any[]) => void): unknown;
  /** Takes a chunk, and calls back when it is done with it. */
  write(chunk: any, callback: (error?: Error | null) => void): unknown;
  /** The input has ended. */
  end(): unknown;
  /** It is not used any more. */
  destroy?(): unknown;
}

/** A TransformStream, or any other pair of web streams. */
export interface WebStreams {
  /** Where messages are read. */
  readonly readable: {
    /** As a `ReadableStream` does. */
    getReader(): any;
  };
  /** Where chunks are written. */
  readonly writable: {
    /** As a `WritableStream` does. */
    getWriter(): any;
  };
}

/** What a decoder hands out messages by. */
export type Decoding = NodeStream | WebStreams | AsyncIterable<unknown>;

/**
 * Makes a decoder; called anew for each cut. Returns a Transform of Node, whose messages are taken by a `'data'` listener;
 * a TransformStream of the web; or, made from `chunks`, an async iterable of the messages.
 *
 * ```ts
 * () => new LengthPrefixDecoder()
 * (chunks) => decode(chunks)
 * (chunks) => Readable.from(chunks).pipe(new LengthPrefixDecoder())
 * ```
 */
export type AnyDecoder = (chunks: AsyncIterable<Uint8Array>) => Decoding | PromiseLike<Decoding>;

/** How a decoder came to its end: or was ended, where it hung or went on and on. */
export type Ending = 'ended' | 'failed' | 'closed' | 'hung' | 'went on';

/** What a decoder made of the chunks. */
export interface Outcome {
  readonly messages: readonly unknown[];
  readonly ending: Ending;
  /** What it failed with. */
  readonly error: unknown;
  /** How many bytes it was given by then. */
  readonly given: number;
  /** Whether it was told that there are no more. */
  readonly inputEnded: boolean;
}

export interface Limits {
  /** More messages than this are not waited for. */
  readonly messages: number;
  /** How long nothing may happen, in milliseconds. */
  readonly quiet: number;
}

/** What a decoder makes of these chunks, given one after the other, each when the one before was taken. */
export async function decodeBy(decoder: AnyDecoder, chunks: readonly Buffer[], limits: Limits): Promise<Outcome> {
  const run = new Run(chunks, limits);
  start(decoder, run).catch((error) => run.over('failed', error));
  return run.outcome;
}

async function start(decoder: AnyDecoder, run: Run): Promise<void> {
  let isTaken = false;
  const source = run.source();
  const decoding = await decoder({
    [Symbol.asyncIterator]() {
      isTaken = true;
      return source;
    },
  });
  // One that reads the source is not written to, whatever it is.
  if (!isTaken && isNodeStream(decoding)) return driveNodeStream(decoding, run);
  if (!isTaken && isWebStreams(decoding)) return driveWebStreams(decoding, run);
  if (isIterable(decoding)) return driveIterable(decoding, run);
  throw new TypeError('a decoder must return a Transform, a TransformStream or an async iterable');
}

function isNodeStream(decoding: Decoding): decoding is NodeStream {
  const { write, on } = decoding as NodeStream;
  return typeof write === 'function' && typeof on === 'function';
}

function isWebStreams(decoding: Decoding): decoding is WebStreams {
  const { readable, writable } = decoding as WebStreams;
  return typeof readable?.getReader === 'function' && typeof writable?.getWriter === 'function';
}

function isIterable(decoding: Decoding): decoding is AsyncIterable<unknown> {
  return typeof (decoding as AsyncIterable<unknown>)[Symbol.asyncIterator] === 'function';
}

/** One decoder and its chunks, until it is over in one way or another. */
class Run {
  readonly outcome: Promise<Outcome>;
  /** What is to be done once it is over, so that nothing is left. */
  cleanUp: () => unknown = () => {};
  readonly #chunks: readonly Buffer[];
  readonly #limits: Limits;
  readonly #messages: unknown[] = [];
  readonly #watchdog: NodeJS.Timeout;
  #given = 0;
  #inputEnded = false;
  #isOver = false;
  /** Counts whatever happens. */
  #progress = 0;
  #resolve!: (outcome: Outcome) => void;

  constructor(chunks: readonly Buffer[], limits: Limits) {
    this.#chunks = chunks;
    this.#limits = limits;
    this.outcome = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    this.#watchdog = setTimeout(() => this.#suspect(), limits.quiet);
  }

  /** The chunks, until it is over. That the next one is asked for means that the one before was taken. */
  async *source(): AsyncGenerator<Buffer, void> {
    for (const chunk of this.#chunks) {
      if (this.#isOver) return;
      this.#given += chunk.length;
      yield chunk;
      this.#happened();
    }
    this.#inputEnded = true;
  }

  message(message: unknown): void {
    this.#messages.push(message);
    this.#happened();
    if (this.#messages.length > this.#limits.messages) this.over('went on');
  }

  over(ending: Ending, error?: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#watchdog);
    const messages = [...this.#messages];
    this.#resolve({ messages, ending, error, given: this.#given, inputEnded: this.#inputEnded });
    // What it says to that does not count any more.
    new Promise((resolve) => resolve(this.cleanUp())).catch(() => {});
  }

  #happened(): void {
    if (this.#isOver) return;
    this.#progress++;
    this.#watchdog.refresh();
  }

  /** Nothing happened for long. But where the process itself stood still, what is due gets its turn first. */
  async #suspect(): Promise<void> {
    const before = this.#progress;
    for (let turns = 0; turns < 3; turns++) await turn();
    if (this.#progress === before) this.over('hung');
  }
}

async function driveNodeStream(stream: NodeStream, run: Run): Promise<void> {
  run.cleanUp = () => stream.destroy?.();
  stream.on('data', (message) => run.message(message));
  stream.on('end', () => run.over('ended'));
  stream.on('error', (error) => run.over('failed', error));
  stream.on('close', () => run.over('closed'));
  for await (const chunk of run.source()) {
    await new Promise<void>((resolve, reject) => {
      stream.write(chunk, (error) => (error ? reject(error) : resolve()));
    });
    // Each comes in a turn of its own, as from a socket.
    await turn();
  }
  stream.end();
}

async function driveWebStreams({ readable, writable }: WebStreams, run: Run): Promise<void> {
  const reader = readable.getReader();
  const writer = writable.getWriter();
  run.cleanUp = () => Promise.all([reader.cancel(), writer.abort()]);
  const writing = (async () => {
    for await (const chunk of run.source()) await writer.write(chunk);
    await writer.close();
  })();
  writing.catch((error) => run.over('failed', error));
  for (let read = await reader.read(); !read.done; read = await reader.read()) run.message(read.value);
  run.over('ended');
}

async function driveIterable(messages: AsyncIterable<unknown>, run: Run): Promise<void> {
  const iterator = messages[Symbol.asyncIterator]();
  run.cleanUp = () => iterator.return?.();
  for (let next = await iterator.next(); !next.done; next = await iterator.next()) run.message(next.value);
  run.over('ended');
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
