/**
 * `npm run docs`: makes the API reference in `docs/` of the docstrings in `lib/`, for all that package.json exports. Fails
 * when a name, an option, a method or a property that users see has none, or has a link that leads nowhere.
 *
 * Its tools are a package of their own: TypeDoc asks for a TypeScript whose programming interface it knows.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Application, Converter, ReflectionKind } from 'typedoc';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const { name, exports } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'));

/** The sources that users import, and what they call them. */
const entries = new Map();
for (const [path, target] of Object.entries(exports)) {
  const source = target.default?.match(/^\.\/dist\/(lib\/.+)\.js$/)?.[1];
  if (source !== undefined) entries.set(`${root}${source}.ts`, path.replace('.', name));
}

const app = await Application.bootstrap({
  name,
  entryPoints: [...entries.keys()],
  tsconfig: `${root}tsconfig.json`,
  out: `${root}docs`,
  readme: 'none',
  disableSources: true,
  disableGit: true,
  // What is Node's is in Node's documentation.
  excludeExternals: true,
  excludeInternal: true,
  excludePrivate: true,
  excludeProtected: true,
  validation: { notExported: true, invalidLink: true, notDocumented: true },
  requiredToBeDocumented: [
    'Module',
    'Class',
    'Interface',
    'TypeAlias',
    'Variable',
    'Function',
    'Enum',
    'EnumMember',
    'Constructor',
    'Method',
    'Property',
    'Accessor',
  ],
});

app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
  // `_write` and its like are between Node and who makes a stream, not for who uses one.
  for (const method of project.getReflectionsByKind(ReflectionKind.Method)) {
    if (method.name.startsWith('_')) project.removeReflection(method);
  }
  // Else they would get the docstring of what they extend.
  for (const type of project.getReflectionsByKind(ReflectionKind.ClassOrInterface)) {
    if (!type.hasComment()) app.logger.warn(`${type.getFriendlyFullName()} does not have any documentation of its own`);
  }
});

const project = await app.convert();
if (project !== undefined) {
  app.validate(project);
  const modules = project.getReflectionsByKind(ReflectionKind.Module).map((module) => module.name);
  for (const entry of modules.length > 0 ? entries.values() : []) {
    if (!modules.includes(entry)) app.logger.warn(`No source says @module ${entry}, which is what users import`);
  }
  await app.generateOutputs(project);
}
if (app.logger.hasErrors() || app.logger.hasWarnings()) process.exitCode = 1;
