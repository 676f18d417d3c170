import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../../../', import.meta.url));
export const readJson = (file: string): any => JSON.parse(readFileSync(file, 'utf8'));

/** Runs a program and returns what it prints. What it says when it fails is the error. */
export function run(cwd: string, command: string, ...args: string[]): string {
  try {
    return execFileSync(command, args, { cwd, encoding: 'utf8', stdio: 'pipe' });
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    throw new Error(`${command} ${args.join(' ')} failed:\n${stdout}${stderr}`);
  }
}

/** Runs a program with this Node; what it warns of is in `stderr`. */
export function runNode(cwd: string, ...args: string[]): { stdout: string; stderr: string } {
  const { stdout, stderr } = spawnSync(process.execPath, args, { cwd, encoding: 'utf8' });
  return { stdout, stderr };
}

/** All files in a folder, with `/` in their names. */
export function filesIn(folder: string): string[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return files.map((file) => relative(folder, file).replaceAll(sep, '/')).sort();
}

export const temp = mkdtempSync(join(tmpdir(), 'length-prefix-package-'));
after(() => rmSync(temp, { recursive: true, force: true }));

// Not `prepare` again, which takes away what runs here: `npm run test:package` has just built it.
run(root, 'npm', 'pack', '--ignore-scripts', '--pack-destination', temp);
export const tarball = join(temp, readdirSync(temp)[0]!);

/** A new folder with these packages installed. */
export function install(name: string, ...packages: string[]): string {
  const folder = join(temp, name);
  mkdirSync(folder);
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }');
  run(folder, 'npm', 'install', '--no-audit', '--no-fund', '--prefer-offline', ...packages);
  return folder;
}

/** A project that has the package and nothing else. */
export const alone = install('alone', tarball);

/** The package as it is installed. */
export const installed = join(alone, 'node_modules/length-prefix');
export const manifest = readJson(join(installed, 'package.json'));

/** What can be imported, as users write it. */
export const entries: string[] = Object.keys(manifest.exports)
  .filter((path) => path !== './package.json')
  .map((path) => path.replace('.', manifest.name));

/** The oldest TypeScript that knows the types of Node's iterators, the last one that is JavaScript, and this project's. */
export const compilers = ['5.6', '6.0', readJson(join(root, 'node_modules/typescript/package.json')).version as string];

const typesOfNode = readJson(join(root, 'node_modules/@types/node/package.json')).version;

/** A project that has all that the package can be used with, and these compilers. */
export const consumer = install(
  'consumer',
  tarball,
  `@types/node@${typesOfNode}`,
  ...compilers.map((version) => `typescript-${version}@npm:typescript@${version}`),
  ...Object.entries(manifest.peerDependencies ?? {})
    .filter(([name]) => name !== '@types/node')
    .map(([name, range]) => `${name}@${range}`),
);

/** Projects with the types of the Nodes before this project's: the version, and the folder. */
export const earlierConsumers = ['20', '22', '24'].map(
  (version) => [version, install(`consumer-${version}`, tarball, `@types/node@${version}`)] as const,
);
