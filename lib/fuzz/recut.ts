import { Buffer } from 'node:buffer';
import { addAbortSignal, type Transform as NodeTransform } from 'node:stream';
import { Transform, type TransformOptions } from 'readable-stream';
import { invalidType, invalidValue, streamDestroyed } from '../wire/errors.js';
import { wholeNumber } from '../wire/format.js';
import type { Callback, StreamOptions } from '../ordered-transform.js';

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
const nothing = new Uint8Array(0);

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
export class Recut extends Transform {
  /** The seed of the random lengths. It is undefined if `sizes` was given. */
  readonly seed: number | undefined;
  readonly #lengths: Iterator<number, never>;
  readonly #join: boolean;
  /** The bytes of the current write that are not yet cut. */
  #chunk: Uint8Array = nothing;
  /** The parts of the next chunk, with `join`. */
  #parts: Uint8Array[] = [];
  /** The number of bytes that the next chunk still needs. */
  #due: number;
  /** The callback of the current write. */
  #held: Callback | undefined;
  /** Whether the reader wants more chunks. */
  #isWanted = true;

  /**
   * @throws {TypeError} `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
   * @throws {RangeError} `ERR_OUT_OF_RANGE`
   */
  constructor(options: RecutOptions = {}) {
    // CALL SITE for the shared check of unknown options: sizes, seed, join, and the stream options.
    const { sizes, seed, join = false, signal } = options;
    if (typeof join !== 'boolean') throw invalidType('join', 'of type boolean', join);
    if (sizes !== undefined) checkSizes(sizes);
    if (seed !== undefined) wholeNumber('seed', seed, Number.MIN_SAFE_INTEGER);
    if (sizes !== undefined && seed !== undefined) throw invalidValue('seed', 'left out if sizes is given', seed);
    super(streamOptions(options));
    this.#join = join;
    if (sizes === undefined) this.seed = seed ?? Math.floor(Math.random() * 2 ** 31);
    this.#lengths = sizes === undefined ? randomLengths(this.seed!) : repeated(Array.from(sizes));
    this.#due = this.#lengths.next().value;
    // As an option it would destroy the stream before its fields exist, if it was aborted already.
    if (signal !== undefined) addAbortSignal(signal, this as unknown as NodeTransform);
  }

  // The methods of Transform can hang when one write makes many chunks (nodejs/node issue 49938). These keep the callback of
  // the write until the reader has wanted all chunks.
  override _write(chunk: Buffer, _encoding: string, callback: Callback): void {
    this.#chunk = chunk;
    this.#held = callback;
    this.#cut();
  }

  override _read(): void {
    this.#isWanted = true;
    this.#cut();
  }

  #cut(): void {
    while (this.#isWanted && this.#held !== undefined) {
      const piece = this.#next();
      if (piece === undefined) this.#release();
      else this.#isWanted = this.push(piece);
    }
  }

  /** Calls back in its own tick, so that callbacks keep their order and none runs inside `write()`. */
  #release(error?: Error): void {
    const callback = this.#held;
    this.#held = undefined;
    if (callback !== undefined) process.nextTick(callback, error);
  }

  #next(): Uint8Array | undefined {
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

  override _flush(callback: Callback): void {
    if (this.#parts.length > 0) this.push(this.#joined());
    callback();
  }

  #joined(): Uint8Array {
    const chunk = Buffer.concat(this.#parts);
    this.#parts = [];
    return chunk;
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#release(error ?? streamDestroyed());
    super._destroy(error, callback);
  }
}

/** As in new versions of Node. The default of readable-stream is lower. */
const WRITABLE_HIGH_WATER_MARK = 65_536;

function streamOptions(options: StreamOptions): TransformOptions {
  const { highWaterMark, readableHighWaterMark, allowHalfOpen, autoDestroy, emitClose } = options;
  const { writableHighWaterMark = WRITABLE_HIGH_WATER_MARK } = options;
  const given = { highWaterMark, readableHighWaterMark, writableHighWaterMark, allowHalfOpen, autoDestroy, emitClose };
  return { ...given, readableObjectMode: true } as TransformOptions;
}

/** The types of the chunks. */
export interface Recut {
  /** Returns the next chunk, or null if there is none. */
  read(size?: number): Buffer | null;
  /** Each turn of `for await` gives one chunk. */
  [Symbol.asyncIterator](): AsyncIteratorObject<Buffer, undefined, unknown>;
  // The interfaces of @types/node know only strings and Buffers. These make the class one of their streams.
  /** As in @types/node. */
  read(size?: number): any;
  /** As in @types/node. */
  [Symbol.asyncIterator](): AsyncIteratorObject<any, any, any>;
  /** Resolves with all chunks when the input has ended. */
  toArray(options?: { signal?: AbortSignal }): Promise<Buffer[]>;
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
