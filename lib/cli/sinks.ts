/** Where bytes are written to: streams, and files. */
import { createWriteStream, write, writeSync } from 'node:fs';
import type { Writable } from 'node:stream';

export type Fault = NodeJS.ErrnoException;

/** Bytes that are joined before they are written. */
export const JOINED = 262_144;
/** The most blocks of a file that are being written: 16 MiB. */
const MOST_BLOCKS = 64;

/** Where bytes are joined. */
export class Block {
  readonly bytes = Buffer.allocUnsafeSlow(JOINED);
  /** The same, two at a time. */
  readonly pairs = new Uint16Array(this.bytes.buffer);
}

export interface Sink {
  /** Writes the first bytes of a block. Returns one that may be used then. */
  take(block: Block, length: number): Block;
  /** Writes bytes, which may be used again when it returns. */
  write(bytes: Uint8Array): void;
  /** The bytes that still wait to be written. */
  readonly waiting: number;
}

/** A disk that is nearly full takes a part. */
function writeAll(fd: number, bytes: Uint8Array, position: number | null): void {
  for (let at = 0; at < bytes.length; ) {
    at += writeSync(fd, bytes, at, bytes.length - at, position === null ? null : position + at);
  }
}

/** A file, or a device, whose place is somebody else's as well: it is written at once. */
export class SharedFile implements Sink {
  readonly waiting = 0;
  readonly #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  take(block: Block, length: number): Block {
    this.write(block.bytes.subarray(0, length));
    return block;
  }

  write(bytes: Uint8Array): void {
    writeAll(this.#fd, bytes, null);
  }
}

/** A file of our own. It is written to while the program goes on, and at once where that has got too far ahead. */
export class OwnFile implements Sink {
  waiting = 0;
  readonly #fd: number;
  readonly #onError: (error: Fault) => void;
  readonly #onDrain: () => void;
  readonly #free: Block[] = [];
  /** All that there are. */
  #blocks = 1;
  #position = 0;

  constructor(fd: number, onError: (error: Fault) => void, onDrain: () => void) {
    this.#fd = fd;
    this.#onError = onError;
    this.#onDrain = onDrain;
  }

  take(block: Block, length: number): Block {
    if (this.#free.length === 0 && this.#blocks === MOST_BLOCKS) {
      this.write(block.bytes.subarray(0, length));
      return block;
    }
    const next = this.#free.pop() ?? this.#newBlock();
    this.#write(block, 0, length, this.#position);
    this.#position += length;
    return next;
  }

  #newBlock(): Block {
    this.#blocks++;
    return new Block();
  }

  #write(block: Block, from: number, to: number, position: number): void {
    this.waiting += to - from;
    write(this.#fd, block.bytes, from, to - from, position, (error, written) => {
      this.waiting -= to - from;
      if (error) this.#onError(error);
      else if (from + written < to) this.#write(block, from + written, to, position + written);
      else this.#free.push(block);
      if (this.waiting === 0) this.#onDrain();
    });
  }

  write(bytes: Uint8Array): void {
    writeAll(this.#fd, bytes, this.#position);
    this.#position += bytes.length;
  }
}

/** A terminal, a pipe or a socket. */
export class StreamSink implements Sink {
  readonly #stream: Writable;
  /** Its last write returned false, and no 'drain' came since. */
  #isFull = false;

  constructor(fd: number, onError: (error: Fault) => void, onDrain: () => void) {
    const own = fd === 1 ? process.stdout : fd === 2 ? process.stderr : undefined;
    this.#stream = own ?? createWriteStream('', { fd });
    this.#stream.on('error', onError).on('drain', () => {
      this.#isFull = false;
      onDrain();
    });
  }

  take(block: Block, length: number): Block {
    this.write(block.bytes.subarray(0, length));
    return block;
  }

  write(bytes: Uint8Array): void {
    this.#isFull = !this.#stream.write(Uint8Array.from(bytes));
  }

  get waiting(): number {
    // The standard output of Bun has a length of 0 while it waits for its reader.
    return Math.max(this.#stream.writableLength, this.#isFull ? 1 : 0);
  }
}
