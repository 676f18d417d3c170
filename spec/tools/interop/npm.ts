import { createRequire } from 'node:module';

const require = createRequire(new URL('../../../../spec/tools/interop/package.json', import.meta.url));

/** A client or server of npm, from the `package.json` here, which is installed for these specs only. It has no types. */
export const fromNpm = (name: string): any => require(name);

/** The path of one of its files, such as a program: `pathFromNpm('typescript/lib/tsserver.js')`. */
export const pathFromNpm = (file: string): string => require.resolve(file);
