import { type EncodingOptions, type EncodingSettings, encodingSettings } from './encoding.js';
import { Format, type FormatOptions, formatOf, type WrittenHead } from './format.js';
import { concat, isBytes, lengthOf, type Memory, uint8Arrays, viewOf } from './memory.js';
import { encodeValue, type Message, type MessagePart, partBytes, partsBytes } from './message.js';
import { checkKnown, checkMemory } from './options.js';
import { WithFormat } from './with-format.js';

/** From this many bytes on, a part of a message is not copied. */
export const LARGE = 65_536;

/** Up to this many bytes, a loop copies faster than a call of `set`. */
const BY_HAND = 8;

/** The most bytes that a new run is given at once because the run before it was as long: more than most ticks write. */
const MOST_AT_ONCE = 131_072;

const nothing = new Uint8Array(0);

/** Empty builders share it: there may be very many. */
const noPieces: never[] = [];

/**
 * Messages in, frames out: joins small messages in one piece, and passes on large ones uncopied. It does no I/O.
 *
 * ```ts
 * const builder = new FrameBuilder(formats.kafka);
 * builder.add('hello');
 * builder.add([header, payload]);
 * for (const piece of builder.take()) socket.write(piece);
 * ```
 */
export class FrameBuilder<M extends Uint8Array = Uint8Array, T = MessagePart | readonly MessagePart[]> {
  /** The number of bytes that wait to be taken. */
  length = 0;
  /** The place in the stream of the next message's frame: the number of bytes in front of it. */
  position = 0;
  /** The number of messages that were added. */
  count = 0;
  #format: Format;
  readonly #encode: ((value: any) => Message) | undefined;
  readonly #encoding: string | undefined;
  readonly #memory: Memory<M>;
  readonly #large: number;
  /** The pieces that are complete. */
  #pieces: M[] = noPieces;
  /** Small messages, joined. */
  #run = nothing as Uint8Array as M;
  #runLength = 0;
  /** The length of the longest run that `take` gave last. The next run is given as much at once. */
  #usualLength = 0;

  /**
   * @param options the wire format, and `encode` of an encoder
   * @param memory makes the pieces. Default: plain `Uint8Array`s; `buffers` of `length-prefix` makes `Buffer`s.
   * @param large the length in bytes from which on a part of a message is not copied. The part then must not be changed
   * until it was taken and sent. Default: 65,536.
   * @throws {TypeError} `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
   * @throws {RangeError} `ERR_OUT_OF_RANGE`
   */
  constructor(options?: EncodingOptions<T>, memory?: Memory<M>, large?: number);
  /** @internal */
  constructor(format: Format, memory?: Memory<M>, large?: number);
  constructor(
    options: EncodingOptions | Format = {},
    memory: Memory<M> = uint8Arrays as unknown as Memory<M>,
    large = LARGE,
  ) {
    checkMemory(memory);
    const isFormat = options instanceof Format;
    const { format, encode, defaultEncoding } = isFormat ? formatAlone(options) : encodingSettings(options, memory);
    this.#format = format;
    this.#encode = encode;
    this.#encoding = defaultEncoding;
    this.#memory = memory;
    this.#large = large;
  }

  /**
   * The format of the messages that are added.
   *
   * @internal
   */
  get format(): Format {
    return this.#format;
  }

  /**
   * Goes on with another wire format, from the next message on.
   *
   * @throws {TypeError} `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
   * @throws {RangeError} `ERR_OUT_OF_RANGE`
   */
  setFormat(options: FormatOptions): void {
    checkKnown(options);
    this.#format = formatOf(options);
  }

  /**
   * Goes on with another wire format for the messages that `add` adds, and for all behind them. If `add` throws, the format
   * stays.
   *
   * @internal
   */
  useFormat<R>(format: Format, add: () => R): R {
    const before = this.#format;
    this.#format = format;
    try {
      return add();
    } catch (error) {
      this.#format = before;
      throw error;
    }
  }

