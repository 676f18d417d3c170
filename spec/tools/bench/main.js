/** `npm run bench -- [--quick] [--only NAME] [--native] [--force]`: see README.md. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { fill, root } from '../../../dist/spec/tools/pages.js';
import { chartOf } from './chart.js';
import { most } from './connections.js';
import { build } from './native.js';
import { isOurs, pageOf, speedOf, tablesOf, wildRowsOf } from './page.js';
import { FULL, measure, QUICK } from './turns.js';
import { workloads } from './workloads.js';

const { values: options } = parseArgs({
  options: {
    /** Few sizes and short rounds. Writes nothing. */
    quick: { type: 'boolean', default: false },
    /** Only the workloads whose name contains this. The results of the others are kept. */
    only: { type: 'string', default: '' },
    /** With decoders of other languages. */
    native: { type: 'boolean', default: false },
    /** Writes the results, however wild, and those of a quick look. */
    force: { type: 'boolean', default: false },
  },
});

const directory = `${root}spec/tools/bench/`;
const chosen = workloads.filter(({ name }) => name.includes(options.only));
if (chosen.length === 0) throw new Error(`--only: no such workload, there are ${workloads.map(({ name }) => name)}`);

const pace = options.quick ? QUICK : FULL;
const machine = `${availableParallelism()} x ${cpus()[0]?.model.trim()}, Node ${process.version}`;
console.log(`${machine}\n`);
if (most < 10_000)
  console.log(`"ulimit -n" allows for ${most} connections: there are no more, in the place of 10,000\n`);
const built = options.native && chosen.some(({ native }) => native) ? await build() : [];

const wild = [];
let ourFailures = 0;
for (const workload of chosen) {
  const { contestants, native = {}, sizes, quick, name, title, measures, sizesOf, floor } = workload;
  const names = Object.keys({ ...contestants, ...native }).filter(
    (one) => !Object.hasOwn(native, one) || built.includes(one),
  );
  const results = [];
  for (const size of options.quick ? quick : sizes) results.push(...(await measure(workload, names, size, pace)));
  const date = new Date().toISOString().slice(0, 10);
  const found = { title, measures, sizesOf, floor, machine, date, quick: options.quick, results };
  console.log(`${name}: ${title}\n\n${tablesOf(found)}\n`);

  ourFailures += results.filter(({ contestant, failed }) => isOurs(contestant) && failed).length;
  const rows = wildRowsOf(found);
  wild.push(...rows.map((row) => [name, ...row]));
  if (options.force || (rows.length === 0 && !options.quick)) await write(name, found);
}

for (const row of wild) console.log(`The rounds are too far apart: ${row.join(', ')}`);
if (options.quick && !options.force) console.log('A quick look: nothing is written.');
else if (wild.length > 0 && !options.force)
  console.log('Their workloads are not written. Run them again on a quiet machine.');
if (ourFailures > 0 || (wild.length > 0 && !options.quick && !options.force)) process.exitCode = 1;

/** Puts a workload's results in the place of its earlier ones, and in all that is made of them. */
async function write(name, found) {
  const folder = `${directory}results/`;
  const file = `${folder}results.json`;
  mkdirSync(folder, { recursive: true });
  const before = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
  const all = workloads.flatMap((one) =>
    one.name === name ? [[name, found]] : Object.entries(before).filter(([key]) => key === one.name),
  );
  const entries = all.map(([key, { results, ...rest }]) => {
    const lines = results.map((result) => JSON.stringify(result)).join(',\n');
    return `${JSON.stringify(key)}:${JSON.stringify(rest).slice(0, -1)},"results":[\n${lines}\n]}`;
  });
  writeFileSync(file, `{${entries.join(',\n')}}\n`);
  writeFileSync(`${folder}${name}.svg`, await chartOf(found));
  const written = Object.fromEntries(all);
  fill('spec/tools/bench/README.md', 'results', pageOf(written));
  fill('README.md', 'speed', speedOf(written));
}
