import { Buffer } from 'node:buffer';
import type { FormatOptions } from '../index.js';
import { formatOf } from '../wire/format.js';

/**
 * Where the bugs are most likely: the places, in bytes from the start, where frames or other parts of the bytes begin and
 * end. Or the format of the frames, from which these places are found.
 */
export type Boundaries = readonly number[] | FormatOptions;

/**
 * `bytes` in chunks, each a copy. `places` are in ascending order; two of the same, 0 and the end make
 * empty chunks. No bytes are no chunks, and then as many empty ones as there are places.
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

/** The places at which these chunks were cut: `cutAt` the other way round. */
export function placesOf(chunks: readonly Uint8Array[]): number[] {
  let end = 0;
  const ends = chunks.map((chunk) => {
    end += chunk.length;
    return end;
  });
  return end > 0 ? ends.slice(0, -1) : ends;
}

/** The places where parts begin and end, the outermost included. */
export function boundariesIn(bytes: Uint8Array, boundaries: Boundaries = []): number[] {
  const found = isList(boundaries) ? boundaries : framesIn(bytes, boundaries);
  return [...new Set([0, ...found, bytes.length])].filter((place) => place >= 0 && place <= bytes.length);
}

// `Array.isArray` does not know of arrays that are readonly.
function isList(boundaries: Boundaries): boundaries is readonly number[] {
  return Array.isArray(boundaries);
}

/** Where frames and their payloads begin and end, as far as the bytes are frames. */
function framesIn(bytes: Uint8Array, options: FormatOptions): number[] {
  const format = formatOf(options);
  const places: number[] = [];
  let at = 0;
  try {
    while (at < bytes.length) {
      const head = format.readHead(bytes, at, bytes.length, at);
      if (head === undefined) break;
      places.push(at + head.length, at + head.length + head.payload);
      at += head.length + head.payload;
    }
  } catch {
    // No frame: what is to be decoded may be wrong on purpose.
  }
  return places;
}

/** How many ways there are to choose `count` of `n`. */
export function choices(n: number, count: number): number {
  let ways = 1;
  for (let i = 0; i < count; i++) ways = (ways * (n - i)) / (i + 1);
  return Math.round(ways);
}

/** All ways to cut `length` bytes `count` times, the lowest places first. */
export function* cutsOf(length: number, count: number, from = 1): Generator<number[]> {
  if (count === 0) yield [];
  else {
    for (let place = from; place <= length - count; place++) {
      for (const rest of cutsOf(length, count - 1, place + 1)) yield [place, ...rest];
    }
  }
}
