/** Where a command writes: the standard output, or a file. It never holds much, however slow its reader is. */
import { fstatSync, open } from 'node:fs';
import { isatty } from 'node:tty';
import { promisify } from 'node:util';
import { Block, type Fault, JOINED, OwnFile, SharedFile, type Sink, StreamSink } from './sinks.js';
import { bytesOf } from './text.js';

/** How long a program that was asked to end waits for a reader that takes nothing, in ms. */
export const PATIENCE = 2000;

/** Bytes that may wait to be written. */
const FULL = 1_048_576;

export class Output {
  readonly isTerminal: boolean;
  /** Why nothing can be written any more. */
  lost: Fault | undefined;
  readonly #sink: Sink;
  readonly #onLost: (error: Fault) => void;
  /** The bytes that are joined so far. */
  block = new Block();
  #length = 0;
  /** All that the sink was given. */
  #given = 0;
  #isWaiting = false;
  #waiting: (() => void)[] = [];

  /** @param onLost is told why nothing can be written any more, once */
  static async open(file: string | undefined, onLost: (error: Fault) => void): Promise<Output> {
    const fd = file === undefined ? 1 : await promisify(open)(file, 'w');
    return new Output(fd, onLost);
  }

  constructor(fd: number, onLost: (error: Fault) => void) {
    this.isTerminal = isatty(fd);
    this.#onLost = onLost;
    const lose = (error: Fault) => this.#lose(error);
    const wake = () => this.#wake();
    const stat = fstatSync(fd);
    if (this.isTerminal) this.#sink = new StreamSink(fd, lose, wake);
    else if (stat.isFile() && fd > 2) this.#sink = new OwnFile(fd, lose, wake);
    else if (stat.isFile() || stat.isCharacterDevice()) this.#sink = new SharedFile(fd);
    else this.#sink = new StreamSink(fd, lose, wake);
  }

  get hasColours(): boolean {
    return this.isTerminal && process.stdout.isTTY && process.stdout.hasColors();
  }

  /** Whether what is written now would wait for a reader that is slow. */
  get isFull(): boolean {
    return this.#sink.waiting + this.#length > FULL;
  }

  /** Adds text, which leaves together with that of the same turn of the event loop. */
  write(text: string): void {
    // A letter takes three bytes at the most.
    if (3 * text.length > JOINED) {
      this.writeBytes(Buffer.from(text));
      return;
    }
    const at = this.claim(3 * text.length);
    this.commit(at + this.block.bytes.write(text, at));
  }

  /** The place in `block` that has room for so many more, `JOINED` at the most. They are added by {@link commit}. */
  claim(size: number): number {
    if (this.#length + size > JOINED) this.flush();
    return this.#length;
  }

  /** All up to before `end` is to be written. */
  commit(end: number): void {
    this.#length = end;
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    setImmediate(() => {
      this.#isWaiting = false;
      this.flush();
    });
  }

  /** Adds bytes behind all texts. */
  writeBytes(bytes: Uint8Array): void {
    this.flush();
    this.#given += bytes.length;
    if (bytes.length > 0) this.#try(() => this.#sink.write(bytes));
  }

  flush(): void {
    const length = this.#length;
    this.#length = 0;
    this.#given += length;
    if (length > 0) {
      this.#try(() => {
        this.block = this.#sink.take(this.block, length);
      });
    }
  }

  #try(write: () => void): void {
    if (this.lost !== undefined) return;
    try {
      write();
    } catch (error) {
      this.#lose(error as Fault);
    }
  }

  #lose(error: Fault): void {
    if (this.lost !== undefined) return;
    this.lost = error;
    this.#length = 0;
    this.#wake();
    this.#onLost(error);
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** Settles when there is room for more; at once, where nothing can be written any more. */
  async ready(): Promise<void> {
    if (this.isFull) await this.#until(() => !this.isFull);
  }

  /** From now on, what a reader does not take is dropped: one that has stopped must not keep the program from ending. */
  hurry(): void {
    let before = -1;
    setInterval(() => {
      const { waiting } = this.#sink;
      const taken = this.#given - waiting;
      if (waiting > 0 && taken === before) this.#lose(new Error(`nobody reads it, ${bytesOf(waiting)} are dropped`));
      before = taken;
    }, PATIENCE).unref();
  }

  /** Settles when all is written, or nothing can be any more. */
  async end(): Promise<void> {
    this.flush();
    await this.#until(() => this.#sink.waiting === 0);
  }

  async #until(isSo: () => boolean): Promise<void> {
    this.flush();
    while (!isSo() && this.lost === undefined) {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
        // A stream tells that it is empty only where it once was full.
        if (this.#sink.waiting < 16_384) setImmediate(resolve);
      });
    }
  }
}

/** The failure of a command whose output is lost: a reader that has enough, such as head, is none. */
export function failureOf(lost: Fault | undefined): Fault | undefined {
  return lost?.code === 'EPIPE' ? undefined : lost;
}

/** Writes a text to the standard output, and ends. */
export async function print(text: string): Promise<number> {
  let lost: Fault | undefined;
  const output = await Output.open(undefined, (error) => {
    lost = error;
  });
  output.write(`${text}\n`);
  await output.end();
  const failure = failureOf(lost);
  if (failure !== undefined) throw failure;
  return 0;
}
