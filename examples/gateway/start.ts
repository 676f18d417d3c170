/**
 * Starts all of it, sends messages through it, and stops it: a broker, two gateways, HAProxy, a worker, and clients. In the
 * midst of it, a gateway and the broker are killed, and started again.
 *
 *     npm run gateway
 */
import { EventEmitter, on } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { install } from '../../spec/tools/debian.js';
import { Site } from './site.js';

const CLIENTS = ['anna', 'ben', 'carla'];
const MESSAGES = 3000;

async function main(): Promise<void> {
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));
  install(['haproxy', 'nats-server']);

  const progress = new EventEmitter();
  let isShown = true;
  const site = await Site.open((line, name) => {
    const n = Number(/ (\d+) stored$/.exec(line)?.[1]);
    if (isShown && (Number.isNaN(n) ? name !== 'nats' : n % 500 === 0)) console.log(`${name} | ${line}`);
    if (line.startsWith('anna')) progress.emit('stored', n);
  });
  const past = async (wanted: number) => {
    for await (const [n] of on(progress, 'stored')) if (n >= wanted) return;
  };
  await site.startNats();
  await site.startGateway('gateway1');
  await site.startGateway('gateway2');
  await site.startHAProxy();
  const worked = join(site.folder, 'messages.txt');
  await site.startNode('worker', 'worker', [worked, site.nats], /are done$/);

  const [early, late] = [past(MESSAGES / 3), past((2 * MESSAGES) / 3)];
  await site.startNode('client', 'client', [site.ports.haproxy, MESSAGES, ...CLIENTS], / stored$/);
  const stored = site.ended('client');
  stored.then(() => progress.emit('stored', Infinity));
  await early;
  console.log('       A gateway is killed, and started again.');
  await site.end('gateway1', 'SIGKILL');
  await site.startGateway('gateway1');
  await late;
  console.log('       The broker is killed, and started again.');
  await site.end('nats', 'SIGKILL');
  await site.startNats();
  if ((await stored) !== 0) throw new Error('The client failed');

  const linesOf = () => readFileSync(worked, 'utf8').split('\n').slice(0, -1);
  while (linesOf().length < CLIENTS.length * MESSAGES) await sleep(50);
  const ids = linesOf().map((line) => line.split(' ')[0]!);
  for (const name of CLIENTS) {
    const wrong = ids.filter((id) => id.startsWith(`${name}:`)).findIndex((id, i) => id !== `${name}:${i + 1}`);
    if (wrong !== -1) throw new Error(`The worker's message ${wrong + 1} of ${name} is another one`);
  }
  isShown = false;
  await site.close();
  console.log(`All ${ids.length} messages were stored and worked on once, in the order of each client.`);
}

await main().catch((error) => {
  process.stderr.write(`gateway: ${error.message}\n`, () => process.exit(1));
});
