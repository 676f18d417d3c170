import { Buffer, constants } from 'node:buffer';
import type { Memory } from '../wire/memory.js';

// The constructor that Buffer's own methods make views with: it takes less than half the time of `subarray`.
const View = (Buffer as unknown as { [Symbol.species]: Memory<Buffer>['View'] })[Symbol.species];

/**
 * Makes `FrameParser` and `FrameBuilder` of `length-prefix/wire` work with `Buffer`s.
 *
 * ```ts
 * const parser = new FrameParser(formats.postgres, buffers);
 * ```
 */
export const buffers: Memory<Buffer> = {
  View,
  allocate: (length) => Buffer.allocUnsafeSlow(length),
  allocateShared: (length) => Buffer.allocUnsafe(length),
  encode: (text, encoding) => Buffer.from(text, encoding as BufferEncoding),
  maxLength: constants.MAX_LENGTH,
};
