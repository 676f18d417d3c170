import { type ByteChunk, chunkBytes } from '../wire/chunk.js';
import type { Format } from '../wire/format.js';
import { isBytes } from '../wire/memory.js';
import { isSource } from '../wire/message.js';
import { messageOf } from '../wire/with-format.js';

/** The least that a chunk counts: its view, its place in the queue and its promises take memory, too. */
const LEAST = 64;
/** The most that a chunk counts beyond its own bytes: as much as fills a queue. */
const MOST = 65_536;
/** The part of the memory behind a view that it counts: others may be views of the rest. */
const SHARE = 1 / 16;
/** A value of unknown size: 16 of them fill a queue, as they do in streams of objects. */
const UNKNOWN = MOST / 16;

/** The `size` of a strategy. A chunk for which `cost` throws counts as the least: its own write will fail. */
export function sizeBy<T>(cost: (chunk: T) => number): (chunk: T) => number {
  return (chunk) => {
    try {
      return cost(chunk);
    } catch {
      return LEAST;
    }
  };
}

/** The cost of a chunk of bytes that waits. With it, a queue keeps alive at most sixteen times its high-water mark. */
export function chunkCost(chunk: ByteChunk): number {
  const { length, buffer } = chunkBytes(chunk);
  return Math.max(LEAST, length, Math.min(buffer.byteLength * SHARE, MOST));
}

/** The cost of a message that waits. */
export function messageCost({ maxHeadLength, trailerWidth }: Format): (message: any) => number {
  const own = maxHeadLength + trailerWidth;
  return (given) => {
    const message = messageOf(given);
    if (Array.isArray(message)) return message.reduce((sum, part) => sum + partCost(part), own);
    return isSource(message) ? bodyCost(message.length) : own + partCost(message);
  };
}

function partCost(part: unknown): number {
  if (typeof part === 'string') return Math.max(LEAST, part.length);
  return isBytes(part) ? chunkCost(part) : LEAST;
}

function bodyCost(length: unknown): number {
  return typeof length === 'number' && length > UNKNOWN ? Math.min(length, MOST) : UNKNOWN;
}

/** The cost of a value that waits to be encoded. */
export function valueCost(given: unknown): number {
  const value = messageOf(given);
  return typeof value === 'string' || isBytes(value) ? partCost(value) : UNKNOWN;
}
