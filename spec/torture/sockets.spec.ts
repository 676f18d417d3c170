import { Buffer } from 'node:buffer';
import { type ChildProcess, execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { pipeline as nodePipeline } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { type FrameError, LengthPrefixDecoder, LengthPrefixEncoder } from '../../lib/index.js';
import { frame, payload, prefix } from '../support/frames.js';
import { closeAll, opened, transports } from './connections.js';
import type { Report } from './sockets-server.js';

/** What a decoder made of a connection. */
interface Outcome {
  readonly messages: Buffer[];
  error: (Error & { code?: string }) | null | undefined;
}

/** Takes all messages from a socket, in a pipeline with a decoder. */
function receive(socket: Socket, outcome: Outcome = { messages: [], error: undefined }): Promise<Outcome> {
  return new Promise((resolve) => {
    const decoder = new LengthPrefixDecoder();
    decoder.on('data', (message) => outcome.messages.push(message));
    // The readable half alone: the other one may still be in use.
    socket.pipe(decoder as unknown as NodeJS.WritableStream);
    const done = (error?: Error): void => {
      outcome.error = error ?? null;
      resolve(outcome);
    };
    socket.on('error', (error) => {
      decoder.destroy(error);
    });
    decoder.on('error', done);
    decoder.on('end', () => done());
  });
}

/** A socket to write to that may be torn down under it: then that is not this test's business. */
function careless(socket: Socket): Socket {
  socket.on('error', () => {});
  return socket;
}

const sizes = [0, 1, 10, 1000, 65_531, 65_536, 200_000, 3 << 20, 0, 5];

describe('torture: sockets', function () {
  this.timeout(60_000);

  afterEach(closeAll);

  for (const [name, pair] of Object.entries(transports)) {
    describe(name, () => {
      it('carries messages of all sizes both ways, to the last one', async () => {
        const [client, server] = await pair();
        const outcomes = [receive(client), receive(server)];
        for (const socket of [client, server]) {
          const encoder = new LengthPrefixEncoder();
          encoder.pipe(socket as unknown as NodeJS.WritableStream);
          for (const [i, size] of sizes.entries()) encoder.write(payload(i, size));
          encoder.end();
        }
        for (const outcome of outcomes) {
          const { messages, error } = await outcome;
          expect(error).to.equal(null);
          expect(messages.map((message) => message.length)).to.deep.equal(sizes);
          for (const [i, message] of messages.entries()) expect(message.equals(payload(i, sizes[i]!))).to.equal(true);
        }
      });

      it('echoes in one pipeline, of socket, decoder, encoder and socket', async () => {
        const [client, server] = await pair();
        const finished = new Promise<unknown>((resolve) => {
          nodePipeline(
            server,
            new LengthPrefixDecoder() as unknown as NodeJS.ReadWriteStream,
            new LengthPrefixEncoder() as unknown as NodeJS.ReadWriteStream,
            server,
            (error) => resolve(error),
          );
        });
        const outcome = receive(client);
        const encoder = new LengthPrefixEncoder();
        encoder.pipe(client as unknown as NodeJS.WritableStream);
        const many = 5000;
        for (let i = 0; i < many; i++) encoder.write(payload(i, i % 50));
        encoder.end();
        const { messages, error } = await outcome;
        expect(error).to.equal(null);
        expect(messages.length).to.equal(many);
        expect(messages.every((message, i) => message.equals(payload(i, i % 50)))).to.equal(true);
        expect(await finished).to.equal(undefined);
      });

      it('takes a peer that sends one byte at a time', async () => {
        const [client, server] = await pair();
        careless(client).setNoDelay(true);
        const outcome = receive(server);
        const due = ['', 'a', 'bc', 'x'.repeat(200)];
        for (const byte of Buffer.concat(due.map(frame))) {
          // Each in a write of its own that was handed to the system.
          await new Promise<void>((resolve) => client.write(Buffer.of(byte), () => resolve()));
        }
        client.end();
        const { messages, error } = await outcome;
        expect(error).to.equal(null);
        expect(messages.map(String)).to.deep.equal(due);
      });

      it('half open: a peer that has ended still gets our messages', async () => {
        const [client, server] = await pair();
        const got = receive(client);
        const asked = receive(server);
        client.end(frame('all I have to say'));
        const { messages, error } = await asked;
        expect(error).to.equal(null);
        expect(messages.map(String)).to.deep.equal(['all I have to say']);
        const encoder = new LengthPrefixEncoder();
        encoder.pipe(server as unknown as NodeJS.WritableStream);
        for (const [i, size] of sizes.entries()) encoder.write(payload(i, size));
        encoder.end();
        const answer = await got;
        expect(answer.error).to.equal(null);
        expect(answer.messages.map((message) => message.length)).to.deep.equal(sizes);
      });

      for (const [where, tail] of Object.entries({
        'a prefix': Buffer.of(5, 0),
        'a payload': Buffer.concat([prefix(100), Buffer.alloc(50)]),
        'a large payload': Buffer.concat([prefix(1 << 20), Buffer.alloc(400_000)]),
      })) {
        it(`ended inside ${where}: all messages, then ERR_FRAME_TRUNCATED`, async () => {
          const [client, server] = await pair();
          careless(client).end(Buffer.concat([frame('a'), frame('b'), tail]));
          const { messages, error } = await receive(server);
          expect(messages.map(String)).to.deep.equal(['a', 'b']);
          expect((error as FrameError).code).to.equal('ERR_FRAME_TRUNCATED');
          expect((error as FrameError).position).to.equal(10);
        });

        it(`torn down inside ${where}: the messages that came, and one error`, async () => {
          const [client, server] = await pair();
          const outcome: Outcome = { messages: [], error: undefined };
          const received = receive(server, outcome);
          let bytes = 0;
          const all = new Promise<void>((resolve) => {
            server.on('data', (chunk: Buffer) => {
              bytes += chunk.length;
              if (bytes === 10 + tail.length) resolve();
            });
          });
          careless(client).write(Buffer.concat([frame('a'), frame('b'), tail]));
          await all;
          // A reset where there is such a thing; TLS and Unix sockets end without a word.
          if (name === 'TCP') client.resetAndDestroy();
          else client.destroy();
          const { messages, error } = await received;
          expect(messages.map(String)).to.deep.equal(['a', 'b']);
          expect(error?.code).to.be.oneOf(['ECONNRESET', 'ERR_FRAME_TRUNCATED', 'EPIPE']);
          if (name === 'TCP') expect(error?.code).to.equal('ECONNRESET');
        });
      }

      it('a peer that goes away while we send: every callback is called, with an error where it was too late', async () => {
        const [client, server] = await pair();
        careless(client);
        const encoder = new LengthPrefixEncoder();
        const finished = new Promise<Error | null | undefined>((resolve) => {
          nodePipeline(encoder as unknown as NodeJS.ReadableStream, server, (error) => resolve(error));
        });
        let called = 0;
        let failed = 0;
        const count = 200;
        for (let i = 0; i < count; i++) {
          encoder.write(payload(i, 100_000), (error) => {
            called++;
            if (error) failed++;
          });
        }
        client.once('data', () => (name === 'TCP' ? client.resetAndDestroy() : client.destroy()));
        expect(await finished).to.be.instanceOf(Error);
        if (!encoder.closed) await once(encoder, 'close');
        await new Promise((resolve) => setImmediate(resolve));
        expect(called).to.equal(count);
        expect(failed).to.be.greaterThan(0);
      });
    });
  }

  describe('many connections at once, a tenth of them hostile', () => {
    let child: ChildProcess;
    const wanted = 2000;

    /** Both ends of each connection are in this one's limit or the server's: some room for what else is open. */
    function connections(): number {
      const limit = Number(execFileSync('/bin/sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }).trim());
      const possible = Number.isNaN(limit) ? wanted : Math.min(wanted, limit - 100);
      if (possible < wanted) {
        console.log(`      note: ${possible} connections instead of ${wanted}, for "ulimit -n" is ${limit}`);
      }
      return possible;
    }

    before(() => {
      const server = fileURLToPath(new URL('./sockets-server.js', import.meta.url));
      child = fork(server, { execArgv: ['--expose-gc'] });
    });

    after(() => {
      child.send('stop');
    });

    async function ask(question: 'open' | 'report'): Promise<Required<Report>> {
      child.send(question);
      const [report] = await once(child, 'message');
      return report as Required<Report>;
    }

    const garbage = Buffer.from(Array.from({ length: 3000 }, (_, i) => (i * 197 + 0x80) & 0xff));
    /** What a hostile peer sends, and whether it then ends, resets, or waits to be thrown out. */
    const attacks: [string, Buffer, 'end' | 'reset' | 'wait'][] = [
      ['garbage', garbage, 'wait'],
      ['a huge length', Buffer.concat([frame('ok'), Buffer.alloc(4, 0xff)]), 'wait'],
      ['the largest length allowed, and nothing more', prefix(16_777_216), 'reset'],
      ['the largest length allowed, and an end', prefix(16_777_216), 'end'],
      ['half a message', frame('truncated').subarray(0, 8), 'end'],
      ['half a prefix', Buffer.of(1), 'reset'],
      ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'), 'wait'],
      ['a TLS hello', Buffer.concat([Buffer.of(0x16, 0x03, 0x01, 0x02, 0x00), garbage]), 'wait'],
    ];

    function honest(socket: Socket, number: number): Promise<void> {
      return new Promise((resolve, reject) => {
        const encoder = new LengthPrefixEncoder();
        const decoder = new LengthPrefixDecoder();
        encoder.pipe(socket as unknown as NodeJS.WritableStream);
        socket.pipe(decoder as unknown as NodeJS.WritableStream);
        const due = [0, 10, 100, 3000].map((size) => payload(number, size));
        let got = 0;
        socket.on('error', reject);
        decoder.on('error', reject);
        decoder.on('data', (message) => {
          if (!message.equals(due[got++]!)) reject(new Error(`connection ${number}: message ${got - 1} is wrong`));
        });
        decoder.on('end', () => {
          if (got === due.length) resolve();
          else reject(new Error(`connection ${number}: ${got} messages`));
        });
        for (const message of due) encoder.write(message);
        encoder.end();
      });
    }

    function hostile(socket: Socket, number: number): Promise<void> {
      const [, bytes, then] = attacks[number % attacks.length]!;
      return new Promise((resolve) => {
        socket.on('error', () => {});
        socket.on('close', () => resolve());
        socket.resume();
        socket.write(bytes, () => {
          if (then === 'end') socket.end();
          if (then === 'reset') socket.resetAndDestroy();
        });
      });
    }

    it('every honest message is delivered, every hostile peer is thrown out, and the memory comes back', async () => {
      const [{ port }] = (await once(child, 'message')) as [Required<Report>];
      const count = connections();
      const round = async (): Promise<void> => {
        const sockets: Socket[] = [];
        // All are open before the first one speaks. Not all are opened at once: the system drops some when more wait to
        // be accepted than a runtime (Bun: 512) or its own settings allow, and those would never know.
        while (sockets.length < count) {
          const some = Array.from({ length: Math.min(100, count - sockets.length) }, () =>
            connect({ port, host: '127.0.0.1' }),
          );
          sockets.push(...some);
          opened.push(...some);
          await Promise.all(some.map((socket) => once(socket, 'connect')));
          while ((await ask('open')).open < sockets.length);
        }
        await Promise.all(sockets.map((socket, i) => (i % 10 === 0 ? hostile(socket, i / 10) : honest(socket, i))));
      };
      // Once to warm up: what a process keeps for its first connections is not a leak.
      await round();
      while ((await ask('open')).open > 0);
      const start = await ask('report');
      await round();
      // A connection that is never closed keeps this from ending.
      while ((await ask('open')).open > 0);
      const end = await ask('report');
      const honestCount = count - Math.ceil(count / 10);
      const ends = (code: string): number => (end.ends[code] ?? 0) - (start.ends[code] ?? 0);
      expect(ends('ok')).to.be.at.least(honestCount);
      expect(ends('ERR_FRAME_TOO_LONG')).to.be.at.least(Math.floor(count / 10 / 2) - 4);
      expect(ends('ERR_FRAME_TRUNCATED')).to.be.at.least(Math.floor(count / 10 / 4) - 2);
      expect(end.messages - start.messages).to.be.at.least(4 * honestCount);
      const growth = end.memory - start.memory;
      console.log(
        `      ${count} connections: memory ${(start.memory / 2 ** 20).toFixed(1)} MiB before, ` +
          `${(end.memory / 2 ** 20).toFixed(1)} MiB after; ended ${JSON.stringify(end.ends)}`,
      );
      expect(growth, 'bytes more than before').to.be.at.most(2 << 20);
    });
  });
});
