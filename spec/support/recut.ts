import { Duplex, pipeline } from 'node:stream';
import { Recut, type RecutOptions } from '../../lib/fuzz/index.js';

/** Single bytes, lengths that fit nothing, and what comes as it comes. */
const sizes = [1, 2, 3, 1, 5, 1, 1000, 4, 16_381, 1, 70_000];

/** A stream of bytes whose chunks are cut anew, in both directions. */
export function recut(stream: Duplex, options: RecutOptions = { sizes }): Duplex {
  const [readable, writable] = [new Recut(options), new Recut(options)];
  const pass = () => {
    for (let chunk = readable.read(); chunk !== null; chunk = readable.read()) if (!both.push(chunk)) return;
  };
  // Not `Duplex.from`: it would be in object mode, as a Recut is, and TLS takes no such stream.
  const both = new Duplex({
    // It is the new one that ends, or not, when its input has.
    allowHalfOpen: stream.allowHalfOpen,
    read: pass,
    write: (chunk, _encoding, callback) => void writable.write(chunk, callback),
    final: (callback) => void writable.end(callback),
    destroy(error, callback) {
      for (const half of [readable, writable]) half.destroy(error ?? undefined);
      callback(error);
    },
  });
  readable.on('readable', pass).on('end', () => both.push(null));
  stream.allowHalfOpen = true;
  const fail = (error?: Error | null) => error && both.destroy(error);
  pipeline(stream, readable as unknown as Duplex, fail);
  pipeline(writable as unknown as Duplex, stream, fail);
  return both;
}

/** What each conversation is held over. */
export const ways: readonly (readonly [string, (stream: Duplex) => Duplex])[] = [
  ['', (stream) => stream],
  [', the bytes cut anew', (stream) => recut(stream)],
];
