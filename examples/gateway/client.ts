/**
 * Sends numbered messages in the name of one or more clients, and prints of each which ones are stored. Started again, it
 * goes on behind the last one that is stored.
 *
 *     node dist/examples/gateway/client.js PORT COUNT NAME...
 */
import { connect } from 'node:net';
import { Sender } from './sender.js';

const [port, count, ...names] = process.argv.slice(2);
const run = `process ${process.pid}`;

async function sendAll(name: string): Promise<void> {
  const sender = new Sender(name, () => connect({ port: Number(port), host: '127.0.0.1', noDelay: true }));
  sender.on('stored', (n) => console.log(`${name} ${n} stored`));
  sender.on('fault', (error) => console.error(`${name}: ${error.message}`));
  await sender.ready();
  for (let n = sender.stored + 1; n <= Number(count); n++) await sender.send(Buffer.from(`${n} from ${name}, ${run}`));
  await sender.end();
}

// Why one is refused, its 'fault' has said.
await Promise.all(names.map(sendAll)).catch(() => {
  process.exitCode = 1;
});
