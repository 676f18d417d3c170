import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';

export type Runtime = 'node' | 'bun' | 'deno';

/** The runtime that runs this. */
export const runtime: Runtime = 'Bun' in globalThis ? 'bun' : 'Deno' in globalThis ? 'deno' : 'node';

/** Whether a Transform of node:stream goes on when each 'readable' is followed by one read(). From Node 26 on it may stop. */
export const readsOn = runtime === 'node' && Number.parseInt(process.versions.node, 10) < 26;

/** Whether `Readable.toWeb` reads a stream that has ended to its 'end'. From Node 24 on it does not. */
export const webReadsOn = runtime === 'deno' || (runtime === 'node' && Number.parseInt(process.versions.node, 10) < 24);

/** Whether a loop over one of Node's streams that is left destroys it later than in the call. From Node 26 on it does so at once. */
export const leavesLater = runtime !== 'node' || Number.parseInt(process.versions.node, 10) < 26;

export interface RunSettings {
  /** The code of a module that runs first. */
  preload?: string | undefined;
  /** Has a global `gc()`. */
  gc?: boolean | undefined;
}

/** What `process.execPath` is given so that it runs the program; its own arguments come behind. */
export function programArgs(program: string, { preload, gc = false }: RunSettings = {}): string[] {
  const module = preload === undefined ? undefined : moduleFile(preload);
  if (runtime === 'deno') {
    const preloading = module === undefined ? [] : ['--preload', module];
    return ['run', '--allow-all', ...(gc ? ['--v8-flags=--expose-gc'] : []), ...preloading, program];
  }
  const preloading = module === undefined ? [] : ['--import', runtime === 'bun' ? module : pathToFileURL(module).href];
  return [...(gc ? ['--expose-gc'] : []), ...preloading, program];
}

/** What `process.execPath` is given so that it runs the code, a module. */
export function codeArgs(code: string): string[] {
  return runtime === 'deno' ? ['eval', code] : ['--input-type=module', '--eval', code];
}

/** A program and its arguments: it runs the code, a module, with its input closed, so that a write to it meets EPIPE. */
export function deafProgram(code: string): [string, string[]] {
  // By a shell: Deno has no way to close its own.
  return ['/bin/sh', ['-c', 'exec "$0" "$@" <&-', process.execPath, ...codeArgs(code)]];
}

let directory: string | undefined;
let count = 0;

/** In a file: not all runtimes take the code itself. */
function moduleFile(code: string): string {
  if (directory === undefined) {
    const created = mkdtempSync(join(tmpdir(), 'length-prefix-preload-'));
    directory = created;
    process.on('exit', () => rmSync(created, { recursive: true, force: true }));
  }
  const file = join(directory, `${++count}.mjs`);
  writeFileSync(file, code);
  return file;
}

/** Code that replaces what a module of Node's exports, also for those that import it by name later on. */
export function replaceExport(module: string, name: string, replacement: string): string {
  // Not by `import`: Bun takes what is exported by name when a module is first imported, and keeps to it.
  return `{
    const module = process.getBuiltinModule('${module}');
    const original = module.${name};
    module.${name} = ${replacement};
    process.getBuiltinModule('node:module').syncBuiltinESMExports();
  }`;
}

/** The memory of objects and Buffers, in bytes. */
export function usedMemory(): number {
  const { heapUsed, external } = process.memoryUsage();
  // In Bun, what is external is in the heap's figure, too.
  return runtime === 'bun' ? heapUsed : heapUsed + external;
}
