import type { Buffer } from 'node:buffer';
import { inspect, types } from 'node:util';
import { bytes } from '../wire/errors.js';
import { isBytes, lengthOf } from '../wire/memory.js';
import type { Outcome } from './drive.js';
import { isSame } from './same.js';

/** The most items of a list that are shown. */
const MOST_LINES = 8;
/** The most bytes of a message or chunk that are shown. */
const MOST_BYTES = 24;

/** A cut that a decoder fails on, and how it was found. */
export interface Failure {
  readonly chunks: Buffer[];
  readonly expected: readonly unknown[];
  readonly outcome: Outcome;
  /** The number of decoders that ran at the same time. */
  readonly decoders: number;
  /** A decoder hangs when nothing happens for this many milliseconds. */
  readonly quiet: number;
  /** The seed of the random cuts, if the failure was found at random. */
  readonly seed?: number | undefined;
  /** The number of milliseconds after which the search for a simpler cut was stopped, if it was. */
  readonly stoppedAfter?: number | undefined;
}

/**
 * Tells that a decoder does not hand out the expected messages for a certain cut. The error message shows the cut and
 * the messages.
 */
export class CutError extends Error {
  /** `'CutError'`. */
  override readonly name = 'CutError';
  readonly #failure: Failure;

  /** @internal */
  constructor(failure: Failure) {
    const { chunks, expected, outcome, decoders, quiet } = failure;
    const together = decoders > 1 ? `, ${decoders} decoders at once` : '';
    const wrong = fault(expected, outcome, lengthOf(chunks), quiet);
    super(
      [`${howCut(chunks)}${together}: ${wrong}`, ...details(failure)].join('\n'),
      outcome.ending === 'failed' ? { cause: outcome.error } : {},
    );
    this.#failure = failure;
  }

  // Test runners print an error's own properties below its message, and a diff of `expected` and `actual`, a line a byte.
  // The message shows all of that. So these are getters, with other names.

  /** The simplest cut that was found to fail. */
  get chunks(): readonly Uint8Array[] {
    return this.#failure.chunks;
  }

  /** The messages that the decoder should hand out. */
  get expectedMessages(): readonly unknown[] {
    return this.#failure.expected;
  }

  /** The messages that the decoder handed out. */
  get actualMessages(): readonly unknown[] {
    return this.#failure.outcome.messages;
  }

  /** The seed that finds the failure again. It is undefined if every check finds the failure. */
  get seed(): number | undefined {
    return this.#failure.seed;
  }
}

/** The lines below the first: chunks and messages, then how to find the failure again. */
function details({ chunks, expected, outcome, seed, stoppedAfter }: Failure): string[] {
  const wrong = firstWrong(expected, outcome.messages);
  const rows = [
    ...shown('chunk', chunks, 0),
    ...shown('expected', expected, wrong),
    ...shown('actual', outcome.messages, wrong),
  ];
  if (seed !== undefined) rows.push(['again with', `seed: ${seed}`]);
  if (stoppedAfter !== undefined) {
    rows.push(['shrinking', `stopped after ${stoppedAfter} ms; a simpler cut may fail too`]);
  }
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, text]) => `  ${name.padEnd(width)}  ${text}`);
}

function howCut(chunks: readonly Uint8Array[]): string {
  const whole = bytes(lengthOf(chunks));
  if (chunks.length < 2) return `${whole} in one chunk`;
  const sizes = chunks.map((chunk) => chunk.length);
  const more = sizes.length > 2 * MOST_LINES;
  const list = more ? `${sizes.slice(0, 2 * MOST_LINES).join(' + ')} + ...` : sizes.join(' + ');
  return `${whole} in ${chunks.length} chunks, ${list}`;
}

