import { Buffer } from 'node:buffer';
import { type Codec as AnyCodec, text as anyText, writeJson } from '../wire/codecs.js';

/** Turns messages into values and values into messages: options for both ends. */
export interface Codec<In, Out = In> extends AnyCodec<In, Out, Buffer> {}

const REPLACEMENT = '\ufffd';

/**
 * Messages of UTF-8 text as strings. One that is not UTF-8 is an `ERR_FRAME_CORRUPT`.
 *
 * ```ts
 * new LengthPrefixDecoder({ ...text, lengthField: 'varint' })
 * ```
 */
export const text: Codec<string> = Object.freeze({
  decode(bytes: Buffer, start: number, end: number) {
    // As where it is used with the bytes of `length-prefix/wire` or `length-prefix/web`.
    if (!(bytes instanceof Buffer)) return anyText.decode(bytes, start, end);
    const string = bytes.toString('utf8', start, end);
    // It stands for bytes that are not UTF-8; or it was sent.
    return string.includes(REPLACEMENT) ? anyText.decode(bytes, start, end) : string;
  },
  // As bytes: the encoding of a write is not for text that is UTF-8.
  encode: (value: string) => Buffer.from(anyText.encode(value) as string),
});

/**
 * Messages of JSON as values. One that is not JSON in UTF-8, or is `null`, is an `ERR_FRAME_CORRUPT`; so is a value that
 * JSON can't write. Its type is `any`: `const chat: Codec<ChatMessage> = json` says more.
 */
export const json: Codec<any> = Object.freeze({
  decode: (bytes: Buffer, start: number, end: number) => JSON.parse(text.decode(bytes, start, end)),
  encode: (value: unknown) => Buffer.from(writeJson(value)),
});
