/**
 * `npm run test:runtimes`: installs other runtimes by npm into a temporary directory, runs all tests on each of them, and
 * tries what else works there. `-- node@24 bun` takes those alone, `--grep text` the tests with that in their titles,
 * and `--write` puts the table of what works into `README.md` here. Fails where anything is not as it is said to be.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { fill, root } from '../pages.js';
import { type Finding, probes } from './probes.js';
import { type Exception, exceptions, install, programOf, type Target, targets } from './runtimes.js';

const probesProgram = fileURLToPath(new URL('./probes.js', import.meta.url));
/** For all tests of one runtime. */
const TIME_LIMIT = 15 * 60_000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { grep: { type: 'string' }, write: { type: 'boolean', default: false } },
});
for (const name of positionals) {
  if (!targets.some((target) => target.name === name)) {
    throw new Error(`There is no ${name}, but ${targets.map((target) => target.name).join(', ')}`);
  }
}
const chosen = targets.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
if (values.write && chosen.length < targets.length) throw new Error('--write needs all runtimes');

const seed = process.env.FC_SEED ?? String(Math.floor(Math.random() * 2 ** 31));

interface Failure {
  readonly test: string;
  readonly error: string;
}

interface Result {
  readonly target: Target;
  passed: number;
  pending: number;
  seconds: number;
  readonly known: { exception: Exception; failure: Failure }[];
  readonly failures: Failure[];
  findings: Finding[];
}

/** Runs a program with a runtime; each line that it prints goes to `onLine`. Returns how it ended. */
async function run(target: Target, directory: string, args: string[], onLine: (line: string) => void): Promise<string> {
  const running = { node: [], bun: ['--bun'], deno: ['run', '--allow-all'] }[target.runtime];
  const child = spawn(programOf(target, directory), [...running, ...args], {
    cwd: root,
    env: { ...process.env, FC_SEED: seed },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: TIME_LIMIT,
    killSignal: 'SIGKILL',
  });
  const complaints: string[] = [];
  createInterface(child.stdout).on('line', onLine);
  createInterface(child.stderr).on('line', (line) => complaints.push(line));
  const how = await new Promise<string>((resolve, reject) => {
    child.on('error', reject).on('close', (code, signal) => resolve(signal ?? `exit code ${code}`));
  });
  return [how, ...complaints.slice(-20)].join('\n');
}

/** All tests, as mocha's configuration names them. */
async function runTests(result: Result, directory: string): Promise<void> {
  const { target, failures, known } = result;
  const its = exceptions.filter(({ runtime }) => runtime === target.runtime);
  const passed = new Set<string>();
  let count = 0;
  let ended = false;
  const begin = performance.now();
  // Its reporter takes no tests in parallel.
  const args = ['node_modules/mocha/bin/mocha.js', '--no-parallel', '--reporter', 'json-stream'];
  if (values.grep !== undefined) args.push('--fgrep', values.grep);
  const how = await run(target, directory, args, (line) => {
    const event = eventOf(line);
    if (event === undefined) return;
    const [kind, { fullTitle: test, err: error, pending }] = event;
    if (kind === 'pass') {
      passed.add(test);
      count++;
    }
    if (kind === 'end') {
      result.pending = pending;
      ended = true;
    }
    if (kind !== 'fail') return;
    const exception = its.find((each) => each.test === test);
    if (exception === undefined) failures.push({ test, error });
    else known.push({ exception, failure: { test, error } });
  });
  result.passed = count;
  result.seconds = (performance.now() - begin) / 1000;
  if (!ended) failures.push({ test: 'the whole suite', error: `did not come to its end: ${how}` });
  if (passed.size === 0) failures.push({ test: 'the whole suite', error: `no test has passed: ${how}` });
  for (const { test, sometimes } of its) {
    const failed = known.some(({ exception }) => exception.test === test);
    if (passed.has(test) && !failed && !sometimes)
      failures.push({ test, error: 'passes: its exception is no longer needed' });
    const isRun = passed.has(test) || failed;
    if (!isRun && values.grep === undefined)
      failures.push({ test, error: 'has an exception, and there is no such test' });
  }
}

