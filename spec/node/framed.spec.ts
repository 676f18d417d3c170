import { Buffer } from 'node:buffer';
import { spawn } from 'node:child_process';
import { on, once } from 'node:events';
import * as http2 from 'node:http2';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { addAbortSignal, PassThrough, Readable, Transform, Writable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { createGunzip, createGzip } from 'node:zlib';
import { expect } from 'chai';
import * as readableStream from 'readable-stream';
import { type Framed, type FramedOptions, FrameError, framed, json, type Message, text } from '../../lib/index.js';
import { frames, turns } from '../support/frames.js';
import { codeOf, outcomeOf, thrownBy } from '../support/streams.js';
import { kinds, reset, Wire, wirePair } from '../support/wire.js';

/** The chunks that the wire is given from now on. */
function writtenTo(wire: Wire): Buffer[] {
  const given: Buffer[] = [];
  const { write } = wire.stream;
  wire.stream.write = ((chunk: Buffer, callback: never) => {
    given.push(Buffer.from(chunk));
    return write.call(wire.stream, chunk, callback);
  }) as typeof write;
  return given;
}

/** A framed wire. */
function framedWire(options?: FramedOptions<false, Buffer, false>, wire = new Wire()) {
  return { wire, messages: framed(wire.stream, options) };
}

async function textsOf(messages: AsyncIterable<Buffer>): Promise<string[]> {
  return (await outcomeOf(messages)).items.map(String);
}

const inCapitals = async function* (messages: AsyncIterable<Buffer>) {
  for await (const message of messages) yield String(message).toUpperCase();
};

const devNull = () => new Writable({ objectMode: true, write: (_chunk, _encoding, callback) => callback() });

/** The sockets of a connection, `server` as a server gets it that says nothing of half-open ones. */
async function sockets(options: { allowHalfOpen?: boolean } = {}): Promise<{ client: Socket; server: Socket }> {
  const listener = createServer(options).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const client = connect((listener.address() as AddressInfo).port, '127.0.0.1');
  const [server] = (await once(listener, 'connection')) as [Socket];
  listener.close();
  if (client.connecting) await once(client, 'connect');
  return { client, server };
}

describe('framed', () => {
  it('is a Duplex of readable-stream: messages to read, bytes counted to write', () => {
    const { messages } = framedWire();
    expect(messages).to.be.instanceOf(readableStream.Duplex);
    expect(messages).to.include({ readableObjectMode: true, writableObjectMode: true });
    expect(messages).to.include({ readableHighWaterMark: 16, writableHighWaterMark: 65_536 });
  });

  for (const kind of kinds) {
    it(`sends written messages and reads those of the peer, over a Duplex of ${kind}`, async () => {
      const [a, b] = wirePair(kind).map((end) => framed(end)) as [Framed, Framed];
      a.write('hello');
      a.write(Buffer.from('Buffer'));
      a.write('');
      a.end(Uint8Array.of(0x61));
      b.end(['in ', 'parts']);
      expect(await textsOf(b)).to.deep.equal(['hello', 'Buffer', '', 'a']);
      expect(await textsOf(a)).to.deep.equal(['in parts']);
    });
  }

  it('takes a pair', async () => {
    const [readable, writable] = [new PassThrough(), new PassThrough()];
    const messages = framed({ readable, writable });
    messages.end('out');
    readable.end(frames('in'));
    expect(await textsOf(messages)).to.deep.equal(['in']);
    expect(writable.read()).to.deep.equal(frames('out'));
  });

  it('half open: leaves the writable of a pair open, whatever the setting of its readable is', async () => {
    for (const readable of [
      Readable.from([frames('in')]),
      new PassThrough({ allowHalfOpen: false }).end(frames('in')),
    ]) {
      const writable = new PassThrough();
      const messages = framed({ readable, writable });
      expect(await textsOf(messages)).to.deep.equal(['in']);
      await turns(5);
      messages.end('out');
      expect(await outcomeOf(writable)).to.deep.equal({ items: [frames('out')], error: undefined });
    }
  });

  it('takes the output and the input of a child process', async () => {
    const child = spawn(process.execPath, ['-e', 'process.stdin.pipe(process.stdout)']);
    const messages = framed({ readable: child.stdout, writable: child.stdin });
    for (let i = 0; i < 100; i++) messages.write(`message ${i}`);
    messages.end();
    expect(await textsOf(messages)).to.deep.equal(Array.from({ length: 100 }, (_, i) => `message ${i}`));
    expect(await once(child, 'close')).to.deep.equal([0, null]);
  });

  it('leaves an HTTP/2 stream the time to send its trailers', async () => {
    const server = http2.createServer();
    server.on('stream', (stream: http2.ServerHttp2Stream) => {
      stream.respond({}, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ status: 'well' }));
      const messages = framed(stream);
      messages.pipe(messages);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const session = http2.connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    try {
      const request = session.request({ ':method': 'POST' });
      const trailers = new Promise<http2.IncomingHttpHeaders | undefined>((resolve) => {
        request.on('trailers', resolve).on('close', () => resolve(undefined));
      });
      const messages = framed(request);
      messages.end('hello');
      expect(await textsOf(messages)).to.deep.equal(['hello']);
      expect(await trailers).to.include({ status: 'well' });
    } finally {
      session.close();
      server.close();
    }
  });

  it('reads an HTTP/2 stream that was closed before all its bytes were read', async () => {
    const server = http2.createServer();
    server.on('stream', (stream: http2.ServerHttp2Stream) => stream.end(frames('a', 'b')));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const session = http2.connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    try {
      const request = session.request({ ':method': 'POST' });
      request.end();
      while (!request.closed) await turns(1);
      const items = [Buffer.from('a'), Buffer.from('b')];
      expect(await outcomeOf(framed(request))).to.deep.equal({ items, error: undefined });
    } finally {
      session.close();
      server.close();
    }
  });

  it('starts a stream that was paused, and takes the bytes that are there already', async () => {
    const wire = new Wire();
    wire.receive(frames('a'));
    wire.stream.pause();
    await turns(2);
    const messages = framed(wire.stream);
    wire.receive(frames('b'));
    wire.receiveEnd();
    expect(await textsOf(messages)).to.deep.equal(['a', 'b']);
  });

  it('refuses a stream with an encoding', () => {
    for (const kind of kinds) {
      const { stream } = new Wire(kind);
      stream.setEncoding('utf8');
      for (const one of [stream, { readable: stream, writable: new PassThrough() }]) {
        expect(thrownBy(() => framed(one))).to.include({ code: 'ERR_INVALID_ARG_VALUE' });
      }
      expect(stream.eventNames()).not.to.include('data');
    }
    const { message } = thrownBy(() => framed(new PassThrough({ encoding: 'latin1' })));
    expect(message).to.equal(
      "The argument 'stream' must be a stream of bytes, without setEncoding(). Received an instance of PassThrough",
    );
  });

  it('fails where strings or objects come later, behind the messages before them', async () => {
    const { wire, messages } = framedWire();
    wire.receive(frames('a'));
    await turns(1);
    wire.stream.setEncoding('utf8');
    wire.receive(frames('é'));
    const { items, error } = await outcomeOf(messages);
    expect(items.map(String)).to.deep.equal(['a']);
    expect(error).to.have.property('code', 'ERR_INVALID_ARG_TYPE');
    expect(error!.message).to.match(/"stream".* a stream of bytes, without setEncoding\(\)\. Received '/);
    expect(wire.stream.destroyed).to.equal(true);
    const objects = new PassThrough({ objectMode: true });
    const other = framed(objects);
    objects.write({});
    const [failure] = await once(other, 'error');
    expect(failure).to.have.property('code', 'ERR_INVALID_ARG_TYPE');
    expect(failure.message).to.match(
      /"stream".* a stream of bytes, without setEncoding\(\)\. Received an instance of Object/,
    );
    expect(objects.destroyed).to.equal(true);
  });

  it('hands out nothing that comes behind strings or objects', async () => {
    const stream = new PassThrough({ objectMode: true });
    const messages = framed(stream);
    const got: string[] = [];
    messages.on('data', (message) => {
      got.push(String(message));
      for (const chunk of [{}, frames('b')]) stream.push(chunk);
    });
    stream.write(frames('a'));
    await once(messages, 'error');
    expect(got).to.deep.equal(['a']);
  });

  it('has the options of decoder, encoder and streams', async () => {
    const { wire, messages } = framedWire({
      lengthField: 'uint16be',
      maxPayloadLength: 3,
      oversize: 'skip',
      copy: true,
    });
    const oversize: number[][] = [];
    messages.on('oversize', (...args) => oversize.push(args));
    const chunk = Buffer.from('\0\x01a\0\x04long\0\x01b', 'latin1');
    wire.receive(chunk);
    wire.receiveEnd();
    messages.end('c');
    const { items } = await outcomeOf(messages);
    expect(items.map(String)).to.deep.equal(['a', 'b']);
    expect(items[0]!.buffer).not.to.equal(chunk.buffer);
    expect(oversize).to.deep.equal([[4, 3]]);
    expect(wire.sent).to.deep.equal(Buffer.from('\0\x01c'));

    const marks = framed(new PassThrough(), { readableHighWaterMark: 3, writableHighWaterMark: 100 });
    expect(marks).to.include({ readableHighWaterMark: 3, writableHighWaterMark: 100 });
    const quiet = framed(new PassThrough(), { emitClose: false, autoDestroy: false });
    quiet.on('close', () => expect.fail("'close'"));
    quiet.resume().end();
    await once(quiet, 'end');
    await turns(2);
    expect(quiet.destroyed).to.equal(false);
  });

  it('writes strings in its default encoding, and refuses an unknown one', () => {
    const { wire, messages } = framedWire();
    expect(messages.setDefaultEncoding('HEX' as never)).to.equal(messages);
    expect(thrownBy(() => messages.setDefaultEncoding('utf-9' as never))).to.have.property(
      'code',
      'ERR_UNKNOWN_ENCODING',
    );
    messages.end('61');
    expect(wire.sent).to.deep.equal(frames('a'));
  });

  it('sends messages and bodies to a stream that can not be corked', async () => {
    const { stream } = new Wire();
    const sent: Buffer[] = [];
    stream._write = (chunk, _encoding, callback) => {
      sent.push(Buffer.from(chunk));
      callback();
    };
    Object.assign(stream, { _writev: null, cork: undefined, uncork: undefined });
    const messages = framed(stream);
    messages.write('a');
    messages.write({ length: 2, body: ['b', 'c'] });
    await new Promise((resolve) => messages.write('d', resolve));
    expect(Buffer.concat(sent)).to.deep.equal(frames('a', 'bc', 'd'));
  });

  it('reads batches, values and bodies', async () => {
    const [a, b] = wirePair();
    const batches = framed(b, { ...text, batch: true });
    const values = framed(a, json);
    values.write({ one: 1 });
    values.end([2]);
    expect(await outcomeOf(batches)).to.deep.equal({ items: [['{"one":1}', '[2]']], error: undefined });
    batches.end('"answer"');
    expect((await outcomeOf<unknown>(values)).items).to.deep.equal(['answer']);

    const [c, d] = wirePair();
    framed(c).end({ length: 5, body: ['he', 'llo'] });
    for await (const { length, body } of framed(d, { stream: true })) {
      expect(length).to.equal(5);
      expect(Buffer.concat(await body.toArray()).toString()).to.equal('hello');
    }
  });

  it('messages of a tick leave in one go; a head and its large payload, too, which is not copied', async () => {
    const { wire, messages } = framedWire();
    messages.write('a');
    messages.write('b');
    await turns(1);
    expect(wire.writes).to.deep.equal([[frames('a', 'b')]]);
    const large = Buffer.alloc(16_384, 'x');
    const given: unknown[] = [];
    const { write } = wire.stream;
    wire.stream.write = (chunk: Buffer, callback: never) => {
      given.push(chunk.buffer);
      return write.call(wire.stream, chunk, callback);
    };
    messages.write('c');
    messages.write(large);
    await turns(1);
    expect(wire.writes.slice(1).map((group) => group.map((chunk) => chunk.length))).to.deep.equal([[9, 16_384]]);
    expect(given[1]).to.equal(large.buffer);
  });

  it('fails as decoder and encoder do, and the stream with it', async () => {
    const { wire, messages } = framedWire();
    wire.receive(frames('a'), Buffer.alloc(4, 0xff));
    const { items, error } = await outcomeOf(messages);
    expect(items.map(String)).to.deep.equal(['a']);
    expect(error).to.be.instanceOf(FrameError).and.to.include({ code: 'ERR_FRAME_TOO_LONG', position: 5 });
    expect(wire.stream.errored).to.equal(error);

    const other = framedWire();
    other.wire.receive(frames('a').subarray(0, 3));
    other.wire.receiveEnd();
    expect((await outcomeOf(other.messages)).error).to.include({ code: 'ERR_FRAME_TRUNCATED' });
  });

  it('a message that is too long fails the stream, also when the stream is ended or destroyed right behind it', async () => {
    for (const how of ['end', 'destroy'] as const) {
      const { wire, messages } = framedWire({ maxPayloadLength: 3 });
      wire.receive(frames('a', 'b'));
      await turns(2);
      expect(String(messages.read())).to.equal('a');
      messages.on('error', () => {}).write('long');
      messages.write('c');
      if (how === 'end') messages.end();
      else messages.destroy();
      await turns(3);
      expect([wire.sent.length, wire.stream.writableEnded]).to.deep.equal([0, false]);
      if (how === 'destroy') continue;
      const shown = once(messages, 'error');
      expect(String(messages.read())).to.equal('b');
      expect((await shown)[0]).to.have.property('code', 'ERR_FRAME_TOO_LONG');
    }
  });

  it('a message that is too long does not wait for the other stream of a pair', async () => {
    for (const isRead of [true, false]) {
      const messages = framed({ readable: new PassThrough(), writable: new PassThrough() }, { maxPayloadLength: 3 });
      if (isRead) messages.resume();
      await turns(1);
      messages.write('long');
      expect((await once(messages, 'error'))[0]).to.have.property('code', 'ERR_FRAME_TOO_LONG');
    }
  });

  it('a message that is too long fails its own write; messages before it are sent, and no byte of it or behind it', async () => {
    const { wire, messages } = framedWire({ maxPayloadLength: 3 });
    const called: unknown[] = [];
    messages.write('a', (error) => called.push(error));
    messages.write('long', (error) => called.push(error));
    messages.write('b', (error) => called.push(error));
    const [error] = await once(messages, 'error');
    await turns(2);
    expect(error).to.include({ code: 'ERR_FRAME_TOO_LONG', position: 5 });
    expect(called).to.have.members([undefined, error, error]);
    expect(wire.sent).to.deep.equal(frames('a'));
    expect(wire.stream.errored).to.equal(error);
  });

  describe('a body', () => {
    it('that fails, or is of another length, fails its write and the stream, and is let go of', async () => {
      const failures: [number, (body: PassThrough) => unknown, string][] = [
        [9, (body) => body.end(), 'ERR_FRAME_TRUNCATED'],
        [1, () => {}, 'ERR_FRAME_TOO_LONG'],
        [9, (body) => body.destroy(reset()), 'ECONNRESET'],
      ];
      for (const [length, fail, code] of failures) {
        const { wire, messages } = framedWire();
        const body = new PassThrough();
        const called = new Promise((resolve) => messages.write({ length, body }, resolve));
        body.write('ab');
        fail(body);
        const [error] = await once(messages, 'error');
        expect(error).to.have.property('code', code);
        expect(await called).to.equal(error);
        expect([wire.stream.errored, body.destroyed]).to.deep.equal([error, true]);
      }
    });

    it('leaves in one go with its head; its callback waits for its last byte', async () => {
      const part = Buffer.alloc(20_000, 'x');
      const { wire, messages } = framedWire();
      messages.write({ length: 20_000, body: [part] });
      await turns(2);
      expect(wire.writes.map((group) => group.map((chunk) => chunk.length))).to.deep.equal([[4, 20_000]]);

      const held: (() => void)[] = [];
      const writable = new PassThrough();
      writable.write = (_chunk: unknown, callback?: unknown) => held.push(callback as () => void) > 0;
      const called: string[] = [];
      framed({ readable: new PassThrough(), writable }).write({ length: 20_000, body: [part] }, () =>
        called.push('sent'),
      );
      await turns(2);
      expect(held.length).to.equal(2);
      held[0]?.();
      await turns(2);
      expect(called).to.deep.equal([]);
      held[1]!();
      await turns(2);
      expect(called).to.deep.equal(['sent']);
    });

    it('that is under way at destroy() ends there: neither its rest nor messages behind it are sent', async () => {
      const readable = new PassThrough();
      const sent: Buffer[] = [];
      const writable = new Writable({
        write(chunk, _encoding, callback) {
          sent.push(chunk);
          callback();
        },
      });
      // Not every stream has one. To such a stream one can still write.
      writable.destroy = undefined as never;
      const messages = framed({ readable, writable });
      let isAsked = false;
      const body = (async function* () {
        yield 'a';
        isAsked = true;
        await turns(4);
        yield 'b';
      })();
      messages.write({ length: 2, body });
      while (!isAsked) await turns(1);
      messages.write('c');
      messages.destroy();
      await turns(8);
      expect(Buffer.concat(sent)).to.deep.equal(frames('ab').subarray(0, 5));
    });
  });

  describe('end()', () => {
    it("ends the stream's writable side when all is sent", async () => {
      const { wire, messages } = framedWire({}, new Wire('node', { slow: true }));
      for (let i = 0; i < 100; i++) messages.write(`message ${i}`);
      messages.end('last');
      await turns(3);
      expect(wire.stream.writableEnded).to.equal(false);
      wire.open();
      await once(messages, 'finish');
      expect(wire.stream.writableFinished).to.equal(true);
      expect(wire.sent.subarray(-8)).to.deep.equal(frames('last'));
    });

    it('leaves the readable side open', async () => {
      const { wire, messages } = framedWire();
      messages.end();
      await once(messages, 'finish');
      wire.receive(frames('answer'));
      wire.receiveEnd();
      expect(await textsOf(messages)).to.deep.equal(['answer']);
    });

    it('has nothing to do where somebody else has ended the stream', async () => {
      for (const early of [true, false]) {
        const wire = new Wire();
        if (early) await new Promise<void>((resolve) => wire.stream.end(resolve));
        const messages = framed(wire.stream);
        if (!early) wire.stream.end();
        await turns(2);
        messages.end();
        await once(messages, 'finish');
        wire.receive(frames('a'));
        wire.receiveEnd();
        expect(await outcomeOf(messages)).to.deep.equal({ items: [Buffer.from('a')], error: undefined });
      }
    });

    it('and the end of the input close both streams', async () => {
      const { wire, messages } = framedWire();
      messages.end('a');
      wire.receiveEnd();
      // Nothing is there to be read: nobody need read for that.
      await once(messages, 'close');
      expect(wire.stream.destroyed).to.equal(true);
    });
  });

  describe('half open: the end of the input', () => {
    it('ends the readable side, and writes still reach the peer', async () => {
      const { wire, messages } = framedWire();
      wire.receive(frames('a'));
      wire.receiveEnd();
      expect(await textsOf(messages)).to.deep.equal(['a']);
      await turns(3);
      messages.end('late');
      await once(messages, 'finish');
      expect(wire.sent).to.deep.equal(frames('late'));
    });

    it('shows where it was there before', async () => {
      const { stream } = new Wire();
      stream.push(null);
      await once(stream.resume(), 'end');
      const messages = framed(stream);
      expect(await outcomeOf(messages)).to.deep.equal({ items: [], error: undefined });
      await new Promise<void>((resolve) => messages.end('late', resolve));
      expect(stream.writableFinished).to.equal(true);
    });

    it('shows although written messages can not be sent', async () => {
      const { wire, messages } = framedWire({}, new Wire('node', { slow: true }));
      messages.end('stuck');
      await turns(2);
      wire.receiveEnd();
      expect(await textsOf(messages)).to.deep.equal([]);
    });

    for (const half of ['of the stream', 'of the options']) {
      it(`without allowHalfOpen ${half}, ends the writable side when all messages are read`, async () => {
        const allowHalfOpen = false;
        const ofStream = half === 'of the stream';
        const wire = new Wire('node', ofStream ? { allowHalfOpen } : {});
        const messages = framed(wire.stream, ofStream ? {} : { allowHalfOpen });
        wire.receive(frames('a', 'b'));
        wire.receiveEnd();
        await turns(5);
        expect(messages.writable).to.equal(true);
        messages.on('data', (message) => messages.write(message));
        await once(messages, 'close');
        expect(wire.sent).to.deep.equal(frames('a', 'b'));
      });
    }

    it("the option overrides the stream's own allowHalfOpen", async () => {
      const wire = new Wire('node', { allowHalfOpen: false });
      const messages = framed(wire.stream, { allowHalfOpen: true });
      wire.receiveEnd();
      messages.resume();
      await once(messages, 'end');
      await turns(5);
      expect(messages.writable).to.equal(true);
    });

    it('waits for a loop that answers slowly, the last message, too', async () => {
      const wire = new Wire('node', { allowHalfOpen: false });
      const messages = framed(wire.stream);
      wire.receive(frames('a', 'b', 'c'));
      wire.receiveEnd();
      for await (const message of messages) {
        await turns(5);
        messages.write(message);
      }
      await once(messages, 'close');
      expect(wire.sent).to.deep.equal(frames('a', 'b', 'c'));
    });

    it('waits for a loop of iterator() as for one of the stream itself', async () => {
      for (const destroyOnReturn of [true, false]) {
        const wire = new Wire('node', { allowHalfOpen: false });
        const messages = framed(wire.stream);
        wire.receive(frames('a', 'b'));
        wire.receiveEnd();
        for await (const message of messages.iterator({ destroyOnReturn })) {
          await turns(5);
          messages.write(message);
        }
        await once(messages, 'close');
        expect(wire.sent).to.deep.equal(frames('a', 'b'));
      }
    });

    it('leaves the writable side open behind a loop, also one of iterator()', async () => {
      for (const loop of [(one: Framed) => one, (one: Framed) => one.iterator()]) {
        const { wire, messages } = framedWire();
        wire.receive(frames('a'));
        wire.receiveEnd();
        for await (const _message of loop(messages));
        await turns(3);
        expect([messages.writable, messages.destroyed]).to.deep.equal([true, false]);
        messages.end('late');
        await once(messages, 'close');
        expect(wire.sent).to.deep.equal(frames('late'));
      }
    });

    it('is not destroyed by a loop that is left with destroyOnReturn: false', async () => {
      const { wire, messages } = framedWire();
      wire.receive(frames('a', 'b'));
      for await (const message of messages.iterator({ destroyOnReturn: false })) {
        expect(String(message)).to.equal('a');
        break;
      }
      expect(messages.destroyed).to.equal(false);
      wire.receiveEnd();
      expect(await textsOf(messages)).to.deep.equal(['b']);
    });

    it('waits for a stream that is piped into it', async () => {
      const wire = new Wire('node', { allowHalfOpen: false });
      const messages = framed(wire.stream);
      wire.receive(frames('a', 'b'));
      wire.receiveEnd();
      const slowly = async function* (source: AsyncIterable<Buffer>) {
        for await (const message of source) {
          await turns(5);
          yield message;
        }
        await turns(5);
        yield 'bye';
      };
      await pipeline(messages, slowly, messages);
      expect(wire.sent).to.deep.equal(frames('a', 'b', 'bye'));
    });
  });

  describe('half open: the end of the input without allowHalfOpen', () => {
    /** All messages are read, and somebody may still write. */
    async function readToItsEnd(prepare: (messages: Framed) => void) {
      const { wire, messages } = framedWire({ allowHalfOpen: false });
      prepare(messages);
      wire.receiveEnd();
      messages.resume();
      await once(messages, 'end');
      await turns(5);
      expect(messages.writable).to.equal(true);
      return messages;
    }

    it("waits until the last listener of 'drain' has gone", async () => {
      const [first, second] = [() => {}, () => {}];
      const messages = await readToItsEnd((one) => one.on('drain', first).on('drain', second));
      messages.off('drain', first);
      await turns(5);
      expect(messages.writable).to.equal(true);
      messages.off('drain', second);
      await once(messages, 'close');
      expect(messages.writableFinished).to.equal(true);
    });

    it('waits until a stream that was piped into it is unpiped', async () => {
      const source = new PassThrough({ objectMode: true });
      const messages = await readToItsEnd((one) => source.pipe(one));
      source.unpipe(messages);
      await once(messages, 'close');
      expect(messages.writableFinished).to.equal(true);
    });
  });

  it('closes when the last message is read of a stream that has ended and closed', async () => {
    const { wire, messages } = framedWire();
    wire.receive(frames('a'));
    wire.receiveEnd();
    await turns(2);
    wire.stream.destroy();
    await turns(2);
    const isClosed = once(messages, 'close');
    expect(await textsOf(messages)).to.deep.equal(['a']);
    await isClosed;
  });

  describe('an error of the stream', () => {
    it('destroys both, with that error, as soon as all messages before it are read', async () => {
      for (const readableHighWaterMark of [undefined, 1]) {
        const { wire, messages } = framedWire({ readableHighWaterMark });
        const error = reset();
        wire.receive(frames('a', 'b'));
        await turns(2);
        wire.stream.destroy(error);
        await turns(3);
        expect(messages.destroyed).to.equal(false);
        expect(await outcomeOf(messages)).to.deep.equal({ items: [Buffer.from('a'), Buffer.from('b')], error });
        expect(messages.errored).to.equal(error);
      }
    });

    it('waits for messages that came while a listener ran', async () => {
      const { wire, messages } = framedWire({ readableHighWaterMark: 1 });
      const error = reset();
      const got: string[] = [];
      messages.on('data', (message) => {
        if (got.push(String(message)) > 1) return;
        messages.pause();
        wire.receive(frames('c'));
        wire.stream.destroy(error);
      });
      await turns(1);
      wire.receive(frames('a', 'b'));
      await turns(2);
      setImmediate(() => messages.resume());
      expect((await once(messages, 'error'))[0]).to.equal(error);
      expect(got).to.deep.equal(['a', 'b', 'c']);
    });

    it('behind its end shows, too, with a write in hand or without', async () => {
      for (const hasWrite of [true, false]) {
        for (const error of [reset(), undefined]) {
          const { wire, messages } = framedWire({}, new Wire('node', { slow: true }));
          wire.receive(frames('a'));
          wire.receiveEnd();
          expect(await textsOf(messages)).to.deep.equal(['a']);
          const events: unknown[] = [];
          for (const event of ['error', 'close']) messages.on(event, (of) => events.push(of?.code ?? event));
          const called: unknown[] = [];
          if (hasWrite) messages.write('never sent', (failure) => called.push(codeOf(failure)));
          await turns(1);
          wire.stream.destroy(error);
          await turns(3);
          const code = error?.code ?? (hasWrite ? 'ERR_STREAM_PREMATURE_CLOSE' : undefined);
          expect(events).to.deep.equal(code === undefined ? ['close'] : [code, 'close']);
          expect(called).to.deep.equal(hasWrite ? [code] : []);
        }
      }
    });

    it('behind its end waits for messages that nobody has begun to read', async () => {
      const { wire, messages } = framedWire();
      const errors: unknown[] = [];
      messages.on('error', (failure) => errors.push(failure));
      wire.receive(frames('a', 'b'));
      wire.receiveEnd();
      await turns(2);
      const error = reset();
      wire.stream.destroy(error);
      await turns(2);
      expect(errors).to.deep.equal([]);
      expect(await textsOf(messages)).to.deep.equal(['a', 'b']);
      await turns(2);
      expect(errors).to.deep.equal([error]);
    });

    it('that was destroyed fails end(), whose callback is called', async () => {
      const { wire, messages } = framedWire();
      messages.on('error', () => {});
      wire.receive(frames('never read'));
      await turns(1);
      wire.stream.destroy();
      await turns(2);
      const ended = await new Promise((resolve) => messages.end(resolve as () => void));
      expect(ended).to.include({ code: 'ERR_STREAM_PREMATURE_CLOSE', message: 'Premature close' });
    });

    it('that is destroyed while it ends fails end(), too', async () => {
      const { wire, messages } = framedWire();
      wire.stream._final = () => {};
      wire.receiveEnd();
      expect(await textsOf(messages)).to.deep.equal([]);
      const ended = new Promise((resolve) => messages.end(resolve as () => void));
      await turns(2);
      wire.stream.destroy();
      expect(await ended).to.have.property('code', 'ERR_STREAM_PREMATURE_CLOSE');
      expect(messages.destroyed).to.equal(true);
    });

    it('of the writable stream of a pair waits for the end of the readable one, then destroys both', async () => {
      for (const when of ['before', 'after'] as const) {
        const pair = { readable: new PassThrough(), writable: new PassThrough() };
        const messages = framed(pair);
        const errors: unknown[] = [];
        messages.on('error', (error) => errors.push(error));
        const seen: string[] = [];
        if (when === 'before') {
          messages.on('data', (message) => seen.push(String(message)));
          pair.readable.write(frames('a'));
        }
        await turns(2);
        const error = reset();
        pair.writable.destroy(error);
        await turns(2);
        pair.readable.write(frames('b'));
        await turns(2);
        if (when === 'after') messages.on('data', (message) => seen.push(String(message)));
        expect([errors, messages.destroyed, pair.readable.destroyed]).to.deep.equal([[], false, false]);
        const written = new Promise((resolve) => messages.write('too late', resolve));
        expect(await written).to.equal(error);
        pair.readable.end(frames('c'));
        await turns(4);
        expect(seen).to.deep.equal(when === 'before' ? ['a', 'b', 'c'] : ['b', 'c']);
        expect(errors).to.deep.equal([error]);
        expect([messages.errored, messages.destroyed, pair.readable.destroyed]).to.deep.equal([error, true, true]);
      }
    });

    it("of either stream of a pair shows though no 'close' follows", async () => {
      for (const side of ['readable', 'writable'] as const) {
        const [readable, writable] = [new PassThrough({ emitClose: false }), new PassThrough({ emitClose: false })];
        const messages = framed({ readable, writable });
        const outcome = outcomeOf(messages);
        const error = reset();
        (side === 'readable' ? readable : writable).destroy(error);
        await turns(2);
        if (side === 'writable') readable.end(frames('a'));
        expect(await outcome).to.deep.equal({ items: side === 'writable' ? [Buffer.from('a')] : [], error });
      }
    });

    it('of the readable stream of a pair waits for pending writes, then destroys both', async () => {
      const wire = new Wire('node', { slow: true });
      const pair = { readable: new PassThrough(), writable: wire.stream };
      const messages = framed(pair);
      const errors: unknown[] = [];
      const called: unknown[] = [];
      messages.on('error', (error) => errors.push(error)).resume();
      messages.write('first', (error) => called.push(error ?? 'first'));
      await turns(1);
      messages.write('second', (error) => called.push(error ?? 'second'));
      await turns(1);
      const error = reset();
      pair.readable.destroy(error);
      await turns(3);
      expect([errors, called, messages.destroyed]).to.deep.equal([[], [], false]);
      wire.step();
      await turns(2);
      expect([errors, called]).to.deep.equal([[], ['first']]);
      wire.open();
      await turns(3);
      expect([errors, called]).to.deep.equal([[error], ['first', 'second']]);
      expect(wire.sent).to.deep.equal(frames('first', 'second'));
      expect([messages.errored, wire.stream.destroyed]).to.deep.equal([error, true]);
    });

    it('of the readable stream of a pair destroys both at once where nothing is pending', async () => {
      const pair = { readable: new PassThrough(), writable: new PassThrough() };
      const messages = framed(pair);
      const error = reset();
      pair.readable.destroy(error);
      expect((await once(messages, 'error'))[0]).to.equal(error);
      expect([pair.readable.destroyed, pair.writable.destroyed]).to.deep.equal([true, true]);
    });

    it('of a write is the first one, though others meet with later ones', async () => {
      const held: ((error: Error) => void)[] = [];
      const pair = { readable: new PassThrough(), writable: new PassThrough() };
      pair.writable.write = (_chunk: unknown, callback: unknown) => held.push(callback as never) > 0;
      const messages = framed(pair);
      pair.readable.write(frames('a', 'b'));
      await turns(2);
      expect(String(messages.read())).to.equal('a');
      const called: unknown[] = [];
      messages.cork();
      for (const message of ['first', 'second']) {
        messages.write(message, (error) => called.push(error));
        await turns(1);
      }
      messages.uncork();
      const error = reset();
      held[0]!(error);
      held[1]!(reset());
      messages.write('third', (failure) => called.push(failure));
      await turns(3);
      expect(called.map((failure) => failure === error)).to.deep.equal([true, true, true]);
      const shown = once(messages, 'error');
      expect(String(messages.read())).to.equal('b');
      expect((await shown)[0]).to.equal(error);
    });

    it('of the readable stream of a pair shows, although pending writes then fail as well', async () => {
      const wire = new Wire('node', { slow: true });
      const pair = { readable: new PassThrough(), writable: wire.stream };
      const messages = framed(pair);
      const called: unknown[] = [];
      messages.resume().write('a', (error) => called.push(error));
      messages.write({ length: 1, body: new PassThrough() }, (error) => called.push(error));
      await turns(1);
      const [first, second] = [new Error('of the readable'), new Error('of the writable')];
      pair.readable.destroy(first);
      await turns(2);
      wire.step(second);
      expect((await once(messages, 'error'))[0]).to.equal(first);
      expect(called).to.deep.equal([second, second]);
    });

    it('of a pair is not held up by a writer that goes on though its writes fail', async () => {
      for (const fails of ['the readable', 'a message']) {
        const wire = new Wire('node', { slow: true });
        const pair = { readable: new PassThrough(), writable: wire.stream };
        const messages = framed(pair, { maxPayloadLength: 3 });
        let writes = 0;
        const write = (error?: Error | null) => {
          if (error && ++writes < 1000 && !messages.destroyed) messages.write('a', write);
        };
        pair.readable.write(frames('a'));
        await once(messages, 'data');
        const shown = once(messages, 'error');
        if (fails === 'the readable') {
          messages.write('a', write);
          await turns(1);
          pair.readable.destroy(reset());
          await turns(2);
          wire.step(reset());
        } else {
          messages.write('long', write);
          for (let i = 0; i < 3; i++) messages.write({ length: 1, body: ['a'] }, write);
        }
        await shown;
        expect(writes).to.be.lessThan(1000);
      }
    });

    it('does not wait for the pending writes of a pair where it is a frame that is wrong', async () => {
      const wire = new Wire('node', { slow: true });
      const pair = { readable: new PassThrough(), writable: wire.stream };
      const messages = framed(pair);
      messages.write('never done');
      await turns(1);
      pair.readable.write(Buffer.alloc(4, 0xff));
      expect((await once(messages.resume(), 'error'))[0]).to.have.property('code', 'ERR_FRAME_TOO_LONG');
      expect([pair.readable.destroyed, wire.stream.destroyed]).to.deep.equal([true, true]);
    });

    it('that a write meets does not overtake messages that came: answers to them fail, one by one', async () => {
      const { wire, messages } = framedWire();
      const error = reset();
      wire.receive(frames('a', 'b', 'c'));
      await turns(2);
      const got: string[] = [];
      const failed: unknown[] = [];
      const reading = (async () => {
        for await (const message of messages) {
          got.push(String(message));
          if (got.length === 1) wire.stream.destroy(error);
          await turns(2);
          // Who waits for its callback does not wait for ever.
          if (got.length < 3) failed.push(await new Promise((resolve) => messages.write('answer', resolve)));
        }
      })();
      expect(await reading.catch((caught) => caught)).to.equal(error);
      expect(got).to.deep.equal(['a', 'b', 'c']);
      expect(failed).to.deep.equal([error, error]);
    });

    it("that a write meets: 'drain' still comes to a reader that waits for it, and a body is destroyed", async () => {
      const { wire, messages } = framedWire({ writableHighWaterMark: 10 }, new Wire('node', { slow: true }));
      wire.receive(frames('a', 'b'));
      await turns(2);
      expect(String(messages.read())).to.equal('a');
      expect(messages.write('more than ten bytes')).to.equal(false);
      await turns(2);
      const error = reset();
      setImmediate(() => wire.step(error));
      await once(messages, 'drain');
      const body = new PassThrough();
      expect(messages.write({ length: 9, body })).to.equal(false);
      await once(messages, 'drain');
      expect(body.destroyed).to.equal(true);
      expect(messages.destroyed).to.equal(false);
      const failure = once(messages, 'error');
      expect(String(messages.read())).to.equal('b');
      expect((await failure)[0]).to.equal(error);
    });

    it('that a write meets shows at once where nobody reads', async () => {
      for (const fail of [
        (wire: Wire, error: Error) => wire.step(error),
        (wire: Wire, error: Error) => wire.stream.destroy(error),
      ]) {
        const { wire, messages } = framedWire({}, new Wire('node', { slow: true }));
        wire.receive(frames('never read'));
        messages.write('a');
        await turns(2);
        const error = reset();
        setImmediate(() => fail(wire, error));
        expect((await once(messages, 'error'))[0]).to.equal(error);
      }
    });

    it('shows where it was there before, and so does a premature end', async () => {
      const failed = new Wire();
      failed.stream.on('error', () => {}).destroy(reset());
      const destroyed = new Wire();
      destroyed.stream.destroy();
      for (const [wire, code] of [
        [failed, 'ECONNRESET'],
        [destroyed, 'ERR_STREAM_PREMATURE_CLOSE'],
      ] as const) {
        await turns(2);
        const messages = framed(wire.stream);
        expect((await once(messages, 'error'))[0]).to.have.property('code', code);
      }
    });
  });

  describe('destroy()', () => {
    it('destroys the stream, with the error if there is one', async () => {
      for (const error of [undefined, new Error('mine')]) {
        const { wire, messages } = framedWire();
        messages.on('error', () => {});
        messages.destroy(error);
        await once(messages, 'close').catch(() => {});
        expect(wire.stream.destroyed).to.equal(true);
        expect(wire.stream.errored).to.equal(error ?? null);
      }
    });

    it('without an error first hands written messages to the stream, up to the first body', async () => {
      for (const slow of [true, false]) {
        const { wire, messages } = framedWire({}, new Wire('node', { slow }));
        const given = writtenTo(wire);
        messages.write('a');
        await turns(1);
        messages.write('b');
        messages.write('c'.repeat(20_000));
        await turns(1);
        messages.write('d');
        messages.write({ length: 1, body: new PassThrough() });
        messages.write('lost');
        messages.destroy();
        expect(Buffer.concat(given)).to.deep.equal(frames('a', 'b', 'c'.repeat(20_000), 'd'));
        expect([messages.destroyed, wire.stream.destroyed]).to.deep.equal([true, true]);
      }
    });

    it('without an error hands on messages of the tick behind those that wait for a slow stream', async () => {
      const { wire, messages } = framedWire({}, new Wire('node', { slow: true }));
      const given = writtenTo(wire);
      for (const message of ['a', 'b']) {
        messages.write(message);
        await turns(1);
      }
      messages.write('c');
      messages.destroy();
      expect(Buffer.concat(given)).to.deep.equal(frames('a', 'b', 'c'));
    });

    it('with an error drops the messages that were written in the tick', async () => {
      const { wire, messages } = framedWire();
      messages.on('error', () => {});
      messages.write('a');
      messages.destroy(new Error('mine'));
      await turns(2);
      expect(wire.writes).to.deep.equal([]);
    });

    it('delivers messages that were written in the same tick over a socket, as leaving the loop does', async () => {
      for (const how of ['destroy', 'loop'] as const) {
        const { client, server } = await sockets();
        const [near, far] = [framed(client), framed(server)];
        // Bytes that nobody has read make a closed socket reset the connection.
        if (how === 'loop') far.write('hello');
        if (how === 'destroy') {
          near.write('bye');
          near.destroy();
        } else {
          for await (const _message of near) {
            near.write('bye');
            break;
          }
        }
        expect(await textsOf(far)).to.deep.equal(['bye']);
      }
    });

    it('with an error resets a TCP connection, without one ends it', async () => {
      for (const error of [new Error('mine'), undefined]) {
        const { client, server } = await sockets();
        const [near, far] = [framed(client), framed(server)];
        far.write('hello');
        await once(
          near.on('error', () => {}),
          'data',
        );
        near.destroy(error);
        const outcome = await outcomeOf(far);
        expect(outcome.items).to.deep.equal([]);
        if (error) expect(outcome.error).to.have.property('code', 'ECONNRESET');
        else expect(outcome.error).to.equal(undefined);
        far.destroy();
      }
    });

    it('with an error destroys a socket that is still connecting, with that error: there is nothing to reset', async () => {
      const { stream } = new Wire();
      let resets = 0;
      Object.assign(stream, { connecting: true, resetAndDestroy: () => resets++ });
      const error = new Error('mine');
      const messages = framed(stream);
      messages.on('error', () => {}).destroy(error);
      expect([resets, stream.errored]).to.deep.equal([0, error]);
    });

    it('with an error resets a socket that is shut down just now when that is over; one that still has to send, at once', async () => {
      for (const stuck of [false, true]) {
        const { stream } = new Wire('node', { slow: stuck });
        let resets = 0;
        let finish = () => {};
        stream._final = (callback) => {
          finish = callback;
        };
        Object.assign(stream, { resetAndDestroy: () => resets++ });
        const messages = framed(stream).on('error', () => {});
        messages.write('a');
        messages.end();
        await turns(2);
        if (stuck) stream.end();
        messages.destroy(new Error('mine'));
        await turns(2);
        expect(resets).to.equal(stuck ? 1 : 0);
        finish();
        await turns(2);
        expect(resets).to.equal(1);
      }
    });

    it('with an error destroys a stream that is no socket at once, although it is ending', async () => {
      const { wire, messages } = framedWire();
      wire.stream._final = () => {};
      messages.on('error', () => {}).end();
      await turns(2);
      const error = new Error('mine');
      messages.destroy(error);
      expect(wire.stream.errored).to.equal(error);
    });

    it('with an error closes a socket that is ending', async () => {
      const { client, server } = await sockets();
      server.on('error', () => {});
      const messages = framed(client);
      messages.on('error', () => {}).end();
      await new Promise(process.nextTick);
      messages.destroy(new Error('mine'));
      await once(client, 'close');
      server.destroy();
    });

    it('closes a stream of which one side is over', async () => {
      for (const side of ['readable', 'writable'] as const) {
        const { wire, messages } = framedWire();
        if (side === 'readable') wire.receiveEnd();
        await (side === 'readable' ? textsOf(messages) : once(messages.end(), 'finish'));
        messages.destroy();
        expect(wire.stream.destroyed).to.equal(true);
      }
    });

    it('leaves a stream without an error that somebody else has ended', async () => {
      const { wire, messages } = framedWire();
      messages.write('too late');
      wire.stream.end();
      messages.destroy();
      await turns(2);
      expect([wire.stream.errored, wire.sent.length]).to.deep.equal([null, 0]);
    });

    it('hands out nothing more, and destroys the body that is read', async () => {
      const { wire, messages } = framedWire();
      const got: string[] = [];
      messages.on('data', (message) => {
        got.push(String(message));
        wire.receive(frames('c'));
        messages.destroy();
      });
      await turns(1);
      wire.receive(frames('a', 'b'));
      await turns(2);
      expect(got).to.deep.equal(['a']);

      const other = new Wire();
      const bodies = framed(other.stream, { stream: true });
      other.receive(frames('hello').subarray(0, 6));
      const [{ body }] = await once(bodies, 'data');
      const error = new Error('mine');
      bodies.on('error', () => {}).destroy(error);
      expect([body.destroyed, body.errored]).to.deep.equal([true, error]);
    });

    it('leaves streams alone that can not be destroyed', async () => {
      for (const error of [new Error('mine'), undefined]) {
        const pair = { readable: new PassThrough(), writable: new PassThrough() };
        for (const stream of [pair.readable, pair.writable]) stream.destroy = undefined as never;
        const messages = framed(pair);
        const errors: unknown[] = [];
        messages.on('error', (failure) => errors.push(failure)).destroy(error);
        await turns(2);
        expect([messages.closed, errors]).to.deep.equal([true, error ? [error] : []]);
      }
    });

    it('hands nothing to the stream a second time', async () => {
      const { wire, messages } = framedWire({}, new Wire('node', { slow: true }));
      const given = writtenTo(wire);
      messages.cork();
      for (const message of ['a', 'b']) {
        messages.write(message);
        await turns(1);
      }
      messages.uncork();
      messages.destroy();
      expect(Buffer.concat(given)).to.deep.equal(frames('a', 'b'));
    });

    it('is called by leaving the loop', async () => {
      const { wire, messages } = framedWire();
      wire.receive(frames('a', 'b'));
      for await (const message of messages) {
        expect(String(message)).to.equal('a');
        break;
      }
      expect(wire.stream.destroyed).to.equal(true);
    });

    it('is called by a signal, also by one that was aborted before', async () => {
      for (const early of [true, false]) {
        const abort = new AbortController();
        if (early) abort.abort();
        const { wire, messages } = framedWire({ signal: abort.signal });
        if (!early) setImmediate(() => abort.abort());
        expect((await once(messages, 'error'))[0]).to.include({ name: 'AbortError', code: 'ABORT_ERR' });
        expect(wire.stream.destroyed).to.equal(true);
      }
    });

    for (const isConnected of [true, false]) {
      it(`calls back as a bare socket does that is ${isConnected ? 'connected' : 'connecting'}`, async () => {
        const outcomes = await Promise.all(
          [(socket: Socket) => socket, (socket: Socket) => framed(socket)].map(async (wrap) => {
            const listener = createServer((socket) => socket.resume().on('error', () => {})).listen(0, '127.0.0.1');
            await once(listener, 'listening');
            const socket = connect((listener.address() as AddressInfo).port, '127.0.0.1');
            if (isConnected) await once(socket, 'connect');
            const stream: Socket | Framed = wrap(socket);
            const called: unknown[] = [];
            for (const message of ['a', 'b']) stream.write(message, (error) => called.push(codeOf(error)));
            stream.destroy();
            await once(socket, 'close');
            await turns(1);
            listener.close();
            return called;
          }),
        );
        expect(outcomes[1]).to.deep.equal(outcomes[0]);
        expect(outcomes[0]).to.deep.equal(
          Array(2).fill(isConnected ? undefined : 'ERR_SOCKET_CLOSED_BEFORE_CONNECTION'),
        );
      });
    }

    it('calls back in order the writes that the stream finishes later, and then those that it did not get', async () => {
      const held: ((error?: Error) => void)[] = [];
      const writable = new PassThrough();
      writable.write = (_chunk: unknown, callback: unknown) => held.push(callback as () => void) > 0;
      const messages = framed({ readable: new PassThrough(), writable });
      const called: unknown[] = [];
      const write = (message: Message) => messages.write(message, (error) => called.push(codeOf(error)));
      write('in hand');
      await turns(1);
      write('of the tick');
      write({ length: 1, body: new PassThrough() });
      write('behind a body');
      // Before its 'close', which is the last that is heard of it.
      messages.destroy();
      held[1]!(Object.assign(new Error('mine'), { code: 'EMINE' }));
      await turns(0);
      expect(called).to.deep.equal([]);
      held[0]!();
      await turns(1);
      expect(called).to.deep.equal([undefined, 'EMINE', 'ERR_STREAM_DESTROYED', 'ERR_STREAM_DESTROYED']);
    });

    it('calls the callbacks of writes that the stream never finishes', async () => {
      const { messages } = framedWire({}, new Wire('node', { slow: true }));
      const called: unknown[] = [];
      for (const message of ['in hand', 'waiting', Buffer.alloc(20_000)]) {
        messages.write(message, (error) => called.push(codeOf(error)));
        await turns(1);
      }
      messages.destroy();
      await turns(2);
      expect(called).to.deep.equal(Array(3).fill('ERR_STREAM_DESTROYED'));
    });
  });

  it('hands out the messages behind one whose listener throws', async () => {
    const { wire, messages } = framedWire();
    const got: string[] = [];
    messages.on('data', (message) => {
      if (got.push(String(message)) === 1) throw new Error('mine');
    });
    await turns(1);
    expect(thrownBy(() => wire.receive(frames('a', 'b', 'c')))).to.have.property('message', 'mine');
    await turns(1);
    expect(got).to.deep.equal(['a', 'b', 'c']);
  });

  it('calls back the writes behind one whose callback throws', async () => {
    const { wire, messages } = framedWire({}, new Wire('node', { slow: true }));
    const called: string[] = [];
    messages.write('a', () => {
      throw new Error('mine');
    });
    messages.write('b', () => called.push('b'));
    await turns(1);
    expect(thrownBy(() => wire.step())).to.have.property('message', 'mine');
    await turns(1);
    expect(called).to.deep.equal(['b']);
  });

  it('calls back no write before it is sent, over a stream that is done with later ones first', async () => {
    const held: (() => void)[] = [];
    const writable = new PassThrough();
    writable.write = (_chunk: unknown, callback: unknown) => held.push(callback as () => void) > 0;
    const messages = framed({ readable: new PassThrough(), writable });
    const called: string[] = [];
    messages.cork();
    for (const message of ['a', 'b', 'c']) {
      messages.write(message, () => called.push(message));
      await turns(1);
    }
    messages.uncork();
    held[1]!();
    await turns(1);
    expect(called).to.deep.equal([]);
    held[0]!();
    await turns(1);
    expect(called).to.deep.equal(['a', 'b']);
    held[2]!();
    await turns(1);
    expect(called).to.deep.equal(['a', 'b', 'c']);
  });

  it('pauses the stream at the chunk that fills it, and resumes it when that is read', async () => {
    const { wire, messages } = framedWire({ readableHighWaterMark: 1 });
    wire.receive(frames('a', 'b', 'c'));
    await turns(2);
    expect([messages.readableLength, wire.stream.isPaused()]).to.deep.equal([1, true]);
    for (const text of ['a', 'b', 'c']) expect(String(messages.read())).to.equal(text);
    await turns(2);
    expect(wire.stream.isPaused()).to.equal(false);
  });

  it('takes chunks in order that a stream sends while a listener writes to it', async () => {
    const { stream } = new Wire();
    const { _write } = stream;
    stream._write = (chunk, encoding, callback) => {
      // At once, as a stream may that answers by itself.
      stream.push(chunk);
      _write.call(stream, chunk, encoding, callback);
    };
    (stream as { _writev?: unknown })._writev = null;
    const messages = framed(stream);
    const got: number[] = [];
    messages.on('data', (message) => {
      got.push(message.length);
      if (got.length <= 2) messages.write(Buffer.alloc(20_000));
    });
    await turns(2);
    stream.push(frames('a', 'bb', 'ccc'));
    await turns(10);
    expect(got).to.deep.equal([1, 2, 3, 20_000, 20_000]);
  });

  describe('once more for the same stream', () => {
    it('gives the same Duplex', () => {
      const [readable, writable] = [new PassThrough(), new PassThrough()];
      expect(framed(readable)).to.equal(framed(readable));
      expect(framed({ readable: writable, writable })).to.equal(framed(writable));
      const pair = { readable: new PassThrough(), writable: new PassThrough() };
      expect(framed(pair)).to.equal(framed({ ...pair }));
      const stream = new PassThrough();
      expect(framed(stream, { ...json, copy: true })).to.equal(
        framed(stream, { batch: undefined as never, copy: true, ...json }),
      );
    });

    it('is refused with other options, or with another writable side', () => {
      const [readable, writable] = [new PassThrough(), new PassThrough()];
      framed({ readable, writable }, { lengthField: 'varint' });
      const options = "the options are the same: the first call had lengthField: 'varint'";
      const others: [object, object | undefined, string][] = [
        [{ readable, writable }, undefined, options],
        [{ readable, writable }, { lengthField: 'uint8' }, options],
        [
          { readable, writable },
          { lengthField: 'varint', copy: true },
          'the options are the same: the first call had copy: undefined',
        ],
        [{ readable, writable: new PassThrough() }, { lengthField: 'varint' }, 'the pair is the same'],
        [{ readable: new PassThrough(), writable }, { lengthField: 'varint' }, 'the pair is the same'],
        [readable, { lengthField: 'varint' }, 'the pair is the same'],
      ];
      for (const [stream, options, allowed] of others) {
        const error = thrownBy(() => framed(stream as PassThrough, options));
        expect(error).to.be.instanceOf(TypeError);
        expect(error.code).to.equal('ERR_INVALID_ARG_VALUE');
        expect(error.message).to.contain(
          `The argument 'stream' must be a stream that is not framed yet, unless ${allowed}. Received an instance`,
        );
      }
      const wrong = thrownBy(() => framed({ readable, writable }, null as never));
      expect(wrong).to.have.property('code', 'ERR_INVALID_ARG_TYPE');
    });

    it('compares bytes by their content, functions and signals by their identity', () => {
      const stream = new PassThrough();
      const header = () => Buffer.from([1, 2, 3, 4, 5]);
      const format = { lengthFieldOffset: 1 };
      const messages = framed(stream, { ...format, header: header() });
      expect(framed(stream, { ...format, header: header() })).to.equal(messages);
      const other = thrownBy(() => framed(stream, { ...format, header: Buffer.alloc(5) }));
      expect(other.message).to.contain('the first call had header: <Buffer 01 02 03 04 05>.');
      expect(thrownBy(() => framed(stream, format))).to.have.property('message', other.message);
      const decode = () => 1;
      const second = new PassThrough();
      expect(framed(second, { decode })).to.equal(framed(second, { decode }));
      expect(thrownBy(() => framed(second, { decode: () => 1 })).message).to.contain('decode: [Function: decode].');
      const third = new PassThrough();
      framed(third, { signal: new AbortController().signal });
      expect(thrownBy(() => framed(third, { signal: new AbortController().signal }))).to.have.property(
        'code',
        'ERR_INVALID_ARG_VALUE',
      );
    });
  });

  it('refuses wrong arguments with the errors of Node', () => {
    const stream = new PassThrough();
    const wrong: [unknown, unknown, string][] = [
      [undefined, {}, 'ERR_INVALID_ARG_TYPE'],
      [null, {}, 'ERR_INVALID_ARG_TYPE'],
      ['socket', {}, 'ERR_INVALID_ARG_TYPE'],
      [{}, {}, 'ERR_INVALID_ARG_TYPE'],
      [{ readable: stream }, {}, 'ERR_INVALID_ARG_TYPE'],
      [{ readable: {}, writable: stream }, {}, 'ERR_INVALID_ARG_TYPE'],
      [{ readable: devNull(), writable: stream }, {}, 'ERR_INVALID_ARG_TYPE'],
      [new readableStream.Readable(), {}, 'ERR_INVALID_ARG_TYPE'],
      [stream, null, 'ERR_INVALID_ARG_TYPE'],
      [stream, { batch: 1 }, 'ERR_INVALID_ARG_TYPE'],
      [stream, { decode: 1 }, 'ERR_INVALID_ARG_TYPE'],
      [stream, { encode: 1 }, 'ERR_INVALID_ARG_TYPE'],
      [stream, { signal: 1 }, 'ERR_INVALID_ARG_TYPE'],
      [stream, { lengthField: 'uint7' }, 'ERR_INVALID_ARG_VALUE'],
      [stream, { oversize: 'no' }, 'ERR_INVALID_ARG_VALUE'],
      [stream, { maxPayloadLength: -1 }, 'ERR_OUT_OF_RANGE'],
    ];
    for (const [one, options, code] of wrong) {
      expect(thrownBy(() => framed(one as PassThrough, options as object))).to.have.property('code', code);
    }
    const { message } = thrownBy(() => framed({} as never));
    expect(message).to.equal(
      'The "stream" argument must be a Duplex, or an object with a readable and a writable stream. Received an instance of Object',
    );
    // None of them is known, or listened to.
    expect(stream.eventNames().filter((name) => name === 'data')).to.deep.equal([]);
    expect(framed(stream, { lengthField: 'uint8' })).to.be.instanceOf(readableStream.Duplex);
  });

  describe('composes', () => {
    it('to an echo server', async () => {
      for (const transform of [
        inCapitals,
        new Transform({
          objectMode: true,
          transform: (message, _encoding, callback) => callback(null, String(message).toUpperCase()),
        }),
      ]) {
        const { client, server } = await sockets();
        const served = pipeline(framed(server), transform as typeof inCapitals, framed(server));
        const messages = framed(client);
        messages.write('hello');
        messages.end('world');
        expect(await textsOf(messages)).to.deep.equal(['HELLO', 'WORLD']);
        await served;
      }
    });

    it('to a proxy', async () => {
      const near = await sockets();
      const far = await sockets();
      const [a, b] = [near.server, far.client];
      const proxied = pipeline(framed(a), framed(b), framed(a));
      const served = pipeline(framed(far.server), inCapitals, framed(far.server));
      const messages = framed(near.client);
      messages.write('hello');
      messages.end('world');
      expect(await textsOf(messages)).to.deep.equal(['HELLO', 'WORLD']);
      await Promise.all([proxied, served]);
    });

    it('and an error on the way destroys all', async () => {
      const { client, server } = await sockets();
      const error = new Error('mine');
      const served = pipeline(
        framed(server),
        // biome-ignore lint/correctness/useYield: it fails before
        async function* (messages: AsyncIterable<Buffer>) {
          for await (const _message of messages) throw error;
        },
        framed(server),
      ).catch((caught) => caught);
      const messages = framed(client);
      messages.write('hello');
      messages.resume();
      await new Promise((resolve) => messages.on('error', () => {}).on('close', resolve));
      expect(await served).to.equal(error);
      expect([server.destroyed, client.destroyed]).to.deep.equal([true, true]);
    });
  });

  describe("half open: a server's socket whose client ends", () => {
    /** All ways to read that leave nobody who is still to write. */
    const reading: Record<string, (messages: Framed) => unknown> = {
      'resume()': (messages) => messages.resume(),
      "on('data')": (messages) => messages.on('data', () => {}),
      "on('readable')": (messages) =>
        messages.on('readable', () => {
          while (messages.read() !== null);
        }),
      'pipe()': (messages) => messages.pipe(devNull()),
      'pipeline() to a Writable': (messages) => pipeline(messages, devNull()),
      'pipeline() to a function': (messages) =>
        pipeline(messages, async (source) => {
          for await (const _message of source);
        }),
      'for await': async (messages) => {
        for await (const _message of messages);
      },
      'iterator()': async (messages) => {
        for await (const _message of messages.iterator());
      },
      'iterator({ destroyOnReturn: false })': async (messages) => {
        for await (const _message of messages.iterator({ destroyOnReturn: false }));
      },
      'toArray()': (messages) => messages.toArray(),
      'forEach()': (messages) => messages.forEach(() => {}),
      'map().forEach()': (messages) => messages.map(String).forEach(() => {}),
      'events.on()': async (messages) => {
        for await (const _args of on(messages, 'data', { close: ['end'] }));
      },
      'finished() before resume()': (messages) => [finished(messages).catch(() => {}), messages.resume()],
      'finished() after resume()': (messages) => [messages.resume(), finished(messages).catch(() => {})],
      "on('finish')": (messages) => messages.on('finish', () => {}).resume(),
      'addAbortSignal()': (messages) => addAbortSignal(new AbortController().signal, messages).resume(),
      'Readable.toWeb()': async (messages) => {
        for await (const _message of Readable.toWeb(messages as unknown as Readable));
      },
    };
    for (const [name, read] of Object.entries(reading)) {
      it(`ends, and the connection closes: ${name}`, async () => {
        const { client, server } = await sockets();
        const messages = framed(server);
        const done = read(messages);
        client.end(frames('a', 'b', 'c'));
        client.resume();
        await Promise.all([once(client, 'close'), messages.closed || once(messages, 'close')]);
        await (Array.isArray(done) ? Promise.all(done) : done);
        expect([messages.errored, server.destroyed, messages.readableEnded, messages.writableFinished]).to.deep.equal([
          null,
          true,
          true,
          true,
        ]);
      });
    }

    const slowly = async function* (source: AsyncIterable<Buffer>) {
      for await (const message of source) {
        await turns(3);
        yield message;
      }
    };
    const answering: Record<string, (messages: Framed) => unknown> = {
      'pipeline(a, a)': (messages) => pipeline(messages, messages),
      'pipeline(a, slowly, a)': (messages) => pipeline(messages, slowly, messages),
      'for await that waits': async (messages) => {
        for await (const message of messages) {
          await turns(3);
          messages.write(message);
        }
      },
      'iterator() that waits': async (messages) => {
        for await (const message of messages.iterator()) {
          await turns(3);
          messages.write(message);
        }
      },
      'a pipe into itself': (messages) => messages.pipe(messages),
      'a pipe through a slow Transform': (messages) =>
        messages
          .pipe(
            new Transform({
              objectMode: true,
              transform: (message, _encoding, callback) => void turns(3).then(() => callback(null, message)),
            }),
          )
          .pipe(messages),
      "a listener of 'data'": (messages) => messages.on('data', (message) => messages.write(message)),
      "a listener of 'end'": (messages) => {
        const all: Buffer[] = [];
        messages.on('data', (message) => all.push(message));
        messages.on('end', () => {
          for (const message of all) messages.write(message);
        });
      },
    };
    for (const [name, answer] of Object.entries(answering)) {
      it(`sends all answers first: ${name}`, async () => {
        const { client, server } = await sockets();
        const messages = framed(server);
        answer(messages);
        const sent = Array.from({ length: 20 }, (_, i) => `message ${i}`);
        const peer = framed(client);
        for (const message of sent) peer.write(message);
        peer.end();
        expect(await textsOf(peer)).to.deep.equal(sent);
        if (!messages.closed) await once(messages, 'close');
        expect(messages.errored).to.equal(null);
      });
    }
  });

  describe('pairs', () => {
    it('a child that answers and exits: all answers arrive, although nobody reads its input', async () => {
      const code = `
        const frame = (text) => { const b = Buffer.alloc(4 + text.length, text); b.fill(0, 0, 4); b[0] = text.length; b.write(text, 4); return b; };
        process.stdout.write(Buffer.concat(Array.from({ length: 20 }, (_, i) => frame('answer ' + i))), () => process.exit(0));`;
      const child = spawn(process.execPath, ['-e', code], { stdio: ['pipe', 'pipe', 'inherit'] });
      const messages = framed({ readable: child.stdout, writable: child.stdin });
      const got: string[] = [];
      const errors: unknown[] = [];
      messages.on('data', (message) => got.push(String(message))).on('error', (error) => errors.push(error));
      const writing = setInterval(() => messages.destroyed || messages.write(Buffer.alloc(100_000)), 5);
      if (!messages.closed) await new Promise((resolve) => messages.on('close', resolve));
      clearInterval(writing);
      expect(got).to.deep.equal(Array.from({ length: 20 }, (_, i) => `answer ${i}`));
      expect(errors.length).to.be.at.most(1);
    });

    it('of gunzip and gzip over a connection lose nothing', async () => {
      const { client, server } = await sockets({ allowHalfOpen: true });
      const [near, far] = [client, server].map((socket) => {
        const [gunzip, gzip] = [createGunzip(), createGzip()];
        gzip.pipe(socket).pipe(gunzip);
        return framed({ readable: gunzip, writable: gzip });
      }) as [Framed, Framed];
      const sent = Array.from({ length: 50 }, (_, i) => `message ${i}`);
      for (const message of sent) near.write(message);
      near.end('last');
      for await (const message of far) far.write(message);
      far.end('bye');
      expect(await textsOf(near)).to.deep.equal([...sent, 'last', 'bye']);
    });
  });

  it("a stream that is destroyed behind 'end' closes it, also with end() after it", async () => {
    for (const ends of [true, false]) {
      const { client, server } = await sockets({ allowHalfOpen: true });
      const messages = framed(server);
      messages.on('error', () => {});
      client.end(frames('a'));
      messages.resume();
      await once(messages, 'end');
      const closed = new Promise((resolve) => messages.on('close', resolve));
      server.destroy();
      if (ends) messages.end();
      await closed;
      client.destroy();
    }
  });

  describe('half open: a server that answers after its client has ended', () => {
    const asked = ['a', 'b', 'c'];
    const connected = async () => {
      const { client, server } = await sockets();
      const near = framed(client);
      for (const message of asked) near.write(message);
      near.end();
      return { near, server };
    };

    it('loses no answer in a loop that awaits them', async () => {
      const { near, server } = await connected();
      const messages = framed(server);
      for await (const message of messages) {
        await turns(3);
        messages.write(message);
      }
      expect(await textsOf(near)).to.deep.equal(asked);
    });

    it("loses no answer of 'data' listeners with allowHalfOpen: true, and ends at end()", async () => {
      const { near, server } = await connected();
      const messages = framed(server, { allowHalfOpen: true });
      let left = asked.length;
      messages.on('data', async (message) => {
        await once(messages, 'end');
        await turns(3);
        messages.write(message);
        if (--left === 0) messages.end();
      });
      expect(await textsOf(near)).to.deep.equal(asked);
    });

    it("of 'data' listeners without it: the callback alone of an answer that is too late has the error", async () => {
      const { near, server } = await connected();
      const messages = framed(server);
      const errors: unknown[] = [];
      messages.on('error', (error) => errors.push(error)).resume();
      near.resume();
      await once(messages, 'close');
      const error = await new Promise((resolve) => messages.write('late', resolve));
      expect(error).to.have.property('code', 'ERR_STREAM_WRITE_AFTER_END');
      await turns(2);
      expect(errors).to.deep.equal([]);
    });
  });

  it('a client that only writes closes, when the server has read all', async () => {
    const { client, server } = await sockets();
    const messages = framed(client);
    messages.write('a');
    messages.end('b');
    expect(await textsOf(framed(server))).to.deep.equal(['a', 'b']);
    if (!messages.closed) await once(messages, 'close');
    expect(client.destroyed).to.equal(true);
  });
});
