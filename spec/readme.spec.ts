import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { formats } from '../lib/index.js';
import { codeArgs, runtime } from './support/runtime.js';
import { peers } from './tools/interop/peers.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const read = (name: string) => readFileSync(`${root}${name}`, 'utf8');
const readme = read('README.md');

/** Others than Node have a console that shows objects in ways of its own: this is theirs that does as Node's. */
const printing =
  runtime === 'node'
    ? ''
    : "import { Console } from 'node:console'; globalThis.console = new Console(process.stdout, process.stderr);\n";

describe('README', () => {
  const examples = Array.from(readme.matchAll(/```js\n(.*?)```/gs), ([, code]) => code!);

  examples.forEach((code, i) => {
    it(`example ${i + 1} prints what it says`, async () => {
      const expected = Array.from(code.matchAll(/\/\/ -> (.*)\n/g), ([, line]) => `${line}\n`);
      expect(expected).to.not.have.lengthOf(0);
      const run = promisify(execFile)(process.execPath, codeArgs(printing + code), { cwd: root });
      expect(await run).to.deep.equal({ stdout: expected.join(''), stderr: '' });
    });
  });

  it('names every option, and none that is not there', () => {
    const rooms = ['wire/format', 'wire/decoding', 'wire/encoding', 'node/writing', 'node/streams', 'node/framed'];
    const sources = [...rooms, 'web/high-water-marks'].map((name) => read(`lib/${name}.ts`));
    const options = sources.flatMap((text) => Array.from(text.matchAll(/^ {2}(\w+)\?: .*;$/gm), ([, name]) => name));
    const section = readme.slice(readme.indexOf('## Options'), readme.indexOf('## Protocols'));
    for (const name of options) expect(section).to.include(`\`${name}\``);
    for (const [, name] of section.matchAll(/^\| `(\w+)`/gm)) expect(options).to.include(name);
  });

  it('has all formats, and the programs that each is tested with', () => {
    const section = readme.slice(readme.indexOf('## Protocols'), readme.indexOf('## Errors'));
    const rows = Array.from(section.matchAll(/^\| `(\w+)` \| .* \| (.*) \|$/gm), ([, name, programs]) => [
      name,
      programs,
    ]);
    const expected = Object.keys(formats).map((format) => [
      format,
      peers
        .filter((peer) => peer.formats.includes(format))
        .map(({ name }) => name)
        .join('; '),
    ]);
    expect(rows).to.deep.equal(expected);
    for (const [format, programs] of rows) expect(programs, format).to.not.equal('');
  });

  it('has the figures of the benchmark beside it', () => {
    const { machine, targets } = JSON.parse(read('spec/tools/bench/results/results.json'));
    expect(readme).to.include(machine);
    expect(targets).to.not.have.lengthOf(0);
    for (const { measure, reached, met } of targets) {
      const row = readme
        .split('\n')
        .find((line) => line.startsWith(`| ${measure} | `) && line.endsWith(` ${reached} |`));
      expect(row, measure).to.be.a('string');
      expect(row!.includes('missed'), measure).to.equal(!met);
    }
    for (const [, file] of readme.matchAll(/\]\((spec\/[^)]+|lib\/[^)]+)\)/g))
      expect(existsSync(root + file), file).to.equal(true);
  });

  it('and CONTRIBUTING name all commands, and none that is not there', () => {
    const { scripts } = JSON.parse(read('package.json'));
    const text = readme + read('CONTRIBUTING.md');
    const named = Array.from(
      text.matchAll(/npm (?:run ([\w:-]+)|(test|start)\b)/g),
      ([, name, short]) => name ?? short!,
    );
    expect([...new Set(named)].sort()).to.deep.equal(Object.keys(scripts).sort());
  });
});
