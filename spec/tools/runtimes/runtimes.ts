/** The runtimes that the suite is run on: their packages of npm carry the programs. */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import type { Runtime } from '../../support/runtime.js';

export interface Target {
  /** As it is called on the command line and in the tables. */
  readonly name: string;
  readonly runtime: Runtime;
  readonly version: string;
}

/** Node from the first version that package.json allows, then the last of each line. */
export const targets: readonly Target[] = [
  { name: 'node@20', runtime: 'node', version: '20.19.0' },
  { name: 'node@22', runtime: 'node', version: '22.23.3' },
  { name: 'node@24', runtime: 'node', version: '24.21.0' },
  { name: 'node@26', runtime: 'node', version: '26.10.0' },
  { name: 'bun', runtime: 'bun', version: '1.4.5' },
  { name: 'deno', runtime: 'deno', version: '2.9.6' },
];

/** What differs from Node: kept here with its reason, tried each time, and printed. */
export interface Exception {
  readonly runtime: Runtime;
  /** The full title of a test. */
  readonly test: string;
  readonly reason: string;
  /** It passes at times. One that is not, and passes, is no longer needed: that fails the run. */
  readonly sometimes?: boolean;
}

const memory =
  'torture: memory (node --expose-gc dist/spec/torture/memory.js prints every figure) holds no more than allowed:';

const DENO_WRITES =
  "a socket of Deno fails a write under way with EPIPE when the other side's end comes in; Node shows the end";

const DENO_READS = 'Deno runs setImmediate, up to hundreds of times, before it reads what has come to a socket';

const BUN_CHILDREN = 'Bun calls a write to a child that has closed its input back without an error; Node with EPIPE';
const BUN_TRANSFER = 'Bun can not transfer web streams';
/** Seen about once in 25 of 5 MB each with two plain Transforms of readable-stream; never with those of node:stream. */
const BUN_STDIN =
  "Bun's process.stdin, in a pipeline with Transforms of readable-stream, loses its end at times after megabytes";

