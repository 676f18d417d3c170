/** The options of all commands, in groups, and how they are read. */
import { parseArgs } from 'node:util';
import { nearest } from '../wire/options.js';
import { UsageError } from './errors.js';
import { escaped } from './text.js';

export interface Option {
  readonly type: 'string' | 'boolean';
  readonly short?: string;
  /** How its value is called in the help. */
  readonly value?: string;
  readonly text: string;
  /** For completion: what the value can be. */
  readonly choices?: readonly string[];
}

export type Options = Readonly<Record<string, Option>>;
export type Values = Readonly<Record<string, string | boolean | undefined>>;

const lengthFields = [
  'uint8',
  ...[16, 24, 32, 40, 48, 56, 64].flatMap((bits) => [`uint${bits}le`, `uint${bits}be`]),
  'varint',
];

export const formatOptions: Options = {
  format: {
    type: 'string',
    value: 'NAME',
    text: 'a format of the catalogue (see length-prefix formats); the options below change it',
  },
  'length-field': {
    type: 'string',
    value: 'FIELD',
    text: 'how the length is written: uint8, uint16le, uint16be and so on up to 64 bits, or varint (uint32le)',
    choices: lengthFields,
  },
  'length-field-offset': { type: 'string', value: 'N', text: 'bytes in front of the length (0)' },
  'length-adjustment': {
    type: 'string',
    value: 'N',
    text: 'added to the length to get the number of bytes that follow it (0)',
  },
  'initial-bytes-to-strip': {
    type: 'string',
    value: 'N',
    text: 'bytes cut off the front of a frame (all up to the end of the length)',
  },
  header: {
    type: 'string',
    value: 'HEX',
    text: 'the bytes that are cut off, zeros in the place of the length; they are written, and checked (zeros, not checked)',
  },
  'header-mask': { type: 'string', value: 'HEX', text: 'the bits of the header that are checked (all)' },
  trailer: { type: 'string', value: 'HEX', text: 'the bytes behind each message, such as 0xce (none)' },
  'max-payload-length': { type: 'string', value: 'N', text: 'the most bytes that may follow the length (16777216)' },
  'min-payload-length': { type: 'string', value: 'N', text: 'the fewest bytes that may follow the length (0)' },
  explain: { type: 'boolean', text: 'draws a frame of this format, and does nothing else' },
};

export const outputOptions: Options = {
  json: { type: 'boolean', text: 'one JSON object a line: messages in base64, with --hex in hex, with --text as text' },
  hex: { type: 'boolean', text: 'each message in hex, one a line' },
  text: { type: 'boolean', text: 'each message as text, one a line, control characters escaped' },
  raw: { type: 'boolean', text: 'the bytes of the messages, and nothing else' },
  bytes: {
    type: 'string',
    value: 'N',
    text: 'the most bytes of a message that a line shows, 100000000 at the most (16; with --json 65536)',
  },
  count: { type: 'string', value: 'N', text: 'stops after so many messages' },
  output: { type: 'string', short: 'o', value: 'FILE', text: 'writes to FILE in place of the standard output' },
  quiet: { type: 'boolean', short: 'q', text: 'prints errors alone, no messages and no notices' },
};

export const wholeOption: Options = {
  whole: { type: 'boolean', text: 'shows frames whole, with header and trailer' },
};

export const tlsOptions: Options = {
  tls: { type: 'boolean', text: 'uses TLS' },
  cacert: { type: 'string', value: 'FILE', text: 'the certificates to trust, in PEM' },
  cert: { type: 'string', value: 'FILE', text: 'the certificate of this side, in PEM' },
  key: { type: 'string', value: 'FILE', text: 'the key of that certificate, in PEM' },
};

export const tlsClientOptions: Options = {
  ...tlsOptions,
  insecure: { type: 'boolean', short: 'k', text: "does not check the server's certificate" },
  servername: { type: 'string', value: 'NAME', text: 'the name to ask for, and to find in the certificate (the host)' },
};

export const connectOptions: Options = {
  wait: {
    type: 'string',
    short: 'w',
    value: 'SECONDS',
    text: 'the longest time to connect, and to wait for the next answer when all is sent',
  },
  retry: {
    type: 'string',
    value: 'N',
    text: 'how often to try again where nobody listens, after 1, 2, 4 ... seconds (0)',
  },
};

