import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { expectMessageAlone, failingTest } from '../support/reports.js';
import { programArgs, runtime } from '../support/runtime.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const mocha = createRequire(import.meta.url).resolve('mocha/bin/mocha.js');

/** The arguments with which each runtime runs tests of node:test. */
const TEST = {
  node: { tap: ['--test-reporter=tap'], spec: ['--test-reporter=spec'] },
  bun: { bun: ['test'] },
  deno: { deno: ['test', '--allow-all', '--no-check'] },
}[runtime];

// `npm run test:package` installs vitest and jest, and tests their reports.
describe('a CutError in the report of', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'length-prefix-reports-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  function reportOf(cwd: string, args: string[], runner?: string): string {
    const test = join(folder, 'failing.test.mjs');
    writeFileSync(test, failingTest(new URL('../../lib/fuzz/index.js', import.meta.url).href, runner));
    // No colors. With NODE_TEST_CONTEXT, node:test would report to a parent process.
    const env = { ...process.env, NO_COLOR: '1', FORCE_COLOR: undefined, NODE_TEST_CONTEXT: undefined };
    const options = { cwd, env, encoding: 'utf8' } as const;
    const { status, stdout, stderr } = spawnSync(process.execPath, [...args, test], options);
    expect(status, stderr).to.equal(1);
    return stdout + stderr;
  }

  it('mocha is its message alone', () => {
    // Away from this project's configuration of mocha.
    expectMessageAlone(reportOf(folder, programArgs(mocha)));
  });

  for (const [name, args] of Object.entries(TEST)) {
    it(`node:test is its message alone: ${name}`, () => {
      // Node 20 reports a failure when it happens, and once more at the end.
      expectMessageAlone(reportOf(root, args, 'node:test').split('failing tests:').at(-1)!);
    });
  }
});
