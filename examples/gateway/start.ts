/**
 * Starts all of it, sends messages through it, and stops it: a broker, two gateways, HAProxy, a worker, and clients. In the
 * midst of it, a gateway and the broker are killed, and started again.
 *
 *     npm run gateway
 *     npm run gateway -- --keep     goes on running then, until Control-C
 */
import { EventEmitter, on, once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Site } from './site.js';
import { partsOf } from './storage.js';

const CLIENTS = ['anna', 'ben', 'carla'];
const MESSAGES = 3000;

async function main(): Promise<void> {
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

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

  /** Somebody who tries things out may have killed it before. */
  const killed = async (name: string, start: () => Promise<void>) => {
    console.log(`       ${name} is killed, and started again.`);
    if (site.processes.has(name)) await site.end(name, 'SIGKILL');
    await start();
  };
  const [early, late] = [past(MESSAGES / 3), past((2 * MESSAGES) / 3)];
  await site.startNode('client', 'client', [site.ports.haproxy, MESSAGES, ...CLIENTS], / stored$/);
  const stored = site.ended('client');
  stored.then(() => progress.emit('stored', Infinity));
  await early;
  await killed('gateway1', () => site.startGateway('gateway1'));
  await late;
  await killed('nats', () => site.startNats());
  if ((await stored) !== 0) throw new Error('The client failed');

  const idsOf = () =>
    readFileSync(worked, 'utf8')
      .split('\n')
      .slice(0, -1)
      .map((line) => partsOf(JSON.parse(line).id));
  while (idsOf().length < CLIENTS.length * MESSAGES) await sleep(100);
  const ids = idsOf();
  for (const client of CLIENTS) {
    const wrong = ids.filter(({ name }) => name === client).findIndex(({ n }, i) => n !== i + 1);
    if (wrong !== -1) throw new Error(`The worker's message ${wrong + 1} of ${client} is another one`);
  }
  console.log(`All ${ids.length} messages were stored and worked on once, in the order of each client.`);
  if (process.argv.includes('--keep')) await keep(site);
  isShown = false;
  await site.close();
}

/** Comes back at Control-C. */
async function keep({ ports, processes, commands, folder }: Site): Promise<void> {
  console.log(
    `\nAll of it goes on running, with its files in ${folder}. Kill what you like: each command starts it again.\n`,
  );
  for (const [name, pid] of processes) console.log(`${name}, process ${pid}:\n    ${commands.get(name)}`);
  console.log(`
A client that sends what is missing to 5,000 messages:
    node dist/examples/gateway/client.js ${ports.haproxy} 5000 anna
To see each message pass, let the client connect to a tap in front of HAProxy:
    node dist/bundle/cli/main.js tap --listen ${ports.spare} --length-field uint32be ${ports.haproxy}
    node dist/examples/gateway/client.js ${ports.spare} 5010 anna
The messages that were worked on:
    tail -f ${folder}/messages.txt
Control-C ends all of it.`);
  process.removeAllListeners('SIGINT');
  await once(process, 'SIGINT');
}

await main().catch((error) => {
  process.stderr.write(`gateway: ${error.message}\n`, () => process.exit(1));
});
