/** Decoders of other languages, which take the same bytes from the same sender. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { cycleOf, messagesOf, uint32le, wireOf, writeAll } from './bytes.js';
import { perMessage, repeatsOf } from './jobs.js';
import { dial } from './link.js';

const source = fileURLToPath(new URL('./native', import.meta.url));
const built = fileURLToPath(new URL('../../../dist/native', import.meta.url));

/** Cargo takes Debian's crates in the place of those of its registry. */
const debianCrates = ['source.crates-io.replace-with="debian"', 'source.debian.directory="/usr/share/cargo/registry"'];
const jars = ['buffer', 'codec', 'common', 'resolver', 'transport'].map((name) => `/usr/share/java/netty-${name}.jar`);
const classPath = [built, ...jars].join(':');

const programs = {
  'tokio-util, LengthDelimitedCodec': {
    packages: ['librust-tokio-util-dev', 'librust-tokio-dev', 'librust-bytes-dev', 'librust-futures-dev'],
    tool: ['cargo', 'cargo'],
    build: ['cargo', 'build', '--release', '--offline', ...debianCrates.flatMap((setting) => ['--config', setting])],
    run: ['target/release/receiver'],
  },
  'Netty, LengthFieldBasedFrameDecoder': {
    packages: ['libnetty-java'],
    tool: ['javac', 'default-jdk-headless'],
    build: ['javac', '-cp', classPath, '-d', '.', 'Receiver.java'],
    run: ['java', '-cp', classPath, 'Receiver'],
  },
};

/** Installs what is missing from Debian's packages, where there are some. @returns the names of those that were built. */
export async function build() {
  const { install } = await import('../../../dist/spec/tools/debian.js');
  mkdirSync(built, { recursive: true });
  cpSync(source, built, { recursive: true });
  return Object.entries(programs).flatMap(
    ([
      name,
      {
        packages,
        tool: [command, its],
        build: line,
      },
    ]) => {
      const isThere = spawnSync(command, ['--version']).status === 0;
      if (existsSync('/etc/debian_version')) install(isThere ? packages : [...packages, its]);
      const { status, error, stderr } = spawnSync(line[0], line.slice(1), { cwd: built, encoding: 'utf8' });
      if (status === 0) return [name];
      console.error(`${name} can't be built: ${error?.message ?? stderr}`);
      return [];
    },
  );
}

/** Sends cycles of prepared bytes to the program, and behind them an empty frame, which it answers with what it counted. */
const receiving = (name) => async (size) => {
  const [command, ...args] = programs[name].run;
  const program = spawn(command, args, { cwd: built, stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(createInterface(program.stdout), 'line');
  const socket = await dial(Number(line.split(' ').at(-1)));
  const wire = wireOf(messagesOf(size), uint32le);
  const messages = cycleOf(size);
  const run = async (repeats) => {
    const answered = once(socket, 'data');
    for (let i = 0; i < repeats; i++) await writeAll(socket, wire);
    socket.write(uint32le(0));
    const [answer] = await answered;
    const [came, bytes] = [answer.readBigUInt64LE(0), answer.readBigUInt64LE(8)].map(Number);
    if (came !== repeats * messages || bytes !== came * size)
      throw new Error(`${came} messages of ${bytes} bytes came`);
  };
  const repeats = await repeatsOf(run);
  return perMessage(repeats * messages, () => run(repeats));
};

/** Contestants, as far as they are built. They end when their connection does. */
export const native = Object.fromEntries(Object.keys(programs).map((name) => [name, receiving(name)]));
