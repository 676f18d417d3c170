/** A job does its work for a round of so many milliseconds, and returns a value for each of its workload's measures. */
import { Bench } from 'tinybench';

export const TIME = { name: 'time', unit: 'ns per message' };
export const TRIP = [
  { name: 'p50', unit: 'µs there and back' },
  { name: 'p99', unit: 'µs there and back', isTail: true },
];

async function latencyOf(run, time) {
  const bench = new Bench({ time, iterations: 1, warmup: false, throws: true, timestampProvider: 'hrtimeNow' });
  // Awaited whether it needs to be or not: all are treated alike.
  await bench.add('run', run, { async: true }).run();
  return bench.tasks[0].result.latency;
}

/** `run` carries so many messages. The mean includes the work of the garbage collector; a median would leave it out. */
export function perMessage(messages, run) {
  return async (time) => ({ time: ((await latencyOf(run, time)).mean * 1e6) / messages });
}

/** `run` is one way there and back. */
export function perTrip(run) {
  return async (time) => {
    const { p50, p99 } = await latencyOf(run, time);
    return { p50: p50 * 1000, p99: p99 * 1000 };
  };
}

/** How often work is repeated in a run, so that its beginning and its end do not count: doubled until it takes this long. */
export async function repeatsOf(run, leastTime = 50) {
  for (let repeats = 1; ; repeats *= 2) {
    const start = performance.now();
    await run(repeats);
    if (performance.now() - start >= leastTime) return repeats;
  }
}

/** A contestant by each of these names. */
export function allOf(names, job) {
  return Object.fromEntries(names.map((name) => [name, job(name)]));
}
