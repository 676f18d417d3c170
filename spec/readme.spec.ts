import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
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

/** In front of an example: what bad clients send to each server of it, which does not close before it is rid of them. */
const badClients = `
import net from 'node:net';
const { listen, close } = net.Server.prototype;
const rids = new Map();
net.Server.prototype.listen = function (...args) {
  const garbage = ['GET / HTTP/1.1\\r\\n\\r\\n', Buffer.alloc(20, 0xff), Buffer.of(5, 0, 0, 0, 1)];
  rids.set(this, new Promise((resolve) => this.once('listening', () => resolve(Promise.all(garbage.map((bytes) => {
    return new Promise((gone) => {
      net.connect(this.address().port).on('error', () => {}).on('close', gone).resume().end(bytes);
    });
  }))))));
  return listen.apply(this, args);
};
net.Server.prototype.close = function (...args) {
  rids.get(this).then(() => {
    console.error('rid of bad clients');
    close.apply(this, args);
  });
  return this;
};
`;

/** The lines that an example says it prints. */
const linesOf = (code: string) => Array.from(code.matchAll(/\/\/ -> (.*)\n/g), ([, line]) => `${line}\n`);

describe('README', () => {
  const examples = Array.from(readme.matchAll(/```js\n(.*?)```/gs), ([, code]) => code!);

  examples.forEach((code, i) => {
    it(`example ${i + 1} prints what it says`, async () => {
      const expected = linesOf(code);
      expect(expected).to.not.have.lengthOf(0);
      const run = promisify(execFile)(process.execPath, codeArgs(printing + code), { cwd: root });
      expect(await run).to.deep.equal({ stdout: expected.join(''), stderr: '' });
    });
  });

  const servers = examples.filter((code) => code.includes('createServer'));

  servers.forEach((code, i) => {
    it(`server ${i + 1} survives bad clients`, async () => {
      const expected = linesOf(code);
      const run = promisify(execFile)(process.execPath, codeArgs(printing + badClients + code), { cwd: root });
      const { stdout, stderr } = await run;
      expect(stdout).to.equal(expected.join(''));
      expect(stderr).to.match(/^Frame at byte 0: /m);
      expect(stderr).to.include('rid of bad clients');
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

  it('has the figures of the benchmark, as its page has', async () => {
    const { pageOf, speedOf } = await import(pathToFileURL(`${root}spec/tools/bench/page.js`).href);
    const results = JSON.parse(read('spec/tools/bench/results/results.json'));
    expect(readme).to.include(`<!-- speed -->\n\n${speedOf(results)}\n\n<!-- /speed -->`);
    const page = read('spec/tools/bench/README.md');
    expect(page).to.include(`<!-- results -->\n\n${pageOf(results)}\n\n<!-- /results -->`);
    for (const [, file] of page.matchAll(/\]\((results\/[^)]+)\)/g))
      expect(existsSync(`${root}spec/tools/bench/${file}`), file).to.equal(true);
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
