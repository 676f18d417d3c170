#!/usr/bin/env node
/** The command `length-prefix`: finds the command that is asked for, and tells how it went. */
import { createRequire } from 'node:module';
import { type Command, commands, optionsOf } from './commands.js';
import { beQuiet, complain, describe, exit, exitCodeOf, leave, UsageError } from './errors.js';
import { help, helpOf } from './help.js';
import { read, type Values } from './options.js';
import { PATIENCE, print } from './output.js';

interface Module {
  /** Resolves with the exit code, or with nothing where it goes on. */
  run(values: Values, positionals: readonly string[]): Promise<number | undefined>;
}

/** Loaded when they are called: --help needs none of them. */
const modules: Readonly<Record<string, () => Promise<Module>>> = {
  listen: () => import('./listen.js'),
  connect: () => import('./connect.js'),
  tap: () => import('./tap.js'),
  decode: () => import('./decode.js'),
  encode: () => import('./encode.js'),
  formats: () => import('./formats.js'),
  completion: () => import('./completion.js'),
};

function commandNamed(name: string): Command {
  const found = commands.find((command) => command.name === name);
  if (found !== undefined) return found;
  throw new UsageError(`The command must be one of ${commands.map((each) => each.name).join(', ')}, not '${name}'`);
}

async function main([name, ...args]: readonly string[]): Promise<number | undefined> {
  if (name === undefined) throw new UsageError('There is no command: --help lists them');
  if (name === '--help' || name === '-h') return print(help());
  if (name === '--version') return print(createRequire(import.meta.url)('length-prefix/package.json').version);
  if (name === 'help') return print(args[0] === undefined ? help() : helpOf(commandNamed(args[0])));
  const command = commandNamed(name);
  const { values, positionals } = read(args, optionsOf(command), command.instead);
  if (values.help === true) return print(helpOf(command));
  if (values.quiet === true) beQuiet();
  if (values.explain === true) return (await import('./explain.js')).explain(values);
  return (await modules[name]!()).run(values, positionals);
}

const args = process.argv.slice(2);
try {
  const code = await main(args);
  // Those that serve end by themselves.
  if (code !== undefined) leave(code, code === exit.interrupted ? PATIENCE : undefined);
} catch (error) {
  if (!(error as { isTold?: boolean }).isTold) {
    const code = exitCodeOf(error);
    const more =
      code === exit.usage
        ? ` (length-prefix ${commands.find(({ name }) => name === args[0])?.name ?? ''} --help)`.replace('  ', ' ')
        : '';
    complain(`length-prefix: ${describe(error)}${more}`);
  }
  leave(exitCodeOf(error));
}
