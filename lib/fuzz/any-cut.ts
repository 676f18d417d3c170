import type { Buffer } from 'node:buffer';
import { Arbitrary, type Random, Stream, Value } from 'fast-check';
import { invalidType } from '../wire/errors.js';
import { isBytes } from '../wire/memory.js';
import { checkKnown } from '../wire/options.js';
import { type Boundaries, boundariesIn, cutAt, cutsOf, placesOf } from './cut.js';

/** Options of {@link anyCut}. */
export interface CutOptions {
  /** The places at and around which most cuts are made. Default: none. */
  boundaries?: Boundaries | undefined;
  /** Whether chunks may be empty. A socket emits no empty chunks, but a stream behind it may. Default: true. */
  empty?: boolean | undefined;
}

/** The names of the options of {@link anyCut}. */
export const cutOptions: readonly string[] = ['boundaries', 'empty'];

/**
 * An arbitrary for fast-check: `bytes` cut into chunks, each a copy. The bytes come in one chunk, one at a time, in
 * chunks of equal length, or are cut at random places or at and around the boundaries. Some chunks are empty.
 *
 * ```ts
 * fc.assert(fc.property(anyCut(wire, { boundaries: { lengthField: 'varint' } }), (chunks) => ...));
 * ```
 *
 * It shrinks to the simplest cut that still fails: the fewest chunks, each cut as near to the start as possible, and no
 * empty chunk unless the failure needs one. If a single cut of up to 1,024 bytes fails, the result is the first one.
 */
export function anyCut(bytes: Uint8Array, options: CutOptions = {}): Arbitrary<Buffer[]> {
  if (!isBytes(bytes)) throw invalidType('bytes', 'a Buffer or Uint8Array', bytes);
  checkKnown(options, cutOptions);
  return new CutArbitrary(bytes, options);
}

/** Shrinking tries up to 1,024 places one by one, and more by halving. */
const ONE_BY_ONE = 1024;
/** The most chunks of equal length. Bytes longer than this do not come one at a time. */
export const MOST_CHUNKS = 8192;

/**
 * The candidates that shrinking need not try again. `'several'`: a single cut does not fail. `'fewest'`: fewer cuts do
 * not fail either. `'least'`: nothing simpler fails.
 */
type Known = 'several' | 'fewest' | 'least' | undefined;

class CutArbitrary extends Arbitrary<Buffer[]> {
  readonly #bytes: Uint8Array;
  readonly #boundaries: readonly number[];
  readonly #empty: boolean;

  constructor(bytes: Uint8Array, { boundaries, empty = true }: CutOptions) {
    super();
    this.#bytes = bytes;
    this.#boundaries = boundariesIn(bytes, boundaries);
    this.#empty = empty;
  }

