/** Many connections to one server; the other ends are bare sockets in another process. */
import { messagesOf } from './bytes.js';
import { allOf, TRIP } from './jobs.js';
import { listening, partner } from './link.js';
import { DUPLEX, FRAMED, load, OURS, PASS_THROUGHS, RAW, STREAM_PEERS, WS } from './packages.js';

const SIZE = 16;
const [MESSAGE] = messagesOf(SIZE);

/** A process has an open file for each connection, and a few more: `ulimit -n` must allow for 10,200. */
export const most = process.report.getReport().userLimits.open_files.soft - 200;
const scaled = (...counts) => [...new Set(counts.map((count) => Math.min(count, most)))];

/** What the crowd sends to be taken for a client of this contestant. */
function manners(name, { prefix }) {
  if (name === WS) {
    const hello = [
      'GET / HTTP/1.1',
      'Host: localhost',
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    ];
    const frame = Buffer.concat([Buffer.of(0x82, 0x80 | SIZE), Buffer.alloc(4), MESSAGE]);
    return { hello: `${hello.join('\r\n')}\r\n\r\n`, frame: frame.toString('base64'), answerLength: 2 + SIZE };
  }
  const frame = Buffer.concat([prefix?.(SIZE) ?? Buffer.alloc(0), MESSAGE]);
  return { frame: frame.toString('base64'), answerLength: frame.length };
}

/** A server, and its crowd. `settle` waits until so many connections are there, at both ends. */
async function open(name, onConnection) {
  const contestant = await load(name);
  let count = 0;
  const server = await listening((socket) => {
    count += 1;
    socket.on('error', ignore).on('close', onClose);
    onConnection(contestant, socket);
  });
  const onClose = () => {
    count -= 1;
  };
  const crowd = await partner('crowd', server.address().port, manners(name, contestant));
  const settle = async (opened) => {
    await crowd({ opened });
    while (count !== opened) await new Promise(setImmediate);
  };
  return { crowd, settle };
}

function ignore() {}

async function answer(contestant, socket) {
  const end = await contestant.connect(socket, () => end.write(MESSAGE), { size: SIZE, isServer: true });
}

/** A server with so many connections that answers each message with one of the same length. */
async function answering(name, count) {
  const { crowd, settle } = await open(name, answer);
  await settle(count);
  return crowd;
}

/** Connections are opened and closed again. What they need beyond the socket is held by the socket alone. */
const idle = (name) => async (count) => {
  const { settle } = await open(name, (contestant, socket) =>
    contestant.connect(socket, ignore, { size: SIZE, isServer: true }),
  );
  return async () => {
    const before = heapUsed();
    await settle(count);
    const heap = (heapUsed() - before) / count;
    await settle(0);
    return { heap };
  };
};

function heapUsed() {
  gc();
  return process.memoryUsage().heapUsed;
}

/** All connections are busy. */
const cost = (name) => async (count) => {
  const crowd = await answering(name, count);
  return async (time) => {
    const before = process.cpuUsage();
    const { trips } = await crowd({ busy: count, time });
    const { user, system } = process.cpuUsage(before);
    return { cpu: (1000 * (user + system)) / trips };
  };
};

const tenthBusy = (name) => async (count) => {
  const crowd = await answering(name, count);
  return async (time) => {
    const { p50, p99 } = await crowd({ busy: count / 10, time });
    return { p50, p99 };
  };
};

function workload(name, title, measures, sizes, job, names) {
  const contestants = allOf(names, job);
  return { name, title, measures, sizesOf: 'connections', sizes, quick: sizes.slice(0, 1), floor: RAW, contestants };
}

const HEAP = { name: 'heap', unit: 'bytes of heap per connection' };
const CPU = { name: 'cpu', unit: 'ns of CPU for a frame there and back' };
const FEW = [FRAMED, 'frame-stream', WS, RAW];
const HELD = [OURS, FRAMED, ...STREAM_PEERS, WS, DUPLEX, PASS_THROUGHS, RAW];
const COUNTS = scaled(10, 100, 1000, 10_000);

export const connections = [
  workload('idle-connections', 'Idle connections, socket included', [HEAP], scaled(1000), idle, HELD),
  workload('busy-connections', 'Many connections, all of them busy', [CPU], COUNTS, cost, [OURS, ...FEW]),
  workload('tenth-busy', 'Many connections, a tenth of them busy', TRIP, COUNTS.slice(-1), tenthBusy, FEW),
];
