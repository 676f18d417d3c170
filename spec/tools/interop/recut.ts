import { Duplex, pipeline } from 'node:stream';
import { Recut } from '../../../lib/fuzz/index.js';

/** Single bytes, lengths that fit nothing, and what comes as it comes. */
const sizes = [1, 2, 3, 1, 5, 1, 1000, 4, 16_381, 1, 70_000];

/** A stream of bytes whose chunks are cut anew, in both directions. */
export function recut(stream: Duplex): Duplex {
  const [readable, writable] = [new Recut({ sizes }), new Recut({ sizes })];
  // @types/node has no pair of Node's streams.
  const both = Duplex.from({ readable, writable } as never);
  // It is the new one that ends, or not, when its input has.
  both.allowHalfOpen = stream.allowHalfOpen;
  stream.allowHalfOpen = true;
  const fail = (error?: Error | null) => error && both.destroy(error);
  pipeline(stream, readable as unknown as Duplex, fail);
  pipeline(writable as unknown as Duplex, stream, fail);
  return both;
}

/** What each conversation is held over. */
export const ways: readonly (readonly [string, (stream: Duplex) => Duplex])[] = [
  ['', (stream) => stream],
  [', the bytes cut anew', recut],
];
