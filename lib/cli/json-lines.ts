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

/** The two digits of each byte, as they lie in memory. */
const PAIRS = new Uint16Array(256);
Buffer.from(PAIRS.buffer).write(Buffer.from([...PAIRS.keys()]).toString('hex'), 'latin1');

/**
 * `{"time":"…","event":"message","connection":1,"direction":"->","position":0,"type":81,"length":14,"hex":"51…"}`
 *
 * A tap has to write a line for each of a million messages a second: those that are short are written byte by byte, between
 * a front that most lines of a chunk share, and a middle that those of the same length do.
 */
export class JsonLines {
  readonly #output: Output;
  readonly #asText: boolean;
  #time = '';
  #front = Buffer.alloc(0);
  #frontText = '';
  #frontPlace: Place | undefined;
  readonly #middles = new Map<number, Buffer>();

  constructor(output: Output, asText: boolean) {
    this.#output = output;
    this.#asText = asText;
  }

  message(place: Place, position: number, type: number | undefined, length: number, bytes: Buffer): void {
    if (this.#time === '' || place !== this.#frontPlace) this.#begin(place);
    if (this.#asText || length > SHORT || bytes.length < length) {
      this.#output.write(`${this.#frontText}${position}${restOf(type, length, bytes, this.#asText)}`);
      return;
    }
    const output = this.#output;
    const to = output.bytes;
    const start = output.claim(AROUND + 2 * SHORT);
    to.set(this.#front, start);
    const middleAt = putNumber(to, start + this.#front.length, position);
    const middle = this.#middles.get(length * 257 + (type ?? 256)) ?? this.#newMiddle(type, length);
    to.set(middle, middleAt);
    let pairAt = middleAt + middle.length;
    if (pairAt % 2 === 1) {
      // Two digits are written at once, which need an even place: a space is put in front.
      to[pairAt - 1] = 0x20;
      to[pairAt++] = 0x22;
    }
    const { pairs } = output;
    for (let i = 0, at = pairAt >> 1; i < length; i++) pairs[at + i] = PAIRS[bytes[i]!]!;
    const end = pairAt + 2 * length;
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
    this.#frontText = `{"time":"${this.#time}","event":"message"${where},"position":`;
    this.#front = Buffer.from(this.#frontText);
    this.#frontPlace = place;
  }

  #newMiddle(type: number | undefined, length: number): Buffer {
    if (this.#middles.size >= KEPT) this.#middles.clear();
    const middle = Buffer.from(`${middleOf(type, length)},"hex":"`);
    this.#middles.set(length * 257 + (type ?? 256), middle);
    return middle;
  }
}

function middleOf(type: number | undefined, length: number): string {
  return `${type === undefined ? '' : `,"type":${type}`},"length":${length}`;
}

function restOf(type: number | undefined, length: number, bytes: Buffer, asText: boolean): string {
  const isText = asText && isUtf8(bytes);
  const content = isText ? `"text":${safeJson(bytes.toString())}` : `"hex":"${bytes.toString('hex')}"`;
  const cut = bytes.length < length ? ',"truncated":true' : '';
  return `${middleOf(type, length)},${content}${cut}}\n`;
}
