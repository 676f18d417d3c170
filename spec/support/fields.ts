import type { FormatOptions, LengthField } from '../../lib/index.js';

/** The bytes of Protocol Buffers' varint, not written with the code under test. */
export function varintOf(length: number): Buffer {
  const bytes: number[] = [];
  let rest = length;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return Buffer.from([...bytes, rest]);
}

/** Bitcoin's CompactSize: https://developer.bitcoin.org/reference/transactions.html#compactsize-unsigned-integers */
export const compactSize = {
  maxWidth: 9,
  read(bytes, start, end) {
    const first = bytes[start]!;
    if (first < 0xfd) return { length: first, width: 1 };
    const width = 1 + 2 ** (first - 0xfc);
    if (end - start < width) return undefined;
    let length = 0;
    for (let at = start + width - 1; at > start; at--) length = length * 256 + bytes[at]!;
    return { length, width };
  },
  write(length) {
    if (length < 0xfd) return Uint8Array.of(length);
    const bytes = Buffer.alloc(9);
    bytes.writeBigUInt64LE(BigInt(length), 1);
    const [first, width] = length <= 0xffff ? [0xfd, 3] : length <= 0xffffffff ? [0xfe, 5] : [0xff, 9];
    bytes[0] = first;
    return bytes.subarray(0, width);
  },
} satisfies LengthField;

/** QUIC's variable-length integer: RFC 9000, section 16. */
export const quic = {
  maxWidth: 8,
  maxLength: 2 ** 53 - 1,
  read(bytes, start, end) {
    const width = 1 << (bytes[start]! >> 6);
    if (end - start < width) return undefined;
    let length = bytes[start]! & 0x3f;
    for (let at = start + 1; at < start + width; at++) length = length * 256 + bytes[at]!;
    return { length, width };
  },
  write(length) {
    const power = length < 2 ** 6 ? 0 : length < 2 ** 14 ? 1 : length < 2 ** 30 ? 2 : 3;
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(BigInt(length));
    const field = bytes.subarray(8 - (1 << power));
    field[0]! |= power << 6;
    return field;
  },
} satisfies LengthField;

/** syslog's octet count: decimal digits and a space. RFC 6587, section 3.4.1. */
export const octetCount = {
  maxWidth: 17,
  read(bytes, start, end) {
    let length = 0;
    for (let at = start; at < end; at++) {
      if (bytes[at] === 0x20 && at > start) return { length, width: at + 1 - start };
      const digit = bytes[at]! - 0x30;
      if (digit < 0 || digit > 9) throw new Error(`byte ${bytes[at]} is no digit`);
      length = length * 10 + digit;
    }
    return undefined;
  },
  write: (length) => Buffer.from(`${length} `),
} satisfies LengthField;

/** A message ends with `last`, such as a line: all of it is its length field, and nothing follows. */
export function upTo(last: string) {
  return {
    initialBytesToStrip: 0,
    lengthField: {
      maxWidth: 1024,
      maxLength: 0,
      read(bytes, start, end) {
        const at = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).indexOf(last);
        return at === -1 ? undefined : { length: 0, width: at + last.length };
      },
      write() {
        throw new Error(`a message ends with ${JSON.stringify(last)}`);
      },
    },
  } satisfies FormatOptions;
}
