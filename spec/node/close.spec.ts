import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import process from 'node:process';
import { Duplex, PassThrough, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { expect } from 'chai';
import { type Framed, framed } from '../../lib/index.js';
import { connections, rejectionCode } from '../support/connections.js';
import { frame, prefix } from '../support/frames.js';

/** All bytes that come, and how the connection ends. */
async function received(socket: Socket): Promise<{ bytes: string; end: string }> {
  let bytes = '';
  socket.on('data', (chunk) => {
    bytes += chunk.toString('latin1');
  });
  const end = await new Promise<string>((resolve) => {
    socket.on('end', () => resolve('end')).on('error', (error: NodeJS.ErrnoException) => resolve(error.code!));
  });
  return { bytes, end };
}

async function all(messages: Framed): Promise<string[]> {
  const got: string[] = [];
  for await (const message of messages) got.push(`${message}`);
  return got;
}

/** Writes until it learns that the connection was reset: a socket that has read the end learns it by its next write. */
async function learnsOfReset(client: Socket): Promise<void> {
  const failed = once(client, 'error');
  const write = setInterval(() => client.write('x'), 5);
  try {
    expect((await failed)[0].code).to.be.oneOf(['ECONNRESET', 'EPIPE']);
  } finally {
    clearInterval(write);
  }
}

/** A stream that is no socket, whose end is sent when `end` is called. */
function endsLater(): { stream: Duplex; end: () => void } {
  let done = (): void => {};
  const stream = new Duplex({
    autoDestroy: false,
    read() {},
    final(callback) {
      done = callback;
    },
  });
  return { stream, end: () => done() };
}

describe('close() of framed', () => {
  const { open } = connections();

  /** A `framed` of the server's, and the client's socket. */
  async function pair(options: object = {}, allowHalfOpen = false): Promise<{ messages: Framed; client: Socket }> {
    const { socket, client } = await open({ allowHalfOpen });
    return { messages: framed(socket, options) as Framed, client };
  }

  it('sends written messages, ends both sides, and settles when the peer has ended', async () => {
    const { messages, client } = await pair();
    const reading = all(messages);
    const coming = received(client);
    messages.write('a');
    const closing = messages.close();
    expect(
      await rejectionCode(new Promise((_, reject) => void messages.write('late', (error) => reject(error)))),
    ).to.equal('ERR_STREAM_WRITE_AFTER_END');
    expect(await coming).to.deep.equal({ bytes: frame('a').toString('latin1'), end: 'end' });
    expect(await reading).to.deep.equal([]);
    await closing;
    expect(messages.closed).to.equal(true);
    await messages.close();
  });

  it('hands out a frame that has begun, and all messages before it', async () => {
    const { messages, client } = await pair();
    const ended = received(client);
    const bytes = Buffer.concat([frame('a'), frame('b'), frame('c')]);
    client.write(bytes.subarray(0, -1));
    await once(messages, 'readable');
    const closing = messages.close();
    client.write(bytes.subarray(-1));
    expect(await all(messages)).to.deep.equal(['a', 'b', 'c']);
    expect((await ended).end).to.equal('end');
    await closing;
  });

  it('resets the connection when a frame begins later and nothing was written: its sender learns it', async () => {
    const { messages, client } = await pair({}, true);
    const reading = all(messages);
    const closing = messages.close();
    await once(client.resume(), 'end');
    client.write(frame('too late'));
    expect(await reading).to.deep.equal([]);
    await closing;
    await learnsOfReset(client);
  });

  const noTcp = () => {
    throw new Error('no TCP');
  };
  for (const [resets, methods] of [
    ['has no reset', {}],
    ['throws at a reset, as TLS does', { resetAndDestroy: noTcp }],
  ] as const) {
    it(`destroys a stream that ${resets}, where a frame comes too late`, async () => {
      const { stream, end } = endsLater();
      const messages = framed(Object.assign(stream, methods)).resume();
      const closing = messages.close();
      await new Promise(setImmediate);
      stream.push(frame('too late'));
      await new Promise(setImmediate);
      expect(stream.destroyed).to.equal(false);
      end();
      await closing;
      expect(stream.destroyed).to.equal(true);
    });
  }

  it('settles where the peer has ended before the end was sent', async () => {
    const { stream, end } = endsLater();
    const messages = framed(stream).resume();
    const closing = messages.close();
    stream.push(null);
    await once(stream, 'end');
    end();
    await closing;
  });

  it('ends the writable of a pair, where a frame comes too late', async () => {
    const [readable, writable] = [new PassThrough(), new PassThrough()];
    const messages = framed({ readable, writable }) as Framed;
    const reading = all(messages);
    readable.write(frame('in time').subarray(0, 5));
    await new Promise(setImmediate);
    const closing = messages.close();
    readable.write(Buffer.concat([frame('in time').subarray(5), frame('too late')]));
    expect(await reading).to.deep.equal(['in time']);
    await once(writable.resume(), 'end');
    await closing;
    expect(readable.destroyed).to.equal(true);
  });

  it('takes back no message that was written, although a frame begins later', async () => {
    const { messages, client } = await pair();
    messages.resume();
    const peer = framed(client) as Framed;
    let count = 0;
    const reading = (async () => {
      for await (const _ of peer) {
        count++;
        await new Promise(setImmediate);
      }
      peer.end();
    })();
    for (let i = 0; i < 40; i++) messages.write(Buffer.alloc(100_000));
    const closing = messages.close();
    peer.write('too late');
    await reading;
    expect(count).to.equal(40);
    await closing;
  });

  it('does so for a frame that came in one chunk with the frame that has begun', async () => {
    const { messages, client } = await pair({}, true);
    const reading = all(messages);
    const ended = received(client);
    const bytes = Buffer.concat([frame('in time'), frame('too late')]);
    client.write(bytes.subarray(0, 6));
    while (messages.pendingFrameBytes < 6) await new Promise(setImmediate);
    const closing = messages.close();
    client.write(bytes.subarray(6));
    expect(await reading).to.deep.equal(['in time']);
    await closing;
    expect((await ended).end, 'never an end').to.equal('ECONNRESET');
  });

  it('with a body half sent, one half read, from both sides at once', async () => {
    const { messages, client } = await pair({ stream: true });
    const peer = framed(client).resume() as Framed;
    async function* slowly() {
      for (let i = 0; i < 5; i++) {
        yield 'x'.repeat(10);
        await new Promise(setImmediate);
      }
    }
    messages.write({ length: 50, body: Readable.from(slowly()) } as never);
    peer.write({ length: 50, body: Readable.from(slowly()) } as never);
    const [{ body }] = (await once(messages, 'data')) as any;
    const closings = [messages.close(), peer.close()];
    let read = '';
    for await (const part of body) read += part;
    expect(read).to.equal('x'.repeat(50));
    await Promise.all(closings);
  });

  it('waits for a peer that does not end; at the deadline, it rejects and resets', async () => {
    const { messages, client } = await pair({}, true);
    client.resume();
    messages.resume();
    const error: any = await messages.close({ deadline: 30 }).catch((reason) => reason);
    expect(error).to.include({ name: 'FrameError', code: 'ERR_FRAME_TIMEOUT' });
    expect(error.message).to.contain('the stream was not closed within 30 ms (deadline)');
    await learnsOfReset(client);
  });

  it('waits for a peer that stalls inside a frame; at the deadline, it rejects', async () => {
    const { messages, client } = await pair({}, true);
    client.resume();
    client.on('error', () => {});
    client.write(prefix(100));
    const reading = rejectionCode(all(messages));
    while (messages.pendingFrameBytes < 4) await new Promise(setImmediate);
    expect(await rejectionCode(messages.close({ deadline: 30 }))).to.equal('ERR_FRAME_TIMEOUT');
    expect(await reading).to.equal('ERR_FRAME_TIMEOUT');
  });

  it('rejects with the error of the stream', async () => {
    const { messages, client } = await pair();
    client.on('error', () => {});
    client.write(prefix(100));
    while (messages.pendingFrameBytes < 4) await new Promise(setImmediate);
    const reading = rejectionCode(all(messages));
    const closing = rejectionCode(messages.close());
    client.end();
    expect(await closing).to.equal('ERR_FRAME_TRUNCATED');
    expect(await reading).to.equal('ERR_FRAME_TRUNCATED');
  });

  it('may be called twice, and behind end()', async () => {
    const { messages, client } = await pair();
    client.resume();
    messages.resume();
    messages.end('a');
    await Promise.all([messages.close(), messages.close({ deadline: 10_000 })]);
  });

  it('a write that is too late makes nobody wait for a drain, and lets go of its body', async () => {
    const { messages, client } = await pair();
    client.resume();
    messages.resume();
    const closing = messages.close();
    const body = Readable.from(['a']).on('error', () => {});
    const failed = new Promise((resolve) => body.once('close', resolve));
    expect(messages.write({ length: 1, body } as never)).to.equal(true);
    await failed;
    await closing;
    expect(messages.errored).to.equal(null);
  });

  it('end() with a message that is too late fails nothing else', async () => {
    const { messages, client } = await pair();
    messages.resume();
    const coming = received(client);
    messages.write('a'.repeat(1_000_000));
    const closing = messages.close();
    messages.end('too late');
    expect((await coming).bytes).to.have.lengthOf(1_000_004);
    await closing;
  });

  it('end() that is too late calls back at the end, and lets go of the body it was given', async () => {
    for (const late of [
      (messages: Framed, body: Readable, done: () => void) => messages.end({ length: 1, body }, done),
      (messages: Framed, body: Readable, done: () => void) => messages.end({ length: 1, body }, 'utf8', done),
      (messages: Framed, body: Readable, done: () => void) => {
        body.destroy();
        messages.end(done);
      },
      (messages: Framed, body: Readable, done: () => void) => {
        body.destroy();
        messages.end(undefined as never, done);
      },
    ]) {
      const { messages, client } = await pair();
      messages.resume();
      const coming = received(client);
      messages.write('a');
      const closing = messages.close();
      const body = Readable.from(['x']).on('error', () => {});
      const bodyClosed = new Promise((resolve) => body.once('close', resolve));
      const errors: unknown[] = [];
      messages.on('error', (error) => errors.push(error));
      const drained = once(messages, 'drain');
      await new Promise<void>((resolve) => late(messages, body, resolve));
      await Promise.all([drained, bodyClosed, closing]);
      expect((await coming).bytes).to.equal(`${frame('a')}`);
      expect(errors).to.deep.equal([]);
    }
  });

  it('wakes a reader that waits for a drain which cannot come any more', async () => {
    const stream = new Duplex({ read() {}, write() {}, emitClose: true });
    const messages = framed(stream, { writableHighWaterMark: 10 }).on('error', () => {}) as Framed;
    expect(messages.write('more than ten bytes')).to.equal(false);
    const drained = once(messages, 'drain');
    const closing = messages.close({ deadline: 1 });
    await drained;
    expect(await rejectionCode(closing)).to.equal('ERR_FRAME_TIMEOUT');
    // Who waits for nothing is told nothing.
    const quiet = framed(new Duplex({ read() {}, write() {} })).on('error', () => {}) as Framed;
    let drains = 0;
    quiet.on('drain', () => drains++);
    expect(await rejectionCode(quiet.close({ deadline: 1 }))).to.equal('ERR_FRAME_TIMEOUT');
    expect(drains).to.equal(0);
  });

  it('hands out all frames that have begun in chunks which wait for the reader', async () => {
    const stream = new Duplex({
      read() {},
      write: (_chunk, _encoding, callback) => callback(),
      final: (callback) => callback(),
    });
    const messages = framed(stream, { readableHighWaterMark: 1 }) as Framed;
    // It does not stop when it is told to.
    for (const text of ['a', 'b', 'c', 'd']) stream.emit('data', frame(text));
    stream.emit('data', frame('e').subarray(0, 3));
    const closing = messages.close();
    stream.emit('data', frame('e').subarray(3));
    stream.emit('data', frame('late'));
    stream.push(null);
    expect(await all(messages)).to.deep.equal(['a', 'b', 'c', 'd', 'e']);
    await closing;
  });

  it('leaves no timer behind, and is refused behind detach()', async () => {
    const { messages, client } = await pair();
    client.resume().on('end', () => client.end());
    messages.resume();
    const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const before = timers();
    await messages.close({ deadline: 100_000 });
    expect(timers()).to.equal(before);

    const { messages: other } = await pair();
    const detached = other.resume().detach<Socket>();
    expect(await rejectionCode(other.close())).to.equal('ERR_INVALID_STATE');
    expect(await rejectionCode(other.close({ deadline: -1 }))).to.equal('ERR_OUT_OF_RANGE');
    (await detached).destroy();
  });

  it('ends an echo by a pipeline', async () => {
    const { messages, client } = await pair();
    client.resume().on('error', () => {});
    const echo = pipeline(
      messages,
      async function* (source) {
        for await (const message of source) {
          await new Promise(setImmediate);
          yield message;
        }
      },
      messages,
    );
    client.write(Buffer.concat(Array.from({ length: 50 }, () => frame(Buffer.alloc(10_000)))));
    while (messages.messagesRead < 3) await new Promise(setImmediate);
    await messages.close();
    expect(await rejectionCode(echo)).to.equal('none');
  });

  for (const options of [{ autoDestroy: false }, { emitClose: false }]) {
    it(`settles with ${JSON.stringify(options)}`, async () => {
      const { messages, client } = await pair(options);
      client.resume();
      messages.resume();
      await messages.close();
    });
  }

  it('of a stream whose framing ends before', async () => {
    const formatAfter = (message: Buffer) => (`${message}` === 'b' ? null : undefined);
    const { messages, client } = await pair({ formatAfter, readableHighWaterMark: 1 });
    client.resume().on('error', () => {});
    client.write(Buffer.concat([frame('a'), frame('b'), frame('c')]));
    await once(messages, 'readable');
    const closing = messages.close();
    expect(await all(messages)).to.deep.equal(['a', 'b']);
    await closing;
  });

  it('refuses a deadline that is no time', async () => {
    const { messages } = await pair();
    expect(await rejectionCode(messages.close({ deadline: -1 }))).to.equal('ERR_OUT_OF_RANGE');
    expect(await rejectionCode(messages.close({ dedline: 1 } as object))).to.equal('ERR_INVALID_ARG_VALUE');
    messages.destroy();
  });
});
