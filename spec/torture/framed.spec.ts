import { Buffer } from 'node:buffer';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { pipeline as nodePipeline } from 'node:stream/promises';
import { expect } from 'chai';
import fc from 'fast-check';
import type { Duplex, Transform } from 'readable-stream';
import { anyCut } from '../../lib/fuzz/index.js';
import { type Framed, framed } from '../../lib/index.js';
import { conversations } from '../properties/arbitraries.js';
import { frame, payload, prefix, settle, slowSink, turns } from '../support/frames.js';
import { runs } from '../support/runs.js';
import { outcomeOf } from '../support/streams.js';
import { type Kind, kinds, reset, Wire, wirePair } from '../support/wire.js';
import { closeAll, transports } from './connections.js';
import { Log } from './log.js';
import { command, finalReader, type Model, Rig, readerCommands, type Written } from './rig.js';

const kind = fc.constantFrom<Kind>('node', 'userland');

/** All that came out, by a reader of each kind, the slow ones included. */
const readers: Record<string, (stream: Duplex) => Promise<unknown[]>> = {
  'for await': async (stream) => {
    const got: unknown[] = [];
    for await (const message of stream) got.push(message);
    return got;
  },
  'for await, turns in between': async (stream) => {
    const got: unknown[] = [];
    try {
      for await (const message of stream) {
        await turns(2);
        got.push(message);
      }
    } catch {
      // It is the stream's record that tells which.
    }
    return got;
  },
  'paused at every message': async (stream) => {
    const got: unknown[] = [];
    stream.on('data', (message) => {
      got.push(message);
      stream.pause();
    });
    await settle(() => {
      stream.resume();
      return got.length;
    });
    return got;
  },
  'read() when it pleases': async (stream) => {
    const got: unknown[] = [];
    await settle(() => {
      const message = stream.read();
      if (message !== null) got.push(message);
      return got.length;
    });
    return got;
  },
  'piped to a slow sink': async (stream) => {
    const sink = slowSink('node', { highWaterMark: 1, objectMode: true });
    stream.pipe(sink.stream);
    await settle(() => [sink.step(), sink.done.length]);
    return sink.done;
  },
};

const { 'for await': _fast, ...slowReaders } = readers;

const small = Array.from({ length: 60 }, (_, i) => (i % 7 === 3 ? Buffer.alloc(0) : payload(i, 4 + (i % 9))));

/** A model of everything that can be done to a framed wire. */
class FramedRig extends Rig {
  readonly wire: Wire;
  readonly #arrived: Buffer[] = [];
  readonly #written: Buffer[] = [];
  #delivered = 0;
  failedInput = false;
  destroyed = false;
  inputEnded = false;
  /** A write fails where nobody has begun to read: the error shows at once. */
  showsAtOnce = false;

