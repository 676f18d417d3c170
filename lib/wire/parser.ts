import { Assembler } from './assembler.js';
import { bytes, FrameError, memoryGone, reason } from './errors.js';
import type { Format } from './format.js';
import type { Memory } from './memory.js';

/** What a parser goes by. Parsers can share it. */
export interface ParserSettings<M extends Uint8Array, T = M> {
  readonly format: Format;
  readonly memory: Memory<M>;
  /** Gives each message memory of its own. */
  readonly copy: boolean;
  /** Makes what is handed out of the message that lies in `bytes` from `start` to before `end`. Undefined: the bytes are. */
  readonly decode?: ((bytes: M, start: number, end: number) => T) | undefined;
  /** Messages are taken in parts: their length does not matter. */
  readonly inParts?: boolean | undefined;
  /**
   * Is told the length of each payload over `maxPayloadLength`, and the place of its frame in the stream; they are passed
   * over. Undefined: they are an error.
   */
  readonly onOversize?: ((length: number, position: number) => void) | undefined;
}

const nothing = new Uint8Array(0);

/** A frame that goes past its chunk, or does not go the short way. Its stages, in order: head, skip, message. */
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
  /** The length of the message; undefined when it is passed over. */
  due: number | undefined;
  /** The bytes of the head that belong to the message, where they are no longer in the chunk. */
  kept: Uint8Array = nothing;
  /** The message, when it can't be a view of one chunk. */
  message: Assembler<M> | undefined;

  constructor(position: number) {
    this.position = position;
  }
}

/**
 * Bytes in, messages out, one at a time and only when asked: `push` a chunk, call `next` until it has no more, push the
 * next chunk; at the end, `finish`. A fault is thrown by the `next` that comes upon it, and by each one after that.
 *
 * Or a message in parts, as they come: `nextLength`, then `nextPart` until they are that long, or `skipRest`.
 */
export class FrameParser<M extends Uint8Array, T = M> {
  protected readonly settings: ParserSettings<M, T>;
  #chunk: Uint8Array = nothing;
  // Of the chunk: two getters that cost more than a view does.
  #buffer: ArrayBufferLike = nothing.buffer;
  #offset = 0;
  #at = 0;
  /** The place of the chunk's first byte in the stream. */
  #position = 0;
  #open: OpenFrame<M> | undefined;
  /** What ended a batch. */
  #fault: { readonly error: unknown } | undefined;

  constructor(settings: ParserSettings<M, T>) {
    this.settings = settings;
  }

  /** Goes on with this chunk; the one before is used up. */
  push(chunk: Uint8Array): void {
    this.#chunk = chunk;
    this.#buffer = chunk.buffer;
    this.#offset = chunk.byteOffset;
  }

