/** One connection over TCP. */
import { once } from 'node:events';
import { cycleOf, messagesOf, PAYLOADS, Tally } from './bytes.js';
import { allOf, perMessage, perTrip, repeatsOf, TIME, TRIP } from './jobs.js';
import { listening, partner } from './link.js';
import { native } from './native.js';
import { BATCH, COPIED, FRAMED, load, OURS, PASS_THROUGHS, PEERS, RAW, WS } from './packages.js';
import { roles } from './roles.js';

/** The server's end is here. The other one has a role, here or in a process of its own. Both are returned. */
async function connected(name, size, take, other) {
  const contestant = await load(name);
  const server = await listening();
  const accepted = once(server, 'connection').then(([socket]) => {
    socket.on('error', () => {});
    return contestant.connect(socket, take, { size, isServer: true });
  });
  return await Promise.all([accepted, other(server.address().port, name, size)]);
}

const here = (role) => roles[role];
const there =
  (role) =>
  (...args) =>
    partner(role, ...args);

/** Cycles of messages to the server. */
const transfer = (other) => (name) => async (size) => {
  const tally = new Tally();
  const [, send] = await connected(name, size, tally.take, other);
  const messages = cycleOf(size);
  const run = (repeats) => Promise.all([tally.expect(repeats * messages, size), send(repeats)]);
  const repeats = await repeatsOf(run);
  return perMessage(repeats * messages, () => run(repeats));
};

/** One message there and back, again and again. The server's end begins. */
const pingPong = (other) => (name) => async (size) => {
  let answered;
  const [end] = await connected(name, size, () => answered(), other);
  const [message] = messagesOf(size);
  return perTrip(() => {
    const answer = new Promise((resolve) => {
      answered = resolve;
    });
    end.write(message);
    return answer;
  });
};

const all = [OURS, BATCH, FRAMED, ...PEERS, WS, COPIED, RAW];
const throughput = { measures: [TIME], sizes: PAYLOADS, quick: [16, 65_536], floor: COPIED };
const trips = { measures: TRIP, sizes: [16, 4096, 65_536], quick: [16], floor: RAW };

function workload(name, title, settings, job, names = [OURS, FRAMED, ...PEERS, WS, PASS_THROUGHS, RAW]) {
  return { name, title, sizesOf: 'payload', contestants: allOf(names, job), ...settings };
}

export const tcp = [
  workload('end-to-end-one-process', 'End to end over TCP, one process', throughput, transfer(here('send')), all),
  workload('end-to-end-two-processes', 'End to end over TCP, two processes', throughput, transfer(there('send')), all),
  workload(
    'decode-from-tcp',
    'Decode from TCP, prepared bytes from another process',
    { ...throughput, quick: [16], native },
    transfer(there('send prepared')),
    all.filter((name) => name !== WS),
  ),
  workload('ping-pong-one-process', 'Ping-pong, both ends in one process', trips, pingPong(here('echo'))),
  workload('ping-pong-two-processes', 'Ping-pong, two processes', trips, pingPong(there('echo'))),
];
