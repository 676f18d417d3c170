import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { type Duplex, PassThrough, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { expect } from 'chai';
import fc from 'fast-check';
import { frame, turns } from '../support/frames.js';
import { runs } from '../support/runs.js';
import {
  Activity,
  closed,
  echoes,
  encode,
  expectBytes,
  expectHanded,
  framedStream,
  framesOf,
  incoming,
  type Link,
  link,
  marks,
  outcomeOf,
  property,
  readers,
  slow,
  Watch,
  type Writing,
  writings,
} from './links.js';

const TOO_LONG = Buffer.alloc(4, 0xff);

/** A framed socket with its peer, and all that is watched of them. */
interface Rig extends Link {
  readonly stream: Duplex;
  readonly watch: Watch;
  readonly activity: Activity;
  /** How many bytes of the peer the stream has got. */
  readonly taken: () => number;
  /** Waits, and says what has happened where nothing more does. */
  within<T>(promise: PromiseLike<T> | T, what: string): Promise<T>;
  /** Waits until the stream has got so many bytes. */
  took(bytes: number): Promise<void>;
}

async function rigOf(where: { near: 'server' | 'client'; allowHalfOpen: boolean }, options = {}): Promise<Rig> {
  const activity = new Activity();
  const made = await link({ ...where, activity });
  const stream = framedStream(made.near, { encode, ...options });
  let taken = 0;
  const waiting = new Set<() => void>();
  made.near.on('data', (chunk: Buffer) => {
    taken += chunk.length;
    activity.bump();
    for (const check of waiting) check();
  });
  const watch = new Watch(stream, activity);
  const story = (what: string) => {
    const peer = `the peer got ${made.peer.received} bytes, ${made.peer.ending ?? 'no end'}`;
    return `${what}; ${watch.story}; ${peer}`;
  };
  return {
    ...made,
    stream,
    watch,
    activity,
    taken: () => taken,
    within: (promise, what) => activity.within(promise, () => story(what)),
    took: async (bytes) => {
      if (taken < bytes) {
        await new Promise<void>((resolve) => {
          const check = () => taken >= bytes && waiting.delete(check) && resolve();
          waiting.add(check);
        });
      }
    },
  };
}

/** After all is over: nothing was wrong, everything is closed. */
async function expectOver({ stream, near, gone, watch, within, peer }: Rig): Promise<void> {
  await within(closed(stream), "'close' of the stream");
  await within(closed(near), "'close' of the socket");
  await within(closed(peer.socket), "'close' of the peer");
  await within(gone, 'the server is closed');
  await turns(2);
  watch.check();
}

const places = fc.record({ near: fc.constantFrom('server' as const, 'client' as const), allowHalfOpen: fc.boolean() });
const writableHighWaterMark = fc.constantFrom(1, 50, 65_536);
const readableHighWaterMark = fc.constantFrom(1, 4, 16);

/** How the writes are made. */
const paces = ['in one tick', 'corked', 'one a tick', "at 'drain'", 'from callbacks', 'from listeners'] as const;
type Pace = (typeof paces)[number];

/** Makes all writes, while so many messages come. */
async function writeAll({ stream, watch }: Rig, all: Writing[], pace: Pace, coming: number): Promise<void> {
  const left = [...all];
  const write = (then?: () => void) => {
    const one = left.shift();
    return one === undefined || watch.write(one.make(), one.size, then);
  };
  if (pace === 'from listeners' && coming > 0) {
    await new Promise<void>((resolve) => {
      watch.inside = (event) => {
        if (event === 'data' || event === 'drain') write();
        if (left.length === 0 || watch.handed.length === coming) resolve();
      };
    });
    watch.inside = undefined;
  }
  if (pace === 'corked') {
    stream.cork();
    process.nextTick(() => stream.uncork());
  }
  while (left.length > 0) {
    if (pace === 'from callbacks') {
      await new Promise<void>((resolve) => write(resolve));
    } else {
      if (!write() && pace === "at 'drain'") await once(stream, 'drain');
      if (pace === 'one a tick') await turns(1);
    }
  }
}

/** A failure that hangs is made simpler only as long as that. */
const settings = { interruptAfterTimeLimit: runs(15_000) };

describe('properties: framed over sockets', function () {
  this.timeout(0);

  it('all that is written arrives, all that comes is read, both ends end', async () => {
    const scenario = fc.record({
      where: places,
      option: fc.constantFrom(undefined, undefined, true, false),
      writableHighWaterMark,
      readableHighWaterMark,
      written: fc.array(writings, { maxLength: 10 }),
      pace: fc.constantFrom(...paces),
      last: fc.option(writings, { nil: undefined }),
      end: fc.constantFrom('behind the writes', "behind 'end'", 'by itself'),
      messages: incoming,
      cut: fc.constantFrom(1, 7, 100_000),
      peerEnds: fc.constantFrom('with its messages', 'when it has all'),
      reader: fc.constantFrom(...Object.keys(readers)),
      slow,
      mark: marks,
    });
    await fc.assert(
      fc.asyncProperty(scenario, (given) =>
        property(async () => {
          const { where, option, written, messages, reader, slow, mark, peerEnds } = given;
          const staysOpen = option ?? where.allowHalfOpen;
          const rig = await rigOf(where, {
            writableHighWaterMark: given.writableHighWaterMark,
            readableHighWaterMark: given.readableHighWaterMark,
            ...(option === undefined ? {} : { allowHalfOpen: option }),
          });
          const { stream, peer, watch, within } = rig;
          // What it is composed to ends it.
          const byReader = reader === 'compose()';
          // One that may be half open stays so until it is told to end.
          const byUs = staysOpen && given.end === 'by itself' ? 'behind the writes' : given.end;
          const end = byReader ? 'by itself' : byUs;
          // Where it ends when all is read, what is written later comes too late.
          const late = peerEnds === 'when it has all';
          const pace = late || (staysOpen && end === 'behind the writes') ? given.pace : 'in one tick';
          const last = end === 'behind the writes' ? given.last : undefined;
          const due = framesOf([...written, ...(last === undefined ? [] : [last])].map(({ bytes }) => bytes));

          const bytes = framesOf(messages);
          const reading = readers[reader]!(stream, slow, mark);
          reading.catch(() => {});
          if (end === "behind 'end'") stream.once('end', () => stream.end());
          const sending = (async () => {
            const step = Math.max(given.cut, Math.ceil(bytes.length / 50));
            for (let at = 0; at < bytes.length; at += step) {
              if (!peer.socket.write(bytes.subarray(at, at + step))) await once(peer.socket, 'drain');
              if (given.cut < 100) await turns(1);
            }
            if (late) await peer.until(due.length);
            peer.socket.end();
          })();
          sending.catch(() => {});
          await within(writeAll(rig, written, pace, messages.length), 'the writes are made');
          if (end === 'behind the writes') {
            if (last === undefined) stream.end();
            else stream.end(last.make(), watch.callback());
          }
          await within(sending, 'the peer has sent all');
          expect(await within(peer.over, 'the peer sees the end')).to.equal('end');
          await within(reading, 'the reader is done');
          await expectOver(rig);
          expectBytes(peer.bytes, due);
          expectHanded(rig.watch, messages);
          expect(watch.error).to.equal(undefined);
          expect(watch.calls.every(({ error }) => error === null)).to.equal(true);
          expect(watch.events.slice().sort()).to.deep.equal(['close', 'end', 'finish']);
        }),
      ),
      { numRuns: runs(200), ...settings },
    );
  });

  it("'drain' comes to all writers that wait for it, although nobody reads", async () => {
    const scenario = fc.record({
      where: places,
      writableHighWaterMark,
      written: fc.array(writings, { maxLength: 15 }),
    });
    await fc.assert(
      fc.asyncProperty(scenario, ({ where, writableHighWaterMark, written }) =>
        property(async () => {
          const rig = await rigOf(where, { writableHighWaterMark });
          const { stream, peer, watch, within } = rig;
          for (const one of written) {
            watch.write(one.make(), one.size);
            if (watch.owesDrain) await within(once(stream, 'drain'), `'drain' behind ${one.name}`);
          }
          stream.end();
          expect(await within(peer.over, 'the peer sees the end')).to.equal('end');
          peer.socket.end();
          await expectOver(rig);
          expectBytes(peer.bytes, framesOf(written.map(({ bytes }) => bytes)));
        }),
      ),
      { numRuns: runs(60), ...settings },
    );
  });

  it('all answers arrive, then the end', async () => {
    const scenario = fc.record({
      where: places,
      writableHighWaterMark,
      readableHighWaterMark,
      messages: incoming,
      echo: fc.constantFrom(...Object.keys(echoes)),
      slow,
      mark: marks,
      peerPauses: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(scenario, (given) =>
        property(async () => {
          const { where, messages, echo, slow, mark } = given;
          const rig = await rigOf(where, {
            writableHighWaterMark: given.writableHighWaterMark,
            readableHighWaterMark: given.readableHighWaterMark,
          });
          const { stream, peer, watch, within } = rig;
          const serving = echoes[echo]!(stream, slow, mark).then(() => {
            // What is not piped has to end what may be half open.
            if (where.allowHalfOpen && !echo.includes('pipe')) stream.end();
          });
          serving.catch(() => {});
          if (given.peerPauses) {
            peer.socket.on('data', () => {
              peer.socket.pause();
              setImmediate(() => peer.socket.resume());
            });
          }
          peer.socket.end(framesOf(messages));
          expect(await within(peer.over, 'the peer sees the end')).to.equal('end');
          await within(serving, 'the answers are made');
          await expectOver(rig);
          expectBytes(peer.bytes, framesOf(messages));
          expectHanded(rig.watch, messages);
          expect(watch.error).to.equal(undefined);
        }),
      ),
      { numRuns: runs(200), ...settings },
    );
  });

  it('destroy() and a loop that is left send the messages that were written before', async () => {
    const small = writings.filter(({ bytes }) => bytes.length <= 5000);
    const scenario = fc.record({
      where: places,
      writableHighWaterMark,
      before: fc.array(small, { maxLength: 5 }),
      wait: fc.boolean(),
      written: fc.array(small, { maxLength: 6 }),
      how: fc.constantFrom('destroy()', 'break', 'break out of iterator()', 'in a callback', 'in a listener'),
      messages: incoming.filter((all) => all.length > 0 && framesOf(all).length < 20_000),
    });
    await fc.assert(
      fc.asyncProperty(scenario, ({ where, writableHighWaterMark, before, wait, written, how, messages }) =>
        property(async () => {
          const rig = await rigOf(where, { writableHighWaterMark });
          const { stream, peer, watch, within } = rig;
          const first = framesOf(before.map(({ bytes }) => bytes));
          for (const one of before) watch.write(one.make(), one.size);
          // All of it is sent, or some of it is still to be sent.
          if (wait || before.some(({ whole }) => !whole)) await within(peer.until(first.length), 'the first writes');
          // What is unread when a socket is closed makes a reset of its end.
          peer.socket.write(framesOf(messages));
          await within(rig.took(framesOf(messages).length), 'the messages come');
          let reading: Promise<unknown> | undefined;
          const writeLast = () => {
            for (const one of written) watch.write(one.make(), one.size);
          };
          const leave = async (loop: AsyncIterable<unknown>) => {
            for await (const _message of loop) {
              writeLast();
              break;
            }
          };
          if (how === 'destroy()') {
            writeLast();
            stream.destroy();
          } else if (how === 'break') reading = leave(stream);
          else if (how === 'break out of iterator()') reading = leave(stream.iterator());
          else if (how === 'in a callback') {
            watch.write('', 0, () => {
              if (stream.destroyed) return;
              writeLast();
              stream.destroy();
            });
          } else {
            stream.once('data', () => {
              writeLast();
              stream.destroy();
            });
          }
          const over = await within(peer.over, 'the peer sees the end');
          if (reading !== undefined) await within(reading, 'the loop is left');
          peer.socket.end();
          await expectOver(rig);
          expect(watch.error).to.equal(undefined);
          const isBody = written.findIndex(({ whole }) => !whole);
          const sure = isBody === -1 ? written : written.slice(0, isBody);
          const middle = how === 'in a callback' ? frame('') : Buffer.alloc(0);
          const due = Buffer.concat([first, middle, framesOf(sure.map(({ bytes }) => bytes))]);
          expectBytes(peer.bytes.subarray(0, due.length), due);
          const sent = watch.calls.slice(0, before.length + (how === 'in a callback' ? 1 : 0) + sure.length);
          expect(sent.filter(({ error }) => error !== null)).to.deep.equal([]);
          if (isBody === -1) {
            expectBytes(peer.bytes, due);
            expect(over).to.equal('end');
          } else {
            // As much as was there of what comes behind; nothing else.
            const all = Buffer.concat([due, framesOf(written.slice(isBody).map(({ bytes }) => bytes))]);
            expectBytes(peer.bytes, all.subarray(0, peer.received));
          }
        }),
      ),
      { numRuns: runs(200), ...settings },
    );
  });

  it('destroy(error), a signal and a fault drop written messages, and reset the connection', async () => {
    const hows = [
      'destroy(error)',
      'destroy(error) later',
      'a signal',
      'a fault',
      'a write that is refused',
      'a sink that fails',
    ];
    const scenario = fc.record({
      where: places,
      writableHighWaterMark,
      before: fc.array(writings, { maxLength: 4 }),
      written: fc.array(writings, { maxLength: 4 }),
      how: fc.constantFrom(...hows),
      messages: incoming.filter((all) => framesOf(all).length < 20_000),
      reader: fc.constantFrom(...Object.keys(readers)),
      slow,
    });
    await fc.assert(
      fc.asyncProperty(scenario, ({ where, writableHighWaterMark, before, written, how, messages, reader, slow }) =>
        property(async () => {
          const abort = new AbortController();
          const error = new Error('mine');
          const rig = await rigOf(where, { writableHighWaterMark, signal: abort.signal, maxPayloadLength: 1 << 20 });
          const { stream, peer, watch, within } = rig;
          const first = framesOf(before.map(({ bytes }) => bytes));
          for (const one of before) watch.write(one.make(), one.size);
          await within(peer.until(first.length), 'the first writes');
          let reading: Promise<unknown> = Promise.resolve();
          if (how === 'a sink that fails') {
            const fail = (_message: unknown, _encoding: string, callback: (error: Error) => void) => callback(error);
            reading = pipeline(stream, new Writable({ objectMode: true, write: fail }));
          } else if (how === 'a fault') {
            reading = readers[reader]!(stream, slow, 16);
          }
          const told = reading.then(
            () => undefined,
            (error) => error as NodeJS.ErrnoException,
          );
          const bytes = framesOf(messages);
          const isFault = how === 'a fault';
          if (isFault) await turns(1);
          peer.socket.write(isFault ? Buffer.concat([bytes, TOO_LONG]) : bytes);
          if (!isFault && how !== 'a sink that fails') await within(rig.took(bytes.length), 'the messages come');
          if (how === 'a sink that fails' && messages.length === 0) peer.socket.write(frame('a'));
          const isMine = how.startsWith('destroy') || how === 'a signal' || how === 'a write that is refused';
          if (isMine)
            for (const one of how === 'destroy(error) later' ? [] : written) watch.write(one.make(), one.size);
          if (how === 'destroy(error)') stream.destroy(error);
          if (how === 'destroy(error) later') setImmediate(() => stream.destroy(error));
          if (how === 'a signal') abort.abort();
          if (how === 'a write that is refused') watch.write(Buffer.alloc((1 << 20) + 1));
          const over = await within(peer.over, 'the peer sees the reset');
          const met = await within(told, 'the reader is told');
          peer.socket.end();
          await expectOver(rig);
          expect(watch.error).to.be.instanceOf(Error);
          if (how.startsWith('destroy') || how === 'a sink that fails') expect(watch.error).to.equal(error);
          if (how === 'a signal') expect(watch.error).to.have.property('name', 'AbortError');
          if (how === 'a write that is refused') expect(watch.error).to.have.property('code', 'ERR_FRAME_TOO_LONG');
          if (isFault) {
            expect(watch.error).to.have.property('code', 'ERR_FRAME_TOO_LONG');
            expectHanded(rig.watch, messages);
            if (met !== undefined) expect(met).to.equal(watch.error);
          }
          const all = Buffer.concat([first, framesOf(written.map(({ bytes }) => bytes))]);
          if (how === 'a write that is refused') {
            // Those before it are sent.
            expectBytes(peer.bytes, all.subarray(0, peer.received));
          } else {
            // Some may be on their way in the tick in which they are written: the rest is dropped.
            expectBytes(peer.bytes, all.subarray(0, Math.max(first.length, peer.received)));
          }
          // A peer that has bytes to read when the reset comes may see an end, by libuv's rules.
          if (peer.received === first.length) expect(over).to.equal('ECONNRESET');
        }),
      ),
      { numRuns: runs(200), ...settings },
    );
  });

  it("the peer's reset and a cut frame: the messages before come first, then the error; writes are told", async () => {
    const scenario = fc.record({
      where: places,
      writableHighWaterMark,
      readableHighWaterMark,
      messages: incoming.filter((all) => framesOf(all).length < 60_000),
      how: fc.constantFrom('a reset', 'a cut frame'),
      reader: fc.constantFrom(...Object.keys(readers)),
      slow,
      mark: marks,
      written: fc.array(writings, { maxLength: 4 }),
      later: fc.array(writings, { maxLength: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(scenario, ({ where, how, messages, reader, slow, mark, written, later, ...marks }) =>
        property(async () => {
          const rig = await rigOf(where, marks);
          const { stream, peer, watch, within } = rig;
          const reading = outcomeOf(readers[reader]!(stream, slow, mark));
          await turns(1);
          const bytes = framesOf(messages);
          const cut = how === 'a cut frame';
          peer.socket.write(cut ? Buffer.concat([bytes, Buffer.of(9, 0, 0, 0, 1)]) : bytes);
          for (const one of written) watch.write(one.make(), one.size);
          await within(peer.until(framesOf(written.map(({ bytes }) => bytes)).length), 'what was written');
          // What is in a chunk that the stream was given is read, whatever comes behind it.
          await turns(1);
          if (rig.taken() === 0 && bytes.length > 0) await within(once(rig.near, 'data'), 'the messages come');
          const taken = rig.taken();
          if (cut) peer.socket.end();
          else peer.socket.resetAndDestroy();
          for (const one of later) {
            if (stream.destroyed) break;
            watch.write(one.make(), one.size);
            await turns(1);
          }
          const met = await within(reading, 'the reader is told');
          await within(closed(stream), "'close'");
          peer.socket.end();
          await expectOver(rig);
          const sure = messagesWithin(messages, cut ? bytes.length : taken);
          expect(watch.handed.length).to.be.at.least(sure);
          expectHanded(rig.watch, messages.slice(0, watch.handed.length));
          const codes = cut ? ['ERR_FRAME_TRUNCATED'] : ['ECONNRESET', 'EPIPE'];
          expect(watch.error?.code).to.be.oneOf(codes);
          if (met !== undefined) expect(met).to.equal(watch.error);
        }),
      ),
      { numRuns: runs(200), ...settings },
    );
  });

  it('a socket that is destroyed under it: it closes, whatever is done', async () => {
    const scenario = fc.record({
      where: places,
      messages: incoming.filter((all) => framesOf(all).length < 20_000),
      behindEnd: fc.boolean(),
      // What is composed may never hear of it, by Node's own rules.
      reader: fc.constantFrom(...Object.keys(readers).filter((name) => name !== 'compose()')),
      slow,
      done: fc.constantFrom('nothing', 'end()', 'end(message)', 'write()', 'write() and end()', 'destroy()'),
      later: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(scenario, ({ where, messages, behindEnd, reader, slow, done, later }) =>
        property(async () => {
          const rig = await rigOf(where);
          const { stream, near, peer, watch, within } = rig;
          const reading = outcomeOf(readers[reader]!(stream, slow, 16));
          const bytes = framesOf(messages);
          const act = async () => {
            near.destroy();
            if (later) await turns(2);
            // By then it may have closed.
            if (done === 'write()' || done === 'write() and end()') watch.write('late');
            if (done === 'end()' || done === 'write() and end()') stream.end();
            if (done === 'end(message)') stream.end('late');
            if (done === 'destroy()') stream.destroy();
          };
          if (behindEnd) {
            stream.once('end', () => void act());
            peer.socket.end(bytes);
          } else {
            peer.socket.write(bytes);
            await within(rig.took(bytes.length), 'the messages come');
            void act();
          }
          await within(reading, 'the reader is told');
          peer.socket.end();
          await expectOver(rig);
          if (behindEnd) expectHanded(watch, messages);
        }),
      ),
      { numRuns: runs(100), ...settings },
    );
  });

  it("a server's socket stays open as long as something may write to it, and ends when that goes", async () => {
    const kinds = ["a 'drain' listener", 'a pipe', 'a loop', 'a loop of iterator()'] as const;
    const scenario = fc.record({
      near: fc.constantFrom('server' as const, 'client' as const),
      messages: incoming.filter((all) => all.length > 0 && framesOf(all).length < 20_000),
      holders: fc
        .array(fc.constantFrom(...kinds), { maxLength: 4 })
        .filter((all) => all.filter((kind) => kind.startsWith('a loop')).length <= 1),
      lastWord: fc.constantFrom('none', "in a listener of 'end'", 'in its microtask', 'in its next tick'),
      between: fc.nat(3),
    });
    await fc.assert(
      fc.asyncProperty(scenario, ({ near, messages, holders, lastWord, between }) =>
        property(async () => {
          const rig = await rigOf({ near, allowHalfOpen: false });
          const { stream, peer, watch, within } = rig;
          let due = Buffer.alloc(0);
          const say = (text: string) => {
            watch.write(text, text.length);
            due = Buffer.concat([due, frame(text)]);
          };
          stream.once('end', () => {
            if (lastWord === "in a listener of 'end'") say('bye');
            if (lastWord === 'in its microtask') void Promise.resolve().then(() => say('bye'));
            if (lastWord === 'in its next tick') process.nextTick(say, 'bye');
          });
          const loop = holders.find((kind) => kind.startsWith('a loop'));
          const iterate = () => (loop === 'a loop' ? stream[Symbol.asyncIterator]() : stream.iterator());
          const looping = loop === undefined ? undefined : iterate();
          const releases = holders.map((kind): (() => unknown) => {
            if (kind.startsWith('a loop')) return () => looping!.next();
            if (kind === 'a pipe') {
              const source = new PassThrough({ objectMode: true });
              source.pipe(stream, { end: false });
              return () => source.unpipe(stream);
            }
            const listener = () => {};
            stream.on('drain', listener);
            return () => stream.off('drain', listener);
          });
          peer.socket.end(framesOf(messages));
          if (looping === undefined) {
            const read = once(stream, 'end');
            stream.resume();
            await within(read, "'end'");
          } else {
            // Comes to the last message, and is not done yet.
            for (const _message of messages) await within(looping.next(), 'a message');
            if (!rig.near.readableEnded) await within(once(rig.near, 'end'), 'the end');
          }
          for (const [i, release] of releases.entries()) {
            await turns(3);
            expect(peer.ending, `with ${holders.slice(i)}`).to.equal(undefined);
            expect(stream.writable).to.equal(true);
            say(`with ${i}`);
            await turns(between);
            release();
          }
          expect(await within(peer.over, 'the peer sees the end')).to.equal('end');
          await expectOver(rig);
          expectBytes(peer.bytes, due);
          expectHanded(watch, messages);
          expect(watch.error).to.equal(undefined);
        }),
      ),
      { numRuns: runs(100), ...settings },
    );
  });

  it('a proxy passes on messages, ends and failures', async () => {
    const scenario = fc.record({
      front: places,
      back: places,
      asked: incoming,
      answered: incoming,
      failure: fc.constantFrom(
        'none',
        'the client resets',
        'the server resets',
        'a fault of the client',
        'a fault of the server',
      ),
      between: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(scenario, ({ front, back, asked, answered, failure, between }) =>
        property(async () => {
          const [a, b] = [
            await rigOf({ ...front, allowHalfOpen: true }),
            await rigOf({ ...back, allowHalfOpen: true }),
          ];
          const pass = async function* (messages: AsyncIterable<unknown>) {
            for await (const message of messages) yield message;
          };
          const proxied = (
            between ? pipeline(a.stream, pass, b.stream, pass, a.stream) : pipeline(a.stream, b.stream, a.stream)
          ).then(
            () => undefined,
            (error) => error as NodeJS.ErrnoException,
          );
          const [question, answer] = [framesOf(asked), framesOf(answered)];
          a.peer.socket.write(question);
          await a.within(b.peer.until(question.length), 'the server has the questions');
          b.peer.socket.write(answer);
          await b.within(a.peer.until(answer.length), 'the client has the answers');
          expectBytes(b.peer.bytes, question);
          expectBytes(a.peer.bytes, answer);
          const fail = (socket: Socket) => {
            if (failure.startsWith('a fault')) socket.write(TOO_LONG);
            else socket.resetAndDestroy();
          };
          if (failure === 'none') {
            a.peer.socket.end();
            expect(await b.within(b.peer.over, 'the server sees the end')).to.equal('end');
            b.peer.socket.end();
            expect(await a.within(a.peer.over, 'the client sees the end')).to.equal('end');
            expect(await a.within(proxied, 'the pipeline is done')).to.equal(undefined);
          } else {
            const ofClient = failure.includes('client');
            fail(ofClient ? a.peer.socket : b.peer.socket);
            const [near, far] = ofClient ? [a, b] : [b, a];
            expect(await far.within(far.peer.over, 'the other peer is told')).to.equal('ECONNRESET');
            if (failure.startsWith('a fault')) {
              expect(await near.within(near.peer.over, 'the peer is told')).to.equal('ECONNRESET');
            }
            expect(await a.within(proxied, 'the pipeline is told')).to.be.instanceOf(Error);
          }
          await expectOver(a);
          await expectOver(b);
        }),
      ),
      { numRuns: runs(80), ...settings },
    );
  });
});

/** How many messages are whole in so many bytes. */
function messagesWithin(messages: readonly Uint8Array[], bytes: number): number {
  let [count, end] = [0, 0];
  for (const message of messages) {
    end += 4 + message.length;
    if (end > bytes) break;
    count++;
  }
  return count;
}
