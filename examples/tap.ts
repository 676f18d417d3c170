/**
 * A tap: passes on all bytes between clients and a server as they are, and prints each message that crosses.
 *
 *     npm run tap -- --port 15432 --target-port 5432 --format postgres
 */
import { connect, createServer, type Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { parseArgs } from 'node:util';
import { type FormatOptions, type FrameError, formats, LengthPrefixDecoder } from 'length-prefix';
import { type Opening, openings, whole } from './conversation.js';
import {
  checkedOptions,
  checkedTarget,
  describe,
  listen,
  run,
  sharedOptions,
  shownAddress,
  targetOptions,
  targetUsage,
  usageWithoutStrip,
  wholeNumber,
} from './options.js';

const usage = `Usage: npm run tap -- [options] --target-port PORT

Passes on all bytes between clients and a server as they are, and prints each
message that crosses, in one line: milliseconds, the number of the connection,
-> from the client or <- from the server, the place in the stream, the first
byte where it is in front of the length, the length of all, the first bytes.

  --format NAME            the wire format, by the name that it has in the
                           library, such as postgres, kafka or tls; goes with
                           --max, and in the place of the rest of the below
  --bytes N                how many bytes of each message are printed (16)
${targetUsage}
${usageWithoutStrip}`;

// Nothing is stripped: what is in front of a message is of interest, too.
const { strip: _, ...wireOptions } = sharedOptions;
const tapOptions = { format: { type: 'string' }, bytes: { type: 'string', default: '16' } } as const;

async function main(): Promise<void> {
  const options = { ...wireOptions, ...targetOptions, ...tapOptions };
  const { values, tokens } = parseArgs({ options, tokens: true });
  if (values.help) return console.log(usage);
  const { host, port, format: described } = checkedOptions(values);
  const target = checkedTarget(values);
  const shown = wholeNumber('--bytes', values.bytes);
  if (shown < 0) throw new Error(`--bytes must be 0 or more, not ${shown}`);
  const given = tokens.flatMap((token) => (token.kind === 'option' ? token.name : []));
  const max = given.includes('max') ? { maxPayloadLength: described.maxPayloadLength } : {};
  const format = values.format === undefined ? described : { ...formatNamed(values.format, given), ...max };

  let connectionCount = 0;
  // Half-open: a client that has no more to send gets what the server still answers.
  const tap = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const server = connect({ ...target, allowHalfOpen: true, noDelay: true });
    const connection = `#${++connectionCount}`;
    print(`${connection} is ${shownAddress(client.remoteAddress, client.remotePort)}`);

    let isReset = false;
    for (const [socket, peer, direction] of [
      [client, server, '->'],
      [server, client, '<-'],
    ] as const) {
      const say = (what: string) => {
        print(`${performance.now().toFixed(0).padStart(7)} ${connection.padEnd(3)} ${direction} ${what}`);
      };
      // After a reset neither side ends.
      const opening = openings[values.format ?? '']?.[direction];
      watch(socket, format, opening, shown, say, () => !isReset && socket.readableEnded);
      socket.on('error', (error) => {
        say(describe(error));
        isReset = true;
        // To end it would say that all is well.
        peer.resetAndDestroy();
      });
    }
    // The bytes go their own way, at the pace of who reads them: what is printed has no part in it.
    client.pipe(server).pipe(client);
  });
  console.log(`Listening on ${await listen(tap, host, port)}`);
}

