import { type ByteChunk, chunkBytes } from '../wire/chunk.js';
import { type Clock, timed } from '../wire/deadline.js';
import { type DecodingSettings, decodingSettings, type DecodingOptions as Options } from '../wire/decoding.js';
import { invalidState } from '../wire/errors.js';
import type { Work } from '../wire/flow.js';
import { type Bytes, uint8Arrays } from '../wire/memory.js';
import { FrameParser, parserOf } from '../wire/parser.js';
import { type BodyStream, type StreamedMessage as Message, Streaming } from '../wire/streaming.js';
import { chunkCost, sizeBy } from './cost.js';
import { highWaterMarks, type StreamOptions } from './high-water-marks.js';
import { inAnotherTurn, OrderedPair } from './ordered-pair.js';

/** How messages are handed out. */
export interface DecodingOptions<Batch extends boolean = boolean, T = any, Stream extends boolean = boolean>
  extends Options<Bytes, Batch, T, Stream> {}

/** The wire format, how messages are handed out, and how far the stream reads ahead. */
export interface LengthPrefixDecoderStreamOptions<
  Batch extends boolean = boolean,
  T = any,
  Stream extends boolean = boolean,
> extends DecodingOptions<Batch, T, Stream>,
    StreamOptions {}

/** A message whose bytes are handed out as they arrive: its `length` in bytes, and its `body`, a stream of these bytes. */
export interface StreamedMessage extends Message<ReadableStream<Bytes>> {}

/**
 * The type of a stream's messages: a `Uint8Array`, or the result of `decode`. With `batch` it is an array of these, and with
 * `stream` a {@link StreamedMessage}.
 */
export type Decoded<Batch extends boolean = false, T = Bytes, Stream extends boolean = false> = Stream extends true
  ? StreamedMessage
  : Batch extends true
    ? T[]
    : T;

/**
 * Bytes in, messages out, as a pair of web streams. Each message is one `Uint8Array`, empty ones included.
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
 * Fails with a `FrameError`: `ERR_FRAME_TOO_LONG`, `ERR_FRAME_TRUNCATED`, `ERR_FRAME_CORRUPT` or `ERR_FRAME_TIMEOUT`.
 */
export class LengthPrefixDecoderStream<Batch extends boolean = false, T = Bytes, Stream extends boolean = false> {
  /** Where messages are read. */
  readonly readable: ReadableStream<Decoded<Batch, T, Stream>>;
  /**
   * Where bytes are written: each chunk is an `ArrayBuffer`, or a view of one. A write is done when all messages in it were
   * handed out. A chunk that waits counts as many bytes as it has, but at least 64, and at least a sixteenth of the memory
   * that it is a view of, up to 65,536.
   */
  readonly writable: WritableStream<ByteChunk>;
  readonly #pair: OrderedPair<ByteChunk, unknown>;

  /**
   * A pair of streams: bytes are written, messages are read.
   *
   * @throws {TypeError} `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
   * @throws {RangeError} `ERR_OUT_OF_RANGE`
   */
  constructor(options: LengthPrefixDecoderStreamOptions<Batch, T, Stream> = {}) {
    const settings: DecodingSettings<Bytes> = {
      ...decodingSettings(options, uint8Arrays),
      // The message is still to be handed out.
      onStop: () => queueMicrotask(() => void this.#endFraming()),
    };
    const parser = new FrameParser<Bytes, unknown>(settings);
    const marks = highWaterMarks(options, 16, 131_072);
    const pairOf = (work: Work<ByteChunk, unknown>) => {
      const inTime = timed(work, parser, settings.frameTimeout, clock, (error) => this.#pair.fail(error));
      return new OrderedPair<ByteChunk, unknown>(inTime, marks, size, settings.batch);
    };
    if (settings.inParts) {
      const streaming = new Streaming<Bytes, ReadableStream<Bytes>>(parser, (owner) => new BodyReadable(owner));
      this.#pair = pairOf(streaming);
      streaming.connect(this.#pair.flow);
    } else {
      this.#pair = pairOf(parser);
    }
    this.readable = this.#pair.readable as typeof this.readable;
    this.writable = this.#pair.writable;
  }

  /**
   * Ends framing at once: `readable` closes behind the messages that were parsed. All other bytes can be read from the
   * returned stream: the bytes of a frame that is not complete, and all that are still written. Where `formatAfter` gave
   * null, they begin with the first byte behind that message. Read `readable` to its end: leaving a loop over it cancels it,
   * and fails the raw bytes.
   *
   * @throws {Error} `ERR_INVALID_STATE` inside a message that is read in parts or passed over; inside `decode` and
   * `formatAfter`; and if the stream has failed or was cancelled.
   */
  detach(): ReadableStream<Bytes> {
    const raw = this.#endFraming();
    if (raw === undefined) throw invalidState('The stream has failed, or was cancelled');
    return raw as ReadableStream<Bytes>;
  }

  #endFraming(): ReadableStream<ByteChunk> | undefined {
    const rest = () => {
      const bytes = parserOf(this.#pair.flow.work).rest();
      return bytes.length > 0 ? bytes : undefined;
    };
    return this.#pair.detach(rest, chunkBytes);
  }

  /** The number of bytes that were taken; after `detach()`, of those that were framed. */
  get bytesRead(): number {
    return parserOf(this.#pair.flow.work).bytesRead;
  }

  /** The number of messages that were handed out. Each message of a batch counts, and messages that wait to be read. */
  get messagesRead(): number {
    return this.#pair.flow.count;
  }

  /** Whether a frame has begun that is not complete. */
  get insideFrame(): boolean {
    return parserOf(this.#pair.flow.work).insideFrame;
  }

  /** The number of bytes that have come of a frame that is not complete; 0 between two frames. */
  get pendingFrameBytes(): number {
    return parserOf(this.#pair.flow.work).pendingFrameBytes;
  }
}

const size = sizeBy(chunkCost);

const clock: Clock = {
  now: () => performance.now(),
  after(ms, run) {
    const timer: any = setTimeout(run, ms);
    // In Node, a timer keeps the process alive.
    timer.unref?.();
    return () => clearTimeout(timer);
  },
  nextTurn: inAnotherTurn,
};

/** The body of one message. A part is asked for only when it is to be read: so no part is lost when the stream fails. */
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
    // Parts go to reads that wait. A part whose reader has released its lock stays in the body. Nothing waits for that: no
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
