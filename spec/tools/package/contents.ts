import { existsSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { join } from 'node:path';
import { expect } from 'chai';
import { filesIn, installed, manifest, root } from './packed.js';

const files = filesIn(installed);
const text = (file: string) => readFileSync(join(installed, file), 'utf8');
const ending = (end: string) => files.filter((file) => file.endsWith(end));

describe('the contents of the package', () => {
  it('are the declarations of each source, the bundled entries, the pages, and five more files', () => {
    // Nobody imports the command.
    const inLib = filesIn(join(root, 'lib')).filter((file) => !/^cli\/.*\.ts$/.test(file));
    expect(inLib).to.include('index.ts');
    const ours = inLib.map((file) => {
      expect(file).to.match(/(?<!\.d)\.ts$|(^|\/)README\.md$/);
      return file.endsWith('.md') ? `lib/${file}` : `dist/lib/${file.replace(/\.ts$/, '.d.ts')}`;
    });
    const bundles = filesIn(join(root, 'dist/bundle')).map((file) => `dist/bundle/${file}`);
    const others = ['CHANGELOG.md', 'LICENSE', 'README.md', 'SECURITY.md', 'package.json'];
    expect(files).to.deep.equal([...ours, ...bundles, ...others].sort());
  });

  // Maps and sources would be more than half of the bytes. The bundles are not minified.
  it('name no maps, which are not there', () => {
    expect(ending('.js')).to.not.have.lengthOf(0);
    for (const file of [...ending('.js'), ...ending('.d.ts')])
      expect(text(file), file).to.not.include('sourceMappingURL');
  });

  it('import what is installed with them, and nothing is installed in vain', () => {
    const { dependencies, peerDependencies = {} } = manifest;
    const imported = new Set<string>();
    for (const file of [...ending('.js'), ...ending('.d.ts')]) {
      for (const [, name] of text(file).matchAll(
        /(?:\bfrom |\bimport |\bimport\(|\brequire\()['"]([^'".][^'"]*)['"]/g,
      )) {
        imported.add(name!.match(/^(@[^/]+\/)?[^/]+/)![0]);
      }
    }
    const ours = [...imported].filter((name) => !name.startsWith('node:') && name !== manifest.name);
    expect(ours.filter((name) => builtinModules.includes(name))).to.deep.equal([]);
    // The declarations import modules of Node.
    expect(Object.keys(dependencies).filter((name) => name.startsWith('@types/'))).to.deep.equal([]);
    expect([...ours, '@types/node'].sort()).to.deep.equal(Object.keys({ ...dependencies, ...peerDependencies }).sort());
    for (const name of Object.keys(peerDependencies)) {
      expect(manifest.peerDependenciesMeta?.[name]).to.deep.equal({ optional: true });
    }
  });
});

describe('package.json', () => {
  it('says what npm and its users look for', () => {
    expect(manifest).to.include({ name: 'length-prefix', license: 'MIT', type: 'module', sideEffects: false });
    expect(manifest.version).to.match(/^\d+\.\d+\.\d+/);
    expect(text('CHANGELOG.md')).to.include(manifest.version);
    expect(manifest.description).to.be.a('string').that.is.not.empty;
    expect(manifest.keywords).to.be.an('array').that.is.not.empty;
    expect(manifest.engines).to.deep.equal({ node: '>=20.19' });
    expect(manifest.files).to.deep.equal([
      'dist/bundle',
      'dist/lib/**/*.d.ts',
      '!dist/lib/cli',
      'lib/**/README.md',
      'CHANGELOG.md',
      'SECURITY.md',
    ]);
  });

  it('runs nothing when it is installed', () => {
    expect(manifest.scripts).to.not.have.any.keys('preinstall', 'install', 'postinstall');
  });

  it('exports files that are there, the types first', () => {
    const { './package.json': self, ...modules } = manifest.exports;
    expect(self).to.equal('./package.json');
    for (const [path, target] of Object.entries<Record<string, string>>(modules)) {
      expect(Object.keys(target), path).to.deep.equal(['types', 'default']);
      const name = path === '.' ? 'index' : `${path.slice(2)}/index`;
      expect(target, path).to.include({ default: `./dist/bundle/${name}.js`, types: `./dist/lib/${name}.d.ts` });
      for (const file of Object.values(target)) expect(existsSync(join(installed, file)), file).to.equal(true);
    }
    // For tools that do not know of exports.
    expect({ types: manifest.types, default: manifest.main }).to.deep.equal(modules['.']);
  });
});
