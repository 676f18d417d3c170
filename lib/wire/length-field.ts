/** A length of fixed width: an unsigned integer of 8 to 64 bits, little-endian (`le`) or big-endian (`be`). */
export type FixedLengthFieldName = 'uint8' | `uint${16 | 24 | 32 | 40 | 48 | 56 | 64}${'le' | 'be'}`;

/** The length fields known by name. */
export type LengthFieldName = FixedLengthFieldName | 'varint';

/** A length field that was read. */
export interface LengthRead {
  /** Its value, in bytes. `lengthAdjustment` is added to it. */
  length: number;
  /** The number of bytes that the field takes. */
  width: number;
}

/**
 * A length field of your own, for lengths that are written in a way this package has no name for.
 *
 * Bitcoin's CompactSize up to 65,535, as an example:
 *
 * ```ts
 * const compactSize: LengthField = {
 *   maxWidth: 3,
 *   maxLength: 0xffff,
 *   read(bytes, start, end) {
 *     if (bytes[start] < 0xfd) return { length: bytes[start], width: 1 };
 *     if (bytes[start] > 0xfd) throw new Error('longer than 65,535');
 *     if (end - start < 3) return undefined;
 *     return { length: bytes[start + 1] | (bytes[start + 2] << 8), width: 3 };
 *   },
 *   write: (length) => (length < 0xfd ? Uint8Array.of(length) : Uint8Array.of(0xfd, length & 0xff, length >> 8)),
 * };
 * ```
 *
 * Some protocols begin with a message that always has the same length, here 12 bytes (see `formatAfter`). Its length field is
 * the message's own first byte, which is read as 12 whatever it is. For a message whose bytes are always the same, use `header`.
 *
 * ```ts
 * const version: FormatOptions = {
 *   lengthField: {
 *     maxWidth: 1,
 *     minLength: 12,
 *     maxLength: 12,
 *     read: () => ({ length: 12, width: 1 }),
 *     write: (length, message) => message.subarray(0, 1),
 *   },
 *   lengthAdjustment: -1,
 *   initialBytesToStrip: 0,
 * };
 * ```
 */
export interface LengthField {
  /** The most bytes that the field can take: 1 to 1,024. A field that has no end within them is `ERR_FRAME_CORRUPT`. */
  readonly maxWidth: number;
  /** The least length that the field can say, in bytes. Less is `ERR_FRAME_CORRUPT`. Default: 0. */
  readonly minLength?: number;
  /**
   * The greatest length that the field can say, in bytes. To write a message that needs more is `ERR_FRAME_TOO_LONG`. Default:
   * `Number.MAX_SAFE_INTEGER`.
   */
  readonly maxLength?: number;
  /**
   * Reads the field that begins at `bytes[start]`. At least one byte is there; the bytes from `end` on do not belong to it.
   * `bytes` may be a plain `Uint8Array`, also in Node's streams: do not use the methods of a `Buffer`.
   *
   * @returns the length and the field's width in bytes, or `undefined` when the field goes on past `end`.
   * @throws on bytes that can't be a length: the stream fails with `ERR_FRAME_CORRUPT`, and what was thrown as `cause`.
   */
  read(bytes: Uint8Array, start: number, end: number): LengthRead | undefined;
  /**
   * Writes the field. It is called once for each message, unless the message keeps its length field and has the right
   * length in it.
   *
   * @param message the message's bytes, for a length whose form depends on them. Of a message in parts, they are at least the
   * first part. Of a `{ length, body }`, they are its first bytes if it keeps its length field, and none otherwise. They
   * must not be changed.
   * @returns `length` as this field writes it, in 1 to `maxWidth` bytes.
   */
  write(length: number, message: Uint8Array): Uint8Array;
}

/** A length of fixed width, read and written in place. */
export class FixedLengthField {
  readonly width: number;
  readonly littleEndian: boolean;
  readonly maxLength: number;