  constructor(kind: Kind, readableHighWaterMark: number, writableHighWaterMark: number) {
    const wire = new Wire(kind, { slow: true });
    super(framed(wire.stream, { readableHighWaterMark, writableHighWaterMark }) as unknown as Transform);
    this.wire = wire;
    this.stream.on('error', () => {
      if (!this.destroyed && !this.showsAtOnce) this.#expectAllDelivered('the error');
    });
    this.stream.on('end', () => this.#expectAllDelivered('the end'));
  }

  #expectAllDelivered(what: string): void {
    if (this.#delivered !== this.#arrived.length) this.wrong.push(`${what} overtook a message`);
  }

  get isOver(): boolean {
    return this.inputEnded || this.failedInput || this.stream.destroyed;
  }

  receive(sizes: number[], cut: number): void {
    const messages = sizes.map((size) => payload(this.#arrived.length, size));
    this.#arrived.push(...messages);
    const bytes = Buffer.concat(messages.map((message) => frame(message)));
    for (let at = 0; at < bytes.length; at += cut) this.wire.receive(bytes.subarray(at, at + cut));
  }

  receiveEnd(): void {
    this.inputEnded = true;
    this.wire.receiveEnd();
  }

  write(size: number): void {
    const message = payload(this.#written.length, size);
    this.#written.push(message);
    const before = this.stream.writableLength;
    const hasRoom = this.stream.write(message, this.callback(this.#written.length));
    if (hasRoom && !this.stream.destroyed && before + size + 4 >= this.stream.writableHighWaterMark) {
      this.wrong.push('write() returned true where there is no room');
    }
  }

  end(): void {
    this.ended = true;
    this.stream.end();
  }

  destroy(error?: Error): void {
    this.destroyed = true;
    this.stream.destroy(error);
  }

  protected override onData(piece: unknown): void {
    if (!this.#arrived[this.#delivered++]?.equals(piece as Buffer)) this.wrong.push('a message that did not come');
  }

  protected override onError(): void {}

  protected override watch(when: string): void {
    const { readableLength, readableHighWaterMark } = this.stream;
    if (readableLength > readableHighWaterMark) this.wrong.push(`holds ${readableLength} messages ${when}`);
  }

  protected override onWritten(_write: Written, number: number): void {
    const all = Buffer.concat(this.#written.slice(0, number + 1).map((message) => frame(message)));
    if (this.wire.sent.length < all.length) this.wrong.push(`callback ${number} before it was sent`);
  }

  override progress(): unknown {
    return [this.#delivered, this.wire.step(), this.wire.writes.length];
  }

  expectDone(): void {
    this.check();
    const called = this.writes.map(({ calls }) => calls);
    expect(called, 'callbacks').to.deep.equal(called.map(() => 1));
    const sent = this.#written.filter((_, i) => !this.writes[i]!.error).map((message) => frame(message));
    // What failed behind those may have been sent or not.
    expect(this.wire.sent.subarray(0, Buffer.concat(sent).length)).to.deep.equal(Buffer.concat(sent));
    if (!this.destroyed) {
      if (!this.showsAtOnce) expect(this.#delivered, 'messages').to.equal(this.#arrived.length);
      if (!this.failedInput) {
        expect(this.error, 'error').to.equal(undefined);
        expect(sent.length, 'sent').to.equal(this.#written.length);
        expect(this.events.includes('end')).to.equal(this.inputEnded);
        expect(this.events.includes('finish')).to.equal(this.ended);
      }
    }
    const closes = this.destroyed || this.failedInput || (this.inputEnded && this.ended);
    expect(this.events.includes('close'), 'close').to.equal(closes);
    expect(this.wire.stream.destroyed, 'destroyed').to.equal(closes);
  }
}

const framedCommands = [
  ...readerCommands,
  fc.tuple(fc.array(fc.nat(20), { minLength: 1, maxLength: 12 }), fc.constantFrom(1, 5, 1000)).map(([sizes, cut]) =>
    command<FramedRig>(
      `receive(${sizes}, ${cut})`,
      (rig) => rig.receive(sizes, cut),
      (rig) => !rig.isOver,
    ),
  ),
  fc.oneof(fc.nat(50), fc.constantFrom(0, 16_384, 70_000)).map((size) =>
    command<FramedRig>(
      `write(${size})`,
      (rig) => rig.write(size),
      (rig) => !rig.ended && !rig.stream.destroyed,
    ),
  ),
  fc.constant(command<FramedRig>('the sink is done', (rig) => rig.wire.step())),
  fc.constant(
    command<FramedRig>(
      'end',
      (rig) => rig.end(),
      (rig) => !rig.ended && !rig.stream.destroyed,
    ),
  ),
  fc.constant(
    command<FramedRig>(
      'the input ends',
      (rig) => rig.receiveEnd(),
      (rig) => !rig.isOver,
    ),
  ),
];

const rareCommands = [
  fc.constantFrom(undefined, new Error('mine')).map((error) =>
    command<FramedRig>(
      `destroy(${error})`,
      (rig) => rig.destroy(error),
      (rig) => !rig.stream.destroyed,
    ),
  ),
];

describe('torture: framed', function () {
  this.timeout(10_000);

  describe('any messages, any format, any cut', () => {
    const talk = conversations.chain((conversation) => {
      const bytes = Buffer.concat(conversation.frames);
      return fc.record({
        conversation: fc.constant(conversation),
        bytes: fc.constant(bytes),
        chunks: anyCut(bytes, { boundaries: conversation.options }),
        kind,
        reader: fc.constantFrom(...Object.keys(readers)),
        batch: fc.boolean(),
        readableHighWaterMark: fc.integer({ min: 1, max: 16 }),
      });
    });

    it('are read, each once and in order, by any reader; written messages become the frames', async () => {
      await fc.assert(
        fc.asyncProperty(talk, async ({ conversation, bytes, chunks, kind, reader, batch, readableHighWaterMark }) => {
          const { options, messages } = conversation;
          const wire = new Wire(kind);
          const stream = framed(wire.stream, { ...options, batch, readableHighWaterMark }) as unknown as Duplex;
          const log = new Log(stream);
          for (const message of messages) stream.write(message, log.callback('write'));
          stream.end();
          wire.receive(...chunks);
          wire.receiveEnd();
          const got = await readers[reader]!(stream);
          await log.settle();
          log.expectClosed();
          expect(log.errors).to.deep.equal([]);
          expect(got.flat()).to.deep.equal(messages);
          expect(wire.sent).to.deep.equal(bytes);
        }),
        { numRuns: runs(100) },
      );
    });

    it('go from one to the other, over Duplexes of any capacity', async () => {
      const all = fc.tuple(conversations, conversations, kind, fc.integer({ min: 1, max: 100 }));
      await fc.assert(
        fc.asyncProperty(all, async ([there, { messages }, kind, highWaterMark]) => {
          const [a, b] = wirePair(kind, { highWaterMark }).map((end) => framed(end, there.options)) as [Framed, Framed];
          for (const message of there.messages) a.write(message);
          a.end();
          const back = there.messages.slice(0, messages.length);
          for (const message of back) b.write(message);
          b.end();
          const [fromB, fromA] = await Promise.all([outcomeOf(a), outcomeOf(b)]);
          expect(fromA).to.deep.equal({ items: there.messages, error: undefined });
          expect(fromB).to.deep.equal({ items: back, error: undefined });
        }),
        { numRuns: runs(60) },
      );
    });
  });

  it('whatever is done to it in whatever order: the model holds', async () => {
    const setup = fc.record({
      kind,
      readableHighWaterMark: fc.integer({ min: 1, max: 6 }),
      writableHighWaterMark: fc.constantFrom(1, 30, 65_536),
      reader: finalReader,
      fate: fc.constantFrom('goes on', 'the stream fails', 'a write fails', 'is destroyed'),
    });
    const commands = fc.commands(framedCommands, { maxCommands: 40, size: 'max' });
    const last = fc.commands(rareCommands, { maxCommands: 1 });
    await fc.assert(
      fc.asyncProperty(setup, commands, last, async (given, commands, destroying) => {
        const rig = new FramedRig(given.kind, given.readableHighWaterMark, given.writableHighWaterMark);
        const model: Model = { rig };
        await fc.asyncModelRun(() => ({ model, real: rig }), commands);
        if (given.fate === 'is destroyed') await fc.asyncModelRun(() => ({ model, real: rig }), destroying);
        // What came has gone into the stream by then, where its reader lets it.
        await turns(2);
        if (given.fate === 'the stream fails' && rig.wire.stream.readableLength === 0 && !rig.stream.destroyed) {
          rig.failedInput = true;
          if (rig.stream.readableFlowing === null) rig.stream.resume();
          await turns(1);
          rig.showsAtOnce = !rig.stream.readableDidRead && rig.stream.writableLength > 0;
          rig.wire.stream.destroy(reset());
        }
        if (given.fate === 'a write fails' && rig.wire.stream.readableLength === 0 && !rig.stream.destroyed) {
          rig.stream.resume();
          await turns(1);
          rig.showsAtOnce = !rig.stream.readableDidRead;
          rig.failedInput = rig.wire.step(reset());
        }
        await rig.readAll(given.reader);
        rig.expectDone();
      }),
      { numRuns: runs(250) },
    );
  });

  describe('backpressure', () => {
    for (const [name, start] of Object.entries<(stream: Duplex) => void>({
      'nobody reads': () => {},
      'paused before anything comes': (stream) => void stream.on('data', () => {}).pause(),
      'paused by its listener': (stream) => void stream.on('data', () => stream.pause()),
      "'readable', one at a time": (stream) => void stream.once('readable', () => stream.read()),
      'for await that stops': (stream) => {
        void (async () => {
          for await (const _message of stream) await new Promise((resolve) => stream.once('go', resolve));
        })().catch(() => {});
      },
      'piped to a sink that stalls': (stream) => {
        const sink = slowSink('userland', { highWaterMark: 1, objectMode: true });
        stream.pipe(sink.stream);
        stream.once('go', () => sink.open());
      },
    })) {
      it(`a reader that has stopped holds no more than readableHighWaterMark, and the source is paused: ${name}`, async () => {
        for (const kind of kinds) {
          for (const readableHighWaterMark of [1, 2, 5, 16]) {
            for (const [perChunk, batch] of [
              [1, false],
              [7, false],
              [1, true],
              [7, true],
              [60, false],
            ] as const) {
              const wire = new Wire(kind, { highWaterMark: 10 });
              const stream = framed(wire.stream, { readableHighWaterMark, batch }) as unknown as Duplex;
              const got: unknown[] = [];
              let most = 0;
              const { emit } = stream;
              stream.emit = (event: string | symbol, ...args: unknown[]): boolean => {
                if (event === 'data') got.push(args[0]);
                most = Math.max(most, stream.readableLength);
                return emit.call(stream, event as string, ...args);
              };
              start(stream);
              for (let at = 0; at < small.length; at += perChunk) {
                wire.receive(Buffer.concat(small.slice(at, at + perChunk).map((message) => frame(message))));
                if (at % 3 === 0) await turns(1);
                most = Math.max(most, stream.readableLength);
              }
              await settle(() => [got.length, stream.readableLength], 4);
              const what = `${kind}, ${readableHighWaterMark}, ${perChunk} in a chunk, batch: ${batch}`;
              most = Math.max(most, stream.readableLength);
              expect(most, what).to.be.at.most(readableHighWaterMark);
              if (got.flat().length < small.length - readableHighWaterMark * perChunk) {
                expect(stream.readableLength, what).to.equal(readableHighWaterMark);
                expect(wire.stream.isPaused(), what).to.equal(true);
              }
              wire.receiveEnd();
              stream
                .removeAllListeners('data')
                .removeAllListeners('readable')
                .on('error', () => {});
              stream.unpipe();
              stream.emit('go');
              stream.on('data', () => {}).on('go', () => {});
              await settle(() => [stream.resume() && got.length, stream.emit('go')], 4);
              expect(got.flat(), what).to.deep.equal(small);
              expect(most, what).to.be.at.most(readableHighWaterMark);
            }
          }
        }
      });
    }

    it("a slow socket bounds the bytes that are held: write() returns false, and 'drain' comes", async () => {
      for (const kind of kinds) {
        for (const size of [10, 5000, 20_000, 100_000]) {
          const writableHighWaterMark = 50_000;
          const wire = new Wire(kind, { slow: true });
          const stream = framed(wire.stream, { writableHighWaterMark });
          const count = 20_000 / Math.min(size, 1000);
          let most = 0;
          let waited = 0;
          const writing = (async () => {
            for (let i = 0; i < count; i++) {
              const hasRoom = stream.write(payload(i, size));
              most = Math.max(most, stream.writableLength);
              expect(hasRoom).to.equal(stream.writableLength < writableHighWaterMark);
              if (hasRoom) continue;
              waited++;
              await once(stream, 'drain');
              expect(stream.writableLength).to.be.lessThan(writableHighWaterMark);
            }
            stream.end();
          })();
          await settle(() => [wire.writes.length, wire.step()]);
          await writing;
          expect(most).to.be.at.most(writableHighWaterMark + size + 4);
          if (count * (size + 4) >= writableHighWaterMark) expect(waited).to.be.greaterThan(0);
          expect(
            wire.sent.equals(Buffer.concat(Array.from({ length: count }, (_, i) => frame(payload(i, size))))),
          ).to.equal(true);
          expect(wire.stream.writableFinished).to.equal(true);
        }
      }
    });

    it('runs through an echo: a peer that does not read stops us reading', async () => {
      const wire = new Wire('node', { slow: true, highWaterMark: 1000 });
      const stream = framed(wire.stream, { writableHighWaterMark: 1000, readableHighWaterMark: 4 });
      const echo = nodePipeline(stream, stream);
      let pushed = 0;
      while (pushed < 10_000 && wire.stream.readableLength < 1000) {
        wire.receive(frame(payload(pushed++, 100)));
        if (pushed % 10 === 0) await turns(2);
      }
      expect(pushed).to.be.lessThan(100);
      expect(stream.writableLength).to.be.at.most(1000 + 104);
      expect(stream.readableLength).to.be.at.most(4);
      wire.open();
      wire.receiveEnd();
      await echo;
      const due = Array.from({ length: pushed }, (_, i) => frame(payload(i, 100)));
      expect(wire.sent.equals(Buffer.concat(due))).to.equal(true);
    });
  });

  describe('messages first, then the error or the end', () => {
    const tails: Record<string, Buffer> = {
      'between frames': Buffer.alloc(0),
      'inside a length': Buffer.alloc(2),
      'inside a payload': Buffer.concat([prefix(9), Buffer.from('12345678')]),
    };
    const ends: Record<string, (wire: Wire) => void> = {
      'a reset': (wire) => wire.stream.destroy(reset()),
      'a premature close': (wire) => wire.stream.destroy(),
      'an end': (wire) => wire.receiveEnd(),
      'a write that fails': (wire) => void wire.step(reset()),
      'a length too long': (wire) => wire.receive(Buffer.alloc(20, 0xff)),
    };
    const codes: Record<string, string> = {
      'a reset': 'ECONNRESET',
      'a premature close': 'ERR_STREAM_PREMATURE_CLOSE',
      'an end': 'ERR_FRAME_TRUNCATED',
      'a write that fails': 'ECONNRESET',
      'a length too long': 'ERR_FRAME_TOO_LONG',
    };
    for (const [name, read] of Object.entries(slowReaders)) {
      for (const [end, happen] of Object.entries(ends)) {
        it(`${name}: ${end}`, async () => {
          for (const kind of kinds) {
            for (const [place, tail] of Object.entries(tails)) {
              for (const [count, cut] of [
                [0, 1000],
                [1, 1],
                [5, 3],
                [16, 1000],
              ] as const) {
                if (end === 'a length too long' && tail.length > 0) continue;
                const wire = new Wire(kind, { slow: true });
                const stream = framed(wire.stream) as unknown as Duplex;
                const log = new Log(stream);
                const due = Array.from({ length: count }, (_, i) => `message ${i}`);
                const bytes = Buffer.concat([...due.map(frame), tail]);
                stream.write('stuck', log.callback('stuck'));
                for (let at = 0; at < bytes.length; at += cut) wire.receive(bytes.subarray(at, at + cut));
                const reading = read(stream);
                await turns(1);
                happen(wire);
                const got = (await reading).map(String);
                await log.settle();
                const what = `${kind}, ${place}, ${count} messages`;
                expect(got, what).to.deep.equal(due);
                const clean = end === 'an end' && tail.length === 0;
                const codesDue = clean ? [] : [codes[end]];
                expect(
                  log.errors.map(({ code }) => code),
                  what,
                ).to.deep.equal(codesDue);
                if (clean) stream.destroy();
                await log.settle();
                log.expectClosed();
                expect(wire.stream.destroyed, what).to.equal(true);
                const fell = log.entries.findIndex((entry) => entry === 'error' || entry === 'end');
                expect(fell, what).to.be.greaterThan(log.entries.findLastIndex((entry) => entry.startsWith('data')));
              }
            }
          }
        });
      }
    }
  });

  describe('destroyed at any moment', () => {
    const moments: Record<string, Buffer[]> = {
      'before anything': [],
      'inside a prefix': [frame('a'), Buffer.of(5, 0)],
      'inside a payload': [frame('a'), frame('bcd').subarray(0, 6)],
      'between frames': [frame('a'), frame('b')],
      'with chunks waiting': [Buffer.concat([frame('a'), frame('b'), frame('c')]), frame('d'), frame('e')],
      'with a fault waiting': [Buffer.concat([frame('a'), frame('b')]), Buffer.alloc(9, 0xff), frame('d')],
    };
    const ways = ['destroy()', 'destroy(error)', 'an AbortSignal', 'the stream', 'the stream, by error'] as const;
    for (const [moment, chunks] of Object.entries(moments)) {
      for (const how of ways) {
        it(`${moment}, by ${how}`, async () => {
          for (const kind of kinds) {
            for (const ended of [false, true]) {
              for (const wait of [0, 3]) {
                for (const listening of [false, true]) {
                  const abort = new AbortController();
                  const wire = new Wire(kind, { slow: true });
                  const options = { readableHighWaterMark: 1, signal: abort.signal };
                  const stream = framed(wire.stream, options) as unknown as Duplex;
                  const log = new Log(stream);
                  if (listening) stream.on('data', () => stream.pause());
                  stream.write('in hand', log.callback('in hand'));
                  await turns(wait);
                  wire.receive(...chunks);
                  stream.write('next', log.callback('next'));
                  stream.write({ length: 9, body: ['body'] } as never, log.callback('body'));
                  stream.write(Buffer.alloc(20_000), log.callback('large'));
                  if (ended) stream.end(log.callback('end'));
                  await turns(wait);
                  const error = new Error('mine');
                  if (how === 'destroy()') stream.destroy();
                  if (how === 'destroy(error)') stream.destroy(error);
                  if (how === 'an AbortSignal') abort.abort();
                  if (how === 'the stream') wire.stream.destroy();
                  if (how === 'the stream, by error') wire.stream.destroy(error);
                  let late = 0;
                  stream.write('late', () => late++);
                  stream.on('data', () => {}).resume();
                  await log.settle();
                  stream.resume();
                  await log.settle();
                  await settle(() => [stream.resume() && log.entries.length]);
                  log.expectClosed();
                  expect(late).to.equal(1);
                  expect(wire.stream.destroyed).to.equal(true);
                  if (how === 'destroy()' && !ended) expect(log.errors).to.deep.equal([]);
                  if (how === 'destroy(error)' && !ended) expect(log.errors).to.deep.equal([error]);
                  if (how === 'an AbortSignal' && !ended) expect(log.errors[0]?.name).to.equal('AbortError');
                }
              }
            }
          }
        });
      }
    }

    for (const event of ['data', 'readable', 'oversize', 'end', 'finish', 'drain', 'error', 'pause', 'resume']) {
      for (const inside of [false, true]) {
        it(`by a listener of '${event}', of ${inside ? 'the stream' : 'itself'}`, async () => {
          const wire = new Wire('node');
          const options = { oversize: 'skip', maxPayloadLength: 10, writableHighWaterMark: 5 } as const;
          const stream = framed(wire.stream, options) as unknown as Duplex;
          const log = new Log(stream);
          let calls = 0;
          stream.on(event, () => {
            calls++;
            if (inside) wire.stream.destroy();
            else stream.destroy();
          });
          if (event !== 'readable') stream.on('data', () => {});
          await turns(1);
          if (!stream.destroyed) stream.write('a message', log.callback('write'));
          wire.receive(Buffer.concat(['a', 'x'.repeat(20), 'b', 'c'].map(frame)));
          if (event === 'pause') stream.pause();
          await turns(2);
          if (event === 'error') wire.receive(Buffer.alloc(2));
          wire.receiveEnd();
          if (!stream.destroyed) stream.end(log.callback('end'));
          await log.settle();
          // What is unread holds the error back.
          stream.removeAllListeners('readable');
          await settle(() => [stream.resume() && log.entries.length]);
          expect(calls).to.be.greaterThan(0);
          log.expectClosed();
          if (event === 'data' && !inside) expect(log.messages).to.deep.equal(['a']);
        });
      }
    }

    it('by a write callback', async () => {
      for (const size of [1, 20_000]) {
        const wire = new Wire('node');
        const stream = framed(wire.stream) as unknown as Duplex;
        const log = new Log(stream);
        stream.write(Buffer.alloc(size), (error) => {
          log.callback('first')(error);
          stream.destroy();
        });
        stream.write('a', log.callback('a'));
        stream.write(Buffer.alloc(size), log.callback('second'));
        await log.settle();
        log.expectClosed();
      }
    });
  });

  describe('in a pipeline that breaks', () => {
    for (const kind of kinds) {
      it(`every stream is destroyed, every pipeline told, over Duplexes of ${kind}`, async () => {
        for (const broken of [0, 1, 2, 3]) {
          const [client, a] = wirePair(kind);
          const [b, server] = wirePair(kind);
          const proxy = nodePipeline(framed(a), framed(b), framed(a)).catch((error) => error);
          const served = nodePipeline(framed(server), framed(server)).catch((error) => error);
          const messages = framed(client);
          messages.on('error', () => {});
          // In turns of their own, or the echo leaves no time for anything else.
          messages.on('data', (message) => setImmediate(() => messages.write(message)));
          for (let i = 0; i < 10; i++) messages.write(payload(i, 30_000));
          await turns(20);
          const all = [client, a, b, server];
          all[broken]!.destroy(reset());
          expect(await proxy).to.have.property('code');
          expect(await served).to.have.property('code');
          await settle(() => all.map((stream) => stream.destroyed));
          expect(all.map((stream) => stream.destroyed)).to.deep.equal([true, true, true, true]);
        }
      });
    }

    it('while it is full both ways, an echo does not hang', async () => {
      const wire = new Wire('node', { slow: true });
      const stream = framed(wire.stream, { writableHighWaterMark: 100, readableHighWaterMark: 2 });
      const echo = nodePipeline(stream, stream).catch((error) => error);
      for (let i = 0; i < 50; i++) wire.receive(frame(payload(i, 50)));
      await turns(5);
      const error = reset();
      wire.step(error);
      expect(await echo).to.equal(error);
      expect(wire.stream.destroyed).to.equal(true);
    });
  });

  describe('over real connections', () => {
    afterEach(closeAll);

    const sizes = [0, 1, 10, 1000, 65_531, 65_536, 200_000, 1 << 20, 0, 5];
    const closing = (messages: Framed) => messages.closed || once(messages, 'close');
    const careless = (messages: Framed): Framed => messages.on('error', () => {}) as Framed;

    for (const [name, pair] of Object.entries(transports)) {
      it(`${name}: carries messages of all sizes both ways, to the last one`, async () => {
        const ends = (await pair()).map((socket) => framed(socket)) as [Framed, Framed];
        for (const messages of ends) {
          for (const [i, size] of sizes.entries()) messages.write(payload(i, size));
          messages.end();
        }
        for (const { items, error } of await Promise.all(ends.map((messages) => outcomeOf(messages)))) {
          expect(error).to.equal(undefined);
          expect(items.map((message) => message.length)).to.deep.equal(sizes);
          expect(items.every((message, i) => message.equals(payload(i, sizes[i]!)))).to.equal(true);
        }
        await Promise.all(ends.map(closing));
      });

      for (const allowHalfOpen of [true, false]) {
        it(`${name}, allowHalfOpen ${allowHalfOpen}: end() right behind many writes loses nothing, however slow the answers`, async () => {
          const [client, server] = (await pair(allowHalfOpen)).map((socket) => framed(socket)) as [Framed, Framed];
          const count = 40;
          for (let i = 0; i < count; i++) client.write(payload(i, i * 100));
          client.end();
          const served = (async () => {
            for await (const message of server) {
              await turns(2);
              server.write(message);
            }
            if (allowHalfOpen) server.end();
          })();
          const { items, error } = await outcomeOf(client);
          expect(error).to.equal(undefined);
          expect(items.length).to.equal(count);
          expect(items.every((message, i) => message.equals(payload(i, i * 100)))).to.equal(true);
          await served;
          await Promise.all([client, server].map(closing));
        });

        it(`${name}, allowHalfOpen ${allowHalfOpen}: a slow generator in a pipeline loses nothing`, async () => {
          const [client, server] = (await pair(allowHalfOpen)).map((socket) => framed(socket)) as [Framed, Framed];
          const slowly = async function* (messages: AsyncIterable<Buffer>) {
            for await (const message of messages) {
              await turns(2);
              yield message;
            }
            yield 'bye';
          };
          const served = nodePipeline(server, slowly, server);
          for (let i = 0; i < 20; i++) client.write(`${i}`);
          client.end();
          const { items } = await outcomeOf(client);
          expect(items.map(String)).to.deep.equal([...Array.from({ length: 20 }, (_, i) => `${i}`), 'bye']);
          await served;
          await Promise.all([client, server].map(closing));
        });
      }

      it(`${name}: half open, each side`, async () => {
        for (const first of [0, 1]) {
          const ends = (await pair()).map((socket) => framed(socket)) as [Framed, Framed];
          const [early, late] = [ends[first]!, ends[1 - first]!];
          early.end('early');
          expect((await outcomeOf(late)).items.map(String)).to.deep.equal(['early']);
          await turns(3);
          late.write('late');
          await turns(3);
          late.end('later');
          expect((await outcomeOf(early)).items.map(String)).to.deep.equal(['late', 'later']);
          await Promise.all(ends.map(closing));
        }
      });

      it(`${name}: leaving the loop hangs up`, async () => {
        const sockets = await pair(false);
        const [client, server] = sockets.map((socket) => careless(framed(socket))) as [Framed, Framed];
        client.write('a');
        client.write('b');
        client.resume();
        const closed = once(client, 'close').catch(() => {});
        for await (const message of server) {
          expect(String(message)).to.equal('a');
          break;
        }
        expect(sockets[1].destroyed).to.equal(true);
        await closed;
        expect(sockets[0].destroyed).to.equal(true);
      });
    }

    for (const [where, tail] of Object.entries({
      'between frames': Buffer.alloc(0),
      'inside a length': Buffer.alloc(2),
      'inside a payload': frame('cut off').subarray(0, 8),
    })) {
      it(`a reset ${where}: a slow loop that answers gets all messages that came, then ECONNRESET`, async () => {
        const [client, socket] = (await transports.TCP!()) as [Socket, Socket];
        client.on('error', () => {});
        const server = framed(socket);
        const bytes = Buffer.concat([...['a', 'b', 'c'].map(frame), tail]);
        let came = 0;
        const all = new Promise<void>((resolve) => {
          socket.on('data', (chunk) => {
            came += chunk.length;
            if (came === bytes.length) resolve();
          });
        });
        client.write(bytes);
        await all;
        const broken = once(socket, 'close').catch(() => {});
        client.resetAndDestroy();
        await broken;
        const got: string[] = [];
        const failed: (Error | null | undefined)[] = [];
        const reading = (async () => {
          for await (const message of server) {
            got.push(String(message));
            server.write('answer', (error) => failed.push(error));
            await turns(2);
          }
        })();
        expect(await reading.catch((error) => error)).to.have.property('code', 'ECONNRESET');
        await turns(2);
        expect(got).to.deep.equal(['a', 'b', 'c']);
        expect(failed.length).to.equal(3);
        expect(failed.every((error) => error instanceof Error)).to.equal(true);
      });
    }

    it('a peer that goes away while we send: every callback is called, the stream fails and closes', async () => {
      const [client, socket] = (await transports.TCP!()) as [Socket, Socket];
      client.on('error', () => {});
      const messages = framed(socket);
      const log = new Log(messages as unknown as Duplex);
      for (let i = 0; i < 100; i++) messages.write(payload(i, 100_000), log.callback(`${i}`));
      client.once('data', () => client.resetAndDestroy());
      if (!messages.closed) await new Promise((resolve) => messages.once('close', resolve));
      await log.settle();
      log.expectClosed();
      expect(log.errors[0]?.code).to.be.oneOf(['ECONNRESET', 'EPIPE']);
    });

    it('a slow peer bounds the bytes that are held (backpressure), and gets all', async () => {
      const [client, socket] = await transports.TCP!();
      const messages = framed(client);
      const reader = framed(socket);
      const count = 400;
      let written = 0;
      let most = 0;
      const writing = (async () => {
        while (written < count) {
          const hasRoom = messages.write(payload(written++, 50_000));
          most = Math.max(most, messages.writableLength + client.writableLength);
          if (!hasRoom) await once(messages, 'drain');
        }
        messages.end();
      })();
      let read = 0;
      for await (const message of reader) {
        if (read % 50 === 0) await turns(5);
        expect(message.equals(payload(read++, 50_000))).to.equal(true);
      }
      await writing;
      reader.end();
      await Promise.all([messages, reader].map(closing));
      expect(read).to.equal(count);
      expect(most).to.be.at.most(4 * 65_536 + 2 * 50_004);
    });

    it('a child process: its streams as a pair, and a child that is killed', async () => {
      const echo = () => spawn(process.execPath, ['-e', 'process.stdin.pipe(process.stdout)']);
      const child = echo();
      const messages = framed({ readable: child.stdout, writable: child.stdin });
      for (const [i, size] of sizes.entries()) messages.write(payload(i, size));
      messages.end();
      const { items, error } = await outcomeOf(messages);
      expect(error).to.equal(undefined);
      expect(items.every((message, i) => message.equals(payload(i, sizes[i]!)))).to.equal(true);
      expect(items.length).to.equal(sizes.length);

      const killed = echo();
      const other = framed({ readable: killed.stdout, writable: killed.stdin });
      const log = new Log(other as unknown as Duplex);
      other.write('a', log.callback('a'));
      await once(other, 'data');
      killed.kill('SIGKILL');
      await once(killed, 'exit');
      await new Promise<void>((resolve) => {
        // The child's streams are closed with it, most of the time.
        if (other.closed) resolve();
        other.once('close', resolve);
        other.write(Buffer.alloc(1 << 20));
        other.resume();
      });
      await log.settle();
      log.expectClosed();
    });
  });
});
