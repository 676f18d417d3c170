import { invalidType } from './errors.js';
import { isBytes } from './memory.js';

/** A chunk of bytes: an `ArrayBuffer`, a `SharedArrayBuffer`, or a view of one, such as a `Buffer` or a `Uint8Array`. */
export type ByteChunk = ArrayBufferView | ArrayBufferLike;

/**
 * The bytes of a chunk.
 *
 * @throws {TypeError} `ERR_INVALID_ARG_TYPE`
 */
export function chunkBytes(chunk: ByteChunk): Uint8Array {
  if (isBytes(chunk)) return chunk;
  if (ArrayBuffer.isView(chunk)) return new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  // An ArrayBuffer of another realm is no instance of this realm's class.
  const kind = Object.prototype.toString.call(chunk);
  if (kind === '[object ArrayBuffer]' || kind === '[object SharedArrayBuffer]') return new Uint8Array(chunk);
  throw invalidType('chunk', 'an ArrayBuffer, or a view of one such as Uint8Array', chunk);
}
