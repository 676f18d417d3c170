import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { compile } from './compile.js';
import { compilers, consumer, earlierConsumers, entries, root, runNode } from './packed.js';

const SETTINGS = {
  nodenext: { module: 'nodenext', target: 'es2022', lib: ['es2023'], types: ['node'] },
  bundler: {
    module: 'esnext',
    moduleResolution: 'bundler',
    target: 'es2022',
    // As tools for browsers set it. Before TypeScript 6, `dom` alone has no web streams that can be iterated.
    lib: ['es2023', 'dom', 'dom.iterable', 'dom.asynciterable'],
    types: ['node'],
  },
};

const read = (file: string) => readFileSync(join(root, 'spec', file), 'utf8');

/** The assertions of this project's own tests, made of the package. */
const assertions: Record<string, string> = {
  'types.ts': read('types.ts').replace('../lib/index.js', 'length-prefix'),
  'web-types.ts': read('web/types.ts').replace('../../lib/web/index.js', 'length-prefix/web'),
};

/** Those with few types, and the examples of the pages in TypeScript. */
const examples = ['README.md', 'lib/node/README.md'].flatMap((page) =>
  Array.from(
    readFileSync(join(root, page), 'utf8').matchAll(/```ts\n(.*?)```/gs),
    ([, code], i) => [`${page.replaceAll('/', '-')}-${i}.ts`, code!] as const,
  ),
);
const more: Record<string, string> = {
  'wire-types.ts': read('wire/types.ts')
    .replace('../../lib/index.js', 'length-prefix')
    .replace('../../lib/wire/index.js', 'length-prefix/wire'),
  ...Object.fromEntries(examples),
};

/** Those that need the types of a browser. */
const inBrowsers: Record<string, string> = {
  'platform-types.ts': read('web/platform-types.ts').replace('../../lib/web/index.js', 'length-prefix/web'),
};
const assertionsFor = (settings: { lib: string[] }) =>
  settings.lib.includes('dom') ? { ...assertions, ...more, ...inBrowsers } : { ...assertions, ...more };

const typed = read('tools/package/consumer/typed.ts');
const all = entries.map((entry, i) => `export * as entry${i} from '${entry}';\n`).join('');

describe('a program in TypeScript, as strict as can be', () => {
  for (const version of compilers) {
    for (const [name, settings] of Object.entries(SETTINGS)) {
      it(`compiles and runs: TypeScript ${version}, ${name}`, () => {
        const folder = join(consumer, `${version} ${name}`);
        const sources: Record<string, string> = { ...assertionsFor(settings), 'typed.ts': typed, 'all.ts': all };
        // Older ones do not know that a module can be required.
        if (version !== compilers[0] && settings.module === 'nodenext') {
          sources['required.cts'] = read('tools/package/consumer/required.cts');
        }
        expect(compile(folder, version, settings, sources)).to.equal('');
        cpSync(join(consumer, 'package.json'), join(folder, 'package.json'));
        for (const program of Object.keys(sources).filter((source) => /^(typed|required)/.test(source))) {
          const output = join('out', program.replace(/ts$/, 'js'));
          expect(runNode(folder, output), program).to.deep.equal({ stdout: 'all as declared\n', stderr: '' });
        }
      });
    }
  }

  for (const [version, project] of earlierConsumers) {
    for (const compiler of compilers) {
      for (const [name, settings] of Object.entries(SETTINGS)) {
        it(`compiles with the types of Node ${version}: TypeScript ${compiler}, ${name}`, () => {
          expect(compile(join(project, `${compiler} ${name}`), compiler, settings, assertionsFor(settings))).to.equal(
            '',
          );
        });
      }
    }
  }

  for (const [name, source] of Object.entries(assertions)) {
    it(`does not compile when a single type is another: ${name}`, () => {
      const really = 'type Same<A, B> = Really<A, { not: B }>;\ntype Really<A, B> =';
      const wrong = source.replace('type Same<A, B> =', really);
      const expected = wrong.split('\n').flatMap((line, i) => Array(line.split('sure<Same<').length - 1).fill(i + 1));
      expect(expected).to.have.length.above(10);
      const said = compile(join(consumer, 'wrong'), compilers.at(-1)!, SETTINGS.bundler, { [name]: wrong });
      const found = Array.from(said.matchAll(/^[\w-]+\.ts\((\d+),\d+\): error TS2344/gm), ([, line]) => Number(line));
      expect(found).to.deep.equal(expected);
    });
  }
});
