import { type CheckedDecoding, checkedDecoding, type DecodingOptionsOver } from '../wire/decoding.js';
import { invalidType, invalidValue } from '../wire/errors.js';
import type { Memory } from '../wire/memory.js';
import { FrameParser } from '../wire/parser.js';

/** Bytes as platforms have them. */
export type ByteChunk = ArrayBufferView | ArrayBufferLike;

/** What a program gets of the messages in a stream of bytes. */
export interface DecodingOptions<Batch extends boolean = boolean, T = unknown, Stream extends boolean = boolean>
  extends DecodingOptionsOver<Uint8Array, Batch, T, Stream> {
  /**
   * Is told of each payload that `oversize: 'skip'` passes over: its length in bytes, and the number of bytes in front of
   * its frame in the stream. Messages before it may still wait to be read. Only with `oversize: 'skip'`.
   */
  onOversize?: ((length: number, position: number) => void) | undefined;
}

const memory: Memory<Uint8Array> = {
  View: Uint8Array,
  allocate: (length) => new Uint8Array(length),
  // What all of today's engines can give, on 64-bit machines.
  maxLength: 2 ** 32 - 1,
};

/** Chunks in, what the options ask for out: a message, or a batch. */
export class Reader extends FrameParser<Uint8Array, unknown> {
  readonly #checked: CheckedDecoding<Uint8Array>;

  /**
   * @throws {TypeError} `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
   * @throws {RangeError} `ERR_OUT_OF_RANGE`
   */
  constructor(options: DecodingOptions) {
    const checked = checkedDecoding(options);
    const { onOversize } = options;
    if (onOversize !== undefined && typeof onOversize !== 'function') {
      throw invalidType('onOversize', 'of type function', onOversize);
    }
    if (onOversize !== undefined && !checked.skipOversize) {
      throw invalidValue('oversize', "'skip' where onOversize is given", options.oversize);
    }
    super({ ...checked, memory, onOversize: checked.skipOversize ? (onOversize ?? (() => {})) : undefined });
    this.#checked = checked;
  }

  get inParts(): boolean {
    return this.#checked.inParts === true;
  }

  /** @throws {TypeError} as {@link bytesOf} does. */
  pushChunk(chunk: ByteChunk): void {
    this.push(bytesOf(chunk));
  }

  /**
   * The next piece to hand out, or undefined when the chunk is used up.
   *
   * @throws FrameError
   */
  nextPiece(): unknown {
    if (!this.#checked.batch) return this.next();
    const messages = this.nextAll();
    return messages.length > 0 ? messages : undefined;
  }
}

/** @throws {TypeError} `ERR_INVALID_ARG_TYPE` for what is no bytes. */
export function bytesOf(chunk: ByteChunk): Uint8Array {
  if (ArrayBuffer.isView(chunk)) return new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  // One from another realm, such as a frame's, is no instance of this one's.
  const kind = Object.prototype.toString.call(chunk);
  if (kind === '[object ArrayBuffer]' || kind === '[object SharedArrayBuffer]') return new Uint8Array(chunk);
  throw invalidType('chunk', 'an ArrayBuffer, or a view of one such as Uint8Array', chunk);
}
