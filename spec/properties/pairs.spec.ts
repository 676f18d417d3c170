import { Buffer } from 'node:buffer';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type Duplex, PassThrough, Readable, Writable } from 'node:stream';
import { createGunzip, createGzip } from 'node:zlib';
import { expect } from 'chai';
import fc from 'fast-check';
import { turns } from '../support/frames.js';
import { runs } from '../support/runs.js';
import { codeArgs, deafProgram } from '../support/runtime.js';
import { reset } from '../support/wire.js';
import {
  Activity,
  closed,
  encode,
  expectBytes,
  expectHanded,
  framedStream,
  framesOf,
  incoming,
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

/** The two streams of a pair, and what is at their other ends. */
interface Ends {
  readonly readable: unknown;
  readonly writable: unknown;
  /** Takes what comes to the pair. */
  readonly source: Writable;
  /** All bytes that the pair sends, to the end. */
  readonly sent: Promise<Buffer>;
  /** What is not the pair's to close. */
  close(): void;
}

async function bytesOf(stream: AsyncIterable<Buffer>, activity: Activity): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) {
    activity.bump();
    chunks.push(Buffer.from(chunk));
  }
  return Buffer.concat(chunks);
}

const pairs: Record<string, (activity: Activity) => Promise<Ends>> = {
  'two PassThroughs': async (activity) => {
    const [readable, writable] = [new PassThrough(), new PassThrough()];
    return { readable, writable, source: readable, sent: bytesOf(writable, activity), close: () => {} };
  },
  'PassThroughs that take little': async (activity) => {
    const [readable, writable] = [new PassThrough({ highWaterMark: 3 }), new PassThrough({ highWaterMark: 3 })];
    return { readable, writable, source: readable, sent: bytesOf(writable, activity), close: () => {} };
  },
  'two half sockets': async (activity) => {
    const [input, output] = [
      await link({ allowHalfOpen: true, activity }),
      await link({ allowHalfOpen: true, activity }),
    ];
    return {
      readable: input.near,
      writable: output.near,
      source: input.peer.socket,
      sent: output.peer.over.then(() => output.peer.bytes),
      close: () => {
        // The other half of each.
        input.near.destroy();
        output.near.destroy();
        for (const { peer } of [input, output]) peer.socket.destroy();
      },
    };
  },
  '{ gunzip, gzip } over a socket': async (activity) => {
    const { near, peer } = await link({ allowHalfOpen: true, activity });
    const [writable, source] = [createGzip(), createGzip()];
    writable.pipe(near);
    source.pipe(peer.socket);
    const sent = peer.over.then(() => bytesOf(Readable.from([peer.bytes]).pipe(createGunzip()), activity));
    return { readable: near.pipe(createGunzip()), writable, source, sent, close: () => near.destroy() };
  },
};

/** A framed pair that is watched. */
function rigOf(readable: unknown, writable: unknown, activity: Activity, options = {}) {
  const stream = framedStream({ readable, writable }, { encode, ...options });
  const watch = new Watch(stream, activity);
  const within = <T>(promise: PromiseLike<T> | T, what: string) =>
    activity.within(promise, () => `${what}; ${watch.story}`);
  return { stream, watch, within };
}

/** Writes all of it, each part when there is room. */
async function send(source: Writable, bytes: Buffer, step: number): Promise<void> {
  for (let at = 0; at < bytes.length; at += step) {
    if (!source.write(bytes.subarray(at, at + step))) await once(source, 'drain');
  }
}

function writeAll(watch: Watch, all: Writing[]): void {
  for (const one of all) watch.write(one.make(), one.size);
}

const anyReader = fc.constantFrom(...Object.keys(readers));
/** One that is ended by what it is composed to has no say in when that is. */
const plainReader = fc.constantFrom(...Object.keys(readers).filter((name) => name !== 'compose()'));
/** A failure that hangs is made simpler only as long as that. */
const settings = { interruptAfterTimeLimit: runs(15_000) };

