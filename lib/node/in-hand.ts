import type { Buffer } from 'node:buffer';
import { type Decode, decodeIn, type Encode, encodeIn } from '../wire/in-hand.js';
import { buffers } from './buffers.js';

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
export const decode: Decode<Buffer> = decodeIn(buffers);

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
export const encode: Encode<ReturnType<typeof Buffer.alloc>> = encodeIn(buffers) as Encode<any>;
