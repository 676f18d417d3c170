import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect } from 'chai';
import { build } from 'esbuild';
import { compile } from './compile.js';
import { compilers, installed, manifest, temp } from './packed.js';

/** What only Node has, and what browsers call by another name. */
const NODE_ONLY = ['Buffer', 'process', 'global', 'require', 'module', '__dirname', '__filename', 'setImmediate'];
const MARK = '__only_in_node__';

/**
 * An entry that runs in browsers too: `length-prefix/web`, or a file in the package. Minified, it may take up to `limit`
 * bytes.
 */
export function describeBrowserEntry(entry: string, limit: number): void {
  const folder = join(temp, 'browser');
  const source = `export * from '${entry}';\n`;

  describe(`${entry} in a browser`, () => {
    before(() => {
      // Nothing but the package: not what it depends on, nor the types of Node.
      const target = join(folder, 'node_modules', manifest.name);
      mkdirSync(target, { recursive: true });
      cpSync(installed, target, { recursive: true });
    });

    it(`takes at most ${limit} bytes, and nothing of Node`, async () => {
      const { outputFiles, metafile } = await build({
        stdin: { contents: source, resolveDir: folder },
        bundle: true,
        minify: true,
        write: false,
        metafile: true,
        format: 'esm',
        platform: 'browser',
        absWorkingDir: folder,
        logLevel: 'silent',
        define: Object.fromEntries(NODE_ONLY.flatMap((name) => [name, `globalThis.${name}`].map((key) => [key, MARK]))),
      });
      const code = outputFiles[0]!;
      console.log(`      ${code.contents.length} bytes minified, ${gzipSync(code.contents).length} gzipped`);
      const inputs = Object.keys(metafile.inputs).filter((input) => input !== '<stdin>');
      expect(inputs).to.not.have.lengthOf(0);
      for (const input of inputs) expect(input).to.match(/^node_modules\/length-prefix\/dist\/bundle\//);
      expect(code.text).to.not.include(MARK);
      expect(code.contents.length).to.be.within(500, limit);
    });

    for (const lib of [
      ['es2023', 'webworker'],
      ['es2023', 'dom', 'dom.iterable'],
    ]) {
      it(`compiles without the types of Node: lib ${lib.join(', ')}`, () => {
        for (const version of [compilers[0]!, compilers.at(-1)!]) {
          const settings = { module: 'esnext', moduleResolution: 'bundler', target: 'es2022', lib, types: [] };
          expect(compile(folder, version, settings, { 'entry.ts': source }), version).to.equal('');
        }
      });
    }
  });
}
