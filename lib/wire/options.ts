import { invalidType, invalidValue } from './errors.js';
import type { Memory } from './memory.js';

/** Node's options of streams that have a meaning here. */
export const streamOptions: readonly string[] = [
  'highWaterMark',
  'readableHighWaterMark',
  'writableHighWaterMark',
  'signal',
  'allowHalfOpen',
  'autoDestroy',
  'emitClose',
];

/** The options of a wire format. */
export const formatOptions = [
  ...(['lengthField', 'lengthFieldOffset', 'lengthAdjustment', 'initialBytesToStrip'] as const),
  ...(['header', 'headerMask', 'trailer', 'maxPayloadLength', 'minPayloadLength'] as const),
];

/**
 * The options of all streams and functions of this package, so that one object serves all of them: the wire format, what
 * is decoded, what is encoded, and Node's options of streams.
 */
const known: readonly string[] = [
  ...formatOptions,
  ...['copy', 'batch', 'oversize', 'onOversize', 'decode', 'stream', 'frameTimeout', 'formatAfter'],
  ...['encode', 'defaultEncoding'],
  ...streamOptions,
];

/** Options of Node's streams that have no meaning here. */
const refused: Readonly<Record<string, string>> = {
  objectMode: 'left out: one side is messages, the other is bytes',
  readableObjectMode: 'left out: one side is messages, the other is bytes',
  writableObjectMode: 'left out: one side is messages, the other is bytes',
  encoding: "left out: messages are bytes; decode them with { ...text } or 'decode'",
  decodeStrings: "left out: strings become bytes; see 'defaultEncoding'",
};

/** Other libraries' names of options. */
const elsewhere = new Map<string, string>([
  ...['maxFrameLength', 'maxLength', 'maxMessageLength', 'maxMessageSize', 'maxSize', 'limit'].map(
    (name) => [name, "'maxPayloadLength'"] as const,
  ),
  ...[
    'lengthFieldLength',
    'lengthSize',
    'bigEndian',
    'byteOrder',
    'endian',
    'endianness',
    'prefix',
    'prefixLength',
  ].map((name) => [name, "'lengthField', such as lengthField: 'uint16be'"] as const),
  ...['littleEndian', 'littleEndianLength'].map(
    (name) => [name, "'lengthField', such as lengthField: 'uint32le'"] as const,
  ),
]);

/**
 * Refuses options that are not known: a limit that is misspelled would be no limit. Options whose value is undefined are
 * not looked at.
 *
 * @throws {TypeError} `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
 */
export function checkKnown(options: unknown, names: readonly string[] = known): void {
  if (options === null || typeof options !== 'object' || Array.isArray(options)) {
    throw invalidType('options', 'an object', options);
  }
  for (const name in options) {
    const value = (options as Record<string, unknown>)[name];
    if (value === undefined || names.includes(name)) continue;
    if (Object.hasOwn(refused, name)) throw invalidValue(`options.${name}`, refused[name]!, value);
    const near = nearest(name, names);
    const other = elsewhere.get(name) ?? (near && `'${near}'`);
    const hint = other === undefined ? '' : `, the nearest option is ${other}`;
    throw invalidValue(`options.${name}`, `left out: it is not an option${hint}`, value);
  }
}

/** @throws {TypeError} `ERR_INVALID_ARG_TYPE` for a value that makes no bytes, such as the class `Buffer` itself. */
export function checkMemory(memory: Memory<Uint8Array>): void {
  if (typeof memory?.View !== 'function') {
    throw invalidType('memory', "'buffers' of length-prefix, or left out", memory);
  }
}

/** The name that is most alike, if any is. */
export function nearest(name: string, names: readonly string[]): string | undefined {
  const distances = names.map((each) => distance(name.toLowerCase(), each.toLowerCase()));
  const least = Math.min(...distances);
  const found = names[distances.indexOf(least)]!;
  return 2 * least > Math.max(name.length, found.length) ? undefined : found;
}

/** The distance of Levenshtein: the least number of letters to insert, remove or replace. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}
