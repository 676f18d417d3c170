import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { Site } from '../../../examples/gateway/site.js';
import { partsOf } from '../../../examples/gateway/storage.js';
import { Watch } from './processes.js';
import { Random } from './random.js';
import { readStream, type Stored } from './stream.js';

const SEED = Number(process.env.GATEWAY_SEED ?? Math.floor(Math.random() * 2 ** 32));
const CLIENTS = 200;
const HOSTILE = CLIENTS / 10;
const PER_PROCESS = 20;
/** After so many milliseconds of silence, a gateway drops a client: soon, so that it happens often. */
const settings = { GREETING: 3000, IDLE: 11_000 };
const MB = 1_000_000;
/** However many messages there are. A process of Node has some 60 MB when it begins. */
const MOST_MEMORY: Record<string, number> = { gateway: 250 * MB, nats: 400 * MB, haproxy: 100 * MB };

const gateways = ['gateway1', 'gateway2'] as const;
type Gateway = (typeof gateways)[number];
/** Of each client that is not hostile. */
const count = Math.ceil(Number(process.env.GATEWAY_MESSAGES ?? 100_000) / (CLIENTS - HOSTILE));
const MESSAGES = count * (CLIENTS - HOSTILE);
/** The names of the clients in each of their processes. */
const crews = new Map(
  Array.from({ length: (CLIENTS - HOSTILE) / PER_PROCESS }, (_, crew) => [
    `clients${crew}`,
    Array.from({ length: PER_PROCESS }, (_, i) => `client-${crew}-${i}`),
  ]),
);
const random = new Random(SEED);

// So that 'exit' is heard, and nothing is left running.
process.once('SIGTERM', () => process.exit(143));

