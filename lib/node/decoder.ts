import type { Buffer } from 'node:buffer';
import type * as node from 'node:stream';
import type { Flow } from '../wire/flow.js';
import { parserOf } from '../wire/parser.js';
import type { Callback } from './declarations.js';
import { destroyedBefore } from './leaving.js';
import { messagesOf } from './loops.js';
import { Raw } from './raw.js';
import { type Decoded, type DecodingOptions, destroyFlow, readingFlow, readingSettings } from './reading.js';
import { abortBy, BaseTransform, destroyWritable, duplexOptions, type StreamOptions } from './streams.js';

const ignore = (): void => {};

/** The raw bytes of decoders whose framing has ended. A field would take memory in all others, which are most. */
const raws = new WeakMap<object, Raw>();

/** The wire format, how messages are handed out, and Node's options of streams. */
export interface LengthPrefixDecoderOptions<Batch extends boolean = boolean, T = any, Stream extends boolean = boolean>
  extends DecodingOptions<Batch, T, Stream>,
    StreamOptions {}

/**
 * Bytes in, messages out: a Transform whose readable side is in object mode, one `Buffer` a message, empty ones included.
 *
 * ```ts
 * pipeline(socket, new LengthPrefixDecoder(), async (messages) => {
 *   for await (const message of messages) console.log(message.length);
 * }).catch((error) => console.error(error)); // It ends this connection alone.
 * ```
 *
 * All complete messages before a fault, or before the end of the input, are handed out before the error or the end
 * shows. A reader that has stopped makes the decoder stop: it never holds more messages than `readableHighWaterMark`.
 *
 * With `oversize: 'skip'`, the event `'oversize'` tells of each payload that is passed over. Its arguments are the payload's
 * length in bytes, and the number of bytes in front of its frame in the stream. Messages before it may still wait to be
 * read.
 *
 * Fails with a {@link FrameError}: `ERR_FRAME_TOO_LONG`, `ERR_FRAME_TRUNCATED`, `ERR_FRAME_CORRUPT` or
 * `ERR_FRAME_TIMEOUT`.
 *
 * The options decide the type of the messages: see {@link Decoded}. {@link framed} is for both directions of a socket.
 */
export class LengthPrefixDecoder<
  Batch extends boolean = false,
  T = Buffer,
  Stream extends boolean = false,
