/** Length fields of known protocols, which `formats` uses. */
import { hex } from './errors.js';
import { FixedLengthField, type LengthField, varint } from './length-field.js';

/** One character up to ff for each byte, and one byte for each such character. */
const textOf = (bytes: Uint8Array, start: number, end: number) => String.fromCharCode(...bytes.subarray(start, end));
export const bytesOf = (text: string) => Uint8Array.from(text, (each) => each.charCodeAt(0));

/** MQTT's "remaining length": a varint of at most four bytes. MQTT 5.0, section 1.5.5. */
export const mqttLength: LengthField = Object.freeze({ ...varint, maxWidth: 4, maxLength: 268_435_455 });

/** Whether a length field is written as `writeVarint` does. */
export function isVarint(field: LengthField): boolean {
  return field === varint || field === mqttLength;
}

const uint16be = new FixedLengthField(2, false);

/** The least lengths that CompactSize has 2, 4 and 8 bytes for. */
const leastCompact = [0xfd, 0x1_0000, 0x1_0000_0000];

/**
 * Bitcoin's CompactSize: one byte up to 252; then 0xfd, 0xfe or 0xff and 2, 4 or 8 bytes, little-endian. As Bitcoin Core
 * does, it refuses a number in more bytes than it needs.
 *
 * https://developer.bitcoin.org/reference/transactions.html#compactsize-unsigned-integers
 */
export const compactSize: LengthField = Object.freeze({
  maxWidth: 9,
  read(bytes: Uint8Array, start: number, end: number) {
    const first = bytes[start]!;
    if (first < 0xfd) return { length: first, width: 1 };
    const width = 1 << (first - 0xfc);
    if (end - start <= width) return undefined;
    const length = new FixedLengthField(width, true).read(bytes, start + 1);
    if (length < leastCompact[first - 0xfd]!)
      throw new Error(`${length} is written in ${1 + width} bytes, and needs fewer`);
    return { length, width: 1 + width };
  },
  write(length: number) {
    if (length < 0xfd) return Uint8Array.of(length);
    const power = length <= 0xffff ? 1 : length <= 0xffff_ffff ? 2 : 3;
    const bytes = new Uint8Array(1 + (1 << power));
    bytes[0] = 0xfc + power;
    new FixedLengthField(1 << power, true).write(length, bytes, 1);
    return bytes;
  },
});

/** A length in decimal digits without zeros in front, and the character behind them; `name` is the name of that character. */
function decimalLength(character: string, name: string, minLength = 0): LengthField {
  const last = character.charCodeAt(0);
  return Object.freeze({
    maxWidth: 17,
    minLength,
    read(bytes: Uint8Array, start: number, end: number) {
      let length = 0;
      for (let at = start; at < end; at++) {
        const byte = bytes[at]!;
        if (byte === last && at > start) return { length, width: at + 1 - start };
        const digit = byte - 0x30;
        const isZeroInFront = length === 0 && at > start;
        if (!(digit >= 0 && digit <= 9) || isZeroInFront) {
          const found = JSON.stringify(textOf(bytes, start, at + 1));
          throw new Error(`${found} does not begin a decimal number and a ${name}`);
        }
        length = length * 10 + digit;
      }
      return undefined;
    },
    write: (length: number) => bytesOf(`${length}${character}`),
  });
}

/**
 * syslog's octet count: a decimal number and a space, and never 0. RFC 6587, section 3.4.1. rsyslogd would take all bytes
 * behind a 0 for lines without counts.
 */
export const octetCount = decimalLength(' ', 'space', 1);

/** A netstring's length: a decimal number with no zeros in front, and a colon. https://cr.yp.to/proto/netstrings.txt */
export const netstringLength = decimalLength(':', 'colon');

/**
 * The two lengths of a FastCGI record: of its content, in two bytes, and of the padding behind the content, in the third
 * byte. The fourth byte is reserved. Messages begin with the head, and the last two bytes are written as the message has
 * them. FastCGI 1.0, section 3.3.
 */
export const fastcgiLengths: LengthField = Object.freeze({
  maxWidth: 4,
  maxLength: 65_535 + 255,
  read(bytes: Uint8Array, start: number, end: number) {
    if (end - start < 4) return undefined;
    return { length: uint16be.read(bytes, start) + bytes[start + 2]!, width: 4 };
  },
  write(length: number, message: Uint8Array) {
    const [padding = 0, reserved = 0] = message.subarray(6, 8);
    const content = length - padding;
    if (content < 0 || content > uint16be.maxLength) {
      throw new Error(`with ${padding} bytes of padding the content has ${content} bytes, and must have 0 to 65535`);
    }
    const bytes = Uint8Array.of(0, 0, padding, reserved);
    uint16be.write(content, bytes, 0);
    return bytes;
  },
});

const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const COLON = 0x3a;
const SEQUENCE = 0x30;

/** Whether a byte may be in a header's name: a token of RFC 9110, section 5.6.2. */
const isInName = (byte: number) =>
  byte > 0x20 && byte < 0x7f && !'"(),/:;<=>?@[\\]{}'.includes(String.fromCharCode(byte));

const shown = (text: string) => JSON.stringify(text.slice(-60));