describe(`the gateway, with ${MESSAGES} messages, and seed ${SEED}`, () => {
  /** The last number that each client was told is stored. */
  const told = new Map<string, number>();
  /** What each run of a client was told: the first time, of an earlier run's messages; and the last time. */
  const claims = new Map<string, { first: number; last: number }>();
  const complaints: string[] = [];
  let acknowledged = 0;
  let onAcknowledged = () => {};
  let site: Site;
  let watch: Watch;
  let stored: Stored[];

  function hear(line: string, name: string): void {
    if (name.startsWith('gateway')) complaints.push(line);
    const [, client, n] = /^(client-\S+) (\d+) stored$/.exec(line) ?? [];
    if (client === undefined) return;
    acknowledged += Number(n) - (told.get(client) ?? 0);
    told.set(client, Number(n));
    const run = `${client}, process ${site.processes.get(name)}`;
    claims.set(run, { first: Number(n), ...claims.get(run), last: Number(n) });
    onAcknowledged();
  }

  const startCrew = (crew: string) =>
    site.startNode(crew, 'client', [site.ports.haproxy, count, ...crews.get(crew)!], / stored$/);
  const startWorker = () => site.startNode('worker', 'worker', [join(site.folder, 'worked'), site.nats], / are done$/);
  const isAtWork = (name: string) => site.processes.has(name);

  async function killed(name: string, start: () => Promise<void>): Promise<void> {
    await site.end(name, 'SIGKILL');
    await sleep(random.between(0, 1500));
    await start();
  }

  const restartGateway = (name: Gateway) => killed(name, () => site.startGateway(name, settings));
  const restartNats = () => killed('nats', () => site.startNats());

  /** Those of one target come one after the other. Those of several may well come at the same time. */
  const faults: { fault: string; target: string; happen: () => Promise<void> }[] = [
    ...[...gateways, ...gateways].map((name) => ({
      fault: `${name} is killed`,
      target: name,
      happen: () => restartGateway(name),
    })),
    { fault: 'the broker is killed', target: 'nats', happen: restartNats },
    { fault: 'the broker is killed', target: 'nats', happen: restartNats },
    {
      fault: 'the broker is frozen',
      target: 'nats',
      async happen() {
        site.signal('nats', 'SIGSTOP');
        await sleep(random.between(500, 4000));
        site.signal('nats', 'SIGCONT');
      },
    },
    { fault: 'HAProxy is reloaded', target: 'haproxy', happen: () => site.reloadHAProxy() },
    { fault: 'HAProxy is reloaded', target: 'haproxy', happen: () => site.reloadHAProxy() },
    ...gateways.map((name) => ({
      fault: `${name} is drained, stopped, and started`,
      target: name,
      async happen() {
        await site.tellHAProxy(`set server gateways/${name} state drain`);
        expect(await site.end(name), name).to.equal(0);
        await site.startGateway(name, settings);
        await site.tellHAProxy(`set server gateways/${name} state ready`);
      },
    })),
    ...[1, 2].map(() => ({
      fault: 'clients are killed',
      target: 'clients',
      async happen() {
        const left = [...crews.keys()].filter(isAtWork);
        if (left.length === 0) return;
        const crew = random.of(left);
        await killed(crew, () => startCrew(crew));
      },
    })),
    { fault: 'the worker is killed', target: 'worker', happen: () => killed('worker', startWorker) },
  ];

  /** All of them, each when a random part of the messages is stored. */
  async function haveFaults(): Promise<void> {
    const moments = faults.map((fault) => ({ ...fault, at: Math.floor(random.next() * 0.9 * MESSAGES) }));
    const ends = new Map<string, Promise<void>>();
    for (const { fault, target, happen, at } of moments.sort((a, b) => a.at - b.at)) {
      while (acknowledged < at) {
        await new Promise<void>((resolve) => {
          onAcknowledged = resolve;
        });
      }
      await sleep(random.between(0, 20));
      const next = async () => {
        console.log(`    ${acknowledged} of ${MESSAGES}: ${fault}`);
        await happen();
      };
      ends.set(target, (ends.get(target) ?? Promise.resolve()).then(next));
    }
    await Promise.all(ends.values());
  }

  before(async () => {
    site = await Site.open(hear);
    watch = new Watch(() => site.processes);
    await site.startNats();
    for (const name of gateways) await site.startGateway(name, settings);
    await site.startHAProxy();
    await startWorker();
    const hostile = fileURLToPath(new URL('hostile.js', import.meta.url));
    const args = [hostile, site.ports.haproxy, HOSTILE, SEED].map(String);
    await site.start('hostile', process.execPath, args, /hostile/);
  });

  after(async () => {
    watch.stop();
    await site.close();
  });

  it('takes all messages while its programs are killed', async () => {
    await Promise.all([...crews.keys()].map(startCrew));
    await haveFaults();
    for (const crew of crews.keys()) if (isAtWork(crew)) expect(await site.ended(crew)).to.equal(0);
    const done = Array.from(crews.values())
      .flat()
      .map((client) => told.get(client));
    expect(done).to.deep.equal(Array(CLIENTS - HOSTILE).fill(count));
    await site.end('hostile');
    expect([...site.processes.keys()].sort()).to.deep.equal([...gateways, 'haproxy', 'nats', 'worker'].sort());
  });

  it('stops in good order', async () => {
    for (const name of gateways) expect(await site.end(name), name).to.equal(0);
  });

  it('has stored what it has said, each once, in the order of each client, and nothing that it has refused', async () => {
    stored = await readStream(site.nats);
    const last = new Map<string, { n: number; run: string }>();
    const texts = new Map<string, string>();
    for (const { id, text } of stored) {
      const { name, run, n, isMarker } = partsOf(id);
      const before = last.get(name!) ?? { n: 0, run: undefined };
      expect(n, id).to.equal(before.n + (isMarker ? 0 : 1));
      expect(run !== before.run, `${id} begins a run`).to.equal(isMarker);
      last.set(name!, { n, run: run! });
      if (isMarker) expect(text, id).to.equal('');
      else if (name!.startsWith('client-')) texts.set(`${n} from ${name}`, text);
      else expect(text, id).to.match(/^(one|f*)$/);
    }
    for (const client of [...crews.values()].flat()) expect(last.get(client)?.n, client).to.equal(count);
    // A run was told of its own messages, and not of another's with the same numbers.
    for (const [run, { first, last }] of claims) {
      const [client, process] = run.split(', ');
      for (let n = first + 1; n <= last; n++) {
        expect(texts.get(`${n} from ${client}`)).to.equal(`${n} from ${client}, ${process}`);
      }
    }
  });

  it('has its work done once', async function () {
    this.timeout(60_000);
    const linesOf = () => readFileSync(join(site.folder, 'worked'), 'utf8').split('\n').slice(0, -1);
    const messages = stored.filter(({ id }) => !partsOf(id).isMarker);
    while (linesOf().length < messages.length) await sleep(100);
    const worked = linesOf().map((line) => JSON.parse(line));
    const byId = (a: { id: string }, b: { id: string }) => (a.id < b.id ? -1 : 1);
    const wanted = messages.map(({ id, text }) => ({ id, data: Buffer.from(text).toString('base64') }));
    expect(worked.sort(byId)).to.deep.equal(wanted.sort(byId));
  });

  it('has told why it dropped clients, and of which address', () => {
    const reasons = [
      /:\d+: No name came for 3000 ms$/,
      /:\d+: Silent for 11000 ms$/,
      /:\d+: A message came before a name$/,
      /:\d+: A name is 1 to 64 letters/,
      /:\d+: Message 3 came after 1$/,
      /:\d+: .*a payload of \d+ bytes is announced, at most 16384 are allowed/,
      /:\d+: .*the frame was not complete within 10000 ms/,
      /:\d+: .*the input ended after \d+ of \d+ bytes/,
    ];
    const unheard = reasons.filter((reason) => !complaints.some((line) => reason.test(line)));
    expect(unheard).to.deep.equal([]);
    // One that is dropped before HAProxy has said whose it is has no port.
    const wrong = complaints.filter(
      (line) => !/^(Listening on |Connecting to |The broker |127\.0\.0\.1(:\d+)?: )/.test(line),
    );
    expect(wrong).to.deep.equal([]);
  });

  it('stays within its memory', () => {
    const shown = Array.from(watch.peaks, ([name, bytes]) => `${name} ${Math.round(bytes / MB)}`);
    console.log(`    The most that each program had, in MB: ${shown.join(', ')}`);
    for (const [name, bytes] of watch.peaks) {
      const most = MOST_MEMORY[name.replace(/\d+$/, '')] ?? 250 * MB;
      expect(bytes, name).to.be.within(1, most);
    }
  });
});
