import {
  bytes,
  corrupt,
  FrameError,
  hex,
  invalidReturn,
  invalidType,
  invalidValue,
  lookalike,
  outOfRange,
  reason,
  typeOf,
} from './errors.js';
import { Header } from './header.js';
import {
  FixedLengthField,
  type LengthField,
  type LengthFieldName,
  lengthFieldNamed,
  lengthFieldNames,
  varintWidth,
  writeVarint,
} from './length-field.js';
import { concat, isBytes, uint8Arrays } from './memory.js';
import { formatOptions, nearest } from './options.js';
import { isVarint } from './protocol-fields.js';
import { type Checksum, type Summing, Trailer } from './trailer.js';

/**
 * A wire format. The same object given to a decoder and to an encoder makes two ends that fit.
 *
 * It has the names and the arithmetic of Netty's `LengthFieldBasedFrameDecoder`, except for `maxPayloadLength`:
 *
 *     payload = the length field's value + lengthAdjustment       the bytes that follow the length field
 *     frame   = lengthFieldOffset + the field's width + payload
 *     message = frame without its first initialBytesToStrip bytes
 *
 * An encoder goes the other way: frame = `header` + message, then the length is written where it belongs.
 *
 * Each option is drawn below: a frame before and after decoding, its bytes in hex, with `|` between its parts. An encoder
 * makes the same frame of the message.
 */
export interface FormatOptions {
  /**
   * How the length is written: `'uint8'`; `'uint16le'`, `'uint16be'` and so on for 16, 24, 32, 40, 48, 56 and 64 bits;
   * `'varint'` (unsigned LEB128: protobuf delimited messages, libp2p, .NET 7-bit integers, MQTT); or a
   * {@link LengthField} of your own. Lengths over `Number.MAX_SAFE_INTEGER` are refused. Default: `'uint32le'`, as .NET's
   * `BitConverter` writes it.
   *
   *     options  {}
   *     before   05 00 00 00 | 68 65 6c 6c 6f
   *     after    68 65 6c 6c 6f
   *
   *     options  { lengthField: 'uint16be' }
   *     before   00 05 | 68 65 6c 6c 6f
   *     after    68 65 6c 6c 6f
   *
   *     options  { lengthField: 'varint' }
   *     before   05 | 68 65 6c 6c 6f
   *     after    68 65 6c 6c 6f
   */
  lengthField?: LengthFieldName | LengthField | undefined;

  /**
   * The number of bytes in front of the length field. Default: 0.
   *
   * A type byte, then the length; both are cut off, and the encoder's `header` puts the type back:
   *
   *     options  { lengthField: 'uint16be', lengthFieldOffset: 1, header: Buffer.from('070000', 'hex') }
   *     before   07 | 00 05 | 68 65 6c 6c 6f
   *     after    68 65 6c 6c 6f
   */
  lengthFieldOffset?: number | undefined;

  /**
   * The number of bytes that is added to the length field's value to get the number of bytes that follow the field. It is
   * negative where the length counts more than these. Default: 0.
   *
   * A length that counts its own two bytes:
   *
   *     options  { lengthField: 'uint16be', lengthAdjustment: -2 }
   *     before   00 07 | 68 65 6c 6c 6f
   *     after    68 65 6c 6c 6f
   *
   * A length that leaves out a checksum of one byte behind the data:
   *
   *     options  { lengthField: 'uint16be', lengthAdjustment: 1 }
   *     before   00 05 | 68 65 6c 6c 6f | 2a
   *     after    68 65 6c 6c 6f 2a
   */
  lengthAdjustment?: number | undefined;

  /**
   * The number of bytes cut off the front of each frame. Default: the whole header, `lengthFieldOffset` + the field's
   * width.
   *
   * The header is kept:
   *
   *     options  { lengthField: 'uint16be', initialBytesToStrip: 0 }
   *     before   00 05 | 68 65 6c 6c 6f
   *     after    00 05 68 65 6c 6c 6f
   *
   * A type byte is kept, a magic byte in front of it is not, and the length counts the whole frame:
   *
   *     options  { lengthField: 'uint16be', lengthFieldOffset: 2, lengthAdjustment: -4, initialBytesToStrip: 1, header: Buffer.from('ca', 'hex') }
   *     before   ca | 01 | 00 09 | 68 65 6c 6c 6f
   *     after    01 00 09 68 65 6c 6c 6f
   *
   * It can't cut the length field in two; where the field has no fixed width, it can't go past `lengthFieldOffset`.
   * Where the message keeps its length field, the encoder writes the length over the bytes that stand there, in a copy. A
   * field of no fixed width may stand there with any value, such as one zero byte for a varint; the length that is written
   * takes as many bytes as it needs.
   */
  initialBytesToStrip?: number | undefined;

