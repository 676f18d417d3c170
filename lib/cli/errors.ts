/** How errors are told: in one line, on the standard error. */
import { escaped } from './text.js';

/** The exit codes: see `exitCodes` in help.ts, which documents them. */
export const exit = { failure: 1, usage: 2, wire: 3, interrupted: 130 } as const;

/** The command was called in a way that makes no sense. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly code = 'ERR_USAGE';
}

export function exitCodeOf(error: unknown): number {
  const { code = '', name } = error as NodeJS.ErrnoException;
  if (code === 'ERR_USAGE' || code.startsWith('ERR_PARSE_ARGS')) return exit.usage;
  return name === 'FrameError' || code.startsWith('ERR_FRAME') ? exit.wire : exit.failure;
}

/** Options of the library, in its errors: none that somebody wrote with dashes. */
const LIBRARY =
  /options\.(\w+)|(?<!-)\b(length(?:Field(?:Offset)?|Adjustment)|initialBytesToStrip|headerMask|(?:max|min)PayloadLength|frameTimeout)\b/g;

function flagOf(option: string): string {
  return `--${option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** An error in one line, with its code. */
export function describe(error: unknown): string {
  // A host name can stand for several addresses, and each one of them has failed.
  const first = error instanceof AggregateError ? error.errors[0] : error;
  const { code, message } = first as NodeJS.ErrnoException;
  const line = escaped(message.replaceAll('\n', ' ')).replace(LIBRARY, (_, option: string, name = option) =>
    flagOf(name),
  );
  // Node's system errors have their code in the message. Of what is wrong with an option, the code is of no use.
  const isComplete =
    code === undefined || message.includes(code) || /^ERR_(PARSE_ARGS|USAGE|INVALID_ARG|OUT_OF)/.test(code);
  return isComplete ? line : `${code}: ${line}`;
}

let isQuiet = false;

/** From here on only errors are told. */
export function beQuiet(): void {
  isQuiet = true;
}

/** Writes a line to the standard error. */
export function complain(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Tells in a line on the standard error how things are going. */
export function notice(line: string): void {
  if (!isQuiet) complain(line);
}

/**
 * Ends the program when the standard error has all that was written to it.
 *
 * @param patience the most ms to wait for that
 */
export function leave(code: number, patience?: number): void {
  process.stderr.write('', () => process.exit(code));
  if (patience !== undefined) setTimeout(() => process.exit(code), patience);
}

// Nobody need read it.
process.stderr.on('error', () => {});
