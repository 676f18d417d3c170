/** Splits a stream into frames, at once, and keeps little of those that are long. */
import { buffers, type FormatOptions } from 'length-prefix';
import { FrameParser } from 'length-prefix/wire';
import { type Opening, whole } from './conversation.js';
import { hasType, Layout } from './format.js';
import { Window } from './window.js';

/** A message that has come: `bytes` are its first ones. */
export interface Seen {
  /** The place of its frame in the stream. */
  readonly position: number;
  /** The first byte, where that is the type of the message. */
  readonly type: number | undefined;
  readonly length: number;
  readonly bytes: Buffer;
  /** Whether the input ended inside it. */
  readonly isIncomplete?: boolean;
}

interface Listener {
  /** A message is there, or passed by. Of a longer one than 64 KiB, `bytes` are at most as many as are to be kept. */
  message(seen: Seen): void;
  /** A part of a message that is longer than 64 KiB. */
  part?(part: Buffer, at: number, length: number): void;
}

/** From this length on a message is read in parts. */
const LONG = 65_536;

interface Long {
  readonly length: number;
  readonly kept: Buffer[];
  keptLength: number;
  read: number;
}

export class FrameReader {
  readonly #parser: FrameParser<Buffer>;
  readonly #usual: FormatOptions;
  readonly #keep: number;
  readonly #listener: Listener;
  readonly window = new Window();
  #opening: Opening | undefined;
  #layout: Layout;
  #hasType: boolean;
  #position = 0;
  #long: Long | undefined;

  /** @param keep how many bytes of a long message are kept, at the most */
  constructor(format: FormatOptions, keep: number, listener: Listener, opening?: Opening) {
    this.#usual = format;
    this.#keep = Math.max(keep, 1);
    this.#listener = listener;
    this.#opening = opening;
    this.#layout = new Layout(opening === undefined ? format : whole(format, opening));
    this.#hasType = opening === undefined && hasType(format);
    this.#parser = new FrameParser(this.#layout.format, buffers);
  }

  /** The place of the next frame. */
  get position(): number {
    return this.#position;
  }

  /** @throws FrameError */
  push(chunk: Buffer): void {
    this.window.add(chunk);
    this.#parser.push(chunk);
    for (;;) {
      if (this.#long !== undefined) {
        if (!this.#readLong(this.#long)) return;
        continue;
      }
      const message = this.#parser.next();
      if (message !== undefined) this.#tell(message.length, message);
      else if (this.#parser.pendingFrameBytes < LONG || !this.#beginLong()) return;
    }
  }

  /**
   * Tells the part that has come of a message that is not whole.
   *
   * @throws FrameError
   */
  end(): void {
    try {
      this.#parser.finish();
    } catch (error) {
      if (this.#long === undefined) this.#beginLong();
      const long = this.#long as Long | undefined;
      if (long !== undefined) {
        this.#readLong(long);
        this.#tell(long.length, Buffer.concat(long.kept), true);
      }
      throw error;
    }
  }

  #beginLong(): boolean {
    const length = this.#parser.nextLength();
    if (length !== undefined) this.#long = { length, kept: [], keptLength: 0, read: 0 };
    return length !== undefined;
  }

  /** Returns whether all of it was read. */
  #readLong(long: Long): boolean {
    while (long.read < long.length) {
      const part = this.#parser.nextPart();
      if (part === undefined) return false;
      this.#listener.part?.(part, long.read, long.length);
      long.read += part.length;
      const wanted = part.subarray(0, this.#keep - long.keptLength);
      if (wanted.length > 0) long.kept.push(wanted);
      long.keptLength += wanted.length;
    }
    this.#long = undefined;
    this.#tell(long.length, Buffer.concat(long.kept));
    return true;
  }

  #tell(length: number, bytes: Buffer, isIncomplete = false): void {
    const { position } = this;
    this.#position += this.#layout.frameLength(length);
    const opening = this.#opening;
    // An answer of one byte has no length; messages that begin with theirs are short.
    const isTyped = opening === undefined ? this.#hasType : bytes.length > 1 && bytes[0]! > 0;
    this.#listener.message({ position, type: isTyped ? bytes[0] : undefined, length, bytes, isIncomplete });
    if (opening !== undefined) this.#follow(opening, bytes);
  }

  #follow(opening: Opening, message: Buffer): void {
    const rest = opening.after(message, this.#usual);
    if (rest === undefined) return;
    const format = whole(rest);
    this.#opening = undefined;
    this.#layout = new Layout(format);
    this.#hasType = hasType(format);
    this.#parser.setFormat(this.#layout.format);
  }
}
