/**
 * Web streams that turn bytes into length-prefixed messages and back, with nothing of Node in them: for browsers, Deno, Bun
 * and workers.
 *
 * ```ts
 * import { LengthPrefixDecoderStream } from 'length-prefix/web';
 *
 * const { body } = await fetch('/events');
 * for await (const message of body.pipeThrough(new LengthPrefixDecoderStream())) console.log(message.length);
 * ```
 *
 * @module length-prefix/web
 */
export type { ByteChunk } from '../wire/chunk.js';
export { type Codec, json, text } from '../wire/codecs.js';
export type { EncodingOptions } from '../wire/encoding.js';
export { FrameError, type FrameErrorCode } from '../wire/errors.js';
export type { FormatOptions } from '../wire/format.js';
export { formats } from '../wire/formats.js';
export { decode, encode } from '../wire/index.js';
export type { FixedLengthFieldName, LengthField, LengthFieldName } from '../wire/length-field.js';
export type { Body, Message, MessagePart, MessageSource, WebBody } from '../wire/message.js';
export type { Checksum } from '../wire/trailer.js';
export { withFormat } from '../wire/with-format.js';
export {
  type Decoded,
  type DecodingOptions,
  LengthPrefixDecoderStream,
  type LengthPrefixDecoderStreamOptions,
  type StreamedMessage,
} from './decoder-stream.js';
export { LengthPrefixEncoderStream, type LengthPrefixEncoderStreamOptions } from './encoder-stream.js';
export type { StreamOptions } from './high-water-marks.js';
