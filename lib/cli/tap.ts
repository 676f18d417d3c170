/** `length-prefix tap` */
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { reset } from '../node/leaving.js';
import { addressOf } from './address.js';
import { connector, serve } from './connection.js';
import { openings } from './conversation.js';
import { complain, describe, leave, notice, UsageError } from './errors.js';
import { formatOf } from './format.js';
import { onSignal } from './listen.js';
import { refuseMore, refuseRaw, type Values, wholeNumber } from './options.js';
import { PATIENCE } from './output.js';
import { Pcap, type PcapStream } from './pcap.js';
import { Printer } from './printer.js';
import { type Setting, Watcher } from './watcher.js';

/** Passes on all bytes between a client and its server. */
async function join(
  client: Socket,
  connect: () => Promise<Socket>,
  there: Watcher,
  back: Watcher,
  sockets: Set<Socket>,
  pcap?: PcapStream,
): Promise<void> {
  let isReset = false;
  const fail = (watcher: Watcher, peer: Socket | undefined) => (error: Error) => {
    watcher.error(error);
    isReset = true;
    // To end it would say that all is well.
    if (peer !== undefined) reset(peer);
  };
  let server: Socket | undefined;
  client.on('error', (error) => fail(there, server)(error));
  try {
    server = await connect();
  } catch (error) {
    return fail(back, client)(error as Error);
  }
  if (client.destroyed) {
    reset(server);
    return;
  }
  sockets.add(server);
  server.on('error', fail(back, client));
  for (const [socket, peer, watcher, direction] of [
    [client, server, there, '->'],
    [server, client, back, '<-'],
  ] as const) {
    // Bytes are passed on first, and then shown.
    socket.pipe(peer);
    socket.on('data', (chunk: Buffer) => {
      watcher.take(chunk);
      pcap?.data(direction, chunk);
    });
    socket.once('end', () => watcher.end(!isReset));
    socket.once('close', () => {
      watcher.end(false);
      sockets.delete(socket);
    });
  }
}

/** Settles when the operating system has all that was written to a socket. */
function handedOver(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.writableLength === 0) return resolve();
    socket.once('close', resolve);
    if (socket.writableEnded) socket.once('finish', resolve);
    else socket.write('', () => resolve());
  });
}

export async function run(values: Values, positionals: readonly string[]): Promise<undefined> {
  const [where, other] = positionals;
  if (where === undefined) throw new UsageError('There is no SERVER to connect to');
  refuseMore('SERVER', other);
  const listenAt = addressOf((values.listen as string | undefined) ?? '0');
  const connect = connector(addressOf(where), values);
  const format = formatOf(values);
  refuseRaw(values);
  const left = wholeNumber(values, 'count', 1) ?? Number.POSITIVE_INFINITY;
  const printer = await Printer.open(values, {
    isLossy: values.output === undefined,
    onLost: (error) => complain(`Going on without output: ${describe(error)}`),
  });
  const pcap = values.pcap === undefined ? undefined : await Pcap.open(values.pcap as string);
  const sockets = new Set<Socket>();
  const setting: Setting = {
    format,
    openings: openings[String(values.format)] ?? {},
    printer,
    rest: 'All that follows is passed on, but not decoded',
    onFault() {},
    left,
    onLast: () => void stop(),
  };

  let connectionCount = 0;
  const { server, where: shown } = await serve(listenAt, {}, 2, (client, name) => {
    const connection = ++connectionCount;
    printer.event({ connection }, 'open', { address: name });
    sockets.add(client.once('close', () => sockets.delete(client)));
    const [there, back] = [new Watcher(setting, connection, '->'), new Watcher(setting, connection, '<-')];
    void join(client, connect, there, back, sockets, pcap?.connection(client, connection));
  });

  let isStopping = false;

  /** Messages that were shown are passed on. Then connections are reset: to end them would say that all is well. */
  async function stop(): Promise<void> {
    if (isStopping) return;
    isStopping = true;
    server.close();
    printer.hurry();
    for (const socket of sockets) socket.unpipe().pause();
    await Promise.race([Promise.all(Array.from(sockets, handedOver)), sleep(PATIENCE)]);
    for (const socket of sockets) reset(socket);
    await printer.end();
    leave(0, PATIENCE);
  }
  onSignal(() => void stop());
  notice(`Listening on ${shown}`);
  return undefined;
}
