import { messageSource, PAYLOADS } from '../bytes.js';
import { loadContestant, OURS, PEERS } from '../contestants.js';
import { now, Tally } from '../tally.js';
import { type Job, PER_MESSAGE, perMessage, type Workload } from '../workload.js';

/** Messages, written to an encoder whose bytes are counted. */
export const encodeWorkload: Workload = {
  name: 'encode',
  title: 'encode',
  measures: [PER_MESSAGE],
  sizesOf: 'payload',
  sizes: PAYLOADS,
  quickSizes: [16],
  contestants: [OURS, ...PEERS],
  prepare,
};

async function prepare(name: string, size: number): Promise<Job> {
  const contestant = await loadContestant(name);
  const messageList = messageSource(size);
  const frameLength = contestant.prefix(size).length + size;
  return {
    async run(count) {
      const messages = messageList(count);
      const tally = new Tally(count * frameLength);
      const start = now();
      await contestant.encode(messages, tally.add);
      await tally.complete;
      const ns = now() - start;
      tally.check();
      return perMessage(ns, count);
    },
  };
}
