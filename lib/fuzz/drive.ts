import { Buffer } from 'node:buffer';
import { isBytes } from '../wire/memory.js';
import { isSame } from './same.js';

/** A stream of Node, from `node:stream` or any version of readable-stream. */
export interface NodeStream {
  /** Listens to `'data'`, `'end'`, `'error'` and `'close'`. */
  on(event: any, listener: (...args: any[]) => void): unknown;
  /** Takes a chunk, and calls back when the chunk is processed. */
  write(chunk: any, callback: (error?: Error | null) => void): unknown;
  /** Ends the input. */
  end(): unknown;
  /** Releases the stream. */
  destroy?(): unknown;
}

/** A TransformStream, or any other pair of web streams. */
export interface WebStreams {
  /** The stream of messages. */
  readonly readable: {
    /** As in `ReadableStream`. */
    getReader(): any;
  };
  /** The stream that takes the chunks. */
  readonly writable: {
    /** As in `WritableStream`. */
    getWriter(): any;
  };
}

/** The forms in which a decoder can hand out its messages. */
export type Decoding = NodeStream | WebStreams | AsyncIterable<unknown>;

/**
 * Makes a decoder. The function is called anew for each cut, and returns one of these:
 *
 * - a Transform of Node: the chunks are written to it, and a `'data'` listener takes its messages;
 * - a TransformStream of the web;
 * - an async iterable of the messages, made from `chunks`.
 *
 * A stream is not written to if it reads `chunks` itself. Two decoders may be in use at the same time.
 *
 * ```ts
 * () => new LengthPrefixDecoder()
 * (chunks) => decode(chunks)
 * (chunks) => Readable.from(chunks).pipe(new LengthPrefixDecoder())
 * ```
 */
export type AnyDecoder = (chunks: AsyncIterable<Uint8Array>) => Decoding | PromiseLike<Decoding>;

/**
 * How the run of a decoder ended. `'held'`: it had all the bytes, but handed out nothing more before the input ended.
 * `'fed twice'`: it began to read its chunks after some had been written to it.
 */
type Ending = 'ended' | 'failed' | 'closed' | 'hung' | 'held' | 'went on' | 'fed twice';

/** The result of one run of a decoder. */
export interface Outcome {
  readonly messages: readonly unknown[];
  /** The index of the first message whose bytes changed after it was handed out, or -1. */
  readonly changed: number;
  readonly ending: Ending;
  /** The error that it failed with. */
  readonly error: unknown;
  /** The number of bytes that it was given. */
  readonly given: number;
  /** Whether its input was ended. */
  readonly inputEnded: boolean;
}

/** How a decoder is run. */
export interface Conditions {
  /** The number of messages that the bytes contain. */
  readonly expected: number;
  /** A decoder hangs when nothing happens for this many milliseconds. */
  readonly quiet: number;
  /** True: the input does not end before all messages were handed out. */
  readonly prompt: boolean;
  /** True: each chunk is overwritten when the decoder has processed it. */
  readonly overwrite: boolean;
}

/** A decoder that hands out 100 messages too many is stopped. */
const TOO_MANY = 100;
/** A longer delay would make a timer of Node fire at once. */
const LONGEST_TIMER = 2 ** 31 - 1;
/** Overwritten chunks are filled with this byte. */
const FILLER = 0xee;

/** Gives a decoder the chunks, each after the one before was processed, and returns the result. */
export async function decodeBy(
  decoder: AnyDecoder,
  chunks: () => readonly Buffer[],
  conditions: Conditions,
): Promise<Outcome> {
  const outcome = await outcomeOf(decoder, new Run(chunks(), conditions, true));
  if (outcome.ending !== 'fed twice') return outcome;
  return await outcomeOf(decoder, new Run(chunks(), conditions, false));
}

function outcomeOf(decoder: AnyDecoder, run: Run): Promise<Outcome> {
  start(decoder, run).catch((error) => run.over('failed', error));
  return run.outcome;
}

async function start(decoder: AnyDecoder, run: Run): Promise<void> {
  const decoding = await decoder(run.input());
  if (run.isRead && isIterable(decoding)) return driveIterable(decoding, run);
  if (isNodeStream(decoding)) return driveNodeStream(decoding, run);
  if (isWebStreams(decoding)) return driveWebStreams(decoding, run);
  return driveIterable(decoding, run);
}

