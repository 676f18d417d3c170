/** The texts of --help. */
import { type Command, commands } from './commands.js';
import { exit } from './errors.js';
import type { Option } from './options.js';

const WIDTH = 80;

/** A text in lines, behind a margin. */
function wrapped(text: string, margin: number, width = WIDTH): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && margin + line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line += line === '' ? word : ` ${word}`;
    }
  }
  return [...lines, line];
}

const LEFT = 27;

/** A name on the left, a text on the right. */
function row(name: string, text: string, left = LEFT): string {
  const [first, ...rest] = wrapped(text, left);
  const begin = name.length + 2 <= left ? name.padEnd(left) : `${name}\n${' '.repeat(left)}`;
  return [`${begin}${first}`, ...rest.map((line) => ' '.repeat(left) + line)].join('\n');
}

function optionRow([name, { short, value, text }]: [string, Option]): string {
  const flags = `  --${name}${value === undefined ? '' : ` ${value}`}${short === undefined ? '' : `, -${short}`}`;
  return row(flags, text);
}

export function helpOf({ name, usage, summary, text, groups, examples }: Command): string {
  const sections = Object.entries(groups).map(([title, options]) =>
    [`${title}:`, ...Object.entries(options).map(optionRow)].join('\n'),
  );
  const hasDefaults = Object.values(groups).some((options) =>
    Object.values(options).some(({ text }) => text.endsWith(')')),
  );
  const shown = examples.map(([call, what]) => `  ${call}\n      ${what}`);
  const about = `${summary[0]!.toUpperCase()}${summary.slice(1)}.${text === '' ? '' : ` ${text}`}`;
  return [
    `Usage: length-prefix ${name} ${usage === '' ? '' : `[OPTION...] ${usage}`}`,
    wrapped(about, 0).join('\n'),
    ...sections,
    ...(hasDefaults ? ['Defaults are in brackets.'] : []),
    ['Examples:', ...shown].join('\n'),
  ].join('\n\n');
}

export const exitCodes: readonly (readonly [code: number, text: string])[] = [
  [0, 'all went well'],
  [exit.failure, 'a connection, a file or the output failed, or the input is not as --input says'],
  [exit.usage, 'an option or an argument makes no sense'],
  [exit.wire, 'bytes came that are not in the format, or a message does not fit into it'],
  [exit.interrupted, 'Ctrl+C ended connect'],
];

export function help(): string {
  return [
    'Usage: length-prefix COMMAND [OPTION...]',
    'Talks to, watches, cuts and decodes anything that is length-prefixed.',
    ['Commands:', ...commands.map(({ name, summary }) => row(`  ${name}`, summary, 14))].join('\n'),
    ['Exit codes:', ...exitCodes.map(([code, text]) => row(`  ${code}`, text, 8))].join('\n'),
    'length-prefix COMMAND --help has the options of a command. NO_COLOR=1 switches off colours.',
  ].join('\n\n');
}
