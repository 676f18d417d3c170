import { type Decoded, type DecodingOptions, MessageReader, readerSettings } from './message-reader.js';
import { type Callback, OrderedTransform, type StreamOptions } from './ordered-transform.js';

/** How the messages are framed, what becomes of them, and Node's options of streams. */
export interface LengthPrefixDecoderOptions<
  Batch extends boolean = boolean,
  T = unknown,
  Stream extends boolean = boolean,
> extends DecodingOptions<Batch, T, Stream>,
    StreamOptions {}

/**
 * Bytes in, messages out: a Transform whose readable side is in object mode, one `Buffer` a message, empty ones included.
 *
 * ```ts
 * socket.pipe(new LengthPrefixDecoder()).on('data', (message) => console.log(message.length));
 * ```
 *
 * All complete messages in front of a fault, or of the end of the input, are handed out before the error or the end
 * shows. A reader that has stopped makes the decoder stop: it never holds more messages than `readableHighWaterMark`.
 *
 * Event `'oversize'`, with `oversize: 'skip'`: a payload is being passed over. Its arguments are the payload's length in
 * bytes, and the number of bytes in front of its frame in the stream. Messages before it may still wait to be read.
 *
 * Fails with a {@link FrameError}: `ERR_FRAME_TOO_LONG`, `ERR_FRAME_TRUNCATED` or `ERR_FRAME_CORRUPT`.
 *
 * Its options tell what it hands out: see {@link Decoded}.
 */
export class LengthPrefixDecoder<
  Batch extends boolean = false,
  T = Buffer,
  Stream extends boolean = false,
> extends OrderedTransform {
  readonly #reader: MessageReader;

  /**
   * A decoder of bytes that are written or piped to it.
   *
   * @throws {TypeError} `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
   * @throws {RangeError} `ERR_OUT_OF_RANGE`
   */
  constructor(options: LengthPrefixDecoderOptions<Batch, T, Stream> = {}) {
    const settings = readerSettings(options);
    super(options, true, undefined, 131_072);
    this.#reader = new MessageReader(settings, this);
  }

  override _write(chunk: Buffer, _encoding: string, callback: Callback): void {
    this.#reader.push(chunk);
    this.work(callback);
  }

  protected override nextPiece(): unknown {
    return this.#reader.nextPiece();
  }

  protected override isSettled(): boolean {
    return !this.#reader.isWaiting;
  }

  protected override isRead(): boolean {
    return super.isRead() && this.#reader.isRead;
  }

  protected override finishInput(): void {
    this.#reader.finish();
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#reader.destroy(error);
    super._destroy(error, callback);
  }
}

/** The element type of `read()`, `'data'` and `for await`. */
export interface LengthPrefixDecoder<Batch extends boolean, T, Stream extends boolean> {
  /** The next message, or null when there is none yet. */
  read(size?: number): Decoded<Batch, T, Stream> | null;
  /** The messages, to the end of the input. To leave the loop destroys the decoder. */
  [Symbol.asyncIterator](): AsyncIteratorObject<Decoded<Batch, T, Stream>, undefined, unknown>;
  // The interfaces of @types/node know strings and Buffers only: these make a decoder one of their streams.
  /** @hidden */
  read(size?: number): any;
  /** @hidden */
  [Symbol.asyncIterator](): AsyncIteratorObject<any, any, any>;
  /** The messages, in a loop that with `destroyOnReturn: false` can be left to go on in another way. */
  iterator(options?: { destroyOnReturn?: boolean }): AsyncIteratorObject<Decoded<Batch, T, Stream>, undefined, unknown>;
  /** All messages to the end of the input, in one array. */
  toArray(options?: { signal?: AbortSignal }): Promise<Decoded<Batch, T, Stream>[]>;
  /** Tells of each message as it comes. */
  on(event: 'data', listener: (message: Decoded<Batch, T, Stream>) => void): this;
  /** Tells of each payload that is passed over: its length in bytes, and the place of its frame in the stream. */
  on(event: 'oversize', listener: (length: number, position: number) => void): this;
  /** The events of Node's Transform. */
  on(event: string | symbol, listener: (...args: any[]) => void): this;
  /** Tells of the next message. */
  once(event: 'data', listener: (message: Decoded<Batch, T, Stream>) => void): this;
  /** Tells of the next payload that is passed over. */
  once(event: 'oversize', listener: (length: number, position: number) => void): this;
  /** The events of Node's Transform. */
  once(event: string | symbol, listener: (...args: any[]) => void): this;
}
