import { bytes, corrupt, type FrameError, invalidType, outOfRange, reason, typeOf } from './errors.js';
import { Expected } from './expected.js';
import { isBytes } from './memory.js';
import { ignoreRejection, isPromise } from './promises.js';

/** The most bytes that a trailer can have. */
const MOST = 1024;

/**
 * A checksum behind each message, for the option `trailer`. It gets the message as it is handed out, in order and in any
 * number of parts. `Sum` is the type of the value that it keeps from one part to the next.
 *
 * ```ts
 * const checksum: Checksum<number> = {
 *   width: 4,
 *   update: (sum, bytes) => crc32(bytes, sum), // Of node:zlib.
 *   final: (sum = 0) => Uint8Array.of(sum >>> 24, sum >>> 16, sum >>> 8, sum),
 * };
 * ```
 *
 * An exception that it throws is the `cause` of an `ERR_FRAME_CORRUPT`.
 */
export interface Checksum<Sum = any> {
  /** The number of bytes that the checksum has: 1 to 1,024. */
  readonly width: number;
  /**
   * Adds the next bytes of a message, one or more, to the sum. They must not be changed, and may be a plain `Uint8Array`,
   * also in Node's streams.
   *
   * @param sum undefined for the first bytes of a message
   * @returns the new sum, never undefined
   */
  update(sum: Sum | undefined, bytes: Uint8Array): Sum;
  /**
   * Makes the checksum when all bytes of the message were added.
   *
   * @param sum undefined for an empty message
   * @returns `width` bytes
   */
  final(sum: Sum | undefined): Uint8Array;
}

/** The bytes behind every message. */
export class Trailer {
  readonly width: number;
  readonly #made: Expected | Checksum;

  /**
   * @throws {TypeError} `ERR_INVALID_ARG_TYPE` for a value that is neither bytes nor a checksum
   * @throws {RangeError} `ERR_OUT_OF_RANGE`
   */
  constructor(given: unknown) {
    this.#made = isBytes(given) ? new Expected(Uint8Array.from(given)) : checkedChecksum(given);
    const [name, width] = isBytes(given) ? ['length', given.length] : ['width', (given as Checksum).width];
    if (!Number.isInteger(width) || width < 1 || width > MOST) {
      throw outOfRange(`trailer.${name}`, `an integer >= 1 and <= ${MOST}`, width);
    }
    this.width = width;
  }

  /** The bytes that are always the same. Undefined for a checksum. */
  get constant(): Uint8Array | undefined {
    return this.#made instanceof Expected ? this.#made.bytes : undefined;
  }

  /**
   * Checks the trailer at `input[end]`. The message is in front of it, from `start` on.
   *
   * @throws FrameError `ERR_FRAME_CORRUPT`
   */
  check(input: Uint8Array, start: number, end: number, position: number): void {
    const made = this.#made;
    if (made instanceof Expected && made.matches(input, end, 0, this.width)) return;
    this.begin(position)
      .update(input.subarray(start, end))
      .check(input.subarray(end, end + this.width));
  }

  /** Begins with the message of the frame at `position`. */
  begin(position: number): Summing {
    return new Summing(this.#made, this.width, position);
  }
}

function checkedChecksum(given: unknown): Checksum {
  if (typeof given !== 'object' || given === null) {
    throw invalidType('trailer', 'a Buffer, a Uint8Array, or a checksum, { width, update, final }', given);
  }
  const { width, update, final } = given as Partial<Checksum>;
  if (typeof width !== 'number') throw invalidType('trailer.width', 'of type number', width);
  if (typeof update !== 'function') throw invalidType('trailer.update', 'of type function', update);
  if (typeof final !== 'function') throw invalidType('trailer.final', 'of type function', final);
  return given as Checksum;
}

/** The trailer of one message, made as the message's bytes come. Once it has failed, it fails each time, with the same error. */
export class Summing {
  readonly #made: Expected | Checksum;
  readonly #width: number;
  readonly #position: number;
  #sum: unknown;
  #fault: FrameError | undefined;

  constructor(made: Expected | Checksum, width: number, position: number) {
    this.#made = made;
    this.#width = width;
    this.#position = position;
  }

