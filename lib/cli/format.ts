/** The wire format that options describe. */
import { type FormatOptions, formats, type LengthField, LengthPrefixDecoder } from 'length-prefix';
import { FixedLengthField, lengthFieldNamed } from '../wire/length-field.js';
import { UsageError } from './errors.js';
import { meant, type Values, wholeNumber } from './options.js';
import { fromHex, hexPairs } from './text.js';

/** More bytes in front of the length fit into no Buffer. */
const MOST_IN_FRONT = 4_294_967_295;

const all: Readonly<Record<string, FormatOptions>> = formats;

export function formatNamed(name: string): FormatOptions {
  if (Object.hasOwn(all, name)) return all[name]!;
  const names = Object.keys(all);
  const found = meant(name, names);
  const hint = found === undefined ? `. There are ${names.join(', ')}` : `, the nearest is ${found}`;
  throw new UsageError(`There is no format '${name}'${hint}`);
}

function hexBytes(values: Values, name: string): Uint8Array | undefined {
  const text = values[name];
  if (text === undefined) return undefined;
  const refuse = (reason: string) =>
    new UsageError(`--${name} must be bytes in hex, such as 0xce or 'ca fe': ${reason}`);
  let bytes: Buffer;
  try {
    bytes = fromHex(String(text));
  } catch (error) {
    throw refuse((error as Error).message);
  }
  if (bytes.length === 0) throw refuse('there are none');
  return bytes;
}

/** The encoder writes the length over these bytes of a header, and the decoder does not check them. */
function checkHeader(header: Uint8Array, format: FormatOptions): void {
  const { lengthFieldOffset = 0 } = format;
  const under = header.subarray(lengthFieldOffset, lengthFieldOffset + (fixedWidth(format) ?? 0));
  if (under.every((byte) => byte === 0)) return;
  const zeros = hexPairs(new Uint8Array(under.length));
  throw new UsageError(
    `--header has ${hexPairs(under)} in the place of the length, which is written there: give ${zeros}`,
  );
}

/** Checked: the library says what would be allowed. */
export function formatOf(values: Values): FormatOptions {
  const { format: name, 'length-field': lengthField } = values;
  const given: FormatOptions = {
    lengthField: lengthField as NonNullable<FormatOptions['lengthField']> | undefined,
    lengthFieldOffset: wholeNumber(values, 'length-field-offset', 0, MOST_IN_FRONT),
    lengthAdjustment: wholeNumber(values, 'length-adjustment', Number.MIN_SAFE_INTEGER),
    initialBytesToStrip: wholeNumber(values, 'initial-bytes-to-strip'),
    header: hexBytes(values, 'header'),
    headerMask: hexBytes(values, 'header-mask'),
    trailer: hexBytes(values, 'trailer'),
    maxPayloadLength: wholeNumber(values, 'max-payload-length'),
    minPayloadLength: wholeNumber(values, 'min-payload-length'),
  };
  const named = name === undefined ? {} : formatNamed(String(name));
  const isGiven = ([, value]: [string, unknown]) => value !== undefined;
  const format = { ...named, ...Object.fromEntries(Object.entries(given).filter(isGiven)) };
  try {
    new LengthPrefixDecoder(format);
  } catch (error) {
    (error as NodeJS.ErrnoException).message = (error as Error).message.replace(', or a LengthField', '');
    throw Object.assign(error as Error, { code: 'ERR_USAGE' });
  }
  if (given.header !== undefined) checkHeader(given.header, format);
  return format;
}

/** The width of a length field; undefined where that is not fixed. */
export function fixedWidth(format: FormatOptions): number | undefined {
  const field = fieldOf(format);
  return field instanceof FixedLengthField ? field.width : undefined;
}

function fieldOf({ lengthField = 'uint32le' }: FormatOptions): FixedLengthField | LengthField {
  return typeof lengthField === 'object' ? lengthField : lengthFieldNamed(lengthField)!;
}

/** Reads a length field; undefined where that takes more bytes. A field of a format's own may throw. */
export function readLength(format: FormatOptions, bytes: Buffer, at: number) {
  const field = fieldOf(format);
  if (!(field instanceof FixedLengthField)) return field.read(bytes, at, bytes.length);
  const { width } = field;
  return bytes.length < at + width ? undefined : { length: field.read(bytes, at), width };
}

export function trailerWidth({ trailer }: FormatOptions): number {
  return trailer instanceof Uint8Array ? trailer.length : (trailer?.width ?? 0);
}

/** Tells the length of a frame from that of its message, which its decoder has just handed out. */
export class Layout {
  /** The format, for the decoder. */
  readonly format: FormatOptions;
  /** The bytes of a frame beside its message. Where its length has no fixed width, that width comes to it. */
  readonly #beside: number;
  #width = 0;

  constructor(format: FormatOptions) {
    const { lengthFieldOffset = 0, initialBytesToStrip } = format;
    const width = fixedWidth(format);
    const isKnown = width !== undefined || initialBytesToStrip !== undefined;
    const stripped = initialBytesToStrip ?? lengthFieldOffset + (width ?? 0);
    this.#beside = stripped + trailerWidth(format);
    this.format = isKnown ? format : { ...format, lengthField: this.#noting(fieldOf(format) as LengthField) };
  }

  /** The same length field, of which the width is noted. */
  #noting(field: LengthField): LengthField {
    return {
      ...field,
      read: (bytes, start, end) => {
        const read = field.read(bytes, start, end);
        if (read !== undefined) this.#width = read.width;
        return read;
      },
    };
  }

  frameLength(length: number): number {
    return length + this.#beside + this.#width;
  }
}

/** Whether the first byte of a message says of what type it is: it stands in front of the length, and is kept. */
export function hasType({ lengthFieldOffset = 0, initialBytesToStrip }: FormatOptions): boolean {
  return lengthFieldOffset > 0 && initialBytesToStrip === 0;
}
