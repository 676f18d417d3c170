import { Buffer } from 'node:buffer';
import { type Duplex, finished } from 'readable-stream';
import { invalidType, invalidValue, streamDestroyed } from '../wire/errors.js';
import type { Message } from '../wire/message.js';
import { type Decoded, type DecodingOptions, MessageReader, readerSettings } from './message-reader.js';
import { type EncodingOptions, MessageWriter, writerSettings } from './message-writer.js';
import type { Callback, StreamOptions } from './ordered-transform.js';

/** How messages are framed in both directions, what becomes of them, and Node's options of streams. */
export interface FramedOptions<
  Batch extends boolean = boolean,
  T = unknown,
  Stream extends boolean = boolean,
  Out = any,
> extends DecodingOptions<Batch, T, Stream>,
    EncodingOptions<Out>,
    StreamOptions {
  /**
   * False: the writable side ends when all messages were read, unless somebody waits for its `'finish'`, as what is piped
   * into it does. Default: what the stream has itself, such as a `net.Socket` of a server, or else true.
   */
  allowHalfOpen?: boolean | undefined;
}

/** A stream of bytes, in both directions: a socket, or the output and the input of a child process. */
export type ByteStream =
  | NodeJS.ReadWriteStream
  | {
      /** What comes. */
      readonly readable: NodeJS.ReadableStream;
      /** Where to send. */
      readonly writable: NodeJS.WritableStream;
    };

/** A Duplex of messages: what is read are `In`, what is written `Out`. */
export interface Framed<In = Buffer, Out = Message> extends Duplex {
  /** The next message, or null when there is none yet. */
  read(size?: number): In | null;
  // The interfaces of @types/node know strings and Buffers only: this makes it one of their streams.
  /** @hidden */
  read(size?: number): any;
  /**
   * Writes a message. Returns false when `'drain'` should be waited for before the next one.
   *
   * @param callback is called when the message's bytes are done with, or with the error that it met.
   */
  write(message: Out, callback?: (error?: Error | null) => void): boolean;
  /** Writes a message whose strings are in this encoding. */
  write(message: Out, encoding?: string | undefined, callback?: (error?: Error | null) => void): boolean;
  /** Says that no more messages come. */
  end(callback?: () => void): this;
  /** Writes a last message. */
  end(message: Out, callback?: () => void): this;
  /** Writes a last message whose strings are in this encoding. */
  end(message: Out, encoding?: string | undefined, callback?: () => void): this;
  /** The messages, to the end of what the peer sends. To leave the loop before destroys the stream, in both directions. */
  [Symbol.asyncIterator](): AsyncIteratorObject<In, undefined, unknown>;
  /** @hidden */
  [Symbol.asyncIterator](): AsyncIteratorObject<any, any, any>;
  /** The messages, in a loop that with `destroyOnReturn: false` can be left to go on in another way. */
  iterator(options?: { destroyOnReturn?: boolean }): AsyncIteratorObject<In, undefined, unknown>;
  /** All messages to the end of what the peer sends, in one array. */
  toArray(options?: { signal?: AbortSignal }): Promise<In[]>;
  /** Tells of each message as it comes. */
  on(event: 'data', listener: (message: In) => void): this;
  /** Tells of each payload that is passed over: its length in bytes, and the place of its frame in the stream. */
  on(event: 'oversize', listener: (length: number, position: number) => void): this;
  /** The events of Node's Duplex. */
  on(event: string | symbol, listener: (...args: any[]) => void): this;
  /** Tells of the next message. */
  once(event: 'data', listener: (message: In) => void): this;
  /** Tells of the next payload that is passed over. */
  once(event: 'oversize', listener: (length: number, position: number) => void): this;
  /** The events of Node's Duplex. */
  once(event: string | symbol, listener: (...args: any[]) => void): this;
}

/** A message or a part of one from this many bytes on is not copied: the stream calls back when it has taken it. */
const UNCOPIED = 16_384;

type Ending = {
  readonly readableEnded?: boolean;
  readonly writableFinished?: boolean;
  destroy?(error?: Error): unknown;
};
type Readable = NodeJS.ReadableStream & Ending & { allowHalfOpen?: boolean };
type Writable = NodeJS.WritableStream &
  Ending & {
    readonly errored?: Error | null;
    cork?(): void;
    uncork?(): void;
  };

/** The reading side is the decoder's, the writing side the encoder's: what both make goes past a stream less each. */
class FramedStream extends MessageWriter {
  readonly #readable: Readable;
  readonly #writable: Writable;
  readonly #reader: MessageReader;
  readonly #allowHalfOpen: boolean;
  /** The listeners that this stream has of itself. */
  readonly #waitingAnyway: number;
  /** A chunk is in hand. */
  #taking = false;
  #inputEnded = false;
  #inputError: Error | undefined;
  /** The callback of what the stream is given to send. */
  #sending: Callback | undefined;

