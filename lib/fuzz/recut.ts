import { Buffer } from 'node:buffer';
import { type Callback, OrderedTransform, type StreamOptions } from '../node/ordered-transform.js';
import { invalidType, invalidValue } from '../wire/errors.js';
import { wholeNumber } from '../wire/format.js';

/** How the bytes are cut, and how far the stream reads ahead. */
export interface RecutOptions extends StreamOptions {
  /**
   * The lengths of the chunks in bytes, again and again from the first: `[1]` is one byte at a time. A 0 is an empty chunk,
   * which no socket gives; they can't all be 0. Default: lengths from 1 to 4,096, at random, the short ones as often.
   */
  sizes?: readonly number[] | undefined;
  /** A whole number; the same one makes the same random lengths. Default: any; the stream's `seed` tells which. */
  seed?: number | undefined;
  /**
   * True: bytes are held until a chunk has its length, or the input ends; the same bytes are then cut the same, in
   * whatever chunks they come. A peer that waits for an answer may wait for good. False: nothing is held, what is
   * written ends in a chunk that may be shorter, and the rest of its length follows. Default: false.
   */
  join?: boolean | undefined;
}

const LONGEST_POWER = 12;
const nothing = new Uint8Array(0);

/**
 * Bytes in, the same bytes out in other chunks: a Transform to put between a socket and what reads it.
 *
 * ```ts
 * socket.pipe(new Recut({ sizes: [1] })).pipe(decoder);
 * ```
 *
 * Its readable side is in object mode, so that chunks stay as they were cut in whatever way they are read. Backpressure is
 * exact: it never holds more chunks than `readableHighWaterMark`, by default 16. Chunks are views of what was written.
 */
export class Recut extends OrderedTransform {
  /** What the random lengths are made from; undefined with `sizes`. */
  readonly seed: number | undefined;
  readonly #lengths: Iterator<number, never>;
  readonly #join: boolean;
  /** What was written and is not yet handed out. */
  #chunk: Uint8Array = nothing;
  /** What is held for the chunk that is due. */
  #parts: Uint8Array[] = [];
  /** How many bytes that chunk still needs; 0 where it is an empty one. */
  #due: number;

  /**
   * @throws {TypeError} `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
   * @throws {RangeError} `ERR_OUT_OF_RANGE`
   */
  constructor(options: RecutOptions = {}) {
    const { sizes, seed, join = false } = options;
    if (typeof join !== 'boolean') throw invalidType('join', 'of type boolean', join);
    if (sizes !== undefined) checkSizes(sizes);
    if (seed !== undefined) wholeNumber('seed', seed, Number.MIN_SAFE_INTEGER);
    if (sizes !== undefined && seed !== undefined) throw invalidValue('seed', 'left out where there are sizes', seed);
    super(options, true, undefined, undefined);
    this.#join = join;
    if (sizes === undefined) this.seed = seed ?? Math.floor(Math.random() * 2 ** 31);
    this.#lengths = sizes === undefined ? randomLengths(this.seed!) : repeated(Array.from(sizes));
    this.#due = this.#lengths.next().value;
  }

  override _write(chunk: Buffer, _encoding: string, callback: Callback): void {
    this.#chunk = chunk;
    this.work(callback);
  }

  // The reader wants it: that is why what was written is used up.
  protected override finishInput(): void {
    if (this.#parts.length > 0) this.push(this.#joined());
  }

  protected override isSettled(): boolean {
    return true;
  }

  protected override nextPiece(): Uint8Array | undefined {
    if (this.#chunk.length === 0) return undefined;
    const part = this.#chunk.subarray(0, this.#due);
    this.#chunk = this.#chunk.subarray(part.length);
    this.#due -= part.length;
    if (this.#due > 0) {
      if (!this.#join) return part;
      this.#parts.push(part);
      return undefined;
    }
    this.#due = this.#lengths.next().value;
    if (this.#parts.length === 0) return part;
    this.#parts.push(part);
    return this.#joined();
  }

  #joined(): Uint8Array {
    const chunk = Buffer.concat(this.#parts);
    this.#parts = [];
    return chunk;
  }
}

/** What is read is a chunk. */
export interface Recut {
  /** The next chunk, or null when none is there. */
  read(size?: number): Buffer | null;
  /** One turn of `for await` is one chunk. */
  [Symbol.asyncIterator](): AsyncIteratorObject<Buffer, undefined, unknown>;
  // The interfaces of @types/node know strings and Buffers only: these make it one of their streams.
  /** The next chunk, as @types/node has it. */
  read(size?: number): any;
  /** The same, as @types/node has it. */
  [Symbol.asyncIterator](): AsyncIteratorObject<any, any, any>;
  /** All chunks, when the input has ended. */
  toArray(options?: { signal?: AbortSignal }): Promise<Buffer[]>;
}

function checkSizes(sizes: unknown): void {
  if (!Array.isArray(sizes)) throw invalidType('sizes', 'an array of numbers', sizes);
  sizes.forEach((size, i) => {
    wholeNumber(`sizes[${i}]`, size);
  });
  if (!sizes.some((size) => size > 0)) throw invalidValue('sizes', 'lengths that are not all 0', sizes);
}

function* repeated(sizes: readonly number[]): Generator<number, never> {
  for (;;) yield* sizes;
}

/** 1 to 2, to 4, to 8 and so on, each as often as the others. */
function* randomLengths(seed: number): Generator<number, never> {
  const random = randomNumbers(seed);
  for (;;) {
    const power = Math.floor(random() * (LONGEST_POWER + 1));
    yield 1 + Math.floor(random() * 2 ** power);
  }
}

/** Mulberry32: numbers from 0 to below 1, the same for the same seed. */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
