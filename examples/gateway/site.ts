/** All programs of the example, on free ports of the loopback interface and in a temporary folder. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { EventEmitter, on, once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const sourceOf = (name: string) => fileURLToPath(new URL(`../../../examples/gateway/${name}`, import.meta.url));
const programOf = (name: string) => fileURLToPath(new URL(`${name}.js`, import.meta.url));

const LOADED = /Loading success/;

/** The lines that a program writes, and its name. */
type Listener = (line: string, name: string) => void;

/** Settings of a gateway: see gateway.ts. */
type Settings = Partial<Record<'IDLE' | 'GREETING' | 'BROKER' | 'CONNECTIONS', number>>;

type Ports = Record<'nats' | 'haproxy' | 'gateway1' | 'gateway2' | 'spare', number>;

export class Site {
  readonly folder = mkdtempSync(join(tmpdir(), 'gateway-'));
  readonly #running = new Map<string, ChildProcess>();
  /** The command line of each program, for a shell. */
  readonly commands = new Map<string, string>();
  readonly ports: Ports;
  readonly #listener: Listener;
  /** The lines of each program, by its name. */
  readonly #lines = new EventEmitter();
  readonly #leave = () => this.#abandon();

  private constructor(ports: Ports, listener: Listener) {
    this.ports = ports;
    this.#listener = listener;
    process.once('exit', this.#leave);
  }

  static async open(listener: Listener = () => {}): Promise<Site> {
    const names = ['nats', 'haproxy', 'gateway1', 'gateway2', 'spare'] as const;
    const ports = await freePorts(names.length);
    return new Site(Object.fromEntries(names.map((name, i) => [name, ports[i]])) as Ports, listener);
  }

  get nats(): string {
    return `nats://127.0.0.1:${this.ports.nats}`;
  }

  async startNats(): Promise<void> {
    const env = { NATS_PORT: String(this.ports.nats), NATS_STORE: join(this.folder, 'store') };
    await this.start('nats', 'nats-server', ['-c', sourceOf('nats-server.conf')], /Server is ready/, env);
  }

  async startGateway(name: 'gateway1' | 'gateway2', settings: Settings = {}): Promise<void> {
    await this.startNode(name, 'gateway', [this.ports[name], this.nats], /^Listening on /, settings);
  }

  async startHAProxy(name = 'haproxy', port = this.ports.haproxy, settings = {}): Promise<void> {
    const { gateway1, gateway2 } = this.ports;
    const env = {
      PORT: String(port),
      ADMIN: this.#admin(name),
      GATEWAY_1: String(gateway1),
      GATEWAY_2: String(gateway2),
      ...settings,
    };
    const master = join(this.folder, `${name}-master.sock`);
    await this.start(name, 'haproxy', ['-W', '-db', '-S', master, '-f', sourceOf('haproxy.cfg')], LOADED, env);
    // Before its master answers, a signal would be lost.
    while (!(await ask(master, 'show proc').catch(() => ''))) await sleep(20);
  }

  #admin(name: string): string {
    return join(this.folder, `${name}.sock`);
  }

  /** One of HAProxy's own commands, such as `show stat`, and its answer. */
  async tellHAProxy(command: string, name = 'haproxy'): Promise<string> {
    return await ask(this.#admin(name), command);
  }

  /** Comes back when a new process of HAProxy has taken over. The one before it goes when its connections are over. */
  async reloadHAProxy(name = 'haproxy'): Promise<void> {
    const loaded = this.#line(name, LOADED);
    this.signal(name, 'SIGUSR2');
    await loaded;
  }

  /** A program of this folder. */
  async startNode(name: string, program: string, args: (string | number)[], ready: RegExp, env = {}): Promise<void> {
    await this.start(name, process.execPath, [programOf(program), ...args.map(String)], ready, env);
  }

  /** Comes back when the program has written a line that is `ready`. */
  async start(name: string, command: string, args: string[], ready: RegExp, env = {}): Promise<void> {
    const path = `${process.env.PATH}:/usr/sbin:/sbin`;
    const settings = Object.entries(env).map(([key, value]) => `${key}=${value}`);
    this.commands.set(name, [...settings, command, ...args].join(' '));
    // In a process group of its own: HAProxy is several processes.
    const child = spawn(command, args, {
      env: { ...process.env, PATH: path, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    if (child.pid !== undefined) this.#running.set(name, child);
    const last: string[] = [];
    for (const lines of [createInterface(child.stdout), createInterface(child.stderr)]) {
      lines.on('line', (line) => {
        last.splice(0, last.length - 19, line);
        this.#listener(line, name);
        this.#lines.emit(name, line);
      });
    }
    const failed = new Promise<never>((_, reject) => {
      child.once('error', ({ message }) =>
        reject(new Error(`${command} can't be started, is it installed? ${message}`)),
      );
      child.once('close', (code, signal) => {
        if (this.#running.get(name) === child) this.#running.delete(name);
        reject(new Error(`${name} ended with ${signal ?? code}:\n${last.join('\n')}`));
      });
    });
    await Promise.race([this.#line(name, ready), failed]);
  }

  /** The next line of a program that matches. */
  async #line(name: string, pattern: RegExp): Promise<void> {
    for await (const [line] of on(this.#lines, name)) if (pattern.test(line)) return;
  }

  /** The process id of each program. */
  get processes(): Map<string, number> {
    return new Map(Array.from(this.#running, ([name, { pid }]) => [name, pid!]));
  }

  signal(name: string, signal: NodeJS.Signals): void {
    process.kill(this.#processOf(name).pid!, signal);
  }

  /** Comes back when the program is over. @returns its exit code, or the signal that ended it. */
  async end(name: string, signal: NodeJS.Signals = 'SIGTERM'): Promise<number | NodeJS.Signals> {
    const child = this.#processOf(name);
    child.kill(signal);
    return await this.ended(name);
  }

  /** Comes back when the program is over. */
  async ended(name: string): Promise<number | NodeJS.Signals> {
    const [code, signal] = await once(this.#processOf(name), 'close');
    return code ?? signal;
  }

  #processOf(name: string): ChildProcess {
    const child = this.#running.get(name);
    if (child === undefined) throw new Error(`${name} is not running`);
    return child;
  }

  /** Ends all that runs, the last one that was started first, and removes the folder. */
  async close(): Promise<void> {
    for (const name of [...this.#running.keys()].reverse()) await this.end(name);
    this.#abandon();
    process.off('exit', this.#leave);
  }

  #abandon(): void {
    for (const { pid } of this.#running.values()) process.kill(-pid!, 'SIGKILL');
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 10 });
  }
}

/** A command to HAProxy, and its answer. */
async function ask(path: string, command: string): Promise<string> {
  const socket = connect(path);
  socket.end(`${command}\n`);
  return await text(socket);
}

/** Below those that Linux gives to connections: one of them could have the port before its program does. */
async function freePorts(count: number): Promise<number[]> {
  const servers: Server[] = [];
  while (servers.length < count) {
    const server = createServer().listen(randomInt(10_000, 32_000), '127.0.0.1');
    await once(server, 'listening').then(
      () => servers.push(server),
      () => {}, // it is in use
    );
  }
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}
