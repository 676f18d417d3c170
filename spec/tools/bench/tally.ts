/** Counts what comes, and knows when all of it has. */
export class Tally {
  messages = 0;
  bytes = 0;
  /** Resolves when as many bytes have come as are due. */
  readonly complete: Promise<void>;
  readonly #due: number;
  #resolve!: () => void;

  constructor(dueBytes: number) {
    this.#due = dueBytes;
    this.complete = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  readonly add = (length: number): void => {
    this.messages += 1;
    this.bytes += length;
    if (this.bytes >= this.#due) this.#resolve();
  };

  /** @throws when another number of bytes, or of messages, has come than was sent. */
  check(messages?: number): void {
    if (this.bytes !== this.#due) throw new Error(`${this.bytes} bytes came, ${this.#due} were due`);
    if (messages !== undefined && this.messages !== messages) {
      throw new Error(`${this.messages} messages came, ${messages} were sent`);
    }
  }
}

/** Nanoseconds on the clock. */
export function now(): number {
  return Number(process.hrtime.bigint());
}
