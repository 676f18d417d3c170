/** Shows messages that come in parts, while somebody else has a use for them. */
import type { FormatOptions, Framed, Message, StreamedMessage } from 'length-prefix';
import { drawFault } from './drawing.js';
import { complain, describe } from './errors.js';
import { hasType, Layout } from './format.js';
import type { Place } from './json-lines.js';
import type { Printer } from './printer.js';
import { Window } from './window.js';

export type Parts = AsyncGenerator<Buffer>;

/** Reads the parts, and has no other use for them. */
export async function pass(parts: AsyncIterable<Buffer>): Promise<void> {
  for await (const _ of parts);
}

/** The messages of one direction of a connection. */
export class Shown {
  /** For `framed`. */
  readonly format: FormatOptions;
  readonly #layout: Layout;
  readonly #hasType: boolean;
  readonly #printer: Printer;
  readonly #place: Place;
  readonly #window = new Window();
  #position = 0;

  constructor(printer: Printer, place: Place, format: FormatOptions) {
    this.#layout = new Layout(format);
    this.format = this.#layout.format;
    this.#hasType = hasType(format);
    this.#printer = printer;
    this.#place = place;
  }

  /** The place of the next message. */
  get position(): number {
    return this.#position;
  }

  /** The number of bytes that have come. */
  get received(): number {
    return this.#window.end;
  }

  /** The bytes that come are kept for a moment, to be shown where they are no message. */
  watch(source: NodeJS.ReadableStream): void {
    source.on('data', (chunk: Buffer) => this.#window.add(chunk));
  }

  /** Gives the parts of a message to `use`, and prints it when they were used. */
  async message({ length, body }: StreamedMessage, use: (parts: Parts) => Promise<unknown> = pass): Promise<void> {
    const position = this.#position;
    this.#position += this.#layout.frameLength(length);
    const printer = this.#printer;
    if (printer.inParts(length)) {
      await printer.alone(() => use(this.#inParts(body, length)).then(() => {}));
      return;
    }
    const kept: Buffer[] = [];
    await use(keeping(body, Math.max(1, printer.keeps), kept));
    const bytes = Buffer.concat(kept);
    const type = this.#hasType ? bytes[0] : undefined;
    printer.message(this.#place, { position, type, length, bytes });
    await printer.ready();
  }

  async *#inParts(body: AsyncIterable<Buffer>, length: number): Parts {
    let read = 0;
    for await (const part of body) {
      read += part.length;
      this.#printer.part(part, read === length);
      await this.#printer.ready();
      yield part;
    }
  }

  /** Tells what ended the connection, and shows the bytes that did. */
  fault(error: unknown, name: string): void {
    complain(`${name} ${describe(error)}`);
    this.draw(error);
  }

  draw(error: unknown): void {
    for (const line of drawFault(error, this.#layout.format, this.#window)) complain(line);
  }
}

async function* keeping(body: AsyncIterable<Buffer>, most: number, kept: Buffer[]): Parts {
  let length = 0;
  for await (const part of body) {
    if (length < most) kept.push(part.subarray(0, most - length));
    length += part.length;
    yield part;
  }
}

/** Messages of any length. */
export type Streamed = Framed<StreamedMessage, Message>;
