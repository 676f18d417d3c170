import { invalidType } from './errors.js';
import { type Format, type FormatOptions, formatOf } from './format.js';
import { type Message, notEncoded } from './message.js';
import { checkKnown } from './options.js';

/** How messages are made. */
export interface EncodingOptions<T = any> extends FormatOptions {
  /**
   * Makes the message, as `write` takes it, of each value that is written. An exception is the `cause` of an
   * `ERR_FRAME_CORRUPT`, which fails the value's own write, and then the stream. Default: values are messages.
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

/**
 * The message that `encode` makes of a value, for a frame that begins at `position`.
 *
 * @throws FrameError `ERR_FRAME_CORRUPT`
 */
export function encodeValue(encode: (value: any) => Message, value: unknown, position: number): Message {
  try {
    const message = encode(value);
    if (isPromise(message)) throw new TypeError("'encode' returned a promise, it must return the message itself");
    return message;
  } catch (cause) {
    throw notEncoded(cause, position);
  }
}

/** Whether it is a promise. Its rejection is then no unhandled one. */
function isPromise(message: any): boolean {
  if (typeof message?.then !== 'function') return false;
  message.then(undefined, () => {});
  return true;
}