> extends BaseTransform<Decoded<Batch, T, Stream>, Uint8Array | string> {
  readonly #flow: Flow<unknown, Uint8Array, unknown>;

  /**
   * A decoder of bytes that are written or piped to it.
   *
   * @throws {TypeError} `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
   * @throws {RangeError} `ERR_OUT_OF_RANGE`
   */
  constructor(options: LengthPrefixDecoderOptions<Batch, T, Stream> = {}) {
    const settings = readingSettings(options);
    super(duplexOptions(options, true, undefined, 131_072));
    this.#flow = readingFlow(this, settings, LengthPrefixDecoder.#failBehind, LengthPrefixDecoder.#endFraming);
    abortBy(options.signal, this);
  }

  static #failBehind(decoder: LengthPrefixDecoder<any, any, any>, error: Error): void {
    decoder.#flow.fail(error, (fault) => decoder.destroy(fault));
  }

  /** Messages that were parsed are still handed out. All other bytes, also those to come, are raw. */
  static #endFraming(decoder: LengthPrefixDecoder<any, any, any>): void {
    if (decoder.destroyed || raws.has(decoder)) return;
    const rest = parserOf(decoder.#flow.work).rest();
    const raw = new Raw((error) => decoder.destroy(error ?? undefined));
    raws.set(decoder, raw);
    const done = decoder.#flow.destroy(undefined);
    // Its bytes go on behind the end of its messages.
    decoder.allowHalfOpen = true;
    decoder.push(null);
    if (rest.length > 0) raw.add(rest, done ?? ignore);
    else done?.();
    if (decoder.writableFinished) raw.finish();
    else decoder.once('finish', () => raw.finish());
  }

  /**
   * Ends framing at once: the readable side ends behind the messages that were parsed. All other bytes can be read from the
   * returned stream: the bytes of a frame that is not complete, and all that are still written or piped to this decoder.
   * Where `formatAfter` gave null, they begin with the first byte behind that message.
   *
   * @returns the raw bytes; no bytes if the decoder has ended.
   * @throws {Error} `ERR_INVALID_STATE` inside a message that is read in parts or passed over, and inside `decode` and
   * `formatAfter`; `ERR_STREAM_DESTROYED` if the decoder was destroyed
   */
  detach(): node.Readable {
    if (!raws.has(this)) {
      const isOver = this.readableEnded && this.writableFinished && !this.errored;
      if (this.destroyed && !isOver) throw destroyedBefore();
      if (isOver) raws.set(this, Raw.nothing());
      else LengthPrefixDecoder.#endFraming(this);
    }
    return raws.get(this)!.claim();
  }

  /** The number of bytes that were taken; after `detach()`, of those that were framed. */
  get bytesRead(): number {
    return parserOf(this.#flow.work).bytesRead;
  }

  /** The number of messages that were handed out. Each message of a batch counts, and messages that wait to be read. */
  get messagesRead(): number {
    return this.#flow.count;
  }

  /** Whether a frame has begun that is not complete. */
  get insideFrame(): boolean {
    return parserOf(this.#flow.work).insideFrame;
  }

  /** The number of bytes that have come of a frame that is not complete; 0 between two frames. */
  get pendingFrameBytes(): number {
    return parserOf(this.#flow.work).pendingFrameBytes;
  }

  override _write(chunk: Buffer, _encoding: string, callback: Callback): void {
    const raw = this.#flow.isOver ? raws.get(this) : undefined;
    if (raw === undefined) this.#flow.take(chunk, callback);
    else raw.add(chunk, callback);
  }

  override _read(): void {
    this.#flow.want();
  }

  // Only here can it be seen that the reader took the last piece: a fault may wait for that.
  override read(size?: number): Decoded<Batch, T, Stream> | null;
  /** @hidden */
  override read(size?: number): any;
  override read(size?: number): any {
    const piece = super.read(size);
    this.#flow.wasRead();
    return piece;
  }

  /**
   * The messages, to the end of the input or of framing. Leaving the loop early destroys the decoder, unless
   * `destroyOnReturn` is false.
   */
  override iterator(options?: {
    destroyOnReturn?: boolean;
  }): AsyncIteratorObject<Decoded<Batch, T, Stream>, undefined, unknown>;
  /** @hidden */
  override iterator(options?: { destroyOnReturn?: boolean }): AsyncIteratorObject<any, any, any>;
  // Node's own destroys the decoder at the end of the messages, and the raw bytes behind them with it.
  override iterator({ destroyOnReturn = true } = {}): AsyncIteratorObject<any, any, any> {
    const decoder = this;
    const options = {
      // Node asks when the loop is over.
      get destroyOnReturn() {
        return destroyOnReturn && !(decoder.readableEnded && raws.has(decoder));
      },
    };
    return messagesOf(this, super.iterator(options));
  }

  /** As {@link iterator}. */
  override [Symbol.asyncIterator](): AsyncIteratorObject<Decoded<Batch, T, Stream>, undefined, unknown>;
  /** @hidden */
  override [Symbol.asyncIterator](): AsyncIteratorObject<any, any, any>;
  // Node's own does not call `iterator`.
  override [Symbol.asyncIterator](): AsyncIteratorObject<any, any, any> {
    return this.iterator();
  }

  override _flush(callback: Callback): void {
    if (!this.#flow.isOver) this.#flow.finish(callback);
    else callback();
  }

  // A Duplex's own `destroy` forgets callbacks: see `destroyWritable`.
  override destroy(error?: Error, callback?: (error?: Error | null) => void): this {
    destroyFlow(this.#flow, error);
    if (error || !this.writableFinished) raws.get(this)?.destroy(error);
    destroyWritable(this, error, callback);
    return this;
  }
}