  /**
   * Adds a message of one part or several; with `encode`, a value.
   *
   * @param encoding the encoding of its strings, where the memory is `buffers`. Default: the option `defaultEncoding`.
   * @throws {TypeError} `ERR_INVALID_ARG_TYPE`
   * @throws FrameError when the format can't carry the message. Nothing of it is added.
   */
  add(value: T, encoding = this.#encoding): void {
    if (value instanceof WithFormat) {
      this.useFormat(value.format, () => this.add(value.message, encoding));
      return;
    }
    const message: unknown = this.#encode === undefined ? value : encodeValue(this.#encode, value, this.position);
    if (!Array.isArray(message)) {
      this.addBytes(partBytes(message, 'message', this.#memory, encoding));
      return;
    }
    const length = lengthInBytes(message);
    if (length < this.#large && this.#format.isInPlace) {
      this.#addJoined(message, length);
      return;
    }
    // A hole in the array is undefined.
    const parts = partsBytes([...message], 'message', this.#memory, encoding);
    if (parts.length === 1) this.addBytes(parts[0]!);
    else if (this.#format.keptAtMost > 0) this.addBytes(concat(parts, this.#memory));
    else this.#addParts(parts);
  }

  /**
   * Adds a message that is bytes: it is not checked.
   *
   * @throws FrameError as `add`
   * @internal
   */
  addBytes(message: Uint8Array): void {
    const { length } = message;
    const format = this.#format;
    if (format.isInPlace && length < this.#large) {
      // No object for each message.
      const front = format.frontOf(length, this.position);
      const at = this.#extend(front + length);
      copy(message, 0, this.#run, at + front);
      this.#finishJoined(at, front, length);
    } else {
      this.#addParts([message]);
    }
  }

  /** Adds a small message in parts, which together are `length` bytes. */
  #addJoined(parts: readonly Uint8Array[], length: number): void {
    const front = this.#format.frontOf(length, this.position);
    const at = this.#extend(front + length);
    let partAt = at + front;
    for (const part of parts) {
      copy(part, 0, this.#run, partAt);
      partAt += part.length;
    }
    this.#finishJoined(at, front, length);
  }

  #finishJoined(at: number, front: number, length: number): void {
    this.#format.writeHeadInto(this.#run, at, front, length);
    this.position += front + length;
    this.count++;
  }

  #addParts(parts: readonly Uint8Array[]): void {
    const length = lengthOf(parts);
    const format = this.#format;
    const head = format.writeHead(parts[0] ?? nothing, length, this.position);
    const trailer = format.trailer && this.#trailerOf(head, parts);
    this.addPiece(head.bytes);
    for (const [i, part] of parts.entries()) this.addPiece(part, i === 0 ? head.kept : 0);
    if (trailer !== undefined) this.#addTrailer(trailer);
    this.position += head.bytes.length + length - head.kept + format.trailerWidth;
    this.count++;
  }

  /** The trailer of the message in these parts. The head may replace the first bytes of the first part. */
  #trailerOf({ bytes, kept }: WrittenHead, parts: readonly Uint8Array[]): Uint8Array {
    const format = this.#format;
    const { constant } = format.trailer!;
    if (constant !== undefined) return constant;
    const summing = format.beginTrailer(bytes, this.position)!;
    for (const [i, part] of parts.entries()) summing.update(i === 0 && kept > 0 ? part.subarray(kept) : part);
    return summing.end();
  }

  /** Never as a piece of its own, whatever `large` is: a constant trailer is the same memory each time. */
  #addTrailer(trailer: Uint8Array): void {
    const at = this.#extend(trailer.length);
    copy(trailer, 0, this.#run, at);
  }

  /**
   * Adds bytes as they are, from `from` on: a part of a frame.
   *
   * @internal
   */
  addPiece(bytes: Uint8Array, from = 0): void {
    const length = bytes.length - from;
    if (length < this.#large) {
      const at = this.#extend(length);
      copy(bytes, from, this.#run, at);
    } else {
      this.#closeRun();
      this.#addToPieces(viewOf(bytes, this.#memory, from));
      this.length += length;
    }
  }

  /** Takes all that was added: pieces to be sent in order. */
  take(): M[] {
    this.#closeRun();
    const pieces = this.#pieces;
    this.#pieces = noPieces;
    this.length = 0;
    return pieces === noPieces ? [] : pieces;
  }

  #addToPieces(piece: M): void {
    if (this.#pieces === noPieces) this.#pieces = [piece];
    else this.#pieces.push(piece);
  }

  /** Makes room for this many more bytes at the end of the run. Returns where they begin. */
  #extend(length: number): number {
    const at = this.#runLength;
    const end = at + length;
    if (end > this.#run.length) {
      // Another piece costs less than to copy so many bytes again.
      if (at >= LARGE) {
        this.#closeRun();
        return this.#extend(length);
      }
      const grown = this.#memory.allocateShared(Math.max(end, 2 * this.#run.length, this.#usualLength));
      if (at > 0) grown.set(this.#run.subarray(0, at));
      this.#run = grown;
    }
    this.#runLength = end;
    this.length += length;
    return at;
  }

  #closeRun(): void {
    const length = this.#runLength;
    if (length === 0) return;
    const run = this.#run;
    // The longest since `take`.
    const before = this.#pieces === noPieces ? 0 : this.#usualLength;
    this.#usualLength = Math.min(Math.max(length, before), MOST_AT_ONCE);
    this.#addToPieces(length === run.length ? run : new this.#memory.View(run.buffer, run.byteOffset, length));
    this.#run = nothing as Uint8Array as M;
    this.#runLength = 0;
  }
}

/** The settings of a format without options. */
function formatAlone(format: Format): EncodingSettings {
  return { format, encode: undefined, defaultEncoding: undefined };
}

/** The length of a message in parts; infinity where a part is not bytes. */
function lengthInBytes(parts: readonly unknown[]): number {
  for (const part of parts) if (!isBytes(part)) return Number.POSITIVE_INFINITY;
  return lengthOf(parts as readonly Uint8Array[]);
}

/** Copies `bytes`, from `from` on, to `target[at]`. */
function copy(bytes: Uint8Array, from: number, target: Uint8Array, at: number): void {
  const length = bytes.length - from;
  if (length > BY_HAND) target.set(from === 0 ? bytes : bytes.subarray(from), at);
  else for (let i = 0; i < length; i++) target[at + i] = bytes[from + i]!;
}
