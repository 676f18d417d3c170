import fc from 'fast-check';
import { formatOf } from '../../lib/format.js';
import type { FormatOptions, LengthField } from '../../lib/index.js';
import { FixedLengthField, lengthFieldNamed, lengthFieldNames } from '../../lib/length-field.js';
import { compactSize, octetCount, quic } from '../support/fields.js';

/** A format and messages that it can carry, with the frames they should become. */
export interface Conversation {
  options: FormatOptions;
  messages: Buffer[];
  frames: Buffer[];
}

type Field = FixedLengthField | LengthField;

const field: fc.Arbitrary<NonNullable<FormatOptions['lengthField']>> = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...(lengthFieldNames as 'varint'[])) },
  { weight: 1, arbitrary: fc.constantFrom(compactSize, quic, octetCount) },
);

/** Any valid format. */
export const formats: fc.Arbitrary<FormatOptions> = field
  .chain((lengthField) =>
    fc.record(
      {
        lengthField: fc.constant(lengthField),
        lengthFieldOffset: fc.nat(5),
        lengthAdjustment: fc.integer({ min: -12, max: 12 }),
        initialBytesToStrip: fc.nat(16),
        maxPayloadLength: fc.integer({ min: 12, max: 100_000 }),
      },
      { requiredKeys: ['lengthField'] },
    ),
  )
  .filter((options) => {
    try {
      formatOf(options);
      return true;
    } catch {
      return false;
    }
  })
  .chain((options) => {
    const length = stripOf(options) ?? options.lengthFieldOffset ?? 0;
    const header = fc.uint8Array({ minLength: length, maxLength: length });
    return fc.option(header, { nil: undefined }).map((chosen) => (chosen ? { ...options, header: chosen } : options));
  });

function fieldOf(options: FormatOptions): Field {
  const { lengthField = 'uint32le' } = options;
  return typeof lengthField === 'string' ? lengthFieldNamed(lengthField)! : lengthField;
}

function stripOf({ lengthFieldOffset = 0, initialBytesToStrip, ...options }: FormatOptions): number | undefined {
  const known = fieldOf(options);
  return initialBytesToStrip ?? (known instanceof FixedLengthField ? lengthFieldOffset + known.width : undefined);
}

function lengthBytes(known: Field, length: number): Uint8Array {
  if (!(known instanceof FixedLengthField)) return known.write(length);
  // Not with the code under test.
  const bytes = Buffer.alloc(8);
  if (known.littleEndian) bytes.writeBigUInt64LE(BigInt(length));
  else bytes.writeBigUInt64BE(BigInt(length));
  return known.littleEndian ? bytes.subarray(0, known.width) : bytes.subarray(8 - known.width);
}

/** A frame built by hand, by what DESIGN says of one: the parts of it that are free, and the length that fits. */
function frameOf(options: FormatOptions, before: Uint8Array, payload: Uint8Array): Buffer {
  const known = fieldOf(options);
  return Buffer.concat([before, lengthBytes(known, payload.length - (options.lengthAdjustment ?? 0)), payload]);
}

/** Any format, and messages it can carry: empty, small, some of a few KiB. */
export const conversations: fc.Arbitrary<Conversation> = formats.chain((options) => {
  const { lengthFieldOffset = 0, lengthAdjustment = 0, maxPayloadLength = 100_000, header } = options;
  const known = fieldOf(options);
  const strip = stripOf(options);
  const fixedHead = known instanceof FixedLengthField ? lengthFieldOffset + known.width : lengthFieldOffset;
  const least = Math.max(0, lengthAdjustment, (strip ?? 0) - fixedHead);
  const most = Math.min(maxPayloadLength, (known.maxLength ?? Number.MAX_SAFE_INTEGER) + lengthAdjustment, 5000);
  const size = fc.oneof(
    fc.constantFrom(least, Math.min(most, least + 1)),
    fc.integer({ min: least, max: Math.min(most, least + 300) }),
    fc.integer({ min: least, max: most }),
  );
  const frame = fc.tuple(size, fc.integer()).map(([length, seed]) => {
    const before = Buffer.alloc(lengthFieldOffset, 0xb0);
    const payload = Buffer.from(Array.from({ length }, (_, i) => (seed >> (i % 24)) + i));
    const stripped = strip ?? lengthFieldOffset;
    // What is stripped is the header's, what is not the message's.
    before.set((header ?? new Uint8Array(stripped)).subarray(0, Math.min(stripped, lengthFieldOffset)));
    if (strip !== undefined && strip > fixedHead) {
      payload.set((header ?? new Uint8Array(strip)).subarray(fixedHead));
    }
    return frameOf(options, before, payload);
  });
  return fc.array(frame, { maxLength: 12 }).map((frames) => ({
    options,
    frames,
    messages: frames.map((whole) => whole.subarray(strip ?? whole.length - payloadLength(options, whole))),
  }));
});

function payloadLength(options: FormatOptions, frame: Buffer): number {
  const known = fieldOf(options) as LengthField;
  const at = options.lengthFieldOffset ?? 0;
  return known.read(frame, at, frame.length)!.length + (options.lengthAdjustment ?? 0);
}

/** Any way of cutting `length` bytes: the lengths of the chunks, empty and one-byte chunks included. */
export function cuts(length: number): fc.Arbitrary<number[]> {
  const size = fc.oneof(fc.constantFrom(0, 1), fc.nat(8), fc.nat(Math.max(1, length)));
  return fc.array(size, { maxLength: 40 });
}

/** `bytes` in chunks of these sizes, each in memory of its own; the rest in one. */
export function cut(bytes: Uint8Array, sizes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  let at = 0;
  for (const size of sizes) {
    chunks.push(Buffer.from(bytes.subarray(at, at + size)));
    at += Math.min(size, bytes.length - at);
  }
  chunks.push(Buffer.from(bytes.subarray(at)));
  return chunks;
}

/** Conversations, their bytes, and the sizes to cut those into. */
export const cutConversations = conversations.chain((conversation) => {
  const wire = Buffer.concat(conversation.frames);
  return cuts(wire.length).map((sizes) => ({ ...conversation, wire, sizes }));
});
