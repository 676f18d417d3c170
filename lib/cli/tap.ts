/** `length-prefix tap` */
import type { Socket } from 'node:net';
import type { FormatOptions } from 'length-prefix';
import { addressOf } from './address.js';
import { connector, serve } from './connection.js';
import { type Opening, openings, whole } from './conversation.js';
import { drawFault } from './drawing.js';
import { complain, describe, notice, UsageError } from './errors.js';
import { formatOf } from './format.js';
import { FrameReader } from './frame-reader.js';
import { onSignal } from './listen.js';
import { type Values, wholeNumber } from './options.js';
import { Pcap, type PcapStream } from './pcap.js';
import { Printer } from './printer.js';

type Direction = '->' | '<-';

/** What all connections share. */
interface Setting {
  readonly format: FormatOptions;
  readonly openings: Partial<Record<Direction, Opening>>;
  readonly printer: Printer;
  /** A message was seen. */
  seen(): void;
}

/** Prints the messages of one direction. The bytes go their own way: what is printed has no part in it. */
class Watcher {
  readonly #setting: Setting;
  readonly #place: { connection: number; direction: Direction };
  readonly #reader: FrameReader;
  #isLost = false;

  constructor(setting: Setting, connection: number, direction: Direction) {
    const { format, printer } = setting;
    this.#setting = setting;
    this.#place = { connection, direction };
    const message = (seen: Parameters<typeof printer.message>[1]) => {
      printer.message(this.#place, seen);
      setting.seen();
    };
    const opening = setting.openings[direction];
    this.#reader = new FrameReader(opening === undefined ? whole(format) : format, printer.keeps, { message }, opening);
  }

  take(chunk: Buffer): void {
    if (!this.#isLost) this.#try(() => this.#reader.push(chunk));
  }

  /** @param isWell whether the other side has ended, and not been cut off */
  end(isWell: boolean): void {
    if (this.#isLost) return;
    this.#try(() => this.#reader.end());
    const { position } = this.#reader;
    if (isWell && !this.#isLost) this.#setting.printer.event(this.#place, 'end', { position });
    this.#isLost = true;
  }

  error(error: unknown): void {
    this.#setting.printer.error(this.#place, error);
  }

  #try(read: () => void): void {
    try {
      read();
    } catch (error) {
      this.#isLost = true;
      const isCut = (error as NodeJS.ErrnoException).code === 'ERR_FRAME_TRUNCATED';
      const text = `${describe(error)}${isCut ? '' : '. All that follows is passed on, but not decoded'}`;
      const drawing = isCut ? [] : drawFault(error, this.#setting.format, this.#reader.window);
      this.#setting.printer.error(this.#place, error, text, drawing);
    }
  }
}

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
    peer?.resetAndDestroy();
  };
  let server: Socket | undefined;
  client.on('error', (error) => fail(there, server)(error));
  try {
    server = await connect();
  } catch (error) {
    return fail(back, client)(error as Error);
  }
  if (client.destroyed) {
    server.resetAndDestroy();
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
  if (where === undefined) throw new UsageError('There is no HOST:PORT of the server');
  if (other !== undefined) throw new UsageError(`There is one server, not '${other}' as well`);
  const listenAt = addressOf((values.listen as string | undefined) ?? '0');
  const connect = connector(addressOf(where), values);
  const format = formatOf(values);
  if (values.raw === true)
    throw new UsageError('--raw would mix what both sides say: --json and --hex tell them apart');
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
    for (const socket of sockets) socket.resetAndDestroy();
    void printer.end().then(() => process.exit());
  }
  onSignal(stop);
  notice(`Listening on ${shown}`);
  return undefined;
}
