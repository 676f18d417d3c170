/**
 * Measures how long messages take until they are stored, through the gateway or without it, and prints it as JSON.
 *
 *     node dist/spec/tools/gateway/load.js '{ "ports": [11000], "connections": 10, "window": 1, "seconds": 10 }'
 */
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Broker, subjectOf } from '../../../examples/gateway/broker.js';
import { Sender } from '../../../examples/gateway/sender.js';

export interface Load {
  /** HAProxy's. */
  ports?: number[];
  /** Or that of a broker, which takes messages without a gateway. */
  nats?: string;
  connections: number;
  /** So many messages of each connection wait for their acknowledgement at any time. */
  window?: number;
  /** Or so many are sent a second, over all connections in turn. */
  rate?: number;
  seconds: number;
}

export interface Figures {
  /** Stored per second. */
  rate: number;
  /** From the call that sends a message until it is known to be stored: of half of the messages, and of 99 in 100, in ms. */
  p50: number;
  p99: number;
  /** All that were stored, those of the warm-up too. */
  total: number;
}

const WARM_UP = 3;
const data = Buffer.alloc(100, 'x');
/** How many connections are made at the same time. */
const TOGETHER = 100;

/** Sends a message. Comes back when it is stored. */
type Send = () => Promise<void>;

async function throughGateway(ports: readonly number[], connections: number): Promise<Send[]> {
  const sends: Send[] = [];
  for (let i = 0; i < connections; i += TOGETHER) {
    const some = Array.from({ length: Math.min(TOGETHER, connections - i) }, (_, j) => open(ports, i + j));
    sends.push(...(await Promise.all(some)));
  }
  return sends;
}

async function open(ports: readonly number[], i: number): Promise<Send> {
  const port = ports[i % ports.length]!;
  const sender = new Sender(`load-${i}`, () => connect({ port, host: '127.0.0.1', noDelay: true }));
  sender.on('fault', (error) => console.error(error.message));
  const waiting: { n: number; resolve: () => void }[] = [];
  sender.on('stored', (n) => {
    while (waiting.length > 0 && waiting[0]!.n <= n) waiting.shift()!.resolve();
  });
  await sender.ready();
  return async () => {
    const n = await sender.send(data);
    await new Promise<void>((resolve) => waiting.push({ n, resolve }));
  };
}

async function withoutGateway(nats: string, connections: number): Promise<Send[]> {
  const { jetstream } = await Broker.connect(nats);
  return Array.from({ length: connections }, (_, i) => {
    let n = 0;
    return async () => {
      await jetstream.publish(subjectOf(`load-${i}`), data, { msgID: `load-${i}:${++n}`, timeout: 60_000 });
    };
  });
}

async function measure({ ports, nats, connections, window = 1, rate, seconds }: Load): Promise<Figures> {
  const sends = ports ? await throughGateway(ports, connections) : await withoutGateway(nats!, connections);
  const begin = performance.now() + 1000 * WARM_UP;
  const end = begin + 1000 * seconds;
  const times: number[] = [];
  let total = 0;
  const timed = async (send: Send) => {
    const start = performance.now();
    await send();
    const now = performance.now();
    total++;
    if (now >= begin && now < end) times.push(now - start);
  };
  const always = async (send: Send) => {
    while (performance.now() < end) await timed(send);
  };
  if (rate === undefined) {
    await Promise.all(sends.flatMap((send) => Array.from({ length: window }, () => always(send))));
  } else {
    const start = performance.now();
    for (let sent = 0; performance.now() < end; await sleep(5)) {
      const due = ((performance.now() - start) / 1000) * rate;
      for (; sent < due; sent++) timed(sends[sent % sends.length]!);
    }
  }
  times.sort((a, b) => a - b);
  const quantile = (q: number) => times[Math.floor(q * times.length)]!;
  return { rate: times.length / seconds, p50: quantile(0.5), p99: quantile(0.99), total };
}

console.log(JSON.stringify(await measure(JSON.parse(process.argv[2]!))));
setInterval(() => {}, 60_000); // Whoever has started it looks at it first, and ends it.
