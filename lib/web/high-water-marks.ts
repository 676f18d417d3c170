import { wholeNumber } from '../wire/format.js';

/** Options of both streams, as those of the Node streams. */
export interface StreamOptions {
  /**
   * Where reading ahead stops: in messages (batches, under `batch: true`) for a decoder, in chunks for an encoder.
   * Default: 16 messages, or no chunk.
   */
  readableHighWaterMark?: number | undefined;
  /**
   * The number of bytes from which on a writer is not `ready`. Small chunks count more than their length, see the stream's
   * `writable`. Default: 65,536, for a decoder 131,072. 0 is as 1: with no room at all nothing could be piped.
   */
  writableHighWaterMark?: number | undefined;
  /** Both of the above. */
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
