import { Buffer } from 'node:buffer';
import type * as node from 'node:stream';
import { type BodyJob, BodyParts, bodyFrameLength, bodyJob } from '../wire/body.js';
import { FrameBuilder, LARGE } from '../wire/builder.js';
import {
  type EncodingOptions as AnyEncodingOptions,
  type EncodingSettings,
  encodingSettings,
} from '../wire/encoding.js';
import { FrameError, nullValue, streamDestroyed, writeAfterEnd } from '../wire/errors.js';
import { Fifo } from '../wire/fifo.js';
import { isBytes } from '../wire/memory.js';
import { checkParts, encodeValue, isSource, notEncoded } from '../wire/message.js';
import { messageOf, WithFormat } from '../wire/with-format.js';
import { buffers } from './buffers.js';
import type { Callback } from './declarations.js';
import { Duplex, Writable } from './streams.js';

/** How messages are made. */
export interface EncodingOptions<T = any> extends AnyEncodingOptions<T> {
  /** The encoding of strings written without one. Default: `'utf8'`. */
  defaultEncoding?: BufferEncoding | undefined;
}

/** Encoding options, checked. */
export interface WritingSettings extends EncodingSettings {
  readonly defaultEncoding: BufferEncoding;
}

/**
 * @throws {TypeError} `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
 * @throws {RangeError} `ERR_OUT_OF_RANGE`
 */
export function writingSettings(options: EncodingOptions): WritingSettings {
  const settings = encodingSettings(options, buffers);
  return { ...settings, defaultEncoding: options.defaultEncoding ?? 'utf8' };
}

/** An entry of Writable's buffer: bytes of frames, a body, or the fault of a message that can't be sent. */
export class Entry {
  readonly bytes: Buffer | undefined;
  readonly job: BodyJob | undefined;
  readonly fault: Error | undefined;
  /** The callbacks of the messages that are complete with it. Emptied when they were called. */
  readonly callbacks: Callback[];
  /** It was handed to the stream of a `framed`. */
  isSent = false;
  /** The stream of a `framed` has called it back, or never will. */
  isDone = false;
  /** The error that its messages fail with, though the stream goes on or is destroyed without one. */
  failure: Error | undefined;
  /** The entry behind it. */
  next: Entry | undefined;

  constructor(bytes: Buffer | undefined, job: BodyJob | undefined, fault: Error | undefined, callbacks: Callback[]) {
    this.bytes = bytes;
    this.job = job;
    this.fault = fault;
    this.callbacks = callbacks;
  }
}

/** The result of an entry. */
type Outcome = Pick<Entry, 'isDone' | 'failure'>;

const none: never[] = [];

/** Stands for a body in Writable's buffer, so that it counts. The bytes of the body are not there yet; these are not used. */
const place = Buffer.alloc(LARGE);
const nothing = Buffer.alloc(0);

/**
 * The writable side of an encoder or a `framed`: makes frames of messages as they are written, and joins the frames of a tick.
 *
 *     write ---> builder --- flush ---> Writable's buffer --- _write ---> begin(): the stream sends it
 *                (counted by the         (counted by
 *                 stream's accessor)      Writable)
 *
 * The builder is flushed at the end of the tick; when Writable would be full; before a body or a fault; by `end`; and
 * before Writable is told that a write is done: so it knows of all bytes when it decides about `'drain'`.
 *
 * Writable's buffer keeps order and counts; the entries are kept beside it, one for each `_write`.
 */
export class Writing {
  /** The error that all messages written from now on fail with, though the stream still goes on. */
  lost: Error | undefined;
  readonly #stream: node.Duplex;
  readonly #encode: ((value: any) => any) | undefined;
  readonly #builder: FrameBuilder<Buffer>;
  #encoding: BufferEncoding;
  /** The entries behind the entry of the last `_write`: the first, which leads to the others, and the last. */
  #first: Entry | undefined;
  #last: Entry | undefined;
  /** The entry of the last `_write`, until it is done. */
  #current: Entry | undefined;
  /** Its callback, until it is done. */
  #held: Callback | undefined;

