import { Buffer } from 'node:buffer';
import process from 'node:process';
import type * as node from 'node:stream';
import { clearTimeout, setImmediate, setTimeout } from 'node:timers';
import { inspect } from 'node:util';
import { type BodyJob, sendBody } from '../wire/body.js';
import { FrameError, invalidState, invalidType, invalidValue, nodeError, streamDestroyed } from '../wire/errors.js';
import { Fifo } from '../wire/fifo.js';
import type { Flow } from '../wire/flow.js';
import { milliseconds } from '../wire/format.js';
import { isBytes, lengthOf, viewOf } from '../wire/memory.js';
import type { Message } from '../wire/message.js';
import { checkKnown } from '../wire/options.js';
import { parserOf } from '../wire/parser.js';
import { buffers } from './buffers.js';
import type { Callback, MessageDuplex } from './declarations.js';
import { publishClose, publishFramed } from './diagnostics.js';
import { type BytesStream, Closing, Detaching, destroyedBefore, reset } from './leaving.js';
import { Loops } from './loops.js';
import { type Decoded, type DecodingOptions, readingFlow, readingSettings } from './reading.js';
import {
  abortBy,
  asError,
  BaseDuplex,
  Duplex,
  destroyWritable,
  duplexOptions,
  finished,
  Readable as ReadableClass,
  type StreamOptions,
} from './streams.js';
import { countWaiting, type EncodingOptions, type Entry, soon, Writing, writingSettings } from './writing.js';

/** The options of {@link framed}: the wire format, how messages are handed out and made, and Node's options of streams. */
export interface FramedOptions<Batch extends boolean = boolean, T = any, Stream extends boolean = boolean, Out = any>
  extends DecodingOptions<Batch, T, Stream>,
    EncodingOptions<Out>,
    StreamOptions {
  /**
   * False: the writable side ends when all messages were read: see {@link framed}. True: it stays open until `end()`.
   * Default: the stream's own setting, which is false for a socket of a `net.Server`; true for a pair of streams.
   */
  allowHalfOpen?: boolean | undefined;
  /** False: the stream is not destroyed when it has ended. A failure always destroys it. Default: true. */
  autoDestroy?: boolean | undefined;
}

/** A stream of bytes in both directions: a socket, or the output and the input of a child process. */
export type ByteStream =
  | NodeJS.ReadWriteStream
  | {
      /** Where bytes are read. */
      readonly readable: NodeJS.ReadableStream;
      /** Where bytes are written. */
      readonly writable: NodeJS.WritableStream;
    };

/** A Duplex of messages, as {@link framed} makes it. It reads values of type `In`, and writes values of type `Out`. */
export interface Framed<In = Buffer, Out = In | (In extends Buffer ? Message : never)> extends MessageDuplex<In, Out> {
  /** The number of bytes that were taken from the stream. */
  readonly bytesRead: number;
  /** The number of bytes in the frames of all messages that were taken. A body counts from its write on. */
  readonly bytesWritten: number;
  /** The number of messages that were handed out. Each message of a batch counts, and messages that wait to be read. */
  readonly messagesRead: number;
  /** The number of messages that were taken. */
  readonly messagesWritten: number;
  /** Whether a frame has begun that is not complete. */
  readonly insideFrame: boolean;
  /** The number of bytes that have come of a frame that is not complete; 0 between two frames. */
  readonly pendingFrameBytes: number;
  /**
   * Closes the stream, and loses nothing that was taken: a frame that has begun is still handed out, written messages are
   * sent, then both sides end. Later writes fail with `ERR_STREAM_WRITE_AFTER_END`; the stream does not fail with them. A
   * frame that begins later is not handed out. If nothing was written, the connection is then reset, so that the sender of
   * that frame does not see an end.
   *
   * ```ts
   * await Promise.allSettled([...connections].map((messages) => messages.close({ deadline: 5000 })));
   * ```
   *
   * @returns a promise that resolves when both sides are over. It rejects with the error of the stream, if there is one, and
   * with `ERR_INVALID_STATE` while the stream is being detached.
   */
  close(options?: CloseOptions): Promise<void>;
  /**
   * Ends framing and gives the stream back. All bytes that no message was made of can be read from it again, also those of a
   * frame that is not complete. Where `formatAfter` gave null, they begin with the first byte behind that message. The stream
   * may be framed anew. The readable side of this Duplex ends behind the messages that were parsed. Later writes fail with
   * `ERR_STREAM_WRITE_AFTER_END`.
   *
   * ```ts
   * const messages = framed(socket, { formatAfter: (message) => (message.equals(STARTTLS) ? null : undefined) });
   * for await (const message of messages) await handle(message);
   * const secure = new TLSSocket(await messages.detach<Socket>(), { isServer: true, secureContext });
   * ```
   *
   * @returns a promise of the stream that resolves when the parsed messages were read and written ones are sent. It rejects
   * with the error of the stream; with `ERR_INVALID_STATE` inside a message that is read in parts or passed over, inside
   * `decode` and `formatAfter`, and while the stream is being closed; with `ERR_STREAM_DESTROYED` if it was destroyed.
   */
  detach<S = node.Duplex>(): Promise<S>;
}

