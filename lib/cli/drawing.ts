/** Draws a frame as a format has it, and beside it the bytes that came. */
import { encode, type FormatOptions, FrameError } from 'length-prefix';
import { fixedWidth, readLength, trailerWidth } from './format.js';
import { hexPairs, printable } from './text.js';
import type { Window } from './window.js';

interface Part {
  readonly name: string;
  /** In bytes; undefined: all that is left. */
  readonly width: number | undefined;
  /** The bytes that it has to be, or all that is known of it. */
  readonly expected: string;
}

/** The most bytes of a part that are drawn. */
const SHOWN = 32;
/** The most bytes of a part of an example. */
const LARGEST = 16_777_216;

const cut = (width: number) => (width > SHOWN ? ' ...' : '');
const unknown = (width: number) => `${Array<string>(Math.min(width, SHOWN)).fill('..').join(' ')}${cut(width)}`;
const known = (bytes: Uint8Array) => `${hexPairs(bytes.subarray(0, SHOWN))}${cut(bytes.length)}`;

/** @param width of the length field, where that is not fixed */
function partsOf(format: FormatOptions, width = fixedWidth(format) ?? 1): Part[] {
  const { lengthFieldOffset = 0, header, trailer, initialBytesToStrip = 0, maxPayloadLength = 16_777_216 } = format;
  const behind = Math.max(0, initialBytesToStrip - lengthFieldOffset - width);
  const headerBytes = (from: number, count: number) =>
    header === undefined ? unknown(count) : known(header.subarray(from, from + count));
  const tail = trailer instanceof Uint8Array ? known(trailer) : unknown(trailerWidth(format));
  const parts: Part[] = [
    { name: 'front', width: lengthFieldOffset, expected: headerBytes(0, lengthFieldOffset) },
    { name: 'length', width, expected: unknown(width) },
    { name: 'header', width: behind, expected: headerBytes(lengthFieldOffset + width, behind) },
    { name: 'payload', width: undefined, expected: `at most ${maxPayloadLength} bytes` },
    { name: 'trailer', width: trailerWidth(format), expected: tail },
  ];
  return parts.filter((part) => part.width !== 0);
}

/** Rows of columns, each as wide as its widest cell. */
function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  }
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i]!))
      .join('  ')
      .trimEnd(),
  );
}

function nameOfField({ lengthField = 'uint32le' }: FormatOptions): string {
  return typeof lengthField === 'string' ? lengthField : `1 to ${lengthField.maxWidth} bytes`;
}

const EXAMPLE = 'hello';
const nothing = Buffer.alloc(0);

/** A frame around a message, and the width of its length field. */
function example(format: FormatOptions): { frame: Buffer; width: number } | undefined {
  const { lengthField, lengthFieldOffset = 0, lengthAdjustment = 0, minPayloadLength = 0 } = format;
  const { initialBytesToStrip } = format;
  for (const count of [Math.max(EXAMPLE.length, minPayloadLength), 0, 12]) {
    if (Math.max(count, lengthFieldOffset, initialBytesToStrip ?? 0) > LARGEST) continue;
    try {
      const length =
        typeof lengthField === 'object'
          ? lengthField.write(count - lengthAdjustment, nothing)
          : Buffer.alloc(fixedWidth(format) ?? 1);
      // Where the head is kept, it is part of the message.
      const head = Buffer.concat([Buffer.alloc(lengthFieldOffset), length]).subarray(
        initialBytesToStrip ?? Number.POSITIVE_INFINITY,
      );
      const frame = encode(Buffer.concat([head, Buffer.alloc(count, EXAMPLE)]), format);
      return { frame, width: widthIn(frame, format) };
    } catch {
      // The format has no message of this length.
    }
  }
  return undefined;
}

/** Draws the frame of a message. */
export function drawFormat(format: FormatOptions): string[] {
  const { lengthFieldOffset = 0, lengthAdjustment = 0, initialBytesToStrip, maxPayloadLength = 16_777_216 } = format;
  const drawn = example(format);
  if (drawn === undefined) return ['No frame can be drawn'];
  const { frame, width } = drawn;
  const parts = partsOf(format, width);
  let at = 0;
  const behind = frame.length - trailerWidth(format);
  const cells = parts.map((part) => {
    const end = part.name === 'payload' ? behind : at + part.width!;
    const bytes = frame.subarray(at, end);
    at = end;
    return { part, bytes };
  });
  const sizes = cells.map(({ part }) => {
    if (part.name === 'length') return nameOfField(format);
    return part.name === 'payload' ? `at most ${maxPayloadLength}` : `${part.width} byte${part.width === 1 ? '' : 's'}`;
  });
  const rows = aligned([
    ['', ...parts.map(({ name }) => name)],
    ['frame', ...cells.map(({ bytes }) => known(bytes))],
    ['', ...sizes],
  ]);
  const stripped = initialBytesToStrip ?? lengthFieldOffset + width;
  const adjusted = lengthAdjustment === 0 ? '' : ` ${lengthAdjustment > 0 ? '+' : '-'} ${Math.abs(lengthAdjustment)}`;
  const cut = trailerWidth(format) > 0 ? ', without the trailer' : '';
  return [...rows, `payload = length${adjusted}; message = the frame from byte ${stripped} on${cut}`];
}

/** The width of the length field of a frame. */
function widthIn(frame: Buffer, format: FormatOptions): number {
  try {
    return readLength(format, frame, format.lengthFieldOffset ?? 0)?.width ?? fixedWidth(format) ?? 1;
  } catch {
    return 1;
  }
}

/** Draws the bytes at a fault, beside what the format expects there. None, where they are gone. */
export function drawFault(error: unknown, format: FormatOptions, window: Window): string[] {
  if (!(error instanceof FrameError)) return [];
  const found = window.around(error.position, 16, SHOWN);
  if (found === undefined || found.after.length === 0) return [];
  const { before, after } = found;
  const parts = partsOf(format, widthIn(after, format)).filter(({ name }) => name !== 'trailer');
  let at = 0;
  const came = parts.map(({ width = SHOWN }) => {
    const bytes = after.subarray(at, at + width);
    at += width;
    return hexPairs(bytes);
  });
  const rows = [
    ['', ...parts.map(({ name }) => name)],
    ['expected', ...parts.map(({ expected }) => expected)],
    ['came', ...came, printable(after)],
  ];
  const lines = aligned(rows);
  const context = before.length === 0 ? [] : [`before    ${hexPairs(before)}  ${printable(before)}`];
  return [...lines, ...context].map((line) => `  ${line}`);
}
