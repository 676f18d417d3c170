/**
 * `npm run docs`: makes the API reference in `docs/` of the docstrings in `lib/`, for all that package.json exports. Its
 * first page is the README, with a list of all names by topic; the other pages for users are there, too. Fails when a
 * name, an option, a method or a property that users see has no docstring, when an option does not say its default, when
 * a name has no topic, and when a link leads nowhere.
 *
 * Its tools are a package of their own: TypeDoc asks for a TypeScript whose programming interface it knows.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Application, Comment, CommentTag, Converter, ReflectionKind } from 'typedoc';
import { headingsOf } from './headings.js';
import { overviewOf, sortGroups, topicOf, topics } from './overview.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const { name, exports } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'));

/** The sources that users import, and what they call them. */
const entries = new Map();
for (const [path, target] of Object.entries(exports)) {
  if (path === './package.json') continue;
  const source = target.types.match(/^\.\/dist\/(lib\/.+)\.d\.ts$/)[1];
  entries.set(`${root}${source}.ts`, path.replace('.', name));
}

/** The pages for users, apart from the README. */
const pages = readdirSync(root, { recursive: true })
  .filter((page) => page.endsWith('.md') && !/(^|\/)(node_modules|dist|docs|\.github)\//.test(page))
  .filter((page) => page !== 'README.md' && page !== 'CONTRIBUTING.md')
  .sort();

const app = await Application.bootstrap({
  name,
  entryPoints: [...entries.keys()],
  tsconfig: `${root}tsconfig.json`,
  out: `${root}docs`,
  readme: `${root}README.md`,
  projectDocuments: pages.map((page) => `${root}${page}`),
  sort: ['source-order'],
  groupOrder: [...topics, 'Constructors', 'Properties', 'Accessors', 'Methods'],
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

app.converter.on(Converter.EVENT_CREATE_DOCUMENT, (_, page) => {
  page.content = headingsOf(page.content);
  // A page is called as its heading says.
  const [heading, ...rest] = page.content[0].text.split('\n');
  page.name = heading.replace('# ', '');
  page.content[0].text = rest.join('\n');
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
  for (const option of project.getReflectionsByKind(ReflectionKind.Property)) {
    if (!option.flags.isOptional || !option.parent.name.endsWith('Options') || option.inheritedFrom) continue;
    const text = option.comment?.summary.map((part) => part.text).join('');
    if (!/\bDefault: /.test(text)) app.logger.warn(`${option.getFriendlyFullName()} does not say what its default is`);
  }
  // The docstrings of what is in a frozen object would not be shown.
  for (const variable of project.getReflectionsByKind(ReflectionKind.Variable)) {
    if (variable.type.name === 'Readonly') [variable.type] = variable.type.typeArguments;
  }
  for (const module of project.getReflectionsByKind(ReflectionKind.Module)) {
    for (const child of module.children) {
      const topic = topicOf(child.name);
      if (topic === undefined) app.logger.warn(`${child.getFriendlyFullName()} has no topic: see overview.js`);
      if (child.kindOf(ReflectionKind.Reference)) child.comment = new Comment();
      const comment = child.comment ?? child.signatures?.[0].comment;
      comment?.blockTags.push(new CommentTag('@group', [{ kind: 'text', text: topic ?? '' }]));
    }
  }
});

// The groups are made by now. The list of names comes behind the example that the README begins with.
app.converter.on(
  Converter.EVENT_RESOLVE_END,
  ({ project }) => {
    const modules = project.getReflectionsByKind(ReflectionKind.Module);
    for (const module of modules) sortGroups(module);
    const at = project.readme.findIndex(({ text }) => text.includes('\n## Typed messages'));
    const [before, behind] = project.readme[at].text.split(/(?=\n## Typed messages)/);
    const list = [{ kind: 'text', text: before }, ...overviewOf(modules), { kind: 'text', text: behind }];
    project.readme.splice(at, 1, ...list);
  },
  -1000,
);

const project = await app.convert();
if (project !== undefined) {
  app.validate(project);
  const modules = project.getReflectionsByKind(ReflectionKind.Module).map((module) => module.name);
  for (const entry of entries.values()) {
    if (!modules.includes(entry)) app.logger.warn(`No source says @module ${entry}, which is what users import`);
  }
  await app.generateOutputs(project);
}
if (app.logger.hasErrors() || app.logger.hasWarnings()) process.exitCode = 1;
