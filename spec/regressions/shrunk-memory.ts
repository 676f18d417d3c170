import { parentPort } from 'node:worker_threads';
import { encode } from '../../lib/index.js';
import { FrameParser } from '../../lib/wire/index.js';

/** A thread that tells what a parser makes of a chunk whose memory shrinks, with a second message still to be read. */
const buffer = new (ArrayBuffer as any)(18, { maxByteLength: 18 });
const chunk = new Uint8Array(buffer);
chunk.set(encode('first'));
chunk.set(encode('other'), 9);
const parser = new FrameParser();
parser.push(chunk);
const seen = [Buffer.from(parser.next()!).toString()];
for (const length of [12, 9]) {
  buffer.resize(length);
  try {
    parser.next();
    seen.push('nothing');
  } catch (error) {
    seen.push((error as NodeJS.ErrnoException).code!);
  }
}
parentPort!.postMessage(seen);
