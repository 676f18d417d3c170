/**
 * Measures the example of the gateway, and prints the tables of its page: `npm run figures:gateway`.
 *
 *     node dist/spec/tools/gateway/figures.js 5 1 1000     5 seconds each, with 1 and 1000 connections only
 */
import { cpus } from 'node:os';
import { Site } from '../../../examples/gateway/site.js';
import { install } from '../debian.js';
import type { Figures, Load } from './load.js';
import { processorTime, residentSize } from './processes.js';

const [, , seconds = '10', ...chosen] = process.argv;
const SECONDS = Number(seconds);
const PACE = 1000;
const MANY = 10_000;
const gateways = ['gateway1', 'gateway2'] as const;
/** It needs two sockets for each connection, and may have 20,000. So many connections are shared out among two. */
const MOST_OF_ONE_HAPROXY = 5000;

interface Measured {
  figures: Figures;
  /** Memory that connections have added, in bytes: to both gateways, and to HAProxy. */
  memory: { gateways: number; haproxy: number };
  /** The processor's time for one message in microseconds, by program. */
  costs: Map<string, number>;
}

async function measure(load: Omit<Load, 'ports' | 'nats' | 'seconds'> & { direct?: boolean }): Promise<Measured> {
  let output = '';
  const site = await Site.open((line, name) => {
    if (name === 'load') output = line;
  });
  const memoryOf = (kind: string) => {
    const pids = Array.from(site.processes).filter(([name]) => name.startsWith(kind));
    return pids.reduce((sum, [, pid]) => sum + residentSize(pid), 0);
  };
  const memory = () => ({ gateways: memoryOf('gateway'), haproxy: memoryOf('haproxy') });
  await site.startNats();
  for (const name of gateways) await site.startGateway(name);
  const ports = [site.ports.haproxy];
  await site.startHAProxy();
  if (load.connections > MOST_OF_ONE_HAPROXY) {
    ports.push(site.ports.spare);
    await site.startHAProxy('haproxy2', site.ports.spare);
  }
  const before = memory();
  const to = load.direct ? { nats: site.nats } : { ports };
  const program = '../../spec/tools/gateway/load';
  await site.startNode('load', program, [JSON.stringify({ ...load, ...to, seconds: SECONDS })], /^\{/);
  const after = memory();
  const figures: Figures = JSON.parse(output);
  const costs = new Map<string, number>();
  for (const [name, pid] of site.processes) costs.set(name, (1e6 * processorTime(pid)) / figures.total);
  await site.close();
  const added = { gateways: after.gateways - before.gateways, haproxy: after.haproxy - before.haproxy };
  return { figures, memory: added, costs };
}

const ms = (value: number) => (value < 10 ? value.toPrecision(2) : String(Math.round(value)));
const whole = (value: number) => Math.round(value).toLocaleString('en');

install(['haproxy', 'nats-server']);
console.log(
  `${cpus().length} x ${cpus()[0]?.model}, Node ${process.version}, ${new Date().toISOString().slice(0, 10)}`,
);
console.log(
  '| connections | in flight of each | messages/s | p50, ms | p99, ms | without: messages/s | p50, ms | p99, ms |',
);
console.log('| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |');
const details: string[] = [];
for (const [connections, window] of [
  [1, 1],
  [1, 64],
  [10, 1],
  [1000, 1],
  [MANY, 1],
] as const) {
  if (chosen.length > 0 && !chosen.includes(String(connections))) continue;
  const { figures, costs } = await measure({ connections, window });
  const { figures: direct } = await measure({ connections, window, direct: true });
  const cells = [figures, direct].flatMap(({ rate, p50, p99 }) => [whole(rate), ms(p50), ms(p99)]);
  console.log(`| ${[whole(connections), window, ...cells].join(' | ')} |`);
  details.push(
    `${whole(connections)} x ${window}: ${Array.from(costs, ([name, cost]) => `${name} ${ms(cost)}`).join(', ')}`,
  );
}
console.log(`\nMicroseconds of a processor for each message:\n${details.join('\n')}\n`);
console.log(
  `| connections, with ${PACE} messages a second | p50, ms | p99, ms | KB each, gateways | KB each, HAProxy |`,
);
console.log('| ---: | ---: | ---: | ---: | ---: |');
for (const connections of [1, 10, 1000, MANY]) {
  if (chosen.length > 0 && !chosen.includes(String(connections))) continue;
  const { figures, memory } = await measure({ connections, rate: PACE });
  // Of few, it is the garbage of the messages.
  const each = [memory.gateways, memory.haproxy].map((bytes) =>
    connections < 1000 ? '' : ms(bytes / 1000 / connections),
  );
  console.log(`| ${[whole(connections), ms(figures.p50), ms(figures.p99), ...each].join(' | ')} |`);
}
process.exit();