  /**
   * The first `initialBytesToStrip` bytes of every frame; where a field of no fixed width is cut off, the
   * `lengthFieldOffset` bytes in front of it. An encoder writes them, with the length in its place. A decoder checks them,
   * except for the bytes of the length: a frame with other bytes is `ERR_FRAME_CORRUPT`. It checks the bytes in front of the
   * length as they arrive, before it looks at the length, and the bytes behind the length before it hands out the message.
   * Default: none. An encoder writes zeros, and a decoder checks nothing.
   *
   *     options  { lengthField: 'uint8', lengthFieldOffset: 2, initialBytesToStrip: 4, lengthAdjustment: 1, header: Buffer.from('cafe0001', 'hex') }
   *     before   ca fe | 05 | 01 | 68 65 6c 6c 6f
   *     after    68 65 6c 6c 6f
   *
   *     options  { lengthField: 'varint', lengthFieldOffset: 1, header: Buffer.from('30', 'hex') }
   *     before   30 | 05 | 68 65 6c 6c 6f
   *     after    68 65 6c 6c 6f
   *
   * A greeting that is always the same, in front of messages of another format (see `formatAfter`). All of it is the header,
   * and its last byte is a length that says that nothing follows: the greeting is an empty message. A greater last byte is
   * `ERR_FRAME_TOO_LONG`.
   *
   *     options  { lengthField: 'uint8', lengthFieldOffset: 3, lengthAdjustment: -0x49, header: Buffer.from('48454c49', 'hex'), maxPayloadLength: 0 }
   *     before   48 45 4c 49
   *     after
   */
  header?: Uint8Array | undefined;

  /**
   * As many bytes as `header` has. A decoder does not check the bits of the header that are 0 here, such as flags that vary.
   * Default: all bits are 1.
   *
   * A magic byte, and flags of which the lowest is always set and the others may be:
   *
   *     options  { lengthField: 'uint8', lengthFieldOffset: 2, header: Buffer.from('ca0100', 'hex'), headerMask: Buffer.from('ff0100', 'hex') }
   *     before   ca | 01 | 05 | 68 65 6c 6c 6f
   *     after    68 65 6c 6c 6f
   */
  headerMask?: Uint8Array | undefined;

  /**
   * Bytes behind each message, 1 to 1,024: always the same ones, or a {@link Checksum} of the message. An encoder writes them.
   * A decoder checks them, and cuts them off, before it hands out the message, or the last byte of its body; other bytes
   * are `ERR_FRAME_CORRUPT`. Neither `maxPayloadLength` nor `initialBytesToStrip` counts them. Default: none.
   *
   *     options  { lengthField: 'uint16be', trailer: Buffer.from('ce', 'hex') }
   *     before   00 05 | 68 65 6c 6c 6f | ce
   *     after    68 65 6c 6c 6f
   *
   * A sum of one byte, which the length counts:
   *
   *     options  { lengthField: 'uint8', lengthAdjustment: -1, trailer: { width: 1, update: (sum = 0, bytes) => bytes.reduce((a, b) => a ^ b, sum), final: (sum = 0) => Uint8Array.of(sum) } }
   *     before   06 | 68 65 6c 6c 6f | 62
   *     after    68 65 6c 6c 6f
   *
   * A checksum runs over the message as it is handed out: over the length, where the message keeps it.
   */
  trailer?: Uint8Array | Checksum | undefined;

  /**
   * The most bytes that may follow the length field in one frame, after the adjustment. The header and the trailer do not
   * count. More is `ERR_FRAME_TOO_LONG`: for a decoder as soon as the length is there, before any memory is allocated for the
   * message, and for an encoder before any byte of it is sent. Default: 16,777,216 (16 MiB).
   *
   *     options  { lengthField: 'uint16be', maxPayloadLength: 5 }
   *     before   00 05 | 68 65 6c 6c 6f
   *     after    68 65 6c 6c 6f
   */
  maxPayloadLength?: number | undefined;

