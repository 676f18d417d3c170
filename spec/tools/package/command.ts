import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { alone, filesIn, manifest, run, tarball, temp } from './packed.js';

describe('the command, installed globally in an empty folder', () => {
  const prefix = join(temp, 'global');
  const empty = join(temp, 'empty');
  const command = join(prefix, process.platform === 'win32' ? 'length-prefix.cmd' : 'bin/length-prefix');
  before(() => {
    for (const folder of [prefix, empty]) mkdirSync(folder);
    run(
      empty,
      'npm',
      'install',
      '--global',
      '--prefix',
      prefix,
      '--no-audit',
      '--no-fund',
      '--prefer-offline',
      tarball,
    );
  });

  it('tells what it is', () => {
    expect(run(empty, command, '--version')).to.equal(`${manifest.version}\n`);
    expect(run(empty, command, '--help')).to.match(/^Usage: length-prefix COMMAND/);
    expect(run(empty, command, 'formats', 'dns')).to.include('uint16be');
  });

  it('encodes and decodes', () => {
    const frames = execFileSync(command, ['encode', '--format', 'netstring'], { cwd: empty, input: 'hello\n' });
    expect(frames.toString()).to.equal('5:hello,');
    const text = execFileSync(command, ['decode', '--format', 'netstring', '--text'], { cwd: empty, input: frames });
    expect(text.toString()).to.equal('hello\n');
  });

  it('fails as it should', () => {
    const { status, stderr } = spawnSync(command, ['decode', 'missing'], { cwd: empty, encoding: 'utf8' });
    expect(stderr).to.match(/^length-prefix: missing: ENOENT: [^\n]*\n$/);
    expect(status).to.equal(1);
  });

  it('installs what the library does, and no more', () => {
    const namesIn = (folder: string) => {
      const packages = filesIn(folder).filter((file) => /node_modules\/(@[^/]+\/)?[^/]+\/package\.json$/.test(file));
      return packages.map((file) => file.split('node_modules/').at(-1)).sort();
    };
    expect(namesIn(prefix)).to.deep.equal(namesIn(alone));
  });

  it('starts in less than twice the time of Node itself', () => {
    const time = (...args: string[]) => {
      const begin = performance.now();
      run(empty, process.execPath, ...args);
      return performance.now() - begin;
    };
    const least = (...args: string[]) => Math.min(...Array.from({ length: 10 }, () => time(...args)));
    const script = join(prefix, 'lib/node_modules/length-prefix/dist/bundle/cli/main.js');
    const [bare, help] = [least('--eval', '0'), least(script, '--help')];
    console.log(`      node alone ${bare.toFixed()} ms, length-prefix --help ${help.toFixed()} ms`);
    expect(help).to.be.below(2 * bare);
  });
});