type Event = ['pass' | 'fail' | 'end', { fullTitle: string; err: string; pending: number }];

/** One line of mocha's json-stream; tests print lines of their own in between. */
function eventOf(line: string): Event | undefined {
  if (!/^\["(pass|fail|end)",\{/.test(line)) return undefined;
  return JSON.parse(line) as Event;
}

async function runProbes(result: Result, directory: string): Promise<void> {
  const lines: string[] = [];
  const how = await run(result.target, directory, [probesProgram], (line) => lines.push(line));
  try {
    result.findings = JSON.parse(lines.join('\n')) as Finding[];
  } catch {
    result.failures.push({ test: 'the probes', error: `printed no result: ${how}` });
  }
  for (const { feature, works, expected, error } of result.findings) {
    if (works === expected) continue;
    result.failures.push({ test: feature, error: works ? 'works: say so in probes.ts' : (error ?? 'does not work') });
  }
}

function table(rows: string[][]): string {
  const [head, ...rest] = rows.map((cells) => `| ${cells.join(' | ')} |`);
  return [head, `|${' --- |'.repeat(rows[0]!.length)}`, ...rest].join('\n');
}

/** What works where; a "no" has a number, and below it the reason. */
function features(results: Result[]): string {
  const reasons: string[] = [];
  const footnote = (reason: string) => {
    if (!reasons.includes(reason)) reasons.push(reason);
    return `no (${reasons.indexOf(reason) + 1})`;
  };
  const rows = probes.map(({ feature, not }) => [
    feature,
    ...results.map(({ findings }) => {
      const finding = findings.find((one) => one.feature === feature);
      if (finding?.works) return 'yes';
      return footnote(finding?.expected === false ? not!.reason : (finding?.error ?? 'not known'));
    }),
  ]);
  const head = ['', ...results.map(({ target: { runtime, version } }) => `${title[runtime]} ${version}`)];
  return [table([head, ...rows]), '', ...reasons.map((reason, i) => `${i + 1}. ${reason}`)].join('\n');
}

const title = { node: 'Node', bun: 'Bun', deno: 'Deno' };

const directory = mkdtempSync(join(tmpdir(), 'length-prefix-runtimes-'));
process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

install(chosen, directory);
console.log(`FC_SEED=${seed}\n`);
const results: Result[] = [];
for (const target of chosen) {
  const result: Result = { target, passed: 0, pending: 0, seconds: 0, known: [], failures: [], findings: [] };
  results.push(result);
  await runTests(result, directory);
  await runProbes(result, directory);
  console.log(`${target.name} ${target.version}: ${result.passed} tests passed, ${result.failures.length} failures`);
}

const summary = results.map(({ target, passed, pending, known, failures, seconds }) =>
  [target.name, target.version, passed, pending, known.length, failures.length, seconds.toFixed(0)].map(String),
);
const head = ['runtime', 'version', 'passed', 'skipped by itself', 'known to fail', 'failed', 'seconds'];
console.log(`\n${table([head, ...summary])}\n\n${features(results)}\n`);
for (const { target, known } of results) {
  for (const exception of exceptions.filter(({ runtime }) => runtime === target.runtime)) {
    const failure = known.find((one) => one.exception === exception)?.failure;
    const what = failure === undefined ? 'did not fail, or was not run' : `failed: ${failure.error}`;
    console.log(`KNOWN, ${target.name}: ${exception.test}\n    ${what}\n    because ${exception.reason}`);
  }
}
for (const { target, failures } of results) {
  for (const { test, error } of failures) console.log(`FAILED, ${target.name}: ${test}\n    ${error}`);
}
const isGood = results.every(({ failures }) => failures.length === 0);
if (isGood && values.write) fill('spec/tools/runtimes/README.md', 'runtimes', features(results));
console.log(isGood ? '\nAll is as it should be.' : '\nNOT ALL IS AS IT SHOULD BE.');
process.exitCode = isGood ? 0 : 1;
