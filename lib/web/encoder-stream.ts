import { LARGE } from '../wire/builder.js';
import { type EncodingOptions, encodingSettings } from '../wire/encoding.js';
import { type Bytes, uint8Arrays } from '../wire/memory.js';
import type { Message } from '../wire/message.js';
import { watchBodies } from './bodies.js';
import { messageCost, sizeBy, valueCost } from './cost.js';
import { Encoding } from './encoding.js';
import { highWaterMarks, type StreamOptions } from './high-water-marks.js';
import { OrderedPair } from './ordered-pair.js';

/** The wire format, how messages are made, and how much may wait. */
export interface LengthPrefixEncoderStreamOptions<T = any> extends EncodingOptions<T>, StreamOptions {}

/**
 * Messages in, bytes out, as a pair of web streams. Each write is one message.
 *
 * ```ts
 * const writer = encoder.writable.getWriter();
 * writer.write('hello');
 * writer.write(Uint8Array.of(1, 2, 3));
 * ```
 *
 * Like `TextEncoderStream`, it has a {@link readable} and a {@link writable} side. Messages written together leave as one
 * chunk. Parts of 64 KiB and more are not copied. A message belongs to the stream from its write on: its bytes must not
 * be changed any more.
 *
 * Fails with a `FrameError` for a message that the format can't carry, when all messages before it were read.
 */
export class LengthPrefixEncoderStream<T = Message> {
  /** Where bytes are read. */
  readonly readable: ReadableStream<Bytes>;
  /**
   * Where messages are written. A message that waits counts the bytes of its head and of its parts. A part counts at least 64
   * bytes, and at least a sixteenth of the memory that it is a view of, up to 65,536. A body counts its length, but at least
   * 4,096 and at most 65,536. A value for `encode` counts 4,096, unless it is a string or bytes.
   *
   * A body that can't be sent is cancelled or destroyed, with one exception: a body that `pipeTo` has written, and that still
   * waits behind another message when the stream fails. The stream does not get to know of it.
   */
  readonly writable: WritableStream<T>;

  readonly #encoding: Encoding<T>;

  /**
   * A pair of streams: messages are written, bytes are read.
   *
   * @throws {TypeError} `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
   * @throws {RangeError} `ERR_OUT_OF_RANGE`
   */
  constructor(options: LengthPrefixEncoderStreamOptions<T> = {}) {
    const settings = encodingSettings(options, uint8Arrays);
    const marks = highWaterMarks(options, 0, LARGE);
    const encoding = new Encoding<T>(settings);
    const areMessages = settings.encode === undefined;
    const cost = areMessages ? messageCost(settings.format) : valueCost;
    const pair = new OrderedPair<T, Bytes>(encoding, marks, sizeBy<T>(cost));
    encoding.connect(pair.flow);
    this.#encoding = encoding;
    if (areMessages) watchBodies(pair.writable);
    this.readable = pair.readable;
    this.writable = pair.writable;
  }

  /** The number of bytes in the frames of all messages that were taken. A body counts when it was sent. */
  get bytesWritten(): number {
    return this.#encoding.bytesWritten;
  }

  /** The number of messages that were taken. A body counts when it was sent. */
  get messagesWritten(): number {
    return this.#encoding.messagesWritten;
  }
}
