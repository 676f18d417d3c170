import { PassThrough } from 'readable-stream';
import { loadContestant, OURS, PEERS } from '../contestants.js';
import { now } from '../tally.js';
import type { Job, Workload } from '../workload.js';

const PASS_THROUGH = 'bare PassThrough';

/** Decoders that wait for their first byte. */
export const idleDecodersWorkload: Workload = {
  name: 'idle-decoders',
  title: '10,000 idle decoders',
  measures: [{ name: 'memory', unit: 'bytes each' }],
  sizesOf: 'decoders',
  sizes: [10_000],
  quickSizes: [10_000],
  contestants: [OURS, ...PEERS, PASS_THROUGH],
  prepare,
};

async function prepare(name: string, count: number): Promise<Job> {
  const contestant = name === PASS_THROUGH ? undefined : await loadContestant(name);
  const make = () => contestant?.idle() ?? new PassThrough();
  return {
    fixedCount: count,
    async run() {
      const start = now();
      const before = memoryInUse();
      const decoders = Array.from({ length: count }, make);
      await new Promise(setImmediate);
      const bytes = memoryInUse() - before;
      if (decoders.length !== count) throw new Error('they are gone'); // Keeps them alive until here.
      return { ns: now() - start, values: { memory: bytes / count } };
    },
  };
}

function memoryInUse(): number {
  gc!();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
