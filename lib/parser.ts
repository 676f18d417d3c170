import { Assembler } from './assembler.js';
import { bytes, FrameError } from './errors.js';
import type { Format, Head } from './format.js';
import type { Memory } from './memory.js';

/** Is told the length of a payload that is passed over, and the place of its frame in the stream. */
export type OnOversize = (length: number, position: number) => void;

const nothing = new Uint8Array(0);
const NONE = -1;

/**
 * Bytes in, messages out, one at a time and only when asked: `push` a chunk, call `next` until it has no more, push the
 * next chunk; at the end, `finish`. A fault is thrown by the `next` that comes upon it, and by each one after that.
 */
export class FrameParser<M extends Uint8Array> {
  readonly #format: Format;
  readonly #memory: Memory<M>;
  readonly #copy: boolean;
  readonly #onOversize: OnOversize | undefined;

  #chunk: Uint8Array = nothing;
  #at = 0;
  /** The place of the chunk's first byte in the stream. */
  #position = 0;

  /** No frame is open. */
  #between = true;
  // One that goes past its chunk is in one of three stages:
  // 1. its head is not complete; these are the bytes that are there,
  #head: Uint8Array = nothing;
  #headLength = 0;
  // 2. bytes are passed over: those to strip behind the head, or all of a payload that is too long,
  #skip = 0;
  // 3. its message, of this length, is put together.
  #due = NONE;
  #message: Assembler<M> | undefined;
  #framePosition = 0;
  #frameLength = 0;

  /**
   * With `copy`, each message has memory of its own. With `onOversize`, payloads over `maxPayloadLength` are passed over;
   * without, they are an error.
   */
  constructor(format: Format, memory: Memory<M>, copy = false, onOversize?: OnOversize) {
    this.#format = format;
    this.#memory = memory;
    this.#copy = copy;
    this.#onOversize = onOversize;
  }

  /** Goes on with this chunk; the one before is used up. */
  push(chunk: Uint8Array): void {
    this.#chunk = chunk;
  }

  /**
   * The next message, or undefined when what is left of the chunk is not a whole one: that is then taken in.
   *
   * @throws FrameError
   */
  next(): M | undefined {
    // The short way, for a frame that is whole in the chunk, with a length field of fixed width; all else goes the long
    // way. It makes small messages three times as fast.
    const format = this.#format;
    const { fixed } = format;
    if (this.#between && fixed !== undefined) {
      const chunk = this.#chunk;
      const at = this.#at;
      const payloadAt = at + format.maxHeadLength;
      if (payloadAt <= chunk.length) {
        const payload = fixed.read(chunk, at + format.lengthFieldOffset) + format.lengthAdjustment;
        const start = at + format.stripped;
        const end = payloadAt + payload;
        if (payload >= 0 && payload <= format.maxPayloadLength && start <= end && end <= chunk.length) {
          this.#at = end;
          return this.#messageAt(start, end);
        }
      }
    }
    return this.#nextInPart();
  }

