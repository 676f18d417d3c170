/**
 * The protocol without I/O: a synchronous parser and builder of frames, for clients that own their sockets. It needs
 * nothing of Node. Unstable: names may still change in a minor version.
 *
 * ```ts
 * import { formats, FrameParser } from 'length-prefix/wire';
 *
 * const parser = new FrameParser(formats.kafka);
 * parser.push(chunk);
 * for (let message = parser.next(); message !== undefined; message = parser.next()) console.log(message.length);
 * ```
 *
 * @module length-prefix/wire
 */
import { type Decode, decodeIn, type Encode, encodeIn } from './in-hand.js';
import { type Bytes, uint8Arrays } from './memory.js';

export { FrameBuilder } from './builder.js';
export type { ByteChunk } from './chunk.js';
export type { Codec } from './codecs.js';
export type { DecodingOptions } from './decoding.js';
export { FrameError, type FrameErrorCode } from './errors.js';
export type { FormatOptions } from './format.js';
export { formats } from './formats.js';
export type { Decode, Encode } from './in-hand.js';
export type { FixedLengthFieldName, LengthField, LengthFieldName, LengthRead } from './length-field.js';
export { type Bytes, type Memory, uint8Arrays } from './memory.js';
export type { Message, MessagePart, WebBody } from './message.js';
export { FrameParser } from './parser.js';
export type { Checksum } from './trailer.js';
export { withFormat } from './with-format.js';

/**
 * Returns the messages in bytes that are in hand: in a chunk, an iterable or an async iterable of chunks, or a web stream.
 * It returns a generator for a chunk or an iterable, and an async generator for the others.
 *
 * ```ts
 * for (const message of decode(bytes, formats.protobuf)) console.log(message.length);
 * ```
 *
 * Each message is parsed when it is asked for. Throws `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE` and
 * `ERR_OUT_OF_RANGE` for wrong arguments. The loop throws a `FrameError` when all messages before the fault were handed out.
 */
export const decode: Decode<Bytes> = decodeIn(uint8Arrays);

/**
 * Returns the frame of one message.
 *
 * ```ts
 * socket.write(encode('hello', formats.erlangPacket2));
 * ```
 *
 * Throws `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE` and `ERR_OUT_OF_RANGE` for wrong arguments, and a `FrameError`
 * when the format can't carry the message.
 */
export const encode: Encode<Bytes> = encodeIn(uint8Arrays);
