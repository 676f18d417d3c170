/**
 * Shows `length-prefix listen` and `length-prefix connect` at work: sends some files from one to the other, and compares what
 * arrived.
 *
 *     npm start
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const SIZES = [0, 1, 11, 1_000, 65_536, 100_000, 8_000_000];

const children: ChildProcess[] = [];

async function main(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'length-prefix-'));
  // However this ends, nothing is left behind.
  process.on('exit', () => {
    for (const child of children) child.kill('SIGKILL');
    rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
  });
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

  const files = SIZES.map((size) => join(directory, `${size}-bytes`));
  for (const [i, file] of files.entries()) writeFileSync(file, randomBytes(SIZES[i]!));
  const saved = join(directory, 'saved');

  // Port 0 stands for any that is free; the server's first line says which.
  const server = start('server', ['listen', '--port', '0', '--save', saved]);
  const listening = await server.line(/^Listening on .*:(\d+)$/);
  const client = start('client', ['connect', listening[1]!, ...files]);
  await client.success;
  // The client has ended when the server has hung up, and that is when all its messages are saved.
  process.kill(server.child.pid!, 'SIGTERM'); // Deno's child.kill() would hide how it ends
  await server.success;

  // Sorted by name, they are in the order in which they were sent.
  const arrived = readdirSync(saved).sort();
  if (arrived.length !== files.length) throw new Error(`${files.length} messages were sent, ${arrived.length} saved`);
  for (const [i, file] of files.entries()) {
    const isEqual = readFileSync(file).equals(readFileSync(join(saved, arrived[i]!)));
    if (!isEqual) throw new Error(`The message of ${SIZES[i]} bytes is not what was sent`);
  }
  console.log(`All ${files.length} messages arrived as they were sent.`);
}

/** The command `length-prefix`. */
const command = fileURLToPath(import.meta.resolve('length-prefix/package.json')).replace(
  'package.json',
  'dist/bundle/cli/main.js',
);

/** Starts the command, and shows its lines behind a name. */
function start(name: 'server' | 'client', args: string[]) {
  const child = spawn(process.execPath, [command, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  const outputs = [createInterface(child.stdout), createInterface(child.stderr)];
  for (const lines of outputs) lines.on('line', (line) => console.log(`${name} | ${line}`));

  /** Comes when it has ended well, and fails when it has not. */
  const success = once(child, 'close').then(([code, signal]) => {
    if (code !== 0) throw new Error(`The ${name} failed: ${signal ?? `exit code ${code}`}`);
  });
  success.catch(() => {}); // is told where it is awaited

  /** The first line that matches; a failure if the program ends without one. */
  const line = (pattern: RegExp) =>
    new Promise<RegExpExecArray>((resolve, reject) => {
      for (const lines of outputs) {
        lines.on('line', (text) => {
          const match = pattern.exec(text);
          if (match !== null) resolve(match);
        });
      }
      success.then(() => reject(new Error(`The ${name} ended without a line ${pattern}`)), reject);
    });
  return { child, success, line };
}

await main().catch((error) => {
  process.stderr.write(`start: ${error.message}\n`, () => process.exit(1));
});
