/** Messages that keep their head have a place for their length, which the encoder writes. */
import type { FormatOptions } from 'length-prefix';
import { notice } from './errors.js';
import { readLength } from './format.js';

/** Tells of the first message whose own length is replaced by another one: zeros are room that is left for it. */
export class KeptLength {
  /** How many bytes of a message it has to see. 0: messages have no length in them. */
  readonly needs: number;
  readonly #format: FormatOptions;
  readonly #at: number;
  #isTold = false;

  constructor(format: FormatOptions) {
    const { lengthField, lengthFieldOffset = 0, initialBytesToStrip } = format;
    this.#format = format;
    this.#at = lengthFieldOffset - (initialBytesToStrip ?? Number.POSITIVE_INFINITY);
    this.needs = this.#at < 0 ? 0 : this.#at + (typeof lengthField === 'object' ? lengthField.maxWidth : 10);
  }

  /** @param start its first bytes */
  see(name: string, length: number, start: Buffer): void {
    if (this.needs === 0 || this.#isTold) return;
    const stands = this.#read(start.subarray(0, this.needs));
    if (stands === undefined) return;
    const end = this.#at + stands.width;
    const written = length - end - (this.#format.lengthAdjustment ?? 0);
    const isRoom = stands.length === 0 || /^0+$/.test(start.toString('latin1', this.#at, end));
    if (isRoom || stands.length === written) return;
    this.#isTold = true;
    notice(`${name}: the length in its head is ${stands.length}, and ${written} is written over it (said once)`);
  }

  #read(start: Buffer) {
    try {
      return readLength(this.#format, start, this.#at);
    } catch {
      // The encoder refuses it.
      return undefined;
    }
  }
}
