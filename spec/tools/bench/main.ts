/** `npm run bench -- [--quick] [--only NAME] [--out DIR]` */
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { chartOf } from './chart.js';
import { FULL, measure, QUICK, type Result } from './measure.js';
import { type Findings, tableOf, targetTable } from './report.js';
import { targetsReached } from './targets.js';
import { workloads } from './workloads/index.js';

const { values: options } = parseArgs({
  options: {
    /** Fewer sizes and rounds: under a minute in all. */
    quick: { type: 'boolean', default: false },
    /** Only the workloads whose name contains this. */
    only: { type: 'string', default: '' },
    /** Where the JSON file and the charts go. */
    out: { type: 'string', default: 'spec/tools/bench/results' },
  },
});

const pace = options.quick ? QUICK : FULL;
const chosen = workloads.filter(({ name }) => name.includes(options.only));
if (chosen.length === 0) throw new Error(`--only: no such workload, there are ${workloads.map(({ name }) => name)}`);

const machine = `${availableParallelism()} x ${cpus()[0]?.model.trim()}, Node ${process.version}`;
console.log(`${machine}\n`);
const start = performance.now();

const findings: Findings[] = [];
for (const workload of chosen) {
  const results: Result[] = [];
  for (const size of pace.quick ? workload.quickSizes : workload.sizes) {
    results.push(...(await measure(workload, size, pace)));
  }
  const found = { workload, results };
  findings.push(found);
  console.log(tableOf(found));
}

const targets = targetsReached(findings);
if (targets.length > 0) console.log(targetTable(targets));

mkdirSync(options.out, { recursive: true });
for (const found of findings) writeFileSync(join(options.out, `${found.workload.name}.svg`), chartOf(found));
const seconds = Math.round((performance.now() - start) / 1000);
const report = {
  machine,
  date: new Date().toISOString(),
  quick: pace.quick,
  seconds,
  targets,
  workloads: findings.map(({ workload: { name, title, measures, sizesOf }, results }) => {
    return { name, title, measures, sizesOf, results };
  }),
};
writeFileSync(join(options.out, 'results.json'), `${JSON.stringify(report, null, 2)}\n`);
console.log(`${seconds} s; results.json and charts are in ${options.out}`);
