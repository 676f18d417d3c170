/** The last bytes of a stream, to show what is around a fault. */
const KEPT = 64;

export class Window {
  #before: Buffer = Buffer.alloc(0);
  #chunk: Buffer = Buffer.alloc(0);
  /** The place of the chunk in the stream. */
  #at = 0;

  /** The place behind the last byte. */
  get end(): number {
    return this.#at + this.#chunk.length;
  }

  add(chunk: Buffer): void {
    const tail = this.#chunk.length >= KEPT ? this.#chunk : Buffer.concat([this.#before, this.#chunk]);
    this.#before = Buffer.from(tail.subarray(-KEPT));
    this.#at += this.#chunk.length;
    this.#chunk = chunk;
  }

  /** The bytes from a place on, and those in front of it; undefined where they are gone. */
  around(position: number, before: number, after: number): { before: Buffer; after: Buffer } | undefined {
    const all = Buffer.concat([this.#before, this.#chunk]);
    const at = position - (this.#at - this.#before.length);
    if (at < 0 || at > all.length) return undefined;
    return { before: all.subarray(Math.max(0, at - before), at), after: all.subarray(at, at + after) };
  }
}
