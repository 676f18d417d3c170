import type { Buffer } from 'node:buffer';
import type { Message } from '../wire/message.js';

/** Turns messages into values and values into messages: options for both ends. */
export interface Codec<In, Out = In> {
  /** The value of the message that lies in `bytes` from `start` to before `end`. What it throws fails the stream. */
  decode(bytes: Buffer, start: number, end: number): In;
  /** What it throws fails the value's write. */
  encode(value: Out): Message;
}

const REPLACEMENT = '\ufffd';
const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Messages of UTF-8 text as strings. One that is no UTF-8 is an `ERR_FRAME_CORRUPT`.
 *
 * ```ts
 * new LengthPrefixDecoder({ ...text, lengthField: 'varint' })
 * ```
 */
export const text: Codec<string> = Object.freeze({
  decode(bytes: Buffer, start: number, end: number) {
    const string = bytes.toString('utf8', start, end);
    // That is what stands for bytes that are no UTF-8; or it was sent.
    return string.includes(REPLACEMENT) ? strict.decode(bytes.subarray(start, end)) : string;
  },
  encode: (value: string) => value,
});

/**
 * Messages of JSON as values. One that is no JSON in UTF-8, or `null`, is an `ERR_FRAME_CORRUPT`; so is a value that JSON
 * has no way to write. Its type is `any`: `const chat: Codec<ChatMessage> = json` says more.
 */
export const json: Codec<any> = Object.freeze({
  decode: (bytes: Buffer, start: number, end: number) => JSON.parse(text.decode(bytes, start, end)),
  encode: writeJson,
});

/** @throws {TypeError} for a value that JSON has no way to write, or writes as null. */
export function writeJson(value: any): string {
  const string = JSON.stringify(value);
  if (string === undefined) throw new TypeError(`JSON has no way to write a value of type ${typeof value}`);
  // As it writes NaN, Infinity and dates that are none: the other end could not hand it out.
  if (string === 'null') throw new TypeError(`JSON writes ${String(value)} as null`);
  return string;
}
