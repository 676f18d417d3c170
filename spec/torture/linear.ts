/**
 * Whether time is linear in the bytes, by the processor's clock: `node dist/spec/torture/linear.js` prints the medians of rounds that
 * take turns. What linear.spec.ts counts does not depend on the machine; this is what it comes to on one.
 */
import { Buffer } from 'node:buffer';
import process from 'node:process';
import { LengthPrefixDecoder } from '../../lib/index.js';
import { frame, turns } from '../support/frames.js';

const MIB = 1024 * 1024;

/** The same number of bytes, in frames of `size`, in chunks of `chunk`. */
function input(total: number, size: number, chunk: number): Buffer[] {
  const one = frame(Buffer.alloc(size, 7));
  const bytes = Buffer.concat(new Array(total / size).fill(one));
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += chunk) {
    const view = bytes.subarray(at, at + chunk);
    // Memory of its own for each, as a chunk of a socket has; but for tiny ones, of which there are too many.
    chunks.push(chunk < 4096 ? view : Buffer.alloc(view.length, view));
  }
  return chunks;
}

/**
 * Nanoseconds of processor time, so that other programs are not in it. What the kernel takes to find memory counts apart:
 * whether malloc gives large memory back to it differs from process to process, whatever is done with it.
 */
interface Cost {
  readonly user: number;
  readonly all: number;
}

function costSince(start: NodeJS.CpuUsage): Cost {
  const { user, system } = process.cpuUsage(start);
  return { user: 1000 * user, all: 1000 * (user + system) };
}

/** What it takes to decode these. */
async function time(chunks: Buffer[], messages: number): Promise<Cost> {
  const decoder = new LengthPrefixDecoder();
  let got = 0;
  decoder.on('data', () => got++);
  await turns(1);
  globalThis.gc?.();
  const start = process.cpuUsage();
  for (let i = 0; i < chunks.length; i++) {
    decoder.write(chunks[i]!);
    if (i % 4096 === 4095) await turns(1);
  }
  const cost = costSince(start);
  await turns(1);
  if (got !== messages) throw new Error(`${got} messages`);
  return cost;
}

/** The same bytes copied into new memory and nothing else: what the machine itself makes of the two sizes. */
function timeCopy(chunks: Buffer[], size: number): Cost {
  globalThis.gc?.();
  const start = process.cpuUsage();
  let message = Buffer.alloc(0);
  let at = size;
  for (const chunk of chunks) {
    if (at >= size) {
      message = Buffer.allocUnsafeSlow(size + chunk.length);
      at = 0;
    }
    message.set(chunk, at);
    at += chunk.length;
  }
  return costSince(start);
}

function median(figures: number[]): number {
  return figures.toSorted((a, b) => a - b)[figures.length >> 1]!;
}

console.log('chunks of | one 16 MiB frame | sixteen of 1 MiB | ratio | allowed | with the kernel | and of a bare copy');
for (const chunk of [65_536, 4096, 64]) {
  const one = input(16 * MIB, 16 * MIB, chunk);
  const sixteen = input(16 * MIB, MIB, chunk);
  const costs: Cost[][] = [[], [], [], []];
  for (let round = 0; round < (chunk < 4096 ? 9 : 61); round++) {
    costs[0]!.push(await time(one, 1));
    costs[1]!.push(await time(sixteen, 16));
    costs[2]!.push(timeCopy(one, 16 * MIB));
    costs[3]!.push(timeCopy(sixteen, MIB));
  }
  const of = (i: number, kind: keyof Cost): number => median(costs[i]!.map((cost) => cost[kind])) / (16 * MIB);
  const cells = [
    String(chunk).padStart(9),
    `${of(0, 'user').toFixed(3)} ns/byte`.padStart(16),
    `${of(1, 'user').toFixed(3)} ns/byte`.padStart(16),
    (of(0, 'user') / of(1, 'user')).toFixed(2).padStart(5),
    '   1.30',
    (of(0, 'all') / of(1, 'all')).toFixed(2).padStart(15),
    (of(2, 'all') / of(3, 'all')).toFixed(2).padStart(18),
  ];
  console.log(cells.join(' | '));
}

console.log('\nframes of | chunks of 1 byte | to frames of 16 KiB');
const total = MIB;
const sizes = [16_384, 65_536, 262_144, total];
const inputs = sizes.map((size) => input(total, size, 1));
const times: number[][] = sizes.map(() => []);
for (let round = 0; round < 5; round++) {
  for (const [i, size] of sizes.entries()) times[i]!.push((await time(inputs[i]!, total / size)).user);
}
const medians = times.map((each, i) => median(each) / inputs[i]!.length);
for (const [i, size] of sizes.entries()) {
  const ratio = (medians[i]! / medians[0]!).toFixed(2);
  console.log(
    `${String(size).padStart(9)} | ${`${medians[i]!.toFixed(0)} ns/chunk`.padStart(16)} | ${ratio.padStart(19)}`,
  );
}
