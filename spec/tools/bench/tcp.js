/** One connection over TCP. */
import { once } from 'node:events';
import { cycleOf, messagesOf, PAYLOADS, Tally } from './bytes.js';
import { perMessage, perTrip, repeatsOf, TIME, TRIP } from './jobs.js';
import { dial, listening, partner } from './link.js';
import { native } from './native.js';
import { BATCH, COPIED, FRAMED, load, OURS, PASS_THROUGHS, PEERS, RAW, WS } from './packages.js';

/** The server's end, here. The other is `other(port)`'s, whose result comes second. */
async function connected(name, size, take, other) {
  const contestant = await load(name);
  const server = await listening();
  const accepted = once(server, 'connection').then(([socket]) => {
    socket.on('error', () => {});
    return contestant.connect(socket, take, { size, isServer: true });
  });
  return await Promise.all([accepted, other(server.address().port, contestant)]);
}

/** Cycles of messages to the server. `other` makes what sends so many. */
async function transfer(name, size, other) {
  const tally = new Tally();
  const [, send] = await connected(name, size, tally.take, other);
  const messages = cycleOf(size);
  const run = async (repeats) => {
    const all = tally.expect(repeats * messages, size);
    await Promise.all([all, send(repeats)]);
  };
  const repeats = await repeatsOf(run);
  return perMessage(repeats * messages, () => run(repeats));
}

const inOneProcess = (name) => (size) =>
  transfer(name, size, async (port, contestant) => {
    const end = await contestant.connect(await dial(port), () => {}, { size });
    const messages = messagesOf(size);
    return async (repeats) => {
      for (let i = 0; i < repeats; i++) await end.send(messages);
    };
  });

const inTwo = (role) => (name) => (size) => transfer(name, size, (port) => partner(role, port, name, size));

/** One message there and back, again and again. The server's end begins. */
const pingPong = (echo) => (name) => async (size) => {
  let answered;
  const [end] = await connected(
    name,
    size,
    () => answered(),
    (port, contestant) => echo(port, contestant, name, size),
  );
  const [message] = messagesOf(size);
  return perTrip(() => {
    const answer = new Promise((resolve) => {
      answered = resolve;
    });
    end.write(message);
    return answer;
  });
};

async function echoHere(port, contestant, _name, size) {
  const [message] = messagesOf(size);
  const end = await contestant.connect(await dial(port), () => end.write(message), { size });
}

const echoThere = (port, _contestant, name, size) => partner('echo', port, name, size);

const all = [OURS, BATCH, FRAMED, ...PEERS, WS, COPIED, RAW];
const throughput = { measures: [TIME], sizes: PAYLOADS, quick: [16, 65_536], floor: COPIED };
const trips = { measures: TRIP, sizes: [16, 4096, 65_536], quick: [16], floor: RAW };

function workload(name, title, settings, job, names = [OURS, FRAMED, ...PEERS, WS, PASS_THROUGHS, RAW]) {
  const contestants = Object.fromEntries(names.map((contestant) => [contestant, job(contestant)]));
  return { name, title, sizesOf: 'payload', contestants, ...settings };
}

export const tcp = [
  workload('end-to-end-one-process', 'End to end over TCP, one process', throughput, inOneProcess, all),
  workload('end-to-end-two-processes', 'End to end over TCP, two processes', throughput, inTwo('send'), all),
  workload(
    'decode-from-tcp',
    'Decode from TCP, prepared bytes from another process',
    { ...throughput, quick: [16], native },
    inTwo('send prepared'),
    all.filter((name) => name !== WS),
  ),
  workload('ping-pong-one-process', 'Ping-pong, both ends in one process', trips, pingPong(echoHere)),
  workload('ping-pong-two-processes', 'Ping-pong, two processes', trips, pingPong(echoThere)),
];
