import { Duplex, finished } from 'node:stream';

const SIZES = [1, 2, 3, 1, 5, 1, 1000, 4, 16_381, 1, 70_000];

/** Cuts chunk after chunk anew: single bytes, lengths that fit nothing, and what comes as it comes. */
function cutter(): (chunk: Buffer) => Buffer[] {
  let turn = 0;
  return (chunk) => {
    const pieces: Buffer[] = [];
    for (let at = 0; at < chunk.length; turn++) {
      const size = SIZES[turn % SIZES.length]!;
      pieces.push(chunk.subarray(at, at + size));
      at += size;
    }
    return pieces;
  };
}

/** A stream of bytes whose chunks are cut anew, in both directions. */
export function recut(stream: Duplex): Duplex {
  const [inward, outward] = [cutter(), cutter()];
  const { allowHalfOpen } = stream;
  // It is the new one that ends, or not, when its input has.
  stream.allowHalfOpen = true;
  const recut = new Duplex({
    allowHalfOpen,
    read() {
      stream.resume();
    },
    write(chunk: Buffer, _encoding, callback) {
      const pieces = outward(chunk);
      const last = pieces.pop() ?? chunk;
      for (const piece of pieces) stream.write(piece);
      stream.write(last, callback);
    },
    final(callback) {
      stream.end(callback);
    },
    destroy(error, callback) {
      stream.destroy();
      callback(error);
    },
  });
  stream.on('data', (chunk) => {
    for (const piece of inward(chunk)) if (!recut.push(piece)) stream.pause();
  });
  finished(stream, { writable: false }, (error) => {
    if (error) recut.destroy(error);
    else recut.push(null);
  });
  return recut;
}

/** What each conversation is held over. */
export const ways: readonly (readonly [string, (stream: Duplex) => Duplex])[] = [
  ['', (stream) => stream],
  [', the bytes cut anew', recut],
];
