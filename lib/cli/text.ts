/** Text that comes from the wire, or names a file, as it may be shown on a terminal. */

/**
 * Controls (C0, DEL, C1), separators of lines, marks that turn the direction of text, and others that nobody sees. The two
 * that join letters belong to the text. In runs of some length: there may be millions of them.
 */
const UNSAFE = /(?:[\p{Cc}\p{Zl}\p{Zp}]|(?![\u200c\u200d])\p{Cf}){1,4096}/gu;

const short: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** The escapes that were needed before: there are some 250 characters that have one. */
const escapes = new Map<string, string>();

function escapeOf(character: string): string {
  const known = escapes.get(character);
  if (known !== undefined) return known;
  const code = character.codePointAt(0)!.toString(16);
  const found = short[character] ?? (code.length > 2 ? `\\u{${code}}` : `\\x${code.padStart(2, '0')}`);
  escapes.set(character, found);
  return found;
}

/** The text in one line, with nothing in it that a terminal would obey. */
export function escaped(text: string): string {
  return text.replace(UNSAFE, (run) => {
    const parts: string[] = [];
    for (const character of run) parts.push(escapeOf(character));
    return parts.join('');
  });
}

/** As JSON, with nothing in it that a terminal would obey. */
export function safeJson(value: unknown): string {
  const unit = (each: string) => `\\u${each.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return JSON.stringify(value).replace(UNSAFE, (run) => run.split('').map(unit).join(''));
}

/** The bytes as ASCII, a point for each that is none. */
export function printable(bytes: Buffer): string {
  return bytes.toString('latin1').replace(/[^ -~]/g, '.');
}

/** `05 00 ff` */
export function hexPairs(bytes: Uint8Array): string {
  if (bytes.length === 0) return '';
  const digits = Buffer.from(bytes).toString('hex');
  const pairs = Buffer.alloc(3 * bytes.length - 1, ' ');
  for (let i = 0; i < bytes.length; i++) {
    pairs[3 * i] = digits.charCodeAt(2 * i);
    pairs[3 * i + 1] = digits.charCodeAt(2 * i + 1);
  }
  return pairs.toString('latin1');
}

/** The bytes of hex digits. In front may be 0x, and between them spaces, commas and colons. */
export function fromHex(text: string): Buffer {
  const digits = text.replace(/^\s*0x/i, '').replace(/[\s,:]/g, '');
  const shown = escaped(text.slice(0, 40));
  if (/[^0-9a-f]/i.test(digits)) throw new Error(`no hex digits: '${shown}'`);
  const { length } = digits;
  if (length % 2 === 1)
    throw new Error(`${length} hex digit${length === 1 ? '' : 's'}, and a byte has two: '${shown}'`);
  return Buffer.from(digits, 'hex');
}

/** `1 byte`, `2 bytes` */
export function bytesOf(count: number): string {
  return `${count} byte${count === 1 ? '' : 's'}`;
}
