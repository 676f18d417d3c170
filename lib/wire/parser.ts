import { Assembler } from './assembler.js';
import { type ByteChunk, chunkBytes } from './chunk.js';
import { type DecodingOptions, type DecodingSettings, decodingSettings } from './decoding.js';
import { bytes, corrupt, FrameError, invalidReturn, invalidState, MOST_SHOWN, memoryGone, reason } from './errors.js';
import { Fifo } from './fifo.js';
import { Format, type FormatOptions, formatOf } from './format.js';
import type { Header } from './header.js';
import { concat, type Memory, uint8Arrays, viewOf } from './memory.js';
import { checkKnown } from './options.js';
import { ignoreRejection, isPromise } from './promises.js';
import { TrailerReader } from './trailer.js';

const nothing = new Uint8Array(0);

/** A frame that goes past its chunk, or can't go the short way. Its stages, in order: head, skip, message, trailer. */
class OpenFrame<M extends Uint8Array> {
  /** Its place in the stream. */
  readonly position: number;
  /** The bytes of a head that is not complete. */
  head: Uint8Array = nothing;
  headLength = 0;
  /** The length of the whole frame; 0 until the head is complete. */
  length = 0;
  /** Bytes to pass over: those to strip behind the head, or all of a payload that is too long. */
  skip = 0;
  /** The bytes that were stripped; undefined for a payload that is too long. */
  front: Assembler<Uint8Array> | undefined;
  /** The length of the message; undefined when it is passed over. */
  due: number | undefined;
  /** The bytes of the head that belong to the message, where they are no longer in the chunk. */
  kept: Uint8Array = nothing;
  /** The message is read in parts. */
  isInParts = false;
  /** The message, when it can't be a view of one chunk. */
  message: Assembler<M> | undefined;
  /** Undefined where the format has none. */
  trailer: TrailerReader | undefined;

  constructor(position: number) {
    this.position = position;
  }
}

/** The parser that calls a function of the user's just now, with a message that is not handed out yet. */
let caller: object | undefined;

/** Where a chunk lies. The getters of the chunk cost more than a view of it does. */
interface Place {
  readonly buffer: ArrayBufferLike;
  /** In the buffer. */
  readonly offset: number;
  readonly length: number;
}

const nowhere: Place = { buffer: nothing.buffer, offset: 0, length: 0 };

/** Rare state of a parser, in an object of its own: there may be very many parsers. */
interface Aside {
  /** The fault that ended a batch, or that an `onOversize` made later. */
  fault: { readonly error: unknown } | undefined;
  /** Chunks that were pushed before the one before them was used up. */
  waiting: Fifo<Uint8Array> | undefined;
  waitingBytes: number;
  /** No frame begins at this place of the stream, or behind it. */
  stopAt: number;
  /** It came to that place: all bytes that are there, and all that come, wait for `rest`. */
  isStopped: boolean;
  /** Another format, or none, came behind the last message. */
  isChanged: boolean;
  onStop: (() => void) | undefined;
}

/**
 * A synchronous parser: bytes in, messages out, when they are asked for. It does no I/O.
 *
 * ```ts
 * const parser = new FrameParser(formats.postgres);
 * socket.on('data', (chunk: Buffer) => {
 *   try {
 *     parser.push(chunk);
 *     for (let message = parser.next(); message !== undefined; message = parser.next()) handle(message);
 *   } catch (error) {
 *     socket.destroy(error as Error); // A bad frame.
 *   }
 * });
 * socket.on('error', (error) => console.error(error.message));
 * ```
 *
 * `next` throws the fault that it comes upon, and so does each `next` after it. Messages before the fault have been
 * handed out by then.
 *
 * A message can also be read in parts as they come: call `nextLength`, then `nextPart` until the parts have that length, or
 * `skipRest`.
 */
export class FrameParser<M extends Uint8Array = Uint8Array, T = M, Batch extends boolean = false> {
  // No methods with #: an object has one more field with them, and there may be very many parsers.
  #settings: DecodingSettings<M>;
  #chunk: Uint8Array = nothing;
  #place = nowhere;
  /** The chunk's place in the stream. */
  #chunkAt = 0;
  #at = 0;
  #open: OpenFrame<M> | undefined;
  #aside: Aside | undefined;

