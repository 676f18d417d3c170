/** The other end of a connection, in a process of its own: see `Link`. */
import { once } from 'node:events';
import { dial, type PartnerRole, type PartnerTask } from './link.js';
import { echo, echoPrepared } from './workloads/ping-pong.js';
import { sendMessages, sendPrepared } from './workloads/transfer.js';

const { role, contestant, size } = JSON.parse(process.argv[2]!) as PartnerRole;

const roles = { send: sendMessages, 'send prepared': sendPrepared, echo, 'echo prepared': echoPrepared };
const work = await roles[role](contestant, size);

process.on('message', async ({ port, count }: PartnerTask) => {
  const start = work(count);
  const socket = dial(port, role.startsWith('echo'));
  socket.on('error', () => {}); // The other end has what it wanted.
  await once(socket, 'connect');
  await start(socket);
});
process.on('disconnect', () => process.exit());
process.send!('ready');
