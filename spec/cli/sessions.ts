/** The sessions of a page: its blocks of `console`, run in a shell. */
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { Process, temporaryDirectory } from '../support/programs.js';
import { main } from './command.js';

export interface Session {
  /** All of the block. */
  readonly text: string;
  readonly commands: string[];
  readonly output: string[];
}

export function sessionsOf(page: string): Session[] {
  return Array.from(page.matchAll(/```console\n(.*?)```/gs), ([, text]) => {
    const lines = text!.trimEnd().split('\n');
    const commands = lines.filter((line) => line.startsWith('$ ')).map((line) => line.slice(2));
    return { text: text!, commands, output: lines.filter((line) => !line.startsWith('$ ')) };
  });
}

/** What each command of a session prints. One that ends in `&` goes on when it listens. */
export async function play(commands: readonly string[]): Promise<string[][]> {
  const folder = temporaryDirectory();
  mkdirSync(join(folder, 'bin'));
  mkdirSync(join(folder, 'work'));
  symlinkSync(main, join(folder, 'bin', 'length-prefix'));
  const env = { PATH: `${join(folder, 'bin')}:${process.env.PATH}` };
  const shell = new Process('sh', ['-c', 'exec sh 2>&1'], { cwd: join(folder, 'work'), env, group: true });
  const outputs: string[][] = [];
  let seen = 0;
  for (const [i, command] of commands.entries()) {
    shell.child.stdin!.write(`${command}\necho; echo "-- ${i}"\n`);
    await shell.line(`-- ${i}`);
    if (command.endsWith('&')) await shell.line(/^Listening on /, listenersIn(commands.slice(0, i + 1)));
    const lines = shell.lines.slice(seen);
    seen = shell.lines.length;
    outputs.push(lines.filter((line) => line !== '' && !line.startsWith('-- ')));
  }
  shell.kill();
  await shell.ended;
  return outputs;
}

const listenersIn = (commands: readonly string[]) => commands.filter((command) => command.endsWith('&')).length;

/** A line without what differs from run to run. */
export function timeless(line: string): string {
  return line.replace(/^ *\d+ (#\d+)/, '   TIME $1').trimEnd();
}
