/** The other ends of connections, which may be in a process of their own: see `partner`. */
import { once } from 'node:events';
import { messagesOf, wireOf, writeAll } from './bytes.js';
import { dial } from './link.js';
import { load } from './packages.js';

/** Each is called with the port to connect to, and may return what can be asked of it. */
export const roles = {
  /** Sends cycles of messages. */
  async send(port, name, size) {
    const socket = await dial(port);
    const end = await (await load(name)).connect(socket, () => {}, { size });
    const messages = messagesOf(size);
    return (repeats) => repeated(repeats, () => end.send(messages));
  },

  /** Sends the same cycles as prepared bytes. */
  async 'send prepared'(port, name, size) {
    const socket = await dial(port);
    const wire = wireOf(messagesOf(size), (await load(name)).prefix);
    return (repeats) => repeated(repeats, () => writeAll(socket, wire));
  },

  /** Answers each message with one of the same length. */
  async echo(port, name, size) {
    const [message] = messagesOf(size);
    const end = await (await load(name)).connect(await dial(port), () => end.write(message), { size });
  },

  /**
   * A crowd of bare sockets. It is told how many are to be `opened` in all, and to `play` for so many milliseconds: then each
   * of the first `busy` sends a prepared frame, and again as soon as the answer is there. Returns microseconds.
   */
  async crowd(port, { hello, frame, answerLength }) {
    const bytes = Buffer.from(frame, 'base64');
    const sockets = [];
    const enter = async () => {
      const socket = await dial(port);
      if (hello !== undefined) {
        socket.write(hello);
        await once(socket, 'data');
      }
      sockets.push(socket);
    };
    const play = (socket, until, times) =>
      new Promise((resolve) => {
        let start = performance.now();
        let waiting = answerLength;
        const onData = ({ length }) => {
          waiting -= length;
          if (waiting > 0) return;
          waiting = answerLength;
          const now = performance.now();
          times.push(1000 * (now - start));
          start = now;
          if (now < until) socket.write(bytes);
          else resolve(socket.off('data', onData));
        };
        socket.on('data', onData).write(bytes);
      });
    return async ({ opened = sockets.length, busy = 0, time = 0 }) => {
      for (const socket of sockets.splice(opened)) socket.resetAndDestroy();
      // No more at a time than a server's backlog takes.
      while (sockets.length < opened)
        await Promise.all(Array.from({ length: Math.min(100, opened - sockets.length) }, enter));
      const times = [];
      const until = performance.now() + time;
      await Promise.all(sockets.slice(0, busy).map((socket) => play(socket, until, times)));
      times.sort((a, b) => a - b);
      const percentile = (share) => times[Math.floor(times.length * share)];
      return { trips: times.length, p50: percentile(0.5), p99: percentile(0.99) };
    };
  },
};

async function repeated(times, work) {
  for (let i = 0; i < times; i++) await work();
}