  override generate(random: Random): Value<Buffer[]> {
    const { length } = this.#bytes;
    const inside = new Set(this.#draw(random).filter((place) => place > 0 && place < length));
    const places = [...inside];
    if (this.#empty && random.nextInt(0, 3) === 0) {
      for (let i = random.nextInt(1, 3); i > 0; i--) places.push(this.#pick(random, [0, length, ...inside]));
    }
    return this.#value(places.sort((a, b) => a - b));
  }

  #value(places: readonly number[], known?: Known): Value<Buffer[]> {
    return new Value(cutAt(this.#bytes, places), known);
  }

  /** Returns places to cut at, in any order. Some may lie outside the bytes. */
  #draw(random: Random): number[] {
    const { length } = this.#bytes;
    const shift = random.nextInt(-2, 4);
    switch (random.nextInt(0, 7)) {
      case 0: {
        const least = Math.ceil(length / MOST_CHUNKS);
        const size = Math.max(1, least, random.nextInt(0, 2) === 0 ? 1 : random.nextInt(1, Math.max(1, length >> 1)));
        const first = random.nextInt(1, size);
        return Array.from({ length: Math.ceil(length / size) }, (_, i) => first + i * size);
      }
      case 1:
        return this.#boundaries.map((place) => place + shift);
      case 2: {
        const first = this.#near(random);
        return Array.from({ length: random.nextInt(2, 20) }, (_, i) => first + i);
      }
      case 3:
        return [this.#near(random), this.#near(random)];
      case 4:
        return Array.from({ length: random.nextInt(0, 4) }, () => random.nextInt(0, length));
      default:
        return Array.from({ length: random.nextInt(1, 40) }, () =>
          random.nextBoolean() ? this.#near(random) : random.nextInt(0, length),
        );
    }
  }

  #pick(random: Random, places: readonly number[]): number {
    return places[random.nextInt(0, places.length - 1)]!;
  }

  /** Picks a place just before a boundary, or in the bytes after it, where a prefix is. */
  #near(random: Random): number {
    return this.#pick(random, this.#boundaries) + random.nextInt(-2, 4);
  }

  override canShrinkWithoutContext(value: unknown): value is Buffer[] {
    return (
      Array.isArray(value) &&
      value.every((chunk) => isBytes(chunk)) &&
      value.reduce((sum, chunk) => sum + chunk.length, 0) === this.#bytes.length
    );
  }

  override shrink(chunks: Buffer[], known: unknown): Stream<Value<Buffer[]>> {
    if (known === 'least') return Stream.nil();
    return new Stream(this.#simpler(placesOf(chunks), known as Known));
  }

  *#simpler(places: readonly number[], known: Known): Generator<Value<Buffer[]>> {
    if (places.length === 0) return;
    const { length } = this.#bytes;
    const isShort = length <= ONE_BY_ONE;
    const inside = [...new Set(places)].filter((place) => place > 0 && place < length);
    const hasEmpty = inside.length < places.length;
    if (known === undefined) {
      yield this.#value([], 'least');
      const isOne = !hasEmpty && places.length === 1;
      if (isShort) {
        for (const cut of cutsOf(isOne ? places[0]! : length, 1)) yield this.#value(cut, 'least');
        if (isOne) return;
      }
      if (hasEmpty) {
        if (inside.length > 0) yield this.#value(inside, 'several');
        yield this.#value([0], 'several');
        if (isShort) for (const [place] of cutsOf(length, 1)) yield this.#value([place!, place!], 'several');
      }
    }
    if (known !== 'fewest') {
      if (hasEmpty) yield this.#value(withoutEmpty(inside, places.length, length), 'several');
      for (const cut of fewer(places)) yield this.#value(cut, 'several');
    }
    for (const cut of lower(places, length)) yield this.#value(cut, 'fewest');
  }
}

/** Replaces the cuts that make empty chunks by cuts at the first free places. */
function withoutEmpty(inside: readonly number[], count: number, length: number): number[] {
  const places = new Set(inside);
  for (let place = 1; place < length && places.size < count; place++) places.add(place);
  return [...places].sort((a, b) => a - b);
}

/** Leaves out half of the cuts, then a quarter, and so on, and at last each single one. */
function* fewer(places: readonly number[]): Generator<number[]> {
  for (let count = places.length >> 1; count > 0; count >>= 1) {
    for (let at = 0; at < places.length; at += count) yield [...places.slice(0, at), ...places.slice(at + count)];
  }
}

/**
 * Moves a cut nearer to the one before it. All cuts at the same place move with it, so that an empty chunk stays empty.
 * Then all later cuts move as well, so that the later chunks keep their lengths.
 */
function* lower(places: readonly number[], length: number): Generator<number[]> {
  let before = 0;
  for (const place of new Set(places)) {
    if (place > 0 && place < length) {
      for (const target of targets(before + 1, place)) {
        yield places.map((each) => (each === place ? target : each));
        yield places.map((each) => (each >= place && each < length ? each - (place - target) : each));
      }
    }
    before = place;
  }
}

/** Places from `first` up to `place`, exclusive: all of them, or if these are too many, in steps that halve. */
function* targets(first: number, place: number): Generator<number> {
  if (place - first <= ONE_BY_ONE) {
    for (let target = first; target < place; target++) yield target;
  } else {
    for (let step = place - first; step > 0; step >>= 1) yield place - step;
  }
}
