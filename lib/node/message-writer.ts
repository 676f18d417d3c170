import { Buffer } from 'node:buffer';
import { Duplex } from 'readable-stream';
import { type FrameError, invalidType, streamDestroyed } from '../wire/errors.js';
import { type Format, type FormatOptions, formatOf } from '../wire/format.js';
import {
  adoptBody,
  type Body,
  bodyTooLong,
  bodyTruncated,
  checkedSource,
  destroyBody,
  isSource,
  type Message,
  type MessageSource,
  notEncoded,
} from '../wire/message.js';
import { type Callback, OrderedTransform, type StreamOptions } from './ordered-transform.js';

/** What a program gives to be sent as messages. */
export interface EncodingOptions<T = any> extends FormatOptions {
  /**
   * Makes the message, as `write` takes it, of each value that is written. What it throws is the `cause` of an
   * `ERR_FRAME_CORRUPT`, which fails the value's own write, and then the stream. Default: values are messages.
   */
  encode?: ((value: T) => Message) | undefined;
  /** The encoding of strings written without one. Default: `'utf8'`. */
  defaultEncoding?: BufferEncoding | undefined;
}

/** From this many bytes on, a message or a part of one fills the buffer of any socket by default. */
export const LARGE = 65_536;

/** Up to this many bytes, a loop copies faster than a call of `set`. */
const BY_HAND = 8;

const empty = Buffer.alloc(0);

function bytesOf(part: any, encoding: BufferEncoding): any {
  return typeof part === 'string' ? Buffer.from(part, encoding) : part;
}

/** A body on its way, and the encoding of its strings. */
interface Sending extends MessageSource {
  readonly position: number;
  readonly encoding: BufferEncoding;
}

/** Encoding options, checked. */
export interface WriterSettings {
  readonly format: Format;
  readonly encode: ((value: any) => Message) | undefined;
  readonly defaultEncoding: BufferEncoding;
}

/**
 * @throws {TypeError} `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
 * @throws {RangeError} `ERR_OUT_OF_RANGE`
 */
export function writerSettings(options: EncodingOptions): WriterSettings {
  const format = formatOf(options);
  const { encode, defaultEncoding = 'utf8' } = options;
  if (encode !== undefined && typeof encode !== 'function') throw invalidType('encode', 'of type function', encode);
  return { format, encode, defaultEncoding };
}

/**
 * A stream to which messages are written, one with each `write`. Those of a tick are joined, and given to `send` when it
 * ends; large ones, and those that come as streams, are passed along in between.
 */
export abstract class MessageWriter extends OrderedTransform {
  /** The length from which on bytes are not copied, for `send` tells when they are done with. */
  protected large = LARGE;

  readonly #settings: WriterSettings;
  #defaultEncoding: BufferEncoding;
  /** The place in the stream of the next message's frame. */
  #position = 0;
  /** Why nothing more is sent: writes are still taken, and each one fails with this, until the stream does. */
  protected lost: Error | undefined;

  // The frames of this tick, joined as they are written, and the callbacks of their writes.
  #run: Buffer = empty;
  #runLength = 0;
  /** The bytes that Writable had room for when the run began. */
  #room = 0;
  #runCallbacks: Callback[] = [];
  #tickEnds = false;
  #drainDue = false;
  /** The length of the run before: as much as the next one is given at once. */
  #usualLength = 0;

  /** What goes in the place of a chunk that Writable has: several of them, or a body. */
  #inPlace: Map<Buffer, Buffer[] | Sending> | undefined;
  /** The bytes of those several chunks that Writable does not count. */
  #uncounted = 0;
  /** They alone make this full, and Writable knows of no 'drain' that is due. */
  #drainOwed = false;
  #sending: { readonly body: Body; readonly callback: Callback } | undefined;

  /** The message that can't be sent, and its write's callback. */
  #refusal: FrameError | undefined;
  #refused: Callback | undefined;

