import { Buffer } from 'node:buffer';
import type { Callback } from '../node/declarations.js';
import { destroyFlow, readingOutlet } from '../node/reading.js';
import { abortBy, BaseTransform, destroyWritable, duplexOptions, type StreamOptions } from '../node/streams.js';
import { invalidType, invalidValue } from '../wire/errors.js';
import { Flow, type Work } from '../wire/flow.js';
import { wholeNumber } from '../wire/format.js';
import { checkKnown, streamOptions } from '../wire/options.js';

/** Options of {@link Recut}. */
export interface RecutOptions extends StreamOptions {
  /**
   * The lengths of the chunks in bytes, repeated without end: `[1]` is one byte at a time. A 0 makes an empty chunk, which a
   * socket never emits; at least one length must not be 0. Default: random lengths from 1 to 4,096, many of them short.
   */
  sizes?: readonly number[] | undefined;
  /** The seed of the random lengths, an integer. Default: a random one, which the `seed` property of the stream shows. */
  seed?: number | undefined;
  /**
   * True: bytes are held until a chunk has its full length or the input ends, so that the chunks do not depend on the writes.
   * A peer that waits for an answer may then wait forever. False: all bytes of a write are handed out, if need be in a
   * shorter chunk, and the next write continues that chunk. Default: false.
   */
  join?: boolean | undefined;
}

/** Random lengths are at most 2 to this power. */
const LONGEST_POWER = 12;
const nothing = Buffer.alloc(0);

/**
 * A Transform that cuts a stream of bytes into other chunks. It can be put between a socket and a reader.
 *
 * ```ts
 * socket.pipe(new Recut({ sizes: [1] })).pipe(decoder);
 * ```
 *
 * The readable side is in object mode, so that no way of reading joins the chunks again. At most `readableHighWaterMark`
 * chunks are held, 16 by default. Chunks are views of the bytes that were written.
 */
export class Recut extends BaseTransform<Buffer, Uint8Array | string> {
  /** The seed of the random lengths. It is undefined if `sizes` was given. */
  readonly seed: number | undefined;
  readonly #cutting: Cutting;
  readonly #flow: Flow<any, Buffer, unknown>;

  /**
   * @throws {TypeError} `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
   * @throws {RangeError} `ERR_OUT_OF_RANGE`
   */
  constructor(options: RecutOptions = {}) {
    checkKnown(options, ['sizes', 'seed', 'join', ...streamOptions]);
    const { sizes, join = false } = options;
    let { seed } = options;
    if (typeof join !== 'boolean') throw invalidType('join', 'of type boolean', join);
    if (sizes !== undefined) checkSizes(sizes);
    if (seed !== undefined) wholeNumber('seed', seed, Number.MIN_SAFE_INTEGER);
    if (sizes !== undefined && seed !== undefined) throw invalidValue('seed', 'left out if sizes is given', seed);
    super(duplexOptions(options, true, undefined, 65_536));
    if (sizes === undefined) seed ??= Math.floor(Math.random() * 2 ** 31);
    this.seed = seed;
    this.#cutting = new Cutting(sizes === undefined ? randomLengths(seed!) : repeated(Array.from(sizes)), join);
    this.#flow = new Flow(this, readingOutlet, this.#cutting);
    abortBy(options.signal, this);
  }

  override _write(chunk: Buffer, _encoding: string, callback: Callback): void {
    this.#flow.take(chunk, callback);
  }

  override _read(): void {
    this.#flow.want();
  }

  override _flush(callback: Callback): void {
    const rest = this.#cutting.rest();
    if (rest !== undefined) this.push(rest);
    callback();
  }

  // A Duplex's own `destroy` forgets callbacks: see `destroyWritable`.
  override destroy(error?: Error, callback?: (error?: Error | null) => void): this {
    destroyFlow(this.#flow, error);
    destroyWritable(this, error, callback);
    return this;
  }
}

/** Chunks in, chunks of other lengths out. */
class Cutting implements Work<Buffer, Buffer> {
  readonly #lengths: Iterator<number, never>;
  readonly #join: boolean;
  /** The bytes of the current write that are not yet cut. */
  #chunk: Buffer = nothing;
  /** The parts of the next chunk, with `join`. */
  #parts: Buffer[] = [];
  /** The number of bytes that the next chunk still needs. */
  #due: number;

  constructor(lengths: Iterator<number, never>, join: boolean) {
    this.#lengths = lengths;
    this.#join = join;
    this.#due = lengths.next().value;
  }

  push(chunk: Buffer): void {
    this.#chunk = chunk;
  }

  next(): Buffer | undefined {
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
    return this.rest();
  }

  /** The parts of a chunk that the input has not completed. */
  rest(): Buffer | undefined {
    if (this.#parts.length === 0) return undefined;
    const chunk = Buffer.concat(this.#parts);
    this.#parts = [];
    return chunk;
  }

  get isSettled(): boolean {
    return this.#chunk.length === 0;
  }

  get isRead(): boolean {
    return true;
  }

  finish(): void {}

  destroy(): void {
    this.#chunk = nothing;
    this.#parts = [];
  }
}

function checkSizes(sizes: unknown): void {
  if (!Array.isArray(sizes)) throw invalidType('sizes', 'an array of numbers', sizes);
  sizes.forEach((size, i) => {
    wholeNumber(`sizes[${i}]`, size);
  });
  if (!sizes.some((size) => size > 0)) throw invalidValue('sizes', 'an array of lengths that are not all 0', sizes);
}

function* repeated(sizes: readonly number[]): Generator<number, never> {
  for (;;) yield* sizes;
}

/** Yields lengths from 1 to a power of 2. Each power is equally likely. */
function* randomLengths(seed: number): Generator<number, never> {
  const random = randomNumbers(seed);
  for (;;) {
    const power = Math.floor(random() * (LONGEST_POWER + 1));
    yield 1 + Math.floor(random() * 2 ** power);
  }
}

/** Mulberry32. The numbers are at least 0 and below 1, and depend only on the seed. */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
