/**
 * Clients that do what none should, one thing after another, until they are ended. What must not be stored says so: REFUSED.
 *
 *     node dist/spec/tools/gateway/hostile.js PORT CLIENTS SEED
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Random } from './random.js';

const [port, clients, seed] = process.argv.slice(2).map(Number) as [number, number, number];

function frame(n: number, data: Uint8Array | string = ''): Buffer {
  const bytes = Buffer.from(n === 0 && data.length > 0 ? `${data}:run` : data);
  const head = Buffer.alloc(10);
  head.writeUInt32BE(6 + bytes.length);
  head.writeUIntBE(n, 4, 6);
  return Buffer.concat([head, bytes]);
}

/** What one does with its connection. It is over when the gateway ends it, or when this comes back. */
type Act = (socket: Socket, name: string, random: Random) => unknown;

async function closed(socket: Socket): Promise<void> {
  if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve));
}

/** A socket that is not read does not see its end. */
async function unread(random: Random): Promise<void> {
  await sleep(random.between(0, 6000));
}

const acts: Record<string, Act> = {
  async garbage(socket, _, random) {
    socket.resume().write(random.bytes(random.between(1, 50_000)));
    await closed(socket);
  },
  async long(socket, name) {
    socket.resume().write(Buffer.concat([frame(0, name), frame(1, Buffer.alloc(100_000, 'REFUSED'))]));
    await closed(socket);
  },
  async name(socket, _, random) {
    const name = random.of(['a.b', '*', '>', 'messages.>', ' ', '\r\nPUB x 1\r\n', 'x'.repeat(65)]);
    socket.resume().write(Buffer.concat([frame(0, name), frame(1, 'REFUSED')]));
    await closed(socket);
  },
  async nameless(socket) {
    socket.resume().write(frame(1, 'REFUSED'));
    await closed(socket);
  },
  async gap(socket, name) {
    socket.resume().write(Buffer.concat([frame(0, name), frame(1, 'one'), frame(3, 'REFUSED'), frame(2, 'REFUSED')]));
    await closed(socket);
  },
  /** Many valid messages, whose acknowledgements nobody reads. */
  async flood(socket, name, random) {
    const size = random.of([0, 100, 16_000]);
    socket.pause().write(frame(0, name));
    for (let n = 1; n <= 200 && !socket.destroyed; n++) socket.write(frame(n, Buffer.alloc(size, 'f')));
    await unread(random);
  },
  /** So many that are answered at once that the answers, which nobody reads, fill every buffer on the way. */
  async deaf(socket, _, random) {
    const many = Buffer.concat(Array(10_000).fill(frame(0)));
    const sendAll = async () => {
      for (let i = 0; i < 50 && !socket.destroyed; i++) await new Promise((written) => socket.write(many, written));
    };
    socket.pause();
    await Promise.race([sendAll(), unread(random)]);
  },
  async silent(socket, name, random) {
    if (random.next() < 0.5) socket.write(frame(0, name));
    await closed(socket.resume());
  },
  /** Never silent for long, and never at the end of a frame. */
  async trickle(socket, name) {
    socket.resume().write(frame(0, name));
    const over = closed(socket);
    for (const byte of frame(1, 'REFUSED'.repeat(1000))) {
      if (socket.destroyed) break;
      socket.write(Buffer.of(byte));
      await Promise.race([over, sleep(500)]);
    }
  },
  async half(socket, name, random) {
    const hello = frame(0, name);
    const bytes = Buffer.concat([hello, frame(1, 'REFUSED'.repeat(100))]);
    const length = random.between(1, bytes.length - 1);
    socket.resume().write(bytes.subarray(0, length));
    // The gateway may still be busy with the name then, or not.
    if (length > hello.length && random.next() < 0.5) await Promise.race([closed(socket), once(socket, 'data')]);
    if (random.next() < 0.5) socket.resetAndDestroy();
    else socket.end();
    await closed(socket);
  },
};

async function misbehave(client: number): Promise<never> {
  const random = new Random(seed + client);
  for (let i = 0; ; i++) {
    const socket = connect({ port, host: '127.0.0.1' }).on('error', () => {});
    const names = Object.keys(acts);
    // Each is there at the beginning; later, any.
    const act = i === 0 ? names[client % names.length]! : random.of(names);
    console.log(`hostile-${client}-${i} ${act}`);
    await acts[act]!(socket, `hostile-${client}-${i}`, random);
    socket.destroy();
    await sleep(random.between(0, 300));
  }
}

for (let client = 0; client < clients; client++) misbehave(client);