/** How long {@link Framed.close} waits. */
export interface CloseOptions {
  /**
   * The most time in ms, up to 2,147,483,647; 0 is now. Then the stream is destroyed with an `ERR_FRAME_TIMEOUT`, and a TCP connection is
   * reset. Default: none. It waits for as long as the reader and the peer take.
   */
  deadline?: number | undefined;
}

const ignore = (): void => {};

/** A part of a message from this many bytes on is not copied. */
const UNCOPIED = 16_384;

type State = BytesStream & { readonly closed?: boolean; readonly errored?: Error | null };
type Readable = NodeJS.ReadableStream &
  State & {
    allowHalfOpen?: boolean;
    readonly readableEncoding?: string | null;
    readableFlowing?: boolean | null;
    unshift?(chunk: Uint8Array): void;
  };
type Writable = NodeJS.WritableStream & State & { cork?(): void; uncork?(): void };

/** A stream is framed once in each direction. */
const knownReadables = new WeakMap<object, FramedStream>();
const knownWritables = new WeakMap<object, FramedStream>();

const noOptions: FramedOptions = {};

type Listener<Stream> = (this: Stream, argument: any) => void;
/** Each with the name of its event. */
type Listeners<Stream> = readonly (readonly [event: string, listener: Listener<Stream>])[];

/** A listener for all streams of a kind. A stream that was given back meanwhile is not known any more. */
function ofKnown(
  known: WeakMap<object, FramedStream>,
  tell: (framed: FramedStream, argument: any) => void,
): Listener<object> {
  return function (argument) {
    const framed = known.get(this);
    if (framed !== undefined) tell(framed, argument);
  };
}

function listenTo<Stream extends NodeJS.EventEmitter>(stream: Stream, listeners: Listeners<Stream>): void {
  for (const [event, listener] of listeners) stream.on(event, listener);
}

function stopListening<Stream extends NodeJS.EventEmitter>(stream: Stream, listeners: Listeners<Stream>): void {
  for (const [event, listener] of listeners) stream.removeListener(event, listener);
}

/**
 * Reading and writing have nothing to do with each other, except at the end:
 *
 *     reading --- the stream's 'end' -------------------> parses the chunks that wait --> 'end' -------> may end writing
 *             \-- its 'error', 'close', a failed write -> parses the chunks that wait --> destroyed, with the error
 *
 *     writing --- end() --> all sent --> ends the stream --> 'finish'
 *             \-- a write fails --> lost: every callback gets the error, until reading has come to it
 */
class FramedStream extends BaseDuplex<unknown, any> implements Framed<unknown, any> {
  readonly #readable: Readable;
  readonly #writable: Writable;
  readonly #flow: Flow<unknown, Uint8Array, unknown>;
  readonly #writing: Writing;
  readonly #options: FramedOptions;

  /** Chunks that came while one was in hand. */
  #waiting: Fifo<Buffer> | undefined;
  /** Set when no more chunks come, with the error, if there is one. */
  #input: { readonly error: Error | undefined } | undefined;
  /** All messages were handed out. */
  #isInputOver = false;
  /** A failed readable of a pair waits for pending writes. */
  #failure: Error | undefined;

  /** The callback of `_final`. */
  #ending: Callback | undefined;
  /** Framing has ended, or is to end, though the stream has not. */
  #leaving: Detaching | Closing | undefined;
  /** Settles when a stream that is being closed is over. */
  #closed: Promise<void> | undefined;

  /** How the stream was before. */
  readonly #wasHalfOpen: boolean | undefined;
  readonly #wasFlowing: boolean | null | undefined;

  #loops: Loops | undefined;
  /** The number of streams that are piped into this. */
  #pipes = 0;
  /** The number of its own listeners for 'drain', which tell nothing of a pipeline. */
  #ownDrain = 0;

