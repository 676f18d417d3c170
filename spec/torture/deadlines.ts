/** The time that a server of 10,000 connections takes, with deadlines and without: `node dist/spec/torture/deadlines.js`. */
import { Buffer } from 'node:buffer';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import process from 'node:process';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Framed, framed } from '../../lib/index.js';

const CONNECTIONS = 10_000;
const ROUNDS = 5;
const QUIET = 1000;
const FRAME = Buffer.from([4, 0, 0, 0, 1, 2, 3, 4]);

/** Says when all connections have sent a message more; asked, the milliseconds of CPU it took, and what has begun. */
function serve(frameTimeout: number): void {
  const all: Framed[] = [];
  let received = 0;
  const server = createServer((socket) => {
    const messages = framed(socket, { frameTimeout });
    messages.on('error', () => {});
    messages.on('data', () => ++received % CONNECTIONS === 0 && process.send!('all'));
    all.push(messages);
    if (all.length === CONNECTIONS) process.send!('connected');
  });
  process.on('message', (question) => {
    const { user, system } = process.cpuUsage();
    const begun = () => all.reduce((sum, { insideFrame }) => sum + Number(insideFrame), 0);
    process.send!(question === 'begun' ? begun() : (user + system) / 1000);
  });
  process.on('disconnect', () => process.exit());
  server.listen({ port: 0, backlog: 4096 }, () => process.send!((server.address() as AddressInfo).port));
}

async function measure(frameTimeout: number): Promise<number[]> {
  const server = fork(fileURLToPath(import.meta.url), ['serve', String(frameTimeout)]);
  const heard = async () => (await once(server, 'message'))[0];
  const ask = async (question: 'cpu' | 'begun'): Promise<number> => {
    server.send(question);
    return await heard();
  };
  const port = await heard();
  const connected = heard();
  const sockets: Socket[] = [];
  while (sockets.length < CONNECTIONS) {
    const socket = connect(port);
    sockets.push(socket);
    await once(socket, 'connect');
  }
  await connected;
  const send = (bytes: Uint8Array): void => {
    for (const socket of sockets) socket.write(bytes);
  };
  const works = [
    async () => void (await setTimeout(QUIET)),
    async () => {
      send(FRAME);
      await heard();
    },
    async () => {
      send(FRAME.subarray(0, 6));
      while ((await ask('begun')) < CONNECTIONS);
      send(FRAME.subarray(6));
      await heard();
    },
  ];
  const figures: number[] = [];
  for (const work of works) {
    const taken: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const begin = await ask('cpu');
      await work();
      taken.push((await ask('cpu')) - begin);
    }
    figures.push(taken.toSorted((a, b) => a - b)[ROUNDS >> 1]!);
  }
  server.kill();
  for (const socket of sockets) socket.destroy();
  return figures;
}

const [role, frameTimeout] = process.argv.slice(2);
if (role === 'serve') serve(Number(frameTimeout));
else {
  const columns = [`quiet for ${QUIET / 1000} s`, 'a message each', 'a message each, in two chunks'];
  console.log(`\nCPU time of ${CONNECTIONS} connections | ${columns.join(' | ')}`);
  for (const timeout of [0, 10_000]) {
    const cells = (await measure(timeout)).map((ms, i) => `${ms.toFixed(1)} ms`.padStart(columns[i]!.length));
    console.log(`${`frameTimeout: ${timeout}`.padStart(29)} | ${cells.join(' | ')}`);
  }
}
