import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { expect } from 'chai';
import fc from 'fast-check';
import { anyMessages, checkAnyCut } from '../../lib/fuzz/index.js';
import { encode, framed, LengthPrefixEncoder, type Message } from '../../lib/index.js';
import { FrameParser } from '../../lib/wire/index.js';
import { thrownBy } from '../support/streams.js';
import { turns } from '../torture/support.js';

const uint8 = { lengthField: 'uint8' } as const;

describe('regressions: what readers of the contract found', () => {
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

  it("a pair's writable that fails takes nothing from what waits unread", async () => {
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

  it('a body is let go of whatever is wrong with its write', () => {
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

  it('a parser that is read in parts gives back nothing, and goes on with what next() has put together', () => {
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
});
