/**
 * `npm run fuzz -- --minutes 20`: the properties of the tests again and again, each time from another seed and with ten
 * times as many runs, until the time is up or one fails. Prints what was tried, and the seed of a failure.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '1' }, scale: { type: 'string', default: '10' } },
});
const root = fileURLToPath(new URL('../../../', import.meta.url));
const specs = [
  'dist/spec/properties/*.spec.js',
  'dist/spec/fuzz/*.spec.js',
  'dist/spec/web/model.spec.js',
  'dist/spec/web/pipes.spec.js',
  'dist/spec/torture/model.spec.js',
  'dist/spec/torture/backpressure.spec.js',
  'dist/spec/torture/framed.spec.js',
];
const end = Date.now() + Number(values.minutes) * 60_000;

let [rounds, properties] = [0, 0];
while (rounds === 0 || Date.now() < end) {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const env = { ...process.env, FC_SEED: String(seed), FC_SCALE: values.scale };
  const args = [
    'node_modules/mocha/bin/mocha.js',
    '--no-config',
    '--require',
    './dist/spec/setup.js',
    '--timeout',
    '0',
    ...specs,
  ];
  const { status, stdout } = spawnSync(process.execPath, args, {
    cwd: root,
    env,
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  if (status !== 0) {
    console.log(stdout);
    console.log(`failed in round ${rounds + 1}; again with: FC_SEED=${seed} FC_SCALE=${values.scale} npm test`);
    process.exit(1);
  }
  rounds++;
  properties += Number(stdout.match(/(\d+) passing/)?.[1] ?? 0);
  console.log(`round ${rounds}: seed ${seed}, ${properties} tests passed in all`);
}
console.log(`${rounds} rounds, each of ${values.scale} times the usual runs: nothing found`);
