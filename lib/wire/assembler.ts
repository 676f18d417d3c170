import { memoryGone } from './errors.js';
import type { Memory } from './memory.js';

/** A message up to this many bytes gets its memory at once. */
const SMALL = 1024;
/** A chunk from this many bytes on is kept until the message has its memory: cheaper than to copy it twice. */
const WORTH_KEEPING = 4096;
/** The least and the most that is allocated for small chunks. */
const [LEAST_BLOCK, MOST_BLOCK] = [128, 65_536];
/**
 * The memory that may be held beyond two bytes for each byte received: 64 KiB, less the memory of the chunks' objects. A
 * chunk counts with all the memory that it is a view of.
 */
const SLACK = 49_152;

const nothing = new Uint8Array(0);

/**
 * One message, put together from the chunks it came in.
 *
 * The memory held follows what was received, not what was announced: until half of the message is there, its bytes wait
 * in the chunks they came in, or, where these are small or views of much larger memory, joined in blocks. From then on the
 * message has its own memory. So large chunks are copied once, others at the most twice.
 */
export class Assembler<M extends Uint8Array> {
  /** The bytes that are here. */
  length = 0;

  readonly #due: number;
  readonly #memory: Memory<M>;
  readonly #keepChunks: boolean;
  #pieces: Uint8Array[] | undefined;
  /** The bytes of memory that the pieces and the block keep. */
  #held = 0;
  /** The last piece, while it has room. */
  #block: Uint8Array = nothing;
  #blockLength = 0;
  #message: M | undefined;

  /** For a message of `due` bytes. With `keepChunks` false, no bytes given to `append` are kept without a copy. */
  constructor(due: number, memory: Memory<M>, keepChunks: boolean) {
    this.#due = due;
    this.#memory = memory;
    this.#keepChunks = keepChunks;
    if (due <= SMALL) this.#message = memory.allocate(due);
  }

  /** Adds bytes: never more than are due. */
  append(bytes: Uint8Array): void {
    const length = this.length + bytes.length;
    if (this.#message === undefined && 2 * length >= this.#due) this.#join(bytes);
    if (this.#message !== undefined) this.#message.set(bytes, this.length);
    else if (!this.#keep(bytes, length)) this.#addToBlock(bytes);
    this.length = length;
  }

  /** Keeps a chunk without a copy, where that is worth it and no more memory is held than this length allows. */
  #keep(bytes: Uint8Array, length: number): boolean {
    if (!this.#keepChunks || bytes.length < WORTH_KEEPING || bytes.length <= this.#room) return false;
    const shared = this.#pieces?.at(-1)?.buffer === bytes.buffer;
    const held = this.#held + (shared ? 0 : bytes.buffer.byteLength);
    if (held > 2 * length + SLACK) return false;
    this.#closeBlock();
    this.#pieces!.push(bytes);
    this.#held = held;
    return true;
  }

  /** The message, once all of it is here. */
  take(): M | undefined {
    return this.length === this.#due ? this.#message : undefined;
  }

  /** The bytes that are here, in parts. */
  parts(): Uint8Array[] {
    if (this.#message !== undefined) return [this.#message.subarray(0, this.length)];
    return [...(this.#pieces ?? []), this.#block.subarray(0, this.#blockLength)];
  }

  get #room(): number {
    return this.#block.length - this.#blockLength;
  }

  #addToBlock(bytes: Uint8Array): void {
    const fits = Math.min(bytes.length, this.#room);
    this.#block.set(bytes.subarray(0, fits), this.#blockLength);
    this.#blockLength += fits;
    if (fits === bytes.length) return;
    const rest = bytes.subarray(fits);
    this.#closeBlock();
    const left = 2 * this.length + SLACK - this.#held;
    const size = Math.max(rest.length, LEAST_BLOCK, Math.min(this.length, left, MOST_BLOCK));
    this.#block = this.#memory.allocate(size);
    this.#held += size;
    this.#block.set(rest);
    this.#blockLength = rest.length;
  }

  #closeBlock(): void {
    this.#pieces ??= [];
    if (this.#blockLength > 0) this.#pieces.push(this.#block.subarray(0, this.#blockLength));
    this.#block = nothing;
    this.#blockLength = 0;
  }

  /** Gives the message its memory, in front of these bytes. */
  #join(bytes: Uint8Array): void {
    this.#closeBlock();
    const pieces = this.#pieces!;
    const message = this.#keepChunks ? this.#alignedWith(pieces[0] ?? bytes) : this.#memory.allocate(this.#due);
    let at = 0;
    for (const piece of pieces) {
      // No piece was empty when it came.
      if (piece.length === 0) throw memoryGone();
      message.set(piece, at);
      at += piece.length;
    }
    this.#message = message;
    this.#pieces = undefined;
  }

  /**
   * Memory whose address has the same remainder modulo 16 as these bytes. Otherwise, a copy into the memory right behind them
   * takes ten times as long on some processors (glibc issue 30994), as each copy would behind a head of four bytes.
   */
  #alignedWith(bytes: Uint8Array): M {
    const skew = this.#due + 15 > this.#memory.maxLength ? 0 : bytes.byteOffset % 16;
    const { buffer, byteOffset } = this.#memory.allocate(this.#due + skew);
    return new this.#memory.View(buffer, byteOffset + skew, this.#due);
  }
}
