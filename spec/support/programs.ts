/** Runs the example programs as a user does, each in a process of its own. */

import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { programArgs, type RunSettings, replaceExport } from './runtime.js';

type Name =
  | 'chat'
  | 'echo'
  | 'naive-framer'
  | 'native-messaging-host'
  | 'proxy'
  | 'rpc'
  | 'shutdown'
  | 'start'
  | 'upload'
  | 'workers';

export interface ProcessSettings {
  /** Lines of the standard error that tell of nothing bad. */
  notices?: RegExp | undefined;
  cwd?: string | undefined;
  env?: NodeJS.ProcessEnv | undefined;
  /** It has programs of its own, which end with it. */
  group?: boolean | undefined;
  /** What it writes to its standard output is no text, and left to the test. */
  binary?: boolean | undefined;
}

interface Settings extends ProcessSettings, RunSettings {}

/** A process that a test has started. */
export class Process {
  readonly child: ChildProcess;
  /** What it wrote to its standard output, and to its standard error. */
  readonly lines: string[] = [];
  readonly errors: string[] = [];
  /** Of the standard error, what tells of nothing bad. */
  readonly notices: string[] = [];
  /** Its exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>;
  readonly #waiting = new Set<() => void>();
  readonly #group: boolean;
  #over = false;

  constructor(
    command: string,
    args: string[],
    { cwd, env, binary = false, group = false, notices }: ProcessSettings = {},
  ) {
    this.child = spawn(command, args, { cwd, env: { ...process.env, ...env }, detached: group });
    this.#group = group;
    if (!binary) this.#collect(this.child.stdout!, () => this.lines);
    this.#collect(this.child.stderr!, (line) => (notices?.test(line) ? this.notices : this.errors));
    this.child.stdin!.on('error', () => {}); // it need not read all that it is given
    this.ended = once(this.child, 'close').then(([code, signal]) => {
      this.#over = true;
      for (const check of this.#waiting) check();
      return code ?? signal;
    });
    running.add(this);
  }

  #collect(stream: NodeJS.ReadableStream, listOf: (line: string) => string[]): void {
    createInterface(stream).on('line', (line) => {
      listOf(line).push(line);
      for (const check of this.#waiting) check();
    });
  }

  /** Waits for the line, or for so many of it. */
  async line(wanted: string | RegExp, count = 1): Promise<string> {
    const isWanted = (line: string) => (typeof wanted === 'string' ? line === wanted : wanted.test(line));
    return new Promise((resolve, reject) => {
      const check = () => {
        const found = [...this.lines, ...this.errors, ...this.notices].filter(isWanted);
        if (found.length < count && !this.#over) return;
        this.#waiting.delete(check);
        if (found.length >= count) resolve(found[count - 1]!);
        else reject(new Error(`ended without ${count} of ${wanted}:\n${[...this.lines, ...this.errors].join('\n')}`));
      };
      this.#waiting.add(check);
      check();
    });
  }

  kill(): void {
    if (!this.#group) {
      this.child.kill('SIGKILL');
      return;
    }
    try {
      process.kill(-this.child.pid!, 'SIGKILL');
    } catch {
      // All are gone.
    }
  }

  signal(signal: NodeJS.Signals): void {
    // Deno says of a program that `child.kill` was called for that the signal ended it, whatever it made of it.
    process.kill(this.child.pid!, signal);
  }

  /** Expects it to fail: with one line, and no stack trace. */
  async fails(line: RegExp, exitCode = 1): Promise<void> {
    const code = await this.ended;
    expect(this.errors, 'standard error').to.have.lengthOf(1);
    expect(this.errors[0]).to.match(line);
    expect(code, 'exit code').to.equal(exitCode);
  }

  /** Expects it to end well, without a complaint. */
  async succeeds(): Promise<void> {
    const code = await this.ended;
    expect(this.errors, 'standard error').to.deep.equal([]);
    expect(code, 'exit code').to.equal(0);
  }
}

/** One of the programs, at work. */
export class Program extends Process {
  constructor(name: Name, args: string[], settings: Settings = {}) {
    const program = fileURLToPath(new URL(`../../examples/${name}.js`, import.meta.url));
    super(process.execPath, [...programArgs(program, settings), ...args], settings);
  }
}

const running = new Set<Process>();
const sockets = new Set<Socket>();
const servers = new Set<Server>();
const directories: string[] = [];

/** Ends all that a test has left: for `afterEach`. Shows what the programs of a failed test wrote. */
export async function cleanUp(this: unknown): Promise<void> {
  if ((this as Mocha.Context | undefined)?.currentTest?.isFailed()) {
    for (const { child, lines, errors } of running) {
      console.error([child.spawnargs.join(' '), ...lines, ...errors].join('\n    '));
    }
  }
  for (const socket of sockets) socket.destroy();
  for (const server of servers) server.close();
  for (const program of running) program.kill();
  await Promise.all([...running].map((program) => program.ended));
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
  for (const collection of [sockets, servers, running]) collection.clear();
  directories.length = 0;
}

export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'length-prefix-spec-'));
  directories.push(directory);
  return directory;
}