  // All streams share their listeners: there may be very many.
  static readonly #ofReadable = Object.entries({
    data: ofKnown(knownReadables, (framed, chunk) => framed.#take(chunk)),
    end: ofKnown(knownReadables, (framed) => framed.#onInputEnd()),
    error: ofKnown(knownReadables, (framed, error) => framed.#onError(error)),
    close: ofKnown(knownReadables, (framed) => framed.#onClose(framed.#readable)),
  });
  /** Where the writable is another stream. */
  static readonly #ofWritable = Object.entries({
    error: ofKnown(knownWritables, (framed, error) => framed.#lose(error)),
    close: ofKnown(knownWritables, (framed) => framed.#onClose(framed.#writable)),
  });
  /** Of the writable, when it was ended. */
  static readonly #ofEnded = Object.entries({
    finish: ofKnown(knownWritables, (framed) => framed.#onFinish()),
  });
  static readonly #own = Object.entries<Listener<FramedStream>>({
    end() {
      this.#onEnd();
    },
  });
  /** Where it may end by itself. */
  static readonly #ownOfPipes = Object.entries<Listener<FramedStream>>({
    pipe() {
      this.#pipes++;
    },
    unpipe() {
      this.#pipes--;
      this.#lookSoon();
    },
  });

  /** A chunk was used up. */
  static readonly #onTaken = function (this: FramedStream, error?: Error | null): void {
    if (error) this.#failWith(error);
    else this.#advance();
  };

  static #failBehind(framed: FramedStream, error: Error): void {
    framed.#endInput(error);
  }

  static #stopFraming(framed: FramedStream): void {
    framed.#endFraming();
  }

  static {
    // biome-ignore lint/complexity/noThisInStatic: TypeScript 7 has no name for the class here
    countWaiting(this.prototype, (framed) => framed.#writing.length);
  }

  /** The Duplex of these streams: made before, with the same options, or new. */
  static of(stream: ByteStream, options: FramedOptions): FramedStream {
    const { readable, writable } = endsOf(stream);
    const before = knownReadables.get(readable) ?? knownWritables.get(writable);
    if (before === undefined) {
      if (readable.readableEncoding) throw invalidValue('stream', 'a stream of bytes, without setEncoding()', stream);
      return new FramedStream(readable, writable, options);
    }
    if (before.#readable !== readable || before.#writable !== writable) {
      throw invalidValue('stream', 'a stream that is not framed yet, unless the pair is the same', stream);
    }
    const other = difference(before.#options, options);
    if (other !== undefined) {
      throw invalidValue(
        'stream',
        `a stream that is not framed yet, unless the options are the same: the first call had ${other}`,
        stream,
      );
    }
    return before;
  }

  constructor(readable: Readable, writable: Writable, options: FramedOptions) {
    const settings = readingSettings(options);
    const isPair = (readable as unknown) !== writable;
    const written = writingSettings(options);
    super({ ...duplexOptions(options, true, undefined, 65_536), allowHalfOpen: true });
    this.#readable = readable;
    this.#writable = writable;
    this.#flow = readingFlow(this, settings, FramedStream.#failBehind, FramedStream.#stopFraming);
    this.#writing = new Writing(this, written, UNCOPIED);
    this.#options = Object.keys(options).length === 0 ? noOptions : { ...options };
    // One that is aborted destroys at once: not before the channels know of this.
    const isAborted = options.signal?.aborted === true;
    if (!isAborted) abortBy(options.signal, this);
    this.#wasHalfOpen = readable.allowHalfOpen;
    this.#wasFlowing = readable.readableFlowing;
    // It would end itself before the last messages are read and answered.
    if (!isPair) readable.allowHalfOpen = true;

    listenTo(this, FramedStream.#own);
    if (!this.#mayBeHalfOpen) listenTo(this, FramedStream.#ownOfPipes);
    knownReadables.set(readable, this);
    knownWritables.set(writable, this);
    listenTo(readable, FramedStream.#ofReadable);
    if (isPair) listenTo(writable, FramedStream.#ofWritable);
    publishFramed({ framed: this as unknown as node.Duplex, readable, writable });
    // These streams emit nothing more.
    if (readable.errored) process.nextTick(() => this.#onError(readable.errored!));
    if (readable.readableEnded) process.nextTick(() => this.#endInput(undefined));
    if (readable.destroyed) process.nextTick(() => this.#onClose(readable));
    if (isPair && writable.errored) process.nextTick(() => this.#lose(writable.errored!));
    if (isPair && writable.destroyed) process.nextTick(() => this.#onClose(writable));
    readable.resume();
    if (isAborted) abortBy(options.signal, this);
  }

  get #isPair(): boolean {
    return (this.#readable as unknown) !== this.#writable;
  }

  /** Whether its writable side stays open when all messages were read. */
  get #mayBeHalfOpen(): boolean {
    return this.#options.allowHalfOpen ?? (this.#isPair ? undefined : this.#wasHalfOpen) ?? true;
  }

  #onClose(stream: Readable | Writable): void {
    if (stream === this.#readable) this.#closing?.peerIsDone();
    if (this.destroyed) {
      // Writes to a socket that is still connecting are called back at its 'close', too.
      if (stream === this.#writable) process.nextTick(() => this.#writing.giveUp());
      return;
    }
    if (stream === this.#readable) this.#endInput(prematureClose());
    if (stream !== this.#writable) return;
    // A stream need not call back the write that it had in hand.
    if (this.#ending !== undefined || this.writableLength > 0) this.#lose(prematureClose());
    // Nothing else could end this.
    else if (this.readableEnded && !this.writableEnded) this.destroy();
  }

  // ---------------------------------------------------------------- counters

  get bytesRead(): number {
    return parserOf(this.#flow.work).bytesRead;
  }

  get messagesRead(): number {
    return this.#flow.count;
  }

  get insideFrame(): boolean {
    return parserOf(this.#flow.work).insideFrame;
  }

  get pendingFrameBytes(): number {
    return parserOf(this.#flow.work).pendingFrameBytes;
  }

  get bytesWritten(): number {
    return this.#writing.bytesWritten;
  }

  get messagesWritten(): number {
    return this.#writing.messagesWritten;
  }

  // ---------------------------------------------------------------- reading

  #take(chunk: unknown): void {
    if (this.#input !== undefined || this.destroyed) {
      this.#detaching?.late.push(chunk as Buffer);
      this.#closing?.take(chunk as Buffer);
      return;
    }
    if (!isBytes(chunk)) {
      this.#endInput(invalidType('stream', 'a stream of bytes, without setEncoding()', chunk));
      return;
    }
    const bytes = Buffer.isBuffer(chunk) ? chunk : viewOf(chunk, buffers);
    if (!this.#flow.isBusy && this.#flow.work.isSettled && this.#waiting === undefined) {
      this.#advance(bytes);
    } else {
      this.#waiting ??= new Fifo();
      this.#waiting.push(bytes);
      this.#advance();
    }
    // Not later: the stream may be about to end, and does so only when it is empty.
    const parser = parserOf(this.#flow.work);
    if (parser.mayStop && parser.isStopped) this.#endFraming();
    else if (this.#flow.isBusy) this.#readable.pause();
  }

  #onError(error: Error): void {
    if (this.#input === undefined || this.#isPair) this.#endInput(error);
    else this.#lose(error, false);
  }

  #onInputEnd(): void {
    this.#endInput(undefined);
    this.#closing?.peerIsDone();
  }

  /** No more chunks come. Messages that came are still handed out before the end or the error shows. */
  #endInput(error: Error | undefined): void {
    if (this.#input !== undefined || this.destroyed) return;
    this.#input = { error };
    this.#advance();
  }

  /** A chunk was used up, or came while none was in hand: goes on with what is next. */
  #advance(chunk?: Buffer): void {
    const flow = this.#flow;
    try {
      if (chunk === undefined) flow.goOn();
      else flow.take(chunk, FramedStream.#onTaken);
      while (!flow.isBusy && this.#waiting !== undefined) flow.take(this.#nextWaiting(), FramedStream.#onTaken);
    } catch (error) {
      // A listener threw. As with a socket, the messages behind this one are still handed out.
      process.nextTick(() => this.#advance());
      throw error;
    }
    if (flow.isBusy || this.destroyed) return;
    if (this.#input === undefined) {
      this.#readable.resume();
    } else {
      this.#finishInput(this.#input.error ?? this.#writing.lost);
    }
  }

  #nextWaiting(): Buffer {
    const chunk = this.#waiting!.shift()!;
    if (this.#waiting!.length === 0) this.#waiting = undefined;
    return chunk;
  }

  #finishInput(error: Error | undefined): void {
    if (error !== undefined) {
      this.#flow.fail(error, (fault) => this.#failWith(fault));
      return;
    }
    this.#flow.finish((fault) => {
      if (fault) {
        this.#failWith(fault);
        return;
      }
      this.#isInputOver = true;
      this.push(null);
      // If nothing is left to be read, the end shows although nobody reads.
      this.read(0);
    });
  }

  /** All messages before this error were read. */
  #failWith(error: Error): void {
    const isOfReadable = this.#isPair && error === this.#input?.error && this.#writing.lost === undefined;
    if (isOfReadable && this.writableLength > 0) this.#failure = error;
    else this.destroy(error);
  }

  override _read(): void {
    this.#flow.want();
  }

  // Only here can it be seen that the reader took the last piece: a fault may wait for that.
  override read(size?: number): any {
    const piece = super.read(size);
    this.#flow.wasRead();
    return piece;
  }

  // ---------------------------------------------------------------- writing

  /**
   * Whether a write comes too late without being an error: `close` or `detach` may have ended the stream before a reader has
   * answered.
   */
  get #isLate(): boolean {
    return this.#leaving !== undefined && this.writableEnded && !this.errored;
  }

  // Writable's own `write` takes no messages in parts, and passes on each alone.
  override write(message: any, encoding?: any, callback?: any): boolean {
    if (this.#isLate) {
      return this.#writing.refuseLate(message, typeof encoding === 'function' ? encoding : callback);
    }
    return this.#writing.write(message, encoding, callback);
  }

  // It writes a last message, and gives Writable the bytes that wait for the tick to end.
  override end(message?: any, encoding?: any, callback?: any): this {
    if (this.#isLate) {
      const done = [message, encoding, callback].find((argument) => typeof argument === 'function');
      if (message !== done && message !== undefined && message !== null) this.#writing.refuseLate(message, undefined);
      this.#writing.end(done);
      // 'finish' may be over. A pipeline that pumps a generator into this waits for either.
      process.nextTick(() => this.emit('drain'));
      return this;
    }
    this.#writing.end(message, encoding, callback);
    return this;
  }

  // `write` makes bytes of strings, and can't read the setting of Writable.
  override setDefaultEncoding(encoding: string): this {
    super.setDefaultEncoding(encoding as BufferEncoding);
    this.#writing.setDefaultEncoding(encoding);
    return this;
  }

  override _write(_chunk: Buffer, _encoding: string, callback: Callback): void {
    const entry = this.#writing.begin(callback);
    if (this.#writing.lost !== undefined) this.#drop(entry, this.#writing.lost);
    else if (entry.fault !== undefined) this.#lose(entry.fault);
    else if (entry.job !== undefined) void this.#sendBody(entry.job);
    else this.#send(entry);
  }

  #drop(entry: Entry, reason: Error): void {
    entry.job?.parts.destroy(reason);
    entry.failure = reason;
    process.nextTick(() => this.#sent());
  }

  /** Sends bytes, and those that already wait behind them, corked: a socket makes one system call of them. */
  #send(entry: Entry): void {
    if (entry.isSent) {
      // In a tick of its own: Node defers the callback of a write that is done inside `_write`, behind later ones.
      if (entry.isDone) process.nextTick(() => this.#sent());
      return;
    }
    if (entry.next === undefined) {
      this.#sendEntry(entry);
      return;
    }
    const writable = this.#writable;
    writable.cork?.();
    this.#sendEntry(entry);
    for (const next of this.#writing.bytesAhead()) this.#sendEntry(next);
    writable.uncork?.();
  }

  #sendEntry(entry: Entry): void {
    entry.isSent = true;
    this.#writable.write(entry.bytes!, (error?: Error | null) => {
      if (this.destroyed) {
        this.#writing.calledBack(entry, error);
      } else if (error) {
        this.#lose(error);
      } else {
        entry.isDone = true;
        if (this.#writing.isCurrent(entry)) this.#sent();
      }
    });
  }

  async #sendBody(job: BodyJob): Promise<void> {
    try {
      this.#writing.moved(job, await sendBody(job, buffers, (pieces) => this.#sendPieces(pieces), soon));
    } catch (error) {
      // Not inside a promise: it would take an exception of a listener.
      process.nextTick(() => this.#lose(asError(error)));
      return;
    }
    process.nextTick(() => this.#sent());
  }

  #sendPieces(pieces: Buffer[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const writable = this.#writable;
      const lost = this.#writing.lost ?? (this.destroyed ? streamDestroyed() : undefined);
      if (lost !== undefined) {
        reject(lost);
        return;
      }
      const last = pieces.length - 1;
      writable.cork?.();
      pieces.forEach((piece, i) => {
        if (i < last) writable.write(piece);
        else writable.write(piece, (error?: Error | null) => (error ? reject(error) : resolve()));
      });
      writable.uncork?.();
    });
  }

  #sent(): void {
    this.#writing.done();
    if (this.#failure !== undefined && this.writableLength === 0) this.destroy(this.#failure);
  }

  /**
   * Nothing more can be sent. Messages that came are still handed out, and writes are still taken until then: a reader may
   * wait for them. Where nobody has begun to read, the error shows at once.
   */
  #lose(error: Error, isWrite = true): void {
    if (this.#writing.lost !== undefined || this.destroyed) return;
    const cause = this.#writable.errored ?? error;
    this.#writing.lose(cause);
    const isOfWritable = this.#isPair && !!(this.#writable.destroyed || this.#writable.errored);
    const isUnread = isWrite && !this.readableDidRead && !isOfWritable;
    if (isUnread || this.readableEnded || this.#failure !== undefined) {
      this.destroy(this.#failure ?? cause);
      return;
    }
    // The other stream of a pair is read to its end.
    if (!isOfWritable) this.#endInput(cause);
    this.#sent();
  }

  override _final(callback: Callback): void {
    // The error shows when the messages before it are read.
    if (this.#writing.lost !== undefined) return;
    this.#ending = callback;
    if (this.#closing === undefined) this.#endWritable();
    else this.#closing.whenRead(() => this.#endWritable());
  }

  #endWritable(): void {
    const writable = this.#writable;
    const isReset = this.#closing?.refuses === true;
    if (isReset) reset(this.#readable);
    if ((isReset && !this.#isPair) || writable.writableFinished || this.#detaching?.promise !== undefined) {
      this.#onFinish();
    } else {
      listenTo(writable, FramedStream.#ofEnded);
      writable.end();
      // Not inside `end`, which would forget its callback.
      if (writable.destroyed) process.nextTick(() => this.#lose(prematureClose()));
    }
  }

  #onFinish(): void {
    const callback = this.#ending;
    this.#ending = undefined;
    if (callback === undefined) return;
    if (this.#closing === undefined) callback();
    else this.#closing.finish(callback);
  }

  // ---------------------------------------------------------------- leaving

  get #detaching(): Detaching | undefined {
    return this.#leaving instanceof Detaching ? this.#leaving : undefined;
  }

  get #closing(): Closing | undefined {
    return this.#leaving instanceof Closing ? this.#leaving : undefined;
  }

  /** Parses no more messages. Those that were parsed are still handed out. */
  #endFraming(): void {
    if (this.destroyed || this.#leaving !== undefined) return;
    // It may throw.
    const rest = this.#takeRest();
    const readable = this.#readable;
    const leaving = new Detaching();
    this.#leaving = leaving;
    this.#flow.destroy(undefined);
    // A frame that was not complete in time is no frame any more.
    if (this.#input?.error instanceof FrameError) this.#input = undefined;
    this.#input ??= { error: undefined };
    if (readable.readableEnded) {
      leaving.rest = rest;
    } else {
      readable.pause();
      if (rest.length > 0) readable.unshift!(rest);
    }
    if (!this.#isInputOver) this.#advance();
  }

  /** Takes all bytes that came and are not part of a message. */
  #takeRest(): Buffer {
    const rest = Buffer.concat([parserOf(this.#flow.work).rest(), ...(this.#waiting ?? [])]);
    this.#waiting = undefined;
    return rest;
  }

  detach(): Promise<any> {
    if (this.destroyed) return Promise.reject(this.errored ?? destroyedBefore());
    if (this.#closing)
      return Promise.reject(invalidState('The stream is being closed: it can be detached before close() is called'));
    try {
      this.#endFraming();
    } catch (error) {
      return Promise.reject(error);
    }
    const leaving = this.#detaching!;
    if (leaving.promise !== undefined) return leaving.promise;
    leaving.promise = new Promise((resolve, reject) => {
      leaving.resolve = () => resolve(this.#rawStream(leaving));
      leaving.reject = reject;
    });
    // The promise tells of an error.
    this.on('error', ignore);
    if (!this.writableEnded) this.end();
    const leave = (): void => {
      if (this.readableEnded && this.writableFinished) this.destroy();
    };
    this.once('end', leave);
    this.once('finish', leave);
    leave();
    return leaving.promise;
  }

  #rawStream({ rest }: Detaching): unknown {
    const readable =
      rest === undefined || rest.length === 0 ? this.#readable : ReadableClass.from([rest], { objectMode: false });
    if (this.#isPair) return { readable, writable: this.#writable };
    return readable === this.#readable ? readable : Duplex.from({ readable, writable: this.#writable } as any);
  }

  /** Everything is as it was before. */
  #handBack(leaving: Detaching): void {
    const readable = this.#readable;
    const flowing = this.#wasFlowing;
    stopListening(readable, FramedStream.#ofReadable);
    stopListening(this.#writable, FramedStream.#ofEnded);
    knownReadables.delete(readable);
    knownWritables.delete(this.#writable);
    if (this.#isPair) stopListening(this.#writable, FramedStream.#ofWritable);
    else if (this.#wasHalfOpen !== undefined) readable.allowHalfOpen = this.#wasHalfOpen;
    const late = Buffer.concat(leaving.late);
    if (readable.readableEnded) leaving.rest ??= late;
    else if (late.length > 0) readable.unshift!(late);
    // Our listener is gone. If there are others, they are the user's, and the stream flows again for them.
    if (flowing || readable.listenerCount('data') > 0) readable.resume();
    // Node has a setter: null is a stream that nobody has begun to read.
    else readable.readableFlowing = flowing ?? null;
  }

  async close(options: CloseOptions = {}): Promise<void> {
    checkKnown(options, ['deadline']);
    const { deadline } = options;
    if (deadline !== undefined) milliseconds('deadline', deadline);
    if (this.#detaching?.promise !== undefined)
      throw invalidState('The stream is being detached: close it by the stream that detach() resolves with');
    this.#closed ??= new Promise((resolve, reject) => {
      // The promise tells of an error.
      this.on('error', ignore);
      finished(this as unknown as node.Duplex, (error) => (error ? reject(error) : resolve()));
    });
    if (this.#leaving === undefined) {
      const leaving = new Closing(this.#readable, this.#writable, () => this.bytesWritten > 0);
      this.#leaving = leaving;
      const ahead = lengthOf([...(this.#waiting ?? [])]);
      parserOf(this.#flow.work).stopBehind(ahead, () => process.nextTick(() => this.#endReading(leaving)));
    }
    // A stream that was ended emits no 'drain', and a reader that waits for one would wait for ever.
    if (this.writableNeedDrain) process.nextTick(() => this.emit('drain'));
    if (!this.writableEnded) this.end();
    const timer = deadline === undefined ? undefined : setTimeout(() => this.#breakOff(deadline), deadline);
    try {
      await this.#closed;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Frames that have begun were handed out. */
  #endReading(leaving: Closing): void {
    const rest = this.#takeRest();
    this.#endInput(undefined);
    leaving.readIsOver(rest);
    // So that its end comes.
    this.#readable.resume();
  }

  #breakOff(deadline: number): void {
    const what = `the stream was not closed within ${deadline} ms (deadline)`;
    this.destroy(new FrameError('ERR_FRAME_TIMEOUT', this.bytesRead, what));
  }

  // ---------------------------------------------------------------- ending

  // A Duplex's own `destroy` forgets callbacks: see `destroyWritable`.
  override destroy(error?: Error, callback?: Callback): this {
    if (!error && this.#writing.lost === undefined) this.#sendRest();
    this.#writing.destroy(error);
    destroyWritable(this, error, callback);
    return this;
  }

  /** Hands written messages to the stream, as with a bare socket, whose `destroy` does not take back its writes. */
  #sendRest(): void {
    if (!this.#writable.writable || this.#writing.isSendingBody) return;
    this.#writing.flush();
    for (const entry of this.#writing.bytesAhead()) if (!entry.isSent) this.#sendEntry(entry);
  }

  override _destroy(error: Error | null, callback: Callback): void {
    publishClose(error, () => ({ framed: this, readable: this.#readable, writable: this.#writable }));
    this.#flow.destroy(error);
    this.#waiting = undefined;
    const isOver = this.readableEnded && this.writableFinished;
    const leaving = this.#detaching;
    if (leaving?.promise !== undefined) {
      if (isOver && !error) {
        this.#handBack(leaving);
        super._destroy(error, (...args) => {
          callback(...args);
          leaving.resolve!();
        });
        return;
      }
      leaving.reject!(error ?? streamDestroyed());
    }
    for (const stream of new Set<State>([this.#readable, this.#writable])) {
      if (error) reset(stream, error);
      // A stream whose sides are over closes itself when it has nothing more to do: HTTP/2 still has trailers to send.
      else if (!isOver || this.#detaching !== undefined) stream.destroy?.();
    }
    // No callback comes behind 'close'.
    this.#writing.callBackLast(() => super._destroy(error, callback));
  }

  #onEnd(): void {
    this.#loops?.watchLast();
    this.#lookSoon();
    if (this.#writing.lost !== undefined) this.destroy(this.#writing.lost);
    else if (this.#writable.closed) this.#onClose(this.#writable);
  }

  /** Not at once: a reader may have an answer to the last message. */
  #lookSoon(): void {
    if (!this.#mayBeHalfOpen && this.readableEnded && this.#leaving === undefined) setImmediate(() => this.#look());
  }

  /** All messages were read. Ends the writable side, unless there is a sign that more will be written. */
  #look(): void {
    // A stream that was destroyed will emit 'close'.
    if (!this.writable || this.#writable.destroyed || this.#leaving !== undefined) return;
    if (this.#pipes > 0 || this.#loops?.areOpen) return;
    // There is no other sign of a generator that a pipeline pumps into this.
    if (this.listenerCount('drain') > this.#ownDrain) this.#watchDrain();
    else this.end();
  }

  /** Looks again when the last foreign `'drain'` listener goes. Node tells of that only where another listener is left. */
  #watchDrain(): void {
    if (this.#ownDrain > 0) return;
    this.#ownDrain = 1;
    for (const event of ['drain', 'removeListener']) this.on(event, () => this.#lookSoon());
  }

  /**
   * The messages, in a loop. Leaving it early destroys the stream, unless `destroyOnReturn` is false. The end of the
   * messages leaves the writable side open: answers may still be written.
   */
  override iterator({
    destroyOnReturn = true,
  }: {
    destroyOnReturn?: boolean;
  } = {}): AsyncIteratorObject<any, any, any> {
    this.#loops ??= new Loops(this, () => this.#lookSoon());
    return this.#loops.open(super.iterator({ destroyOnReturn: false }), destroyOnReturn);
  }

  // As `iterator`, which knows of the writable side.
  override [Symbol.asyncIterator](): AsyncIteratorObject<any, any, any> {
    return this.iterator();
  }
}

/** As Node's own `ERR_STREAM_PREMATURE_CLOSE`. */
function prematureClose(): Error {
  return nodeError(new Error('Premature close'), 'ERR_STREAM_PREMATURE_CLOSE');
}

/**
 * Makes a Duplex of messages from a stream of bytes, such as a socket. One `write()` sends one message, and one `'data'`
 * event or one turn of `for await` is one message.
 *
 * ```ts
 * async function* answers(messages) {
 *   for await (const message of messages) yield `You said ${message}`;
 * }
 * createServer((socket) => {
 *   const messages = framed(socket, { maxPayloadLength: 100_000, frameTimeout: 10_000 }); // bytes, ms
 *   // A bad client ends its own connection, and nothing else; a slow one waits.
 *   pipeline(messages, answers, messages).catch((error) => console.error(error.message));
 * });
 * ```
 *
 * `end()` ends the stream when all messages are sent. When the stream ends, the readable side ends after the last message.
 * The writable side then stays open until `end()`, if the stream may be half open. Otherwise, as with a socket of a
 * `net.Server` by default, it ends when all messages were read, nothing is piped into it, and no loop over the messages is
 * still at the last one. For this, `framed` sets the stream's own `allowHalfOpen` to true. Answers that come later, from
 * asynchronous `'data'` listeners, need `allowHalfOpen: true`, and a call of `end()` after the last one.
 *
 * An error shows when the messages that came before it were read. `destroy(error)` resets a TCP connection, so that the
 * peer gets an error as well. `destroy()` hands the written messages to the stream, up to the first unfinished body, and
 * then destroys it. A message belongs to the stream until its write has called back.
 *
 * The streams of a pair `{ readable, writable }` are independent: when one fails, nothing that the other still has is lost.
 *
 * A stream is framed once. The second call for it, with the same options, returns the same Duplex:
 * `pipeline(framed(a), transform, framed(a))`. The Duplex has the events and errors of {@link LengthPrefixDecoder} and
 * {@link LengthPrefixEncoder}, and those of the stream.
 *
 * @param stream a socket or any other Duplex, or a pair such as `{ readable: child.stdout, writable: child.stdin }`
 * @throws {TypeError} `ERR_INVALID_ARG_TYPE` for a value that is no stream in both directions, and for an option of a wrong
 * type; `ERR_INVALID_ARG_VALUE` for an unknown option, a stream with `setEncoding()`, and other options than before
 * @throws {RangeError} `ERR_OUT_OF_RANGE` for a number that is too small or too large
 */
export function framed<Batch extends boolean = false, T = Buffer, Stream extends boolean = false, Out = Message>(
  stream: ByteStream,
  options: FramedOptions<Batch, T, Stream, Out> = {},
): Framed<Decoded<Batch, T, Stream>, Out> {
  return FramedStream.of(stream, options as FramedOptions) as unknown as Framed<Decoded<Batch, T, Stream>, Out>;
}

function endsOf(stream: ByteStream): { readable: Readable; writable: Writable } {
  const isReadable = (one: any): one is Readable => typeof one?.on === 'function' && typeof one.pause === 'function';
  const isWritable = (one: any): one is Writable => typeof one?.on === 'function' && typeof one.write === 'function';
  if (isReadable(stream) && isWritable(stream)) return { readable: stream, writable: stream };
  const { readable, writable } = (stream ?? {}) as { readable: unknown; writable: unknown };
  if (isReadable(readable) && isWritable(writable)) return { readable, writable };
  const hint = hintFor(stream);
  throw invalidType('stream', `a Duplex, or an object with a readable and a writable stream${hint}`, stream);
}

/** How to frame a value that is no stream in both directions. */
function hintFor(stream: any): string {
  if (typeof stream?.readable?.getReader === 'function') {
    return '; for web streams, length-prefix/web has LengthPrefixDecoderStream and LengthPrefixEncoderStream';
  }
  if (stream?.stdout && stream.stdin) {
    return '; a child process is { readable: child.stdout, writable: child.stdin }';
  }
  if (stream === process.stdin || stream === process.stdout) {
    return '; standard input and output are { readable: process.stdin, writable: process.stdout }';
  }
  if (typeof stream?.listen === 'function') return "; frame each socket of the server's 'connection' event";
  return '';
}

/** The first option that differs, with its value in `before`. Bytes are compared by their content. */
function difference(before: FramedOptions, options: FramedOptions): string | undefined {
  checkKnown(options);
  const names = Object.keys({ ...before, ...options }) as (keyof FramedOptions)[];
  const name = names.find((each) => !isSame(before[each], options[each]));
  return name && `${name}: ${inspect(before[name], { depth: 0 })}`;
}

function isSame(a: unknown, b: unknown): boolean {
  return a === b || (isBytes(a) && isBytes(b) && Buffer.compare(a, b) === 0);
}
