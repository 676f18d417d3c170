/**
 * Node streams that turn bytes into length-prefixed messages and back.
 *
 * ```ts
 * import { createServer } from 'node:net';
 * import { framed } from 'length-prefix';
 *
 * createServer(async (socket) => {
 *   const messages = framed(socket);
 *   for await (const message of messages) messages.write(`You said ${message}`);
 * }).listen(11000);
 * ```
 *
 * @module length-prefix
 */
export { type Codec, json, text } from './codecs.js';
export { LengthPrefixDecoder, type LengthPrefixDecoderOptions } from './decoder.js';
export { LengthPrefixEncoder, type LengthPrefixEncoderOptions } from './encoder.js';
export { FrameError, type FrameErrorCode } from './errors.js';
export type { FormatOptions } from './format.js';
export { formats } from './formats.js';
export { type ByteStream, type Framed, type FramedOptions, framed } from './framed.js';
export type { FixedLengthFieldName, LengthField, LengthFieldName, LengthRead } from './length-field.js';
export type { Body, Message, MessagePart, MessageSource } from './message.js';
export type { Decoded, DecodingOptions, StreamedMessage } from './message-reader.js';
export type { EncodingOptions } from './message-writer.js';
export type { StreamOptions } from './ordered-transform.js';
