import type { Memory } from './memory.js';

/** A message up to this many bytes gets its memory at once. */
const SMALL = 1024;
/** A chunk from this many bytes on is kept until the message has its memory: cheaper than to copy it twice. */
const WORTH_KEEPING = 4096;
const FIRST_BLOCK = 256;
const LAST_BLOCK = 65_536;

const nothing = new Uint8Array(0);

/**
 * One message, put together from the chunks it came in.
 *
 * The memory held follows what was received, not what was announced: until half of the message is there, its bytes wait
 * in the chunks they came in, small chunks joined in blocks, so that a dribble does not become a long list. From then on
 * the message has its own memory. Large chunks are so copied once, small ones at the most twice.
 */
export class Assembler<M extends Uint8Array> {
  /** The bytes that are here. */
  length = 0;

  readonly #due: number;
  readonly #memory: Memory<M>;
  readonly #keepChunks: boolean;
  #pieces: Uint8Array[] | undefined;
  /** The last piece, while it has room. */
  #block: Uint8Array = nothing;
  #blockLength = 0;
  #message: M | undefined;

  /** Of a message of `due` bytes. With `keepChunks` false, nothing given to `append` is referred to after it. */
  constructor(due: number, memory: Memory<M>, keepChunks: boolean) {
    this.#due = due;
    this.#memory = memory;
    this.#keepChunks = keepChunks;
    if (due <= SMALL) this.#message = memory.allocate(due);
  }

  /** Adds bytes: never more than are due. */
  append(bytes: Uint8Array): void {
    if (this.#message === undefined && 2 * (this.length + bytes.length) >= this.#due) this.#join();
    if (this.#message !== undefined) {
      this.#message.set(bytes, this.length);
    } else if (this.#keepChunks && bytes.length >= WORTH_KEEPING && bytes.length > this.#room) {
      this.#closeBlock();
      this.#pieces!.push(bytes);
    } else {
      this.#addToBlock(bytes);
    }
    this.length += bytes.length;
  }

  /** The message, once all of it is here. */
  take(): M | undefined {
    return this.length === this.#due ? this.#message : undefined;
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
    this.#block = this.#memory.allocate(Math.max(rest.length, FIRST_BLOCK, Math.min(this.length, LAST_BLOCK)));
    this.#block.set(rest);
    this.#blockLength = rest.length;
  }

  #closeBlock(): void {
    this.#pieces ??= [];
    if (this.#blockLength > 0) this.#pieces.push(this.#block.subarray(0, this.#blockLength));
    this.#block = nothing;
    this.#blockLength = 0;
  }

  #join(): void {
    this.#closeBlock();
    this.#message = this.#memory.allocate(this.#due);
    let at = 0;
    for (const piece of this.#pieces!) {
      this.#message.set(piece, at);
      at += piece.length;
    }
    this.#pieces = undefined;
  }
}
