import type { Socket } from 'node:net';
import { messageSource, PAYLOADS } from '../bytes.js';
import { loadContestant, OURS, OURS_FRAMED, PEERS, RAW_SOCKET, uint32le } from '../contestants.js';
import { Link } from '../link.js';
import { percentile } from '../statistics.js';
import { now } from '../tally.js';
import type { Job, Workload } from '../workload.js';

/** One end: sends a message, and is told the length of each that comes. */
type End = (socket: Socket, onMessage: (length: number) => void) => () => void;

/** Through an encoder and a decoder. */
async function messageEnd(name: string, size: number): Promise<End> {
  const contestant = await loadContestant(name);
  const [message] = messageSource(size)(1);
  const reading = name === 'it-length-prefixed' ? 'for await' : 'data';
  return (socket, onMessage) => {
    contestant.receiver(reading, onMessage).from(socket);
    const send = contestant.sender(socket);
    return () => send(message!);
  };
}

/** Prepared bytes; a message has come when as many bytes have. */
async function bareEnd(size: number): Promise<End> {
  const frame = Buffer.concat([uint32le(size), ...messageSource(size)(1)]);
  return (socket, onMessage) => {
    let received = 0;
    socket.on('data', (chunk) => {
      received += chunk.length;
      if (received < frame.length) return;
      received -= frame.length;
      onMessage(size);
    });
    return () => void socket.write(frame);
  };
}

function endOf(name: string, size: number): Promise<End> {
  return name === RAW_SOCKET ? bareEnd(size) : messageEnd(name, size);
}

type Work = (count: number) => (socket: Socket) => Promise<void>;

/** Answers each message with one of the same length. */
export async function echo(name: string, size: number): Promise<Work> {
  const end = await endOf(name, size);
  return () => async (socket) => {
    const answer = end(socket, () => answer());
  };
}

export const echoPrepared = (_name: string, size: number): Promise<Work> => echo(RAW_SOCKET, size);

/** Trips of each connection that are not counted. */
const SKIPPED = 5;

async function prepare(name: string, size: number, twoProcesses: boolean): Promise<Job> {
  const end = await endOf(name, size);
  const answer = await echo(name, size);
  const role = name === RAW_SOCKET ? 'echo prepared' : 'echo';
  const link = await Link.open(twoProcesses ? { role, contestant: name, size } : undefined, true);
  return {
    async run(count) {
      const times: number[] = [];
      const play = (socket: Socket) =>
        new Promise<void>((resolve, reject) => {
          let start = now();
          const send = end(socket, (length) => {
            const here = now();
            if (length !== size) reject(new Error(`a message of ${length} bytes came, not of ${size}`));
            times.push(here - start);
            if (times.length === SKIPPED + count) {
              socket.destroy();
              resolve();
              return;
            }
            start = now();
            send();
          });
          send();
        });

      if (twoProcesses) {
        let played: Promise<void> | undefined;
        await link.toPartner(count, (near) => {
          played = play(near);
        });
        await played;
      } else {
        const [near, far] = await link.pair();
        await answer(count)(near);
        await play(far);
        near.destroy();
      }
      const counted = times.slice(SKIPPED).sort((a, b) => a - b);
      const ns = counted.reduce((sum, time) => sum + time, 0);
      return { ns, values: { p50: percentile(counted, 0.5) / 1000, p99: percentile(counted, 0.99) / 1000 } };
    },
  };
}

const common = {
  measures: [
    { name: 'p50', unit: 'µs there and back' },
    { name: 'p99', unit: 'µs there and back' },
  ],
  sizesOf: 'payload',
  sizes: PAYLOADS,
  quickSizes: [16],
  contestants: [OURS, OURS_FRAMED, ...PEERS, RAW_SOCKET],
};

export const pingPongWorkloads: readonly Workload[] = [
  {
    ...common,
    name: 'ping-pong-one-process',
    title: 'ping-pong, both ends in one process',
    prepare: (name, size) => prepare(name, size, false),
  },
  {
    ...common,
    name: 'ping-pong-two-processes',
    title: 'ping-pong, the other end in another process',
    prepare: (name, size) => prepare(name, size, true),
  },
];
