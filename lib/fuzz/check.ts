import type { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { invalidType } from '../wire/errors.js';
import { wholeNumber } from '../wire/format.js';
import { anyCut, type CutOptions, MOST_CHUNKS } from './any-cut.js';
import { choices, cutAt, cutsOf, placesOf } from './cut.js';
import { CutError, fault } from './cut-error.js';
import { type AnyDecoder, decodeBy, type Outcome } from './drive.js';

/** What is tried, and how hard. */
export interface CheckOptions extends CutOptions {
  /** How many cuts are tried. Default: 1,024, which are all there are of 11 bytes. */
  runs?: number | undefined;
  /** Makes the random cuts the same again. Default: fast-check's own, or any; the error tells which. */
  seed?: number | undefined;
  /** A decoder hangs when it takes nothing and hands out nothing for so many milliseconds. Default: 1,000. */
  timeout?: number | undefined;
}

/** What was tried, all of it right. */
export interface CutsTried {
  /** How many cuts. */
  readonly runs: number;
  /** Whether these were all the cuts there are, those with empty chunks aside. */
  readonly exhaustive: boolean;
}

/** While a failure is made simpler, a hang is taken for one after this time; the result is tried again with the whole. */
const QUIET_WHEN_SHRINKING = 25;
/** It need not say how many more there are. */
const TOO_MANY = 100;

/**
 * Checks that a decoder, given these bytes, hands out these messages however the bytes are cut.
 *
 * ```ts
 * await checkAnyCut(() => new MyDecoder(), Buffer.from('\x02\0\0\0hi', 'latin1'), [Buffer.from('hi')]);
 * ```
 *
 * First come all cuts into one chunk, two chunks, three and so on, as far as half of `runs` goes; all of them, where
 * there are no more than `runs`. Then one byte at a time, then random ones, as {@link anyCut} makes them.
 *
 * A decoder has to give its messages in order, to end when its input ends, and not before. Messages that are bytes are
 * compared as bytes, all others by `isDeepStrictEqual` of node:util, once all are there. Each decoder is destroyed.
 *
 * @returns what was tried.
 * @throws {CutError} with the simplest cut that fails, and what became of it.
 */
export async function checkAnyCut(
  decoder: AnyDecoder,
  bytes: Uint8Array,
  messages: readonly unknown[],
  options: CheckOptions = {},
): Promise<CutsTried> {
  if (typeof decoder !== 'function') throw invalidType('decoder', 'of type function', decoder);
  if (!(bytes instanceof Uint8Array)) throw invalidType('bytes', 'a Buffer or Uint8Array', bytes);
  if (!Array.isArray(messages)) throw invalidType('messages', 'an array', messages);
  const { boundaries, empty, seed } = options;
  const runs = wholeNumber('runs', options.runs ?? 1024, 1);
  const timeout = wholeNumber('timeout', options.timeout ?? 1000, 1);

  const attempt = async (places: readonly number[], quiet: number): Promise<Outcome | undefined> => {
    const limits = { messages: messages.length + TOO_MANY, quiet };
    const outcome = await decodeBy(decoder, cutAt(bytes, places), limits);
    return fault(messages, outcome, bytes.length, quiet) === undefined ? undefined : outcome;
  };

  const exhaustive = 2 ** (bytes.length - 1) <= runs;
  let tried = 0;
  for (const places of exhaustive ? allCuts(bytes.length, empty) : fewCuts(bytes.length, runs / 2)) {
    const outcome = await attempt(places, timeout);
    // They come in order: nothing simpler fails.
    if (outcome !== undefined) throw new CutError(cutAt(bytes, places), messages, outcome, timeout, undefined);
    tried++;
  }
  if (exhaustive) return { runs: tried, exhaustive };

  const failures: Failure[] = [];
  const isRight = async (chunks: Buffer[]): Promise<boolean> => {
    const places = placesOf(chunks);
    const quiet = failures[0]?.outcome.ending === 'hung' ? Math.min(QUIET_WHEN_SHRINKING, timeout) : timeout;
    const outcome = await attempt(places, quiet);
    if (outcome !== undefined) failures.push({ places, outcome });
    return outcome === undefined;
  };
  const details = await fc.check(fc.asyncProperty(anyCut(bytes, { boundaries, empty }), isRight), {
    numRuns: Math.max(1, runs - tried),
    examples: [[cutAt(bytes, everyByte(bytes.length))]],
    ...(seed === undefined ? {} : { seed }),
  });
  const [first, simplest] = [failures[0], failures.at(-1)];
  if (first === undefined || simplest === undefined) return { runs: tried + details.numRuns, exhaustive };
  const { places } = simplest;
  const outcome = simplest.outcome.ending === 'hung' ? await attempt(places, timeout) : simplest.outcome;
  // Where it was only slow this time, the failure that it began with stands.
  const failure = outcome === undefined ? first : { places, outcome };
  throw new CutError(cutAt(bytes, failure.places), messages, failure.outcome, timeout, details.seed);
}

interface Failure {
  readonly places: readonly number[];
  readonly outcome: Outcome;
}

/** Each cut, the fewest chunks first; then each with one chunk that is empty, and at most one other cut. */
function* allCuts(length: number, empty = true): Generator<number[]> {
  yield* fewCuts(length, Number.POSITIVE_INFINITY);
  if (!empty) return;
  yield [0];
  for (const [place] of cutsOf(length, 1)) yield [place!, place!];
  yield [length];
}

/** All cuts into one chunk, two chunks and so on, as long as it is no more than so many. */
function* fewCuts(length: number, most: number): Generator<number[]> {
  let total = 0;
  for (let count = 0; count === 0 || count < length; count++) {
    total += choices(length - 1, count);
    if (count > 0 && total > most) return;
    yield* cutsOf(length, count);
  }
}

/** One byte at a time, or of long bytes a few. */
function everyByte(length: number): number[] {
  const step = Math.ceil(length / MOST_CHUNKS);
  return Array.from({ length: Math.ceil(length / step) - 1 }, (_, i) => (i + 1) * step);
}