  static {
    // Writable's accessor, and what is not yet with it. No member: @types/readable-stream has a property.
    const { get } = Object.getOwnPropertyDescriptor(Duplex.prototype, 'writableLength')!;
    // biome-ignore lint/complexity/noThisInStatic: TypeScript 7 has no name for the class here
    Object.defineProperty(this.prototype, 'writableLength', {
      configurable: true,
      get(this: MessageWriter): number {
        return get!.call(this) + this.#runLength + this.#uncounted;
      },
    });
  }

  constructor(settings: WriterSettings, options: StreamOptions, objects: boolean, readableDefault: number | undefined) {
    super(options, objects, readableDefault, 65_536);
    this.#settings = settings;
    this.#defaultEncoding = settings.defaultEncoding;
    this.setDefaultEncoding(settings.defaultEncoding);
  }

  /** Passes these on, in one piece if it can, and calls back when they are done with. */
  protected abstract send(chunks: Buffer[], callback: Callback): void;

  /** Fails the write of a body that was broken off, and the stream with it. */
  protected abstract failBody(error: Error, callback: Callback): void;

  /** Sets the encoding of strings that are written without one. */
  override setDefaultEncoding(encoding: string): this {
    super.setDefaultEncoding(encoding);
    this.#defaultEncoding = encoding as BufferEncoding;
    return this;
  }

