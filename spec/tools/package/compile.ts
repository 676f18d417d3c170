import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { consumer, runNode } from './packed.js';

/** All that a compiler can be strict about, in the declarations of the package and of what it depends on too. */
const STRICTEST = {
  strict: true,
  skipLibCheck: false,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  noPropertyAccessFromIndexSignature: true,
  noImplicitOverride: true,
  noImplicitReturns: true,
  noFallthroughCasesInSwitch: true,
  noUnusedLocals: true,
  noUnusedParameters: true,
  allowUnreachableCode: false,
  allowUnusedLabels: false,
  isolatedModules: true,
  verbatimModuleSyntax: true,
  forceConsistentCasingInFileNames: true,
};

/** Compiles sources in a folder of a project. Returns what the compiler says. */
export function compile(folder: string, version: string, settings: object, sources: Record<string, string>): string {
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of Object.entries(sources)) writeFileSync(join(folder, name), text);
  const compilerOptions = { ...STRICTEST, ...settings, outDir: 'out', rootDir: '.' };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: Object.keys(sources) }));
  const { stdout, stderr } = runNode(folder, join(consumer, `node_modules/typescript-${version}/bin/tsc`), '-p', '.');
  return stdout + stderr;
}