/** Prints the messages that a socket receives. */
function watch(
  socket: Socket,
  format: FormatOptions,
  opening: Opening | undefined,
  shown: number,
  say: (what: string) => void,
  hasEnded: () => boolean,
): void {
  let position = 0;
  const show = (type: number | undefined, length: number, bytes: Buffer) => {
    say(line(position, type, length, bytes, shown));
    position += length;
  };

  const onEnd = () => {
    if (hasEnded()) say(`end, after ${position} bytes`);
  };
  const feed = (decoder: LengthPrefixDecoder<false, Buffer, boolean>, source: Readable) => {
    const start = position;
    decoder.on('error', (error: FrameError) => {
      const at = `at byte ${start + error.position}`;
      const text = describe(error)
        .replace('maxPayloadLength', '--max')
        .replace(/at byte \d+/, at);
      say(error.code === 'ERR_FRAME_TRUNCATED' ? text : `${text}. All that follows is passed on, but not decoded`);
    });
    source.on('data', (chunk) => {
      if (decoder.writable) decoder.write(chunk);
    });
    source.on('end', () => decoder.end());
    source.on('close', () => decoder.end());
  };

  const watchRest = (source: Readable, format: FormatOptions) => {
    const { lengthFieldOffset = 0 } = format;
    // Of a message of any length no more is kept than is printed.
    const decoder = new LengthPrefixDecoder({ ...whole(format), stream: true });
    decoder.on('data', ({ length, body }) => {
      const wanted = Math.min(length, Math.max(shown, 1));
      let bytes = Buffer.alloc(0);
      const showBytes = () => show(lengthFieldOffset > 0 ? bytes[0] : undefined, length, bytes.subarray(0, shown));
      body.on('data', (part: Buffer) => {
        // What waited already still comes.
        if (body.destroyed) return;
        bytes = Buffer.concat([bytes, part.subarray(0, wanted - bytes.length)]);
        if (bytes.length < wanted) return;
        showBytes();
        // The rest is passed over.
        body.destroy();
      });
      // The connection ended inside it: what came of it is printed, and the decoder tells.
      body.on('error', showBytes);
    });
    decoder.on('end', onEnd);
    feed(decoder, source);
  };

  if (opening === undefined) {
    watchRest(socket, format);
    return;
  }
  let rest: FormatOptions | undefined;
  const formatAfter = (message: Buffer) => {
    rest = opening.after(message, format);
    return rest && null;
  };
  const decoder = new LengthPrefixDecoder({ ...whole(format, opening), formatAfter });
  decoder.on('data', (message) => {
    // An answer of one byte has no length; messages that begin with theirs are short.
    const type = message.length > 1 && message[0]! > 0 ? message[0] : undefined;
    show(type, message.length, message.subarray(0, shown));
  });
  decoder.on('end', () => (rest ? watchRest(decoder.detach(), rest) : onEnd()));
  feed(decoder, socket);
}

const unprinted: string[] = [];

/** Prints a line, together with the others of one turn of the event loop: one at a time would take three times as long. */
function print(text: string): void {
  if (unprinted.push(text) === 1) setImmediate(() => console.log(unprinted.splice(0).join('\n')));
}

/** `      1234 51 Q        14 51 00 00 00 0d 53 45 ...  Q....SELECT 1.` */
function line(position: number, type: number | undefined, length: number, bytes: Buffer, shown: number): string {
  const kind = type === undefined ? '-' : `${Buffer.of(type).toString('hex')} ${printable(Buffer.of(type))}`;
  const hex = bytes.toString('hex').replace(/..(?=.)/g, '$& ');
  const columns = [
    String(position).padStart(10),
    kind.padEnd(4),
    String(length).padStart(9),
    hex.padEnd(3 * Math.min(shown, 32)),
    printable(bytes),
  ];
  return columns.join(' ');
}

function printable(bytes: Buffer): string {
  return bytes.toString('latin1').replace(/[^ -~]/g, '.');
}

function formatNamed(name: string, given: readonly string[]): FormatOptions {
  const other = given.find((flag) => flag.startsWith('length-'));
  if (other !== undefined) throw new Error(`--format says it all: there can be no --${other} with it`);
  const all: Record<string, FormatOptions> = formats;
  if (!Object.hasOwn(all, name))
    throw new Error(`--format must be one of ${Object.keys(all).join(', ')}, not '${name}'`);
  return all[name]!;
}

await run('tap', main);
