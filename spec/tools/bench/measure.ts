import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Assignment, Reply, Request } from './runner.js';
import { median } from './statistics.js';
import type { Values, Workload } from './workload.js';

export interface Pace {
  readonly quick: boolean;
  readonly rounds: number;
  /** Milliseconds. */
  readonly warmUp: number;
  readonly round: number;
  /** For one round, or for the warm-up. */
  readonly patience: number;
  /** For all rounds of one size: when it is used up, three rounds are enough. */
  readonly budget: number;
}

export const FULL: Pace = { quick: false, rounds: 15, warmUp: 600, round: 40, patience: 20_000, budget: 30_000 };
export const QUICK: Pace = { quick: true, rounds: 5, warmUp: 150, round: 10, patience: 5000, budget: 2000 };

/** What one contestant did in one size. */
export interface Result {
  readonly contestant: string;
  readonly size: number;
  /** By measure. */
  readonly measures: Record<string, Series>;
  /** Why there is nothing to see. */
  readonly failed?: string;
}

export interface Series {
  readonly best: number;
  readonly median: number;
  readonly rounds: readonly number[];
}

/** Patience with a process that starts, and prepares its bytes. */
const START = 20_000;
const RUNNER = fileURLToPath(new URL('./runner.js', import.meta.url));

/**
 * Measures all contestants in one size. Each has a process of its own, so that none runs code that was compiled for
 * another; they take turns, a round each, so that what slows the machine down slows all of them.
 */
export async function measure(workload: Workload, size: number, pace: Pace): Promise<Result[]> {
  const runners = workload.contestants.map((contestant) => new Runner(workload, contestant, size, pace));
  try {
    await Promise.all(runners.map((runner) => runner.ready()));
    for (const runner of runners) await runner.warmUp();
    const start = performance.now();
    for (let round = 0; round < pace.rounds; round++) {
      if (round >= 3 && performance.now() - start > pace.budget) break;
      for (let turn = 0; turn < runners.length; turn++) await runners[(round + turn) % runners.length]!.round();
    }
    return runners.map((runner) => runner.result());
  } finally {
    for (const runner of runners) runner.stop();
  }
}

class Runner {
  readonly #contestant: string;
  readonly #size: number;
  readonly #patience: number;
  readonly #child: ChildProcess;
  readonly #rounds: Values[] = [];
  #failed: string | undefined;

  constructor(workload: Workload, contestant: string, size: number, { quick, warmUp, round, patience }: Pace) {
    this.#contestant = contestant;
    this.#size = size;
    this.#patience = workload.patience?.[quick ? 'quick' : 'full'] ?? patience;
    const assignment: Assignment = { workload: workload.name, contestant, size, warmUp, round };
    this.#child = fork(RUNNER, [JSON.stringify(assignment)], { execArgv: ['--expose-gc', ...process.execArgv] });
  }

  async ready(): Promise<void> {
    await this.#reply(START);
  }

  async warmUp(): Promise<void> {
    await this.#ask('warm up');
  }

  async round(): Promise<void> {
    const values = (await this.#ask('round'))?.values;
    if (values !== undefined) this.#rounds.push(values);
  }

  async #ask(request: Request): Promise<Reply | undefined> {
    if (this.#failed !== undefined) return undefined;
    const reply = this.#reply(this.#patience);
    this.#child.send(request);
    return await reply;
  }

  /** Waits for a reply, but not for ever. */
  #reply(patience: number): Promise<Reply | undefined> {
    return new Promise((resolve) => {
      const done = (reply: Reply | undefined, failed: string | undefined) => {
        clearTimeout(timer);
        this.#child.off('message', onMessage).off('exit', onExit);
        if (failed !== undefined) {
          this.#failed = failed;
          this.stop();
        }
        resolve(reply);
      };
      const onMessage = (reply: Reply) => done(reply, reply.error);
      const onExit = (code: number | null) => done(undefined, `its process ended with ${code}`);
      const onTimeout = () => done(undefined, `not done after ${patience / 1000} s`);
      const timer = setTimeout(onTimeout, patience);
      this.#child.on('message', onMessage).on('exit', onExit);
    });
  }

  stop(): void {
    this.#child.kill('SIGKILL');
  }

  result(): Result {
    const base = { contestant: this.#contestant, size: this.#size };
    if (this.#failed !== undefined) return { ...base, measures: {}, failed: this.#failed };
    const names = Object.keys(this.#rounds[0] ?? {});
    const measures = names.map((name) => {
      const rounds = this.#rounds.map((values) => values[name]!);
      return [name, { best: Math.min(...rounds), median: median(rounds), rounds }] as const;
    });
    return { ...base, measures: Object.fromEntries(measures) };
  }
}