  override write(message: any, callback?: Callback): boolean;
  override write(message: any, encoding?: string | undefined, callback?: Callback): boolean;
  override write(message: any, second?: string | Callback, third?: Callback): boolean {
    const callback = typeof second === 'function' ? second : third;
    const encoding = typeof second === 'string' ? (second as BufferEncoding) : this.#defaultEncoding;
    const { format, encode } = this.#settings;

    if (this.#refusal !== undefined) {
      if (encode === undefined && isSource(message)) destroyBody(message.body);
      if (callback !== undefined) process.nextTick(callback, this.#refusal);
      return false;
    }
    let data = message;
    if (encode !== undefined && message !== null) {
      if (!this.writable) return super.write(empty, undefined, callback);
      try {
        data = encode(message);
      } catch (cause) {
        return this.#refuse(notEncoded(cause, this.#position), callback);
      }
    }
    if (typeof data === 'string') data = Buffer.from(data, encoding);
    if (!(data instanceof Uint8Array)) return this.#writeOther(data, encoding, callback);
    if (!this.#begins()) return super.write(data, undefined, callback);
    let frameLength: number;
    try {
      frameLength = format.frameLength(data, data.length, this.#position);
    } catch (error) {
      return this.#refuse(error as FrameError, callback);
    }
    if (data.length >= this.large) return this.#writeParts([data], data.length, frameLength, callback);
    this.#position += frameLength;
    this.#addFrame(data, frameLength);
    return this.#frameEnds(callback);
  }

  /** Whether it is not too late for a message. Writable refuses those that are. */
  #begins(): boolean {
    if (this.#runLength > 0) return true;
    this.#room = this.writableHighWaterMark - this.writableLength;
    return this.writable;
  }

  /** Room for this many bytes more at the end of the run. Returns where they begin. */
  #extendRun(length: number): number {
    const at = this.#runLength;
    const end = at + length;
    if (end > this.#run.length) {
      const grown = Buffer.allocUnsafe(Math.max(end, 2 * this.#run.length, this.#usualLength));
      this.#run.copy(grown, 0, 0, at);
      this.#run = grown;
    }
    this.#runLength = end;
    return at;
  }

  #addFrame(message: Uint8Array, frameLength: number): void {
    const { format } = this.#settings;
    const at = this.#extendRun(frameLength);
    if (format.headLength > 0) {
      // No object for each message.
      format.writeHeadInto(this.#run, at, message.length);
      copy(message, 0, this.#run, at + format.headLength);
    } else {
      const head = format.writeHead(message, message.length);
      this.#run.set(head.bytes, at);
      copy(message, head.kept, this.#run, at + head.bytes.length);
    }
  }

  #addToRun(part: Uint8Array): void {
    const at = this.#extendRun(part.length);
    this.#run.set(part, at);
  }

  /** A frame was added to the run. */
  #frameEnds(callback: Callback | undefined): boolean {
    if (callback !== undefined) this.#runCallbacks.push(callback);
    if (!this.#tickEnds) {
      this.#tickEnds = true;
      process.nextTick(MessageWriter.#endTick, this);
    }
    if (this.#runLength < this.#room) return true;
    // Writable has to know that a 'drain' is due.
    this.#drainDue = true;
    if (!this.writableNeedDrain && this.writableCorked === 0) this.#flushRun();
    return false;
  }

  static #endTick(writer: MessageWriter): void {
    writer.#tickEnds = false;
    if (writer.writableCorked === 0) writer.#flushRun();
  }

  #takeRun(): Buffer {
    const run = this.#run.length === this.#runLength ? this.#run : this.#run.subarray(0, this.#runLength);
    this.#usualLength = Math.min(this.#runLength, 2 * LARGE);
    this.#run = empty;
    this.#runLength = 0;
    return run;
  }

  #flushRun(): void {
    if (this.#runLength > 0) this.#give(this.#takeRun());
  }

  /** Gives Writable a chunk, and the callbacks that wait for it. */
  #give(chunk: Buffer): void {
    const callbacks = this.#runCallbacks;
    this.#runCallbacks = [];
    const callAll = (error?: Error | null) => {
      for (const callback of callbacks) callback(error ?? this.lost);
    };
    const full = !super.write(chunk, undefined, callbacks.length > 0 ? callAll : undefined);
    // What was full when it was told so may no longer be, where the run was corked.
    if (this.#drainDue && !full) {
      if (this.#isFull) this.#drainOwed = true;
      else this.#tellDrain();
    }
    this.#drainDue = false;
  }

  get #isFull(): boolean {
    return this.writableLength >= this.writableHighWaterMark;
  }

  #tellDrain(): void {
    process.nextTick(() => this.writable && this.emit('drain'));
  }

  /** What is no bytes: a message in parts, one with a body, or none at all. */
  #writeOther(message: unknown, encoding: BufferEncoding, callback: Callback | undefined): boolean {
    if (isSource(message)) return this.#writeBody(checkedSource(message), encoding, callback);
    const parts = Array.isArray(message) ? message.map((part) => bytesOf(part, encoding)) : [message];
    // That, and what comes too late, is Writable's to refuse.
    const wrong = parts.find((part) => !(part instanceof Uint8Array));
    if (parts.includes(wrong)) return super.write(wrong, undefined, callback);
    if (!this.#begins()) return super.write(empty, undefined, callback);

    const { format } = this.#settings;
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    const whole = format.keptAtMost > 0 ? [Buffer.concat(parts)] : parts;
    let frameLength: number;
    try {
      frameLength = format.frameLength(whole[0] ?? empty, length, this.#position);
    } catch (error) {
      return this.#refuse(error as FrameError, callback);
    }
    return this.#writeParts(whole, length, frameLength, callback);
  }

  /** A message in one part or several, the large ones of which are not copied. */
  #writeParts(parts: Uint8Array[], length: number, frameLength: number, callback: Callback | undefined): boolean {
    this.#position += frameLength;
    const { format } = this.#settings;
    const head = format.writeHead(parts[0] ?? empty, length);
    let { kept } = head;
    this.#addToRun(head.bytes);
    const chunks: Buffer[] = [];
    let counted: Buffer | undefined;
    for (const part of parts) {
      if (part.length < this.large) {
        this.#addToRun(part.subarray(kept));
      } else {
        const uncopied = Buffer.from(part.buffer, part.byteOffset + kept, part.length - kept);
        if (this.#runLength > 0) chunks.push(this.#takeRun());
        chunks.push(uncopied);
        counted ??= uncopied;
      }
      kept = 0;
    }
    if (counted === undefined) return this.#frameEnds(callback);

    if (this.#runLength > 0) chunks.push(this.#takeRun());
    if (callback !== undefined) this.#runCallbacks.push(callback);
    this.#inPlace ??= new Map();
    this.#inPlace.set(counted, chunks);
    for (const chunk of chunks) if (chunk !== counted) this.#uncounted += chunk.length;
    this.#give(counted);
    if (!this.#isFull) return true;
    if (!this.writableNeedDrain) this.#drainOwed = true;
    return false;
  }

  #writeBody(source: MessageSource, encoding: BufferEncoding, callback: Callback | undefined): boolean {
    const { format } = this.#settings;
    const { length, body } = source;
    if (!this.#begins()) {
      destroyBody(body);
      return super.write(empty, undefined, callback);
    }
    const position = this.#position;
    try {
      // A message that keeps a length field of no fixed width has to be seen first.
      this.#position += format.keepsOwn ? format.stripped + length : format.frameLength(empty, length, position);
    } catch (error) {
      destroyBody(body);
      return this.#refuse(error as FrameError, callback);
    }
    this.#flushRun();
    const place = Buffer.alloc(0);
    this.#inPlace ??= new Map();
    this.#inPlace.set(place, { length, body: adoptBody(body), position, encoding });
    this.#runCallbacks.push((error) => {
      this.#tellDrain();
      callback?.(error);
    });
    this.#give(place);
    return false;
  }

  /** Lets what was written since `cork` go on. */
  override uncork(): void {
    if (this.writableCorked === 1) this.#flushRun();
    super.uncork();
  }

  /** Ends the stream in front of the message, for {@link refusal} to fail it then. */
  #refuse(error: FrameError, callback: Callback | undefined): false {
    this.#refusal = error;
    this.#refused = callback;
    this.end();
    return false;
  }

  /** Why a message could not be sent. All that was written before it is; then the stream is to fail. */
  protected get refusal(): FrameError | undefined {
    return this.#refusal;
  }

  protected failRefused(): void {
    if (this.#refused === undefined) return;
    // Behind the callbacks of the writes before it.
    process.nextTick(this.#refused, this.#refusal);
    this.#refused = undefined;
  }

  override end(callback?: () => void): this;
  override end(message: any, callback?: () => void): this;
  override end(message: any, encoding?: string | undefined, callback?: () => void): this;
  override end(...args: unknown[]): this {
    const callback = args.find((arg) => typeof arg === 'function') as (() => void) | undefined;
    const [message, encoding] = args;
    if (message !== undefined && message !== null && message !== callback) {
      this.write(message as string, typeof encoding === 'string' ? encoding : undefined);
    }
    this.#flushRun();
    return super.end(callback);
  }

  override _write(chunk: Buffer, _encoding: string, callback: Callback): void {
    const inPlace = this.#inPlace?.get(chunk);
    if (inPlace === undefined) {
      this.send([chunk], callback);
      return;
    }
    this.#inPlace!.delete(chunk);
    if (Array.isArray(inPlace)) {
      this.send(inPlace, (error) => {
        for (const one of inPlace) if (one !== chunk) this.#uncounted -= one.length;
        this.#payDrain();
        callback(error);
      });
    } else {
      this.#sending = { body: inPlace.body, callback };
      void this.#sendBody(inPlace);
    }
  }

  #payDrain(): void {
    if (!this.#drainOwed || this.#uncounted > 0) return;
    this.#drainOwed = false;
    if (!this.writableNeedDrain) this.#tellDrain();
  }

  async #sendBody(source: Sending): Promise<void> {
    let failure: Error | undefined;
    try {
      await this.#sendParts(source);
    } catch (error) {
      failure = error as Error;
      destroyBody(source.body);
    }
    // Not from here: what a listener throws belongs to no promise.
    process.nextTick(() => {
      const callback = this.#sending?.callback;
      // Destroyed meanwhile.
      if (callback === undefined) return;
      this.#sending = undefined;
      if (failure === undefined) callback();
      else this.failBody(failure, callback);
    });
  }

  async #sendParts({ length, body, position, encoding }: Sending): Promise<void> {
    const { format } = this.#settings;
    const keptAtMost = Math.min(format.keptAtMost, length);
    /** What came before the head can be written, with it. */
    let start: Buffer | undefined = empty;
    const sendStart = async (first: Buffer): Promise<void> => {
      clearImmediate(soon);
      start = undefined;
      const written = format.writeHead(first, length, position);
      // A length field of the user's own may write in the same place each time.
      const head = Buffer.from(written.bytes);
      if (format.keepsOwn) this.#position += head.length - written.kept - format.stripped;
      const rest = first.subarray(written.kept);
      await this.#sent(rest.length < this.large ? [Buffer.concat([head, rest])] : [head, rest]);
    };
    const sendAll = async () => {
      let left = length;
      for await (const part of typeof body === 'string' || body instanceof Uint8Array ? [body] : body) {
        const data = bytesOf(part, encoding);
        if (!(data instanceof Uint8Array))
          throw invalidType('message.body', 'of strings, Buffers or Uint8Arrays', part);
        if (data.length === 0) continue;
        if (data.length > left) throw bodyTooLong(length, position);
        left -= data.length;
        await alone;
        if (start === undefined) {
          // Who made it may use it again when it asks for the next one.
          await this.#sent([data.length < this.large ? Buffer.from(data) : asBuffer(data)]);
        } else {
          const first: Buffer = keptAtMost === 0 ? asBuffer(data) : Buffer.concat([start, data]);
          if (first.length >= keptAtMost) await sendStart(first);
          else start = first;
        }
      }
      if (left > 0) throw bodyTruncated(length, left, position);
      await (start === undefined ? alone : sendStart(start));
    };

    // A head in a packet of its own makes the socket hold back a small body until the other end has acknowledged it. So
    // it waits for the first bytes, but no longer than they take that are there already.
    let alone: Promise<void> | undefined;
    let soon: NodeJS.Immediate | undefined;
    const headFailed = new Promise<never>((_, reject) => {
      if (keptAtMost > 0) return;
      soon = setImmediate(() => {
        alone = sendStart(empty);
        alone.catch(reject);
      });
    });
    try {
      await Promise.race([sendAll(), headFailed]);
    } finally {
      clearImmediate(soon);
    }
  }

  #sent(chunks: Buffer[]): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.destroyed) reject(streamDestroyed());
      else this.send(chunks, (error) => ((error ?? this.lost) ? reject(error ?? this.lost) : resolve()));
    });
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    for (const written of this.#runCallbacks) process.nextTick(written, error ?? streamDestroyed());
    this.failRefused();
    const sending = this.#sending;
    this.#sending = undefined;
    if (sending !== undefined) {
      process.nextTick(sending.callback, error ?? streamDestroyed());
      destroyBody(sending.body);
    }
    for (const inPlace of this.#inPlace?.values() ?? []) {
      if (!Array.isArray(inPlace)) destroyBody(inPlace.body);
    }
    this.#inPlace = undefined;
    this.#uncounted = 0;
    this.#run = empty;
    this.#runLength = 0;
    this.#runCallbacks = [];
    super._destroy(error, callback);
  }
}

function asBuffer(data: Uint8Array): Buffer {
  return Buffer.from(data.buffer, data.byteOffset, data.length);
}

/** Copies `bytes`, from `from` on, to `target[at]`. */
function copy(bytes: Uint8Array, from: number, target: Uint8Array, at: number): void {
  const length = bytes.length - from;
  if (length > BY_HAND) target.set(from === 0 ? bytes : bytes.subarray(from), at);
  else for (let i = 0; i < length; i++) target[at + i] = bytes[from + i]!;
}
