import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { PassThrough as NodePassThrough, Readable as NodeReadable, pipeline as nodePipeline } from 'node:stream';
import { expect } from 'chai';
import { PassThrough, pipeline, type Transform, Readable as UserlandReadable } from 'readable-stream';
import {
  FrameError,
  framed,
  LengthPrefixDecoder,
  type LengthPrefixDecoderOptions,
  LengthPrefixEncoder,
} from '../../lib/index.js';
import { frame, payload, prefix, settle, slowSink, turns } from '../support/frames.js';
import { Log, type NodeError } from './log.js';

const faults: Record<string, { tail: Buffer; code: string | undefined; options?: LengthPrefixDecoderOptions }> = {
  'a length too long': { tail: Buffer.alloc(4, 0xff), code: 'ERR_FRAME_TOO_LONG' },
  'a length too long, and more behind it': { tail: Buffer.alloc(400, 0xff), code: 'ERR_FRAME_TOO_LONG' },
  'a varint with no end': {
    tail: Buffer.alloc(10, 0xff),
    code: 'ERR_FRAME_CORRUPT',
    options: { lengthField: 'varint' },
  },
  'an end inside a length': { tail: Buffer.alloc(2), code: 'ERR_FRAME_TRUNCATED' },
  'an end inside a payload': { tail: Buffer.concat([prefix(9), Buffer.from('12345678')]), code: 'ERR_FRAME_TRUNCATED' },
  'an end inside a payload passed over': {
    tail: Buffer.concat([prefix(99), Buffer.from('12345678')]),
    code: 'ERR_FRAME_TRUNCATED',
    options: { oversize: 'skip', maxPayloadLength: 20 },
  },
  'an end where a frame ends': { tail: Buffer.alloc(0), code: undefined },
};

/** Ways to read, all of them slow. */
const slowReaders: Record<string, (decoder: Transform, log: Log) => Promise<string[]>> = {
  'for await, turns in between': async (decoder) => {
    const got: string[] = [];
    try {
      for await (const message of decoder) {
        await turns(3);
        got.push(String(message));
      }
    } catch (error) {
      expect(error).to.be.instanceOf(FrameError);
    }
    return got;
  },
  'read() when it pleases': async (decoder, log) => {
    const got: string[] = [];
    await turns(5);
    for (let quiet = 0; quiet < 8; quiet++) {
      await turns(2);
      const message = decoder.read();
      if (message === null) continue;
      quiet = 0;
      expect(log.count('error'), 'error so far').to.equal(0);
      expect(log.count('end'), 'end so far').to.equal(0);
      got.push(String(message));
    }
    return got;
  },
  'paused at every message': async (decoder, log) => {
    decoder.on('data', () => decoder.pause());
    await settle(() => {
      decoder.resume();
      return log.entries.length;
    });
    return log.messages;
  },
  'piped to a slow sink of node:stream': async (decoder, log) => {
    const sink = slowSink('node', { highWaterMark: 1, objectMode: true });
    decoder.pipe(sink.stream);
    await settle(() => [sink.step(), log.entries.length, sink.done.length]);
    return sink.done.map(String);
  },
  'piped to a slow sink of readable-stream': async (decoder, log) => {
    const sink = slowSink('userland', { highWaterMark: 3, objectMode: true });
    decoder.pipe(sink.stream);
    await settle(() => [sink.step(), log.entries.length, sink.done.length]);
    return sink.done.map(String);
  },
};