  /**
   * The fewest bytes that may follow the length field in one frame, after the adjustment, for protocols whose messages all
   * have a head. Fewer are `ERR_FRAME_CORRUPT`. The header and the trailer do not count. Default: 0.
   *
   * A type byte, which each message has:
   *
   *     options  { lengthField: 'uint16be', minPayloadLength: 1 }
   *     before   00 01 | 07
   *     after    07
   */
  minPayloadLength?: number | undefined;
}

const WHOLE_HEAD = -1;
const DEFAULT_MAX_PAYLOAD_LENGTH = 16_777_216;

/** The beginning of a frame, read. */
export interface Head {
  /** Bytes up to the end of the length field. */
  readonly length: number;
  /** Bytes that follow the length field. */
  readonly payload: number;
}

/** The beginning of a frame, to be written. */
export interface WrittenHead {
  readonly bytes: Uint8Array;
  /** How many of the message's first bytes it replaces. A length field of no fixed width may have another width in it. */
  readonly kept: number;
}

/** The format of these options, checked. */
export function formatOf(options: FormatOptions = {}): Format {
  // Streams with the default format share it: 10,000 idle connections need it once.
  if (formatOptions.some((name) => options[name] !== undefined)) return new Format(options);
  defaultFormat ??= new Format({});
  return defaultFormat;
}

let defaultFormat: Format | undefined;

/** A wire format, checked: where the length field is, how many bytes follow it, how to write it. */
export class Format {
  /** The length field, where it has a fixed width. */
  readonly fixed: FixedLengthField | undefined;
  /** The same, where only the length of a frame is to be checked: the parser then has a short way. */
  readonly quick: FixedLengthField | undefined;
  /** The bytes that a frame must begin with. Undefined: any. */
  readonly header: Header | undefined;
  readonly trailer: Trailer | undefined;
  /** 0: none. */
  readonly trailerWidth: number;
  readonly lengthFieldOffset: number;
  readonly lengthAdjustment: number;
  readonly maxPayloadLength: number;
  /** The shortest and the longest payload that both the length field and the limits allow. */
  readonly shortest: number;
  readonly longest: number;
  /** The most bytes that the head of a frame (all up to the end of the length field) takes. */
  readonly maxHeadLength: number;

  /** Bytes cut off the front of a frame, where that is a fixed number; otherwise the whole head is, and this is -1. */
  readonly stripped: number;

  /** Whether the encoder can write the head of a message in its place, and there is no trailer. */
  readonly isInPlace: boolean;
  /** Whether other bytes than the length field are put in front of messages. */
  readonly #hasFront: boolean;

  /** `minPayloadLength`. */
  readonly #least: number;
  readonly #field: FixedLengthField | LengthField;
  /** The bytes that are put in front of messages. Undefined: zeros. */
  readonly #header: Uint8Array | undefined;