  constructor(readable: Readable, writable: Writable, options: FramedOptions) {
    const settings = readerSettings(options);
    const { allowHalfOpen = readable.allowHalfOpen ?? true } = options;
    super(writerSettings(options), { ...options, allowHalfOpen: true }, true, undefined);
    this.large = UNCOPIED;
    this.#readable = readable;
    this.#writable = writable;
    this.#reader = new MessageReader(settings, this);
    this.#allowHalfOpen = allowHalfOpen;
    // It would end itself before the last messages are read, and answered.
    if (readable.allowHalfOpen === false) readable.allowHalfOpen = true;

    this.#waitingAnyway = this.listenerCount('finish');
    this.once('end', () => this.#endWithInput());
    finished(readable, { writable: false }, (error) => this.#endInput(error));
    finished(writable, { readable: false }, (error) => error && this.#endInput(error));
    readable.on('data', (chunk) => this.#take(chunk)).resume();
  }

  /** Takes a chunk, and the next one when the reader has wanted all that is in it. */
  #take(chunk: Uint8Array | string): void {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    if (!(bytes instanceof Uint8Array)) {
      this.#endInput(invalidType('stream', 'a stream of bytes', chunk));
      return;
    }
    if (this.#taking) {
      // A listener wrote, and the stream answered at once: this chunk has to wait for its turn.
      this.#readable.pause();
      this.#readable.unshift(chunk);
      return;
    }
    // A stream in object mode may have others than Buffers.
    this.#reader.push(Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
    this.#taking = true;
    this.work((error) => {
      this.#taking = false;
      if (error) this.destroy(error);
      else if (this.#inputEnded) this.#finishInput();
      else if (this.#readable.isPaused()) this.#readable.resume();
    });
    if (this.#taking) this.#readable.pause();
  }

  /** What has come is still handed out, before the end or the error shows. */
  #endInput(error?: Error | null): void {
    if (this.destroyed) return;
    this.#inputEnded = true;
    this.#inputError ??= error ?? undefined;
    if (!this.#taking) this.#finishInput();
  }

  #finishInput(): void {
    const done = (error?: Error | null) => {
      if (error) {
        this.destroy(error);
      } else {
        this.push(null);
        // Where there is nothing to be read, nobody need read for the end to show.
        this.read(0);
      }
    };
    if (this.#inputError !== undefined) this.fail(this.#inputError, done);
    else super._flush(done);
  }

  /**
   * Ends the writable side when all messages were read, unless it may be half open, or somebody waits for it to finish:
   * a `pipe` or a `pipeline` into this stream, which ends it itself, or a loop that is still at the last message.
   */
  #endWithInput(): void {
    if (this.#allowHalfOpen) return;
    // Not at once: what reads may have an answer to the last message.
    setImmediate(() => {
      if (this.writable && this.listenerCount('finish') <= this.#waitingAnyway) this.end();
    });
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

  protected override send(chunks: Buffer[], callback: Callback): void {
    this.#sending = callback;
    if (this.lost !== undefined) {
      process.nextTick(() => this.#sent());
      return;
    }
    const writable = this.#writable;
    const last = chunks.length - 1;
    if (last > 0) writable.cork?.();
    for (let i = 0; i < last; i++) writable.write(chunks[i]!);
    writable.write(chunks[last]!, (error?: Error | null) => this.#sent(error));
    if (last > 0) writable.uncork?.();
  }

  #sent(error?: Error | null): void {
    const callback = this.#sending;
    this.#sending = undefined;
    callback?.(error ? this.#loseOutput(error) : null);
  }

  /**
   * Nothing more can be sent. Who reads still gets what has come, and writes go on to be taken until then, for who reads
   * may wait for them. Returns the error where nobody reads, and so nobody would see it.
   */
  #loseOutput(error: Error): Error | undefined {
    const cause = this.#writable.errored ?? error;
    if (this.readableFlowing === null && !this.readableDidRead) return cause;
    this.#endInput(cause);
    this.lost = this.#inputError;
    return undefined;
  }

  protected override failBody(error: Error, callback: Callback): void {
    callback(this.lost === undefined ? error : null);
  }

  override _final(callback: Callback): void {
    if (this.refusal !== undefined) {
      this.failRefused();
      callback(this.refusal);
    } else if (this.#writable.writableFinished) {
      // By somebody else.
      callback();
    } else {
      this.#writable.end((error?: Error | null) => {
        const failure = error ? this.#loseOutput(error) : undefined;
        if (!error || failure) callback(failure);
      });
    }
  }

  /** A Transform ends its readable side with its writable side. This one has nothing to do with the other. */
  override _flush(): void {}

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#reader.destroy(error);
    if (this.#sending !== undefined) process.nextTick(this.#sending, error ?? streamDestroyed());
    this.#sending = undefined;
    for (const stream of new Set([this.#readable, this.#writable])) {
      // One that is over closes itself, when it has nothing more to do: an HTTP/2 stream still has trailers to send.
      if (error || !isOver(stream)) stream.destroy?.(error ?? undefined);
    }
    super._destroy(error, callback);
  }

  async #lastOf(messages: AsyncIterator<unknown, undefined>): Promise<IteratorResult<unknown, undefined>> {
    const result = await messages.next();
    if (result.done) this.#endWithInput();
    return result;
  }

  /** To leave the loop destroys both directions, as for all streams. The end of the messages leaves one to write to. */
  override [Symbol.asyncIterator](): AsyncIteratorObject<any, undefined, unknown> {
    const messages = this.iterator({ destroyOnReturn: false });
    return {
      next: () => (this.readableEnded ? this.#lastOf(messages) : messages.next()),
      return: () => {
        this.destroy();
        return messages.return!();
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    } as AsyncIteratorObject<any, undefined, unknown>;
  }
}

/** Whether all of a stream was read, and all is sent, as far as it has these sides. */
function isOver({ readableEnded, writableFinished }: Ending): boolean {
  return (readableEnded ?? writableFinished) === true && (writableFinished ?? readableEnded) === true;
}

/** A stream is framed once. */
const known = new WeakMap<object, { stream: FramedStream; writable: Writable; options: FramedOptions }>();

/**
 * A stream of bytes as a Duplex of messages: what is written to it is sent, what comes is read from it.
 *
 * ```ts
 * for await (const message of framed(socket)) console.log(message.length);
 * ```
 *
 * `end()` ends the stream's writable side when all is sent; its end is the end of the readable side, and one can still
 * write, to a `net.Socket` without `allowHalfOpen` until all messages are read. An error of either side destroys both, with
 * that error, as soon as what came before it is read; where nobody has begun to read, a write that fails does so at once,
 * and so does a message that can't be sent, behind those written before it. `destroy()` destroys the stream. The second
 * call for a stream gives the same Duplex again: `pipeline(framed(a), transform, framed(a))`.
 *
 * Events and errors are those of {@link LengthPrefixDecoder} and {@link LengthPrefixEncoder}, and the stream's own.
 *
 * @param stream a socket or any other Duplex, or a pair such as `{ readable: child.stdout, writable: child.stdin }`
 * @throws {TypeError} `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
 * @throws {RangeError} `ERR_OUT_OF_RANGE`
 */
export function framed<Batch extends boolean = false, T = Buffer, Stream extends boolean = false, Out = Message>(
  stream: ByteStream,
  options: FramedOptions<Batch, T, Stream, Out> = {},
): Framed<Decoded<Batch, T, Stream>, Out> {
  const { readable, writable } = endsOf(stream);
  const before = known.get(readable);
  if (before !== undefined) {
    if (before.writable !== writable || !isSame(before.options, options)) {
      throw invalidValue('stream', 'framed once, or with the same options', stream);
    }
    return before.stream as unknown as Framed<Decoded<Batch, T, Stream>, Out>;
  }
  const made = new FramedStream(readable, writable, options as FramedOptions);
  known.set(readable, { stream: made, writable, options: { ...options } as FramedOptions });
  return made as unknown as Framed<Decoded<Batch, T, Stream>, Out>;
}

function endsOf(stream: ByteStream): { readable: Readable; writable: Writable } {
  const isReadable = (one: any): one is Readable => typeof one?.on === 'function' && typeof one.pause === 'function';
  const isWritable = (one: any): one is Writable => typeof one?.on === 'function' && typeof one.write === 'function';
  if (isReadable(stream) && isWritable(stream)) return { readable: stream, writable: stream };
  const { readable, writable } = (stream ?? {}) as { readable: unknown; writable: unknown };
  if (isReadable(readable) && isWritable(writable)) return { readable, writable };
  throw invalidType('stream', 'a Duplex, or an object with a readable and a writable stream', stream);
}

function isSame(a: FramedOptions, b: FramedOptions): boolean {
  if (typeof b !== 'object' || b === null) return false;
  const names = new Set([...Object.keys(a), ...Object.keys(b)]) as Set<keyof FramedOptions>;
  return [...names].every((name) => a[name] === b[name]);
}
