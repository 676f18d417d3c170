/** Runs one contestant's job in a process of its own, a round whenever it is asked to. */
import type { Values } from './workload.js';
import { workloads } from './workloads/index.js';

/** What a runner is to do: its argument, as JSON. */
export interface Assignment {
  readonly workload: string;
  readonly contestant: string;
  readonly size: number;
  /** Milliseconds. */
  readonly warmUp: number;
  readonly round: number;
}

/** What a runner can be asked. */
export type Request = 'warm up' | 'round';

/** What a runner sends: first that it is there, then an answer to each request. */
export interface Reply {
  readonly values?: Values;
  readonly error?: string;
}

const MOST_MESSAGES = 1_000_000;
const MOST_BYTES = 512 * 1024 * 1024;

const assignment = JSON.parse(process.argv[2]!) as Assignment;
const { size } = assignment;
const workload = workloads.find(({ name }) => name === assignment.workload)!;
const job = await workload.prepare(assignment.contestant, size);
const limit = Math.ceil(Math.min(MOST_MESSAGES, MOST_BYTES / size));

/** Runs until warm. @returns a count that takes about as long as a round should. */
async function warmUp(): Promise<number> {
  let count = job.fixedCount ?? Math.min(limit, size <= 65_536 ? 200 : 8);
  for (let spent = 0; ; ) {
    const { ns } = await job.run(count);
    spent += ns / 1e6;
    const fits = job.fixedCount ?? Math.max(1, Math.min(limit, Math.round((count * assignment.round) / (ns / 1e6))));
    if (spent >= assignment.warmUp) return fits;
    count = Math.min(fits, 4 * count);
  }
}

async function answer(work: () => Promise<Reply>): Promise<void> {
  let reply: Reply;
  try {
    reply = await work();
  } catch (error) {
    reply = { error: String(error) };
  }
  process.send!(reply);
}

let count = 0;
process.on('disconnect', () => process.exit());
process.on('message', (request: Request) =>
  answer(async () => {
    if (request === 'warm up') count = await warmUp();
    return request === 'round' ? { values: (await job.run(count)).values } : {};
  }),
);
await answer(async () => ({}));
