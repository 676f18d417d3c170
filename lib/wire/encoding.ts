import { invalidType } from './errors.js';
import { type Format, type FormatOptions, formatOf } from './format.js';
import type { Memory } from './memory.js';
import type { Message } from './message.js';
import { checkKnown } from './options.js';

/** How messages are made. */
export interface EncodingOptions<T = any> extends FormatOptions {
  /**
   * Makes a message, as `write` takes it, of each value that is written. An exception is the `cause` of an
   * `ERR_FRAME_CORRUPT`, which fails the value's own write, and then the stream. A result that is no message, such as a
   * promise, does the same. Default: none. Messages are written.
   *
   * ```ts
   * new LengthPrefixEncoder({ encode: (point: Point) => `${point.x},${point.y}` })
   * ```
   */
  encode?: ((value: T) => Message) | undefined;
  /**
   * The encoding of strings that are written without one, where messages become `Buffer`s. Plain `Uint8Array`s, as those of web
   * streams, are always UTF-8. Default: `'utf8'`.
   */
  defaultEncoding?: string | undefined;
}

/** Encoding options, checked. */
export interface EncodingSettings {
  readonly format: Format;
  readonly encode: ((value: any) => Message) | undefined;
  readonly defaultEncoding: string | undefined;
}

/**
 * @throws {TypeError} `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
 * @throws {RangeError} `ERR_OUT_OF_RANGE`
 */
export function encodingSettings(options: EncodingOptions, memory: Memory<Uint8Array>): EncodingSettings {
  checkKnown(options);
  const format = formatOf(options);
  const { encode, defaultEncoding } = options;
  if (encode !== undefined && typeof encode !== 'function') throw invalidType('encode', 'of type function', encode);
  // Buffers throw Node's own error for an encoding that is not known.
  if (defaultEncoding !== undefined) memory.encode(' ', defaultEncoding);
  return { format, encode, defaultEncoding };
}
