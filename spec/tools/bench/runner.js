/** Runs the job of one contestant in a process of its own, a round whenever it is asked to. */
import { workloads } from './workloads.js';

const [name, contestant, size] = JSON.parse(process.argv[2]);
const { contestants, native } = workloads.find((workload) => workload.name === name);

async function answer(work) {
  try {
    process.send({ values: await work() });
  } catch (error) {
    process.send({ error: String(error) });
  }
}

let job;
process.on('message', (time) => answer(() => job(time, gc())));
process.on('disconnect', () => process.exit());
await answer(async () => {
  job = await { ...contestants, ...native }[contestant](size);
});
