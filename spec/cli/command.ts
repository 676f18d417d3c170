/** Runs the command `length-prefix` as a user does. */
import { fileURLToPath } from 'node:url';
import { Process, type ProcessSettings, portOf } from '../support/programs.js';
import { programArgs, type RunSettings } from '../support/runtime.js';

/** The command, bundled as it is in the package. */
export const main = fileURLToPath(new URL('../../bundle/cli/main.js', import.meta.url));

interface Settings extends ProcessSettings, RunSettings {}

/** What is told on the standard error where all goes well, and the drawing of a fault. */
const NOTICES = /^(Listening on |Sent | {2}[ a-z])/;

export class Command extends Process {
  constructor(args: string[], settings: Settings = {}) {
    super(process.execPath, [...programArgs(main, settings), ...args], { notices: NOTICES, ...settings });
  }

  /** What it wrote to its standard output, to its end. */
  async output(input = ''): Promise<string[]> {
    this.child.stdin!.end(input);
    await this.succeeds();
    return this.lines;
  }
}

export interface Started {
  server: Command;
  port: number;
}

/** `length-prefix listen` on a free port. */
export async function startListen(args: string[] = [], settings?: Settings): Promise<Started> {
  const server = new Command(['listen', '--port', '0', ...args], settings);
  return { server, port: portOf(await server.line(/^Listening on /)) };
}

/** `length-prefix tap` on a free port. */
export async function startTap(target: number, args: string[] = [], settings?: Settings): Promise<Started> {
  const server = new Command(['tap', `127.0.0.1:${target}`, ...args], settings);
  return { server, port: portOf(await server.line(/^Listening on /)) };
}

/** The line of a message of this length that a listener has printed. */
export const received = (length: number) => new RegExp(`^ *\\d+ #\\d+ +-> +\\d+ (-|[0-9a-f]{2} .) +${length}( |$)`);

/** The lengths of the messages in lines. */
export function lengthsIn(lines: readonly string[]): number[] {
  return lines
    .flatMap((line) => /^ *\d+ #\d+ +-> +\d+ (?:-|[0-9a-f]{2} .) +(\d+)(?: |$)/.exec(line)?.[1] ?? [])
    .map(Number);
}

interface Tapped {
  /** Of the connection. */
  number: number;
  direction: string;
  position: number;
  /** `51 Q`, or `-` */
  type: string;
  length: number;
}

/** The messages that a tap has printed. */
export function tapped(tap: Process): Tapped[] {
  return tap.lines.flatMap((line) => {
    const match = /^ *\d+ #(\d+) +(->|<-) +(\d+) (-|[0-9a-f]{2} .) +(\d+) /.exec(line);
    if (match === null) return [];
    const [number, direction, position, type, length] = match.slice(1) as [string, string, string, string, string];
    return { number: Number(number), direction, position: Number(position), type, length: Number(length) };
  });
}
