/**
 * The server of sockets.spec.ts, in a process of its own: `node --expose-gc dist/spec/torture/sockets-server.js`. It
 * answers each message with the same message, and is told by its parent when to say how much memory it uses.
 */
import { createServer, type Socket } from 'node:net';
import process from 'node:process';
import { pipeline } from 'readable-stream';
import { LengthPrefixDecoder, LengthPrefixEncoder } from '../../lib/index.js';
import { turns } from '../support/frames.js';
import { usedMemory } from '../support/runtime.js';
import { codeOf } from '../support/streams.js';

/** What the server tells its parent. */
export interface Report {
  readonly port?: number;
  readonly memory?: number;
  readonly open?: number;
  readonly messages?: number;
  /** How often connections ended in which way. */
  readonly ends?: Record<string, number>;
}

const ends: Record<string, number> = {};
const open = new Set<Socket>();
let messages = 0;

const server = createServer({ allowHalfOpen: true }, (socket) => {
  open.add(socket);
  socket.on('close', () => open.delete(socket));
  const decoder = new LengthPrefixDecoder();
  const encoder = new LengthPrefixEncoder();
  decoder.on('data', () => messages++);
  pipeline(
    socket as unknown as NodeJS.ReadWriteStream,
    decoder as unknown as NodeJS.ReadWriteStream,
    encoder as unknown as NodeJS.ReadWriteStream,
    socket as unknown as NodeJS.WritableStream,
    (error) => {
      const code = codeOf(error) ?? (error ? String(error) : 'ok');
      ends[code] = (ends[code] ?? 0) + 1;
      socket.destroy();
    },
  );
});

async function memory(): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let still = 0; still < 4; still++) {
    globalThis.gc?.();
    await turns(5);
    const now = usedMemory();
    if (now < least - 4096) still = 0;
    least = Math.min(least, now);
  }
  return least;
}

const say = (report: Report): void => {
  if (process.connected) process.send?.(report);
};

server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => {
  say({ port: (server.address() as { port: number }).port });
});

process.on('message', async (question) => {
  if (question === 'open') say({ open: open.size });
  if (question === 'report') say({ memory: await memory(), open: open.size, messages, ends });
  if (question === 'stop') process.disconnect?.();
});
process.on('disconnect', () => process.exit());