/** Describes in a few words what is wrong with an outcome. Returns undefined if nothing is. */
export function fault(
  expected: readonly unknown[],
  outcome: Outcome,
  length: number,
  quiet: number,
): string | undefined {
  const { messages, changed, ending, error, given, inputEnded } = outcome;
  const count = `${messages.length} of ${expected.length} messages`;
  const input = inputEnded ? 'the input ended' : `${given} of ${bytes(length)}`;
  switch (ending) {
    case 'failed':
      return `it fails after ${input} and ${count}: ${described(error)}`;
    case 'hung':
      return `it hangs: after ${input} and ${count}, nothing for ${quiet} ms`;
    case 'held':
      return `it holds a message back: after ${input} and ${count}, nothing for ${quiet} ms`;
    case 'closed':
      return `it closes without an end or an error, after ${input} and ${count}`;
    case 'went on':
      return `it does not stop: more than ${messages.length - 1} messages, not ${expected.length}`;
  }
  if (changed >= 0) return `message ${changed + 1} changed after it was handed out`;
  const wrong = wrongMessage(expected, messages);
  if (wrong !== undefined) return wrong;
  if (given < length) return `it ends after ${input} and ${count}`;
  return messages.length < expected.length ? count : undefined;
}

/** Describes the first message that is not as expected, if there is one. */
function wrongMessage(expected: readonly unknown[], messages: readonly unknown[]): string | undefined {
  const wrong = firstWrong(expected, messages);
  if (wrong === messages.length) return undefined;
  const glued = gluedAt(expected, messages[wrong], wrong);
  if (glued > 0) return `message ${wrong + 1} is ${glued} messages glued together`;
  const isMissing = messages.length < expected.length && isSame(messages[wrong], expected[wrong + 1]);
  if (isMissing) return `message ${wrong + 1} is missing`;
  if (wrong < expected.length) return `message ${wrong + 1} is wrong`;
  return `${messages.length} messages, not ${expected.length}`;
}

/** The error's code or name, and its message. */
function described(error: unknown): string {
  if (!(error instanceof Error || types.isNativeError(error))) return inspect(error);
  const { code, name, message } = error as NodeJS.ErrnoException;
  return `${code ?? name}: ${message}`;
}

/** The index of the first message that is not as expected. Either list may be longer than the other. */
function firstWrong(expected: readonly unknown[], actual: readonly unknown[]): number {
  let at = 0;
  while (at < expected.length && at < actual.length && isSame(expected[at], actual[at])) at++;
  return at;
}

/**
 * The number of messages, from this one on, whose bytes together make up the message. It is 0 unless two of them have
 * bytes.
 */
function gluedAt(expected: readonly unknown[], message: unknown, from: number): number {
  if (!isBytes(message)) return 0;
  let at = 0;
  let filled = 0;
  for (let i = from; i < expected.length; i++) {
    const part = expected[i];
    if (!isBytes(part) || !isSame(part, message.subarray(at, at + part.length))) return 0;
    at += part.length;
    if (part.length > 0) filled++;
    if (at === message.length) return filled > 1 ? i + 1 - from : 0;
  }
  return 0;
}

/** The items around the one of interest, each with its number. */
function shown(name: string, items: readonly unknown[], interest: number): [string, string][] {
  if (items.length === 0) return name === 'chunk' ? [] : [[name, 'none']];
  const first = Math.max(0, Math.min(interest - MOST_LINES / 2, items.length - MOST_LINES));
  const rows = items
    .slice(first, first + MOST_LINES)
    .map((item, i): [string, string] => [`${name} ${first + i + 1}`, text(item)]);
  const left = items.length - rows.length;
  return left > 0 ? [...rows, ['', `and ${left} more`]] : rows;
}

function text(item: unknown): string {
  if (!isBytes(item)) return inspect(item, { breakLength: Number.POSITIVE_INFINITY });
  if (item.length === 0) return 'empty';
  const half = MOST_BYTES / 2;
  if (item.length <= MOST_BYTES) return `${pairs(item)}${characters(item)}`;
  return `${pairs(item.subarray(0, half))} ... ${pairs(item.subarray(-half))}, ${bytes(item.length)}`;
}

function pairs(data: Uint8Array): string {
  return Array.from(data, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
}

/** The printable characters, with a dot for each other byte. */
function characters(data: Uint8Array): string {
  const shown = Array.from(data, (byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.'));
  return shown.some((character) => character !== '.') ? ` |${shown.join('')}|` : '';
}
