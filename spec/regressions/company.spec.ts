import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { Duplex, PassThrough } from 'node:stream';
import { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import fc from 'fast-check';
import { anyMessages, checkAnyCut } from '../../lib/fuzz/index.js';
import {
  encode,
  type Framed,
  framed,
  LengthPrefixDecoder,
  LengthPrefixEncoder,
  type Message,
} from '../../lib/index.js';
import { LengthPrefixEncoderStream } from '../../lib/web/index.js';
import { FrameParser } from '../../lib/wire/index.js';
import { turns } from '../support/frames.js';
import { thrownBy } from '../support/streams.js';

const uint8 = { lengthField: 'uint8' } as const;

describe('regressions: cases that readers of the contract found:', () => {
  it("a server's socket ends when somebody's 'drain' listener goes, however it goes", async () => {
    for (const how of ['once', 'off'] as const) {
      const server = createServer().listen(0);
      const accepted = once(server, 'connection') as Promise<[Socket]>;
      await once(server, 'listening');
      const client = connect((server.address() as { port: number }).port).resume();
      const messages = framed((await accepted)[0], { writableHighWaterMark: 1 });
      const listener = () => {};
      messages.resume();
      if (how === 'once') messages.once('drain', listener);
      else messages.on('drain', listener);
      client.end(encode('hello'));
      await once(messages, 'end');
      await turns(5);
      expect(messages.writableEnded).to.equal(false);
      if (how === 'off') messages.off('drain', listener);
      else messages.write('makes room');
      await once(messages, 'close');
      server.close();
    }
  });

  it('a quiet body is destroyed when the stream fails while it is sent', async () => {
    const [readable, writable] = [new PassThrough(), new PassThrough()];
    const messages = framed({ readable, writable });
    const body = new PassThrough();
    const error = new Error('mine');
    const failed = new Promise((resolve) => messages.write({ length: 10, body }, resolve));
    await turns(3);
    writable.destroy(error);
    expect(await failed).to.equal(error);
    expect([body.destroyed, body.errored]).to.deep.equal([true, error]);
    messages.on('error', () => {}).destroy();
  });

  it("a pair's writable that fails takes no message that waits unread", async () => {
    const [readable, writable] = [new PassThrough(), new PassThrough()];
    const messages = framed({ readable, writable });
    const error = new Error('EPIPE');
    readable.end(encode('hi'));
    await turns(3);
    writable.destroy(error);
    await turns(3);
    const got: string[] = [];
    const reading = (async () => {
      for await (const message of messages) got.push(`${message}`);
    })();
    const shown = once(messages, 'error');
    await reading.catch(() => {});
    expect(got).to.deep.equal(['hi']);
    expect((await shown)[0]).to.equal(error);
  });

  it('a pair whose readable has ended before may still write', async () => {
    const [readable, writable] = [new PassThrough(), new PassThrough()];
    readable.resume().end();
    await once(readable, 'close');
    const messages = framed({ readable, writable });
    messages.resume().end('hi');
    await once(messages, 'close');
    expect(writable.read()).to.deep.equal(encode('hi'));
  });

  it('callbacks come in order, though one of them writes', async () => {
    const messages = framed({ readable: new PassThrough(), writable: new PassThrough().resume() });
    const called: number[] = [];
    messages.write('x', () => {
      called.push(0);
      messages.write('n', () => called.push(4));
    });
    messages.write({ length: 1, body: 'b' }, () => called.push(1));
    messages.write(Buffer.alloc(70_000), () => called.push(2));
    messages.write('w', () => called.push(3));
    await turns(20);
    expect(called).to.deep.equal([0, 1, 2, 3, 4]);
    messages.destroy();
  });

  it('a body is destroyed, whatever is wrong with its write', async () => {
    const late = new LengthPrefixEncoder<Message>({
      encode: (value) => {
        late.end();
        return value;
      },
    });
    const writes: ((body: PassThrough) => void)[] = [
      (body) => new LengthPrefixEncoder().write({ length: 1, body }, 'utf-99'),
      (body) => late.on('error', () => {}).write({ length: 1, body }),
      (body) =>
        new LengthPrefixEncoder().write({
          get length(): number {
            throw new Error('mine');
          },
          body,
        }),
    ];
    for (const write of writes) {
      const body = new PassThrough().on('error', () => {});
      try {
        write(body);
      } catch {}
      // Writable tells what is wrong in the next tick.
      await turns(1);
      expect(body.destroyed).to.equal(true);
    }
  });

  it('a stream that is destroyed with a write in hand has not failed', async () => {
    const encoder = new LengthPrefixEncoder({ readableHighWaterMark: 1 });
    const called = new Promise((resolve) => encoder.write(Buffer.alloc(100_000), resolve));
    encoder.destroy();
    await once(encoder, 'close');
    expect(encoder.errored).to.equal(null);
    expect(await called).to.have.property('code', 'ERR_STREAM_DESTROYED');
  });

  it('a parser that is read in parts gives back nothing, and goes on with the bytes that next() has put together', () => {
    const parser = new FrameParser(uint8);
    parser.push(Uint8Array.of(4, 10));
    expect(parser.next()).to.equal(undefined);
    parser.push(Uint8Array.of(11, 12, 13));
    expect(parser.nextLength()).to.equal(4);
    for (const call of [() => parser.rest(), () => parser.setFormat({}), () => parser.next()]) {
      expect(thrownBy(call)).to.have.property('code', 'ERR_INVALID_STATE');
    }
    const parts = [parser.nextPart()!, parser.nextPart()!];
    expect(Buffer.concat(parts)).to.deep.equal(Buffer.of(10, 11, 12, 13));
    expect(thrownBy(() => parser.nextPart())).to.have.property('code', 'ERR_INVALID_STATE');
    parser.push(Uint8Array.of(3, 1, 2, 3, 2, 8, 9));
    expect(parser.nextLength()).to.equal(3);
    parser.skipRest();
    expect(parser.next()).to.deep.equal(Uint8Array.of(8, 9));
  });

  it("an iterator can be thrown into, and a pair's writable is framed once", async () => {
    const [readable, writable] = [new PassThrough(), new PassThrough()];
    const messages = framed({ readable, writable });
    expect(thrownBy(() => framed({ readable: new PassThrough(), writable }))).to.include({
      code: 'ERR_INVALID_ARG_VALUE',
    });
    const error = new Error('mine');
    const iterator = messages[Symbol.asyncIterator]();
    readable.write(encode('hi'));
    await iterator.next();
    expect(await iterator.throw!(error).catch((caught) => caught)).to.equal(error);
    expect(messages.destroyed).to.equal(true);
  });

  it('the fuzz kit refuses options of formats that are not known', async () => {
    expect(thrownBy(() => anyMessages({ maxFrameLength: 3 } as object))).to.include({ code: 'ERR_INVALID_ARG_VALUE' });
    const checked = checkAnyCut(() => new PassThrough(), Buffer.from('a'), [], {
      boundaries: { lenghtField: 'varint' } as object,
    });
    expect(await checked.catch((error) => error)).to.include({ code: 'ERR_INVALID_ARG_VALUE' });
    fc.assert(fc.property(anyMessages(uint8), (messages) => messages.every((message) => message.length < 256)));
  });

  it('framed calls back messages that were sent in front of one that failed, although the user had corked', async () => {
    const raw = new Duplex({ read() {}, write: (_chunk, _encoding, callback) => setImmediate(callback) });
    raw.on('error', () => {});
    const messages = framed(raw);
    messages.on('error', () => {});
    const order: string[] = [];
    messages.cork();
    for (const name of ['a', 'b', 'c']) {
      messages.write(name, (error) => {
        order.push(`${name} ${error ? 'failed' : 'sent'}`);
        if (name === 'b') messages.destroy(new Error('mine'));
      });
      await turns(1);
    }
    messages.write({ length: 1, body: new PassThrough() }, (error) => order.push(`body ${error ? 'failed' : 'sent'}`));
    messages.uncork();
    messages.cork();
    await turns(10);
    messages.uncork();
    await turns(10);
    expect(order).to.deep.equal(['a sent', 'b sent', 'c sent', 'body failed']);
  });

  it("framed goes on behind a 'data' listener that throws, as a socket does", async () => {
    const raw = new Duplex({ read() {}, write: (_chunk, _encoding, callback) => callback() });
    const messages = framed(raw);
    const seen: string[] = [];
    messages.on('data', (message) => {
      seen.push(`${message}`);
      if (`${message}` === 'b') throw new Error('of a listener');
    });
    messages.on('end', () => seen.push('end'));
    await turns(2);
    const wire = Buffer.concat(['a', 'b', 'c'].map((each) => encode(each)));
    expect(thrownBy(() => raw.push(wire))).to.have.property('message', 'of a listener');
    raw.push(encode('d'));
    raw.push(null);
    await once(messages, 'end');
    expect(seen).to.deep.equal(['a', 'b', 'c', 'd', 'end']);
  });

  it("an async onOversize that rejects fails Node's streams, too", async () => {
    const cause = new Error('mine');
    const onOversize = async () => {
      throw cause;
    };
    const decoder = new LengthPrefixDecoder({ maxPayloadLength: 1, oversize: 'skip', onOversize });
    decoder.resume().write(encode('hello'));
    await turns(1);
    decoder.end();
    const [error] = await once(decoder, 'error');
    expect(error).to.equal(cause);
  });

  it('a parser that has passed over all of a message is between two messages', () => {
    for (const size of [1, 3, 100]) {
      const parser = new FrameParser();
      const wire = Buffer.concat([encode('body'), encode('next', { lengthField: 'uint16be' })]);
      for (let at = 0; at < wire.length; at += size) parser.push(wire.subarray(at, at + size));
      parser.nextLength();
      parser.skipRest();
      parser.setFormat({ lengthField: 'uint16be' });
      expect(Buffer.from(parser.next()!).toString()).to.equal('next');
    }
  });

  it('a chunk whose memory has shrunk is gone', async () => {
    // In a thread of its own: V8 11 no longer sees that memory is transferred, in code that has met such a chunk.
    const worker = new Worker(new URL('./shrunk-memory.js', import.meta.url));
    expect((await once(worker, 'message'))[0]).to.deep.equal(['first', 'ERR_INVALID_STATE', 'ERR_INVALID_STATE']);
    await worker.terminate();
  });

  it("options with the names of an object's own methods are not known, and a signal may be null", () => {
    for (const name of ['toString', 'constructor', 'valueOf', '__proto__']) {
      const options = Object.defineProperty({}, name, { value: 1, enumerable: true });
      const error = thrownBy(() => new LengthPrefixDecoder(options));
      expect(error).to.have.property('code', 'ERR_INVALID_ARG_VALUE');
      expect((error as Error).message).to.match(/left out: it is not an option/);
    }
    expect(new LengthPrefixDecoder({ signal: null as never }).destroyed).to.equal(false);
  });

  it('a message whose body throws fails its own write on the web', async () => {
    const writer = new LengthPrefixEncoderStream().writable.getWriter();
    writer.closed.catch(() => {});
    const cause = new Error('mine');
    const message = {
      length: 1,
      get body(): never {
        throw cause;
      },
    };
    const error = await writer.write(message).catch((reason) => reason);
    expect(error).to.equal(cause);
  });

  it('a socket that is failed while it ends is closed, and lets its server close', async () => {
    const failures: Record<string, (messages: Framed) => void> = {
      'write after end': (messages) => messages.write('late'),
      'destroy at once': (messages) => messages.destroy(new Error('no')),
      'destroy later': (messages) => process.nextTick(() => messages.destroy(new Error('no'))),
      'destroy behind a message': (messages) => messages.destroy(new Error('no')),
    };
    for (const [how, fail] of Object.entries(failures)) {
      const server = createServer().listen(0);
      const accepted = once(server, 'connection') as Promise<[Socket]>;
      await once(server, 'listening');
      const client = connect((server.address() as { port: number }).port).on('error', () => {});
      client.resume().write(encode('hello'));
      const [socket] = await accepted;
      const messages = framed(socket);
      messages.on('error', () => {});
      await once(messages, 'data');
      if (how === 'destroy behind a message') messages.write('bye');
      messages.end();
      fail(messages);
      const all = [messages, socket, client].map((each) => new Promise((resolve) => each.on('close', resolve)));
      await Promise.all(all);
      server.close();
      await once(server, 'close');
    }
  });
});