  /**
   * @param options the wire format, and `copy`, `batch`, `decode`, `oversize`, `onOversize`, `formatAfter` of a decoder. Options
   * of streams, such as `frameTimeout`, are allowed and do nothing: one object may serve both.
   * @param memory makes the messages. Default: plain `Uint8Array`s; `buffers` of `length-prefix` makes `Buffer`s.
   * @throws {TypeError} `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
   * @throws {RangeError} `ERR_OUT_OF_RANGE`
   */
  constructor(options?: DecodingOptions<M, Batch, T, false>, memory?: Memory<M>);
  /** @internal */
  constructor(settings: Partial<DecodingSettings<M>> & Pick<DecodingSettings<M>, 'format' | 'memory'>);
  constructor(options: object = {}, memory: Memory<M> = uint8Arrays as unknown as Memory<M>) {
    this.#settings = isSettings(options) ? options : decodingSettings(options as DecodingOptions<M>, memory);
  }

  /**
   * Adds a chunk. It belongs to the parser until all messages in it were handed out.
   *
   * @throws {TypeError} `ERR_INVALID_ARG_TYPE`
   */
  push(chunk: ByteChunk): void {
    const bytes = chunkBytes(chunk);
    // `next` throws it.
    if (this.#aside?.fault !== undefined) return;
    this.checkMemory();
    if (this.#at === this.#chunk.length && !this.#aside?.waiting?.length && !this.#aside?.isStopped) {
      this.hold(bytes);
      if (this.#aside !== undefined) this.stops();
    } else if (bytes.length > 0) {
      const aside = this.setAside();
      aside.waiting ??= new Fifo();
      aside.waiting.push(bytes);
      aside.waitingBytes += bytes.length;
    }
  }

  /**
   * Begins no frame behind the bytes that were pushed and `ahead` bytes more. A frame that has begun is still handed out;
   * then `onStop` is called. Bytes behind it wait for {@link rest}.
   *
   * @internal
   */
  stopBehind(ahead: number, onStop: () => void): void {
    const aside = this.setAside();
    aside.stopAt = this.bytesRead + ahead;
    aside.onStop = onStop;
    // A frame that has begun may not have been looked at.
    if (this.#at === this.#chunk.length) this.stops();
  }

  /**
   * Whether it has stopped: see {@link stopBehind}, and the option `formatAfter`.
   *
   * @internal
   */
  get isStopped(): boolean {
    return this.#aside?.isStopped === true;
  }

  /** Stops, where that is due. Returns whether it has stopped. */
  private stops(): boolean {
    const aside = this.#aside;
    if (aside === undefined || aside.isStopped) return aside !== undefined;
    if (this.#open !== undefined || this.position < aside.stopAt) return false;
    const left = new Fifo<Uint8Array>();
    const rest = this.#chunk.subarray(this.#at);
    if (rest.length > 0) left.push(rest);
    for (const chunk of aside.waiting ?? []) left.push(chunk);
    aside.waiting = left;
    aside.waitingBytes += rest.length;
    aside.isStopped = true;
    this.hold(nothing);
    aside.onStop?.();
    return true;
  }

  /** The open frame is done. */
  private closeFrame(): void {
    this.#open = undefined;
    if (this.#aside !== undefined) this.stops();
  }

  /** The memory of the chunk may have been transferred to another thread, or resized. */
  private checkMemory(): void {
    const { buffer, offset, length } = this.#place;
    if (this.#at < length && buffer.byteLength < offset + length) throw memoryGone();
  }

  private setAside(): Aside {
    this.#aside ??= {
      fault: undefined,
      waiting: undefined,
      waitingBytes: 0,
      stopAt: Number.POSITIVE_INFINITY,
      isStopped: false,
      isChanged: false,
      onStop: undefined,
    };
    return this.#aside;
  }

  /** The place of the next byte in the stream. */
  private get position(): number {
    return this.#chunkAt + this.#at;
  }

  /** Goes on with a chunk whose first byte has this place in the stream. */
  private hold(bytes: Uint8Array, position = this.position): void {
    const { decode, memory } = this.#settings;
    // `decode` gets bytes of the memory's class.
    const isOther = decode !== undefined && bytes.length > 0 && !(bytes instanceof memory.View);
    const chunk = isOther ? viewOf(bytes, memory) : bytes;
    this.#chunk = chunk;
    // Very many parsers may hold no chunk.
    this.#place =
      bytes === nothing ? nowhere : { buffer: chunk.buffer, offset: chunk.byteOffset, length: chunk.length };
    this.#chunkAt = position;
    this.#at = 0;
  }

  /**
   * Goes on with another wire format, from the next frame on. A frame that is not complete is read anew, in that format.
   *
   * @throws {TypeError} `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
   * @throws {RangeError} `ERR_OUT_OF_RANGE`
   * @throws {Error} as {@link rest}
   */
  setFormat(options: FormatOptions): void {
    checkKnown(options);
    const format = formatOf(options);
    const rest = this.rest();
    this.#settings = { ...this.#settings, format };
    this.hold(rest);
  }

  /**
   * Takes back all bytes that no message was made of: an incomplete frame, and all bytes behind it. The parser is then
   * between two frames.
   *
   * @throws {Error} `ERR_INVALID_STATE` inside a message that is read in parts or passed over, whose first bytes are gone;
   * inside `decode` and `formatAfter`
   * @throws FrameError for a wrong header or trailer of a message that is passed over
   */
  rest(): Uint8Array {
    if (caller === this)
      throw invalidState(
        "Framing can't be ended or changed inside 'decode' or 'formatAfter'; 'formatAfter' can return null",
      );
    this.passOverOpen();
    const frame = this.#open;
    const isGone = frame !== undefined && frame.length > 0 && (frame.due === undefined || frame.isInParts);
    if (isGone) {
      throw invalidState("Framing can't be ended or changed inside a message that is read in parts or passed over");
    }
    const parts: Uint8Array[] = [];
    if (frame !== undefined) {
      parts.push(frame.head.subarray(0, frame.headLength));
      if (frame.front !== undefined) parts.push(...frame.front.parts());
      parts.push(frame.kept);
      if (frame.message !== undefined) parts.push(...frame.message.parts());
      if (frame.trailer !== undefined) parts.push(frame.trailer.found);
    }
    parts.push(this.#chunk.subarray(this.#at), ...(this.#aside?.waiting ?? []));
    const position = frame?.position ?? this.position;
    this.destroy();
    this.hold(nothing, position);
    return parts.length === 1 ? parts[0]! : concat(parts, this.#settings.memory);
  }

  /**
   * The next message, or with `batch: true` all that are complete; undefined when more bytes are needed.
   *
   * @throws FrameError
   */
  next(): (Batch extends true ? T[] : T) | undefined;
  next(): unknown {
    const { format, memory, isQuick, batch, formatAfter } = this.#settings;
    if (batch) {
      const messages = this.nextAll();
      return messages.length > 0 ? messages : undefined;
    }
    const { quick } = format;
    if (this.#open === undefined && quick !== undefined && formatAfter === undefined) {
      // As `nextWhole`, without a call or an object: small messages take half the time.
      const chunk = this.#chunk;
      const at = this.#at;
      const payloadAt = at + format.maxHeadLength;
      if (payloadAt <= chunk.length) {
        const payload = quick.read(chunk, at + format.lengthFieldOffset) + format.lengthAdjustment;
        const start = at + format.stripped;
        const end = payloadAt + payload;
        if (payload >= format.shortest && payload <= format.maxPayloadLength && start <= end && end <= chunk.length) {
          const { buffer, offset } = this.#place;
          const message = isQuick
            ? new memory.View(buffer, offset + start, end - start)
            : this.inChunk(start, end, this.#chunkAt + at);
          // `decode` may have destroyed the stream.
          if (this.#chunk === chunk) this.#at = end;
          return message;
        }
      }
      return this.nextInSteps();
    }
    return this.nextInAnyWay();
  }

  private nextInAnyWay(): T | undefined {
    if (this.#aside?.fault !== undefined) throw this.#aside.fault.error;
    const message = (this.#open === undefined ? this.nextWhole() : undefined) ?? this.nextInSteps();
    if (message !== undefined && this.#settings.formatAfter !== undefined) this.follow(message);
    return message;
  }

  /** Asks which format comes behind a message. A fault comes behind it, too. */
  private follow(message: T): void {
    const { position } = this;
    const outer = caller;
    caller = this;
    try {
      const answer: unknown = this.#settings.formatAfter!(message);
      if (answer === undefined) return;
      const aside = this.setAside();
      aside.isChanged = true;
      if (answer === null) {
        aside.stopAt = position;
        aside.onStop ??= this.#settings.onStop;
        this.stops();
        return;
      }
      if (isPromise(answer)) {
        ignoreRejection(answer);
        throw invalidReturn('formatAfter', 'options, null or undefined', "a promise. It can't be asynchronous");
      }
      checkKnown(answer);
      this.#settings = { ...this.#settings, format: formatOf(answer as FormatOptions) };
    } catch (cause) {
      const what = `'formatAfter' gave no format for the next message: ${reason(cause)}`;
      this.setAside().fault = { error: corrupt(position, what, { cause }) };
    } finally {
      caller = outer;
    }
  }

  /**
   * All messages that are complete. A fault behind one is left to the next call.
   *
   * @throws FrameError
   */
  nextAll(): T[] {
    if (this.#aside?.fault !== undefined) throw this.#aside.fault.error;
    const messages: T[] = [];
    try {
      for (;;) {
        this.addWhole(messages);
        const message = this.nextInAnyWay();
        if (message === undefined) return messages;
        messages.push(message);
        // A batch ends where the format does, or a fault comes next.
        if (this.#aside !== undefined && this.isBatchOver(this.#aside)) return messages;
      }
    } catch (error) {
      // Kept: to come upon it again would decode a message twice.
      this.setAside().fault = { error };
      if (messages.length === 0) throw error;
      return messages;
    }
  }

  private isBatchOver(aside: Aside): boolean {
    const { isChanged, fault } = aside;
    aside.isChanged = false;
    return isChanged || fault !== undefined;
  }

  /**
   * Whether `formatAfter` may end framing.
   *
   * @internal
   */
  get mayStop(): boolean {
    return this.#settings.formatAfter !== undefined;
  }

  /**
   * Whether messages are to be read in parts.
   *
   * @internal
   */
  get inParts(): boolean {
    return this.#settings.inParts;
  }

  /** The loop of `next` with all that it looks up in front of it: this makes batches of small messages twice as fast. */
  private addWhole(messages: T[]): void {
    const { format, memory, isQuick, formatAfter } = this.#settings;
    const { quick, lengthFieldOffset, lengthAdjustment, maxHeadLength, shortest, maxPayloadLength, stripped } = format;
    if (this.#open !== undefined || quick === undefined || formatAfter !== undefined) return;
    const chunk = this.#chunk;
    const { buffer, offset } = this.#place;
    const { length } = chunk;
    const { View } = memory;
    let at = this.#at;
    for (let payloadAt = at + maxHeadLength; payloadAt <= length; payloadAt = at + maxHeadLength) {
      const payload = quick.read(chunk, at + lengthFieldOffset) + lengthAdjustment;
      const start = at + stripped;
      const end = payloadAt + payload;
      if (payload < shortest || payload > maxPayloadLength || start > end || end > length) break;
      if (isQuick) {
        messages.push(new View(buffer, offset + start, end - start) as unknown as T);
      } else {
        // A fault comes upon this frame again.
        this.#at = at;
        messages.push(this.inChunk(start, end, this.#chunkAt + at));
        // `decode` may have destroyed the stream, or given away the chunk's memory.
        if (this.#chunk !== chunk) return;
      }
      at = end;
      if (chunk.length !== length) break;
    }
    this.#at = at;
  }

  /** The short way, for a frame that is whole in the chunk and within its limits. All others go the long way. */
  private nextWhole(): T | undefined {
    const { format } = this.#settings;
    const chunk = this.#chunk;
    const at = this.#at;
    const { position } = this;
    const { header } = format;
    if (header !== undefined && !(chunk.length - at >= header.length && header.matches(chunk, at, 0, header.length))) {
      return undefined;
    }
    const head = format.readHead(chunk, at, chunk.length, position);
    if (head === undefined || head.payload > format.maxPayloadLength) return undefined;
    const end = at + head.length + head.payload;
    const frameEnd = end + format.trailerWidth;
    if (frameEnd > chunk.length) return undefined;
    const start = at + format.strippedFrom(head.length);
    format.trailer?.check(chunk, start, end, position);
    const message = this.inChunk(start, end, position);
    this.#at = frameEnd;
    return message;
  }

  /** The message in the chunk, from `start` to before `end`. */
  private inChunk(start: number, end: number, position: number): T {
    const { decode, copy } = this.#settings;
    // Decoded where it lies.
    if (decode !== undefined && !copy) return this.decoded(this.#chunk as M, start, end, position);
    return this.handedOut(this.view(start, end), position);
  }

  private handedOut(message: M, position: number): T {
    if (this.#settings.decode === undefined) return message as unknown as T;
    return this.decoded(message, 0, message.length, position);
  }

  private decoded(message: M, start: number, end: number, position: number): T {
    let value: T;
    const outer = caller;
    caller = this;
    try {
      value = this.#settings.decode!(message, start, end);
    } catch (cause) {
      const what = `a message of ${bytes(end - start)} can't be decoded: ${reason(cause)}`;
      throw corrupt(position, what, { cause });
    } finally {
      caller = outer;
    }
    if (value === undefined || value === null) {
      const advice = value === null ? '; null can be sent inside an object or an array, such as [null]' : '';
      const what = `a message of ${bytes(end - start)} was decoded as ${value}, which a stream can't hand out${advice}`;
      throw corrupt(position, what);
    }
    if (isPromise(value)) {
      ignoreRejection(value);
      const what = "'decode' returned a promise, and can't be asynchronous; await in the reader, as in decoder.map(fn)";
      throw corrupt(position, what);
    }
    return value;
  }

  /** The bytes of the chunk from `start` to before `end`. */
  private view(start: number, end: number): M {
    const { memory, copy: own } = this.#settings;
    const { buffer, offset } = this.#place;
    const view = new memory.View(buffer, offset + start, end - start);
    return own ? new memory.View(view) : view;
  }

  /** The long way, for every frame. */
  private nextInSteps(): T | undefined {
    for (;;) {
      const frame = this.nextFrame();
      if (frame?.isInParts === true) throw invalidState('The message is read in parts: see nextPart() and skipRest()');
      const message = frame && this.collect(frame, frame.due!);
      if (message !== undefined) {
        this.closeFrame();
        return message;
      }
      if (!this.useUp()) return undefined;
    }
  }

  /**
   * The length of the next message, to read it in parts; undefined when more bytes are needed.
   *
   * @throws FrameError
   */
  nextLength(): number | undefined {
    for (;;) {
      const frame = this.nextFrame();
      const due = frame?.due;
      if (frame !== undefined && (due !== 0 || this.passTrailer(frame))) {
        this.beginParts(frame);
        if (due === 0) this.closeFrame();
        return due;
      }
      if (!this.useUp()) return undefined;
    }
  }

  private beginParts(frame: OpenFrame<M>): void {
    frame.isInParts = true;
    if (frame.message === undefined) return;
    // `next` has put together what was there.
    frame.kept = concat(frame.message.parts(), this.#settings.memory);
    frame.message = undefined;
  }

  /**
   * The next bytes of a message that is read in parts; undefined when none are there. Where there is a trailer, the last byte
   * of a message comes when the trailer was checked.
   *
   * @throws {Error} `ERR_INVALID_STATE` when no message is read in parts: call `nextLength` first
   * @throws FrameError `ERR_FRAME_CORRUPT` for a wrong trailer
   */
  nextPart(): M | undefined {
    const frame = this.#open;
    if (frame?.isInParts !== true) throw invalidState('There is no message that is read in parts: see nextLength()');
    frame.trailer?.rethrow();
    const part = frame.kept.length > 0 ? this.keptPart(frame) : this.partInChunk(frame);
    if (part === undefined) return undefined;
    frame.trailer?.update(part);
    frame.due! -= part.length;
    if (frame.due === 0) {
      frame.trailer?.check();
      this.closeFrame();
    }
    return part;
  }

  private keptPart(frame: OpenFrame<M>): M | undefined {
    const { kept } = frame;
    const count = kept.length === frame.due && !this.hasTrailer(frame) ? kept.length - 1 : kept.length;
    if (count === 0) return undefined;
    const part = this.#settings.memory.allocate(count);
    part.set(kept.subarray(0, count));
    frame.kept = kept.subarray(count);
    return part;
  }

  private partInChunk(frame: OpenFrame<M>): M | undefined {
    while (this.#at >= this.#chunk.length) if (!this.useUp()) return undefined;
    const start = this.#at;
    const there = this.#chunk.length - start;
    const count = Math.min(frame.due!, there);
    const isLast = count === frame.due && frame.trailer !== undefined;
    const isHeld = isLast && there - count < frame.trailer!.width;
    const part = this.view(start, start + count - (isHeld ? 1 : 0));
    if (isHeld) frame.kept = Uint8Array.of(this.#chunk[start + count - 1]!);
    this.#at += count;
    if (part.length === 0) return this.keptPart(frame);
    if (isLast && !isHeld) this.hasTrailer(frame);
    return part;
  }

  /** Whether all of the trailer has come. */
  private hasTrailer({ trailer }: OpenFrame<M>): boolean {
    if (trailer === undefined) return true;
    for (;;) {
      this.#at += trailer.take(this.#chunk, this.#at);
      if (trailer.isWhole) return true;
      if (!this.useUp()) return false;
    }
  }

  /** Passes over as much of a message that is to be skipped as has come. */
  private passOverOpen(): void {
    const frame = this.#open;
    if (frame === undefined || frame.length === 0 || frame.due !== undefined) return;
    while (!this.passOver(frame)) if (!this.useUp()) return;
    if (this.passTrailer(frame)) this.closeFrame();
  }

  /** Passes over the parts of a message that were not read. */
  skipRest(): void {
    const frame = this.#open;
    if (frame?.due === undefined) return;
    frame.front = undefined;
    frame.skip = frame.due - frame.kept.length;
    try {
      frame.trailer?.update(frame.kept);
    } catch {
      // It is thrown again by `next`.
    }
    frame.kept = nothing;
    frame.due = undefined;
    if (frame.skip === 0 && frame.trailer === undefined) this.closeFrame();
  }

  /** The open frame, when everything in front of its message was read; undefined when the chunk ends before that. */
  private nextFrame(): OpenFrame<M> | undefined {
    if (this.#aside?.fault !== undefined) throw this.#aside.fault.error;
    while (this.#open !== undefined || this.#at < this.#chunk.length) {
      if (this.#open === undefined && this.#aside !== undefined && this.stops()) break;
      this.#open ??= new OpenFrame(this.position);
      const frame = this.#open;
      if (frame.length === 0 && !this.readHead(frame)) break;
      if (!this.passOver(frame)) break;
      if (frame.due !== undefined) return frame;
      if (!this.passTrailer(frame)) break;
      this.closeFrame();
    }
    return undefined;
  }

  /** Whether all messages and parts in the chunks were handed out. The parser then keeps no chunk. */
  get isSettled(): boolean {
    const isTaken =
      this.#at === this.#place.length &&
      this.#aside?.fault === undefined &&
      (this.#aside?.isStopped || !this.#aside?.waiting?.length);
    const isUsedUp = isTaken && (this.#open === undefined || this.#open.kept.length === 0 || isHeld(this.#open));
    // A chunk is not kept alive until the next one comes.
    if (isUsedUp && this.#chunk !== nothing) this.hold(nothing);
    return isUsedUp;
  }

  /** The number of bytes in all chunks that were pushed. */
  get bytesRead(): number {
    return this.#chunkAt + this.#place.length + (this.#aside?.waitingBytes ?? 0);
  }

  /** Whether a frame has begun that is not complete. */
  get insideFrame(): boolean {
    return this.#open !== undefined;
  }

  /** The number of bytes that have come of a frame that is not complete; 0 between two frames. */
  get pendingFrameBytes(): number {
    return this.#open === undefined ? 0 : this.position - this.#open.position;
  }

  /**
   * The place in the stream of the frame that has begun and is not complete.
   *
   * @internal
   */
  get openAt(): number | undefined {
    return this.#open?.position;
  }

  /**
   * True: messages are handed out by {@link next} alone.
   *
   * @internal
   */
  get isRead(): boolean {
    return true;
  }

  /** The chunk is used up: goes on with the next one. Returns false when there is none. */
  private useUp(): boolean {
    this.checkMemory();
    const aside = this.#aside;
    const chunk = (aside?.isStopped ? undefined : aside?.waiting?.shift()) ?? nothing;
    if (chunk.length > 0) aside!.waitingBytes -= chunk.length;
    this.hold(chunk);
    if (aside !== undefined) this.stops();
    return this.#chunk.length > 0;
  }

  /**
   * Tells the parser that the input has ended. Call it when `next` has no more messages.
   *
   * @throws FrameError `ERR_FRAME_TRUNCATED` inside a frame.
   */
  finish(): void {
    if (this.#aside?.fault !== undefined) throw this.#aside.fault.error;
    const frame = this.#open;
    if (frame === undefined) return;
    let what = `the input ended after ${this.position - frame.position} of ${bytes(frame.length)}`;
    if (frame.length === 0) {
      const { format } = this.#settings;
      const due = format.fixed ? format.maxHeadLength : `at least ${frame.headLength + 1}`;
      what = `the input ended after ${frame.headLength} of ${due} bytes up to the end of the length field`;
    }
    throw new FrameError('ERR_FRAME_TRUNCATED', frame.position, what);
  }

  /** Forgets all bytes and the frame that has begun, so that their memory can be freed. */
  destroy(): void {
    this.hold(nothing);
    this.#open = undefined;
    this.#aside = undefined;
  }

  /** Returns false when the head goes past the chunk. */
  private readHead(frame: OpenFrame<M>): boolean {
    const { format, memory, onOversize, inParts } = this.#settings;
    const stored = frame.headLength > 0;
    if (format.header !== undefined) this.checkFront(frame, format.header);
    if (stored) this.storeHead(frame, format.maxHeadLength - frame.headLength);
    const input = stored ? frame.head : this.#chunk;
    const start = stored ? 0 : this.#at;
    const end = stored ? frame.headLength : this.#chunk.length;
    const head = format.readHead(input, start, end, frame.position);
    if (head === undefined) {
      if (!stored) this.storeHead(frame, format.maxHeadLength);
      return false;
    }

    const length = head.length + head.payload;
    const stripped = format.strippedFrom(head.length);
    const oversize = head.payload > format.maxPayloadLength;
    if (oversize && onOversize === undefined) {
      const limit = `at most ${format.maxPayloadLength} are allowed (maxPayloadLength)`;
      throw format.tooLong(head.payload, limit, input, start, end, frame.position);
    }
    if (!oversize && !inParts && length - stripped > memory.maxLength) {
      const limit = `one message can hold at most ${memory.maxLength}`;
      throw format.tooLong(head.payload, limit, input, start, end, frame.position);
    }

    frame.length = length + format.trailerWidth;
    if (format.trailer !== undefined) frame.trailer = new TrailerReader(format.trailer, frame.position, !oversize);
    if (stored) {
      if (stripped < head.length && !oversize) frame.kept = frame.head.subarray(stripped, head.length);
      this.putBack(frame, head.length);
    }
    if (oversize) {
      frame.skip = head.payload;
      if (!stored) this.#at += head.length;
      this.tellOversize(head.payload, frame.position);
      return true;
    }
    frame.due = length - stripped;
    frame.skip = Math.max(0, stripped - head.length);
    const front = input.subarray(start, start + Math.min(head.length, stripped));
    if (stripped > 0 && !inParts) {
      frame.front = new Assembler<Uint8Array>(stripped, uint8Arrays, false);
      frame.front.append(front);
    }
    // The rest of the head is still in the chunk, in front of the payload.
    if (!stored) this.#at += front.length;
    frame.head = nothing;
    frame.headLength = 0;
    return true;
  }

  /** Checks the bytes in front of the length field, as far as they are there and were not checked before. */
  private checkFront(frame: OpenFrame<M>, header: Header): void {
    const chunk = this.#chunk;
    const at = this.#at;
    const from = frame.headLength;
    if (header.matches(chunk, at, from, Math.min(header.front, from + chunk.length - at))) return;
    const found = [frame.head.subarray(0, from), chunk.subarray(at, at + header.front + MOST_SHOWN)];
    throw header.error(concat(found, uint8Arrays), 0, frame.position);
  }

  /** A head of no fixed length may have been given more bytes than are its own. */
  private putBack(frame: OpenFrame<M>, headLength: number): void {
    const surplus = frame.headLength - headLength;
    if (surplus <= this.#at) {
      this.#at -= surplus;
      return;
    }
    // Some came in chunks that are gone.
    const rest = concat(
      [frame.head.subarray(headLength, frame.headLength), this.#chunk.subarray(this.#at)],
      this.#settings.memory,
    );
    this.hold(rest, frame.position + headLength);
  }

  private tellOversize(payload: number, position: number): void {
    try {
      const told = this.#settings.onOversize!(payload, position);
      if (isPromise(told)) {
        told.then(undefined, (cause: unknown) => {
          this.setAside().fault ??= { error: oversizeFault(cause, position) };
        });
      }
    } catch (cause) {
      throw oversizeFault(cause, position);
    }
  }

  /** Takes up to `most` bytes of the chunk to the head. */
  private storeHead(frame: OpenFrame<M>, most: number): void {
    const added = this.#chunk.subarray(this.#at, this.#at + most);
    const length = frame.headLength + added.length;
    if (length > frame.head.length) {
      const grown = new Uint8Array(
        Math.min(Math.max(length, 2 * frame.head.length, 16), this.#settings.format.maxHeadLength),
      );
      grown.set(frame.head.subarray(0, frame.headLength));
      frame.head = grown;
    }
    frame.head.set(added, frame.headLength);
    frame.headLength = length;
    this.#at += added.length;
  }

  /** Returns false when there is more to pass over than the chunk has. */
  private passOver(frame: OpenFrame<M>): boolean {
    this.checkMemory();
    const count = Math.min(frame.skip, Math.max(0, this.#chunk.length - this.#at));
    const { header } = this.#settings.format;
    if (header !== undefined) {
      const from = this.position - frame.position;
      if (!header.matches(this.#chunk, this.#at, from, Math.min(header.length, from + count))) {
        throw header.error(this.#chunk.subarray(this.#at), from, frame.position);
      }
    }
    if (count > 0 && (frame.front ?? frame.trailer) !== undefined) {
      const passed = this.#chunk.subarray(this.#at, this.#at + count);
      frame.front?.append(passed);
      if (frame.due === undefined) frame.trailer?.update(passed);
    }
    frame.skip -= count;
    this.#at += count;
    return frame.skip === 0;
  }

  /** Passes over the trailer of a message that is passed over, or is empty. Returns false when the trailer is not complete. */
  private passTrailer(frame: OpenFrame<M>): boolean {
    if (!this.hasTrailer(frame)) return false;
    frame.trailer?.check();
    return true;
  }

  /** Returns undefined when the message, or its trailer, goes past the chunk. */
  private collect(frame: OpenFrame<M>, due: number): T | undefined {
    const chunk = this.#chunk;
    const start = this.#at;
    const { trailer } = frame;
    const length = due + (trailer === undefined ? 0 : trailer.width);
    const isBegun = frame.message !== undefined || frame.kept.length > 0 || trailer?.isBegun;
    if (!isBegun && chunk.length - start >= length) {
      this.#settings.format.trailer?.check(chunk, start, start + due, frame.position);
      const message = this.inChunk(start, start + due, frame.position);
      this.#at += length;
      return message;
    }
    if (frame.kept.length > 0) {
      this.append(frame, frame.kept);
      frame.kept = nothing;
    }
    if (start < chunk.length) {
      const end = Math.min(chunk.length, start + due - (frame.message?.length ?? 0));
      this.append(frame, start === 0 && end === chunk.length ? chunk : chunk.subarray(start, end));
      this.#at = end;
    }
    const message = frame.message?.take();
    if (message === undefined || !this.hasTrailer(frame)) return undefined;
    trailer?.checkWhole(message);
    return this.handedOut(message, frame.position);
  }

  private append(frame: OpenFrame<M>, part: Uint8Array): void {
    // With `copy`, a chunk may be written over once it is used up.
    frame.message ??= new Assembler(frame.due!, this.#settings.memory, !this.#settings.copy);
    frame.message.append(part);
  }
}

/** The parser of a work: the work itself, or its property. */
export function parserOf(work: object): FrameParser<any, unknown, boolean> {
  return work instanceof FrameParser ? work : (work as { parser: FrameParser }).parser;
}

/** Whether only the last byte of a message that is read in parts is left, which waits for the trailer. */
function isHeld({ isInParts, trailer, kept, due }: OpenFrame<any>): boolean {
  return isInParts && trailer !== undefined && kept.length === 1 && due === 1;
}

/** The fault for a value that `onOversize` threw. A falsy value would be no fault to streams. */
function oversizeFault(cause: unknown, position: number): unknown {
  if (cause) return cause;
  const what = `'onOversize' or an 'oversize' listener threw ${String(cause)}`;
  return corrupt(position, what, { cause });
}

/** Whether these are settings that were checked before. */
function isSettings(options: object): options is DecodingSettings<any> {
  return (options as DecodingSettings | null)?.format instanceof Format;
}
