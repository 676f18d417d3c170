/** Prints the messages that cross. */
import type { FormatOptions } from 'length-prefix';
import { type Opening, whole } from './conversation.js';
import { drawFault } from './drawing.js';
import { describe } from './errors.js';
import { FrameReader } from './frame-reader.js';
import type { Place } from './json-lines.js';
import type { Printer } from './printer.js';

export type Direction = '->' | '<-';

/** Shared by all connections. */
export interface Setting {
  readonly format: FormatOptions;
  readonly openings: Partial<Record<Direction, Opening>>;
  readonly printer: Printer;
  /** Stands behind a fault: what happens to all that follows. */
  readonly rest: string;
  /** Bytes came that are not in the format. */
  onFault(error: unknown): void;
  /** Messages that are still to be shown. Behind the last one, nothing is. */
  left: number;
  /** The last one was shown. */
  onLast(): void;
}

/** Prints the messages of one direction. The bytes go their own way: what is printed has no part in it. */
export class Watcher {
  readonly #setting: Setting;
  #place: Place;
  readonly #reader: FrameReader;
  #isLost = false;
  #isOver = false;
  /** The bytes that have come. */
  #length = 0;

  constructor(setting: Setting, connection: number, direction: Direction) {
    const { format, printer } = setting;
    this.#setting = setting;
    this.#place = { connection, direction };
    const message = (seen: Parameters<typeof printer.message>[1]) => {
      if (setting.left === 0) return;
      printer.message(this.#place, seen);
      if (--setting.left === 0) setting.onLast();
    };
    const opening = setting.openings[direction];
    this.#reader = new FrameReader(opening === undefined ? whole(format) : format, printer.keeps, { message }, opening);
  }

  /** @param at when it came, where that is not now */
  take(chunk: Buffer, at?: Place['at']): void {
    if (at !== undefined) this.#place = { ...this.#place, at };
    this.#length += chunk.length;
    if (!this.#isLost) this.#try(() => this.#reader.push(chunk));
  }

  /** @param isWell whether the other side has ended, and not been cut off */
  end(isWell: boolean): void {
    if (this.#isOver || this.#setting.left === 0) return;
    this.#isOver = true;
    const isWhole = this.#isLost || this.#try(() => this.#reader.end());
    if (isWell && isWhole) this.#setting.printer.event(this.#place, 'end', { position: this.#length });
  }

  error(error: unknown): void {
    this.#setting.printer.error(this.#place, error);
  }

  /** Whether nothing was wrong. */
  #try(read: () => void): boolean {
    try {
      read();
      return true;
    } catch (error) {
      this.#isLost = true;
      if (this.#setting.left === 0) return false;
      const isCut = (error as NodeJS.ErrnoException).code === 'ERR_FRAME_TRUNCATED';
      const text = `${describe(error)}${isCut ? '' : `. ${this.#setting.rest}`}`;
      const drawing = isCut ? [] : drawFault(error, this.#setting.format, this.#reader.window);
      this.#setting.printer.error(this.#place, error, text, drawing);
      this.#setting.onFault(error);
      return false;
    }
  }
}