  constructor(options: FormatOptions) {
    const { lengthField = 'uint32le', lengthFieldOffset = 0, lengthAdjustment = 0 } = options;
    const { initialBytesToStrip, header, headerMask, trailer } = options;
    const { maxPayloadLength = DEFAULT_MAX_PAYLOAD_LENGTH, minPayloadLength = 0 } = options;
    const field = checkedField(lengthField);
    const offset = wholeNumber('lengthFieldOffset', lengthFieldOffset);
    const adjustment = wholeNumber('lengthAdjustment', lengthAdjustment, Number.MIN_SAFE_INTEGER);
    const limit = wholeNumber('maxPayloadLength', maxPayloadLength);

    const { maxLength = Number.MAX_SAFE_INTEGER } = field;
    const minLength = field instanceof FixedLengthField ? 0 : (field.minLength ?? 0);
    this.#least = wholeNumber('minPayloadLength', minPayloadLength);
    this.shortest = Math.max(this.#least, minLength + adjustment);
    this.longest = Math.min(limit, maxLength + adjustment);
    if (this.#least > this.longest && this.longest >= 0) {
      throw outOfRange(
        'minPayloadLength',
        `<= ${this.longest}, or no frame could have a payload that is allowed`,
        minPayloadLength,
      );
    }
    if (this.shortest > this.longest) {
      const allowed = `>= ${-maxLength} and <= ${limit - minLength}, or no frame could have a payload that is allowed`;
      throw outOfRange('lengthAdjustment', allowed, adjustment);
    }

    this.#field = field;
    this.fixed = field instanceof FixedLengthField ? field : undefined;
    this.lengthFieldOffset = offset;
    this.lengthAdjustment = adjustment;
    this.maxPayloadLength = limit;
    this.maxHeadLength = offset + (field instanceof FixedLengthField ? field.width : field.maxWidth);
    this.stripped = this.#checkedStrip(initialBytesToStrip);
    this.trailer = trailer === undefined ? undefined : new Trailer(trailer);
    this.trailerWidth = this.trailer?.width ?? 0;
    const isOwnVarint = !(field instanceof FixedLengthField) && isVarint(field) && this.stripped === WHOLE_HEAD;
    this.isInPlace = (this.fixed !== undefined || isOwnVarint) && this.trailer === undefined;
    this.#hasFront = this.#frontLength > 0 && (offset > 0 || this.fixed?.width !== this.#frontLength);
    this.#header = this.#checkedHeader(header);
    this.header = this.#headerToCheck(headerMask);
    this.quick = this.header === undefined && this.trailer === undefined ? this.fixed : undefined;
  }

  #checkedStrip(value: number | undefined): number {
    const name = 'initialBytesToStrip';
    const offset = this.lengthFieldOffset;
    if (this.fixed === undefined) {
      if (value !== undefined && wholeNumber(name, value) > offset) {
        const allowed = `<= ${offset} (lengthFieldOffset), or left out, for a length field of no fixed width`;
        throw outOfRange(name, allowed, value);
      }
      return value ?? WHOLE_HEAD;
    }
    const headLength = this.maxHeadLength;
    const strip = wholeNumber(name, value === undefined ? headLength : value);
    if (strip > offset && strip < headLength) {
      const allowed = `<= ${offset} or >= ${headLength}: the length field can't be cut in two`;
      throw outOfRange(name, allowed, strip);
    }
    if (strip > headLength + this.longest) {
      throw outOfRange(name, `<= ${headLength + this.longest}, the longest frame`, strip);
    }
    return strip;
  }

