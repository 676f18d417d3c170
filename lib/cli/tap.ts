/** `length-prefix tap` */
import type { Socket } from 'node:net';
import { reset } from '../node/leaving.js';
import { addressOf } from './address.js';
import { connector, serve } from './connection.js';
import { openings } from './conversation.js';
import { complain, describe, notice, UsageError } from './errors.js';
import { formatOf } from './format.js';
import { onSignal } from './listen.js';
import { refuseMore, refuseRaw, type Values, wholeNumber } from './options.js';
import { Pcap, type PcapStream } from './pcap.js';
import { Printer } from './printer.js';
import { type Setting, Watcher } from './watcher.js';

/** Passes on all bytes between a client and its server. */
async function join(
  client: Socket,
  connect: () => Promise<Socket>,
  there: Watcher,
  back: Watcher,
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
  server.on('error', fail(back, client));
  for (const [socket, watcher, direction] of [
    [client, there, '->'],
    [server, back, '<-'],
  ] as const) {
    socket.on('data', (chunk: Buffer) => {
      watcher.take(chunk);
      pcap?.data(direction, chunk);
    });
    socket.once('end', () => watcher.end(!isReset));
    socket.once('close', () => watcher.end(false));
  }
  client.pipe(server).pipe(client);
}

export async function run(values: Values, positionals: readonly string[]): Promise<undefined> {
  const [where, other] = positionals;
  if (where === undefined) throw new UsageError('There is no SERVER to connect to');
  refuseMore('SERVER', other);
  const listenAt = addressOf((values.listen as string | undefined) ?? '0');
  const connect = connector(addressOf(where), values);
  const format = formatOf(values);
  refuseRaw(values);
  const count = wholeNumber(values, 'count', 1) ?? Number.POSITIVE_INFINITY;
  const printer = await Printer.open(values, {
    isLossy: values.output === undefined,
    onLost: (error) => complain(`Going on without output: ${describe(error)}`),
  });
  const pcap = values.pcap === undefined ? undefined : await Pcap.open(values.pcap as string);
  const sockets = new Set<Socket>();
  let seen = 0;
  const setting: Setting = {
    format,
    openings: openings[String(values.format)] ?? {},
    printer,
    seen: () => {
      if (++seen === count) stop();
    },
  };

  let connectionCount = 0;
  const { server, where: shown } = await serve(listenAt, {}, 2, (client, name) => {
    const connection = ++connectionCount;
    printer.event({ connection }, 'open', { address: name });
    sockets.add(client.once('close', () => sockets.delete(client)));
    const [there, back] = [new Watcher(setting, connection, '->'), new Watcher(setting, connection, '<-')];
    void join(client, connect, there, back, pcap?.connection(client, connection));
  });

  /** Connections are reset: to end them would say that all is well. */
  function stop(): void {
    server.close();
    for (const socket of sockets) reset(socket);
    void printer.end().then(() => process.exit());
  }
  onSignal(stop);
  notice(`Listening on ${shown}`);
  return undefined;
}