  /**
   * The next message, or undefined when what is left of the chunk is not a whole one: that is then taken in.
   *
   * @throws FrameError
   */
  next(): T | undefined {
    const { format, memory, copy, decode } = this.settings;
    const { fixed } = format;
    if (this.#open === undefined && fixed !== undefined && !copy && decode === undefined) {
      // What `#nextWhole` does, for most formats without a call or an object: small messages take half the time.
      const chunk = this.#chunk;
      const at = this.#at;
      const payloadAt = at + format.maxHeadLength;
      if (payloadAt <= chunk.length) {
        const payload = fixed.read(chunk, at + format.lengthFieldOffset) + format.lengthAdjustment;
        const start = at + format.stripped;
        const end = payloadAt + payload;
        if (payload >= 0 && payload <= format.maxPayloadLength && start <= end && end <= chunk.length) {
          this.#at = end;
          return new memory.View(this.#buffer, this.#offset + start, end - start) as unknown as T;
        }
      }
      return this.#nextInSteps();
    }
    return (this.#open === undefined ? this.#nextWhole() : undefined) ?? this.#nextInSteps();
  }

  /**
   * All messages that the chunk completes, with `next`. A fault behind one is left to the next call.
   *
   * @throws FrameError
   */
  nextAll(): T[] {
    if (this.#fault !== undefined) throw this.#fault.error;
    const messages: T[] = [];
    try {
      for (;;) {
        this.#addWhole(messages);
        const message = this.next();
        if (message === undefined) return messages;
        messages.push(message);
      }
    } catch (error) {
      // Kept: to come upon it again would decode a message twice.
      this.#fault = { error };
      if (messages.length === 0) throw error;
      return messages;
    }
  }

  /** The loop of `next` with all that it looks up in front of it: this makes batches of small messages twice as fast. */
  #addWhole(messages: T[]): void {
    const { format, memory, copy, decode } = this.settings;
    const { fixed, lengthFieldOffset, lengthAdjustment, maxHeadLength, maxPayloadLength, stripped } = format;
    if (this.#open !== undefined || fixed === undefined || copy || decode !== undefined) return;
    const chunk = this.#chunk;
    const buffer = this.#buffer;
    const offset = this.#offset;
    const { length } = chunk;
    const { View } = memory;
    let at = this.#at;
    for (let payloadAt = at + maxHeadLength; payloadAt <= length; payloadAt = at + maxHeadLength) {
      const payload = fixed.read(chunk, at + lengthFieldOffset) + lengthAdjustment;
      const start = at + stripped;
      const end = payloadAt + payload;
      if (payload < 0 || payload > maxPayloadLength || start > end || end > length) break;
      messages.push(new View(buffer, offset + start, end - start) as unknown as T);
      at = end;
    }
    this.#at = at;
  }

  /** The short way, for a frame that is whole in the chunk and within its limits. All else is left to the long way. */
  #nextWhole(): T | undefined {
    const { format } = this.settings;
    const chunk = this.#chunk;
    const at = this.#at;
    const head = format.readHead(chunk, at, chunk.length, this.#position + at);
    if (head === undefined || head.payload > format.maxPayloadLength) return undefined;
    const end = at + head.length + head.payload;
    if (end > chunk.length) return undefined;
    const message = this.#inChunk(at + format.strippedFrom(head.length), end, this.#position + at);
    this.#at = end;
    return message;
  }

  /** The message in the chunk, from `start` to before `end`. */
  #inChunk(start: number, end: number, position: number): T {
    const { decode, copy } = this.settings;
    // Decoded where it lies.
    if (decode !== undefined && !copy) return this.#decoded(this.#chunk as M, start, end, position);
    return this.#handedOut(this.#view(start, end), position);
  }

  #handedOut(message: M, position: number): T {
    if (this.settings.decode === undefined) return message as unknown as T;
    return this.#decoded(message, 0, message.length, position);
  }

  #decoded(message: M, start: number, end: number, position: number): T {
    let value: T;
    try {
      value = this.settings.decode!(message, start, end);
    } catch (cause) {
      const what = `a message of ${bytes(end - start)} can't be decoded: ${reason(cause)}`;
      throw new FrameError('ERR_FRAME_CORRUPT', position, what, { cause });
    }
    if (value === undefined || value === null) {
      const what = `a message of ${bytes(end - start)} was decoded as ${value}, which a stream can't hand out`;
      throw new FrameError('ERR_FRAME_CORRUPT', position, what);
    }
    return value;
  }

  /** The bytes of the chunk from `start` to before `end`. */
  #view(start: number, end: number): M {
    const { memory, copy: own } = this.settings;
    if (!own) return new memory.View(this.#buffer, this.#offset + start, end - start);
    const copy = memory.allocate(end - start);
    copy.set(this.#chunk.subarray(start, end));
    return copy;
  }

  /** The long way, for every frame. */
  #nextInSteps(): T | undefined {
    const frame = this.#nextFrame();
    const message = frame && this.#collect(frame, frame.due!);
    if (message === undefined) this.#useUp();
    else this.#open = undefined;
    return message;
  }

  /**
   * The length of the next message, for those who take it in parts; undefined as for `next`.
   *
   * @throws FrameError
   */
  nextLength(): number | undefined {
    const due = this.#nextFrame()?.due;
    if (due === undefined) this.#useUp();
    else if (due === 0) this.#open = undefined;
    return due;
  }

