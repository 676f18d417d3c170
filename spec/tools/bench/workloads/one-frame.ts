import { cut } from '../bytes.js';
import { loadContestant, OURS, PEERS } from '../contestants.js';
import { now, Tally } from '../tally.js';
import type { Job, Workload } from '../workload.js';

const LENGTH = 64 * 1024 * 1024;
const ONE_COPY = 'one Buffer.copy';

/** One frame of 64 MiB, in chunks. */
export const oneFrameWorkload: Workload = {
  name: 'one-frame',
  title: 'decode one frame of 64 MiB',
  measures: [{ name: 'time', unit: 'ms' }],
  sizesOf: 'chunk',
  sizes: [65_536, 4096, 64],
  quickSizes: [65_536],
  contestants: [OURS, ...PEERS, ONE_COPY],
  // Those that concatenate on each chunk would take minutes.
  patience: { quick: 1500, full: 10_000 },
  prepare,
};

async function prepare(name: string, size: number): Promise<Job> {
  if (name === ONE_COPY) return oneCopy();
  const contestant = await loadContestant(name);
  const reading = name === 'it-length-prefixed' ? 'for await' : 'data';
  const chunks = frameInChunks(contestant.prefix(LENGTH), size);
  return {
    fixedCount: 1,
    async run() {
      const tally = new Tally(LENGTH);
      const receiver = contestant.receiver(reading, tally.add);
      const start = now();
      await receiver.feed(chunks);
      await tally.complete;
      const ns = now() - start;
      tally.check(1);
      return { ns, values: { time: ns / 1e6 } };
    },
  };
}

/** What no decoder can do without: to put the frame in memory of its own. */
function oneCopy(): Job {
  const frame = Buffer.alloc(LENGTH, 1);
  return {
    fixedCount: 1,
    async run() {
      const start = now();
      const copied = frame.copy(Buffer.allocUnsafeSlow(LENGTH));
      const ns = now() - start;
      if (copied !== LENGTH) throw new Error(`${copied} bytes were copied`);
      return { ns, values: { time: ns / 1e6 } };
    },
  };
}

/** Chunks of less than 4 KiB are the same ones over and over: a million of them would keep the garbage collector busy. */
function frameInChunks(prefix: Uint8Array, chunkLength: number): Buffer[] {
  const first = Buffer.concat([prefix, Buffer.alloc(chunkLength - prefix.length, 1)]);
  const rest = LENGTH - (chunkLength - prefix.length);
  const different = Math.min(Math.floor(rest / chunkLength), 16_384);
  const chunks = cut(Buffer.alloc(different * chunkLength, 1), chunkLength);
  const whole = Array.from({ length: Math.floor(rest / chunkLength) }, (_, i) => chunks[i % different]!);
  return [first, ...whole, Buffer.alloc(rest % chunkLength, 1)];
}
