/** Prints messages, and what else happens, in the form that the options ask for. */
import { StringDecoder } from 'node:string_decoder';
import { styleText } from 'node:util';
import { complain, describe, UsageError } from './errors.js';
import type { Seen } from './frame-reader.js';
import { type Content, JsonLines, jsonOf, type Place } from './json-lines.js';
import { atMostOne, type Values, wholeNumber } from './options.js';
import { Output } from './output.js';
import { escaped, hexPairs, printable } from './text.js';

type Mode = 'lines' | 'json' | 'hex' | 'text' | 'raw';

/** The most bytes of a message that are held to be printed whole. */
const HELD = 1_048_576;
/** The most bytes that may be asked for: in any form, they fit into a string. */
const MOST_SHOWN = 100_000_000;
/** Messages that a terminal is given in so many ms; more are counted alone. */
const PACE = { messages: 500, ms: 250 };

/** The fields of an event. */
interface EventFields {
  /** Of a connection that opens: whose it is. */
  readonly address?: string;
  /** Of an end, or of a fault. */
  readonly position?: number | undefined;
  /** Of an error. */
  readonly code?: string | undefined;
  readonly message?: string;
  /** Those that were left out. */
  readonly messages?: number;
  readonly bytes?: number;
}

function textOf({ connection }: Place, event: string, fields: EventFields): string {
  if (event === 'open') return `#${connection} is ${fields.address}`;
  if (event === 'end') return `end, after ${fields.position} bytes`;
  if (event === 'error') return `${fields.message}`;
  return `... ${fields.messages} more messages of ${fields.bytes} bytes are not shown (--output FILE keeps all)`;
}

export interface PrinterSettings {
  /** Called when nothing can be printed any more. */
  onLost(error: NodeJS.ErrnoException): void;
  /** Whether it passes over messages that its reader is too slow for. */
  isLossy?: boolean;
  /** Has the standard output for something else. */
  onStandardError?: boolean;
}

function modeOf(values: Values): Mode {
  if (values.json === true) return 'json';
  const found = (['hex', 'text', 'raw'] as const).find((mode) => values[mode] === true);
  return found ?? 'lines';
}

function contentOf({ hex, text }: Values): Content {
  if (hex === true) return 'hex';
  return text === true ? 'text' : 'base64';
}

/** Stands behind a message that is not shown whole. */
function cutMark(length: number, isIncomplete: boolean): string {
  return ` ... (${length} bytes${isIncomplete ? ', incomplete' : ''})`;
}

export class Printer {
  readonly output: Output;
  readonly #mode: Mode;
  readonly #isQuiet: boolean;
  readonly #isLossy: boolean;
  /** The most bytes of a message that are shown. */
  readonly #shown: number;
  /** Whether that was asked for. */
  readonly #isCut: boolean;
  readonly #json: JsonLines;
  readonly #hasColours: boolean;

  static async open(values: Values, settings: PrinterSettings): Promise<Printer> {
    atMostOne(values, 'hex', 'raw', 'text');
    atMostOne(values, 'raw', 'json');
    atMostOne(values, 'output', 'quiet');
    const file = values.output as string | undefined;
    const output =
      settings.onStandardError && file === undefined
        ? new Output(2, settings.onLost)
        : await Output.open(file, settings.onLost);
    return new Printer(values, output, settings.isLossy ?? false);
  }

  constructor(values: Values, output: Output, isLossy: boolean) {
    this.output = output;
    this.#mode = modeOf(values);
    this.#isQuiet = values.quiet === true;
    this.#isLossy = isLossy;
    const usual = { lines: 16, json: 65_536, hex: HELD, text: HELD, raw: HELD }[this.#mode];
    this.#shown = wholeNumber(values, 'bytes', 0, MOST_SHOWN) ?? usual;
    this.#isCut = values.bytes !== undefined;
    this.#json = new JsonLines(output, contentOf(values));
    this.#hasColours = output.hasColours;
    if (this.#mode === 'raw' && output.isTerminal) {
      throw new UsageError('--raw writes bytes that a terminal would obey: use a pipe, or --output FILE');
    }
  }

  /** Whether it prints all of a message, in parts where it is long. */
  get #printsAll(): boolean {
    return !this.#isQuiet && this.#mode !== 'lines' && this.#mode !== 'json';
  }

  /** Whether a message of this length is to be given in parts, one message at a time. */
  inParts(length: number): boolean {
    return this.#printsAll && !this.#isCut && length > HELD;
  }

  /** The most bytes of a message that it has a use for. */
  get keeps(): number {
    return this.#isQuiet ? 0 : this.#shown;
  }

