import { wholeNumber } from '../wire/format.js';

/** Options of both streams, with the names of the Node streams. */
export interface StreamOptions {
  /**
   * Where reading ahead stops. For a decoder in messages, or with `batch: true` in batches; for an encoder in chunks.
   * Default: 16 messages, or 0 chunks.
   */
  readableHighWaterMark?: number | undefined;
  /**
   * The number of bytes from which on a writer is not `ready`. Small chunks count more than their length: see `writable` of
   * the stream. 0 means 1: with no room at all nothing could be piped. Default: 65,536, for a decoder 131,072.
   */
  writableHighWaterMark?: number | undefined;
  /** Both of the above, which it overrides. Default: each has its own. */
  highWaterMark?: number | undefined;
}

/**
 * @throws {TypeError} `ERR_INVALID_ARG_TYPE`
 * @throws {RangeError} `ERR_OUT_OF_RANGE`
 */
export function highWaterMarks(options: StreamOptions, readable: number, writable: number) {
  const { highWaterMark, readableHighWaterMark, writableHighWaterMark } = options;
  if (highWaterMark !== undefined) wholeNumber('highWaterMark', highWaterMark);
  return {
    readable: wholeNumber('readableHighWaterMark', highWaterMark ?? readableHighWaterMark ?? readable),
    writable: Math.max(1, wholeNumber('writableHighWaterMark', highWaterMark ?? writableHighWaterMark ?? writable)),
  };
}