  #checkedHeader(value: unknown): Uint8Array | undefined {
    if (value === undefined) return undefined;
    const length = this.#frontLength;
    if (!isBytes(value)) throw invalidType('header', 'a Buffer or Uint8Array', value);
    if (value.length !== length) {
      throw invalidValue('header', `of ${bytes(length)}, as many as are cut off the front of a frame`, value);
    }
    return Uint8Array.from(value);
  }

  #headerToCheck(mask: unknown): Header | undefined {
    const header = this.#header;
    if (mask !== undefined && !isBytes(mask)) throw invalidType('headerMask', 'a Buffer or Uint8Array', mask);
    if (mask !== undefined && mask.length !== header?.length) {
      const allowed =
        header === undefined
          ? "left out, or given together with 'header'"
          : `of ${bytes(header.length)}, as 'header' is`;
      throw invalidValue('headerMask', allowed, mask);
    }
    const isLengthAlone = this.lengthFieldOffset * this.#frontLength === 0 && this.#frontLength <= this.maxHeadLength;
    if (header === undefined || isLengthAlone) return undefined;
    return new Header(header, mask && Uint8Array.from(mask), this.lengthFieldOffset, this.maxHeadLength);
  }

  /** How many bytes the encoder puts in front of a message, apart from a length field of no fixed width. */
  get #frontLength(): number {
    return this.stripped === WHOLE_HEAD ? this.lengthFieldOffset : this.stripped;
  }

  get #front(): Uint8Array {
    return this.#header ?? new Uint8Array(this.#frontLength);
  }

  /** How many bytes are cut off the front of a frame whose head has this length. */
  strippedFrom(headLength: number): number {
    return this.stripped === WHOLE_HEAD ? headLength : this.stripped;
  }

  /**
   * Reads the head of the frame that begins at `input[start]`; `position` is that byte's place in the stream.
   *
   * @returns undefined when the head goes on past `end`.
   * @throws FrameError for a length that can't be right. The caller judges a length over `maxPayloadLength`.
   */
  readHead(input: Uint8Array, start: number, end: number, position: number): Head | undefined {
    const fieldAt = start + this.lengthFieldOffset;
    let length: number;
    let width: number;
    if (this.fixed !== undefined) {
      width = this.fixed.width;
      if (end - fieldAt < width) return undefined;
      length = this.fixed.read(input, fieldAt);
    } else {
      if (end <= fieldAt) return undefined;
      const fieldEnd = Math.min(end, start + this.maxHeadLength);
      const read = this.#readOwn(input, fieldAt, fieldEnd, position);
      if (read === undefined) {
        if (end - start < this.maxHeadLength) return undefined;
        throw this.#corrupt(
          input,
          start,
          end,
          position,
          `the length field has no end within ${bytes(fieldEnd - fieldAt)}`,
        );
      }
      ({ length, width } = read);
    }

    const headLength = fieldAt - start + width;
    const payload = length + this.lengthAdjustment;
    if (length > Number.MAX_SAFE_INTEGER) {
      const found = hex(input.subarray(fieldAt, fieldAt + width));
      const what = `the length ${found} is above ${Number.MAX_SAFE_INTEGER} bytes (Number.MAX_SAFE_INTEGER)`;
      throw this.#corrupt(input, start, end, position, what);
    }
    if (payload < 0) {
      const least = -this.lengthAdjustment;
      const what = `the length ${length} is less than ${least}, the least with a lengthAdjustment of ${-least}`;
      throw this.#corrupt(input, start, end, position, what);
    }
    if (payload < this.#least) {
      const what = `a payload of ${bytes(payload)} is announced, at least ${this.#least} are needed (minPayloadLength)`;
      throw this.#corrupt(input, start, end, position, what);
    }
    if (payload < this.shortest) {
      const least = this.shortest - this.lengthAdjustment;
      const what = `the length ${length} is less than ${least}, the least that the length field can say`;
      throw this.#corrupt(input, start, end, position, what);
    }
    if (headLength + payload < this.strippedFrom(headLength)) {
      const least = `at least ${this.stripped} are needed (initialBytesToStrip)`;
      const what = `a frame of ${bytes(headLength + payload)} is announced, ${least}`;
      throw this.#corrupt(input, start, end, position, what);
    }
    return { length: headLength, payload };
  }

  /** Reads a field of the user's own, and checks its answer: a wrong one would break the framing without a trace. */
  #readOwn(
    input: Uint8Array,
    start: number,
    end: number,
    position: number,
  ): { length: number; width: number } | undefined {
    const field = this.#field as LengthField;
    let read: ReturnType<LengthField['read']>;
    try {
      read = field.read(input, start, end);
      if (read !== undefined && (read?.length === undefined || read.width === undefined)) {
        throw invalidReturn('lengthField.read', '{ length, width } or undefined', typeOf(read));
      }
    } catch (cause) {
      throw corrupt(position, `the length field can't be read: ${reason(cause)}`, { cause });
    }
    if (read === undefined) return undefined;
    const { length, width } = read;
    const isLength = typeof length === 'number' && length >= 0 && Math.floor(length) === length;
    if (!isLength || !Number.isInteger(width) || width < 1 || width > end - start) {
      const found = `'lengthField.read' returned the length ${said(length)} and the width ${said(width)}`;
      const allowed = `the length must be an integer >= 0, and the width 1 to ${bytes(end - start)}`;
      throw corrupt(position, `${found}; ${allowed}`);
    }
    return read;
  }

  #corrupt(input: Uint8Array, start: number, end: number, position: number, what: string): FrameError {
    return corrupt(position, what + this.#suspicion(input, start, end));
  }

  /** The error for a payload over a limit: `limit` says which. */
  tooLong(payload: number, limit: string, input: Uint8Array, start: number, end: number, position: number): FrameError {
    const what = `a payload of ${bytes(payload)} is announced, ${limit}`;
    return new FrameError('ERR_FRAME_TOO_LONG', position, what + this.#suspicion(input, start, end));
  }

  #suspicion(input: Uint8Array, start: number, end: number): string {
    // A length of the user's own may be written in digits, and a header that is right may be text.
    const isDigits = this.fixed === undefined && !isVarint(this.#field as LengthField);
    const mayBeText = isDigits || this.header !== undefined;
    const other = lookalike(input.subarray(start, end), mayBeText);
    if (other !== '' || this.fixed === undefined) return other;
    const { width, littleEndian } = this.fixed;
    const fieldAt = start + this.lengthFieldOffset;
    const swapped = new FixedLengthField(width, !littleEndian).read(input, fieldAt);
    const payload = swapped + this.lengthAdjustment;
    // The other byte order is no hint where it gives the same length, or one that can't be right either.
    if (swapped === this.fixed.read(input, fieldAt)) return '';
    if (payload < Math.max(0, this.stripped - this.maxHeadLength) || payload > this.longest) return '';
    return `; read as ${littleEndian ? 'big' : 'little'}-endian it would be ${bytes(payload)}`;
  }

  /** Whether messages keep a length field of no fixed width: its width may change. */
  get keepsOwn(): boolean {
    return this.fixed === undefined && this.stripped !== WHOLE_HEAD;
  }

  /** How many of a message's first bytes are needed to write its head. */
  get keptAtMost(): number {
    return Math.max(0, this.maxHeadLength - this.strippedFrom(this.maxHeadLength));
  }

  /**
   * The beginning of the frame that carries a message: everything in front of the bytes of the message that follow unchanged.
   *
   * @param start the message, or its beginning: at least its first `keptAtMost` bytes
   * @param position where the frame begins in the stream
   * @throws FrameError when this format can't carry the message.
   */
  writeHead(start: Uint8Array, length: number, position: number): WrittenHead {
    if (this.fixed === undefined) return this.#writeOwnHead(start, length, position);
    const front = this.frontOf(length, position);
    const bytes = new Uint8Array(Math.max(front, this.maxHeadLength));
    const kept = bytes.length - front;
    bytes.set(start.subarray(0, kept), front);
    this.writeHeadInto(bytes, 0, front, length);
    return { bytes, kept };
  }

  /** Begins the trailer of a message that has this head. */
  beginTrailer(head: Uint8Array, position: number): Summing | undefined {
    const summing = this.trailer?.begin(position);
    const stripped = this.strippedFrom(head.length);
    return stripped < head.length ? summing?.update(head.subarray(stripped)) : summing;
  }

  /**
   * How many bytes are put in front of a message of this length, where {@link isInPlace} or the length field has a fixed width.
   *
   * @throws FrameError as {@link writeHead} does.
   */
  frontOf(messageLength: number, position: number): number {
    if (this.fixed === undefined) {
      this.#checkPayload(messageLength, messageLength, position);
      return this.lengthFieldOffset + varintWidth(messageLength - this.lengthAdjustment);
    }
    this.#checkPayload(this.stripped + messageLength - this.maxHeadLength, messageLength, position);
    return this.stripped;
  }

  /** Then writes the head at `at`. The message is there already, `front` bytes behind. */
  writeHeadInto(target: Uint8Array, at: number, front: number, messageLength: number): void {
    if (this.#hasFront) {
      if (this.#header !== undefined) target.set(this.#header, at);
      else target.fill(0, at, at + this.#frontLength);
    }
    const fieldAt = at + this.lengthFieldOffset;
    if (this.fixed === undefined) {
      writeVarint(messageLength - this.lengthAdjustment, target, fieldAt);
    } else {
      const payload = front + messageLength - this.maxHeadLength;
      this.fixed.write(payload - this.lengthAdjustment, target, fieldAt);
    }
  }

  #writeOwnHead(start: Uint8Array, messageLength: number, position: number): WrittenHead {
    if (this.stripped === WHOLE_HEAD) {
      this.#checkPayload(messageLength, messageLength, position);
      const field = this.#writeOwn(messageLength - this.lengthAdjustment, start, position);
      return { bytes: this.#frontLength === 0 ? field : concat([this.#front, field], uint8Arrays), kept: 0 };
    }
    // The message has a length field of its own.
    const fieldAt = this.lengthFieldOffset - this.stripped;
    const end = Math.min(start.length, fieldAt + (this.#field as LengthField).maxWidth);
    const stands = end > fieldAt ? this.#readOwn(start, fieldAt, end, position) : undefined;
    if (stands === undefined) {
      const what = `a message of ${bytes(messageLength)} was given, and must have a whole length field from byte ${fieldAt} on`;
      throw corrupt(position, what);
    }
    const kept = fieldAt + stands.width;
    const payload = messageLength - kept;
    this.#checkPayload(payload, messageLength, position);
    const length = payload - this.lengthAdjustment;
    // A length that is right stays as it is: it may be written in more bytes than it needs.
    if (stands.length === length) return { bytes: concat([this.#front, start.subarray(0, kept)], uint8Arrays), kept };
    return {
      bytes: concat([this.#front, start.subarray(0, fieldAt), this.#writeOwn(length, start, position)], uint8Arrays),
      kept,
    };
  }

  #writeOwn(length: number, message: Uint8Array, position: number): Uint8Array {
    const field = this.#field as LengthField;
    let written: Uint8Array;
    try {
      written = field.write(length, message);
    } catch (cause) {
      const what = `the length ${length} can't be written: ${reason(cause)}`;
      throw corrupt(position, what, { cause });
    }
    if (!isBytes(written) || written.length < 1 || written.length > field.maxWidth) {
      const allowed = `a Uint8Array of 1 to ${bytes(field.maxWidth)}`;
      const what = `'lengthField.write' returned ${typeOf(written)} for the length ${length}, and must return ${allowed}`;
      throw corrupt(position, what);
    }
    return written;
  }

  #checkPayload(payload: number, messageLength: number, position: number): void {
    if (payload > this.longest) {
      const limit =
        payload > this.maxPayloadLength
          ? `at most ${this.maxPayloadLength} are allowed (maxPayloadLength)`
          : `the length field can say at most ${this.longest}`;
      throw new FrameError('ERR_FRAME_TOO_LONG', position, `a payload of ${bytes(payload)} was given, ${limit}`);
    }
    if (payload < this.shortest) {
      const needed = messageLength - payload + this.shortest;
      const what = `a message of ${bytes(messageLength)} was given, this format needs at least ${needed}`;
      throw corrupt(position, what);
    }
  }
}

/** A number as an error shows it; any other value as `typeOf` does. */
function said(value: unknown): string {
  return typeof value === 'number' ? `${value}` : typeOf(value);
}

export function wholeNumber(name: string, value: unknown, min = 0): number {
  if (typeof value !== 'number') throw invalidType(name, 'of type number', value);
  if (!Number.isSafeInteger(value) || value < min) {
    throw outOfRange(name, `an integer >= ${min} and <= ${Number.MAX_SAFE_INTEGER}`, value);
  }
  return value;
}

/** A time in ms that timers of all platforms take. */
export function milliseconds(name: string, value: unknown): number {
  const most = 2 ** 31 - 1;
  if (wholeNumber(name, value) > most) throw outOfRange(name, `<= ${most}, in ms`, value);
  return value as number;
}

function checkedField(value: unknown): FixedLengthField | LengthField {
  if (typeof value === 'string') {
    const field = lengthFieldNamed(value);
    if (field === undefined) {
      // 'uint32' has no nearest name: both byte orders are as near.
      const other = value.toLowerCase().replace(/^(u?int(?!8$)\d+)$/, '$1le');
      const near = nearest(other, lengthFieldNames);
      const hint = near === undefined ? '' : `, the nearest is '${near}'`;
      throw invalidValue('lengthField', `one of '${lengthFieldNames.join("', '")}', or a LengthField${hint}`, value);
    }
    return field;
  }
  if (value === null || typeof value !== 'object') {
    throw invalidType('lengthField', "a name such as 'uint32be', or a LengthField", value);
  }
  const field = value as LengthField;
  for (const method of ['read', 'write'] as const) {
    if (typeof field[method] !== 'function') {
      throw invalidType(`lengthField.${method}`, 'of type function', field[method]);
    }
  }
  if (wholeNumber('lengthField.maxWidth', field.maxWidth, 1) > 1024) {
    throw outOfRange('lengthField.maxWidth', '<= 1024', field.maxWidth);
  }
  const { minLength = 0, maxLength = Number.MAX_SAFE_INTEGER } = field;
  wholeNumber('lengthField.maxLength', maxLength);
  if (wholeNumber('lengthField.minLength', minLength) > maxLength) {
    throw outOfRange('lengthField.minLength', `<= ${maxLength} (maxLength)`, minLength);
  }
  return field;
}
