import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { alone, consumer, entries, manifest, root, runNode } from './packed.js';

const sources = join(root, 'spec/tools/package/consumer');

/** Prints the names that an entry exports by `import`, where `require` gives the same values, or what is not installed. */
const NAMES = `
import { createRequire } from 'node:module';
const entry = process.argv[2];
try {
  const required = createRequire(import.meta.url)(entry);
  const imported = await import(entry);
  const names = Object.keys(imported);
  const same = names.every((name) => imported[name] === required[name]) && names.length === Object.keys(required).length;
  console.log(JSON.stringify({ names, same }));
} catch (error) {
  const missing = error.code === 'ERR_MODULE_NOT_FOUND' && error.message.match(/package '([^']+)'/)?.[1];
  if (!missing) throw error;
  console.log(JSON.stringify({ missing }));
}`;

function namesOf(entry: string, folder: string): { names?: string[]; same?: boolean; missing?: string } {
  writeFileSync(join(folder, 'names.js'), NAMES);
  const { stdout, stderr } = runNode(folder, 'names.js', entry);
  expect(stderr).to.equal('');
  return JSON.parse(stdout);
}

const greeting = { stdout: 'You said hello\n', stderr: '' };

describe('a program that has installed the package', () => {
  it('imports it', () => {
    cpSync(join(sources, 'import.js'), join(alone, 'import.js'));
    expect(runNode(alone, 'import.js')).to.deep.equal(greeting);
  });

  it('requires it, and Node has nothing to warn of', () => {
    cpSync(join(sources, 'require.cjs'), join(alone, 'require.cjs'));
    expect(runNode(alone, 'require.cjs')).to.deep.equal(greeting);
  });

  for (const entry of entries) {
    it(`imports and requires ${entry}, with the same values`, () => {
      const { names, same } = namesOf(entry, consumer);
      expect(names).to.be.an('array').that.is.not.empty;
      expect(same).to.equal(true);
    });

    it(`needs for ${entry} nothing that is not installed with it, unless it is an optional peer`, () => {
      const { missing } = namesOf(entry, alone);
      if (missing !== undefined) expect(manifest.peerDependencies).to.have.property(missing);
      if (entry === manifest.name) expect(missing).to.equal(undefined);
    });
  }
});