  /** @throws FrameError when it has failed before. */
  rethrow(): void {
    if (this.#fault !== undefined) throw this.#fault;
  }

  /** @throws FrameError `ERR_FRAME_CORRUPT` */
  update(part: Uint8Array): this {
    this.rethrow();
    const made = this.#made;
    if (part.length === 0 || made instanceof Expected) return this;
    const sum = this.#call(() => made.update(this.#sum, part));
    if (sum === undefined) throw this.#fail("'trailer.update' returned undefined, and must return the sum");
    this.#sum = sum;
    return this;
  }

  /**
   * The trailer, when all of the message was there, in memory of its own.
   *
   * @throws FrameError `ERR_FRAME_CORRUPT`
   */
  end(): Uint8Array {
    return Uint8Array.from(this.#expected().bytes);
  }

  /** @throws FrameError `ERR_FRAME_CORRUPT` when another trailer was found. */
  check(found: Uint8Array): void {
    const expected = this.#expected();
    const width = this.#width;
    if (!expected.matches(found, 0, 0, width)) throw this.#fail(`the trailer${expected.difference(found, 0, width)}`);
  }

  #expected(): Expected {
    this.rethrow();
    const made = this.#made;
    if (made instanceof Expected) return made;
    const sum = this.#call(() => made.final(this.#sum));
    if (!isBytes(sum) || sum.length !== this.#width) {
      const allowed = `a Uint8Array of ${bytes(this.#width)}`;
      throw this.#fail(`'trailer.final' returned ${typeOf(sum)}, and must return ${allowed}`);
    }
    return new Expected(sum);
  }

  #call(run: () => unknown): any {
    let result: any;
    try {
      result = run();
    } catch (cause) {
      throw this.#fail(`the trailer can't be made: ${reason(cause)}`, { cause });
    }
    if (!isPromise(result)) return result;
    ignoreRejection(result);
    throw this.#fail("the trailer can't be made: a checksum can't be asynchronous");
  }

  #fail(what: string, options?: { cause: unknown }): FrameError {
    this.#fault = corrupt(this.#position, what, options);
    return this.#fault;
  }
}

/** The trailer of a frame that goes past its chunk. */
export class TrailerReader {
  readonly width: number;
  readonly #trailer: Trailer;
  readonly #position: number;
  readonly #isChecked: boolean;
  readonly #bytes: Uint8Array;
  #length = 0;
  /** Of a message that is read in parts. */
  #summing: Summing | undefined;

  /** `isChecked`: false for a message that is passed over. A constant trailer is checked all the same. */
  constructor(trailer: Trailer, position: number, isChecked: boolean) {
    this.width = trailer.width;
    this.#trailer = trailer;
    this.#position = position;
    this.#isChecked = isChecked || trailer.constant !== undefined;
    this.#bytes = new Uint8Array(trailer.width);
  }

  /** The bytes of the trailer that were taken. */
  get found(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  get isBegun(): boolean {
    return this.#length > 0;
  }

  get isWhole(): boolean {
    return this.#length === this.width;
  }

  /** Takes its bytes from `input`, from `at` on. Returns how many. */
  take(input: Uint8Array, at: number): number {
    // Its memory may be gone.
    if (at >= input.length) return 0;
    const part = input.subarray(at, at + this.width - this.#length);
    this.#bytes.set(part, this.#length);
    this.#length += part.length;
    return part.length;
  }

  /** Checks the whole trailer against a whole message: anew each time. */
  checkWhole(message: Uint8Array): void {
    this.#trailer.begin(this.#position).update(message).check(this.#bytes);
  }

  /** @throws FrameError when a part or the check has failed before. */
  rethrow(): void {
    this.#summing?.rethrow();
  }

  /** Adds a part of the message. */
  update(part: Uint8Array): void {
    if (!this.#isChecked) return;
    this.#summing ??= this.#trailer.begin(this.#position);
    this.#summing.update(part);
  }

  /** Checks the whole trailer, when all parts of the message were added. */
  check(): void {
    if (!this.#isChecked) return;
    this.#summing ??= this.#trailer.begin(this.#position);
    this.#summing.check(this.#bytes);
  }
}
