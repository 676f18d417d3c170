import type { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { invalidType } from '../wire/errors.js';
import { wholeNumber } from '../wire/format.js';
import { isBytes } from '../wire/memory.js';
import { checkKnown } from '../wire/options.js';
import { anyCut, type CutOptions, cutOptions, MOST_CHUNKS } from './any-cut.js';
import { choices, cutAt, cutsOf, placesOf } from './cut.js';
import { CutError, type Failure, fault } from './cut-error.js';
import { type AnyDecoder, decodeBy } from './drive.js';

/** Options of {@link checkAnyCut}. */
export interface CheckOptions extends CutOptions {
  /** The number of cuts that are tried. If there are no more, each of them is tried. Default: 1,024. */
  runs?: number | undefined;
  /** The seed of the random cuts. The same seed makes the same cuts. Default: the one of fast-check, or any; a failure shows it. */
  seed?: number | undefined;
  /** A decoder hangs when it takes no chunk and hands out no message for so many milliseconds. Default: 1,000. */
  timeout?: number | undefined;
  /** After so many milliseconds, the search for a simpler cut that fails is stopped. 0: there is no search. Default: 5,000. */
  shrinkTimeout?: number | undefined;
  /**
   * True: the decoder must hand out each message without waiting for the next chunk or the end of the input. The input ends
   * only after all messages were handed out. Leave it out if the end of the input ends the last message, as it does a last
   * line. Default: false.
   */
  prompt?: boolean | undefined;
  /**
   * True: the memory of each chunk is overwritten when the decoder has processed it, as by a source that reads all its
   * chunks into one buffer. Messages must be copies. Do not use it with a stream that reads ahead, such as
   * `Readable.from(chunks)`. Default: false.
   */
  overwrite?: boolean | undefined;
}

/** The cuts that were tried, none of which failed. */
export interface CutsTried {
  /** The number of cuts. */
  readonly runs: number;
  /** Whether these were all cuts there are. Of those with empty chunks, only cuts with a single one count. */
  readonly exhaustive: boolean;
}

/** During the search for a simpler cut, a hang is assumed after so many milliseconds. The result is tried again in full. */
const QUIET_WHEN_SHRINKING = 25;

/**
 * Checks that a decoder hands out the same messages no matter how the bytes are cut into chunks.
 *
 * ```ts
 * await checkAnyCut(() => new MyDecoder(), Buffer.from('\x02\0\0\0hi', 'latin1'), [Buffer.from('hi')]);
 * ```
 *
 * If there are no more than `runs` cuts, all of them are tried, those into the fewest chunks first, and each place for one
 * empty chunk. Otherwise up to half of `runs` are the cuts into the fewest chunks; then comes one byte at a time, then
 * random cuts, as made by {@link anyCut}. Last, two decoders are given one byte at a time, in turns, which fails if they share state.
 *
 * A decoder must hand out its messages in order, end when its input ends, and not end before. Its messages are compared when
 * all of them were handed out, so a decoder must not use their memory again. Bytes are compared by their content, other values as by
 * `isDeepStrictEqual` of node:util; values from another realm, such as a `vm` context, equal those from this one. Each
 * decoder is destroyed at the end.
 *
 * @returns the cuts that were tried.
 * @throws {CutError} with the simplest cut that fails.
 * @throws {TypeError} `ERR_INVALID_ARG_TYPE`
 * @throws {RangeError} `ERR_OUT_OF_RANGE`
 */
export async function checkAnyCut(
  decoder: AnyDecoder,
  bytes: Uint8Array,
  messages: readonly unknown[],
  options: CheckOptions = {},
): Promise<CutsTried> {
  if (typeof decoder !== 'function') throw invalidType('decoder', 'of type function', decoder);
  if (!isBytes(bytes)) throw invalidType('bytes', 'a Buffer or Uint8Array', bytes);
  if (!Array.isArray(messages)) throw invalidType('messages', 'an array', messages);
  checkKnown(options, [...cutOptions, 'runs', 'seed', 'timeout', 'shrinkTimeout', 'prompt', 'overwrite']);
  const { boundaries, empty = true, seed, prompt = false, overwrite = false } = options;
  const runs = wholeNumber('runs', options.runs ?? 1024, 1);
  const timeout = wholeNumber('timeout', options.timeout ?? 1000, 1);
  const shrinkTimeout = wholeNumber('shrinkTimeout', options.shrinkTimeout ?? 5000);
  const cuts = anyCut(bytes, { boundaries, empty });

  /** Runs so many decoders at the same time, and returns the first that fails. */
  const attempt = async (places: readonly number[], quiet = timeout, decoders = 1): Promise<Failure | undefined> => {
    const chunks = () => cutAt(bytes, places);
    const conditions = { expected: messages.length, quiet, prompt, overwrite };
    const running = Array.from({ length: decoders }, () => decodeBy(decoder, chunks, conditions));
    const outcomes = await Promise.all(running);
    const outcome = outcomes.find((each) => fault(messages, each, bytes.length, quiet) !== undefined);
    return outcome && { chunks: chunks(), expected: messages, outcome, decoders, quiet };
  };

  /** Searches for the simplest cut that still fails, until the time is up. */
  const simplest = async (first: Failure): Promise<Failure> => {
    const deadline = performance.now() + shrinkTimeout;
    const quiet = hangs(first) ? Math.min(QUIET_WHEN_SHRINKING, timeout) : timeout;
    let [failure, stoppedAfter]: [Failure, number | undefined] = [first, undefined];
    let candidates = cuts.shrink(failure.chunks as Buffer[], undefined);
    for (let next = candidates.next(); !next.done; next = candidates.next()) {
      if (performance.now() >= deadline) {
        stoppedAfter = shrinkTimeout;
        break;
      }
      const { value, context } = next.value;
      const simpler = await attempt(placesOf(value), quiet);
      if (simpler === undefined) continue;
      failure = simpler;
      candidates = cuts.shrink(value, context);
    }
    // If it was only slow, the first failure stands.
    if (hangs(failure)) failure = (await attempt(placesOf(failure.chunks))) ?? first;
    return { ...failure, seed: first.seed, stoppedAfter };
  };

  const total = countAll(bytes.length, empty);
  const exhaustive = total <= runs;
  let tried = 0;
  for (const places of exhaustive ? allCuts(bytes.length, empty) : fewCuts(bytes.length, runs / 2)) {
    const failure = await attempt(places);
    // The cuts are in order, so no simpler one fails.
    if (failure !== undefined) throw new CutError(failure);
    tried++;
  }
  if (!exhaustive) {
    let failure: Failure | undefined;
    const isRight = async (chunks: Buffer[]): Promise<boolean> => {
      failure = await attempt(placesOf(chunks));
      return failure === undefined;
    };
    const details = await fc.check(fc.asyncProperty(cuts, isRight), {
      numRuns: runs - tried,
      examples: [[cutAt(bytes, everyByte(bytes.length))]],
      // fast-check has no limit of time for shrinking alone.
      endOnFailure: true,
      ...(seed === undefined ? {} : { seed }),
    });
    if (failure !== undefined) throw new CutError(await simplest({ ...failure, seed: details.seed }));
    tried += details.numRuns;
  }
  const failure = await attempt(everyByte(bytes.length), timeout, 2);
  // No simpler cut is searched for: shared state is no longer clean after a failure.
  if (failure !== undefined) throw new CutError(failure);
  return { runs: tried, exhaustive };
}

function hangs({ outcome }: Failure): boolean {
  return outcome.ending === 'hung' || outcome.ending === 'held';
}

/** The number of cuts in {@link allCuts}. */
function countAll(length: number, empty: boolean): number {
  return 2 ** Math.max(0, length - 1) + (empty ? length + 1 : 0);
}

/** Every cut without empty chunks, those into the fewest chunks first; then each with one empty chunk and at most one other cut. */
function* allCuts(length: number, empty: boolean): Generator<number[]> {
  yield* fewCuts(length, Number.POSITIVE_INFINITY);
  if (!empty) return;
  yield [0];
  for (const [place] of cutsOf(length, 1)) yield [place!, place!];
  if (length > 0) yield [length];
}

/** All cuts into one chunk, all into two and so on, as long as there are no more than `most`. */
function* fewCuts(length: number, most: number): Generator<number[]> {
  let total = 0;
  for (let count = 0; count === 0 || count < length; count++) {
    total += choices(length - 1, count);
    if (total > most) return;
    yield* cutsOf(length, count);
  }
}

/** Cuts after every byte, or in long bytes after every few. */
function everyByte(length: number): number[] {
  const step = Math.max(1, Math.ceil(length / MOST_CHUNKS));
  return Array.from({ length: Math.max(0, Math.ceil(length / step) - 1) }, (_, i) => (i + 1) * step);
}
