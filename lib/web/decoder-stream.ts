import type { ByteChunk } from '../wire/chunk.js';
import { decodingSettings, type DecodingOptions as Options } from '../wire/decoding.js';
import { type Bytes, uint8Arrays } from '../wire/memory.js';
import { FrameParser } from '../wire/parser.js';
import { type BodyStream, type StreamedMessage as Message, Streaming } from '../wire/streaming.js';
import { chunkCost, sizeBy } from './cost.js';
import { highWaterMarks, type StreamOptions } from './high-water-marks.js';
import { type Marks, OrderedPair } from './ordered-pair.js';

/** How messages are handed out. */
export interface DecodingOptions<Batch extends boolean = boolean, T = unknown, Stream extends boolean = boolean>
  extends Options<Bytes, Batch, T, Stream> {}

/** The wire format, how messages are handed out, and how far the stream reads ahead. */
export interface LengthPrefixDecoderStreamOptions<
  Batch extends boolean = boolean,
  T = unknown,
  Stream extends boolean = boolean,
> extends DecodingOptions<Batch, T, Stream>,
    StreamOptions {}

/** A message whose bytes come as they arrive. */
export interface StreamedMessage extends Message<ReadableStream<Bytes>> {}

/** A message as it is handed out: a `Uint8Array`, or what `decode` returns; with `batch` arrays, with `stream` bodies. */
export type Decoded<Batch extends boolean = false, T = Bytes, Stream extends boolean = false> = Stream extends true
  ? StreamedMessage
  : Batch extends true
    ? T[]
    : T;

/**
 * Bytes in, messages out, as a web stream; one `Uint8Array` a message, empty ones included.
 *
 * ```ts
 * const { body } = await fetch(url);
 * for await (const message of body.pipeThrough(new LengthPrefixDecoderStream())) console.log(message.length);
 * ```
 *
 * Like `TextDecoderStream`, it has a {@link readable} and a {@link writable} side. All complete messages in front of a
 * fault, or of the end of the input, are handed out before the error or the end shows. A reader that has stopped makes it
 * stop: it never holds more messages than `readableHighWaterMark`.
 *
 * Fails with a `FrameError`: `ERR_FRAME_TOO_LONG`, `ERR_FRAME_TRUNCATED` or `ERR_FRAME_CORRUPT`.
 */
export class LengthPrefixDecoderStream<Batch extends boolean = false, T = Bytes, Stream extends boolean = false> {
  /** Where messages are read. */
  readonly readable: ReadableStream<Decoded<Batch, T, Stream>>;
  /**
   * Where bytes are written: each chunk an `ArrayBuffer`, or a view of one. A write is done when the reader has wanted all
   * messages in it. A chunk that waits counts its length, but at least 64 bytes, and at least a sixteenth of the memory
   * that it is a view of, up to 65,536.
   */
  readonly writable: WritableStream<ByteChunk>;

  /**
   * @throws {TypeError} `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
   * @throws {RangeError} `ERR_OUT_OF_RANGE`
   */
  constructor(options: LengthPrefixDecoderStreamOptions<Batch, T, Stream> = {}) {
    const parser = new FrameParser<Bytes, unknown>(decodingSettings(options, uint8Arrays));
    const marks = highWaterMarks(options, 16, 131_072);
    const { readable, writable } = parser.inParts
      ? streamedPair(parser, marks)
      : new OrderedPair<ByteChunk, unknown>(parser, marks, size, options.batch);
    this.readable = readable as typeof this.readable;
    this.writable = writable;
  }
}

const size = sizeBy(chunkCost);

function streamedPair(parser: FrameParser<Bytes, unknown>, marks: Marks): OrderedPair<ByteChunk, unknown> {
  const streaming = new Streaming<Bytes, ReadableStream<Bytes>>(parser, (owner) => new BodyReadable(owner));
  const pair = new OrderedPair<ByteChunk, StreamedMessage>(streaming, marks, size);
  streaming.connect(pair.flow);
  return pair;
}

/** The body of one message. A part is asked for when it is read: so none is lost when the stream fails. */
class BodyReadable implements BodyStream<Bytes, ReadableStream<Bytes>> {
  readonly stream: ReadableStream<Bytes>;
  #output!: ReadableStreamDefaultController<Bytes>;

  constructor(owner: Streaming<Bytes, ReadableStream<Bytes>>) {
    this.stream = new ReadableStream<Bytes>(
      {
        start: (controller) => {
          this.#output = controller as ReadableStreamDefaultController<Bytes>;
        },
        pull: () => owner.want(this),
        cancel: () => owner.close(this),
      },
      { highWaterMark: 0 },
    );
  }

  push(part: Bytes): boolean {
    this.#output.enqueue(part);
    // `pull` is called again where more is wanted.
    return false;
  }

  end(): boolean {
    this.#output.close();
    // Parts go to reads that wait. One whose reader has released its lock stays in the body, which is not waited for: no
    // web stream tells when its last part is read.
    return true;
  }

  destroy(reason: unknown): void {
    this.#output.error(reason);
  }

  get isRead(): boolean {
    return this.#output.desiredSize! >= 0;
  }
}