/**
 * The header block of the Language Server Protocol and the Debug Adapter Protocol, as HTTP writes one: lines that end with
 * CR LF, and an empty line. `Content-Length` is the length; its name may be in any case. It may be there only once: readers do
 * not agree on which of two counts. Other headers are ignored. A bare CR or LF is refused, as is a byte that is not ASCII.
 *
 * https://microsoft.github.io/language-server-protocol/specifications/lsp/3.17/specification/#headerPart
 */
export const contentLength: LengthField = Object.freeze({
  maxWidth: 1024,
  read(bytes: Uint8Array, start: number, end: number) {
    let length: number | undefined;
    let lineAt = start;
    /** Behind the colon; 0 inside a name. */
    let valueAt = 0;
    for (let at = start; at < end; at++) {
      const byte = bytes[at]!;
      if (at > lineAt && bytes[at - 1] === CR) {
        if (byte !== LF) throw new Error(`${shown(textOf(bytes, lineAt, at + 1))} has no line feed behind its CR`);
        if (valueAt === 0) {
          if (length !== undefined) return { length, width: at + 1 - start };
          throw new Error(`there is no Content-Length in ${shown(textOf(bytes, start, at + 1))}`);
        }
        if (textOf(bytes, lineAt, valueAt - 1).toLowerCase() === 'content-length') {
          const value = textOf(bytes, valueAt, at - 1).trim();
          if (!/^\d+$/.test(value)) throw new Error(`Content-Length is ${shown(value)}, and must be decimal digits`);
          if (length !== undefined) throw new Error(`Content-Length is there twice: ${length} and ${value}`);
          length = Number(value);
        }
        lineAt = at + 1;
        valueAt = 0;
      } else if (valueAt > 0) {
        const isInValue = (byte >= 0x20 && byte <= 0x7e) || byte === TAB || byte === CR;
        if (!isInValue) throw new Error(`${shown(textOf(bytes, lineAt, at + 1))} is no header line`);
      } else if (byte === COLON && at > lineAt) {
        valueAt = at + 1;
      } else if (!isInName(byte) && !(byte === CR && at === lineAt)) {
        throw new Error(`${shown(textOf(bytes, lineAt, at + 1))} does not begin a header`);
      }
    }
    return undefined;
  },
  write: (length: number) => bytesOf(`Content-Length: ${length}\r\n\r\n`),
});

/**
 * The `pkt-len` of git: four hexadecimal digits that count themselves. 0000 (flush), 0001 (delimiter) and 0002 (the end of a
 * response) are packets of these digits alone, as is 0004. They are read as the length 4, so that they stay when such a packet
 * is written.
 *
 * https://git-scm.com/docs/gitprotocol-common#_pkt_line_format, https://git-scm.com/docs/gitprotocol-v2#_packet_line_framing
 */
export const pktLength: LengthField = Object.freeze({
  maxWidth: 4,
  maxLength: 0xffff,
  read(bytes: Uint8Array, start: number, end: number) {
    let length = 0;
    for (let at = start; at < Math.min(end, start + 4); at++) {
      const digit = Number.parseInt(textOf(bytes, at, at + 1), 16);
      if (Number.isNaN(digit)) {
        throw new Error(`${shown(textOf(bytes, start, at + 1))} does not begin four hexadecimal digits`);
      }
      length = length * 16 + digit;
    }
    if (end - start < 4) return undefined;
    if (length === 3) throw new Error('0003 is no length: it would count less than its own digits');
    return { length: Math.max(length, 4), width: 4 };
  },
  write: (length: number) => bytesOf(length.toString(16).padStart(4, '0')),
});

/**
 * The head of an LDAPMessage in BER: the tag of a SEQUENCE, 30, and a definite length (X.690, section 8.1.3). That is one byte
 * up to 127; or the number of the bytes that follow, plus 80 (hex). As BER allows it, more bytes than the length needs are
 * read, but never written: up to four, as in OpenLDAP. RFC 4511, sections 4.1.1 and 5.1.
 */
export const ldapLength: LengthField = Object.freeze({
  maxWidth: 6,
  maxLength: 0xffff_ffff,
  read(bytes: Uint8Array, start: number, end: number) {
    if (bytes[start] !== SEQUENCE)
      throw new Error(`the tag is ${hex(bytes.subarray(start, start + 1))}, and must be 30`);
    if (end - start < 2) return undefined;
    const first = bytes[start + 1]!;
    if (first < 0x80) return { length: first, width: 2 };
    const width = first - 0x80;
    if (width === 0) throw new Error('the length is indefinite (80), which LDAP does not allow');
    if (width > 4) throw new Error(`the length takes ${width} bytes, and may take at most 4`);
    if (end - start < 2 + width) return undefined;
    return { length: new FixedLengthField(width, false).read(bytes, start + 2), width: 2 + width };
  },
  write(length: number) {
    if (length < 0x80) return Uint8Array.of(SEQUENCE, length);
    const width = length <= 0xff ? 1 : length <= 0xffff ? 2 : length <= 0xff_ffff ? 3 : 4;
    const bytes = new Uint8Array(2 + width);
    bytes.set([SEQUENCE, 0x80 + width]);
    new FixedLengthField(width, false).write(length, bytes, 2);
    return bytes;
  },
});