describe('torture: order and teardown', function () {
  this.timeout(30_000);

  describe('messages first, then the error or the end', () => {
    for (const [name, read] of Object.entries(slowReaders)) {
      for (const [fault, { tail, code, options }] of Object.entries(faults)) {
        it(`${name}: ${fault}`, async () => {
          for (const readableHighWaterMark of [1, 2, 5, 16]) {
            for (const cut of [1, 3, 7, 1000]) {
              for (const count of [0, 1, 5, 17]) {
                const decoder = new LengthPrefixDecoder({ ...options, readableHighWaterMark });
                const log = new Log(decoder);
                const due = Array.from({ length: count }, (_, i) => `message ${i}`);
                const varint = options?.lengthField === 'varint';
                const frames = due.map((text) =>
                  varint ? Buffer.concat([Buffer.of(text.length), Buffer.from(text)]) : frame(text),
                );
                const bytes = Buffer.concat([...frames, tail]);
                for (let at = 0; at < bytes.length; at += cut) {
                  decoder.write(bytes.subarray(at, at + cut), log.callback(String(at)));
                }
                decoder.end();
                const got = await read(decoder, log);
                await log.settle();
                const what = `hwm ${readableHighWaterMark}, cut ${cut}, ${count} messages`;
                expect(got, what).to.deep.equal(due);
                expect(
                  log.errors.map((error) => error.code),
                  what,
                ).to.deep.equal(code === undefined ? [] : [code]);
                expect(log.count('end'), what).to.equal(code === undefined ? 1 : 0);
                log.expectClosed();
                const last = log.entries.findLastIndex((entry) => entry.startsWith('data'));
                const fell = log.entries.findIndex((entry) => entry === 'error' || entry === 'end');
                expect(fell, what).to.be.greaterThan(last);
              }
            }
          }
        });
      }
    }

    it('the failed write has the error, and all writes behind it', async () => {
      const decoder = new LengthPrefixDecoder({ readableHighWaterMark: 1 });
      const log = new Log(decoder);
      decoder.write(frame('a'), log.callback('a'));
      decoder.write(Buffer.alloc(4, 0xff), log.callback('fault'));
      decoder.write(frame('b'), log.callback('b'));
      decoder.write(frame('c'), log.callback('c'));
      decoder.end(log.callback('end'));
      await log.settle();
      expect(log.errors).to.deep.equal([]);
      decoder.resume();
      await log.settle();
      expect(log.messages).to.deep.equal(['a']);
      log.expectClosed();
      for (const name of ['fault', 'b', 'c'])
        expect(log.count(`callback ${name} ERR_FRAME_TOO_LONG`), name).to.equal(1);
    });
  });

  describe('destroyed at any moment', () => {
    const chunks: Record<string, Buffer[]> = {
      'before anything': [],
      'inside a prefix': [frame('a'), Buffer.of(5, 0)],
      'between prefix and payload': [frame('a'), prefix(5)],
      'inside a payload': [frame('a'), frame('bcd').subarray(0, 6)],
      'inside a large payload': [prefix(1 << 20), Buffer.alloc(300_000), Buffer.alloc(100_000)],
      'between frames': [frame('a'), frame('b')],
      'with writes pending': [Buffer.concat([frame('a'), frame('b'), frame('c')]), frame('d'), frame('e')],
      'with a fault pending': [Buffer.concat([frame('a'), frame('b')]), Buffer.alloc(9, 0xff), frame('d')],
    };
    for (const [name, writes] of Object.entries(chunks)) {
      for (const how of ['destroy()', 'destroy(error)', 'an AbortSignal', 'Symbol.asyncDispose'] as const) {
        it(`${name}, by ${how}`, async () => {
          for (const ended of [false, true]) {
            for (const wait of [0, 3]) {
              for (const listening of [false, true]) {
                const abort = new AbortController();
                const decoder = new LengthPrefixDecoder({ readableHighWaterMark: 1, signal: abort.signal });
                const log = new Log(decoder);
                if (listening) decoder.on('data', () => decoder.pause());
                if (listening) await turns(1);
                for (const [i, chunk] of writes.entries()) decoder.write(chunk, log.callback(String(i)));
                if (ended) decoder.end();
                await turns(wait);
                const failed = decoder.destroyed;
                const error = new Error('mine');
                if (how === 'destroy()') decoder.destroy();
                if (how === 'destroy(error)') decoder.destroy(error);
                if (how === 'an AbortSignal') abort.abort();
                const dispose = (Symbol as { asyncDispose?: symbol }).asyncDispose;
                if (how === 'Symbol.asyncDispose') {
                  const disposable = decoder as unknown as Record<symbol, (() => Promise<void>) | undefined>;
                  const method = dispose && disposable[dispose];
                  if (method) void method.call(decoder).catch(() => {});
                  else decoder.destroy();
                }
                await log.settle();
                log.expectClosed();
                decoder.read();
                await log.settle();
                log.expectClosed();
                if (!failed && how === 'destroy(error)') expect(log.errors).to.deep.equal([error]);
                if (!failed && how === 'an AbortSignal') expect(log.errors[0]?.name).to.equal('AbortError');
              }
            }
          }
        });
      }
    }

    it('by a signal that was aborted before there was a stream', async () => {
      const signal = AbortSignal.abort();
      for (const make of [() => new LengthPrefixDecoder({ signal }), () => new LengthPrefixEncoder({ signal })]) {
        const log = new Log(make());
        await log.settle();
        log.expectClosed();
        expect(log.errors.map(({ name, code }) => [name, code])).to.deep.equal([['AbortError', 'ABORT_ERR']]);
      }
    });

    it("inside a 'data' listener: not one message more", async () => {
      for (const at of [1, 2, 3]) {
        const decoder = new LengthPrefixDecoder();
        const log = new Log(decoder);
        decoder.on('data', () => {
          if (log.messages.length === at) decoder.destroy();
        });
        await turns(1);
        decoder.write(Buffer.concat(['a', 'b', 'c', 'd'].map(frame)), log.callback('1'));
        await log.settle();
        expect(log.messages).to.deep.equal(['a', 'b', 'c', 'd'].slice(0, at));
        log.expectClosed();
      }
    });

    it("inside an 'oversize' listener, whatever way the prefix was cut", async () => {
      for (const cut of [1, 2, 4, 5, 100]) {
        const decoder = new LengthPrefixDecoder({ oversize: 'skip', maxPayloadLength: 10 });
        const log = new Log(decoder);
        let oversize = 0;
        decoder.on('oversize', () => {
          oversize++;
          decoder.destroy();
        });
        decoder.on('data', () => {});
        await turns(1);
        const bytes = Buffer.concat([frame('a'), frame('x'.repeat(20)), frame('b'), frame('y'.repeat(20)), frame('c')]);
        for (let at = 0; at < bytes.length && !decoder.destroyed; at += cut) {
          decoder.write(bytes.subarray(at, at + cut), log.callback(`${at}`));
        }
        await log.settle();
        expect(oversize, `cut ${cut}`).to.equal(1);
        expect(log.messages, `cut ${cut}`).to.deep.equal(['a']);
        log.expectClosed();
      }
    });

    it('inside a write callback, and inside a listener of its own end', async () => {
      const decoder = new LengthPrefixDecoder();
      const log = new Log(decoder);
      decoder.on('data', () => {});
      decoder.write(frame('a'), (error) => {
        log.callback('a')(error);
        decoder.destroy();
      });
      decoder.write(frame('b'), log.callback('b'));
      await log.settle();
      log.expectClosed();
      const other = new LengthPrefixDecoder();
      const otherLog = new Log(other);
      other.on('end', () => other.destroy());
      other.resume();
      other.end(frame('a'), otherLog.callback('end'));
      await otherLog.settle();
      otherLog.expectClosed();
    });

    it('while corked: the callbacks of writes that were never taken are called, too', async () => {
      for (const stream of [new LengthPrefixDecoder(), new LengthPrefixEncoder()]) {
        const log = new Log(stream);
        stream.cork();
        stream.write(frame('a'), log.callback('a'));
        stream.write(frame('b'), log.callback('b'));
        stream.destroy();
        await log.settle();
        stream.uncork();
        await log.settle();
        log.expectClosed();
      }
    });
  });

  describe('in a pipeline', () => {
    const kinds = {
      'node:stream': { run: nodePipeline, Readable: NodeReadable, kind: 'node' },
      'readable-stream': {
        run: pipeline as unknown as typeof nodePipeline,
        Readable: UserlandReadable,
        kind: 'userland',
      },
    } as const;
    for (const [name, { run, Readable, kind }] of Object.entries(kinds)) {
      for (const which of ['source', 'sink', 'decoder', 'encoder'] as const) {
        it(`${name}: the ${which} destroyed takes all down, once`, async () => {
          for (const wait of [0, 1, 2, 5]) {
            for (const error of [undefined, new Error('mine')]) {
              const source = new Readable({ read() {} }) as NodeReadable;
              const decoder = new LengthPrefixDecoder({ readableHighWaterMark: 2 });
              const encoder = new LengthPrefixEncoder({ highWaterMark: 20 });
              const sink = slowSink(kind, { highWaterMark: 10, objectMode: false });
              const logs = [decoder, encoder].map((stream) => new Log(stream));
              let done = 0;
              let result: NodeError | null | undefined;
              run(
                source,
                decoder as unknown as NodeJS.ReadWriteStream,
                encoder as unknown as NodeJS.ReadWriteStream,
                sink.stream as unknown as NodeJS.WritableStream,
                (failure) => {
                  done++;
                  result = failure;
                },
              );
              for (let i = 0; i < 30; i++)
                source.push(Buffer.concat([frame(`${i}`), frame('12345'), prefix(3)]).fill(0, 0, 0));
              await turns(wait);
              const target = { source, sink: sink.stream, decoder, encoder }[which];
              (target as NodeReadable).destroy(error);
              await settle(() => [done, ...logs.map((log) => log.entries.length)]);
              expect(done).to.equal(1);
              expect(result).to.be.instanceOf(Error);
              if (error !== undefined) expect(result).to.equal(error);
              else expect(result!.code).to.be.oneOf(['ERR_STREAM_PREMATURE_CLOSE', 'ERR_STREAM_DESTROYED']);
              for (const log of logs) log.expectClosed();
              for (const stream of [source, decoder, encoder, sink.stream]) {
                expect((stream as NodeReadable).destroyed).to.equal(true);
              }
            }
          }
        });
      }

      it(`${name}: a truncated input fails it, after the sink has all messages`, async () => {
        const bytes = Buffer.concat([...['a', 'b', 'c', 'd'].map(frame), Buffer.of(1)]);
        const source = Readable.from([bytes]) as NodeReadable;
        const decoder = new LengthPrefixDecoder({ readableHighWaterMark: 1 });
        const sink = slowSink(kind, { highWaterMark: 1, objectMode: true });
        let result: NodeError | null | undefined;
        run(
          source,
          decoder as unknown as NodeJS.ReadWriteStream,
          sink.stream as unknown as NodeJS.WritableStream,
          (failure) => {
            result = failure;
          },
        );
        await settle(() => [sink.step(), sink.done.length, result]);
        expect(sink.done.map(String)).to.deep.equal(['a', 'b', 'c', 'd']);
        expect(result?.code).to.equal('ERR_FRAME_TRUNCATED');
      });
    }
  });

  describe('callbacks and listeners that write', () => {
    /** `b` is written by the listener that is given `a`. */
    async function order(stream: Transform, bytes: (text: string) => Buffer): Promise<string[]> {
      const log = new Log(stream);
      stream.on('data', (message: Buffer) => {
        if (String(message).includes('a')) stream.write(bytes('b'), log.callback('b'));
      });
      await turns(2);
      stream.write(bytes('a'), log.callback('a'));
      log.entries.push('write a returned');
      await log.settle();
      return log.entries;
    }

    it('decoder: the callback of a write from a listener waits for the write on the stack, as in any Transform', async () => {
      for (const [stream, bytes] of [
        [new PassThrough() as Transform, Buffer.from],
        [new NodePassThrough() as unknown as Transform, Buffer.from],
        [new LengthPrefixDecoder() as Transform, frame],
      ] as const) {
        const entries = await order(stream, bytes as (text: string) => Buffer);
        for (const name of ['a', 'b']) {
          expect(entries.filter((entry) => entry === `callback ${name}`)).to.have.length(1);
          expect(entries.indexOf(`callback ${name}`)).to.be.greaterThan(entries.indexOf('write a returned'));
        }
      }
    });

    it('decoder: messages written by its own listeners all come out', async () => {
      const decoder = new LengthPrefixDecoder({ readableHighWaterMark: 2 });
      const log = new Log(decoder);
      decoder.on('data', (message) => {
        const number = Number(String(message));
        if (number < 50) decoder.write(frame(String(number + 2)), log.callback(String(number + 2)));
      });
      decoder.write(Buffer.concat([frame('0'), frame('1')]), log.callback('0'));
      await log.settle();
      expect(log.messages).to.deep.equal(Array.from({ length: 52 }, (_, i) => String(i)));
      expect(log.calls).to.deep.equal(log.calls.map(() => 1));
    });

    it("encoder: messages written by a listener of its own 'data' are sent", async () => {
      for (const size of [3, 70_000]) {
        const encoder = new LengthPrefixEncoder();
        const log = new Log(encoder);
        const out: Buffer[] = [];
        const due: Buffer[] = [];
        const write = (number: number): void => {
          due.push(frame(payload(number, size)));
          encoder.write(payload(number, size), log.callback(String(number)));
        };
        let more = 5;
        encoder.on('data', (chunk: Buffer) => {
          out.push(Buffer.from(chunk));
          if (more > 0) write(--more);
        });
        await turns(1);
        write(101);
        write(102);
        await log.settle();
        encoder.end();
        await log.settle();
        expect(Buffer.concat(out).equals(Buffer.concat(due)), `${due.length} messages of ${size} bytes`).to.equal(true);
        expect(log.calls).to.deep.equal(log.calls.map(() => 1));
      }
    });

    it('encoder piped to a decoder whose listener answers through the encoder: a loop that never stops', async () => {
      const encoder = new LengthPrefixEncoder();
      const decoder = new LengthPrefixDecoder();
      const log = new Log(decoder);
      encoder.pipe(decoder);
      decoder.on('data', (message) => {
        const number = Number(String(message));
        if (number < 100) encoder.write(String(number + 2));
      });
      encoder.write('0');
      encoder.write('1');
      await log.settle();
      expect(log.messages).to.deep.equal(Array.from({ length: 102 }, (_, i) => String(i)));
    });

    it("encoder: a reader that calls read() once for each 'readable' gets everything, as from any byte stream", async () => {
      async function read(stream: Transform): Promise<number> {
        const log = new Log(stream);
        let length = 0;
        stream.on('readable', () => {
          const chunk = stream.read() as Buffer | null;
          length += chunk?.length ?? 0;
        });
        for (const size of [10, 70_000, 10, 70_000, 70_000, 10]) {
          stream.write(Buffer.alloc(size), log.callback(String(size)));
          stream.write(Buffer.alloc(size), log.callback(String(size)));
          await log.settle();
        }
        return length;
      }
      const bytes = 6 * 70_010;
      expect(await read(new PassThrough() as Transform), 'PassThrough').to.equal(bytes);
      expect(await read(new LengthPrefixEncoder())).to.equal(bytes + 12 * 4);
    });
  });

  describe('encoder', () => {
    it('sends empty messages, however they are given', async () => {
      const encoder = new LengthPrefixEncoder();
      const log = new Log(encoder);
      const out: Buffer[] = [];
      encoder.on('data', (chunk: Buffer) => out.push(chunk));
      encoder.write('', log.callback('1'));
      encoder.write(Buffer.alloc(0), log.callback('2'));
      await turns(2);
      encoder.write(new Uint8Array(0), log.callback('3'));
      encoder.write('', 'hex', log.callback('4'));
      encoder.end('', log.callback('end'));
      await log.settle();
      expect(Buffer.concat(out)).to.deep.equal(Buffer.alloc(20));
      log.expectClosed();
    });

    it('end() right behind many writes loses nothing', async () => {
      for (const kind of ['node', 'userland'] as const) {
        for (const highWaterMark of [1, 16_384]) {
          for (const size of [0, 10, 1000, 64 * 1024, 100_000]) {
            const encoder = new LengthPrefixEncoder({ highWaterMark });
            const log = new Log(encoder);
            const sink = slowSink(kind, { highWaterMark: 1, objectMode: false }, (chunk) =>
              Buffer.from(chunk as Buffer),
            );
            encoder.pipe(sink.stream);
            const due: Buffer[] = [];
            for (let i = 0; i < 40; i++) {
              due.push(frame(payload(i, size)));
              encoder.write(payload(i, size), log.callback(String(i)));
              if (i % 17 === 5) await turns(1);
            }
            encoder.end(log.callback('end'));
            await settle(() => [sink.step(), sink.done.length, log.entries.length]);
            expect(Buffer.concat(sink.done as Buffer[]).equals(Buffer.concat(due)), `${size}`).to.equal(true);
            log.expectClosed();
            const called = log.entries.filter((entry) => entry.startsWith('callback'));
            expect(called).to.deep.equal([...due.map((_, i) => `callback ${i}`), 'callback end']);
          }
        }
      }
    });

    it('holds its high-water marks and one message at the most, before a slow sink and a writer that waits', async () => {
      for (const size of [1, 10, 1000, 10_000, 60_000, 64 * 1024, 200_000]) {
        for (const [readable, writable] of [
          [16_384, 16_384],
          [1, 16_384],
          [100, 100],
          [65_536, 1000],
        ] as const) {
          const encoder = new LengthPrefixEncoder({ readableHighWaterMark: readable, writableHighWaterMark: writable });
          const sink = slowSink('node', { highWaterMark: 1, objectMode: false });
          encoder.pipe(sink.stream);
          let most = 0;
          let mostReadable = 0;
          let written = 0;
          const look = () => {
            most = Math.max(most, encoder.readableLength + encoder.writableLength);
            mostReadable = Math.max(mostReadable, encoder.readableLength);
          };
          const fill = () => {
            // Twice as many as fit, with a look at each.
            for (let goOn = true; goOn && written < 200; written++) {
              goOn = encoder.write(payload(written, size), look);
              look();
            }
          };
          encoder.on('drain', fill);
          fill();
          await settle(() => {
            look();
            sink.step();
            look();
            return [sink.done.length, written];
          });
          expect(written).to.be.at.least(200);
          // Prefixes are not the writer's and so not in its count: at worst, messages of one byte, four on each.
          const prefixes = 4 * (Math.ceil((writable + readable) / (size + 4)) + 2);
          const what = `messages of ${size}, marks ${readable} and ${writable}: held ${most}, ${mostReadable} to read`;
          expect(mostReadable, what).to.be.at.most(readable + writable + size + 4 * (Math.ceil(writable / size) + 1));
          expect(most, what).to.be.at.most(
            readable + 2 * (writable + size) + prefixes + 4 * Math.ceil(writable / size),
          );
        }
      }
    });

    it('destroyed in the tick of its writes, or later, calls back every one', async () => {
      for (const wait of [0, 1, 3]) {
        for (const paused of [false, true]) {
          for (const error of [undefined, new Error('mine')]) {
            for (const size of [3, 70_000]) {
              const encoder = new LengthPrefixEncoder({ highWaterMark: 10 });
              const log = new Log(encoder);
              if (!paused) encoder.on('data', () => {});
              for (let i = 0; i < 5; i++) encoder.write(payload(i, size), log.callback(String(i)));
              await turns(wait);
              for (let i = 5; i < 8; i++) encoder.write(payload(i, size), log.callback(String(i)));
              encoder.destroy(error);
              await log.settle();
              log.expectClosed();
              expect(log.errors).to.deep.equal(error === undefined ? [] : [error]);
            }
          }
        }
      }
    });

    it("destroyed inside a 'data' listener, and by an AbortSignal", async () => {
      for (const bySignal of [false, true]) {
        const abort = new AbortController();
        const encoder = new LengthPrefixEncoder({ signal: abort.signal });
        const log = new Log(encoder);
        encoder.on('data', () => (bySignal ? abort.abort() : encoder.destroy()));
        for (let i = 0; i < 5 && !encoder.destroyed; i++) encoder.write(payload(i, 70_000), log.callback(String(i)));
        await log.settle();
        log.expectClosed();
        expect(log.entries.filter((entry) => entry.startsWith('data'))).to.have.length(1);
      }
    });

    describe('before a slow socket', () => {
      const opened: Socket[] = [];

      /** A pair of connected sockets. */
      async function pair(options: { highWaterMark?: number } = {}): Promise<[Socket, Socket]> {
        const server = createServer({ pauseOnConnect: true });
        server.listen(0, '127.0.0.1');
        await once(server, 'listening');
        const { port } = server.address() as AddressInfo;
        const client = connect({ port, host: '127.0.0.1', ...options } as { port: number });
        const [[peer]] = await Promise.all([once(server, 'connection'), once(client, 'connect')]);
        opened.push(client, peer as Socket);
        server.close();
        return [client, peer as Socket];
      }

      afterEach(() => {
        for (const socket of opened.splice(0)) socket.destroy();
      });

      async function sendAll(size: number, options?: { highWaterMark: number }): Promise<void> {
        const [client, peer] = await pair(options);
        const encoder = new LengthPrefixEncoder();
        encoder.pipe(client);
        const count = Math.max(8, Math.min(20_000, Math.ceil((16 << 20) / (size + 100))));
        let number = 0;
        let callbacks = 0;
        // As few messages as a careful writer has on their way.
        const next = () => {
          while (number < count && number - callbacks < 32) {
            encoder.write(payload(number++, size), () => {
              callbacks++;
              next();
            });
          }
          if (callbacks === count) encoder.end();
        };
        next();
        // The peer takes nothing for a while; how long matters to how much is stuck, not to what must come.
        await turns(200);
        const decoder = peer.pipe(
          new LengthPrefixDecoder({ readableHighWaterMark: 1 }) as unknown as NodeJS.ReadWriteStream,
        );
        let got = 0;
        let wrong = 0;
        for await (const message of decoder) {
          if (!payload(got++, size).equals(message as unknown as Buffer)) wrong++;
          if (got % 64 === 0) await turns(1);
        }
        expect(wrong, 'messages with wrong bytes').to.equal(0);
        expect(got, 'messages').to.equal(count);
        expect(callbacks, 'callbacks').to.equal(count);
      }

      for (const size of [10, 1024, 63 * 1024, 64 * 1024, 1 << 20]) {
        it(`messages of ${size} bytes all come, and are called back once each`, () => sendAll(size));
      }

      for (const size of [64 * 1024, 1 << 18]) {
        it(`messages of ${size} bytes, also where the socket has a high-water mark of 1 MiB`, () =>
          sendAll(size, { highWaterMark: 1 << 20 }));
      }

      for (const size of [10, 1024, 16 * 1024, 64 * 1024, 1 << 20]) {
        it(`framed: a message's ${size} bytes are the writer's again after its callback`, async () => {
          const [client, peer] = await pair();
          const stream = framed(client);
          const count = Math.max(8, Math.min(20_000, Math.ceil((16 << 20) / (size + 100))));
          // As few buffers as a careful writer needs, written again as soon as they are called back.
          const free: Buffer[] = [];
          let number = 0;
          let callbacks = 0;
          const next = () => {
            while (number < count) {
              const buffer = free.pop() ?? (number < 32 ? Buffer.allocUnsafeSlow(size) : undefined);
              if (buffer === undefined) return;
              payload(number++, size).copy(buffer);
              stream.write(buffer, () => {
                callbacks++;
                buffer.fill(0xee);
                free.push(buffer);
                next();
              });
            }
            if (callbacks === count) stream.end();
          };
          next();
          await turns(200);
          let got = 0;
          let wrong = 0;
          for await (const message of framed(peer, { readableHighWaterMark: 1 })) {
            if (!payload(got++, size).equals(message)) wrong++;
            if (got % 64 === 0) await turns(1);
          }
          expect(wrong, 'messages with wrong bytes').to.equal(0);
          expect([got, callbacks]).to.deep.equal([count, count]);
          if (!stream.closed) await once(stream, 'close');
        });
      }
    });
  });
});
