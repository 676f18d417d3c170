import { Buffer, constants } from 'node:buffer';
import { Readable } from 'readable-stream';
import { type CheckedDecoding, checkedDecoding, type DecodingOptionsOver } from '../wire/decoding.js';
import type { Memory } from '../wire/memory.js';
import type { OrderedTransform } from './ordered-transform.js';
import { FrameParser, type ParserSettings } from '../wire/parser.js';

/** What a program gets of the messages in a stream of bytes. */
export interface DecodingOptions<Batch extends boolean = boolean, T = unknown, Stream extends boolean = boolean>
  extends DecodingOptionsOver<Buffer, Batch, T, Stream> {}

/** A message whose bytes come as they arrive. */
export interface StreamedMessage {
  /** In bytes. */
  readonly length: number;
  /** So many bytes, in chunks. Fails with `ERR_FRAME_TRUNCATED` when the input ends inside them. */
  readonly body: Readable;
}

/** What a stream hands out: a `Buffer`, or what `decode` returns; with `batch`, arrays of it; with `stream`, bodies. */
export type Decoded<Batch extends boolean = false, T = Buffer, Stream extends boolean = false> = Stream extends true
  ? StreamedMessage
  : Batch extends true
    ? T[]
    : T;

// The constructor that Buffer's own methods make views with: it takes less than half the time of `subarray`.
const View = (Buffer as unknown as { [Symbol.species]: Memory<Buffer>['View'] })[Symbol.species];

const memory: Memory<Buffer> = { View, allocate: Buffer.allocUnsafeSlow, maxLength: constants.MAX_LENGTH };

/** Decoding options, checked. Readers can share them. */
export interface ReaderSettings extends ParserSettings<Buffer, unknown>, CheckedDecoding<Buffer> {
  onOversize: ParserSettings<Buffer>['onOversize'];
}

// One object for all streams without options: there may be very many.
let usualSettings: ReaderSettings | undefined;
usualSettings = readerSettings({});

/**
 * @throws {TypeError} `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
 * @throws {RangeError} `ERR_OUT_OF_RANGE`
 */
export function readerSettings(options: DecodingOptions): ReaderSettings {
  const checked = checkedDecoding<Buffer>(options);
  const { format, copy, batch, inParts, skipOversize, decode } = checked;
  const isUsual = !copy && !batch && !inParts && !skipOversize && !decode;
  if (isUsual && format === usualSettings?.format) return usualSettings;
  return { format, memory, copy, decode, inParts, batch, skipOversize, onOversize: undefined };
}

/** Chunks in, what the options ask for out: a message, a batch, or a message with its body. */
export class MessageReader extends FrameParser<Buffer, unknown> {
  readonly #streaming: Streaming | undefined;

  constructor(settings: ReaderSettings, stream: OrderedTransform) {
    super(settings);
    // These settings are its own, then.
    if (settings.skipOversize) settings.onOversize = (...args) => void stream.emit('oversize', ...args);
    this.#streaming = settings.inParts ? new Streaming(this, stream) : undefined;
  }

  /**
   * The next piece to hand out, or undefined when the chunk is used up or {@link isWaiting}.
   *
   * @throws FrameError
   */
  nextPiece(): unknown {
    if (this.#streaming !== undefined) return this.#streaming.next();
    if (!(this.settings as ReaderSettings).batch) return this.next();
    const messages = this.nextAll();
    return messages.length > 0 ? messages : undefined;
  }

  /** Whether a body has to be read before there is a next piece. */
  get isWaiting(): boolean {
    return this.#streaming?.isWaiting === true;
  }

  /** Whether no bytes of a body wait to be read. */
  get isRead(): boolean {
    return this.#streaming === undefined || this.#streaming.isRead;
  }

  /** Forgets everything, so that nothing is kept alive. */
  destroy(error: Error | null): void {
    this.#streaming?.destroy(error);
    this.reset();
  }
}

/** Hands out messages with their bodies, one at a time. */
class Streaming {
  isWaiting = false;
  readonly #parser: FrameParser<Buffer, unknown>;
  readonly #stream: OrderedTransform;
  #body: Body | undefined;
  /** The bytes that the body has not got. */
  #due = 0;

  constructor(parser: FrameParser<Buffer, unknown>, stream: OrderedTransform) {
    this.#parser = parser;
    this.#stream = stream;
  }

  next(): StreamedMessage | undefined {
    this.isWaiting = false;
    const body = this.#body;
    if (body !== undefined) {
      // Inside `push`, a listener may ask for more, or destroy the body.
      while (this.#body === body && body.wanted && this.#due > 0) {
        const part = this.#parser.nextPart();
        if (part === undefined) return undefined;
        this.#due -= part.length;
        body.wanted = false;
        if (body.push(part)) body.wanted = true;
      }
      if (this.#body === body) {
        if (this.#due === 0) body.push(null);
        this.isWaiting = true;
        return undefined;
      }
    }
    const length = this.#parser.nextLength();
    if (length === undefined) return undefined;
    const next = new Body(this);
    this.#due = length;
    // There is nothing of an empty one to be read: it is not waited for.
    if (length === 0) next.push(null);
    else this.#body = next;
    return { length, body: next };
  }

  get isRead(): boolean {
    return this.#body === undefined || this.#body.readableLength === 0;
  }

  onWanted(): void {
    this.#stream.wantMore();
  }

  onRead(): void {
    this.#stream.failWhenRead();
  }

  onClosed(body: Body): void {
    if (body !== this.#body) return;
    this.#body = undefined;
    this.#parser.skipRest();
    this.#stream.wantMore();
  }

  destroy(error: Error | null): void {
    const body = this.#body;
    this.#body = undefined;
    // Who does not listen to it hears of the error elsewhere, or when it comes to read.
    body?.on('error', () => {}).destroy(error ?? undefined);
  }
}

/** The bytes of one message. */
class Body extends Readable {
  wanted = false;
  readonly #streaming: Streaming;

  constructor(streaming: Streaming) {
    super();
    this.#streaming = streaming;
  }

  override _read(): void {
    this.wanted = true;
    this.#streaming.onWanted();
  }

  override read(size?: number): any {
    const bytes = super.read(size);
    this.#streaming.onRead();
    return bytes;
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#streaming.onClosed(this);
    callback(error);
  }
}
