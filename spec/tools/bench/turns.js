import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { quartiles } from 'vega';

/** Times are in milliseconds. */
export const FULL = {
  round: 300,
  rounds: 11,
  /** All contestants are warm when their last so many rounds are near each other, or when this time is over. */
  steady: 4,
  warmUp: 40_000,
  /** When this is used up, three rounds of each are enough. */
  budget: 60_000,
  /** With one round. */
  patience: 20_000,
};
export const QUICK = { round: 40, rounds: 3, steady: 2, warmUp: 300, budget: 3000, patience: 2000 };
/** With what gets ready. */
const START = 60_000;

/** Half of the distance between the quartiles, as a share of the median: half of the rounds were this near. */
const STABLE = 0.03;

function summaryOf(rounds) {
  const [low, median, high] = quartiles(rounds);
  return { median, low, high, spread: (high - low) / 2 / median };
}

/**
 * Measures these contestants of a workload in one size. Each has a process of its own, so that none runs code that was compiled for
 * another. They take turns, a round each, so that noise hits all of them.
 */
export async function measure({ name, floor }, contestants, size, pace) {
  const runners = contestants.map((contestant) => new Runner(name, contestant, size, pace));
  try {
    await Promise.all(runners.map((runner) => runner.ready));
    let start = performance.now();
    const spent = () => performance.now() - start;
    const isStable = () => runners.every((runner) => runner.spreadOfLast(pace.steady) < STABLE);
    for (let turn = 0; spent() < pace.warmUp && !isStable(); turn++) await takeTurns(runners, turn);
    for (const runner of runners) runner.rounds = [];

    start = performance.now();
    for (let turn = 0; turn < pace.rounds && (turn < 3 || spent() < pace.budget); turn++)
      await takeTurns(runners, turn);
    const reference = runners.find(({ contestant }) => contestant === floor)?.rounds;
    return runners.map((runner) => ({ size, ...runner.result(reference) }));
  } finally {
    for (const runner of runners) runner.stop();
  }
}

async function takeTurns(runners, turn) {
  for (let i = 0; i < runners.length; i++) await runners[(turn + i) % runners.length].round();
}

class Runner {
  /** The values of each round. */
  rounds = [];
  #child;
  #pace;
  #failed;

  constructor(workload, contestant, size, pace) {
    this.contestant = contestant;
    this.#pace = pace;
    const execArgv = ['--expose-gc', ...process.execArgv];
    const file = fileURLToPath(new URL('./runner.js', import.meta.url));
    this.#child = fork(file, [JSON.stringify([workload, contestant, size])], { execArgv });
    this.ready = this.#reply(START);
  }

  async round() {
    if (this.#failed !== undefined) return;
    const reply = this.#reply(this.#pace.patience);
    this.#child.send(this.#pace.round);
    const { values } = await reply;
    if (values !== undefined) this.rounds.push(values);
  }

  /** Waits for a reply, but not for ever. */
  async #reply(patience) {
    const reply = await new Promise((resolve) => {
      const done = (result) => {
        clearTimeout(timer);
        this.#child.off('message', done).off('exit', onExit);
        resolve(result);
      };
      const onExit = (code) => done({ error: `its process ended with ${code}` });
      const timer = setTimeout(() => done({ error: `not done after ${patience / 1000} s` }), patience);
      this.#child.on('message', done).on('exit', onExit);
    });
    this.#failed ??= reply.error;
    if (this.#failed !== undefined) this.stop();
    return reply;
  }

  spreadOfLast(count) {
    if (this.#failed !== undefined) return 0;
    if (this.rounds.length < count) return Infinity;
    const [measure] = Object.keys(this.rounds[0]);
    return summaryOf(this.rounds.slice(-count).map((values) => values[measure])).spread;
  }

  stop() {
    this.#child.kill('SIGKILL');
  }

  /** For each measure a summary of the rounds, and of how they compare with the floor's, round by round. */
  result(reference) {
    const { contestant, rounds } = this;
    if (this.#failed !== undefined) return { contestant, failed: this.#failed };
    const measures = Object.keys(rounds[0]).map((name) => {
      const ratios = reference?.map((values, i) => rounds[i][name] / values[name]);
      const summary = { ...summaryOf(rounds.map((values) => values[name])), ratio: quartiles(ratios ?? [])[1] };
      // Undefined is the ratio to a floor that failed.
      const short = Object.entries(summary).map(([key, value]) => [key, value && Number(value.toPrecision(4))]);
      return [name, Object.fromEntries(short)];
    });
    return { contestant, measures: Object.fromEntries(measures) };
  }
}
