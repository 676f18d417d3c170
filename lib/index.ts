/**
 * Node streams that turn bytes into length-prefixed messages and back.
 *
 * ```ts
 * import { createServer } from 'node:net';
 * import { pipeline } from 'node:stream/promises';
 * import { framed } from 'length-prefix';
 *
 * createServer((socket) => {
 *   const messages = framed(socket, { maxPayloadLength: 100_000, frameTimeout: 10_000 });
 *   const answers = messages.map((message) => `You said ${message}`);
 *   pipeline(answers, messages).catch((error) => console.error(error)); // It ends this connection alone.
 * }).listen(11000);
 * ```
 *
 * @module length-prefix
 */

export { buffers } from './node/buffers.js';
export { type Codec, json, text } from './node/codecs.js';
export type { MessageDuplex, MessageReadable, MessageTransform } from './node/declarations.js';
export { LengthPrefixDecoder, type LengthPrefixDecoderOptions } from './node/decoder.js';
export { LengthPrefixEncoder, type LengthPrefixEncoderOptions } from './node/encoder.js';
export { type ByteStream, type CloseOptions, type Framed, type FramedOptions, framed } from './node/framed.js';
export { decode, encode } from './node/in-hand.js';
export type { Decoded, DecodingOptions, StreamedMessage } from './node/reading.js';
export type { StreamOptions } from './node/streams.js';
export type { EncodingOptions } from './node/writing.js';
export { FrameError, type FrameErrorCode } from './wire/errors.js';
export type { FormatOptions } from './wire/format.js';
export { formats } from './wire/formats.js';
export type { FixedLengthFieldName, LengthField, LengthFieldName, LengthRead } from './wire/length-field.js';
export type { Memory } from './wire/memory.js';
export type { Body, Message, MessagePart, MessageSource, WebBody } from './wire/message.js';
export type { Checksum } from './wire/trailer.js';
export { withFormat } from './wire/with-format.js';
