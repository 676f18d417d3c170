/** TCP connections over the loopback, and other processes that hold one end of them. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { fileURLToPath } from 'node:url';

export async function listening(onConnection) {
  const server = createServer({ noDelay: true }, onConnection).listen(0, '127.0.0.1', 511);
  await once(server, 'listening');
  return server;
}

/** The ends are cut when all has come: a reset is no fault. */
export async function dial(port) {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true }).on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

/** Has one of the roles in a process of its own. @returns a function that asks it. */
export async function partner(role, ...args) {
  const child = fork(fileURLToPath(new URL('./partner.js', import.meta.url)), [JSON.stringify([role, ...args])]);
  await once(child, 'message');
  return async (request) => {
    const reply = once(child, 'message');
    child.send({ request });
    return (await reply)[0].reply;
  };
}
