/**
 * `npm run large -- --gib 5`: sends one message of so many GiB over TCP from this process to another, compares the bytes
 * at both ends, and prints the speed and the most memory that each process had. Fails where that is over 150 MB.
 */
import { fork } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { crc32 } from 'node:zlib';
import { framed } from '../../lib/index.js';
import { peakMemory } from '../support/peak.js';

const MOST_MEMORY = 150_000_000;
const PIECE = 262_144;

const options = { lengthField: 'uint64le', maxPayloadLength: Number.MAX_SAFE_INTEGER, stream: true } as const;

/** What one end has seen. */
interface Seen {
  readonly length: number;
  readonly checksum: number;
  /** The peak of the resident set, in bytes. */
  readonly memory: number;
}

async function send(port: number, length: number): Promise<Seen> {
  let checksum = 0;
  const piece = randomFillSync(Buffer.alloc(PIECE));
  function* body() {
    for (let sent = 0; sent < length; sent += PIECE) {
      // No two pieces are alike: one that is lost, doubled or out of its place shows.
      piece.writeDoubleLE(sent);
      const next = piece.subarray(0, length - sent);
      checksum = crc32(next, checksum);
      yield next;
    }
  }
  const messages = framed(connect(port, '127.0.0.1'), options);
  messages.write({ length, body: body() });
  messages.end();
  // The other end hangs up when it has it all.
  await messages.toArray();
  return { length, checksum, memory: peakMemory() };
}

async function receive(): Promise<void> {
  const server = createServer(async (socket) => {
    server.close();
    for await (const { length, body } of framed(socket, options)) {
      let received = 0;
      let checksum = 0;
      for await (const chunk of body) {
        received += chunk.length;
        checksum = crc32(chunk, checksum);
      }
      if (received !== length) throw new Error(`${received} bytes came of ${length}`);
      process.send!({ length, checksum, memory: peakMemory() } satisfies Seen);
    }
    process.disconnect!();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  process.send!((server.address() as AddressInfo).port);
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { gib: { type: 'string', default: '5' } } });
  const gib = Number(values.gib);
  const length = Math.ceil(gib * 2 ** 30);
  if (!(length > 0 && length <= Number.MAX_SAFE_INTEGER)) throw new Error(`--gib must be above 0, not ${values.gib}`);

  const receiver = fork(fileURLToPath(import.meta.url), { env: { ...process.env, LARGE_RECEIVER: '1' } });
  process.on('exit', () => receiver.kill());
  receiver.on('exit', (code) => {
    if (code !== 0) throw new Error(`The receiver failed: ${code}`);
  });
  const [port] = await once(receiver, 'message');
  const begin = performance.now();
  const [sent, [received]] = (await Promise.all([send(port, length), once(receiver, 'message')])) as [Seen, Seen[]];
  const seconds = (performance.now() - begin) / 1000;

  const speed = Math.round(length / 2 ** 20 / seconds);
  console.log(`${length} bytes (${gib} GiB) in ${seconds.toFixed(1)} s: ${speed} MiB/s`);
  let isGood = true;
  for (const [name, { memory }] of Object.entries({ sender: sent, receiver: received! })) {
    const isTooMuch = memory > MOST_MEMORY;
    console.log(`${name}: at most ${(memory / 1e6).toFixed(1)} MB resident${isTooMuch ? ', over 150 MB' : ''}`);
    if (isTooMuch) isGood = false;
  }
  const isEqual = sent.length === received!.length && sent.checksum === received!.checksum;
  console.log(isEqual ? 'The bytes are the same.' : 'THE BYTES DIFFER.');
  process.exitCode = isGood && isEqual ? 0 : 1;
}

await (process.env.LARGE_RECEIVER === undefined ? main() : receive());
