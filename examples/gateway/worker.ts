/**
 * Works on the messages of the stream: adds each to a file, which stands for a database.
 *
 * The broker delivers each message at least once: when a worker ends between its work and its acknowledgement, or the
 * acknowledgement is lost, the message comes again. So the work has to be idempotent: by the message's id, the worker
 * sees what it has done already. The id is written together with the result, in one step.
 *
 * A database has a unique key for it, in the place of the set of all ids, which grows with every message, and which a second
 * worker would not see.
 *
 *     node dist/examples/gateway/worker.js FILE nats://HOST:PORT
 */
import { appendFileSync, closeSync, ftruncateSync, openSync, readFileSync } from 'node:fs';
import { AckPolicy } from '@nats-io/jetstream';
import { nanos } from '@nats-io/transport-node';
import { Broker, STREAM } from './broker.js';
import { partsOf } from './storage.js';

const [path = 'messages.txt', nats = 'nats://127.0.0.1:4222'] = process.argv.slice(2);
const NAME = 'worker';

const file = openSync(path, 'a+');
const done = new Set(idsOf(readFileSync(file)));

/** Of the lines that are whole. One that is not was never acknowledged: it is cut off. */
function idsOf(lines: Buffer): string[] {
  const end = lines.lastIndexOf('\n') + 1;
  ftruncateSync(file, end);
  return lines
    .toString('utf8', 0, end)
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line).id);
}

const { connection, manager, jetstream } = await Broker.connect(nats);
await manager.consumers.add(STREAM, {
  durable_name: NAME, // The broker keeps its place, whoever works under this name.
  ack_policy: AckPolicy.Explicit,
  ack_wait: nanos(10_000),
  // With more than one, messages that come again come behind later ones.
  max_ack_pending: 1000,
});
const consumer = await jetstream.consumers.get(STREAM, NAME);
// If the broker has lost the stream, this fails. Started again, the worker makes it anew.
const messages = await consumer.consume({ max_messages: 500, abort_on_missing_resource: true });
process.once('SIGTERM', () => messages.close());

const tell = () => console.log(`${done.size} messages are done`);
tell();
for await (const message of messages) {
  // One that no gateway has stored may have no id.
  const id = message.headers?.get('Nats-Msg-Id') || `place ${message.seq}`;
  if (!done.has(id) && !partsOf(id).isMarker) {
    // A client's bytes may be any, line breaks too.
    appendFileSync(file, `${JSON.stringify({ id, data: Buffer.from(message.data).toString('base64') })}\n`);
    if (done.add(id).size % 1000 === 0) tell();
  }
  message.ack();
}
await connection.close();
closeSync(file);
