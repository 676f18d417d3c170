/** What the tap knows of protocols whose connections do not begin in the format of the rest. */
import { type FormatOptions, formats, type LengthField } from 'length-prefix';

/** From the client to the server, or back. */
export type Direction = '->' | '<-';
type Formats = Record<Direction, FormatOptions>;

interface Opening {
  /** The format of the first message in each direction. */
  readonly first: Formats;
  /** The formats that change behind a message in this format that begins with these bytes. */
  after(format: FormatOptions, bytes: Buffer): Partial<Formats>;
}

/** A server's answer to a client that asks for encryption: one byte. Of old, a message with an error. */
const postgresAnswer: FormatOptions = {
  lengthField: {
    maxWidth: 5,
    read(bytes, start, end) {
      return bytes[start] === 0x45 ? readHead(formats.postgres, bytes, start, end) : { length: 0, width: 1 };
    },
    write: notWritten,
  },
};

/** A frame, or what a client sends in front of its frames and a server answers to others than it knows: `AMQP` 0 0 9 1. */
const amqpFrame: FormatOptions = {
  lengthFieldOffset: 3,
  lengthField: {
    maxWidth: 7,
    read(bytes, start, end) {
      return bytes[start] === 0x41 ? { length: 7, width: 1 } : readHead(withTrailer(formats.amqp), bytes, start, end);
    },
    write: notWritten,
  },
};

/** By the name of their format. */
const openings: Partial<Record<string, Opening>> = {
  amqp: { first: { '->': amqpFrame, '<-': amqpFrame }, after: () => ({}) },
  // https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL
  postgres: {
    first: { '->': formats.postgresStartup, '<-': formats.postgres },
    after(format, bytes) {
      if (format === formats.postgresStartup) {
        const isRequest = ['04d2162f', '04d21630'].includes(bytes.toString('hex', 4, 8)); // SSLRequest, GSSENCRequest
        return isRequest ? { '<-': postgresAnswer } : { '->': formats.postgres };
      }
      if (format !== postgresAnswer) return {};
      const encrypted = { S: formats.tls, G: formats.erlangPacket4 }[bytes.toString('latin1', 0, 1)];
      // After any other answer the client goes on with another start-up message, or hangs up.
      return encrypted ? { '->': encrypted, '<-': encrypted } : { '<-': formats.postgres };
    },
  },
};

/** How many of a message's first bytes `Conversation.saw` needs. */
export const BYTES_SEEN = 8;

/** The formats of one connection, as they change. */
export class Conversation {
  readonly #opening: Opening | undefined;
  readonly #formats: Formats;
  readonly #usual: FormatOptions;

  /** `protocol`: the name of the format, if it has one. */
  constructor(format: FormatOptions, protocol: string | undefined) {
    this.#usual = format;
    this.#opening = openings[protocol ?? ''];
    this.#formats = this.#opening ? { ...this.#opening.first } : { '->': format, '<-': format };
  }

  /** For a decoder of one direction: of messages with all that is in front of their length. */
  format(direction: Direction): FormatOptions {
    if (this.#opening === undefined) return { ...withTrailer(this.#usual), initialBytesToStrip: 0 };
    const { maxPayloadLength } = withTrailer(this.#usual);
    // What is in front of the next length is known only when its bytes are there: they are taken for a part of it.
    const lengthField: LengthField = {
      maxWidth: 7,
      read: (bytes, start, end) => readHead(this.#formats[direction], bytes, start, end),
      write: notWritten,
    };
    return { lengthField, initialBytesToStrip: 0, maxPayloadLength };
  }

  /** To be called with the first bytes of each message, before the next one is decoded. Returns what it was in. */
  saw(direction: Direction, bytes: Buffer): FormatOptions {
    const format = this.#formats[direction];
    Object.assign(this.#formats, this.#opening?.after(format, bytes));
    return format;
  }
}

/** The same format, with the trailer as the last bytes of each message. */
function withTrailer({ trailer, ...format }: FormatOptions): FormatOptions {
  if (trailer === undefined) return format;
  const { lengthAdjustment = 0, maxPayloadLength = 16_777_216 } = format;
  const width = trailer instanceof Uint8Array ? trailer.length : trailer.width;
  return { ...format, lengthAdjustment: lengthAdjustment + width, maxPayloadLength: maxPayloadLength + width };
}

/** Reads all up to the end of the length, which is big-endian in all formats above. */
function readHead(format: FormatOptions, bytes: Uint8Array, start: number, end: number) {
  const { lengthField, lengthFieldOffset = 0, lengthAdjustment = 0 } = format;
  if (typeof lengthField === 'object') return lengthField.read(bytes, start, end);
  const fieldAt = start + lengthFieldOffset;
  const fieldWidth = Number(lengthField?.replace(/\D/g, '')) / 8;
  if (end - fieldAt < fieldWidth) return undefined;
  const length = Buffer.from(bytes.subarray(fieldAt, fieldAt + fieldWidth)).readUIntBE(0, fieldWidth);
  return { length: length + lengthAdjustment, width: lengthFieldOffset + fieldWidth };
}

function notWritten(): never {
  throw new Error('A tap only reads');
}
