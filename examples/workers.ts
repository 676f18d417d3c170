/**
 * Shares out work among child processes, which take jobs and give results as messages over their standard streams.
 *
 *     npm run workers -- 1000000 2000000 3000000     counts the primes below each
 */
import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { type Codec, framed, json } from 'length-prefix';

type Job = { below: number };
type Result = { below: number; primes: number };

async function* work(jobs: AsyncIterable<Job>): AsyncGenerator<Result> {
  for await (const { below } of jobs) {
    let primes = 0;
    for (let n = 2, factor = 2; n < below; n++, factor = 2) {
      while (factor * factor <= n && n % factor !== 0) factor++;
      if (factor * factor > n) primes++;
    }
    yield { below, primes };
  }
}

/** Gives one worker one job after the other, until there are none left. */
async function employ(jobs: Iterable<Job>): Promise<void> {
  const args = [fileURLToPath(import.meta.url), 'work'];
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const codec: Codec<Result, Job> = json;
  const worker = framed({ readable: child.stdout, writable: child.stdin }, codec);
  try {
    const results = worker[Symbol.asyncIterator]();
    for (const job of jobs) {
      worker.write(job);
      const { done, value } = await results.next();
      if (done) throw new Error(`A worker ended at ${JSON.stringify(job)}`);
      console.log(`${value.primes} primes below ${value.below}`);
    }
  } finally {
    worker.destroy(); // The end of its input ends the worker.
  }
}

const [first, ...rest] = process.argv.slice(2);
if (first === 'work') {
  // Standard output has messages, and nothing else: print to standard error here.
  const parent = framed({ readable: process.stdin, writable: process.stdout }, json);
  await pipeline(parent, work, parent);
} else {
  const jobs = [first, ...rest].map((below) => ({ below: Number(below) })).values();
  const count = Math.min(availableParallelism(), 1 + rest.length);
  for (let i = 0; i < count; i++) {
    // The others go on with the jobs that are left.
    employ(jobs).catch((error) => {
      console.error(error.message);
      process.exitCode = 1;
    });
  }
}