export const exceptions: readonly Exception[] = [
  {
    runtime: 'bun',
    test: 'connections of the command a client that does not speak TLS is reset, and named',
    reason: 'Bun ends a connection whose TLS handshake has failed: neither of its sockets can still be reset',
  },
  {
    runtime: 'bun',
    test: 'examples/native-messaging-host answers each message, in order, and ends when its input does',
    reason: BUN_STDIN,
    sometimes: true,
  },
  {
    runtime: 'bun',
    test: 'examples/native-messaging-host answers with an error where a browser would not take the answer, and goes on',
    reason: BUN_STDIN,
    sometimes: true,
  },
  {
    runtime: 'bun',
    test: 'properties: framed pairs a child process: nothing of what it says is lost, however it goes',
    reason: BUN_CHILDREN,
    sometimes: true,
  },
  {
    runtime: 'bun',
    test: 'regressions: framed pairs a child process that has closed its input: a write meets EPIPE, 100 messages that came before are still read',
    reason: BUN_CHILDREN,
  },
  {
    runtime: 'bun',
    test: 'regressions: framed pairs a child process that has closed its input: a write meets EPIPE, 100 messages that come later are still read',
    reason: BUN_CHILDREN,
  },
  {
    runtime: 'bun',
    test: 'pipes of the web streams hand the decoder all bytes, and everyone the end',
    reason: BUN_TRANSFER,
    sometimes: true,
  },
  {
    runtime: 'bun',
    test: 'pipes of the web streams hand the encoder all messages, and everyone the end',
    reason: BUN_TRANSFER,
    sometimes: true,
  },
  {
    runtime: 'bun',
    test: 'pipes of the web streams may go into a stream that was transferred',
    reason: BUN_TRANSFER,
    sometimes: true,
  },
  {
    runtime: 'bun',
    test: `${memory} idle`,
    reason:
      "the limits are those of V8's objects: JavaScriptCore makes an idle decoder 1.27 times as large as a PassThrough, not 1.2 times",
    sometimes: true,
  },
  {
    runtime: 'bun',
    test: `${memory} destroy`,
    reason:
      'asks for not one Buffer to be left: JavaScriptCore takes all words on the stack for references, and keeps the last one alive',
    sometimes: true,
  },
  ...['SIGINT', 'SIGTERM'].map(
    (signal): Exception => ({
      runtime: 'bun',
      test: `length-prefix listen SIGINT and SIGTERM ${signal}: idle connections are ended at once, and the program well`,
      reason: 'a half-open socket of Bun shows a reset that comes behind the end, as EPIPE',
      sometimes: true,
    }),
  ),
  {
    runtime: 'bun',
    test: 'detach() of framed plaintext in front of TLS is never taken for decrypted bytes (CVE-2021-23222)',
    reason:
      "Bun's tls.connect({ socket }) does not look at bytes that wait in the socket's buffer: no message comes, nor an error",
    sometimes: true,
  },
  {
    runtime: 'bun',
    test: 'frameTimeout, the deadline of a frame: bytes that came while the event loop was blocked are in time',
    reason: 'Bun runs setImmediate before it has read what came while its loop was blocked',
    sometimes: true,
  },
  {
    runtime: 'bun',
    test: `${memory} prefix`,
    reason:
      'JavaScriptCore tells far too little memory of 20,000 idle decoders at times (0.15 of as many PassThroughs)',
    sometimes: true,
  },
  {
    runtime: 'bun',
    test: `${memory} sent`,
    reason:
      'asks for not one body to be left: JavaScriptCore takes all words on the stack for references, and keeps the last one alive (of ten streams in one function, none)',
    sometimes: true,
  },
  {
    runtime: 'deno',
    test: 'length-prefix listen SIGINT and SIGTERM Ctrl+C that comes twice, from the terminal and from npm, counts once',
    reason: 'the test stands in for `isatty` of node:tty, which `syncBuiltinESMExports()` of Deno leaves as it is',
  },
  {
    runtime: 'deno',
    test: 'length-prefix connect failures fails when the server hangs up before all was sent',
    reason: DENO_WRITES,
    sometimes: true,
  },
  {
    runtime: 'deno',
    test: 'length-prefix tap passes on any bytes unchanged, however they are cut',
    reason: DENO_WRITES,
    sometimes: true,
  },
  {
    runtime: 'deno',
    test: 'examples/chat a member that has no more to say gets all that it was sent, and then the end',
    reason: DENO_WRITES,
    sometimes: true,
  },
  {
    runtime: 'deno',
    test: 'properties: framed over sockets all that is written arrives, all that comes is read, both ends end',
    reason: DENO_WRITES,
    sometimes: true,
  },
  {
    runtime: 'deno',
    test: "regressions: framed messages that were written before the end are sent: write('bye') and destroy() in one tick, of a server",
    reason: "what is written to a server's socket of Deno that is new and destroyed in the same tick, is lost",
  },
  {
    runtime: 'deno',
    test: 'frameTimeout, the deadline of a frame: bytes that came while the event loop was blocked are in time',
    reason: DENO_READS,
    sometimes: true,
  },
  {
    runtime: 'deno',
    test: 'torture: a flood of messages leaves others their turn a server answers an honest client among floods',
    reason: DENO_READS,
    sometimes: true,
  },
  {
    runtime: 'deno',
    test: 'examples/native-messaging-host --install: writes a manifest, and what it names answers',
    reason:
      'a program of Deno may do nothing that it was not allowed on its command line, and the script has no --allow-all',
  },
  {
    runtime: 'deno',
    test: 'torture: a message larger than its memory (npm run large -- --gib 5) is sent and received within 150 MB at either end, byte for byte',
    reason:
      'Deno gives the memory of what a socket received back late: a bare one that takes 256 MiB has 198 MB at its peak, this one 176 MB; the bytes are right',
    sometimes: true,
  },
];

/** Installs them into a directory of their own, by one call of npm. */
export function install(wanted: readonly Target[], directory: string): void {
  const platform = process.platform === 'win32' ? 'win' : process.platform;
  const packages = wanted.map(({ name, runtime, version }) =>
    // Of one package there would be one version: each is installed by a name of its own.
    runtime === 'node' ? `${folderOf(name)}@npm:node-${platform}-${process.arch}@${version}` : `${runtime}@${version}`,
  );
  const options = ['--prefix', directory, '--no-save', '--ignore-scripts', '--no-audit', '--no-fund'];
  const shell = process.platform === 'win32';
  const { status } = spawnSync('npm', ['install', ...options, ...packages], { stdio: 'inherit', shell });
  if (status !== 0) throw new Error('npm could not install the runtimes');
}

const folderOf = (name: string) => name.replace('@', '-');

/** Where its program is. */
export function programOf({ name, runtime }: Target, directory: string): string {
  const suffix = process.platform === 'win32' ? '.exe' : '';
  if (runtime === 'node') return join(directory, 'node_modules', folderOf(name), 'bin', `node${suffix}`);
  // The packages bun and deno depend on one for each platform, and npm installs those that fit.
  const scope = join(directory, 'node_modules', runtime === 'bun' ? '@oven' : '@deno');
  const programs = readdirSync(scope).map((one) => join(scope, one, runtime === 'bun' ? 'bin' : '', runtime + suffix));
  const works = programs.find((program) => spawnSync(program, ['--version']).status === 0);
  if (works === undefined) throw new Error(`no ${runtime} for this machine: ${programs.join(', ')}`);
  return works;
}
