import fc from 'fast-check';
import { anyCut, anyFormat, anyMessages } from '../../lib/fuzz/index.js';
import type { FormatOptions, LengthFieldName } from '../../lib/index.js';
import { FixedLengthField, lengthFieldNamed, lengthFieldNames } from '../../lib/wire/length-field.js';
import { compactSize, octetCount, quic } from '../support/fields.js';

/** A format and messages that it can carry, with the frames they should become. */
export interface Conversation {
  options: FormatOptions;
  messages: Buffer[];
  frames: Buffer[];
}

/** The bytes of a conversation, or of its beginning, and a way to cut them. */
export interface CutConversation extends Conversation {
  wire: Buffer;
  chunks: Buffer[];
}

const formats = anyFormat([...(lengthFieldNames as LengthFieldName[]), compactSize, quic, octetCount]);

/** A frame built by hand, by what DESIGN says of one and not with the code under test. */
function frameOf({ trailer, ...options }: FormatOptions, message: Buffer): Buffer {
  return Buffer.concat([untrailed(options, message), trailerOf(trailer, message)]);
}

/** The trailer of a message, which is given to a checksum in one part. */
function trailerOf(trailer: FormatOptions['trailer'], message: Uint8Array): Uint8Array {
  if (trailer === undefined || trailer instanceof Uint8Array) return trailer ?? Buffer.alloc(0);
  return trailer.final(message.length > 0 ? trailer.update(undefined, message) : undefined);
}

function untrailed({ lengthField = 'uint32le', header, ...options }: FormatOptions, message: Buffer): Buffer {
  const { lengthFieldOffset = 0, lengthAdjustment = 0, initialBytesToStrip } = options;
  const field = typeof lengthField === 'string' ? lengthFieldNamed(lengthField)! : lengthField;
  if (!(field instanceof FixedLengthField)) {
    const front = header ?? Buffer.alloc(initialBytesToStrip ?? lengthFieldOffset);
    // A message that is to keep its length has it.
    if (initialBytesToStrip !== undefined) return Buffer.concat([front, message]);
    return Buffer.concat([front, field.write(message.length - lengthAdjustment, message), message]);
  }
  const headLength = lengthFieldOffset + field.width;
  const frame = Buffer.concat([header ?? Buffer.alloc(initialBytesToStrip ?? headLength), message]);
  const length = Buffer.alloc(8);
  const value = BigInt(frame.length - headLength - lengthAdjustment);
  if (field.littleEndian) length.writeBigUInt64LE(value);
  else length.writeBigUInt64BE(value);
  frame.set(field.littleEndian ? length.subarray(0, field.width) : length.subarray(-field.width), lengthFieldOffset);
  return frame;
}

/** Any format, and messages it can carry: empty, small, some of a few KiB. */
export const conversations: fc.Arbitrary<Conversation> = formats.chain((options) =>
  anyMessages(options).map((messages) => ({
    options,
    messages,
    frames: messages.map((message) => frameOf(options, message)),
  })),
);

/** Conversations, their bytes, and a way to cut those. */
export const cutConversations: fc.Arbitrary<CutConversation> = conversations.chain((conversation) =>
  withCut(conversation, Buffer.concat(conversation.frames)),
);

/** The same, but the bytes may end anywhere. */
export const truncatedConversations: fc.Arbitrary<CutConversation> = conversations.chain((conversation) => {
  const wire = Buffer.concat(conversation.frames);
  return fc.nat(wire.length).chain((length) => withCut(conversation, wire.subarray(0, length)));
});

function withCut(conversation: Conversation, wire: Buffer): fc.Arbitrary<CutConversation> {
  return anyCut(wire, { boundaries: conversation.options }).map((chunks) => ({ ...conversation, wire, chunks }));
}
