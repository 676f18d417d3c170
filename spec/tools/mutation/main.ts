/**
 * `npm run mutate`: breaks `lib/` in every way that StrykerJS knows, one at a time, and sees whether the tests notice.
 * Further arguments are Stryker's, such as `--mutate lib/parser.ts`.
 *
 * It runs in a copy of the project with tools of its own: Stryker asks for a later Node than the package does, and for a
 * TypeScript and a mocha whose programming interfaces it knows.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const tools = [
  '@stryker-mutator/core@10.0.0',
  '@stryker-mutator/mocha-runner@10.0.0',
  'mocha@11',
  'typescript@5',
  `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}@26`,
];

const root = fileURLToPath(new URL('../../../../', import.meta.url));
const copy = mkdtempSync(join(tmpdir(), 'length-prefix-mutation-'));

function run(command: string, args: string[]): number {
  const path = [`node_modules/${tools.at(-1)!.split('@')[0]}/bin`, 'node_modules/.bin'].map((name) => join(copy, name));
  const env = { ...process.env, FC_SEED: '1', FC_SCALE: '0.2', PATH: [...path, process.env.PATH].join(delimiter) };
  return spawnSync(command, args, { cwd: copy, env, stdio: 'inherit' }).status ?? 1;
}

try {
  const left = new Set(['.git', 'node_modules', 'dist']);
  cpSync(root, copy, { recursive: true, filter: (source) => !left.has(basename(source)) });
  const install = run('npm', ['install', '--no-save', '--ignore-scripts', '--no-audit', '--no-fund', ...tools]);
  const config = 'spec/tools/mutation/stryker.config.json';
  process.exitCode = install || run('stryker', ['run', config, ...process.argv.slice(2)]);
} finally {
  rmSync(copy, { recursive: true, force: true });
}