  constructor(width: number, littleEndian: boolean) {
    this.width = width;
    this.littleEndian = littleEndian;
    this.maxLength = Math.min(2 ** (8 * width) - 1, Number.MAX_SAFE_INTEGER);
  }

  /** The length at `bytes[start]`. Past `Number.MAX_SAFE_INTEGER` it is rounded, never down to it or below. */
  read(bytes: Uint8Array, start: number): number {
    // The two that most formats have, without a loop.
    if (this.width === 4) {
      return this.littleEndian
        ? (bytes[start]! | (bytes[start + 1]! << 8) | (bytes[start + 2]! << 16) | (bytes[start + 3]! << 24)) >>> 0
        : ((bytes[start]! << 24) | (bytes[start + 1]! << 16) | (bytes[start + 2]! << 8) | bytes[start + 3]!) >>> 0;
    }
    if (this.width === 2) {
      return this.littleEndian ? bytes[start]! | (bytes[start + 1]! << 8) : (bytes[start]! << 8) | bytes[start + 1]!;
    }
    let length = 0;
    if (this.littleEndian) {
      for (let at = start + this.width - 1; at >= start; at--) length = length * 256 + bytes[at]!;
    } else {
      const end = start + this.width;
      for (let at = start; at < end; at++) length = length * 256 + bytes[at]!;
    }
    return length;
  }

  write(length: number, bytes: Uint8Array, start: number): void {
    if (this.width === 4) {
      bytes[this.littleEndian ? start : start + 3] = length;
      bytes[this.littleEndian ? start + 1 : start + 2] = length >>> 8;
      bytes[this.littleEndian ? start + 2 : start + 1] = length >>> 16;
      bytes[this.littleEndian ? start + 3 : start] = length >>> 24;
      return;
    }
    let rest = length;
    for (let i = 0; i < this.width; i++) {
      bytes[this.littleEndian ? start + i : start + this.width - 1 - i] = rest % 256;
      rest = Math.floor(rest / 256);
    }
  }
}

/**
 * Unsigned LEB128: seven bits a byte, least significant first, the top bit set on all bytes but the last; ten bytes at
 * the most. Longer forms of a small number are read, and never written.
 *
 * https://protobuf.dev/programming-guides/encoding/#varints
 */
export const varint: LengthField = {
  maxWidth: 10,
  read(bytes, start, end) {
    let length = 0;
    let scale = 1;
    for (let at = start; at < end; at++) {
      const byte = bytes[at]!;
      length += (byte & 0x7f) * scale;
      if (byte < 0x80) return { length, width: at + 1 - start };
      scale *= 128;
    }
    return undefined;
  },
  write(length) {
    const bytes = new Uint8Array(varintWidth(length));
    writeVarint(length, bytes, 0);
    return bytes;
  },
};

/** The number of bytes that a varint takes. */
export function varintWidth(length: number): number {
  let width = 1;
  for (let most = 128; most <= length; most *= 128) width++;
  return width;
}

export function writeVarint(length: number, bytes: Uint8Array, start: number): void {
  let rest = length;
  let at = start;
  for (; rest >= 128; at++) {
    bytes[at] = (rest % 128) | 0x80;
    rest = Math.floor(rest / 128);
  }
  bytes[at] = rest;
}

const named = new Map<string, FixedLengthField | LengthField>([
  ['uint8', new FixedLengthField(1, true)],
  ['varint', varint],
]);
for (const width of [2, 3, 4, 5, 6, 7, 8]) {
  named.set(`uint${8 * width}le`, new FixedLengthField(width, true));
  named.set(`uint${8 * width}be`, new FixedLengthField(width, false));
}

/** The names of all named length fields. */
export const lengthFieldNames: readonly string[] = [...named.keys()];

/** The length field of that name, if there is one. */
export function lengthFieldNamed(name: string): FixedLengthField | LengthField | undefined {
  return named.get(name);
}