/** The code of a child that echoes so many messages, and then ends as it is told. */
const echoing = (mode: string, count: number, size: number) => `
  const leave = () => ('${mode}' === 'crash' ? process.kill(process.pid, 'SIGKILL') : process.exit());
  let input = Buffer.alloc(0);
  process.stdin.on('data', (chunk) => {
    input = Buffer.concat([input, chunk]);
    if (input.length === ${count * (4 + size)}) process.stdout.write(input, leave);
  });`;

/** The code of a child that says messages of its own, some before a fourth pipe ends and some after that. */
const saying = (count: number, size: number, before: number) => `
  import { createReadStream } from 'node:fs';
  const bytesOf = (from, to) => {
    const all = [];
    for (let i = from; i < to; i++) {
      const message = Buffer.alloc(${4 + size}, i);
      message.writeUInt32LE(${size});
      all.push(message);
    }
    return Buffer.concat(all);
  };
  process.stdout.write(bytesOf(0, ${before}));
  createReadStream(null, { fd: 3 }).resume().on('end', () => {
    process.stdout.write(bytesOf(${before}, ${count}), () => process.exit());
  });`;

const children: ChildProcess[] = [];

describe('properties: framed pairs', function () {
  this.timeout(0);

  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
  });

  it('all that is written arrives, all that comes is read', async () => {
    const scenario = fc.record({
      pair: fc.constantFrom(...Object.keys(pairs)),
      halfOpen: fc.boolean(),
      written: fc.array(writings, { maxLength: 8 }),
      corked: fc.boolean(),
      end: fc.constantFrom('behind the writes', "behind 'end'"),
      messages: incoming,
      step: fc.constantFrom(5, 100_000),
      reader: anyReader,
      slow,
      mark: marks,
    });
    await fc.assert(
      fc.asyncProperty(scenario, ({ pair, halfOpen, written, corked, end, messages, step, reader, slow, mark }) =>
        property(async () => {
          const activity = new Activity();
          const { readable, writable, source, sent, close } = await pairs[pair]!(activity);
          const rig = rigOf(readable, writable, activity, { allowHalfOpen: halfOpen });
          const { stream, watch, within } = rig;
          sent.catch(() => {});
          const reading = outcomeOf(readers[reader]!(stream, slow, mark));
          if (corked) {
            stream.cork();
            process.nextTick(() => stream.uncork());
          }
          writeAll(watch, written);
          if (reader !== 'compose()') {
            if (end === 'behind the writes') stream.end();
            else if (halfOpen) stream.once('end', () => stream.end());
          }
          const bytes = framesOf(messages);
          await within(send(source, bytes, Math.max(step, Math.ceil(bytes.length / 50))), 'all is sent to it');
          source.end();
          expect(await within(reading, 'the reader is done')).to.equal(undefined);
          await within(closed(stream), "'close'");
          // Its own: what is not over yet goes on.
          const due = framesOf(written.map(({ bytes }) => bytes));
          expectBytes(await within(sent, 'all that it sends'), due);
          close();
          watch.check();
          expectHanded(watch, messages);
          expect(watch.error).to.equal(undefined);
          expect(watch.calls.every(({ error }) => error === null)).to.equal(true);
        }),
      ),
      { numRuns: runs(200), ...settings },
    );
  });

  it('a readable that fails waits for written messages; then the error shows, and both are destroyed', async () => {
    const scenario = fc.record({
      messages: incoming.filter((all) => framesOf(all).length < 16_000),
      written: fc.array(writings, { maxLength: 6 }),
      how: fc.constantFrom('an error', 'a premature close', 'a cut frame', 'a fault'),
      reader: plainReader,
      slow,
      mark: marks,
      writesAre: fc.constantFrom(0, 1, 4),
    });
    await fc.assert(
      fc.asyncProperty(scenario, ({ messages, written, how, reader, slow, mark, writesAre }) =>
        property(async () => {
          const activity = new Activity();
          const readable = new PassThrough();
          const chunks: Buffer[] = [];
          let wasDestroyed = false;
          const writable = new Writable({
            highWaterMark: 1,
            write(chunk, _encoding, callback) {
              activity.bump();
              void turns(writesAre).then(() => {
                wasDestroyed ||= this.destroyed;
                chunks.push(Buffer.from(chunk));
                callback();
              });
            },
          });
          const { stream, watch, within } = rigOf(readable, writable, activity);
          const reading = outcomeOf(readers[reader]!(stream, slow, mark));
          writeAll(watch, written);
          const bytes = framesOf(messages);
          readable.write(Buffer.concat([bytes, how === 'a cut frame' ? Buffer.of(1) : Buffer.alloc(0)]));
          // Somebody has begun to read.
          await turns(3);
          if (messages.length > 0 && watch.handed.length === 0) await within(once(stream, 'data'), 'a message');
          // What it was given is read.
          while (readable.readableLength > 0) await turns(1);
          const error = reset();
          if (how === 'an error') readable.destroy(error);
          else if (how === 'a premature close') readable.destroy();
          else if (how === 'a cut frame') readable.end();
          else readable.write(Buffer.alloc(4, 0xff));
          const met = await within(reading, 'the reader is told');
          await within(closed(stream), "'close'");
          await within(closed(writable), "'close' of the writable");
          await within(closed(readable), "'close' of the readable");
          const codes: Record<string, string> = {
            'an error': 'ECONNRESET',
            'a premature close': 'ERR_STREAM_PREMATURE_CLOSE',
            'a cut frame': 'ERR_FRAME_TRUNCATED',
            'a fault': 'ERR_FRAME_TOO_LONG',
          };
          watch.check();
          expect(watch.error).to.have.property('code', codes[how]);
          // Others have errors of their own for a premature close.
          if (met !== undefined && how !== 'a premature close') expect(met).to.have.property('code', codes[how]);
          expectHanded(watch, messages);
          // A fault is of the pair itself; the others are of the readable, and take nothing from the writable.
          const due = framesOf(written.map(({ bytes }) => bytes));
          if (how === 'an error' || how === 'a premature close') {
            expectBytes(Buffer.concat(chunks), due);
            expect(watch.calls.map(({ error }) => error)).to.deep.equal(written.map(() => null));
            expect(wasDestroyed).to.equal(false);
          } else {
            const sent = Buffer.concat(chunks);
            expectBytes(sent, due.subarray(0, sent.length));
          }
        }),
      ),
      { numRuns: runs(200), ...settings },
    );
  });

  it("a writable that fails tells all writes at once, and waits for the readable's end; then the error shows", async () => {
    const scenario = fc.record({
      before: incoming.filter((all) => all.length > 0 && framesOf(all).length < 16_000),
      after: incoming,
      written: fc.array(writings, { minLength: 1, maxLength: 5 }),
      later: fc.array(writings, { maxLength: 3 }),
      how: fc.constantFrom('at the first write', 'at the second write', 'by itself', 'a premature close'),
      reader: plainReader,
      slow,
      mark: marks,
      readableHighWaterMark: fc.constantFrom(1, 4, 16),
    });
    await fc.assert(
      fc.asyncProperty(scenario, (given) =>
        property(async () => {
          const { before, after, written, later, how, reader, slow, mark, readableHighWaterMark } = given;
          const activity = new Activity();
          const readable = new PassThrough();
          const error = reset();
          let writes = 0;
          const writable = new Writable({
            write(_chunk, _encoding, callback) {
              const fails = how === 'at the first write' || (how === 'at the second write' && ++writes === 2);
              setImmediate(callback, fails ? error : null);
            },
          });
          const { stream, watch, within } = rigOf(readable, writable, activity, { readableHighWaterMark });
          const reading = outcomeOf(readers[reader]!(stream, slow, mark));
          readable.write(framesOf(before));
          // Somebody has begun to read.
          if (watch.handed.length === 0) await within(once(stream, 'data'), 'a message');
          writeAll(watch, written);
          await turns(2);
          if (how === 'by itself') writable.destroy(error);
          else if (how === 'a premature close') writable.destroy();
          else if (!writable.destroyed) {
            watch.write('one more');
            await turns(3);
          }
          await within(closed(writable), 'it fails');
          watch.write('too late');
          // They are told, though the readable goes on.
          for (const one of later) {
            await within(new Promise<void>((resolve) => watch.write(one.make(), one.size, resolve)), 'a later write');
            expect(watch.calls.at(-1)!.error).to.be.instanceOf(Error);
          }
          await turns(3);
          expect(watch.events, 'before the end').to.deep.equal([]);
          expect(readable.destroyed, 'the readable is destroyed').to.equal(false);
          watch.checkCalls();
          await within(send(readable, framesOf(after), 1000), 'all is sent to it');
          expect(watch.error).to.equal(undefined);
          readable.end();
          const met = await within(reading, 'the reader is told');
          await within(closed(stream), "'close'");
          await within(closed(readable), "'close' of the readable");
          watch.check();
          expectHanded(watch, [...before, ...after]);
          if (how === 'a premature close') {
            expect(watch.error).to.be.instanceOf(Error);
          } else {
            expect(watch.error).to.equal(error);
            if (met !== undefined) expect(met).to.equal(error);
          }
        }),
      ),
      { numRuns: runs(200), ...settings },
    );
  });

  it('a child process: nothing of what it says is lost, however it goes', async () => {
    const scenario = fc.record({
      mode: fc.constantFrom('exit', 'crash', 'deaf'),
      count: fc.constantFrom(1, 20, 100),
      size: fc.constantFrom(0, 10, 3000),
      before: fc.double({ min: 0, max: 1, noNaN: true }),
      waits: fc.boolean(),
      reader: plainReader,
      slow,
      mark: marks,
    });
    await fc.assert(
      fc.asyncProperty(scenario, ({ mode, count, size, before, waits, reader, slow, mark }) =>
        property(async () => {
          const activity = new Activity();
          const first = Math.max(1, Math.floor(count * before));
          const isDeaf = mode === 'deaf';
          const [command, args] = isDeaf
            ? deafProgram(saying(count, size, first))
            : [process.execPath, codeArgs(echoing(mode, count, size))];
          const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit', 'pipe'] });
          children.push(child);
          const go = child.stdio[3] as Duplex;
          go.on('error', () => {}).resume();
          const exited = once(child, 'exit');
          const over = once(child, 'close');
          const { stream, watch, within } = rigOf(child.stdout, child.stdin, activity);
          const messages = Array.from({ length: count }, (_, i) => Buffer.alloc(size, i));
          if (!isDeaf) for (const message of messages) watch.write(message, size);
          if (waits && !isDeaf) {
            // It is gone before anybody reads, if a pipe has room for all.
            if (count * size < 60_000) await within(exited, 'it exits');
          }
          const goOn = () => go.end();
          if (isDeaf) {
            stream.once('data', () => {
              // It meets EPIPE, and is told at once.
              watch.write('a', 1, goOn);
              watch.write('b', 1);
            });
          } else goOn();
          // The end of a child that has said all is no error.
          let errorAtEnd: Error | undefined;
          stream.once('end', () => {
            errorAtEnd = watch.error;
            if (!isDeaf) stream.end();
          });
          await within(outcomeOf(readers[reader]!(stream, slow, mark)), 'the reader is done');
          await within(closed(stream), "'close'");
          await within(over, 'the child is gone');
          watch.check();
          expectHanded(watch, messages);
          if (isDeaf) {
            expect(watch.error).to.have.property('code', 'EPIPE');
            expect(watch.calls.map(({ error }) => (error as NodeJS.ErrnoException | null)?.code)[0]).to.equal('EPIPE');
          } else {
            expect(watch.events).to.include('end');
            expect(errorAtEnd).to.equal(undefined);
          }
        }),
      ),
      { numRuns: runs(15), ...settings },
    );
  });
});
