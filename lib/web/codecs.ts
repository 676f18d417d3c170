import { writeJson } from '../node/codecs.js';
import type { Message } from './encoder-stream.js';

/** Turns messages into values and values into messages: options for both ends. */
export interface Codec<In, Out = In> {
  /** The value of the message that lies in `bytes` from `start` to before `end`. What it throws fails the stream. */
  decode(bytes: Uint8Array, start: number, end: number): In;
  /** What it throws fails the stream. */
  encode(value: Out): Message;
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Messages of UTF-8 text as strings. One that is no UTF-8 is an `ERR_FRAME_CORRUPT`.
 *
 * ```ts
 * new LengthPrefixDecoderStream({ ...text, lengthField: 'varint' })
 * ```
 */
export const text: Codec<string> = Object.freeze({
  decode: (bytes: Uint8Array, start: number, end: number) => strict.decode(bytes.subarray(start, end)),
  encode: (value: string) => value,
});

/**
 * Messages of JSON as values. One that is no JSON in UTF-8, or `null`, is an `ERR_FRAME_CORRUPT`; so is a value that JSON
 * has no way to write. Its type is `any`: `const chat: Codec<ChatMessage> = json` says more.
 */
export const json: Codec<any> = Object.freeze({
  decode: (bytes: Uint8Array, start: number, end: number) => JSON.parse(text.decode(bytes, start, end)),
  encode: writeJson,
});
