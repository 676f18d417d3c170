/** `length-prefix decode` */
import { open } from 'node:fs/promises';
import { captureOf } from './capture.js';
import { whole } from './conversation.js';
import { drawFault } from './drawing.js';
import { complain, describe, UsageError } from './errors.js';
import { formatOf } from './format.js';
import { FrameReader } from './frame-reader.js';
import { checkStandardInput } from './input.js';
import { refuseMore, type Values, wholeNumber } from './options.js';
import { failureOf } from './output.js';
import { Printer } from './printer.js';
import { escaped } from './text.js';

async function* bytesOf(name: string): AsyncGenerator<Buffer> {
  try {
    const source = name === '-' ? process.stdin : (await open(name)).createReadStream();
    yield* source as AsyncIterable<Buffer>;
  } catch (error) {
    throw Object.assign(new Error(`${escaped(name)}: ${(error as Error).message}`), {
      code: (error as NodeJS.ErrnoException).code,
    });
  }
}

/** Enough messages were shown. */
class Enough extends Error {}

/** Shows the frames of a stream of bytes. */
class Decoding {
  readonly #printer: Printer;
  readonly #reader: FrameReader;
  readonly #format;
  #left: number;

  constructor(values: Values, printer: Printer) {
    const format = formatOf(values);
    this.#format = values.whole === true ? whole(format) : format;
    this.#printer = printer;
    this.#left = wholeNumber(values, 'count', 1) ?? Number.POSITIVE_INFINITY;
    const isInParts = (length: number) => printer.inParts(length);
    let wasInParts = false;
    this.#reader = new FrameReader(this.#format, printer.keeps, {
      part: (part, at, length) => {
        wasInParts = isInParts(length);
        if (wasInParts) printer.part(part, at + part.length === length);
      },
      message: (seen) => {
        if (!wasInParts) printer.message({}, seen);
        else if (seen.isIncomplete) printer.partsEnd(seen.length);
        wasInParts = false;
        if (--this.#left === 0) throw new Enough();
      },
    });
  }

  async run(source: AsyncIterable<Buffer>): Promise<void> {
    try {
      for await (const chunk of source) {
        // A chunk of small messages makes many lines.
        this.#reader.push(chunk);
        await this.#printer.ready();
        if (this.#printer.output.lost !== undefined) return;
      }
      this.#reader.end();
    } catch (error) {
      if (error instanceof Enough) return;
      await this.#printer.end();
      complain(`length-prefix: ${describe(error)}`);
      for (const line of drawFault(error, this.#format, this.#reader.window)) complain(line);
      throw Object.assign(error as Error, { isTold: true });
    }
  }
}

export async function run(values: Values, positionals: readonly string[]): Promise<number> {
  const [name = '-', other] = positionals;
  refuseMore('FILE', other);
  if (name === '-') checkStandardInput();
  if (name === '-' && process.stdin.isTTY) throw new UsageError('There is nothing to decode: give a FILE, or a pipe');
  let lost: NodeJS.ErrnoException | undefined;
  const printer = await Printer.open(values, {
    onLost: (error) => {
      lost = error;
    },
  });
  const { capture, source } = await captureOf(bytesOf(name));
  if (capture === undefined) await new Decoding(values, printer).run(source);
  else await capture.show(values, printer);
  await printer.end();
  const failure = failureOf(lost);
  if (failure !== undefined) throw failure;
  return 0;
}
