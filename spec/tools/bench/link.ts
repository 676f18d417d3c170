import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';

/** What the other end of a connection does, in a process of its own. */
export interface PartnerRole {
  /** Writes messages, writes prepared bytes, or answers each message with one of the same length. */
  readonly role: 'send' | 'send prepared' | 'echo' | 'echo prepared';
  readonly contestant: string;
  readonly size: number;
}

/** Asks a partner to connect, and to go to work. */
export interface PartnerTask {
  readonly port: number;
  readonly count: number;
}

/** One end of TCP connections over the loopback; the other is made here too, or by a partner process. */
export class Link {
  readonly #server: Server;
  readonly #partner: ChildProcess | undefined;
  readonly #noDelay: boolean;

  private constructor(server: Server, partner: ChildProcess | undefined, noDelay: boolean) {
    this.#server = server;
    this.#partner = partner;
    this.#noDelay = noDelay;
  }

  static async open(partner?: PartnerRole, noDelay = false): Promise<Link> {
    const server = createServer({ noDelay });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    if (partner === undefined) return new Link(server, undefined, noDelay);
    const child = fork(fileURLToPath(new URL('./partner.js', import.meta.url)), [JSON.stringify(partner)]);
    await once(child, 'message');
    return new Link(server, child, noDelay);
  }

  get #port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** A connection's two ends, both in this process. */
  async pair(): Promise<[near: Socket, far: Socket]> {
    const far = dial(this.#port, this.#noDelay);
    const [[near]] = await Promise.all([once(this.#server, 'connection'), once(far, 'connect')]);
    return [near as Socket, far];
  }

  /** A connection whose other end the partner has, and works at. `onConnection` is called before anything is read. */
  async toPartner(count: number, onConnection: (near: Socket) => void): Promise<void> {
    const connected = new Promise<void>((resolve) => {
      this.#server.once('connection', (near) => {
        onConnection(near);
        resolve();
      });
    });
    this.#partner!.send({ port: this.#port, count } satisfies PartnerTask);
    await connected;
  }
}

export function dial(port: number, noDelay: boolean): Socket {
  // Both ends are cut when all has come: a reset is no fault.
  return connect({ port, host: '127.0.0.1', noDelay });
}
