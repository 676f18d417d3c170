import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import type { Checksum, FormatOptions, LengthField, LengthFieldName } from '../index.js';
import { formatOf } from '../wire/format.js';
import { FixedLengthField, lengthFieldNamed, lengthFieldNames } from '../wire/length-field.js';
import { checkKnown } from '../wire/options.js';

/** The most bytes by which a message is longer than the shortest one of its format. */
const MOST = 5000;
const MOST_MESSAGES = 12;
/** Most messages are not longer. This includes the lengths at which a prefix gets wider, or a signed byte negative. */
const FEW = 300;
const MOST_IN_FRONT = 16;

/**
 * An arbitrary for fast-check: the options of any valid format, for a decoder and an encoder.
 *
 * @param lengthFields the length fields to choose from. Default: all that have a name.
 */
export function anyFormat(
  lengthFields: readonly (LengthFieldName | LengthField)[] = named,
): fc.Arbitrary<FormatOptions> {
  const options = fc.record(
    {
      lengthField: fc.constantFrom(...lengthFields),
      lengthFieldOffset: fc.nat(5),
      lengthAdjustment: fc.integer({ min: -12, max: 12 }),
      initialBytesToStrip: fc.nat(MOST_IN_FRONT),
      trailer: fc.oneof(fc.uint8Array({ minLength: 1, maxLength: 5 }), fc.constant(adler32)),
      maxPayloadLength: fc.integer({ min: 12, max: 100_000 }),
      minPayloadLength: fc.nat(12),
    },
    { requiredKeys: ['lengthField'] },
  );
  const bytes = fc.uint8Array({ minLength: MOST_IN_FRONT, maxLength: MOST_IN_FRONT });
  const header = fc.record({ header: bytes, headerMask: bytes }, { requiredKeys: ['header'] });
  return fc.tuple(options.filter(isValid), fc.option(header, { nil: {} })).map(([format, front]) => {
    const length = headerLength(format);
    const cut = Object.entries(front).map(([name, each]) => [name, each.slice(0, length)]);
    return { ...format, ...Object.fromEntries(cut) };
  });
}

const named = lengthFieldNames as LengthFieldName[];

/** The checksum of zlib. RFC 1950, section 8.2. */
const adler32: Checksum<number> = {
  width: 4,
  update(sum = 1, bytes) {
    let low = sum & 0xffff;
    let high = sum >>> 16;
    for (const byte of bytes) {
      low = (low + byte) % 65_521;
      high = (high + low) % 65_521;
    }
    return ((high << 16) | low) >>> 0;
  },
  final: (sum = 1) => Uint8Array.of(sum >>> 24, sum >>> 16, sum >>> 8, sum),
};

function isValid(options: FormatOptions): boolean {
  try {
    formatOf(options);
    return true;
  } catch {
    return false;
  }
}

function headerLength(options: FormatOptions): number {
  const format = formatOf(options);
  return format.stripped < 0 ? format.lengthFieldOffset : format.stripped;
}

/**
 * An arbitrary for fast-check: up to 12 messages that the format can carry. Some are empty, many small, and some have a
 * few KiB. A message that keeps its length field, because of `initialBytesToStrip`, contains its correct length, so
 * that a decoder hands out the same message.
 *
 * @param format the options of the format. Default: the default format.
 */
export function anyMessages(format: FormatOptions = {}): fc.Arbitrary<Buffer[]> {
  checkKnown(format);
  const { stripped, maxHeadLength, lengthFieldOffset, lengthAdjustment, shortest, longest, fixed } = formatOf(format);
  const { lengthField = 'uint32le' } = format;
  const field = typeof lengthField === 'string' ? lengthFieldNamed(lengthField)! : lengthField;
  const least = Math.max(shortest, fixed === undefined ? 0 : stripped - maxHeadLength);
  const most = Math.min(longest, least + MOST);

  const size = fc.oneof(
    fc.integer({ min: least, max: Math.min(most, least + 1) }),
    fc.integer({ min: least, max: Math.min(most, least + FEW) }),
    fc.integer({ min: least, max: most }),
  );
  const message = fc.tuple(size, fc.integer()).map(([length, seed]) => {
    const payload = Buffer.from(Array.from({ length }, (_, i) => (seed >> (i % 24)) + i));
    const front = Buffer.alloc(lengthFieldOffset, 0xb0);
    // An encoder is given zeros in the place of a length that the message keeps.
    const zeros = Buffer.alloc(maxHeadLength - lengthFieldOffset);
    const given = stripped < 0 ? payload : Buffer.concat([front, zeros, payload]).subarray(stripped);
    const bytes = lengthBytes(field, length - lengthAdjustment, given);
    const frame = Buffer.concat([front, bytes, payload]);
    return frame.subarray(stripped < 0 ? lengthFieldOffset + bytes.length : stripped);
  });
  return fc.array(message, { maxLength: MOST_MESSAGES });
}

function lengthBytes(field: FixedLengthField | LengthField, length: number, message: Uint8Array): Uint8Array {
  if (!(field instanceof FixedLengthField)) return field.write(length, message);
  const bytes = new Uint8Array(field.width);
  field.write(length, bytes, 0);
  return bytes;
}
