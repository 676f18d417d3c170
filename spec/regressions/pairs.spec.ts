import { Buffer } from 'node:buffer';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type Duplex, PassThrough, Readable } from 'node:stream';
import { createGunzip, createGzip } from 'node:zlib';
import { expect } from 'chai';
import { closed, closeLinks, framedStream, link, soon } from '../properties/links.js';
import { frames, turns } from '../support/frames.js';
import { codeArgs, deafProgram } from '../support/runtime.js';
import { reset } from '../support/wire.js';

const numbered = (count: number) => Array.from({ length: count }, (_, i) => `message ${i}`);

/** A reader that is slow, and all that it sees. */
function readSlowly(messages: Duplex, each: (message: string) => unknown = () => {}) {
  const got: string[] = [];
  const done = (async () => {
    try {
      for await (const message of messages) {
        got.push(String(message));
        await each(String(message));
        await turns(2);
      }
      return undefined;
    } catch (error) {
      return error as NodeJS.ErrnoException;
    }
  })();
  return { got, done };
}

/** A child with a fourth pipe that tells it when to go. */
function child([command, args]: [string, string[]]) {
  const process_ = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit', 'pipe'] });
  children.push(process_);
  const messages = framedStream({ readable: process_.stdout, writable: process_.stdin });
  const go = process_.stdio[3] as Duplex;
  go.on('error', () => {});
  go.on('data', () => {});
  return { process: process_, messages, go: () => go.end() };
}

const children: ReturnType<typeof spawn>[] = [];

const running = (code: string): [string, string[]] => [process.execPath, codeArgs(code)];

const answers = (count: number) => `
  let input = Buffer.alloc(0);
  process.stdin.on('data', (chunk) => {
    input = Buffer.concat([input, chunk]);
    if (input.length === ${frames(...numbered(count)).length}) process.stdout.write(input, () => process.exit());
  });`;

/** Sends 100 messages: some before it is told to go, the others after that. */
const sends = (before: number) => `
  import { createReadStream } from 'node:fs';
  const bytesOf = (from, to) => {
    let bytes = '';
    for (let i = from; i < to; i++) bytes += '\\xd0\\x07\\0\\0' + ('message ' + i).padEnd(2000);
    return Buffer.from(bytes, 'latin1');
  };
  process.stdout.write(bytesOf(0, ${before}));
  createReadStream(null, { fd: 3 }).resume().on('end', () => {
    process.stdout.write(bytesOf(${before}, 100), () => process.exit());
  });`;

