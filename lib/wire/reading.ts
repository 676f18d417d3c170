import { type ByteChunk, chunkBytes } from './chunk.js';
import type { Work } from './flow.js';
import type { FrameParser } from './parser.js';

/** Chunks in, messages or batches of messages out. */
export class Reading<M extends Uint8Array> implements Work<ByteChunk, unknown> {
  readonly #parser: FrameParser<M, unknown>;

  constructor(parser: FrameParser<M, unknown>) {
    this.#parser = parser;
  }

  take(chunk: ByteChunk): void {
    this.#parser.push(chunkBytes(chunk));
  }

  next(): unknown {
    return this.#parser.nextPiece();
  }

  get isSettled(): boolean {
    return this.#parser.letGo();
  }

  get isRead(): boolean {
    return true;
  }

  finish(): void {
    this.#parser.finish();
  }

  destroy(): void {
    this.#parser.reset();
  }
}