  /** The bytes that Writable has room for, when the builder was last empty. */
  #room = 0;
  #tickEnds = false;
  /** A message was refused. Writes return false from then on, to break off loops, as Node's do on a stream that failed. */
  #isFailing = false;
  /** Inside `end`: messages that listeners write now are given to Writable at once, before it ends. */
  #isEnding = false;

  /** The callbacks of the messages in the builder. */
  #callbacks: Callback[] = none;
  /** Callbacks that are being called, in order. */
  #due: Fifo<() => void> | undefined;
  #isCallingBack = false;
  /** The entries of a stream that was destroyed, and their callbacks, which Writable would call too early. */
  #left: { readonly entry: Outcome; readonly callbacks: readonly Callback[] }[] = none;

  constructor(stream: node.Duplex, { format, encode, defaultEncoding }: WritingSettings, large = LARGE) {
    this.#stream = stream;
    this.#encode = encode;
    this.#builder = new FrameBuilder(format, buffers, large);
    this.#encoding = defaultEncoding;
  }

  /** The number of bytes that Writable does not know of yet. */
  get length(): number {
    return this.#builder.length;
  }

  /** The number of bytes in the frames of all messages that were taken. */
  get bytesWritten(): number {
    return this.#builder.position;
  }

  /** The number of messages that were taken. */
  get messagesWritten(): number {
    return this.#builder.count;
  }

  setDefaultEncoding(encoding: string): void {
    this.#encoding = encoding.toLowerCase() as BufferEncoding;
  }

