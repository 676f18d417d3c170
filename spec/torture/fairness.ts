/** How long an honest client waits for its answer among floods of empty frames: `node dist/spec/torture/fairness.js`. */
import { Buffer } from 'node:buffer';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { framed } from '../../lib/index.js';

const PINGS = 100;

function serve(): void {
  const server = createServer((socket) => {
    const messages = framed(socket);
    messages.on('data', (message) => {
      if (message.length > 0) messages.write(message);
    });
    messages.on('error', () => {});
  });
  server.listen(0, () => process.send!((server.address() as AddressInfo).port));
}

function flood(port: number, count: number): void {
  const bytes = Buffer.alloc(262_144);
  for (let i = 0; i < count; i++) {
    const socket = connect(port);
    const write = (): void => {
      while (socket.write(bytes));
    };
    socket.on('drain', write).on('error', () => process.exit());
    write();
  }
  process.send!('begun');
}

async function waits(port: number): Promise<number[]> {
  const honest = framed(connect(port));
  const figures: number[] = [];
  for (let i = 0; i < PINGS; i++) {
    const begin = performance.now();
    honest.write('ping');
    await once(honest, 'data');
    figures.push(performance.now() - begin);
  }
  honest.destroy();
  return figures.toSorted((a, b) => a - b);
}

const [role, ...args] = process.argv.slice(2);
const [port, count] = args.map(Number) as [number, number];
if (role === 'serve') serve();
else if (role === 'flood') flood(port, count);
else {
  const program = fileURLToPath(import.meta.url);
  console.log('\nfloods of empty frames | an honest client waits, median | at the most');
  for (const floods of [0, 1, 20]) {
    const server = fork(program, ['serve']);
    const [listening] = await once(server, 'message');
    const flooder = fork(program, ['flood', String(listening), String(floods)]);
    await once(flooder, 'message');
    const sorted = await waits(listening);
    const [median, most] = [sorted[PINGS >> 1]!, sorted.at(-1)!].map((ms) => `${ms.toFixed(1)} ms`) as [string, string];
    console.log(`${String(floods).padStart(22)} | ${median.padStart(30)} | ${most.padStart(11)}`);
    for (const child of [flooder, server]) child.kill();
  }
}
