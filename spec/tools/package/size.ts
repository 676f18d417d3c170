import { statSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import {
  alone,
  consumer,
  earlierConsumers,
  filesIn,
  install,
  installed,
  manifest,
  readJson,
  runNode,
  tarball,
} from './packed.js';

/** The most bytes on disk: of the package alone, 100,000 of them for the command, and with all that is installed with it. */
const OWN_LIMIT = 900_000;
const LIMIT = 2_000_000;
/** The most that an import may take, as a multiple of the time that ws takes. Measured: 0.7 to 0.9. */
const TIME_LIMIT = 1.5;
/** The imports that are measured. One more in front is not counted, as it reads from the disk. */
const IMPORTS = 15;

/** The bytes that a folder takes on a disk with blocks of 4 KiB. */
function sizeOf(folder: string): number {
  const sizes = filesIn(folder).map((file) => statSync(join(folder, file)).size);
  expect(sizes).to.not.have.lengthOf(0);
  return sizes.reduce((sum, size) => sum + Math.ceil(size / 4096) * 4096, 0);
}

/** The milliseconds that an import takes in a process of its own. */
function importTime(folder: string, name: string): number {
  const code = `const begin = performance.now(); await import('${name}'); console.log(performance.now() - begin)`;
  const { stdout, stderr } = runNode(folder, '--input-type=module', '--eval', code);
  expect(stderr).to.equal('');
  return Number.parseFloat(stdout);
}

const thousands = (value: number) => Math.round(value).toLocaleString('en-US');

describe('the package is light', () => {
  let ws: string;
  before(() => {
    ws = install('ws', 'ws@8');
  });

  it(`takes at most ${thousands(LIMIT)} bytes on disk, ${thousands(OWN_LIMIT)} of them its own`, () => {
    const all = sizeOf(join(alone, 'node_modules'));
    const own = sizeOf(installed);
    console.log(
      `      ${thousands(all)} bytes, ${thousands(own)} its own; ws ${thousands(sizeOf(join(ws, 'node_modules')))}`,
    );
    expect(own).to.be.within(100_000, OWN_LIMIT);
    expect(all).to.be.within(own, LIMIT);
  });

  it(`is imported in at most ${TIME_LIMIT} times the time of ws`, () => {
    const times: number[] = [];
    const timesOfWs: number[] = [];
    for (let i = 0; i <= IMPORTS; i++) {
      const time = importTime(alone, manifest.name);
      const timeOfWs = importTime(ws, 'ws');
      if (i === 0) continue;
      times.push(time);
      timesOfWs.push(timeOfWs);
    }
    // The least: what else the machine does only comes on top.
    const [ours, theirs] = [Math.min(...times), Math.min(...timesOfWs)];
    console.log(`      ${ours.toFixed()} ms, ws ${theirs.toFixed()} ms: ${(ours / theirs).toFixed(2)}`);
    expect(ours).to.be.above(1);
    expect(theirs).to.be.above(1);
    expect(ours / theirs).to.be.below(TIME_LIMIT);
  });
});

describe('the types of Node', () => {
  const copiesIn = (project: string) =>
    filesIn(project).filter((file) => /(^|\/)node_modules\/@types\/node\/package\.json$/.test(file));

  it('are not installed with the package', () => {
    expect(filesIn(alone).filter((file) => /node_modules\/@types\/.*package\.json$/.test(file))).to.deep.equal([]);
  });

  for (const [version, project] of [...earlierConsumers, ['', consumer] as const]) {
    it(`are the project's own, in one copy: ${version || 'the newest'}`, () => {
      expect(copiesIn(project)).to.deep.equal(['node_modules/@types/node/package.json']);
      const types = readJson(join(project, 'node_modules/@types/node/package.json'));
      expect(types.version.startsWith(version), types.version).to.equal(true);
    });
  }

  it('are refused by npm if they are too old', () => {
    expect(() => install('consumer-18', tarball, '@types/node@18')).to.throw('ERESOLVE');
  });
});
