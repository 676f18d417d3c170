/**
 * Node Transform streams that turn bytes into length-prefixed messages and back.
 *
 * ```ts
 * import { createServer } from 'node:net';
 * import { LengthPrefixDecoder, LengthPrefixEncoder } from 'length-prefix';
 *
 * createServer((socket) => {
 *   socket.pipe(new LengthPrefixDecoder()).pipe(new LengthPrefixEncoder()).pipe(socket); // an echo of messages
 * }).listen(11000);
 * ```
 *
 * @module
 */
export { type Decoded, LengthPrefixDecoder, type LengthPrefixDecoderOptions } from './decoder.js';
export { LengthPrefixEncoder, type LengthPrefixEncoderOptions } from './encoder.js';
export { FrameError, type FrameErrorCode } from './errors.js';
export type { FormatOptions } from './format.js';
export type { FixedLengthFieldName, LengthField, LengthFieldName } from './length-field.js';
export type { StreamOptions } from './ordered-transform.js';
