import { invalidType } from './errors.js';
import { type Format, type FormatOptions, formatOf } from './format.js';
import type { Message } from './message.js';
import { checkKnown } from './options.js';

/** How messages are made. */
export interface EncodingOptions<T = any> extends FormatOptions {
  /**
   * Makes a message, as `write` takes it, of each value that is written. An exception is the `cause` of an
   * `ERR_FRAME_CORRUPT`, which fails the value's own write, and then the stream. A result that is no message, such as a
   * promise, does the same. Default: none. What is written are messages.
   *
   * ```ts
   * new LengthPrefixEncoder({ encode: (point: Point) => `${point.x},${point.y}` })
   * ```
   */
  encode?: ((value: T) => Message) | undefined;
}

/** Encoding options, checked. */
export interface EncodingSettings {
  readonly format: Format;
  readonly encode: ((value: any) => Message) | undefined;
}

/**
 * @throws {TypeError} `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
 * @throws {RangeError} `ERR_OUT_OF_RANGE`
 */
export function encodingSettings(options: EncodingOptions): EncodingSettings {
  checkKnown(options);
  const format = formatOf(options);
  const { encode } = options;
  if (encode !== undefined && typeof encode !== 'function') throw invalidType('encode', 'of type function', encode);
  return { format, encode };
}