/** Returns whether a decoder may be this value. */
export function isDecoding(value: any): value is Decoding {
  return (
    typeof value === 'object' && value !== null && (isNodeStream(value) || isWebStreams(value) || isIterable(value))
  );
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

/** One decoder and its chunks, from the first chunk to the outcome. */
class Run {
  readonly outcome: Promise<Outcome>;
  /** Releases the decoder when the run is over. */
  cleanUp: () => unknown = () => {};
  /** Whether the decoder reads its chunks itself. */
  isRead = false;
  readonly #chunks: readonly Buffer[];
  readonly #conditions: Conditions;
  /** Whether chunks may be written to a stream. */
  readonly #mayWrite: boolean;
  readonly #messages: unknown[] = [];
  /** The messages as they were when they were handed out. */
  readonly #copies: unknown[] = [];
  readonly #watchdog: NodeJS.Timeout;
  #given = 0;
  #isWritten = false;
  #inputEnded = false;
  #isOver = false;
  /** Ends the wait for the messages before the end of the input. */
  #stopWaiting: (() => void) | undefined;
  /** Changes with each event. */
  #progress = 0;
  #resolve!: (outcome: Outcome) => void;

  constructor(chunks: readonly Buffer[], conditions: Conditions, mayWrite: boolean) {
    this.#chunks = chunks;
    this.#conditions = conditions;
    this.#mayWrite = mayWrite;
    this.outcome = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    this.#watchdog = setTimeout(() => this.#suspect(), Math.min(conditions.quiet, LONGEST_TIMER));
  }

  /** The chunks, for a decoder that reads them itself. */
  input(): AsyncIterable<Buffer> {
    const source = this.chunks();
    return {
      [Symbol.asyncIterator]: () => {
        this.isRead = true;
        if (this.#isWritten) this.over('fed twice');
        return source;
      },
    };
  }

  /** Returns whether the chunks may be written to a stream. They may not be if the stream reads them itself. */
  startWriting(): boolean {
    this.#isWritten = this.#mayWrite && !this.isRead;
    return this.#isWritten;
  }

  /** Yields the chunks until the run is over. A request for the next chunk means that the last one was processed. */
  async *chunks(): AsyncGenerator<Buffer, void> {
    for (const chunk of this.#chunks) {
      if (this.#isOver) return;
      this.#given += chunk.length;
      yield chunk;
      if (this.#conditions.overwrite) chunk.fill(FILLER);
      this.#happened();
    }
    if (this.#conditions.prompt) await this.#allMessages();
    this.#inputEnded = true;
  }

  async #allMessages(): Promise<void> {
    while (!this.#isOver && this.#messages.length < this.#conditions.expected) {
      await new Promise<void>((resolve) => {
        this.#stopWaiting = resolve;
      });
    }
    this.#stopWaiting = undefined;
  }

  message(message: unknown): void {
    this.#messages.push(message);
    this.#copies.push(isBytes(message) ? Buffer.from(message) : message);
    this.#happened();
    this.#stopWaiting?.();
    if (this.#messages.length > this.#conditions.expected + TOO_MANY) this.over('went on');
  }

  over(ending: Ending, error?: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#watchdog);
    this.#stopWaiting?.();
    const messages = [...this.#messages];
    const changed = messages.findIndex((message, i) => isBytes(message) && !isSame(message, this.#copies[i]));
    this.#resolve({ messages, changed, ending, error, given: this.#given, inputEnded: this.#inputEnded });
    // An error of the clean-up says nothing about the decoder.
    new Promise((resolve) => resolve(this.cleanUp())).catch(() => {});
  }

  #happened(): void {
    if (this.#isOver) return;
    this.#progress++;
    this.#watchdog.refresh();
  }

  /** Nothing happened for too long. If the process itself was blocked, pending events still get their turn. */
  async #suspect(): Promise<void> {
    const before = this.#progress;
    for (let turns = 0; turns < 3; turns++) await turn();
    if (this.#progress === before) this.over(this.#stopWaiting === undefined ? 'hung' : 'held');
  }
}

async function driveNodeStream(stream: NodeStream, run: Run): Promise<void> {
  run.cleanUp = () => stream.destroy?.();
  stream.on('data', (message) => run.message(message));
  stream.on('end', () => run.over('ended'));
  stream.on('error', (error) => run.over('failed', error));
  stream.on('close', () => run.over('closed'));
  // A stream that reads its chunks from a generator asks for the first one in this turn.
  await turn();
  if (!run.startWriting()) return;
  for await (const chunk of run.chunks()) {
    await new Promise<void>((resolve, reject) => {
      stream.write(chunk, (error) => (error ? reject(error) : resolve()));
    });
    await turn();
  }
  stream.end();
}

async function driveWebStreams({ readable, writable }: WebStreams, run: Run): Promise<void> {
  const reader = readable.getReader();
  run.cleanUp = () => reader.cancel();
  writeTo(writable, run).catch((error) => run.over('failed', error));
  for (let read = await reader.read(); !read.done; read = await reader.read()) run.message(read.value);
  run.over('ended');
}

async function writeTo(writable: WebStreams['writable'], run: Run): Promise<void> {
  await turn();
  if (!run.startWriting()) return;
  const writer = writable.getWriter();
  const { cleanUp } = run;
  run.cleanUp = () => Promise.all([cleanUp(), writer.abort()]);
  for await (const chunk of run.chunks()) {
    await writer.write(chunk);
    await turn();
  }
  await writer.close();
}

async function driveIterable(messages: AsyncIterable<unknown>, run: Run): Promise<void> {
  const iterator = messages[Symbol.asyncIterator]();
  run.cleanUp = () => iterator.return?.();
  for (let next = await iterator.next(); !next.done; next = await iterator.next()) run.message(next.value);
  run.over('ended');
}

/** Waits for the next turn of the event loop. As from a socket, each chunk that is written arrives in its own turn. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