export function portOf(line: string): number {
  // Deno has the port in the middle of an address.
  return Number(/"port": ?(\d+)/.exec(line)?.[1] ?? /: ?(\d+)}?$/.exec(line)?.[1]);
}

/** Whether this machine has the loopback address of IPv6. */
export function hasIPv6(): boolean {
  return Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === '::1'));
}

/** The server of a short example, on any free port. */
export async function startExample(
  name: Name,
  settings?: Settings,
  args: string[] = [],
): Promise<{ server: Program; port: number }> {
  const server = new Program(name, ['0', ...args], settings);
  return { server, port: portOf(await server.line(/^Listening on /)) };
}

/** A connection of a test's own. What breaks it shows in `closed`. */
export async function connectTo(port: number, host = '127.0.0.1'): Promise<Socket> {
  const socket = connecting(port, host);
  await once(socket, 'connect');
  return socket;
}

/** The same, not waited for: the other side may reset it before it shows that it is connected. */
export function connecting(port: number, host = '127.0.0.1'): Socket {
  return watched(connect({ port, host, allowHalfOpen: true }));
}

function watched(socket: Socket): Socket {
  sockets.add(socket);
  // A test that cares looks at `closed`.
  return socket.on('error', () => {});
}

/** Waits until a socket is closed: 'end' where the other side hung up properly, or the code of the error. */
export async function closed(socket: Socket): Promise<string> {
  const hangUp = () => socket.end();
  if (socket.readableEnded) hangUp();
  else socket.on('end', hangUp).resume();
  if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve));
  return (socket.errored as NodeJS.ErrnoException | null)?.code ?? (socket.readableEnded ? 'end' : 'close');
}

/** A server of a test's own on a free port, and the connections it gets. */
export async function listen(serve: (socket: Socket) => void): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket) => serve(watched(socket)));
  servers.add(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as { port: number }).port;
}

/** As the sample does: `BitConverter.GetBytes(data.Length)`, then the data. */
export function sized(data: Uint8Array | string): Buffer {
  const bytes = Buffer.from(data);
  const size = Buffer.alloc(4);
  size.writeInt32LE(bytes.length);
  return Buffer.concat([size, bytes]);
}

/**
 * Sends garbage to a server, each kind over a connection of its own, and waits until they are closed: another protocol,
 * random bytes, and a frame that is not whole.
 */
export async function throwGarbage(port: number): Promise<void> {
  for (const bytes of ['GET / HTTP/1.1\r\nHost: x\r\n\r\n', randomBytes(1000), sized('hello').subarray(0, 6)]) {
    const socket = await connectTo(port);
    socket.end(bytes);
    await closed(socket);
  }
}

/** A client that has no more to send, and breaks off while the server's first answer to it waits to be read. */
export async function breakOff(port: number, bytes: Uint8Array): Promise<void> {
  const socket = await connectTo(port);
  socket.end(bytes);
  await once(socket, 'readable');
  socket.resetAndDestroy();
  await closed(socket);
}

/** A module that replaces `writeFile`, as the programs import it; `original` is the real one. */
export function replaceWriteFile(replacement: string): string {
  return replaceExport('node:fs/promises', 'writeFile', replacement);
}
