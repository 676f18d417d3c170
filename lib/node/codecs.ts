import { Buffer } from 'node:buffer';
import { type Codec as AnyCodec, text as anyText, writeJson } from '../wire/codecs.js';

/**
 * Turns messages into values and values into messages: options for both ends. With one type, the same values are read and
 * written; with two, `In` is read and `Out` is written.
 *
 * ```ts
 * const msgpack: Codec<unknown> = {
 *   decode: (bytes, start, end) => decode(bytes.subarray(start, end)), // Of @msgpack/msgpack.
 *   encode: (value) => encode(value),
 * };
 * const messages = framed(socket, msgpack);
 * ```
 */
export interface Codec<In, Out = In> extends AnyCodec<In, Out, Buffer> {}

const REPLACEMENT = '\ufffd';

/**
 * Messages of UTF-8 text as strings. A message that is not UTF-8 is an `ERR_FRAME_CORRUPT`, and so is a written value that
 * is no string.
 *
 * ```ts
 * new LengthPrefixDecoder({ ...text, lengthField: 'varint' })
 * ```
 */
export const text: Codec<string> = Object.freeze({
  decode(bytes: Buffer, start: number, end: number) {
    // It may be used with the bytes of `length-prefix/wire` or `length-prefix/web`.
    if (!(bytes instanceof Buffer)) return anyText.decode(bytes, start, end);
    const string = bytes.toString('utf8', start, end);
    // It stands for bytes that are not UTF-8, unless it was sent.
    return string.includes(REPLACEMENT) ? anyText.decode(bytes, start, end) : string;
  },
  // As bytes: the encoding of a write would change text that must be UTF-8.
  encode: (value: string) => Buffer.from(anyText.encode(value) as string),
});

/**
 * Messages of JSON as values. A message that is not JSON in UTF-8, or is `null`, is an `ERR_FRAME_CORRUPT`, and so is a
 * written value that JSON can't write, or writes as `null`. The values of a peer are not checked further: they may be any JSON.
 * The type of the values is `any`; to give them another, annotate it: `const chat: Codec<ChatMessage> = json`.
 *
 * ```ts
 * const messages = framed(socket, { ...json, maxPayloadLength: 10_000 });
 * messages.write({ id: 1 });
 * ```
 */
export const json: Codec<any> = Object.freeze({
  decode: (bytes: Buffer, start: number, end: number) => JSON.parse(text.decode(bytes, start, end)),
  encode: (value: unknown) => Buffer.from(writeJson(value)),
});
