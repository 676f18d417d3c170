import { highWaterMarks, type StreamOptions } from './high-water-marks.js';
import { OrderedPair, type Work } from './ordered-pair.js';
import { type ByteChunk, bytesOf, type DecodingOptions, Reader } from './reader.js';

/** The wire format, what is handed out, and how far the stream reads ahead. */
export interface LengthPrefixDecoderStreamOptions<
  Batch extends boolean = boolean,
  T = unknown,
  Stream extends boolean = boolean,
> extends DecodingOptions<Batch, T, Stream>,
    StreamOptions {}

/** A message whose bytes come as they arrive. */
export interface StreamedMessage {
  /** In bytes. */
  readonly length: number;
  /** So many bytes, in chunks. Fails with `ERR_FRAME_TRUNCATED` when the input ends inside them. */
  readonly body: ReadableStream<Uint8Array>;
}

/** What a stream hands out: a `Uint8Array`, or what `decode` returns; with `batch`, arrays of it; with `stream`, bodies. */
export type Decoded<Batch extends boolean = false, T = Uint8Array, Stream extends boolean = false> = Stream extends true
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
export class LengthPrefixDecoderStream<Batch extends boolean = false, T = Uint8Array, Stream extends boolean = false> {
  /** Where messages are read. */
  readonly readable: ReadableStream<Decoded<Batch, T, Stream>>;
  /** Where bytes are written: each chunk an `ArrayBuffer`, or a view of one. A write is done when all in it was wanted. */
  readonly writable: WritableStream<ByteChunk>;

  /**
   * @throws {TypeError} `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
   * @throws {RangeError} `ERR_OUT_OF_RANGE`
   */
  constructor(options: LengthPrefixDecoderStreamOptions<Batch, T, Stream> = {}) {
    const reader = new Reader(options);
    const marks = highWaterMarks(options, 16, 131_072);
    const decoding: Decoding = reader.inParts ? new StreamedDecoding(reader, () => pair) : new Decoding(reader);
    const pair = new OrderedPair<ByteChunk, unknown>(decoding, marks);
    this.readable = pair.readable as typeof this.readable;
    this.writable = pair.writable;
  }
}

class Decoding implements Work<ByteChunk, unknown> {
  /** The chunk is used up. */
  isSettled = true;
  protected readonly reader: Reader;

  constructor(reader: Reader) {
    this.reader = reader;
  }

  sizeOf(chunk: ByteChunk): number {
    return bytesOf(chunk).length;
  }

  take(chunk: ByteChunk): void {
    this.reader.pushChunk(chunk);
    this.isSettled = this.reader.letGo();
  }

  next(): unknown {
    if (this.isSettled) return undefined;
    const piece = this.reader.nextPiece();
    this.isSettled = this.reader.letGo();
    return piece;
  }

  finish(isBroken: boolean): void {
    if (!isBroken) this.reader.finish();
  }

  destroy(_reason: unknown): void {
    this.reader.reset();
  }
}

/** Hands out messages with their bodies, one at a time. */
class StreamedDecoding extends Decoding {
  readonly #pair: () => OrderedPair<ByteChunk, unknown>;
  #body: ReadableStreamDefaultController<Uint8Array> | undefined;
  /** The bytes that the body has not got. */
  #due = 0;
  #wanted = false;

  constructor(reader: Reader, pair: () => OrderedPair<ByteChunk, unknown>) {
    super(reader);
    this.#pair = pair;
  }

  override take(chunk: ByteChunk): void {
    super.take(chunk);
    if (this.#wanted) this.#give();
  }

  override next(): StreamedMessage | undefined {
    if (this.#body !== undefined || this.isSettled) return undefined;
    const length = this.reader.nextLength();
    this.isSettled = this.reader.letGo();
    if (length === undefined) return undefined;
    this.#due = length;
    return { length, body: this.#open() };
  }

  #open(): ReadableStream<Uint8Array> {
    let body: ReadableStreamDefaultController<Uint8Array>;
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          body = controller as ReadableStreamDefaultController<Uint8Array>;
          // There is nothing of an empty one to be read: it is not waited for.
          if (this.#due === 0) body.close();
          else this.#body = body;
        },
        pull: () => {
          if (this.#body !== body) return;
          this.#wanted = true;
          this.#give();
        },
        cancel: () => {
          // One that has all its bytes may still be read when the next one is under way.
          if (this.#body !== body) return;
          this.#close();
          this.reader.skipRest();
          this.isSettled = this.reader.letGo();
          this.#pair().goOn();
        },
      },
      // A part is asked for when it is read: so none is thrown away when the stream fails.
      { highWaterMark: 0 },
    );
  }

  /** Gives the body what is there of it. */
  #give(): void {
    let part: Uint8Array | undefined;
    try {
      part = this.reader.nextPart();
    } catch (error) {
      this.#pair().fail(error);
      return;
    }
    this.isSettled = this.reader.letGo();
    if (part !== undefined) {
      const body = this.#body!;
      this.#wanted = false;
      this.#due -= part.length;
      const isLast = this.#due === 0;
      if (isLast) this.#close();
      // It may be that this asks for more, at once.
      body.enqueue(part);
      if (isLast) body.close();
    }
    this.#pair().goOn();
  }

  #close(): void {
    this.#body = undefined;
    this.#wanted = false;
  }

  override destroy(reason: unknown): void {
    this.#body?.error(reason);
    this.#close();
    super.destroy(reason);
  }
}
