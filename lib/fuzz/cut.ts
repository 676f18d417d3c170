import { Buffer } from 'node:buffer';
import type { FormatOptions } from '../index.js';
import { formatOf } from '../wire/format.js';
import { checkKnown } from '../wire/options.js';

/**
 * The places where a decoder is most likely to fail: where frames or other parts of the bytes begin and end, in bytes
 * from the start. Or the format of the frames, from which these places are found.
 */
export type Boundaries = readonly number[] | FormatOptions;

/**
 * Cuts bytes into chunks, each a copy, at places in ascending order. The same place twice, 0 and the end make
 * empty chunks. If there are no bytes, there is one empty chunk for each place.
 */
export function cutAt(bytes: Uint8Array, places: readonly number[]): Buffer[] {
  const ends = bytes.length > 0 ? [...places, bytes.length] : places;
  let start = 0;
  return ends.map((end) => {
    const chunk = Buffer.from(bytes.subarray(start, end));
    start = end;
    return chunk;
  });
}

/** Returns the places at which the chunks were cut: the inverse of `cutAt`. */
export function placesOf(chunks: readonly Uint8Array[]): number[] {
  let end = 0;
  const ends = chunks.map((chunk) => {
    end += chunk.length;
    return end;
  });
  return end > 0 ? ends.slice(0, -1) : ends;
}

/** Returns the places where parts begin and end, including the start and the end of the bytes. */
export function boundariesIn(bytes: Uint8Array, boundaries: Boundaries = []): number[] {
  const found = isList(boundaries) ? boundaries : framesIn(bytes, boundaries);
  return [...new Set([0, ...found, bytes.length])].filter((place) => place >= 0 && place <= bytes.length);
}

// The type of `Array.isArray` does not cover readonly arrays.
function isList(boundaries: Boundaries): boundaries is readonly number[] {
  return Array.isArray(boundaries);
}

/** Returns the places where frames and their payloads begin and end, up to the first invalid frame. */
function framesIn(bytes: Uint8Array, options: FormatOptions): number[] {
  checkKnown(options);
  const format = formatOf(options);
  const places: number[] = [];
  let at = 0;
  try {
    while (at < bytes.length) {
      const head = format.readHead(bytes, at, bytes.length, at);
      if (head === undefined) break;
      const payloadEnd = at + head.length + head.payload;
      places.push(at + head.length, payloadEnd, payloadEnd + format.trailerWidth);
      at = payloadEnd + format.trailerWidth;
    }
  } catch {
    // The bytes may be invalid on purpose.
  }
  return places;
}

/** The number of ways to choose `count` of `n`. */
export function choices(n: number, count: number): number {
  let ways = 1;
  for (let i = 0; i < count; i++) ways = (ways * (n - i)) / (i + 1);
  return Math.round(ways);
}

/** Yields all ways to cut `length` bytes `count` times, the lowest places first. */
export function* cutsOf(length: number, count: number, from = 1): Generator<number[]> {
  if (count === 0) yield [];
  else {
    for (let place = from; place <= length - count; place++) {
      for (const rest of cutsOf(length, count - 1, place + 1)) yield [place, ...rest];
    }
  }
}
