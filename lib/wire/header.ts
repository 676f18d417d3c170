import { corrupt, type FrameError, lookalike } from './errors.js';
import { Expected } from './expected.js';

/** The bytes that every frame must begin with, apart from the length field. */
export class Header {
  readonly length: number;
  /** How many of them come in front of the length field. */
  readonly front: number;
  readonly #fieldEnd: number;
  readonly #expected: Expected;

  /** The length field is from `fieldAt` to before `fieldEnd`. A bit that is 0 in the mask is not compared. */
  constructor(bytes: Uint8Array, mask: Uint8Array | undefined, fieldAt: number, fieldEnd: number) {
    this.length = bytes.length;
    this.front = Math.min(fieldAt, bytes.length);
    this.#fieldEnd = fieldEnd;
    this.#expected = new Expected(bytes, mask);
  }

  /** Whether its bytes from `from` to before `to` are at `input[at]`. */
  matches(input: Uint8Array, at: number, from: number, to: number): boolean {
    const rear = Math.max(from, this.#fieldEnd);
    const expected = this.#expected;
    return (
      expected.matches(input, at, from, Math.min(to, this.front)) && expected.matches(input, at + rear - from, rear, to)
    );
  }

  /** The error for a frame that has these bytes in place of the header's bytes from `from` on. */
  error(found: Uint8Array, from: number, position: number): FrameError {
    const isFront = from < this.front;
    const what = `the header${this.#expected.difference(found, from, isFront ? this.front : this.length)}`;
    return corrupt(position, what + (isFront ? lookalike(found) : ''));
  }
}
