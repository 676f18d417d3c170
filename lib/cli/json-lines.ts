/** Messages and events as JSON, one a line. */
import { isUtf8 } from 'node:buffer';
import type { Output } from './output.js';
import { safeJson } from './text.js';

/** Where something happened. */
export interface Place {
  readonly connection?: number | undefined;
  /** From the client to the server, or back. */
  readonly direction?: '->' | '<-' | undefined;
  /** Of a capture: when it was, and how many ms after the first. Otherwise it is now. */
  readonly at?: { readonly time: string; readonly ms: number } | undefined;
}

let lastTime = 0;
let lastText = '';

/** The time, as JSON has it. */
function now(): string {
  const time = Date.now();
  if (time !== lastTime) {
    lastTime = time;
    lastText = new Date(time).toISOString();
  }
  return lastText;
}

/** Something that is no message. */
export function jsonOf({ connection, direction, at }: Place, event: string, fields: object): string {
  return `${safeJson({ time: at?.time ?? now(), event, connection, direction, ...fields })}\n`;
}

/** The most bytes of a line beside its message. */
const AROUND = 300;
/** Longer messages are put together as strings. */
const SHORT = 4096;
const NAME = Buffer.from('"base64":"');
/** The most middles of lines that are kept. */
const KEPT = 4096;

function putNumber(to: Buffer, at: number, number: number): number {
  let end = at + 1;
  for (let most = 10; most <= number; most *= 10) end++;
  for (let rest = number, i = end - 1; i >= at; i--) {
    const tens = rest < 0x8000_0000 ? (rest / 10) | 0 : Math.floor(rest / 10);
    to[i] = 0x30 + rest - 10 * tens;
    rest = tens;
  }
  return end;
}

/** The two letters of each twelve bits in base64, as they lie in memory. */
const PAIRS = new Uint16Array(4096);
const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const PADDING = '='.charCodeAt(0);
Buffer.from(PAIRS.buffer).write(
  Array.from(PAIRS, (_, bits) => LETTERS[bits >> 6]! + LETTERS[bits & 63]!).join(''),
  'latin1',
);

/** Writes bytes in base64 to the place of that pair, and returns the place behind them, in bytes. */
function putBase64(to: Buffer, pairs: Uint16Array, place: number, bytes: Buffer): number {
  const { length } = bytes;
  const rest = length % 3;
  let at = place;
  for (let i = 0; i < length - rest; i += 3) {
    const bits = (bytes[i]! << 16) | (bytes[i + 1]! << 8) | bytes[i + 2]!;
    pairs[at] = PAIRS[bits >> 12]!;
    pairs[at + 1] = PAIRS[bits & 4095]!;
    at += 2;
  }
  if (rest === 0) return 2 * at;
  const bits = (bytes[length - rest]! << 16) | (rest === 2 ? bytes[length - 1]! << 8 : 0);
  pairs[at] = PAIRS[bits >> 12]!;
  pairs[at + 1] = PAIRS[bits & 4095]!;
  to[2 * at + 3] = PADDING;
  if (rest === 1) to[2 * at + 2] = PADDING;
  return 2 * at + 4;
}

/** How the bytes of a message are written. Text is base64 where it is not UTF-8. */
export type Content = 'base64' | 'hex' | 'text';

/**
 * `{"time":"…","connection":1,"direction":"->","position":0,"type":81,"length":14,"base64":"UQ…"}`
 *
 * A tap has to write a line for each of a million messages a second: those that are short are written byte by byte, between
 * a front that most lines of a chunk share, and a middle that those of the same length do.
 */
export class JsonLines {
  readonly #output: Output;
  readonly #content: Content;
  #time = '';
  #front = Buffer.alloc(0);
  #frontText = '';
  #frontPlace: Place | undefined;
  readonly #middles = new Map<number, Buffer>();
  #lastKey = -1;
  #lastMiddle: Buffer = Buffer.alloc(0);

  constructor(output: Output, content: Content) {
    this.#output = output;
    this.#content = content;
  }

  /** @param isIncomplete whether the input ended inside it */
  message(
    place: Place,
    position: number,
    type: number | undefined,
    length: number,
    bytes: Buffer,
    isIncomplete: boolean,
  ): void {
    if (this.#time === '' || place !== this.#frontPlace) this.#begin(place);
    if (this.#content !== 'base64' || length > SHORT || bytes.length < length) {
      this.#output.write(`${this.#frontText}${position}${restOf(type, length, bytes, this.#content, isIncomplete)}`);
      return;
    }
    const output = this.#output;
    const start = output.claim(AROUND + 2 * SHORT);
    const { bytes: to, pairs } = output.block;
    to.set(this.#front, start);
    const middleAt = putNumber(to, start + this.#front.length, position);
    const key = length * 257 + (type ?? 256);
    const middle = key === this.#lastKey ? this.#lastMiddle : this.#middleOf(key, type, length);
    to.set(middle, middleAt);
    let pairAt = middleAt + middle.length;
    if (pairAt % 2 === 1) {
      // Two letters are written at once, which need an even place: a space is put in front of the name.
      to[pairAt - NAME.length] = 0x20;
      to.set(NAME, ++pairAt - NAME.length);
    }
    const end = putBase64(to, pairs, pairAt >> 1, bytes);
    to[end] = 0x22;
    to[end + 1] = 0x7d;
    to[end + 2] = 0x0a;
    output.commit(end + 3);
  }

  #begin(place: Place): void {
    // All that is told in one turn has one time.
    if (this.#time === '') queueMicrotask(() => (this.#time = ''));
    const { connection, direction, at } = place;
    this.#time = at?.time ?? now();
    const where = connection === undefined ? '' : `,"connection":${connection},"direction":"${direction}"`;
    this.#frontText = `{"time":"${this.#time}"${where},"position":`;
    this.#front = Buffer.from(this.#frontText);
    this.#frontPlace = place;
  }

  #middleOf(key: number, type: number | undefined, length: number): Buffer {
    const middle = this.#middles.get(key) ?? Buffer.from(`${middleOf(type, length)},"base64":"`);
    if (this.#middles.size >= KEPT) this.#middles.clear();
    this.#middles.set(key, middle);
    this.#lastKey = key;
    this.#lastMiddle = middle;
    return middle;
  }
}

function middleOf(type: number | undefined, length: number): string {
  return `${type === undefined ? '' : `,"type":${type}`},"length":${length}`;
}

function restOf(
  type: number | undefined,
  length: number,
  bytes: Buffer,
  content: Content,
  isIncomplete: boolean,
): string {
  const isText = content === 'text' && isUtf8(bytes);
  const encoding = content === 'hex' ? 'hex' : 'base64';
  const written = isText ? `"text":${safeJson(bytes.toString())}` : `"${encoding}":"${bytes.toString(encoding)}"`;
  const cut = bytes.length < length ? ',"truncated":true' : '';
  const ended = isIncomplete ? ',"incomplete":true' : '';
  return `${middleOf(type, length)},${written}${cut}${ended}}\n`;
}
