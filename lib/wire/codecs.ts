import { typeOf } from './errors.js';
import type { Message } from './message.js';

/**
 * Turns messages into values and values into messages: options for both ends. `M` is the class of bytes.
 *
 * ```ts
 * const numbers: Codec<number> = {
 *   decode: (bytes, start, end) => Number(new TextDecoder().decode(bytes.subarray(start, end))),
 *   encode: String,
 * };
 * ```
 */
export interface Codec<In, Out = In, M extends Uint8Array = Uint8Array> {
  /** The value of the message that lies in `bytes` from `start` to before `end`. An exception fails the stream. */
  decode(bytes: M, start: number, end: number): In;
  /** The message of a value. An exception fails the value's write. */
  encode(value: Out): Message;
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Messages of UTF-8 text as strings. A message that is not UTF-8 is an `ERR_FRAME_CORRUPT`, and so is a written value that
 * is no string.
 *
 * ```ts
 * new LengthPrefixDecoderStream({ ...text, lengthField: 'varint' })
 * ```
 */
export const text: Codec<string> = Object.freeze({
  decode: (bytes: Uint8Array, start: number, end: number) => strict.decode(bytes.subarray(start, end)),
  encode: writeText,
});

/** @throws {TypeError} for a value that is no string. */
function writeText(value: string): string {
  if (typeof value !== 'string') throw new TypeError(`'text' writes strings only. Received ${typeOf(value)}`);
  return value;
}

/**
 * Messages of JSON as values. A message that is not JSON in UTF-8, or is `null`, is an `ERR_FRAME_CORRUPT`, and so is a
 * written value that JSON can't write, or writes as `null`. The values of a peer are not checked further: they may be any JSON.
 * The type of the values is `any`; to give them another, annotate it: `const chat: Codec<ChatMessage> = json`.
 *
 * ```ts
 * new LengthPrefixDecoderStream({ ...json, maxPayloadLength: 10_000 })
 * ```
 */
export const json: Codec<any> = Object.freeze({
  decode: (bytes: Uint8Array, start: number, end: number) => JSON.parse(text.decode(bytes, start, end)),
  encode: writeJson,
});

/** @throws {TypeError} for a value that JSON can't write, or writes as null. */
export function writeJson(value: any): string {
  const string = JSON.stringify(value);
  if (string === undefined) throw new TypeError(`JSON has no way to write a value of type ${typeof value}`);
  // As it writes NaN, Infinity and invalid dates: the other end could not hand it out.
  if (string === 'null') {
    throw new TypeError(
      `JSON writes ${String(value)} as null, which a stream can't hand out; write an object or [null]`,
    );
  }
  return string;
}
