import { type ChildProcessByStdio, type StdioOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { setTimeout } from 'node:timers/promises';

const NOBODY = 65_534;
/** How long a program or a conversation may take to end when it is to, in milliseconds. */
const PATIENCE = 5000;

// So that 'exit' is heard, and nothing is left running.
process.once('SIGTERM', () => process.exit(143));

/** A running program: what it writes, and what it is given to read. */
export type Program = ChildProcessByStdio<Writable, Readable, Readable>;

/** Where real programs and servers of ours meet: a temporary folder, and all that runs until it is closed. */
export class Host {
  readonly folder = mkdtempSync(join(tmpdir(), 'interop-'));
  readonly #programs = new Set<Program>();
  readonly #servers: Server[] = [];
  readonly #sockets: Socket[] = [];
  readonly #conversations: Promise<unknown>[] = [];
  /** Programs that failed, and conversations. */
  readonly #faults: unknown[] = [];
  readonly #user: { uid?: number; gid?: number };
  /** The name of the user that programs run as. */
  readonly userName: string;
  readonly #leave = () => this.#abandon();

  /** Several programs refuse to be root; with `asRoot` they may be. */
  constructor({ asRoot = false } = {}) {
    this.#user = process.getuid?.() === 0 && !asRoot ? { uid: NOBODY, gid: NOBODY } : {};
    this.userName = this.#user.uid === undefined ? userInfo().username : 'nobody';
    this.#own(this.folder);
    process.once('exit', this.#leave);
  }

  /** The path of a new file in the folder. */
  file(name: string, text: string): string {
    const path = join(this.folder, name);
    writeFileSync(path, text);
    this.#own(path);
    return path;
  }

  #own(path: string): void {
    chmodSync(path, 0o700);
    const { uid, gid } = this.#user;
    if (uid !== undefined && gid !== undefined) chownSync(path, uid, gid);
  }

  /** Runs a program to its end. What it wrote, or an error that shows it. */
  async run(command: string, args: string[], input: string | Uint8Array = ''): Promise<string> {
    const program = this.#spawn(command, args);
    const errors = listen(program.stderr);
    program.stdin.end(input);
    const [output] = await Promise.all([buffer(program.stdout), once(program, 'close')]);
    this.#programs.delete(program);
    if (program.exitCode === 0) return output.toString();
    throw new Error(`${how(program)}:\n${output.toString().slice(-2000)}${errors()}`);
  }

  /** Starts a program, and waits until it writes what is `ready`. */
  async start(command: string, args: string[], ready: RegExp): Promise<{ program: Program; said: RegExpExecArray }> {
    const program = this.#spawn(command, args);
    const streams = [program.stdout, program.stderr];
    const texts = streams.map(listen);
    const said = () => texts.map((text) => text()).join('');
    return await new Promise((resolve, reject) => {
      const look = () => {
        const match = ready.exec(said());
        if (match === null) return;
        for (const stream of streams) stream.off('data', look);
        resolve({ program, said: match });
      };
      for (const stream of streams) stream.on('data', look);
      program.once('error', reject).once('close', () => {
        const fault = new Error(`${how(program)}:\n${said()}`);
        if (this.#programs.delete(program) && program.exitCode !== 0) this.#faults.push(fault);
        reject(fault);
      });
    });
  }

  /** Starts a program on a port that was free a moment ago; again where it was taken since. */
  async startOnPort(command: string, args: (port: number) => string[], ready: RegExp): Promise<number> {
    for (let attempt = 1; ; attempt++) {
      const port = await freePort();
      try {
        await this.start(command, args(port), ready);
        return port;
      } catch (error) {
        if (attempt === 3 || !/in ?use/i.test(String(error))) throw error;
        this.#faults.pop();
      }
    }
  }

  /** As inetd does: starts a program for each connection, which has that as its standard input. Resolves with the port. */
  async serveBy(command: string, args: string[]): Promise<number> {
    const server = createServer({ pauseOnConnect: true }, (socket) => {
      const program = this.#spawn(command, args, socket);
      const texts = [program.stdout, program.stderr].map(listen);
      program.once('close', () => {
        const fault = new Error(`${how(program)}:\n${texts.map((text) => text()).join('')}`);
        if (this.#programs.delete(program) && program.exitCode !== 0) this.#faults.push(fault);
      });
      // The program has it now.
      socket.destroy();
    });
    this.#servers.push(server);
    return await listening(server);
  }

  #spawn(command: string, args: string[], input: Socket | 'pipe' = 'pipe'): Program {
    // No settings of whoever runs this: a .psqlrc, PGHOST, MYSQL_TCP_PORT.
    const env = { PATH: `${process.env.PATH}:/usr/sbin:/sbin`, HOME: this.folder, TMPDIR: this.folder, LC_ALL: 'C' };
    const stdio = [input, 'pipe', 'pipe'] satisfies StdioOptions;
    // In a process group of its own: smbd ends all of its group when it ends.
    const options = { cwd: this.folder, env, stdio, detached: true, ...this.#user };
    const program = spawn(command, args, options) as Program;
    if (program.pid !== undefined) this.#programs.add(program);
    // It need not read all that it is given.
    if (input === 'pipe') program.stdin.on('error', () => {});
    return program;
  }

  /** A server of ours: its port. A conversation that fails ends its connection, and shows when the host is closed. */
  async serve(converse: (socket: Socket) => unknown): Promise<number> {
    return await listening(this.#server(converse));
  }

  /** The same on a Unix socket in the folder: its path. */
  async serveAt(name: string, converse: (socket: Socket) => unknown): Promise<string> {
    const path = join(this.folder, name);
    await once(this.#server(converse).listen(path), 'listening');
    this.#own(path);
    return path;
  }

  #server(converse: (socket: Socket) => unknown): Server {
    const conversation = async (socket: Socket) => {
      const closed = new Promise((resolve) => socket.once('close', resolve));
      try {
        await converse(socket);
      } catch (error) {
        this.#faults.push(error);
        socket.destroy();
      }
      await closed;
    };
    const server = createServer((socket) => {
      this.#sockets.push(socket);
      this.#conversations.push(conversation(socket));
    });
    this.#servers.push(server);
    return server;
  }

  /** A server of ours for one connection: its port, and the connection when it comes. */
  async serveOne(): Promise<{ port: number; connection: Promise<Socket> }> {
    let arrive: (socket: Socket) => void;
    const connection = new Promise<Socket>((resolve) => {
      arrive = resolve;
    });
    return { port: await this.serve((socket) => arrive(socket)), connection };
  }

  /** Ends all that runs, and removes the folder. Throws what had gone wrong. */
  async close(): Promise<void> {
    const programs = [...this.#programs];
    this.#programs.clear();
    await Promise.all(programs.map(end));
    for (const server of this.#servers) server.close();
    // Nobody is left to talk to.
    await Promise.race([Promise.all(this.#conversations), setTimeout(PATIENCE, undefined, { ref: false })]);
    for (const socket of this.#sockets) socket.destroy();
    this.#abandon();
    process.off('exit', this.#leave);
    if (this.#faults.length > 1) throw new AggregateError(this.#faults, this.#faults.join('\n'));
    if (this.#faults.length > 0) throw this.#faults[0];
  }

  #abandon(): void {
    for (const program of this.#programs) program.kill('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 10 });
  }
}

async function listening(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function freePort(): Promise<number> {
  const server = createServer();
  const port = await listening(server);
  server.close();
  await once(server, 'close');
  return port;
}

/** What a stream has said: the end of it. */
function listen(stream: Readable): () => string {
  let text = '';
  stream.on('data', (chunk) => {
    text = (text + chunk).slice(-10_000);
  });
  return () => text;
}

async function end(program: Program): Promise<void> {
  const ended = once(program, 'close');
  program.kill();
  await Promise.race([ended, setTimeout(PATIENCE, undefined, { ref: false })]);
  program.kill('SIGKILL');
  await ended;
}

function how({ spawnargs, exitCode, signalCode }: Program): string {
  return `${spawnargs.join(' ')} ended with ${signalCode ?? exitCode}`;
}