  /** `write` of the stream, with the arguments of Node's own. */
  write(message: any, second?: unknown, third?: unknown): boolean {
    const callback = (typeof second === 'function' ? second : third) as Callback | undefined;
    if (message === null || !this.#begins()) return this.#writeLate(message, second, callback);
    const encoding = typeof second === 'string' ? this.#encodingOf(message, second) : this.#encoding;
    const builder = this.#builder;
    let data = message;
    if (this.#encode !== undefined) {
      if (message instanceof WithFormat) return this.#writeWith(message, second, callback);
      try {
        data = encodeValue(this.#encode, message, builder.position);
      } catch (fault) {
        if (!this.#begins()) return this.#writeLate(message, second, callback);
        return this.#refuse(fault as Error, callback);
      }
      // `encode` may have ended or destroyed the stream.
      if (!this.#begins()) return this.#writeLate(message, second, callback, data);
    }
    try {
      if (isBytes(data)) builder.addBytes(data);
      else if (data instanceof WithFormat) return this.#writeWith(data, second, callback);
      else if (isSource(data))
        return this.#writeBody(bodyJob(data, builder.format, builder.position, encoding), callback);
      else builder.add(data, encoding);
    } catch (error) {
      // As Node's streams do, it throws for a value that is no message at all.
      if (error instanceof FrameError) return this.#refuse(error, callback);
      if (this.#encode !== undefined) return this.#refuse(notEncoded(error, builder.position), callback);
      if (!isSource(data)) checkParts(data);
      throw error;
    }
    return this.#added(callback);
  }

  #writeWith({ format, message }: WithFormat, encoding: unknown, callback: Callback | undefined): boolean {
    return this.#builder.useFormat(format, () => this.write(message, encoding, callback));
  }

  /** @throws {TypeError} Node's own, for an encoding that is not known. */
  #encodingOf(message: unknown, encoding: unknown): BufferEncoding {
    if (typeof encoding !== 'string' || encoding === '' || encoding === 'buffer') return this.#encoding;
    if (Buffer.isEncoding(encoding)) return encoding;
    try {
      Buffer.from(' ', encoding as BufferEncoding);
    } catch (error) {
      letGo(this.#dataOf(message), error);
      throw error;
    }
    return this.#encoding;
  }

  /** Whether it is not too late for a message. */
  #begins(): boolean {
    if (this.#builder.length > 0) return true;
    const stream = this.#stream;
    this.#room = stream.writableHighWaterMark - stream.writableLength;
    return stream.writable;
  }

  /** Writable refuses the write with its own error. `data` is the message to send, if `encode` has made it. */
  #writeLate(
    message: unknown,
    encoding: unknown,
    callback: Callback | undefined,
    data = this.#dataOf(message),
  ): boolean {
    if (message === null) {
      if (this.#encode !== undefined) throw nullValue();
      return write.call(this.#stream, null);
    }
    this.#encodingOf(message, encoding);
    if (this.#encode === undefined && !isSource(data)) checkParts(data);
    const failure = this.#failure;
    if (failure === undefined) return write.call(this.#stream, nothing, lettingGo(data, callback));
    letGo(data, failure);
    this.#addCallback(callback);
    return false;
  }

  /** Fails only the write that comes too late. Nobody must wait for a 'drain' behind it. */
  refuseLate(message: unknown, callback: Callback | undefined): boolean {
    const error = writeAfterEnd();
    letGo(this.#dataOf(message), error);
    if (typeof callback === 'function') process.nextTick(callback, error);
    return true;
  }

  /** The error of a stream that failed and is not destroyed: Writable would keep a write until it is. */
  get #failure(): Error | undefined {
    const { errored, destroyed, writableEnded } = this.#stream;
    return destroyed || writableEnded ? undefined : (errored ?? undefined);
  }

  /** The message to send, unless `encode` must make it. */
  #dataOf(message: unknown): unknown {
    return this.#encode === undefined ? messageOf(message) : undefined;
  }

  /** A message was added to the builder. */
  #added(callback: Callback | undefined): boolean {
    this.#addCallback(callback);
    if (!this.#tickEnds) {
      this.#tickEnds = true;
      process.nextTick(Writing.#endTick, this);
    }
    const { length } = this.#builder;
    if (length < this.#room && !this.#isEnding) return !this.#isFailing;
    // Where Writable is full, small ones are still joined.
    const isDue = this.#room > 0 || length >= LARGE || this.#isEnding;
    return isDue && this.flush() && !this.#isFailing;
  }

  static #endTick(writing: Writing): void {
    writing.#tickEnds = false;
    writing.flush();
  }

  /** Gives Writable all bytes of the builder. Returns whether it wants more. */
  flush(): boolean {
    const stream = this.#stream;
    if (this.#builder.length === 0) return false;
    const pieces = this.#builder.take();
    const last = pieces.length - 1;
    // Writes of listeners go behind the last piece.
    if (last > 0) stream.cork();
    for (let i = 0; i < last; i++) this.#give(new Entry(pieces[i], undefined, undefined, none), pieces[i]!);
    const wantsMore = this.#give(new Entry(pieces[last], undefined, undefined, this.#takeCallbacks()), pieces[last]!);
    if (last > 0) stream.uncork();
    return wantsMore;
  }

  /** Gives Writable an entry, which counts with the length of `counted`. */
  #give(entry: Entry, counted: Buffer): boolean {
    const { callbacks, job } = entry;
    if (this.#first === undefined) this.#first = entry;
    else this.#last!.next = entry;
    this.#last = entry;
    const callAll = (error?: Error | null) => {
      // A stream that fails and is not destroyed sends nothing more.
      if (error) job?.parts.destroy(error);
      this.#callBack(callbacks.splice(0), error ?? entry.failure);
    };
    return write.call(this.#stream, counted, callbacks.length > 0 || job !== undefined ? callAll : undefined);
  }

  /** Calls back in order: a callback may read, and so make a later write's callback due. */
  #callBack(callbacks: readonly Callback[], error: Error | undefined): void {
    this.#addDue(callbacks, error);
    const due = this.#due;
    if (due === undefined || this.#isCallingBack) return;
    this.#isCallingBack = true;
    try {
      for (let next = due.shift(); next !== undefined; next = due.shift()) next();
    } finally {
      this.#isCallingBack = false;
      if (due.length > 0) process.nextTick(() => this.#callBack([], undefined));
      else this.#due = undefined;
    }
  }

  #addDue(callbacks: readonly Callback[], error: Error | undefined): void {
    for (const callback of callbacks) {
      this.#due ??= new Fifo();
      this.#due.push(() => callback(error));
    }
  }

  #writeBody(job: BodyJob, callback: Callback | undefined): boolean {
    this.#builder.position += bodyFrameLength(job, assumedHeadLength(job));
    this.#builder.count++;
    return this.#insert(job, undefined, place, callback);
  }

  /** Fails the message and the stream, behind all messages that were written before. */
  #refuse(fault: Error, callback: Callback | undefined): boolean {
    this.#isFailing = true;
    // It counts, so that no 'drain' comes while it waits to show.
    return this.#insert(undefined, fault, place.subarray(0, 1), callback);
  }

  #insert(
    job: BodyJob | undefined,
    fault: Error | undefined,
    counted: Buffer,
    callback: Callback | undefined,
  ): boolean {
    const stream = this.#stream;
    // Messages that listeners write go behind it.
    stream.cork();
    this.flush();
    this.#addCallback(callback);
    const wantsMore = this.#give(new Entry(undefined, job, fault, this.#takeCallbacks()), counted);
    stream.uncork();
    return wantsMore && !this.#isFailing;
  }

  #addCallback(callback: Callback | undefined): void {
    if (typeof callback !== 'function') return;
    if (this.#callbacks === none) this.#callbacks = [];
    this.#callbacks.push(callback);
  }

  #takeCallbacks(): Callback[] {
    const callbacks = this.#callbacks;
    this.#callbacks = none;
    return callbacks;
  }

  /** `end` of the stream, with the arguments of Node's own. */
  end(first?: any, second?: unknown, third?: unknown): void {
    const callback = [first, second, third].find((argument) => typeof argument === 'function');
    const hasMessage = first !== callback && first !== undefined && first !== null;
    const stream = this.#stream;
    if (hasMessage && !this.#begins()) {
      const data = this.#dataOf(first);
      const failure = this.#failure;
      // Writable refuses it with its own error. A stream that failed keeps the callback until it is destroyed.
      end.call(stream, nothing, failure === undefined ? lettingGo(data, callback) : callback);
      if (failure !== undefined) letGo(data, failure);
      return;
    }
    this.#isEnding = true;
    try {
      if (hasMessage) this.write(first, second === callback ? undefined : second);
      this.flush();
      end.call(stream, callback);
    } finally {
      this.#isEnding = false;
    }
  }

  /** `_write` was called: returns its entry. */
  begin(callback: Callback): Entry {
    this.#held = callback;
    // Node calls `_write` for an end that came too late, too, where the stream failed and is not destroyed yet.
    const current = this.#first ?? new Entry(undefined, undefined, undefined, none);
    this.#first = current.next;
    // An entry is not kept alive until the next one comes.
    if (this.#first === undefined) this.#last = undefined;
    this.#current = current;
    return current;
  }

  /** The entry of the last `_write` was sent, or failed: it is let go of. */
  done(error?: Error | null): void {
    const callback = this.#held;
    if (callback === undefined) return;
    this.#held = undefined;
    this.#current = undefined;
    this.flush();
    callback(error);
  }

  /** The entry of the last `_write`, and all behind it, fail with this error, though the stream still goes on. */
  lose(error: Error): void {
    this.lost = error;
    const current = this.#current;
    if (current === undefined || current.isDone) return;
    current.failure = error;
    current.job?.parts.destroy(error);
  }

  /** Whether this is the entry of the last `_write`. */
  isCurrent(entry: Entry): boolean {
    return entry === this.#current;
  }

  /** Whether a body is being sent. */
  get isSendingBody(): boolean {
    return this.#current?.job !== undefined;
  }

  /** The entries of bytes behind the entry of the last `_write`, up to the first that is no bytes. */
  *bytesAhead(): Generator<Entry> {
    for (let entry = this.#first; entry?.bytes !== undefined; entry = entry.next) yield entry;
  }

  /** The head of a body had this length, which may differ from the length that was assumed. */
  moved(job: BodyJob, headLength: number): void {
    this.#builder.position += headLength - assumedHeadLength(job);
  }

  /**
   * Calls all callbacks that were not called yet. Must be called before Writable forgets its buffer. Without an error, the
   * stream of a `framed` calls back the entries that it was given, and the entries behind them wait.
   */
  destroy(error: Error | null | undefined): void {
    const reason = error ?? this.#stream.errored ?? streamDestroyed();
    const isLost = !!error || this.lost !== undefined;
    const entries = this.#current === undefined ? [] : [this.#current];
    for (let entry = this.#first; entry !== undefined; entry = entry.next) entries.push(entry);
    entries.push(new Entry(undefined, undefined, undefined, this.#takeCallbacks()));
    for (const entry of entries) {
      if (isLost || !entry.isSent) this.#end(entry, this.lost ?? entry.fault ?? reason);
      entry.job?.parts.destroy(reason);
    }
    // Where the stream's own `write` destroys this, it is called a second time.
    this.#left = [...this.#left, ...entries.map((entry) => ({ entry, callbacks: entry.callbacks.splice(0) }))];
    process.nextTick(() => this.#callBackLeft());
    // Not at once: the write itself may still be on the stack. Without an error: the callbacks above have got theirs.
    if (this.#held !== undefined) process.nextTick(this.#held);
    this.#held = undefined;
    this.#current = undefined;
    this.#first = undefined;
    this.#last = undefined;
    this.#builder.take();
  }

  /** After `destroy`: calls `callback` when all others were called. */
  callBackLast(callback: () => void): void {
    this.#left.push({ entry: { isDone: true, failure: undefined }, callbacks: [callback] });
  }

  /** After `destroy`: the stream of a `framed` has called back an entry. */
  calledBack(entry: Entry, error: Error | null | undefined): void {
    this.#end(entry, error ?? undefined);
    this.#callBackLeft();
  }

  /** After `destroy`: the stream of a `framed` calls no callback any more. */
  giveUp(): void {
    for (const { entry } of this.#left) this.#end(entry, streamDestroyed());
    this.#callBackLeft();
  }

  #end(entry: Outcome, failure: Error | undefined): void {
    if (entry.isDone) return;
    entry.isDone = true;
    entry.failure = failure;
  }

  #callBackLeft(): void {
    while (this.#left[0]?.entry.isDone) {
      const { entry, callbacks } = this.#left.shift()!;
      this.#addDue(callbacks, entry.failure);
    }
    this.#callBack([], undefined);
  }
}

/** Destroys the body of a message that is not taken. */
function letGo(data: unknown, reason: unknown): void {
  if (isSource(data)) new BodyParts(data.body).destroy(reason);
}

/** A callback that gets the error of a write, and has its body destroyed for the same reason. */
function lettingGo(data: unknown, callback: Callback | undefined): Callback {
  return (error) => {
    letGo(data, error);
    if (typeof callback === 'function') callback(error);
  };
}

function assumedHeadLength({ head, format }: BodyJob): number {
  return head?.length ?? Math.max(format.stripped, 0);
}

const { write, end } = Duplex.prototype as unknown as {
  write(this: node.Duplex, chunk: unknown, callback?: Callback): boolean;
  end(this: node.Duplex, chunk: unknown, callback?: unknown): void;
};

const { get: countedLength } = Object.getOwnPropertyDescriptor(Writable.prototype, 'writableLength')!;

/** Makes `writableLength` of a class count the bytes that wait for the tick to end, too. @types/node allows no accessor. */
export function countWaiting<S extends object>(prototype: S, lengthOf: (stream: S) => number): void {
  // `compose` asks for it, and would refuse values otherwise. Writable itself gets bytes.
  Object.defineProperty(prototype, 'writableObjectMode', { configurable: true, get: () => true });
  Object.defineProperty(prototype, 'writableLength', {
    configurable: true,
    get(this: S): number {
      // Node counts down the buffer of a stream that failed twice, where a callback makes it fail again.
      return Math.max(0, countedLength!.call(this)) + lengthOf(this);
    },
  });
}

/** Settles in the next turn of the event loop: bytes that are there already have been handed out by then. */
export function soon(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
