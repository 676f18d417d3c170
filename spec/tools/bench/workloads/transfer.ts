import type { Socket } from 'node:net';
import { CHUNK, messageSource, PAYLOADS, wireSource } from '../bytes.js';
import {
  type Contestant,
  loadContestant,
  OURS,
  OURS_BATCH,
  OURS_FRAMED,
  PEERS,
  RAW_COPIED,
  RAW_SOCKET,
  type Reading,
  uint32le,
} from '../contestants.js';
import { Link } from '../link.js';
import { now, Tally } from '../tally.js';
import { type Job, PER_MESSAGE, perMessage, type Workload } from '../workload.js';
import { writeAll } from '../writing.js';

/** Made ready for a count of messages, and then begun with a socket. */
type Work = (count: number) => (socket: Socket) => Promise<void>;

/** Messages through an encoder. */
export async function sendMessages(name: string, size: number): Promise<Work> {
  const contestant = await loadContestant(name);
  const messageList = messageSource(size);
  return (count) => {
    const messages = messageList(count);
    return (socket) => contestant.send(messages, socket);
  };
}

/** The bytes an encoder would write, prepared. */
export async function sendPrepared(name: string, size: number): Promise<Work> {
  const wire = await preparedWire(name, size);
  return (count) => {
    const { chunks } = wire(count);
    return (socket) => writeAll(socket, chunks);
  };
}

/** Small messages joined in chunks of 64 KiB, large ones one by one. */
async function preparedWire(name: string, size: number): Promise<ReturnType<typeof wireSource>> {
  const prefix = isRaw(name) ? uint32le : await prefixOf(name);
  return wireSource(size, prefix, Math.max(CHUNK, prefix(size).length + size));
}

async function prefixOf(name: string): Promise<Contestant['prefix']> {
  const contestant = await loadContestant(name);
  return (length) => contestant.prefix(length);
}

/** Takes what comes from a socket, and counts it. */
interface Counter {
  readonly tally: Tally;
  from(socket: Socket): void;
  check(): void;
}

type CounterOf = (count: number) => Counter;

/** Counts messages from a decoder. */
async function messageCounter(name: string, size: number, wireCount: (count: number) => number): Promise<CounterOf> {
  const contestant = await loadContestant(name);
  const reading: Reading = name === 'it-length-prefixed' ? 'for await' : 'data';
  return (count) => {
    const messages = wireCount(count);
    const tally = new Tally(messages * size);
    const receiver = contestant.receiver(reading, tally.add);
    return { tally, from: (socket) => receiver.from(socket), check: () => tally.check(messages) };
  };
}

/** Counts bytes, and nothing else; or copies them first. */
async function byteCounter(name: string, size: number): Promise<CounterOf> {
  const wire = await preparedWire(name, size);
  return (count) => {
    const tally = new Tally(wire(count).bytes);
    const take = name === RAW_COPIED ? copier(size + uint32le(size).length) : undefined;
    const from = (socket: Socket) =>
      void socket.on('data', (chunk: Buffer) => {
        take?.(chunk);
        tally.add(chunk.length);
      });
    return { tally, from, check: () => tally.check() };
  };
}

/** Copies chunks into new memory for each frame. */
function copier(length: number): (chunk: Buffer) => void {
  let frame = Buffer.allocUnsafeSlow(length);
  let at = 0;
  return (chunk) => {
    for (let from = 0; from < chunk.length; ) {
      const count = Math.min(length - at, chunk.length - from);
      chunk.copy(frame, at, from, from + count);
      at += count;
      from += count;
      if (at < length) continue;
      frame = Buffer.allocUnsafeSlow(length);
      at = 0;
    }
  };
}

const isRaw = (name: string) => name === RAW_SOCKET || name === RAW_COPIED;

async function endToEndInOneProcess(name: string, size: number): Promise<Job> {
  const raw = isRaw(name);
  const send = raw ? await sendPrepared(name, size) : await sendMessages(name, size);
  const counter = raw ? await byteCounter(name, size) : await messageCounter(name, size, (count) => count);
  const wire = await preparedWire(name, size);
  const link = await Link.open();
  return {
    async run(count) {
      const [near, far] = await link.pair();
      const begin = send(count);
      const { tally, from, check } = counter(count);
      from(near);
      const start = now();
      begin(far);
      await tally.complete;
      const ns = now() - start;
      check();
      far.destroy();
      near.destroy();
      return perMessage(ns, raw ? wire(count).messages : count);
    },
  };
}

/** The partner sends, either through its encoder or prepared bytes; here they are received. */
async function fromPartner(name: string, size: number, prepared: boolean): Promise<Job> {
  const raw = isRaw(name);
  const wire = await preparedWire(name, size);
  const messagesOf = (count: number) => (raw || prepared ? wire(count).messages : count);
  const counter = raw ? await byteCounter(name, size) : await messageCounter(name, size, messagesOf);
  const link = await Link.open({ role: raw || prepared ? 'send prepared' : 'send', contestant: name, size });
  return {
    async run(count) {
      const { tally, from, check } = counter(count);
      let start = 0;
      let socket: Socket | undefined;
      await link.toPartner(count, (near) => {
        start = now();
        socket = near;
        from(near);
      });
      await tally.complete;
      const ns = now() - start;
      check();
      socket!.destroy();
      return perMessage(ns, messagesOf(count));
    },
  };
}

const common = {
  measures: [PER_MESSAGE],
  sizesOf: 'payload',
  sizes: PAYLOADS,
  contestants: [OURS, OURS_BATCH, OURS_FRAMED, ...PEERS, RAW_COPIED, RAW_SOCKET],
};

export const transferWorkloads: readonly Workload[] = [
  {
    ...common,
    name: 'end-to-end-one-process',
    title: 'end to end over TCP, client and server in one process',
    quickSizes: [16, 256, 1024, 65_536, 1_048_576],
    prepare: endToEndInOneProcess,
  },
  {
    ...common,
    name: 'end-to-end-two-processes',
    title: 'end to end over TCP, client and server in two processes',
    quickSizes: [16, 65_536],
    prepare: (name, size) => fromPartner(name, size, false),
  },
  {
    ...common,
    name: 'decode-from-tcp',
    title: 'decode from TCP, what another process sends as prepared bytes',
    quickSizes: [16],
    prepare: (name, size) => fromPartner(name, size, true),
  },
];
