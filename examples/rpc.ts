/**
 * Calls and answers over one connection: many at a time, answered in any order.
 *
 *     npm run rpc -- 11000
 *     npm run rpc -- 11000 'wait 500' 'add 1 2'     calls, all at once
 */
import { connect, createServer, type Socket } from 'node:net';
import { finished } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import { framed, json } from 'length-prefix';

async function run(method: unknown, [a, b]: any): Promise<unknown> {
  if (method === 'add') return a + b;
  if (method === 'wait') return setTimeout(a, a);
  throw new Error(`There is no method ${method}`);
}

async function answerAll(socket: Socket): Promise<void> {
  // Half-open: a client that has no more calls still gets its answers.
  const messages = framed(socket, { ...json, allowHalfOpen: true });
  messages.on('error', (error) => console.error(error.message));
  const running = new Set<Promise<unknown>>();
  for await (const { id, method, values } of messages) {
    const call = run(method, values)
      .then((result) => ({ id, result }))
      .catch((error) => ({ id, error: error.message }))
      .then((answer) => new Promise((sent) => messages.write(answer, sent)))
      .finally(() => running.delete(call));
    // A client that does not read its answers has to wait, too.
    if (running.add(call).size >= 100) await Promise.race(running);
  }
  await Promise.all(running);
  messages.end();
}

/** Returns a function that calls the server behind the socket. */
function caller(socket: Socket) {
  const messages = framed(socket, json);
  const pending = new Map<number, (answer: any) => void>();
  let count = 0;
  messages.on('data', (answer) => {
    pending.get(answer.id)?.(answer);
    pending.delete(answer.id);
  });
  finished(messages, (error) => {
    for (const settle of pending.values()) settle({ error: error?.message ?? 'The server hung up' });
  });
  return (method: string, ...values: unknown[]) =>
    new Promise<any>((resolve, reject) => {
      pending.set(++count, ({ result, error }) => (error === undefined ? resolve(result) : reject(new Error(error))));
      messages.write({ id: count, method, values }, (error) => error && reject(error));
    });
}

const [port, ...texts] = process.argv.slice(2);
if (texts.length === 0) {
  const server = createServer((socket) => answerAll(socket).catch(() => {})); // told by the listener for 'error'
  server.listen(Number(port), '127.0.0.1', () => console.log('Listening on', JSON.stringify(server.address())));
} else {
  const socket = connect(Number(port), '127.0.0.1');
  const call = caller(socket);
  const show = async (text: string) => {
    const [method, ...values] = text.split(' ');
    console.log(`${text}: ${await call(method!, ...values.map(Number)).catch(String)}`);
  };
  Promise.all(texts.map(show)).then(() => socket.end());
}