describe('regressions: framed pairs', function () {
  this.timeout(10_000);

  afterEach(async () => {
    await closeLinks();
    for (const one of children.splice(0)) one.kill('SIGKILL');
  });

  describe('a child process', () => {
    it('that answers 20 messages and exits: all are read, then the end, and no error', async () => {
      const { process, messages } = child(running(answers(20)));
      const errors: unknown[] = [];
      messages.on('error', (error) => errors.push(error));
      const ended = new Promise<void>((resolve) => messages.once('end', resolve));
      const over = once(process, 'close');
      for (const message of numbered(20)) messages.write(message);
      // It is gone before its output is read.
      if (process.exitCode === null) await soon(once(process, 'exit'), 'it exits');
      const { got, done } = readSlowly(messages);
      const error = await soon(done, 'the reader is done');
      expect({ got, error }).to.deep.equal({ got: numbered(20), error: undefined });
      await soon(ended, "'end'");
      await turns(5);
      expect(errors).to.deep.equal([]);
      messages.end();
      await soon(closed(messages), "'close'");
      await soon(over, "'close' of the child");
    });

    it('that exits while a slow reader reads: all are read, then the end, and no error', async () => {
      const { messages } = child(running(answers(20)));
      const errors: unknown[] = [];
      messages.on('error', (error) => errors.push(error));
      for (const message of numbered(20)) messages.write(message);
      const { got, done } = readSlowly(messages);
      expect(await soon(done, 'the reader is done')).to.equal(undefined);
      expect(got).to.deep.equal(numbered(20));
      expect(errors).to.deep.equal([]);
      messages.end();
      await soon(closed(messages), "'close'");
    });

    for (const [when, count] of [
      ['that came before', 100],
      ['that come later', 1],
    ] as const) {
      it(`that has closed its input: a write meets EPIPE, 100 messages ${when} are still read`, async () => {
        // More than one chunk has room for.
        const due = numbered(100).map((message) => message.padEnd(2000));
        const { messages, go } = child(deafProgram(sends(count)));
        let failure: NodeJS.ErrnoException | null | undefined;
        const { got, done } = readSlowly(messages, async (message) => {
          if (message !== due[0]) return;
          // The write is told at once, though there is more to read.
          failure = await new Promise((resolve) => messages.write('a', resolve));
          go();
        });
        const error = await soon(done, 'the reader is done');
        expect(got.map((message) => message.trim())).to.deep.equal(numbered(100));
        expect(error).to.have.property('code', 'EPIPE');
        expect(failure).to.equal(error);
        await soon(closed(messages), "'close'");
      });
    }

    it('that crashes: all that it said is read', async () => {
      const code = `
        const bytes = Buffer.from('${frames(...numbered(20)).toString('base64')}', 'base64');
        process.stdout.write(bytes, () => process.kill(process.pid, 'SIGKILL'));`;
      const { messages } = child(running(code));
      const { got, done } = readSlowly(messages);
      expect(await soon(done, 'the reader is done')).to.equal(undefined);
      expect(got).to.deep.equal(numbered(20));
      messages.on('error', () => {}).end();
      await soon(closed(messages), "'close'");
    });
  });

  it('{ gunzip, gzip } over a socket: the last message gets through', async () => {
    const { near, peer } = await link({ allowHalfOpen: true });
    const gzip = createGzip();
    gzip.pipe(near);
    const messages = framedStream({ readable: near.pipe(createGunzip()), writable: gzip });
    const toNear = createGzip();
    toNear.pipe(peer.socket);
    toNear.end(frames(...numbered(20)));
    const { done } = readSlowly(messages, (message) => messages.write(message));
    expect(await soon(done, 'the reader is done')).to.equal(undefined);
    messages.end();
    expect(await soon(peer.over, 'the peer sees the end')).to.equal('end');
    const answers = Buffer.concat(await Readable.from([peer.bytes]).pipe(createGunzip()).toArray());
    expect(answers.equals(frames(...numbered(20)))).to.equal(true);
  });

  it('{ gunzip, gzip } with a reader that is done when end() was called before: the last message gets through', async () => {
    const gzip = createGzip();
    const gunzip = createGunzip();
    const out = gzip.pipe(createGunzip()).toArray();
    const messages = framedStream({ readable: gunzip, writable: gzip });
    for (const message of numbered(20)) messages.write(message);
    messages.end();
    const back = createGzip();
    back.pipe(gunzip);
    back.end(frames('a'));
    const { got, done } = readSlowly(messages);
    expect(await soon(done, 'the reader is done')).to.equal(undefined);
    expect(got).to.deep.equal(['a']);
    expect(Buffer.concat(await soon(out, 'the other side is done')).equals(frames(...numbered(20)))).to.equal(true);
  });

  describe('one stream that fails', () => {
    it('the readable: writes that are pending are sent, then the error shows, and both are destroyed', async () => {
      for (const how of ['fails', 'is destroyed']) {
        const [readable, writable] = [new PassThrough(), new PassThrough({ highWaterMark: 1 })];
        const messages = framedStream({ readable, writable });
        const failure = new Promise((resolve) => messages.once('error', resolve));
        const calls: unknown[] = [];
        messages.resume();
        for (const message of numbered(5)) messages.write(message, (error) => calls.push(error ?? null));
        await turns(2);
        readable.destroy(how === 'fails' ? reset() : undefined);
        await turns(2);
        expect(writable.destroyed, how).to.equal(false);
        const chunks: Buffer[] = [];
        writable.on('data', (chunk) => chunks.push(chunk));
        const error = await soon(failure, "'error'");
        const code = how === 'fails' ? 'ECONNRESET' : 'ERR_STREAM_PREMATURE_CLOSE';
        expect(error, how).to.have.property('code', code);
        expect(Buffer.concat(chunks).equals(frames(...numbered(5))), how).to.equal(true);
        expect(calls, how).to.deep.equal(Array(5).fill(null));
        await soon(closed(messages), "'close'");
        expect([readable.destroyed, writable.destroyed], how).to.deep.equal([true, true]);
      }
    });

    it("the writable: messages are read to the readable's end, then the error shows, and both are destroyed", async () => {
      const [readable, writable] = [new PassThrough(), new PassThrough()];
      const messages = framedStream({ readable, writable });
      const { got, done } = readSlowly(messages);
      readable.write(frames(...numbered(50)));
      await turns(3);
      const error = reset();
      writable.destroy(error);
      // A write is told at once.
      expect(await soon(new Promise((resolve) => messages.write('a', resolve)), 'the callback')).to.equal(error);
      await turns(3);
      expect([messages.destroyed, readable.destroyed]).to.deep.equal([false, false]);
      readable.end(frames('late', 'last'));
      expect(await soon(done, 'the reader is done')).to.equal(error);
      expect(got).to.deep.equal([...numbered(50), 'late', 'last']);
      await soon(closed(messages), "'close'");
      expect([readable.destroyed, writable.destroyed]).to.deep.equal([true, true]);
    });
  });

  it('a stream of the pair that has a side of its own left is not destroyed at the end', async () => {
    const [readable, writable] = [new PassThrough(), new PassThrough()];
    const messages = framedStream({ readable, writable });
    readable.end(frames('a'));
    messages.end('b');
    const { got, done } = readSlowly(messages);
    expect(await soon(done, 'the reader is done')).to.equal(undefined);
    await soon(closed(messages), "'close'");
    expect(got).to.deep.equal(['a']);
    expect(writable.destroyed).to.equal(false);
    expect(Buffer.concat(await writable.toArray()).equals(frames('b'))).to.equal(true);
  });
});
