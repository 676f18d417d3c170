/** Connections, made and accepted: TCP, TLS, Unix sockets, and the standard input and output. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import tls from 'node:tls';
import { reset } from '../node/leaving.js';
import { type Address, shownHost } from './address.js';
import { complain, describe, notice, UsageError } from './errors.js';
import { seconds, type Values, wholeNumber } from './options.js';
import { escaped } from './text.js';

const HALF_OPEN = { allowHalfOpen: true, noDelay: true } as const;

const tlsNames = ['cacert', 'cert', 'key', 'insecure', 'servername'] as const;

/** The settings of TLS; undefined where there is none. */
function tlsOf(values: Values): tls.SecureContextOptions | undefined {
  const extra = tlsNames.find((name) => values[name] !== undefined);
  if (values.tls !== true) {
    if (extra !== undefined) throw new UsageError(`--${extra} needs --tls`);
    return undefined;
  }
  if ((values.cert === undefined) !== (values.key === undefined)) throw new UsageError('--cert and --key go together');
  const file = (name: string) =>
    values[name] === undefined ? {} : { [name === 'cacert' ? 'ca' : name]: readFileSync(values[name] as string) };
  return { ...file('cacert'), ...file('cert'), ...file('key') };
}

interface Handle {
  readStart?(): number;
}

/**
 * Makes a reset show that came right behind data. libuv takes it for an end: it is told that the peer hung up, and does
 * not read once more, where the error would be. So an end is believed when it comes a second time.
 *
 * Not for TLS, whose end is a message. Where a runtime has no such handle, nothing changes.
 */
function tellingResets(socket: net.Socket): net.Socket {
  const { push } = socket;
  const { _handle: handle } = socket as unknown as { _handle?: Handle | null };
  let isAsked = process.platform === 'win32';
  socket.push = (chunk, encoding) => {
    if (chunk === null && !isAsked) {
      isAsked = true;
      if (handle?.readStart?.() === 0) return false;
    }
    return push.call(socket, chunk, encoding);
  };
  return socket;
}

export function stdio(): Duplex {
  return Duplex.from({ readable: process.stdin, writable: process.stdout } as never);
}

/** Makes a function that connects to an address, again and again. All that can be checked before, is. */
export function connector(address: Address, values: Values): () => Promise<net.Socket> {
  if (address.kind === 'stdio') throw new UsageError('stdio: is no server: give HOST:PORT or unix:PATH');
  if (address.kind === 'tcp' && address.port === 0) throw new UsageError("Port 0 can't be connected to");
  const secure = tlsOf(values);
  const target = address.kind === 'unix' ? { path: address.path } : { host: address.host, port: address.port };
  const wait = seconds(values, 'wait');
  const retries = wholeNumber(values, 'retry') ?? 0;
  const begin = () => {
    if (secure === undefined) return net.connect({ ...target, ...HALF_OPEN });
    const name = values.servername as string | undefined;
    const servername = name ?? (address.kind === 'tcp' && net.isIP(address.host) === 0 ? address.host : undefined);
    const checked = {
      rejectUnauthorized: values.insecure !== true,
      ...(servername === undefined ? {} : { servername }),
    };
    return tls.connect({ ...secure, ...target, ...HALF_OPEN, ...checked });
  };
  const attempt = async () => {
    const socket = begin();
    const late = new AbortController();
    const timer = wait === undefined ? undefined : setTimeout(() => late.abort(), wait);
    try {
      await once(socket, secure === undefined ? 'connect' : 'secureConnect', { signal: late.signal });
      return secure === undefined ? tellingResets(socket) : socket;
    } catch (error) {
      socket.on('error', () => {}).destroy();
      throw late.signal.aborted ? new Error(`No connection within ${wait! / 1000} seconds (--wait)`) : error;
    } finally {
      clearTimeout(timer);
    }
  };
  return async () => {
    for (let tried = 0; ; tried++) {
      try {
        return await attempt();
      } catch (error) {
        if (tried >= retries) throw error;
        const delay = Math.min(2 ** tried, 60);
        notice(`${describe(error)}: trying again in ${delay} s`);
        await sleep(1000 * delay);
      }
    }
  };
}

/** File descriptors that are left for others than connections: files, timers of the system, a resolver. */
const SPARE = 24;

/** The most file descriptors that this process may have; undefined where nobody tells. */
function descriptorLimit(): number | undefined {
  try {
    const limit = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
    return limit === undefined ? undefined : Number(limit);
  } catch {
    return undefined;
  }
}

/** A server that listens. */
export interface Serving {
  readonly server: net.Server;
  /** Where it listens, to be shown. */
  readonly where: string;
}

/**
 * Listens. A connection that there are no file descriptors for is reset, which is said once.
 *
 * @param perConnection how many file descriptors one takes
 */
export async function serve(
  address: Address,
  values: Values,
  perConnection: number,
  onConnection: (socket: net.Socket, name: string) => void,
): Promise<Serving> {
  if (address.kind === 'stdio') throw new UsageError('stdio: is one connection, not a place to listen at');
  const secure = tlsOf(values);
  if (secure !== undefined && secure.cert === undefined)
    throw new UsageError('A server with --tls needs --cert and --key');
  const limit = descriptorLimit();
  const most =
    limit === undefined ? Number.POSITIVE_INFINITY : Math.max(1, Math.floor((limit - SPARE) / perConnection));
  let open = 0;
  let isSaid = false;
  const accept = (socket: net.Socket) => {
    if (open >= most) {
      socket.on('error', () => {});
      // An end would tell the client that all went well.
      reset(socket);
      if (!isSaid)
        complain(`Out of file descriptors at ${open} connections: further ones are reset until some end (ulimit -n)`);
      isSaid = true;
      return false;
    }
    open++;
    socket.once('close', () => {
      open--;
      if (open <= most / 2) isSaid = false;
    });
    return true;
  };
  const nameOf = (socket: net.Socket) =>
    address.kind === 'unix' ? 'a client' : shownHost(socket.remoteAddress, socket.remotePort);
  const server =
    secure === undefined
      ? net.createServer(HALF_OPEN, (socket) => accept(socket) && onConnection(tellingResets(socket), nameOf(socket)))
      : tls.createServer({ ...secure, ...HALF_OPEN }, (socket) => onConnection(socket, nameOf(socket)));
  if (secure !== undefined) {
    const raw = new Map<string, net.Socket>();
    server.on('connection', (socket) => {
      // A Unix socket has no name, and no reset.
      if (!accept(socket) || address.kind === 'unix') return;
      const name = nameOf(socket);
      raw.set(
        name,
        socket.once('close', () => raw.delete(name)),
      );
    });
    server.on('tlsClientError', (error: Error, socket: net.Socket) => {
      const name = nameOf(socket);
      complain(`${name} ${describe(error)}`);
      // To a client that does not speak TLS, an end would say that all went well.
      reset(raw.get(name) ?? socket);
    });
  }
  server.listen(address.kind === 'unix' ? { path: address.path } : { host: address.host, port: address.port });
  await once(server, 'listening');
  server.on('error', (error) => complain(describe(error)));
  const bound = server.address();
  const where = typeof bound === 'string' ? `unix:${escaped(bound)}` : shownHost(bound?.address, bound?.port);
  return { server, where };
}
