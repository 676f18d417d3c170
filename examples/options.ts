/** What the programs share: the options for the wire format, and how they say what went wrong. */
import { once } from 'node:events';
import type { AddressInfo, Server } from 'node:net';
import { type FormatOptions, LengthPrefixDecoder } from 'length-prefix';

export const sharedOptions = {
  host: { type: 'string', default: '127.0.0.1' },
  port: { type: 'string', default: '11000' },
  'length-field': { type: 'string', default: 'uint32le' },
  'length-field-offset': { type: 'string', default: '0' },
  'length-adjustment': { type: 'string', default: '0' },
  strip: { type: 'string' },
  max: { type: 'string', default: '16777216' },
  help: { type: 'boolean', short: 'h' },
} as const;

/** Where to connect to, for programs that stand in front of a server. */
export const targetOptions = {
  'target-host': { type: 'string', default: '127.0.0.1' },
  'target-port': { type: 'string' },
} as const;

export const targetUsage = `  --target-host HOST       the address of the server behind it (127.0.0.1)
  --target-port PORT       the port of the server behind it`;

export const usageWithoutStrip = `  --host HOST              the server's address (127.0.0.1)
  --port PORT              the server's port (11000)
  --help, -h               shows this text

The wire format, the same at both ends:

  --length-field NAME      how the length is written: uint8, uint16le, uint16be
                           and so on up to 64 bits, or varint (uint32le)
  --length-field-offset N  the bytes in front of the length (0)
  --length-adjustment N    added to the length, to get the number of bytes that
                           follow it; a negative one is written with an equals
                           sign, --length-adjustment=-4 (0)
  --max BYTES              the most bytes that may follow the length (16777216)`;

export const sharedUsage = `${usageWithoutStrip}
  --strip N                the bytes cut off the front of a frame, to get the
                           message (all up to the end of the length)`;

/** The options above, as `parseArgs` returns them. */
interface SharedValues {
  host: string;
  port: string;
  'length-field': string;
  'length-field-offset': string;
  'length-adjustment': string;
  strip?: string | undefined;
  max: string;
}

/** The wire format, as the library takes it, with its own defaults filled in. */
export interface WireFormat extends FormatOptions {
  lengthField: NonNullable<FormatOptions['lengthField']> & string;
  lengthFieldOffset: number;
  lengthAdjustment: number;
  maxPayloadLength: number;
}

/** Checks the options above. */
export function checkedOptions(values: SharedValues): { host: string; port: number; format: WireFormat } {
  const port = portNumber('--port', values.port);
  const format: WireFormat = {
    lengthField: values['length-field'] as WireFormat['lengthField'],
    lengthFieldOffset: wholeNumber('--length-field-offset', values['length-field-offset']),
    lengthAdjustment: wholeNumber('--length-adjustment', values['length-adjustment']),
    initialBytesToStrip: values.strip === undefined ? undefined : wholeNumber('--strip', values.strip),
    maxPayloadLength: wholeNumber('--max', values.max),
  };
  try {
    // The library checks the rest, and says what would be allowed.
    new LengthPrefixDecoder(format);
  } catch (error) {
    const message = (error as Error).message.replace(', or a LengthField', '');
    throw new Error(message.replace(/options\.(\w+)/, (_, name: string) => flags[name] ?? name));
  }
  return { host: values.host, port, format };
}

/** Checks the options that say where to connect to. */
export function checkedTarget(values: { 'target-host': string; 'target-port'?: string | undefined }) {
  if (values['target-port'] === undefined) throw new Error('There is no --target-port. --help tells more');
  return { host: values['target-host'], port: portNumber('--target-port', values['target-port']) };
}

/** What the library's options are called here. */
const flags: Record<string, string> = {
  lengthField: '--length-field',
  lengthFieldOffset: '--length-field-offset',
  lengthAdjustment: '--length-adjustment',
  initialBytesToStrip: '--strip',
  maxPayloadLength: '--max',
};

function portNumber(flag: string, text: string): number {
  const port = wholeNumber(flag, text);
  if (port < 0 || port > 65_535) throw new Error(`${flag} must be 0 to 65535, not ${port}`);
  return port;
}

export function wholeNumber(flag: string, text: string): number {
  if (!/^-?\d+$/.test(text)) throw new Error(`${flag} must be a whole number, not '${text}'`);
  return Number(text);
}

/** `127.0.0.1:11000`, `[::1]:11000`. */
export function shownAddress(host = 'unknown', port = 0): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Has a server listen. Returns where, to be shown. */
export async function listen(server: Server, host: string, port: number): Promise<string> {
  server.listen(port, host);
  await once(server, 'listening');
  server.on('error', (error) => console.error(describe(error)));
  const bound = server.address() as AddressInfo;
  return shownAddress(bound.address, bound.port);
}

/** An error in one line, with its code. */
export function describe(error: unknown): string {
  // A host name can stand for several addresses, and each one of them has failed.
  const first = error instanceof AggregateError ? error.errors[0] : error;
  const { code, message } = first as NodeJS.ErrnoException;
  const line = message.replaceAll('\n', ' ');
  // Node's system errors have their code in the message. What is wrong with an option needs none.
  const isComplete = code === undefined || message.includes(code) || code.startsWith('ERR_PARSE_ARGS');
  return isComplete ? line : `${code}: ${line}`;
}

/** Runs a program. What fails is told in one line: the user of a program can't do much with a stack trace. */
export async function run(name: string, main: () => Promise<void>): Promise<void> {
  try {
    await main();
  } catch (error) {
    process.stderr.write(`${name}: ${describe(error)}\n`, () => process.exit(1));
  }
}