  /** What is there of a message that is not complete, or undefined when the chunk is used up. */
  nextPart(): M | undefined {
    const frame = this.#open!;
    const { kept } = frame;
    const count = kept.length > 0 ? kept.length : Math.min(frame.due!, this.#chunk.length - this.#at);
    if (count <= 0) {
      this.#useUp();
      return undefined;
    }
    let part: M;
    if (kept.length > 0) {
      part = this.settings.memory.allocate(count);
      part.set(kept);
      frame.kept = nothing;
    } else {
      part = this.#view(this.#at, this.#at + count);
      this.#at += count;
    }
    frame.due! -= count;
    if (frame.due === 0) this.#open = undefined;
    return part;
  }

  /** Passes over what has not come of a message that is taken in parts. */
  skipRest(): void {
    const frame = this.#open;
    if (frame?.due === undefined) return;
    frame.skip = frame.due - frame.kept.length;
    frame.kept = nothing;
    frame.due = undefined;
    if (frame.skip === 0) this.#open = undefined;
  }

  /** The frame under way, when what is in front of its message is dealt with; undefined when the chunk ends before that. */
  #nextFrame(): OpenFrame<M> | undefined {
    while (this.#open !== undefined || this.#at < this.#chunk.length) {
      this.#open ??= new OpenFrame(this.#position + this.#at);
      const frame = this.#open;
      if (frame.length === 0 && !this.#readHead(frame)) break;
      if (!this.#passOver(frame)) break;
      if (frame.due !== undefined) return frame;
      this.#open = undefined;
    }
    return undefined;
  }

  /** Lets go of the chunk, if all that it has was handed out; returns whether it was. */
  letGo(): boolean {
    const isTaken = this.#at === this.#chunk.length && this.#fault === undefined;
    const isUsedUp = isTaken && (this.#open === undefined || this.#open.kept.length === 0);
    if (isUsedUp) this.#useUp();
    return isUsedUp;
  }

  /** A chunk is not kept alive until the next one comes. */
  #useUp(): void {
    if (this.#at > this.#chunk.length) throw memoryGone();
    this.#position += this.#chunk.length;
    this.#at = 0;
    this.push(nothing);
  }

  /** @throws FrameError when the input has ended inside a frame. */
  finish(): void {
    const frame = this.#open;
    if (frame === undefined) return;
    let what = `the input ended after ${this.#position - frame.position} of ${bytes(frame.length)}`;
    if (frame.length === 0) {
      const { format } = this.settings;
      const due = format.fixed ? format.maxHeadLength : `at least ${frame.headLength + 1}`;
      what = `the input ended after ${frame.headLength} of ${due} bytes up to the end of the length field`;
    }
    throw new FrameError('ERR_FRAME_TRUNCATED', frame.position, what);
  }

  /** Forgets everything, so that nothing is kept alive. */
  reset(): void {
    this.push(nothing);
    this.#at = 0;
    this.#open = undefined;
    this.#fault = undefined;
  }

  /** Returns false when the head goes past the chunk. */
  #readHead(frame: OpenFrame<M>): boolean {
    const { format, memory, onOversize, inParts } = this.settings;
    const stored = frame.headLength > 0;
    if (stored) this.#storeHead(frame, format.maxHeadLength - frame.headLength);
    const input = stored ? frame.head : this.#chunk;
    const start = stored ? 0 : this.#at;
    const end = stored ? frame.headLength : this.#chunk.length;
    const head = format.readHead(input, start, end, frame.position);
    if (head === undefined) {
      if (!stored) this.#storeHead(frame, format.maxHeadLength);
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

    frame.length = length;
    if (oversize) {
      frame.skip = head.payload;
    } else {
      frame.due = length - stripped;
      frame.skip = Math.max(0, stripped - head.length);
    }
    if (stored) {
      // A head of no fixed length may have been given more bytes than are its own.
      this.#at -= frame.headLength - head.length;
      if (stripped < head.length) frame.kept = frame.head.subarray(stripped, head.length);
      frame.head = nothing;
    } else {
      // What the message keeps of the head is still ahead, in its place.
      this.#at += oversize ? head.length : Math.min(head.length, stripped);
    }
    if (oversize) onOversize!(head.payload, frame.position);
    return true;
  }

  /** Takes up to `most` bytes of the chunk to the head. */
  #storeHead(frame: OpenFrame<M>, most: number): void {
    const added = this.#chunk.subarray(this.#at, this.#at + most);
    const length = frame.headLength + added.length;
    if (length > frame.head.length) {
      const grown = new Uint8Array(
        Math.min(Math.max(length, 2 * frame.head.length, 16), this.settings.format.maxHeadLength),
      );
      grown.set(frame.head.subarray(0, frame.headLength));
      frame.head = grown;
    }
    frame.head.set(added, frame.headLength);
    frame.headLength = length;
    this.#at += added.length;
  }

  /** Returns false when there is more to pass over than the chunk has. */
  #passOver(frame: OpenFrame<M>): boolean {
    const count = Math.min(frame.skip, this.#chunk.length - this.#at);
    frame.skip -= count;
    this.#at += count;
    return frame.skip === 0;
  }

  /** Returns undefined when the message goes past the chunk. */
  #collect(frame: OpenFrame<M>, due: number): T | undefined {
    const chunk = this.#chunk;
    const start = this.#at;
    if (frame.message === undefined && frame.kept.length === 0 && chunk.length - start >= due) {
      const message = this.#inChunk(start, start + due, frame.position);
      this.#at += due;
      return message;
    }
    if (frame.kept.length > 0) {
      this.#append(frame, frame.kept);
      frame.kept = nothing;
    }
    if (start < chunk.length) {
      this.#at = Math.min(chunk.length, start + due - (frame.message?.length ?? 0));
      this.#append(frame, start === 0 && this.#at === chunk.length ? chunk : chunk.subarray(start, this.#at));
    }
    const message = frame.message?.take();
    return message && this.#handedOut(message, frame.position);
  }

  #append(frame: OpenFrame<M>, part: Uint8Array): void {
    // With `copy`, a chunk may be written over once it is used up.
    frame.message ??= new Assembler(frame.due!, this.settings.memory, !this.settings.copy);
    frame.message.append(part);
  }
}
