import { execFile } from 'node:child_process';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { programArgs } from '../support/runtime.js';
import type { Row } from './memory.js';

const script = fileURLToPath(new URL('./memory.js', import.meta.url));

/** What must be in each group, so that a group that was not measured is not taken for good. */
const groups: Record<string, number> = {
  idle: 1,
  prefix: 6,
  'one-byte chunks': 5,
  'large chunks': 20,
  mixtures: 20,
  views: 2,
  skip: 4,
  copy: 9,
  destroy: 15,
  sent: 6,
};

describe('torture: memory (node --expose-gc dist/spec/torture/memory.js prints every figure)', function () {
  this.timeout(120_000);

  let rows: Row[] = [];

  before(async () => {
    // In a process of its own: nothing else is then in the figures.
    const run = promisify(execFile);
    const { stdout } = await run(process.execPath, [...programArgs(script, { gc: true }), '--json'], {
      maxBuffer: 1 << 24,
    });
    rows = JSON.parse(stdout);
  });

  for (const [group, count] of Object.entries(groups)) {
    it(`holds no more than allowed: ${group}`, () => {
      const ruled = rows.filter((row) => row.group === group && row.allowed !== undefined);
      expect(ruled.length, 'figures').to.be.at.least(count);
      const tooMuch = ruled
        .filter(({ measured, allowed }) => !(measured <= allowed!))
        .map(({ what, measured, allowed, unit }) => `${what}: ${measured} ${unit}, allowed ${allowed}`);
      expect(tooMuch).to.deep.equal([]);
    });
  }
});
