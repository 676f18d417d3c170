import { Buffer } from 'node:buffer';
import { inspect, isDeepStrictEqual } from 'node:util';
import { bytes, reason } from '../wire/errors.js';
import type { Outcome } from './drive.js';

/** Of a long list so many are shown, and of long bytes. */
const MOST_LINES = 8;
const MOST_BYTES = 24;

/** A decoder that does not give the messages when the bytes are cut like this. Its message shows all of it. */
export class CutError extends Error {
  /** `'CutError'`. */
  override readonly name = 'CutError';
  /** The bytes as they were cut: the simplest way that was found. */
  readonly chunks: readonly Uint8Array[];
  /** The messages that there should be. */
  readonly expected: readonly unknown[];
  /** What the decoder made of the chunks. */
  readonly actual: readonly unknown[];
  /** What finds this again, where it was found at random; undefined where each run finds it. */
  readonly seed: number | undefined;

  /** @internal */
  constructor(
    chunks: readonly Uint8Array[],
    expected: readonly unknown[],
    outcome: Outcome,
    quiet: number,
    seed: number | undefined,
  ) {
    const what = fault(expected, outcome, lengthOf(chunks), quiet)!;
    const rows = [
      ...shown('chunk', chunks, 0),
      ...shown('expected', expected, firstWrong(expected, outcome.messages)),
      ...shown('actual', outcome.messages, firstWrong(expected, outcome.messages)),
    ];
    if (seed !== undefined) rows.push(['again with', `seed: ${seed}`]);
    const width = Math.max(...rows.map(([name]) => name.length));
    const lines = rows.map(([name, text]) => `  ${name.padEnd(width)}  ${text}`);
    super(
      [`${howCut(chunks)}: ${what}`, ...lines].join('\n'),
      outcome.ending === 'failed' ? { cause: outcome.error } : {},
    );
    this.chunks = chunks;
    this.expected = expected;
    this.actual = outcome.messages;
    this.seed = seed;
  }
}

function howCut(chunks: readonly Uint8Array[]): string {
  const whole = bytes(lengthOf(chunks));
  if (chunks.length < 2) return `${whole} in one chunk`;
  const sizes = chunks.map((chunk) => chunk.length);
  const more = sizes.length > 2 * MOST_LINES;
  const list = more ? `${sizes.slice(0, 2 * MOST_LINES).join(' + ')} + ...` : sizes.join(' + ');
  return `${whole} in ${chunks.length} chunks, ${list}`;
}

function lengthOf(chunks: readonly Uint8Array[]): number {
  return chunks.reduce((sum, chunk) => sum + chunk.length, 0);
}

/** What is wrong with an outcome, in a few words; undefined when it is right. */
export function fault(
  expected: readonly unknown[],
  { messages, ending, error, given, inputEnded }: Outcome,
  length: number,
  quiet: number,
): string | undefined {
  const count = `${messages.length} of ${expected.length} messages`;
  const input = inputEnded ? 'the input ended' : `${given} of ${bytes(length)}`;
  if (ending === 'failed') return `it fails after ${input} and ${count}: ${named(error)}`;
  if (ending === 'hung') return `it hangs: after ${input} and ${count}, nothing for ${quiet} ms`;
  if (ending === 'closed') return `it is closed with no end and no error, after ${input} and ${count}`;
  if (ending === 'went on')
    return `it goes on and on: more than ${messages.length - 1} messages, not ${expected.length}`;
  const wrong = firstWrong(expected, messages);
  if (wrong < messages.length) {
    const glued = gluedAt(expected, messages[wrong], wrong);
    if (glued > 0) return `message ${wrong + 1} is ${glued} messages glued together`;
    const isMissing = messages.length < expected.length && isSame(messages[wrong], expected[wrong + 1]);
    if (isMissing) return `message ${wrong + 1} is missing`;
    if (wrong < expected.length) return `message ${wrong + 1} is wrong`;
    return `${messages.length} messages, not ${expected.length}`;
  }
  if (given < length) return `it ends after ${input} and ${count}`;
  if (wrong < expected.length) return `${count}`;
  return undefined;
}

function named(error: unknown): string {
  const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown };
  return error instanceof Error ? `${code ?? name}: ${reason(error)}` : inspect(error);
}

/** The place of the first message that is not as expected: there may be too few, or too many. */
function firstWrong(expected: readonly unknown[], actual: readonly unknown[]): number {
  let at = 0;
  while (at < expected.length && at < actual.length && isSame(expected[at], actual[at])) at++;
  return at;
}

/** How many messages, from this one on, make up the bytes when they are put together; 0 where no two have bytes. */
function gluedAt(expected: readonly unknown[], message: unknown, from: number): number {
  if (!(message instanceof Uint8Array)) return 0;
  let at = 0;
  let filled = 0;
  for (let i = from; i < expected.length; i++) {
    const part = expected[i];
    if (!(part instanceof Uint8Array) || !isSame(part, message.subarray(at, at + part.length))) return 0;
    at += part.length;
    if (part.length > 0) filled++;
    if (at === message.length) return filled > 1 ? i + 1 - from : 0;
  }
  return 0;
}

/** A Buffer and a Uint8Array of the same bytes are the same. */
function isSame(a: unknown, b: unknown): boolean {
  if (!(a instanceof Uint8Array && b instanceof Uint8Array)) return isDeepStrictEqual(a, b);
  return Buffer.compare(a, b) === 0;
}

/** The things that are of interest, each with its number. */
function shown(name: string, things: readonly unknown[], interest: number): [string, string][] {
  if (things.length === 0) return name === 'chunk' ? [] : [[name, 'none']];
  const first = Math.max(0, Math.min(interest - MOST_LINES / 2, things.length - MOST_LINES));
  const rows = things
    .slice(first, first + MOST_LINES)
    .map((thing, i): [string, string] => [`${name} ${first + i + 1}`, text(thing)]);
  const left = things.length - rows.length;
  return left > 0 ? [...rows, ['', `and ${left} more`]] : rows;
}

function text(thing: unknown): string {
  if (!(thing instanceof Uint8Array)) return inspect(thing, { breakLength: Number.POSITIVE_INFINITY });
  if (thing.length === 0) return 'empty';
  const half = MOST_BYTES / 2;
  if (thing.length <= MOST_BYTES) return `${pairs(thing)}${characters(thing)}`;
  return `${pairs(thing.subarray(0, half))} ... ${pairs(thing.subarray(-half))}, ${bytes(thing.length)}`;
}

function pairs(data: Uint8Array): string {
  return Array.from(data, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
}

/** What can be read, dots for the rest. */
function characters(data: Uint8Array): string {
  const shown = Array.from(data, (byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.'));
  return shown.some((character) => character !== '.') ? ` |${shown.join('')}|` : '';
}