  /** A message, of which `bytes` are the first ones. */
  message(place: Place, seen: Seen): void {
    const { position, type, length, bytes, isIncomplete = false } = seen;
    if (this.#isQuiet || this.#passesOver(length)) return;
    const shown = bytes.length > this.#shown ? bytes.subarray(0, this.#shown) : bytes;
    if (this.#mode === 'raw') this.output.writeBytes(shown);
    else if (this.#mode === 'json') this.#json.message(place, position, type, length, shown, isIncomplete);
    else this.output.write(this.#textOf(place, seen, shown));
  }

  #textOf(place: Place, { position, type, length, isIncomplete = false }: Seen, shown: Buffer): string {
    if (this.#mode === 'lines') {
      const mark = isIncomplete ? ' ... incomplete' : '';
      return `${this.#head(place)}${this.#line(position, type, length, shown)}${mark}\n`;
    }
    const text = this.#mode === 'hex' ? shown.toString('hex') : escaped(shown.toString());
    return `${text}${shown.length < length ? cutMark(length, isIncomplete) : ''}\n`;
  }

  readonly #decoder = new StringDecoder();

  /** A part of a message: see {@link inParts}. */
  part(part: Buffer, isLast: boolean): void {
    if (this.#mode === 'raw') {
      this.output.writeBytes(part);
      return;
    }
    const decoded = () => this.#decoder.write(part) + (isLast ? this.#decoder.end() : '');
    const text = this.#mode === 'hex' ? part.toString('hex') : escaped(decoded());
    this.output.write(`${text}${isLast ? '\n' : ''}`);
  }

  /** The last part of a message did not come. */
  partsEnd(length: number): void {
    if (this.#mode !== 'raw') this.output.write(`${cutMark(length, true)}\n`);
  }

  #turn: Promise<void> = Promise.resolve();

  /** Runs what prints a message in parts when no other does. */
  async alone(print: () => Promise<void>): Promise<void> {
    const before = this.#turn;
    let done = () => {};
    this.#turn = new Promise((resolve) => (done = resolve));
    try {
      await before;
      await print();
    } finally {
      done();
    }
  }

  /** Something else than a message: `text` says it in a line, where its fields need one. */
  event(place: Place, event: string, fields: EventFields, text = textOf(place, event, fields)): void {
    if (this.#isQuiet || this.#printsAll) return;
    if (this.#mode === 'json') this.output.write(jsonOf(place, event, fields));
    else this.output.write(`${event === 'open' ? '' : this.#head(place)}${text}\n`);
  }

  /** An error, in a line of the output where that has a place for it, and on the standard error if not. */
  error(place: Place, error: unknown, text = describe(error), drawing: readonly string[] = []): void {
    const { code, position } = error as { code?: string; position?: number };
    const lines = [text, ...drawing].join('\n');
    if (this.#isQuiet || this.#printsAll || this.output.lost !== undefined) complain(lines);
    else this.event(place, 'error', { code, message: text, position }, lines);
  }

  /** `   1053 #1  -> ` */
  #head({ connection, direction, at }: Place): string {
    if (connection === undefined) return '';
    const time = (at?.ms ?? performance.now()).toFixed(0).padStart(7);
    const arrow = direction ?? '  ';
    const name = `#${connection}`.padEnd(3);
    if (!this.#hasColours) return `${time} ${name} ${arrow} `;
    const colour = direction === '<-' ? 'cyan' : 'green';
    return `${styleText('dim', time)} ${name} ${styleText(colour, arrow)} `;
  }

  /** `      1234 51 Q        14 51 00 00 00 0d 53 45 ...  Q....SELECT 1.` */
  #line(position: number, type: number | undefined, length: number, bytes: Buffer): string {
    const kind = type === undefined ? '-' : `${Buffer.of(type).toString('hex')} ${printable(Buffer.of(type))}`;
    const hex = hexPairs(bytes);
    const columns = [
      String(position).padStart(10),
      kind.padEnd(4),
      String(length).padStart(9),
      hex.padEnd(3 * Math.min(this.#shown, 32)),
      printable(bytes),
    ];
    if (this.#hasColours) {
      columns[1] = styleText('bold', columns[1]!);
      columns[3] = styleText('dim', columns[3]!);
    }
    return columns.join(' ');
  }

  // ---------------------------------------------------------------- a reader that is slow

  #paced = 0;
  #passed = { messages: 0, bytes: 0 };
  #timer: NodeJS.Timeout | undefined;

  #passesOver(length: number): boolean {
    if (!this.#isLossy) return false;
    const isTooFast = this.output.isTerminal && ++this.#paced > PACE.messages;
    if (this.output.isTerminal) this.#timer ??= setTimeout(() => this.#onPace(), PACE.ms).unref();
    if (!isTooFast && !this.output.isFull && this.#passed.messages === 0) return false;
    this.#passed.messages++;
    this.#passed.bytes += length;
    this.#timer ??= setTimeout(() => this.#onPace(), PACE.ms).unref();
    return true;
  }

  #onPace(): void {
    this.#timer = undefined;
    this.#paced = 0;
    if (this.output.isFull) this.#timer = setTimeout(() => this.#onPace(), PACE.ms).unref();
    else this.#tellPassed();
  }

  #tellPassed(): void {
    const { messages, bytes } = this.#passed;
    if (messages === 0 || this.output.isFull) return;
    this.#passed = { messages: 0, bytes: 0 };
    this.event({}, 'skipped', { messages, bytes });
  }

  ready(): Promise<void> {
    return this.output.ready();
  }

  /** The program was asked to end: see {@link Output.hurry}. */
  hurry(): void {
    this.output.hurry();
  }

  async end(): Promise<void> {
    this.#tellPassed();
    await this.output.end();
    if (this.#passed.messages > 0) complain(textOf({}, 'skipped', this.#passed));
  }
}
