import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import * as nodeStream from 'node:stream';
import { runInNewContext } from 'node:vm';
import { expect } from 'chai';
import * as readableStream from 'readable-stream';
import { LengthPrefixEncoder, type LengthPrefixEncoderOptions } from '../../lib/index.js';
import { codeOf, encode, fromHex, thrownBy } from '../support/streams.js';

/** An encoder, and the chunks that flow out of it. */
function flowing(options?: LengthPrefixEncoderOptions) {
  const encoder = new LengthPrefixEncoder(options);
  const chunks: Buffer[] = [];
  encoder.on('data', (chunk) => chunks.push(chunk));
  return { encoder, chunks };
}

const tick = () => new Promise<void>((resolve) => process.nextTick(resolve));
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

describe('LengthPrefixEncoder', () => {
  it('is a Transform of readable-stream, both sides in byte mode', () => {
    const encoder = new LengthPrefixEncoder();
    expect(encoder).to.be.instanceOf(readableStream.Transform);
    expect(encoder).to.include({ readableObjectMode: false, writableObjectMode: true });
  });

  it('writes messages as the .NET sample reads them, with no options', async () => {
    expect(await encode(['hello', ''])).to.deep.equal(fromHex('05 00 00 00 68 65 6c 6c 6f 00 00 00 00'));
  });

  it('takes Buffers, Uint8Arrays and strings, with an encoding or by default', async () => {
    const { encoder, chunks } = flowing({ lengthField: 'uint8', defaultEncoding: 'latin1' });
    encoder.write(Buffer.from('a'));
    encoder.write(Uint8Array.of(0x62));
    encoder.write('é');
    encoder.write('é', 'utf8');
    encoder.write('636465', 'hex');
    encoder.setDefaultEncoding('base64');
    encoder.end('Zg==');
    await once(encoder, 'end');
    expect(Buffer.concat(chunks)).to.deep.equal(fromHex('01 61 01 62 01 e9 02 c3 a9 03 63 64 65 01 66'));
  });

  it('counts bytes for backpressure', () => {
    const encoder = new LengthPrefixEncoder({ writableHighWaterMark: 10 });
    expect(encoder.write('12345')).to.equal(true);
    expect(encoder.writableLength).to.equal(9);
    expect(encoder.write('')).to.equal(false);
    expect(new LengthPrefixEncoder()).to.include({ readableHighWaterMark: 65_536, writableHighWaterMark: 65_536 });
  });

  it('refuses a value that is no message, as every Writable does', async () => {
    const encoder = new LengthPrefixEncoder();
    expect(thrownBy(() => encoder.write(5 as never))).to.have.property('code', 'ERR_INVALID_ARG_TYPE');
    expect(thrownBy(() => encoder.write(null as never))).to.have.property('code', 'ERR_STREAM_NULL_VALUES');
    expect(thrownBy(() => encoder.write('a', 'utf-9'))).to.have.property('code', 'ERR_UNKNOWN_ENCODING');
    expect(thrownBy(() => new LengthPrefixEncoder({ defaultEncoding: 'x' as never }))).to.have.property(
      'code',
      'ERR_UNKNOWN_ENCODING',
    );
    encoder.end();
    encoder.write('late');
    expect((await once(encoder, 'error'))[0]).to.have.property('code', 'ERR_STREAM_WRITE_AFTER_END');
  });

  it('refuses an unknown default encoding, and keeps the one before', async () => {
    const { encoder, chunks } = flowing({ lengthField: 'uint8' });
    expect(encoder.setDefaultEncoding('HEX' as never)).to.equal(encoder);
    expect(thrownBy(() => encoder.setDefaultEncoding('utf-9' as never))).to.have.property(
      'code',
      'ERR_UNKNOWN_ENCODING',
    );
    encoder.end('61');
    await once(encoder, 'end');
    expect(Buffer.concat(chunks)).to.deep.equal(fromHex('01 61'));
  });

  it('is destroyed by its signal, one that was aborted before, too', async () => {
    for (const early of [true, false]) {
      const abort = new AbortController();
      if (early) abort.abort();
      const encoder = new LengthPrefixEncoder({ signal: abort.signal });
      if (!early) setImmediate(() => abort.abort());
      expect((await once(encoder, 'error'))[0]).to.include({ name: 'AbortError', code: 'ABORT_ERR' });
      expect(encoder.destroyed).to.equal(true);
    }
  });

  it('end takes a last message, an encoding and a callback in any company', async () => {
    const ends: [string, (encoder: LengthPrefixEncoder, done: () => void) => void][] = [
      ['', (encoder, done) => encoder.end(done)],
      ['02 68 69', (encoder, done) => encoder.end('hi', done)],
      ['02 68 69', (encoder, done) => encoder.end('6869', 'hex', done)],
      ['00', (encoder, done) => encoder.end('', done)],
      ['00', (encoder, done) => encoder.end(new Uint8Array(0), undefined, done)],
      ['', (encoder, done) => encoder.end(undefined as never, undefined, done)],
      ['', (encoder, done) => encoder.end(null as never, done)],
    ];
    for (const [expected, end] of ends) {
      const { encoder, chunks } = flowing({ lengthField: 'uint8' });
      await new Promise<void>((resolve) => end(encoder, resolve));
      await turn();
      expect(Buffer.concat(chunks)).to.deep.equal(fromHex(expected));
    }
  });

  describe('batches by itself', () => {
    it('messages of one tick leave as one chunk, when it ends', async () => {
      const { encoder, chunks } = flowing();
      for (let i = 0; i < 1000; i++) encoder.write(`message ${i}`);
      expect(chunks).to.have.lengthOf(0);
      await tick();
      expect(chunks).to.have.lengthOf(1);
      encoder.write('a');
      await tick();
      encoder.write('b');
      await tick();
      expect(chunks).to.have.lengthOf(3);
    });

    it('messages that a listener writes leave with the others of their tick', async () => {
      const { encoder, chunks } = flowing({ lengthField: 'uint8' });
      await turn();
      encoder.once('data', () => {
        process.nextTick(() => encoder.write('d'));
        encoder.write('c');
      });
      encoder.write('a');
      encoder.write('b');
      await turn();
      expect(chunks).to.deep.equal([fromHex('01 61 01 62'), fromHex('01 63 01 64')]);
    });

    it('large payloads pass through uncopied, their prefix in front', async () => {
      const { encoder, chunks } = flowing();
      const large = Buffer.alloc(100_000, 'x');
      const message = new Uint8Array(large.buffer, large.byteOffset, large.length);
      encoder.write('a');
      encoder.write(message);
      encoder.write('b');
      await turn();
      expect(chunks.map((chunk) => chunk.length)).to.deep.equal([9, 100_000, 5]);
      expect(chunks[1]!.buffer).to.equal(large.buffer);
      expect(chunks[0]!.readUInt32LE(5)).to.equal(100_000);
    });

    it('a large message that keeps its length field is copied no further than that', async () => {
      const { encoder, chunks } = flowing({ initialBytesToStrip: 0 });
      const large = Buffer.alloc(100_000, 'x');
      encoder.write(large);
      await turn();
      expect(chunks.map((chunk) => chunk.length)).to.deep.equal([4, 99_996]);
      expect(chunks[1]!.buffer).to.equal(large.buffer);
      expect(chunks[0]!.readUInt32LE()).to.equal(99_996);
      expect(large.equals(Buffer.alloc(100_000, 'x'))).to.equal(true);
    });

    it('and so is one whose length is right already', async () => {
      const { encoder, chunks } = flowing({ lengthField: 'varint', initialBytesToStrip: 0 });
      const large = Buffer.concat([fromHex('80 80 04'), Buffer.alloc(65_536)]);
      encoder.write(large);
      await turn();
      expect(chunks.map((chunk) => chunk.length)).to.deep.equal([3, 65_536]);
    });

    it("goes together with the user's own cork and uncork: one chunk for each tick waits", async () => {
      const { encoder, chunks } = flowing({ lengthField: 'uint8' });
      encoder.cork();
      encoder.write('a');
      await turn();
      encoder.write('b');
      await turn();
      expect(chunks).to.have.lengthOf(0);
      encoder.uncork();
      await turn();
      expect(chunks).to.deep.equal([fromHex('01 61'), fromHex('01 62')]);
    });
  });

  it('a body that is there leaves with its head; a head does not wait for one that is not', async () => {
    const { encoder, chunks } = flowing();
    encoder.write({
      length: 4,
      body: (async function* () {
        yield 'he';
        yield 'll';
      })(),
    });
    await turn();
    expect(chunks).to.deep.equal([fromHex('04 00 00 00 68 65'), fromHex('6c 6c')]);

    chunks.length = 0;
    const late = new readableStream.PassThrough();
    encoder.write({ length: 2, body: late });
    await turn();
    expect(chunks).to.deep.equal([fromHex('02 00 00 00')]);
    late.end('hi');
    await turn();
    expect(chunks.slice(1)).to.deep.equal([fromHex('68 69')]);
  });

  it('joins the head of a body with its first part up to 65,535 bytes, and copies no other part', async () => {
    for (const [size, expected] of [
      [65_531, [65_535, 2]],
      [65_532, [4, 65_532, 2]],
      [65_536, [4, 65_536, 2]],
    ] as const) {
      const { encoder, chunks } = flowing();
      const [first, last] = [new Uint8Array(size), new Uint8Array(2)];
      encoder.end({ length: size + 2, body: [first, last] });
      await once(encoder, 'end');
      expect(chunks.map(({ length }) => length)).to.deep.equal(expected);
      expect(chunks.at(-1)!.buffer).to.equal(last.buffer);
      expect(chunks.at(-2)!.buffer === first.buffer).to.equal(expected.length === 3);
    }
  });

  describe('piped', () => {
    it('reaches its destination in order, the head of a large message in front of the message', async () => {
      const writes: number[][] = [];
      const sink = new nodeStream.Writable({
        writev(chunks, callback) {
          writes.push(chunks.map(({ chunk }) => chunk.length));
          callback();
        },
      });
      const encoder = new LengthPrefixEncoder();
      encoder.pipe(sink);
      await turn();
      encoder.write(Buffer.alloc(70_000));
      await turn();
      encoder.write('a');
      encoder.write('b');
      await turn();
      expect(writes.flat()).to.deep.equal([4, 70_000, 10]);
    });

    /** A sink that is piped to, and what was written to it. */
    function sinkOf(encoder: LengthPrefixEncoder) {
      const sizes: number[] = [];
      const sink = new nodeStream.Writable({
        write(chunk, _encoding, callback) {
          sizes.push(chunk.length);
          callback();
        },
      });
      encoder.pipe(sink);
      return { sink, sizes };
    }

    it('leaves nothing corked that is unpiped while it is written to', async () => {
      for (const all of [false, true]) {
        const encoder = new LengthPrefixEncoder();
        const { sink, sizes } = sinkOf(encoder);
        encoder.on('data', (chunk) => chunk.length > 4 && encoder.unpipe(all ? undefined : sink));
        encoder.write(Buffer.alloc(70_000));
        await turn();
        sink.write('b');
        await turn();
        expect(sink.writableCorked).to.equal(0);
        expect(sizes).to.deep.equal([4, 70_000, 1]);
      }
    });

    it('does not cork its destination', async () => {
      const encoder = new LengthPrefixEncoder();
      const [first, second] = [sinkOf(encoder), sinkOf(encoder)];
      for (const { sink } of [first, second]) sink.cork = () => expect.fail('corked');
      encoder.write('small');
      await turn();
      encoder.write(Buffer.alloc(70_000));
      await turn();
      encoder.unpipe(first.sink);
      encoder.write(Buffer.alloc(70_000));
      await turn();
      expect(first.sizes).to.deep.equal([9, 4, 70_000]);
      expect(second.sizes).to.deep.equal([9, 4, 70_000, 4, 70_000]);
    });

    it('goes to a destination that can not be corked, too', async () => {
      const encoder = new LengthPrefixEncoder();
      const { sink, sizes } = sinkOf(encoder);
      sink.cork = undefined as never;
      encoder.unpipe().pipe(sink);
      encoder.write(Buffer.alloc(70_000));
      await turn();
      expect(sizes).to.deep.equal([4, 70_000]);
    });

    it('does not copy large messages, whatever the mark of its destination is', async () => {
      for (const settings of [{ highWaterMark: 1 }, { highWaterMark: 1_000_000 }, { objectMode: true }]) {
        const encoder = new LengthPrefixEncoder();
        const chunks: Buffer[] = [];
        const sink = new nodeStream.Writable({
          ...settings,
          write(chunk, _encoding, callback) {
            chunks.push(chunk);
            callback();
          },
        });
        encoder.pipe(sink);
        const messages = [Buffer.alloc(65_536), Buffer.alloc(100_000)];
        for (const message of messages) encoder.write(message);
        await turn();
        const shared = messages.map(({ buffer }) => chunks.some((chunk) => chunk.buffer === buffer));
        expect(shared).to.deep.equal([true, true]);
      }
    });
  });

  describe('backpressure', () => {
    it('tells a writer to wait only where a drain follows, also for a large message behind a small one', async () => {
      const encoder = new LengthPrefixEncoder({ writableHighWaterMark: 70_000, readableHighWaterMark: 1 });
      encoder.write(Buffer.alloc(10_000));
      const drained = encoder.write(Buffer.alloc(65_536)) ? undefined : once(encoder, 'drain');
      encoder.resume();
      await drained;
    });

    it('a drain comes after cork(), more messages than fit, and uncork()', async () => {
      const encoder = new LengthPrefixEncoder({ writableHighWaterMark: 100 });
      encoder.resume();
      await turn();
      encoder.cork();
      expect(encoder.write(Buffer.alloc(100))).to.equal(false);
      const drained = once(encoder, 'drain');
      encoder.uncork();
      await drained;
      expect(encoder.writableLength).to.equal(0);
    });

    it('a drain comes after uncork() when there is room again by then, once all messages are done', async () => {
      const encoder = new LengthPrefixEncoder({ writableHighWaterMark: 100, readableHighWaterMark: 1 });
      let drains = 0;
      encoder.on('drain', () => drains++);
      expect(encoder.write(Buffer.alloc(76))).to.equal(true);
      await turn();
      expect(encoder.writableLength).to.equal(80);
      encoder.cork();
      expect(encoder.write(Buffer.alloc(40))).to.equal(false);
      expect(encoder.read()).to.have.lengthOf(80);
      await turn();
      expect(drains).to.equal(0);
      encoder.uncork();
      await turn();
      expect(drains).to.equal(0);
      expect(encoder.read()).to.have.lengthOf(44);
      await turn();
      expect(drains).to.equal(1);
      expect(encoder.write('')).to.equal(true);
      await turn();
      expect(drains).to.equal(1);
    });

    it('reads ahead up to the mark for a reader that has paused, which then gets all bytes in order', async () => {
      const { encoder, chunks } = flowing();
      await turn();
      encoder.pause();
      for (const message of ['a', 'b', 'c', 'd']) {
        encoder.write(message);
        await turn();
      }
      expect(encoder.readableLength).to.equal(20);
      expect(encoder.writableLength).to.equal(0);
      const large = 'x'.repeat(65_536);
      for (const message of [large, 'e', large]) {
        encoder.write(message);
        await turn();
      }
      // What goes past the mark is a piece of the first large one; the rest waits.
      expect(encoder.readableLength).to.equal(20 + 4 + 65_536);
      expect(encoder.writableLength).to.equal(4 + 65_536 + 5 + 4 + 65_536 - 4);
      encoder.resume();
      await turn();
      expect(Buffer.concat(chunks).equals(await encode(['a', 'b', 'c', 'd', large, 'e', large]))).to.equal(true);
    });

    it('counts a large message', () => {
      expect(new LengthPrefixEncoder().write(Buffer.alloc(70_000))).to.equal(false);
      expect(new LengthPrefixEncoder({ writableHighWaterMark: 70_005 }).write(Buffer.alloc(70_000))).to.equal(true);
      expect(new LengthPrefixEncoder({ writableHighWaterMark: 70_000 }).write(Buffer.alloc(70_000))).to.equal(false);
    });

    it('messages of one tick past the mark leave in at most two chunks', async () => {
      const { encoder, chunks } = flowing({ writableHighWaterMark: 100 });
      await turn();
      for (let i = 0; i < 100; i++) encoder.write(Buffer.alloc(16));
      await turn();
      expect(chunks.map(({ length }) => length)).to.deep.equal([100, 1900]);
    });

    it('messages past the mark leave at 65,536 bytes, before the tick ends', async () => {
      const { encoder, chunks } = flowing({ writableHighWaterMark: 100 });
      await turn();
      encoder.write(Buffer.alloc(96));
      for (let i = 0; i < 5; i++) encoder.write(Buffer.alloc(32_764));
      await turn();
      expect(chunks.map(({ length }) => length)).to.deep.equal([100, 65_536, 65_536, 32_768]);
    });
  });

  describe('a message that the format can not carry', () => {
    it('fails its own write, and no byte of it is sent; messages before it are sent, and call back without an error', async () => {
      const encoder = new LengthPrefixEncoder({ lengthField: 'uint8', maxPayloadLength: 3 });
      const calls: [string, string | undefined][] = [];
      const events: string[] = [];
      for (const event of ['error', 'finish', 'end', 'close']) encoder.on(event, () => events.push(event));
      const write = (message: string) => encoder.write(message, (error) => calls.push([message, codeOf(error)]));
      expect(write('abc')).to.equal(true);
      expect(write('')).to.equal(true);
      expect(write('four')).to.equal(false);
      // As Node's writes do on a stream that failed, so that loops break off.
      expect(write('z')).to.equal(false);
      expect(encoder.write('')).to.equal(false);
      expect(encoder.write('also too long')).to.equal(false);
      expect(encoder.writableEnded).to.equal(false);
      await turn();
      expect(encoder.read()).to.deep.equal(fromHex('03 61 62 63 00'));
      expect(encoder.read()).to.equal(null);
      await turn();
      expect(events).to.deep.equal(['error', 'close']);
      expect(encoder.writableEnded).to.equal(false);
      expect(calls).to.deep.equal([
        ['abc', undefined],
        ['', undefined],
        ['four', 'ERR_FRAME_TOO_LONG'],
        ['z', 'ERR_FRAME_TOO_LONG'],
      ]);
    });

    it('fails the stream only when a slow reader has all bytes before it', async () => {
      const encoder = new LengthPrefixEncoder({ lengthField: 'uint8', maxPayloadLength: 3 });
      const errors: Error[] = [];
      encoder.on('error', (error) => errors.push(error));
      encoder.write('abc');
      encoder.write('four');
      for (let i = 0; i < 4; i++) {
        await turn();
        expect(errors).to.have.lengthOf(0);
        expect(encoder.read(1)).to.have.lengthOf(1);
      }
      await turn();
      expect(errors).to.have.lengthOf(1);
    });

    it('lets a reader that asks for more than there is have the rest before the error, and no end', async () => {
      const encoder = new LengthPrefixEncoder({ lengthField: 'uint8', maxPayloadLength: 3 });
      const events: string[] = [];
      for (const event of ['error', 'end']) encoder.on(event, () => events.push(event));
      encoder.write('abc');
      encoder.write('four');
      await turn();
      expect(encoder.read(100)).to.deep.equal(fromHex('03 616263'));
      await turn();
      expect(events).to.deep.equal(['error']);
    });

    it("is followed by no 'drain' of the messages before it", async () => {
      const { encoder, chunks } = flowing({ lengthField: 'uint8', maxPayloadLength: 3, writableHighWaterMark: 4 });
      const events: string[] = [];
      for (const event of ['drain', 'error', 'end']) encoder.on(event, () => events.push(event));
      await turn();
      expect(encoder.write('abc')).to.equal(false);
      expect(encoder.write('four')).to.equal(false);
      await turn();
      expect(chunks).to.deep.equal([fromHex('03 616263')]);
      expect(events).to.deep.equal(['error']);
    });

    it('fails the messages behind it, in order, also where its own error frees the reader', async () => {
      const encoder = new LengthPrefixEncoder({ lengthField: 'uint8', maxPayloadLength: 3, autoDestroy: false });
      const errors: unknown[] = [];
      encoder.on('error', (error) => errors.push(error));
      // It leaves a byte the first time: the fault then finds something that is not read.
      encoder.once('readable', () => {
        encoder.read(1);
        encoder.on('readable', () => encoder.read());
      });
      const calls: [string, unknown][] = [];
      const body = new nodeStream.PassThrough();
      for (const message of ['a', 'four', 'b', { length: 1, body }, 'c']) {
        const name = typeof message === 'string' ? message : 'body';
        encoder.write(message, (error) => calls.push([name, error ?? undefined]));
      }
      await turn();
      await turn();
      const [error] = errors;
      expect(errors).to.have.lengthOf(1);
      expect(error).to.have.property('code', 'ERR_FRAME_TOO_LONG');
      expect(calls).to.deep.equal([
        ['a', undefined],
        ['four', error],
        ['b', error],
        ['body', error],
        ['c', error],
      ]);
      expect(encoder.destroyed).to.equal(false);
    });

    it('fails its own write also where the stream is not destroyed for it', async () => {
      const encoder = new LengthPrefixEncoder({ maxPayloadLength: 3, autoDestroy: false });
      encoder.on('error', () => {});
      encoder.resume();
      const calls: unknown[] = [];
      encoder.write('four', (error) => calls.push(error));
      await turn();
      await turn();
      expect(encoder.destroyed).to.equal(false);
      expect(calls).to.have.lengthOf(1);
      expect(calls[0]).to.have.property('code', 'ERR_FRAME_TOO_LONG');
    });

    it('given to end() fails it', async () => {
      const encoder = new LengthPrefixEncoder({ maxPayloadLength: 3 });
      const ended = new Promise<unknown>((resolve) => encoder.end('four', resolve as never));
      const [error] = await once(encoder, 'error');
      expect(error).to.have.property('code', 'ERR_FRAME_TOO_LONG');
      expect(await ended).to.equal(error);
    });

    it('has its callback called also when the stream is destroyed first', async () => {
      const encoder = new LengthPrefixEncoder({ maxPayloadLength: 3 });
      const calls: unknown[] = [];
      encoder.on('error', () => {});
      encoder.write('abc');
      encoder.write('four', (error) => calls.push(error));
      encoder.destroy();
      await turn();
      expect(calls).to.have.lengthOf(1);
      expect(calls[0]).to.have.property('code', 'ERR_FRAME_TOO_LONG');
    });
  });

  it("gives 'readable' and read() all in order, a large message in front of a small one", async () => {
    const encoder = new LengthPrefixEncoder();
    const chunks: Buffer[] = [];
    encoder.on('readable', () => {
      for (let chunk = encoder.read(); chunk !== null; chunk = encoder.read()) chunks.push(chunk);
    });
    const messages = ['x'.repeat(100_000), 'small', 'y'.repeat(70_000), ''];
    for (const message of messages) encoder.write(Buffer.from(message));
    encoder.end();
    await once(encoder, 'end');
    expect(Buffer.concat(chunks).equals(await encode(messages))).to.equal(true);
  });

  it('takes messages that a listener writes while end() flushes', async () => {
    const { encoder, chunks } = flowing({ lengthField: 'uint8' });
    await turn();
    const called: unknown[] = [];
    encoder.once('data', () => {
      expect(encoder.write('b', (error) => called.push(error ?? 'b'))).to.equal(true);
    });
    encoder.on('error', (error) => called.push(error));
    encoder.end('a');
    await once(encoder, 'end');
    await turn();
    expect(Buffer.concat(chunks)).to.deep.equal(fromHex('01 61 01 62'));
    expect(called).to.deep.equal(['b']);
  });

  it('takes arguments that are null or left out, as every Writable does', async () => {
    const { encoder, chunks } = flowing({ lengthField: 'uint8' });
    const write = encoder.write.bind(encoder) as (...args: unknown[]) => boolean;
    for (const args of [
      ['a', 'utf8', null],
      ['a', null, null],
      ['a', null],
      ['a', undefined, undefined],
      ['a', undefined, () => {}],
      ['a', null, () => {}],
      ['a', () => {}],
      ['a', ''],
      ['a', 'buffer'],
      [Buffer.from('a'), 'buffer', null],
    ]) {
      expect(write(...args)).to.equal(true);
    }
    (encoder.end as (...args: unknown[]) => void).call(encoder, null, null, null);
    await once(encoder, 'end');
    expect(Buffer.concat(chunks)).to.deep.equal(Buffer.alloc(20, fromHex('01 61')));
  });

  it('gives bytes of another realm their prefix, Buffers, too', async () => {
    const make = (code: string) => runInNewContext(code, { Buffer }) as Uint8Array;
    const foreign = make('Uint8Array.of(97, 98)');
    expect(foreign).not.to.be.instanceOf(Uint8Array);
    const large = make('new Uint8Array(70000)');
    const other = Object.setPrototypeOf(Buffer.from('cd'), Object.getPrototypeOf(foreign)) as Buffer;
    for (const message of [foreign, large, other]) {
      const { encoder, chunks } = flowing({ lengthField: 'uint24be' });
      for (const each of [message, [message], [message, message], { length: message.length, body: message }]) {
        encoder.write(each);
      }
      encoder.end(message);
      await once(encoder, 'end');
      const one = Buffer.from(new Uint8Array(message.buffer, message.byteOffset, message.length));
      const expected = await encode([one, one, Buffer.concat([one, one]), one, one], { lengthField: 'uint24be' });
      expect(Buffer.concat(chunks).equals(expected)).to.equal(true);
      expect(chunks.every((chunk) => chunk instanceof Buffer)).to.equal(true);
    }
  });

  it('asks a length field of the user once for each message', async () => {
    let calls = 0;
    const lengthField = {
      maxWidth: 2,
      read: () => undefined,
      // A second answer would be another one.
      write: (length: number) => (calls++ % 2 === 0 ? Uint8Array.of(0x80, length) : Uint8Array.of(length)),
    };
    for (const message of ['a', 'x'.repeat(70_000), ['a', 'b'], { length: 1, body: 'a' }, { length: 0, body: '' }]) {
      calls = 0;
      const { encoder, chunks } = flowing({ lengthField });
      encoder.end(message);
      await once(encoder, 'end');
      expect(calls).to.equal(1);
      expect(Buffer.concat(chunks)[0]).to.equal(0x80);
    }
  });

  describe('destroyed', () => {
    it('calls back in order, whatever waits', async () => {
      for (const corked of [false, true]) {
        for (const wait of [false, true]) {
          const encoder = new LengthPrefixEncoder({ lengthField: 'uint24be', readableHighWaterMark: 1 });
          encoder.on('error', () => {});
          const calls: number[] = [];
          const messages = [Buffer.alloc(70_000), 'a', ['b', Buffer.alloc(70_000)], { length: 1, body: 'c' }, 'd'];
          messages.forEach((message, i) => {
            if (corked && i === 2) encoder.cork();
            encoder.write(message, (error) => {
              expect(error).to.have.property('message', 'mine');
              calls.push(i);
            });
          });
          if (wait) await turn();
          encoder.write('e', () => calls.push(5));
          encoder.end(() => calls.push(6));
          encoder.destroy(new Error('mine'));
          encoder.write('late', () => calls.push(7));
          await turn();
          await turn();
          expect([...calls].sort()).to.deep.equal([0, 1, 2, 3, 4, 5, 6, 7]);
          expect(calls.slice(0, 6)).to.deep.equal([0, 1, 2, 3, 4, 5]);
        }
      }
    });

    it('inside of write by a listener, destroys a body that is written there', async () => {
      const body = new readableStream.PassThrough();
      const { encoder } = flowing({ lengthField: 'uint8' });
      encoder.on('error', () => {});
      await turn();
      encoder.on('data', () => encoder.destroy());
      encoder.write('a');
      let called = 0;
      encoder.write({ length: 1, body: body as unknown as nodeStream.Readable }, () => called++);
      await turn();
      await turn();
      expect([body.destroyed, called]).to.deep.equal([true, 1]);
    });
  });

  describe('callbacks', () => {
    it('come once each, in order, when their bytes are handed on', async () => {
      const encoder = new LengthPrefixEncoder();
      const calls: number[] = [];
      const sizes = [1, 100_000, 0, 70_000, 5];
      sizes.forEach((size, i) => {
        encoder.write(Buffer.alloc(size), () => calls.push(i));
      });
      await turn();
      expect(calls).to.deep.equal([]);
      let length = 0;
      for await (const chunk of encoder) {
        length += chunk.length;
        if (length === sizes.reduce((sum, size) => sum + size + 4, 0)) encoder.end();
      }
      expect(calls).to.deep.equal([0, 1, 2, 3, 4]);
    });

    it('come though the reader has paused, while there is room', async () => {
      const encoder = new LengthPrefixEncoder();
      encoder.on('data', (chunk) => chunk.length > 4 && encoder.pause());
      const calls: string[] = [];
      encoder.write(Buffer.alloc(65_536), () => calls.push('through'));
      await turn();
      expect([calls, encoder.isPaused()]).to.deep.equal([['through'], true]);
      encoder.write('a', () => calls.push('fits'));
      await turn();
      expect(calls).to.deep.equal(['through', 'fits']);
      encoder.write(Buffer.alloc(65_536), () => calls.push('full'));
      await turn();
      expect(calls).to.deep.equal(['through', 'fits']);
      encoder.removeAllListeners('data').on('readable', () => encoder.read());
      await turn();
      expect(calls).to.deep.equal(['through', 'fits', 'full']);
    });

    it('come for a reader that reads once for each readable event', async () => {
      const encoder = new LengthPrefixEncoder();
      const sizes: number[] = [];
      encoder.on('readable', () => sizes.push(encoder.read()?.length ?? 0));
      for (let i = 0; i < 3; i++) await new Promise((resolve) => encoder.write(Buffer.alloc(70_000), resolve));
      expect(sizes.reduce((sum, size) => sum + size, 0)).to.equal(3 * 70_004);
    });

    it('come for large messages to a full socket, which gets them all', async () => {
      const server = createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      const received = (async () => {
        const [peer] = (await once(server, 'connection')) as [Socket];
        const chunks: Buffer[] = [];
        for await (const chunk of peer) chunks.push(chunk);
        return Buffer.concat(chunks);
      })();
      const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
      const encoder = new LengthPrefixEncoder();
      encoder.pipe(socket);
      const length = 8_000_000;
      const letters = ['a', 'b', 'c'];
      for (const letter of letters) {
        await new Promise((resolve) => encoder.write(Buffer.alloc(length, letter), resolve));
      }
      encoder.end();
      const wire = await received;
      server.close();
      expect(wire).to.have.lengthOf(3 * (4 + length));
      letters.forEach((letter, i) => {
        const at = i * (4 + length) + 4;
        const expected = Buffer.alloc(length, letter);
        expect(wire.subarray(at, at + length).equals(expected), letter).to.equal(true);
      });
    });
  });

  describe('with the tools of streams', () => {
    const tools: [string, typeof nodeStream][] = [
      ['node:stream', nodeStream],
      ['readable-stream', readableStream as unknown as typeof nodeStream],
    ];
    for (const [name, stream] of tools) {
      it(`${name}: pipeline to a slow sink`, async () => {
        const chunks: Buffer[] = [];
        const sink = new stream.Writable({
          highWaterMark: 1,
          write(chunk, _encoding, callback) {
            chunks.push(chunk);
            setImmediate(callback);
          },
        });
        const source = stream.Readable.from(['a', 'bc', 'x'.repeat(70_000), 'd'], { objectMode: true });
        await new Promise<void>((resolve, reject) =>
          stream.pipeline(source, new LengthPrefixEncoder({ lengthField: 'uint24be' }), sink, (error) =>
            error ? reject(error) : resolve(),
          ),
        );
        const expected = Buffer.concat([
          fromHex('000001 61 000002 6263 011170'),
          Buffer.alloc(70_000, 'x'),
          fromHex('000001 64'),
        ]);
        expect(Buffer.concat(chunks).equals(expected)).to.equal(true);
      });
    }
  });
});
