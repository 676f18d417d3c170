import { hex, MOST_SHOWN } from './errors.js';

/** Bytes that a frame must have in one place. */
export class Expected {
  readonly bytes: Uint8Array;
  readonly #mask: Uint8Array | undefined;

  /** A bit that is 0 in the mask is not compared. Default: all bits are compared. */
  constructor(bytes: Uint8Array, mask?: Uint8Array) {
    this.bytes = bytes;
    this.#mask = mask;
  }

  /** Whether the bytes from `from` to before `to` are at `input[at]`. */
  matches(input: Uint8Array, at: number, from: number, to: number): boolean {
    for (let i = from; i < to; i++) if (!this.#isAt(i, input[at + i - from]!)) return false;
    return true;
  }

  #isAt(i: number, found: number): boolean {
    return ((found ^ this.bytes[i]!) & (this.#mask?.[i] ?? 0xff)) === 0;
  }

  /** The end of a sentence that shows the bytes that were found in place of those from `from` to before `to`. */
  difference(found: Uint8Array, from: number, to: number): string {
    let at = from;
    while (at < to - 1 && this.#isAt(at, found[at - from]!)) at++;
    // The first byte that is wrong is among those shown.
    const start = at - from < MOST_SHOWN ? from : at;
    const place = start === 0 ? '' : ` from byte ${start} on`;
    const mask = this.#mask === undefined ? '' : `, in the bits that are 1 in ${hex(this.#mask.subarray(start, to))}`;
    const is = hex(found.subarray(start - from, to - from));
    return `${place} is ${is}, and must be ${hex(this.bytes.subarray(start, to))}${mask}`;
  }
}
