import { CHUNK, PAYLOADS, wireSource } from '../bytes.js';
import { loadContestant, OURS, OURS_BATCH, PEERS, type Reading, STREAM_PEERS } from '../contestants.js';
import { now, Tally } from '../tally.js';
import { type Job, PER_MESSAGE, perMessage, type Workload } from '../workload.js';

/** Chunks of 64 KiB, written to a decoder whose messages are counted. */
function decode(name: string, title: string, reading: Reading, contestants: readonly string[]): Workload {
  return {
    name,
    title,
    measures: [PER_MESSAGE],
    sizesOf: 'payload',
    sizes: PAYLOADS,
    quickSizes: [16],
    contestants,
    prepare: (contestant, size) => prepare(contestant, size, reading),
  };
}

async function prepare(name: string, size: number, reading: Reading): Promise<Job> {
  const contestant = await loadContestant(name);
  const wire = wireSource(size, contestant.prefix.bind(contestant), CHUNK);
  return {
    async run(count) {
      const { chunks, messages } = wire(count);
      const tally = new Tally(messages * size);
      const receiver = contestant.receiver(reading, tally.add);
      const start = now();
      await receiver.feed(chunks);
      await tally.complete;
      const ns = now() - start;
      tally.check(messages);
      return perMessage(ns, messages);
    },
  };
}

export const decodeWorkloads: readonly Workload[] = [
  decode('decode-data', "decode, 'data' listener", 'data', [OURS, OURS_BATCH, ...STREAM_PEERS]),
  decode('decode-writable', 'decode, piped to an object-mode Writable', 'writable', [OURS, ...STREAM_PEERS]),
  decode('decode-for-await', 'decode, for await', 'for await', [OURS, OURS_BATCH, ...PEERS]),
];
