/** Protocols whose connections do not begin in the format of the rest, as the tap knows them. */
import { type FormatOptions, formats, type LengthRead } from 'length-prefix';
import { trailerWidth } from './format.js';

/** How one direction begins. The bytes of each message tell which one it is, whatever the other direction has said. */
export interface Opening {
  /** Where the head of a message ends, and how many bytes follow; undefined when it takes more bytes to know. */
  read(head: Buffer): LengthRead | undefined;
  /** The format of all that follows a message; undefined: the opening goes on. */
  after(message: Buffer, usual: FormatOptions): FormatOptions | undefined;
}

const typeOf = (message: Buffer) => message.toString('latin1', 0, 1);
const [TLS_HANDSHAKE, GSS_TOKEN] = ['\x16', 0x60];
const requests = ['04d2162f', '04d21630']; // SSLRequest, GSSENCRequest
const amqp: Opening = {
  // `AMQP` 0 0 9 1, which a server sends back to a client of a version that it does not know.
  read: (head) => (typeOf(head) === 'A' ? { length: 7, width: 1 } : lengthAt(head, 3, 4, 1)),
  after: (_, usual) => usual,
};

/** By the name of their format. */
export const openings: Partial<Record<string, Record<'->' | '<-', Opening>>> = {
  amqp: { '->': amqp, '<-': amqp },
  // https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL
  postgres: {
    '->': {
      read(head) {
        if (typeOf(head) === TLS_HANDSHAKE) return lengthAt(head, 3, 2);
        return head.length < 5 ? undefined : lengthAt(head, 0, 4, head[4] === GSS_TOKEN ? 0 : -4);
      },
      after(message, usual) {
        if (typeOf(message) === TLS_HANDSHAKE) return formats.tls;
        if (message[4] === GSS_TOKEN) return formats.erlangPacket4;
        return requests.includes(message.toString('hex', 4, 8)) ? undefined : usual;
      },
    },
    // One byte that answers a request, S, N or G; or an error; or R, which begins the authentication.
    '<-': {
      read(head) {
        if ('SNG'.includes(typeOf(head))) return { length: 0, width: 1 };
        return typeOf(head) === TLS_HANDSHAKE ? lengthAt(head, 3, 2) : lengthAt(head, 1, 4, -4);
      },
      after: (message, R) => ({ S: formats.tls, '\x16': formats.tls, G: formats.erlangPacket4, R })[typeOf(message)],
    },
  },
};

/** For a decoder: its messages keep all that is in front of their length, whatever it is, and the trailer. */
export function whole({ trailer, header, headerMask, ...format }: FormatOptions, opening?: Opening): FormatOptions {
  const { lengthAdjustment = 0, maxPayloadLength = 16_777_216 } = format;
  const width = trailerWidth({ trailer });
  const limit = { initialBytesToStrip: 0, maxPayloadLength: maxPayloadLength + width };
  if (opening === undefined) return { ...format, ...limit, lengthAdjustment: lengthAdjustment + width };
  const read = (bytes: Uint8Array, start: number, end: number) => opening.read(Buffer.from(bytes.subarray(start, end)));
  return { ...limit, lengthField: { maxWidth: 7, read, write: () => new Uint8Array() } };
}

/** A length that ends the head, and what is to be added to it. */
function lengthAt(head: Buffer, at: number, width: number, more = 0): LengthRead | undefined {
  if (head.length < at + width) return undefined;
  return { length: head.readUIntBE(at, width) + more, width: at + width };
}
