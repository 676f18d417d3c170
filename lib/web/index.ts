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
export { FrameError, type FrameErrorCode } from '../wire/errors.js';
export type { FormatOptions } from '../wire/format.js';
export { formats } from '../wire/formats.js';
export type { FixedLengthFieldName, LengthField, LengthFieldName } from '../wire/length-field.js';
export type { MessagePart } from '../wire/message.js';
export { type Codec, json, text } from './codecs.js';
export {
  type Decoded,
  LengthPrefixDecoderStream,
  type LengthPrefixDecoderStreamOptions,
  type StreamedMessage,
} from './decoder-stream.js';
export {
  type Body,
  type EncodingOptions,
  LengthPrefixEncoderStream,
  type LengthPrefixEncoderStreamOptions,
  type Message,
  type MessageSource,
} from './encoder-stream.js';
export type { StreamOptions } from './high-water-marks.js';
export { decode, encode } from './in-hand.js';
export type { ByteChunk, DecodingOptions } from './reader.js';
