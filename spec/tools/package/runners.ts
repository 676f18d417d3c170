import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { expectMessageAlone, failingTest } from '../../support/reports.js';
import { install, manifest, tarball } from './packed.js';

/** The test runners that `npm test` does not have, and the arguments with which Node runs them. */
const RUNNERS = {
  vitest: ['node_modules/vitest/vitest.mjs', 'run'],
  jest: ['--experimental-vm-modules', '--no-warnings', 'node_modules/jest/bin/jest.js'],
};

describe('a CutError in the report of', () => {
  let folder: string;
  before(() => {
    folder = install(
      'runners',
      tarball,
      `fast-check@${manifest.peerDependencies['fast-check']}`,
      'vitest@4',
      'jest@30',
    );
  });

  for (const [runner, args] of Object.entries(RUNNERS)) {
    it(`${runner} is its message alone`, () => {
      const test = `${runner}.test.mjs`;
      writeFileSync(join(folder, test), failingTest('length-prefix/fuzz', runner === 'jest' ? undefined : runner));
      const env = { ...process.env, NO_COLOR: '1', FORCE_COLOR: undefined };
      const { stdout, stderr } = spawnSync(process.execPath, [...args, test], { cwd: folder, encoding: 'utf8', env });
      expect(stdout + stderr).to.match(/1 failed/);
      expectMessageAlone(stdout + stderr);
    });
  }
});
