import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { formats } from '../lib/index.js';
import { codeArgs, runtime } from './support/runtime.js';
import { catalogue, programs } from './tools/catalogue.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const read = (name: string) => readFileSync(`${root}${name}`, 'utf8');
const readme = read('README.md');

/** All pages, but for those of packages that are installed. */
const pages = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .map((name) => name.replaceAll('\\', '/'))
  .filter((name) => name.endsWith('.md') && !/(^|\/)(node_modules|dist|docs)\//.test(name))
  .sort();

/** The anchors of a page, as GitHub makes them of its headings. */
const anchorsOf = (text: string) =>
  Array.from(text.matchAll(/^#+ (.*)$/gm), ([, heading]) =>
    heading!
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  );

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

for (const page of pages) {
  describe(page, () => {
    const text = read(page);
    const examples = Array.from(text.matchAll(/```js\n(.*?)```/gs), ([, code]) => code!);

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

    it('links to files and headings that are there', () => {
      const prose = text.replace(/```.*?```/gs, '').replace(/`[^`\n]*`/g, '');
      for (const [, link] of prose.matchAll(/\]\(([^)]+)\)/g)) {
        if (/^https?:/.test(link!)) continue;
        const [path, anchor] = link!.replace(/\s/g, ' ').split('#') as [string, string?];
        const target = path === '' ? page : posix.join(posix.dirname(page), path);
        expect(existsSync(root + target), link).to.equal(true);
        if (anchor !== undefined) expect(anchorsOf(read(target)), link).to.include(anchor);
      }
    });
  });
}

describe('pages', () => {
  it('names every option, and none that is not there', () => {
    const rooms = ['wire/format', 'wire/decoding', 'wire/encoding', 'node/writing', 'node/streams', 'node/framed'];
    const sources = [...rooms, 'web/high-water-marks'].map((name) => read(`lib/${name}.ts`));
    const options = sources.flatMap((text) => Array.from(text.matchAll(/^ {2}(\w+)\?: .*;$/gm), ([, name]) => name));
    const page = read('lib/node/README.md');
    const section = page.slice(page.indexOf('\n## Options'), page.indexOf('\n## Errors'));
    for (const name of options) expect(section).to.include(`\`${name}\``);
    for (const [, name] of section.matchAll(/^\| `(\w+)`/gm)) expect(options).to.include(name);
  });

  it('have a catalogue of all formats, with their documentation and the programs they are tested with', () => {
    expect(read('lib/wire/README.md')).to.include(`<!-- formats -->\n\n${catalogue()}\n\n<!-- /formats -->`);
    const entries = new Map(
      catalogue()
        .split('\n### `')
        .map((entry) => [entry.split('`')[0]!, entry]),
    );
    for (const name of Object.keys(formats)) {
      expect(entries.get(name), name).to.match(/ Tested with \w/);
      expect(readme).to.include(`[\`${name}\`](lib/wire/README.md#${name.toLowerCase()})`);
    }
  });

  it('say how long the examples are', () => {
    const rows = Array.from(read('examples/README.md').matchAll(/^\| .* \| \[(\S+\.ts)\]\(\1\) \| (\d+) \|/gm));
    expect(rows).to.not.have.lengthOf(0);
    for (const [, file, lines] of rows)
      expect(read(`examples/${file}`).split('\n'), file).to.have.lengthOf(Number(lines) + 1);
  });

  it('name the real programs', () => {
    expect(read('spec/tools/interop/README.md')).to.include(`<!-- programs -->\n\n${programs()}\n\n<!-- /programs -->`);
  });

  it('have the figures of the benchmark', async () => {
    const { pageOf, speedOf } = await import(pathToFileURL(`${root}spec/tools/bench/page.js`).href);
    const results = JSON.parse(read('spec/tools/bench/results/results.json'));
    expect(readme).to.include(`<!-- speed -->\n\n${speedOf(results)}\n\n<!-- /speed -->`);
    expect(read('spec/tools/bench/README.md')).to.include(
      `<!-- results -->\n\n${pageOf(results)}\n\n<!-- /results -->`,
    );
  });

  it('name all commands, and none that is not there', () => {
    const { scripts } = JSON.parse(read('package.json'));
    const text = pages.map(read).join('');
    const named = Array.from(
      text.matchAll(/npm (?:run ([\w:-]+)|(test|start)\b)/g),
      ([, name, short]) => name ?? short!,
    );
    expect([...new Set(named)].sort()).to.deep.equal(Object.keys(scripts).sort());
  });
});
