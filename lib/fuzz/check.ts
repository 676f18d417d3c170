import type { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { invalidReturn, invalidType, typeOf } from '../wire/errors.js';
import { wholeNumber } from '../wire/format.js';
import { isBytes } from '../wire/memory.js';
import { checkKnown } from '../wire/options.js';
import { anyCut, type CutOptions, cutOptions, MOST_CHUNKS } from './any-cut.js';
import { choices, cutAt, cutsOf, placesOf } from './cut.js';
import { CutError, type Failure, fault } from './cut-error.js';
import { type AnyDecoder, type Conditions, decodeBy, isDecoding } from './drive.js';

/** Options of {@link checkAnyCut}. */
export interface CheckOptions extends CutOptions {
  /** The number of cuts that are tried. If there are not more cuts than that, each of them is tried. Default: 1,024. */
  runs?: number | undefined;
  /**
   * The seed of the random cuts. The same seed makes the same cuts. Default: the global seed of fast-check, or a random
   * one, which the error shows.
   */
  seed?: number | undefined;
  /** A decoder hangs when it takes no chunk and hands out no message for this many milliseconds. Default: 1,000. */
  timeout?: number | undefined;
  /**
   * The search for a simpler cut that fails stops after this many milliseconds. The error then says so, and shows the
   * simplest cut that was found. A cut that has begun by then is finished. Default: 5,000.
   */
  shrinkTimeout?: number | undefined;
  /**
   * True: all messages must be handed out before the input ends, so that a decoder fails if it waits for the next chunk
   * or for the end. Do not use it if the end of the input completes the last message, as in text whose last line has no
   * line break. Default: false.
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
  /** Whether these were all cuts there are. Cuts with more than one empty chunk do not count. */
  readonly exhaustive: boolean;
}

/**
 * During the search for a simpler cut, a decoder hangs after this many milliseconds. The result is tried again in full.
 */
const QUIET_WHEN_SHRINKING = 25;

/**
 * Checks that a decoder hands out the same messages no matter how the bytes are cut into chunks.
 *
 * ```ts
 * await checkAnyCut(() => new MyDecoder(), Buffer.from('\x02\0\0\0hi', 'latin1'), [Buffer.from('hi')]);
 * ```
 *
 * If there are no more than `runs` cuts, all of them are tried, those into the fewest chunks first. These include each
 * cut with one empty chunk and at most one other cut. Otherwise, up to half of the `runs` are the cuts into the fewest
 * chunks. Then comes one byte at a time, then random cuts, as made by {@link anyCut}. At the end, two decoders run at
 * the same time, one byte at a time, to find state that they share.
 *
 * A decoder must hand out its messages in order, end when its input ends, and not end before. The bytes of a message
 * must not change after it was handed out. Bytes are compared by their content, other values as by `isDeepStrictEqual`
 * of node:util. Values of another realm, such as a `vm` context, equal those of this one. Each decoder is destroyed
 * after its run.
 *
 * @param decoder makes a decoder; it is called for each cut
 * @param bytes the whole input
 * @param messages the messages that a decoder must hand out for it, in order
 * @returns the number of cuts that were tried.
 * @throws {CutError} with the simplest cut that fails.
 * @throws {TypeError} `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_RETURN_VALUE`
 * @throws {RangeError} `ERR_OUT_OF_RANGE`
 */
export async function checkAnyCut(
  decoder: AnyDecoder,
  bytes: Uint8Array,
  messages: readonly unknown[],
  options: CheckOptions = {},
): Promise<CutsTried> {
  checkKnown(options, [...cutOptions, 'runs', 'seed', 'timeout', 'shrinkTimeout', 'prompt', 'overwrite']);
  if (typeof decoder !== 'function') {
    throw invalidType('decoder', 'a function that makes a decoder, such as () => new MyDecoder()', decoder);
  }
  if (!isBytes(bytes)) throw invalidType('bytes', 'a Buffer or Uint8Array', bytes);
  if (!Array.isArray(messages)) throw invalidType('messages', 'an array', messages);
  const { boundaries, empty = true, seed, prompt = false, overwrite = false } = options;
  const runs = wholeNumber('runs', options.runs ?? 1024, 1);
  const timeout = wholeNumber('timeout', options.timeout ?? 1000, 1);
  const shrinkTimeout = wholeNumber('shrinkTimeout', options.shrinkTimeout ?? 5000);

  const cuts = anyCut(bytes, { boundaries, empty });
  const attempt = attempts(decoder, bytes, messages, { quiet: timeout, prompt, overwrite });
  const exhaustive = countAll(bytes.length, empty) <= runs;
  let tried = 0;
  for (const places of exhaustive ? allCuts(bytes.length, empty) : fewCuts(bytes.length, runs / 2)) {
    const failure = await attempt(places);
    // The cuts are in order, so no simpler one fails.
    if (failure !== undefined) throw new CutError(failure);
    tried++;
  }
  if (!exhaustive) {
    const first = cutAt(bytes, everyByte(bytes.length));
    const { failure, numRuns } = await tryRandom(cuts, attempt, { numRuns: runs - tried, examples: [[first]], seed });
    if (failure !== undefined) throw new CutError(await simplest(failure, cuts, attempt, shrinkTimeout));
    tried += numRuns;
  }
  // No simpler cut is searched for: after a failure, shared state may be wrong from the start.
  const failure = await attempt(everyByte(bytes.length), { decoders: 2 });
  if (failure !== undefined) throw new CutError(failure);
  return { runs: tried, exhaustive };
}

/** Tries a cut, and returns the failure if there is one. */
type Attempt = (
  places: readonly number[],
  settings?: { quiet?: number; decoders?: number },
) => Promise<Failure | undefined>;

function attempts(
  decoder: AnyDecoder,
  bytes: Uint8Array,
  expected: readonly unknown[],
  conditions: Omit<Conditions, 'expected'>,
): Attempt {
  const seen = new WeakSet<object>();
  let wrong: Error | undefined;
  const make: AnyDecoder = async (chunks) => {
    const decoding = await decoder(chunks);
    if (!isDecoding(decoding)) {
      wrong = invalidReturn('decoder', 'a Transform, a TransformStream or an async iterable', typeOf(decoding));
      throw wrong;
    }
    if (seen.has(decoding)) wrong = invalidReturn('decoder', 'a new decoder for each cut', 'the same one again');
    seen.add(decoding);
    return decoding;
  };
  return async (places, { quiet = conditions.quiet, decoders = 1 } = {}) => {
    const chunks = () => cutAt(bytes, places);
    const decode = () => decodeBy(make, chunks, { ...conditions, expected: expected.length, quiet });
    const outcomes = await Promise.all(Array.from({ length: decoders }, decode));
    if (wrong !== undefined) throw wrong;
    const outcome = outcomes.find((each) => fault(expected, each, bytes.length, quiet) !== undefined);
    return outcome && { chunks: chunks(), expected, outcome, decoders, quiet };
  };
}

type Cuts = ReturnType<typeof anyCut>;

interface RandomRuns {
  readonly numRuns: number;
  readonly examples: [Buffer[]][];
  readonly seed: number | undefined;
}

interface RandomResult {
  readonly failure: Failure | undefined;
  readonly numRuns: number;
}

/** Tries the examples, then random cuts, up to the first failure. */
async function tryRandom(cuts: Cuts, attempt: Attempt, { seed, ...runs }: RandomRuns): Promise<RandomResult> {
  let failure: Failure | undefined;
  const isRight = async (chunks: Buffer[]): Promise<boolean> => {
    failure = await attempt(placesOf(chunks));
    return failure === undefined;
  };
  // fast-check can't limit the time of shrinking alone, so it does not shrink here.
  const settings = { ...runs, endOnFailure: true, ...(seed === undefined ? {} : { seed }) };
  const details = await fc.check(fc.asyncProperty(cuts, isRight), settings);
  return { failure: failure && { ...failure, seed: details.seed }, numRuns: details.numRuns };
}

/** Searches for the simplest cut that still fails, until the time is up. */
async function simplest(first: Failure, cuts: Cuts, attempt: Attempt, shrinkTimeout: number): Promise<Failure> {
  const deadline = performance.now() + shrinkTimeout;
  const quiet = hangs(first) ? Math.min(QUIET_WHEN_SHRINKING, first.quiet) : first.quiet;
  let failure = first;
  let stoppedAfter: number | undefined;
  let candidates = cuts.shrink(first.chunks, undefined);
  for (let next = candidates.next(); !next.done; next = candidates.next()) {
    if (performance.now() >= deadline) {
      stoppedAfter = shrinkTimeout;
      break;
    }
    const { value, context } = next.value;
    const simpler = await attempt(placesOf(value), { quiet });
    if (simpler === undefined) continue;
    failure = simpler;
    candidates = cuts.shrink(value, context);
  }
  // If it was only slow, the first failure stands.
  if (hangs(failure)) failure = (await attempt(placesOf(failure.chunks))) ?? first;
  return { ...failure, seed: first.seed, stoppedAfter };
}

function hangs({ outcome }: Failure): boolean {
  return outcome.ending === 'hung' || outcome.ending === 'held';
}

/** The number of cuts in {@link allCuts}. */
function countAll(length: number, empty: boolean): number {
  return 2 ** Math.max(0, length - 1) + (empty ? length + 1 : 0);
}

/**
 * Yields every cut without empty chunks, those into the fewest chunks first, then each with one empty chunk and at most
 * one other cut.
 */
function* allCuts(length: number, empty: boolean): Generator<number[]> {
  yield* fewCuts(length, Number.POSITIVE_INFINITY);
  if (!empty) return;
  yield [0];
  for (const [place] of cutsOf(length, 1)) yield [place!, place!];
  if (length > 0) yield [length];
}

/** Yields all cuts into one chunk, all into two and so on, as long as there are no more than `most`. */
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