  #nextInPart(): M | undefined {
    for (;;) {
      if (this.#skip > 0 && !this.#passOver()) break;
      if (this.#due !== NONE) {
        const message = this.#collect();
        if (message === undefined) break;
        this.#between = true;
        return message;
      }
      if (!this.#readHead()) break;
    }
    this.#between = this.#skip === 0 && this.#due === NONE && this.#headLength === 0;
    // Used up: a chunk is not kept alive until the next one comes.
    this.#position += this.#chunk.length;
    this.#chunk = nothing;
    this.#at = 0;
    return undefined;
  }

  /** The message in the chunk, from `start` to before `end`. */
  #messageAt(start: number, end: number): M {
    const chunk = this.#chunk;
    if (!this.#copy) return new this.#memory.View(chunk.buffer, chunk.byteOffset + start, end - start);
    const copy = this.#memory.allocate(end - start);
    copy.set(chunk.subarray(start, end));
    return copy;
  }

  /** @throws FrameError when the input has ended inside a frame. */
  finish(): void {
    const position = this.#framePosition;
    if (this.#skip > 0 || this.#due !== NONE) {
      const what = `the input ended after ${this.#position - position} of ${bytes(this.#frameLength)}`;
      throw new FrameError('ERR_FRAME_TRUNCATED', position, what);
    }
    if (this.#headLength > 0) {
      const due = this.#format.fixed ? this.#format.maxHeadLength : `at least ${this.#headLength + 1}`;
      const what = `the input ended after ${this.#headLength} of ${due} bytes up to the end of the length field`;
      throw new FrameError('ERR_FRAME_TRUNCATED', position, what);
    }
  }

  /** Forgets everything, so that nothing is kept alive. */
  reset(): void {
    this.#chunk = this.#head = nothing;
    this.#at = this.#headLength = this.#skip = 0;
    this.#due = NONE;
    this.#message = undefined;
    this.#between = true;
  }

  /** Stage 1. Returns false when the head goes past the chunk. */
  #readHead(): boolean {
    const chunk = this.#chunk;
    if (this.#headLength === 0) {
      if (this.#at === chunk.length) return false;
      this.#framePosition = this.#position + this.#at;
      const head = this.#format.readHead(chunk, this.#at, chunk.length, this.#framePosition);
      if (head === undefined) {
        this.#storeHead(chunk.length - this.#at);
        return false;
      }
      const oversize = this.#open(head, chunk, this.#at, chunk.length);
      // What the message keeps of the head is still ahead, in its place.
      this.#at += oversize ? head.length : Math.min(head.length, this.#format.strippedFrom(head.length));
      if (oversize) this.#onOversize!(head.payload, this.#framePosition);
      return true;
    }

    this.#storeHead(Math.min(chunk.length - this.#at, this.#format.maxHeadLength - this.#headLength));
    const head = this.#format.readHead(this.#head, 0, this.#headLength, this.#framePosition);
    if (head === undefined) return false;
    const oversize = this.#open(head, this.#head, 0, this.#headLength);
    // A head of no fixed length may have been given more bytes than are its own.
    this.#at -= this.#headLength - head.length;
    this.#headLength = 0;
    if (oversize) {
      this.#onOversize!(head.payload, this.#framePosition);
      return true;
    }
    const stripped = this.#format.strippedFrom(head.length);
    if (stripped < head.length) {
      this.#message = this.#assembler();
      this.#message.append(this.#head.subarray(stripped, head.length));
    }
    return true;
  }

  #storeHead(count: number): void {
    const length = this.#headLength + count;
    if (length > this.#head.length) {
      const grown = new Uint8Array(Math.min(Math.max(length, 2 * this.#head.length, 16), this.#format.maxHeadLength));
      grown.set(this.#head.subarray(0, this.#headLength));
      this.#head = grown;
    }
    this.#head.set(this.#chunk.subarray(this.#at, this.#at + count), this.#headLength);
    this.#headLength = length;
    this.#at += count;
  }

  /** Decides what follows a head. Returns true for a payload that is too long and is to be passed over. */
  #open(head: Head, input: Uint8Array, start: number, end: number): boolean {
    const format = this.#format;
    const stripped = format.strippedFrom(head.length);
    const frameLength = head.length + head.payload;
    const oversize = head.payload > format.maxPayloadLength;
    if (oversize && this.#onOversize === undefined) {
      const limit = `at most ${format.maxPayloadLength} are allowed (maxPayloadLength)`;
      throw format.tooLong(head.payload, limit, input, start, end, this.#framePosition);
    }
    if (!oversize && frameLength - stripped > this.#memory.maxLength) {
      const limit = `one message can hold at most ${this.#memory.maxLength}`;
      throw format.tooLong(head.payload, limit, input, start, end, this.#framePosition);
    }
    this.#frameLength = frameLength;
    this.#skip = oversize ? head.payload : Math.max(0, stripped - head.length);
    this.#due = oversize ? NONE : frameLength - stripped;
    return oversize;
  }

  /** Stage 2. Returns false when there is more to pass over than the chunk has. */
  #passOver(): boolean {
    const count = Math.min(this.#skip, this.#chunk.length - this.#at);
    this.#skip -= count;
    this.#at += count;
    return this.#skip === 0;
  }

  /** Stage 3. Returns undefined when the message goes past the chunk. */
  #collect(): M | undefined {
    const chunk = this.#chunk;
    const start = this.#at;
    const due = this.#due;
    if (this.#message === undefined && chunk.length - start >= due) {
      this.#at += due;
      this.#due = NONE;
      return this.#messageAt(start, start + due);
    }
    if (start < chunk.length) {
      this.#message ??= this.#assembler();
      this.#at = Math.min(chunk.length, start + due - this.#message.length);
      this.#message.append(start === 0 && this.#at === chunk.length ? chunk : chunk.subarray(start, this.#at));
    }
    const message = this.#message?.take();
    if (message === undefined) return undefined;
    this.#due = NONE;
    this.#message = undefined;
    return message;
  }

  #assembler(): Assembler<M> {
    // A message of its own memory must not wait for its other half in somebody else's.
    return new Assembler(this.#due, this.#memory, !this.#copy);
  }
}