export const timeoutOption: Options = {
  'frame-timeout': { type: 'string', value: 'MS', text: 'the longest time from the first byte of a frame to its last' },
};

export const inputOption: Options = {
  input: {
    type: 'string',
    value: 'FORM',
    text: 'the form of the standard input: lines, each one message; ndjson, lines that are checked; hex, lines of hex digits; whole, all of it one message (lines)',
    choices: ['lines', 'ndjson', 'hex', 'whole'],
  },
};

export const helpOption: Options = { help: { type: 'boolean', short: 'h', text: 'shows this text' } };

/** A negative number is a value, not an option. */
function joined(args: readonly string[], options: Options): string[] {
  const all: string[] = [];
  for (const arg of args) {
    const before = all.at(-1);
    const takes = before?.startsWith('--') && options[before.slice(2)]?.type === 'string';
    if (takes && /^-\d+$/.test(arg)) all[all.length - 1] = `${before}=${arg}`;
    else all.push(arg);
  }
  return all;
}

/** The name that somebody may have meant: one that begins so, or is nearly the same. */
export function meant(name: string, names: readonly string[]): string | undefined {
  return names.find((each) => each.startsWith(name)) ?? nearest(name, names);
}

function unknownOption(flag: string, options: Options, instead: Readonly<Record<string, string>>): UsageError {
  const name = flag.replace(/^-+/, '');
  const found = meant(name, Object.keys(options));
  const nearest = found === undefined ? '' : `, the nearest is --${found}`;
  const hint = Object.hasOwn(instead, name) ? `: give ${instead[name]}` : nearest;
  return new UsageError(`There is no option ${escaped(flag)}${hint}`);
}

/**
 * Reads the arguments of a command.
 *
 * @param instead what to give for options that it has not
 */
export function read(
  args: readonly string[],
  options: Options,
  instead: Readonly<Record<string, string>> = {},
): { values: Values; positionals: string[] } {
  const config = Object.fromEntries(
    Object.entries(options).map(([name, { type, short }]) => [name, short === undefined ? { type } : { type, short }]),
  );
  const parsed = { args: joined(args, options), options: config, allowPositionals: true };
  for (const token of parseArgs({ ...parsed, strict: false, tokens: true }).tokens) {
    if (token.kind === 'option' && !Object.hasOwn(options, token.name))
      throw unknownOption(token.rawName, options, instead);
  }
  const { values, positionals } = parseArgs(parsed);
  for (const [name, value] of Object.entries(values)) {
    if (value === '') throw new UsageError(`--${name} must not be empty`);
  }
  return { values: values as Values, positionals };
}

/** The whole number that an option gives; undefined where it is not given. */
export function wholeNumber(
  values: Values,
  name: string,
  least = 0,
  most = Number.MAX_SAFE_INTEGER,
): number | undefined {
  const text = values[name];
  if (text === undefined) return undefined;
  if (!/^-?\d+$/.test(String(text))) throw new UsageError(`--${name} must be a whole number, not '${text}'`);
  const number = Number(text);
  if (number >= least && number <= most) return number;
  const open = number > most ? `at most ${most}` : `${least} or more`;
  const range = most === Number.MAX_SAFE_INTEGER ? open : `${least} to ${most}`;
  throw new UsageError(`--${name} must be ${range}, not ${text}`);
}

/** The time that an option gives, in ms. */
export function seconds(values: Values, name: string): number | undefined {
  const text = values[name];
  if (text === undefined) return undefined;
  const ms = /^\d+(\.\d+)?$/.test(String(text)) ? 1000 * Number(text) : Number.NaN;
  if (!(ms > 0 && ms < 2 ** 31)) throw new UsageError(`--${name} must be a number of seconds above 0, not '${text}'`);
  return ms;
}

/** A command takes one argument of a kind. */
export function refuseMore(kind: string, second: string | undefined): void {
  if (second !== undefined) throw new UsageError(`There is 1 ${kind} at the most: '${second}' is one too many`);
}

/** Where both sides of a connection are printed. */
export function refuseRaw(values: Values): void {
  if (values.raw === true) throw new UsageError('--raw would mix the bytes of both sides: --json tells them apart');
}

/** Options that exclude each other. */
export function atMostOne(values: Values, ...names: string[]): void {
  const given = names.filter((name) => values[name] !== undefined).map((name) => `--${name}`);
  if (given.length > 1) throw new UsageError(`${given.join(' and ')} exclude each other`);
}
