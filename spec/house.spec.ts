import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';

const lib = fileURLToPath(new URL('../../lib/', import.meta.url));
const sources = readdirSync(lib, { recursive: true, encoding: 'utf8' })
  .map((file) => file.replaceAll('\\', '/'))
  .filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'));

/** The rooms that each room may import from. Packages and modules of Node are rooms as well. */
const allowed: Readonly<Record<string, RegExp>> = {
  wire: /^wire$/,
  web: /^(web|wire)$/,
  node: /^(node|wire|node:.*|readable-stream)$/,
  fuzz: /^(fuzz|node|wire|node:.*|fast-check|index\.ts)$/,
  // Over what users import, by name.
  cli: /^(cli|node:.*|length-prefix|length-prefix\/wire)$/,
  'index.ts': /^(node|wire)$/,
};

function roomOf(file: string): string {
  return file.split('/')[0]!;
}

/** Without the lines of comments. */
function codeOf(file: string): string {
  return readFileSync(join(lib, file), 'utf8').replaceAll(/^\s*(\/?\*|\/\/).*$/gm, '');
}

function importsOf(file: string): string[] {
  const names = Array.from(codeOf(file).matchAll(/(?:\bfrom |\bimport |\bimport\()'([^']+)'/g), ([, name]) => name!);
  return names.map((name) =>
    name.startsWith('.') ? posix.join(posix.dirname(file), name).replace(/\.js$/, '.ts') : name,
  );
}

describe('the rooms of lib', () => {
  it('import downwards only: cli, fuzz, then node and web, then wire', () => {
    const wrong = sources.flatMap((file) =>
      importsOf(file)
        .filter((name) => !allowed[roomOf(file)]!.test(sources.includes(name) ? roomOf(name) : name))
        .map((name) => `${file} imports ${name}`),
    );
    expect(wrong).to.deep.equal([]);
  });

  it('are all looked at', () => {
    expect([...new Set(sources.map(roomOf))].sort()).to.deep.equal(Object.keys(allowed).sort());
    expect(importsOf('index.ts')).to.include('node/decoder.ts');
    expect(importsOf('node/streams.ts')).to.include.members(['node:stream', 'readable-stream']);
  });

  it('import nothing in circles', () => {
    const circles: string[] = [];
    const done = new Set<string>();
    const visit = (file: string, path: readonly string[]): void => {
      if (path.includes(file)) circles.push([...path.slice(path.indexOf(file)), file].join(' -> '));
      if (done.has(file) || path.includes(file)) return;
      for (const name of importsOf(file)) if (sources.includes(name)) visit(name, [...path, file]);
      done.add(file);
    };
    for (const file of sources) visit(file, []);
    expect(circles).to.deep.equal([]);
  });

  it('name no global of Node in wire and web', () => {
    const names = /\b(Buffer\.|process\.|setImmediate\(|__dirname|require\()/;
    expect(sources.filter((file) => /^(wire|web)\//.test(file) && names.test(codeOf(file)))).to.deep.equal([]);
  });
});
