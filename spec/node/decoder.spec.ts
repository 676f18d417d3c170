import { once } from 'node:events';
import * as nodeStream from 'node:stream';
import { expect } from 'chai';
import * as readableStream from 'readable-stream';
import { type FrameError, LengthPrefixDecoder } from '../../lib/index.js';
import { decode, encode, fromHex, outcomeOf } from '../support/streams.js';

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** A decoder in the flow, and what it hands out. */
async function flowing() {
  const decoder = new LengthPrefixDecoder();
  const seen: string[] = [];
  decoder.on('data', (message) => seen.push(String(message)));
  await turn();
  return { decoder, seen };
}

describe('LengthPrefixDecoder', () => {
  it('is a Transform of readable-stream, its readable side in object mode', () => {
    const decoder = new LengthPrefixDecoder();
    expect(decoder).to.be.instanceOf(readableStream.Transform);
    expect(decoder.readableHighWaterMark).to.equal(16);
    expect(decoder).to.include({ readableObjectMode: true, writableObjectMode: false });
    expect(decoder.writableHighWaterMark).to.equal(131_072);
  });

  it('reads the messages of the .NET sample, with no options', async () => {
    const { items } = await decode([fromHex('05 00 00 00'), Buffer.from('hel'), Buffer.from('lo')]);
    expect(items.map(String)).to.deep.equal(['hello']);
  });

  it('makes one turn of for await of each message, 2,000 in one chunk, empty ones included', async () => {
    const messages = Array.from({ length: 2000 }, (_, i) => (i % 3 === 0 ? '' : `message ${i}`));
    const { items } = await decode([await encode(messages)]);
    expect(items.map(String)).to.deep.equal(messages);
  });

  it("makes one 'data' event and one read() of each message", async () => {
    const wire = await encode(['a', '', 'c']);
    const flowing = new LengthPrefixDecoder();
    const seen: string[] = [];
    flowing.on('data', (message) => seen.push(String(message)));
    flowing.end(wire);
    await once(flowing, 'end');
    expect(seen).to.deep.equal(['a', '', 'c']);

    const paused = new LengthPrefixDecoder();
    paused.write(wire);
    expect([paused.read(), paused.read(), paused.read(), paused.read()].map((m) => m && String(m))).to.deep.equal([
      'a',
      '',
      'c',
      null,
    ]);
  });

  it('takes Uint8Arrays and encoded strings for bytes', async () => {
    const decoder = new LengthPrefixDecoder({ lengthField: 'uint8' });
    decoder.write(Uint8Array.of(2, 0x68));
    decoder.write('69', 'hex');
    decoder.end();
    expect((await outcomeOf(decoder)).items.map(String)).to.deep.equal(['hi']);
  });

  it('ends without an error when nothing was written', async () => {
    expect(await decode([])).to.deep.equal({ items: [], error: undefined });
  });

  it('hands out a view of the chunk for a message that came whole in it', async () => {
    const chunk = await encode(['hello', 'world']);
    const { items } = await decode([chunk]);
    for (const message of items) expect(message.buffer).to.equal(chunk.buffer);
    expect(items[1]!.byteOffset).to.equal(chunk.byteOffset + 13);
    expect(items[0]).to.be.instanceOf(Buffer);
  });

  it('hands out a view also when the prefix came before', async () => {
    const payload = Buffer.from('hello');
    const { items } = await decode([fromHex('05 00 00 00'), payload]);
    expect(items[0]!.buffer).to.equal(payload.buffer);
  });

  describe('copy: true', () => {
    it('gives each message memory of its own', async () => {
      const chunk = await encode(['hello', 'world', '']);
      const decoder = new LengthPrefixDecoder({ copy: true });
      decoder.end(chunk, () => chunk.fill(0));
      const { items } = await outcomeOf(decoder);
      expect(items.map(String)).to.deep.equal(['hello', 'world', '']);
      for (const message of items) expect(message.buffer.byteLength).to.equal(message.length);
      expect(new Set(items.map((message) => message.buffer)).size).to.equal(3);
    });

    it('keeps nothing of a chunk once its write has called back', async () => {
      const message = Buffer.alloc(300_000, 'x');
      const wire = await encode([message]);
      const decoder = new LengthPrefixDecoder({ copy: true });
      const reused = Buffer.alloc(8192);
      for (let at = 0; at < wire.length; at += reused.length) {
        const chunk = reused.subarray(0, wire.copy(reused, 0, at));
        await new Promise<void>((resolve) => decoder.write(chunk, () => resolve()));
        reused.fill('y');
      }
      decoder.end();
      expect((await outcomeOf(decoder)).items[0]!.equals(message)).to.equal(true);
    });
  });

  describe('batch: true', () => {
    it('hands out all messages that a chunk completes in one array, and no empty array', async () => {
      const wire = await encode(['a', 'b', 'c', 'd']);
      const decoder = new LengthPrefixDecoder({ batch: true });
      for (const chunk of [wire.subarray(0, 12), wire.subarray(12, 14), wire.subarray(14)]) decoder.write(chunk);
      decoder.end();
      const { items } = await outcomeOf(decoder);
      expect(items.map((batch) => batch.map(String))).to.deep.equal([
        ['a', 'b'],
        ['c', 'd'],
      ]);
    });

    it('hands out the messages before a fault, then the fault', async () => {
      const decoder = new LengthPrefixDecoder({ batch: true, maxPayloadLength: 1 });
      decoder.end(await encode(['a', 'b', 'cc', 'd']));
      const { items, error } = await outcomeOf(decoder);
      expect(items.map((batch) => batch.map(String))).to.deep.equal([['a', 'b']]);
      expect(error).to.include({ code: 'ERR_FRAME_TOO_LONG', position: 10 });
    });

    it('counts batches against the high-water mark', async () => {
      const decoder = new LengthPrefixDecoder({ batch: true, readableHighWaterMark: 2 });
      const wire = await encode(['a', 'b', 'c']);
      for (let i = 0; i < 5; i++) decoder.write(wire);
      expect(decoder.readableLength).to.equal(2);
      decoder.end();
      expect((await outcomeOf(decoder)).items.flat()).to.have.lengthOf(15);
    });
  });

  describe("oversize: 'skip'", () => {
    const options = { oversize: 'skip', maxPayloadLength: 3 } as const;

    it('passes over a payload that is too long, tells its length and place, and goes on', async () => {
      const wire = await encode(['a', 'toolong', '', 'abc', 'long', 'z']);
      for (const chunks of [[wire], Array.from(wire, (byte) => Buffer.of(byte))]) {
        const decoder = new LengthPrefixDecoder(options);
        const passed: [number, number][] = [];
        decoder.on('oversize', (length, position) => passed.push([length, position]));
        for (const chunk of chunks) decoder.write(chunk);
        decoder.end();
        const { items, error } = await outcomeOf(decoder);
        expect(error).to.equal(undefined);
        expect(items.map(String)).to.deep.equal(['a', '', 'abc', 'z']);
        expect(passed).to.deep.equal([
          [7, 5],
          [4, 27],
        ]);
      }
    });

    it('needs no listener', async () => {
      const { items } = await decode([await encode(['long', 'a'])], options);
      expect(items.map(String)).to.deep.equal(['a']);
    });

    it('passes over a payload of a message that keeps its header', async () => {
      const wire = await encode(['1234', '12345678', '1234'], { lengthField: 'uint16be', initialBytesToStrip: 0 });
      const kept = { ...options, lengthField: 'uint16be', initialBytesToStrip: 0 } as const;
      for (const chunks of [[wire], Array.from(wire, (byte) => Buffer.of(byte))]) {
        expect((await decode(chunks, kept)).items).to.deep.equal([fromHex('0002 3334'), fromHex('0002 3334')]);
      }
    });

    it('passes over lengths that no memory could hold', async () => {
      const decoder = new LengthPrefixDecoder({ ...options, lengthField: 'varint' });
      const passed = once(decoder, 'oversize');
      decoder.write(fromHex('01 61 ff ff ff ff ff ff ff 0f 00'));
      decoder.resume();
      expect(await passed).to.deep.equal([Number.MAX_SAFE_INTEGER, 2]);
      decoder.destroy();
    });

    it('is no cure for a corrupt length', async () => {
      const { error } = await decode([fromHex('00')], { ...options, lengthField: 'uint8', lengthAdjustment: -1 });
      expect(error).to.have.property('code', 'ERR_FRAME_CORRUPT');
    });
  });

  describe('order', () => {
    it('a slow reader gets all messages before a fault, and the error when it has the last one', async () => {
      const wire = Buffer.concat([await encode(['a', 'b', 'c', 'd', 'e']), fromHex('ff ff ff ff')]);
      const decoder = new LengthPrefixDecoder({ readableHighWaterMark: 2 });
      const errors: Error[] = [];
      decoder.on('error', (error) => errors.push(error));
      const write = new Promise<FrameError | null | undefined>((resolve) =>
        decoder.write(wire, (error) => resolve(error as FrameError)),
      );
      for (const expected of ['a', 'b', 'c', 'd', 'e']) {
        await new Promise(setImmediate);
        expect(errors).to.deep.equal([]);
        expect(String(decoder.read())).to.equal(expected);
      }
      const closed = new Promise((resolve) => decoder.on('close', resolve));
      expect(await write).to.have.property('code', 'ERR_FRAME_TOO_LONG');
      await closed;
      expect(errors).to.have.lengthOf(1);
      expect(errors[0]).to.equal(await write);
    });

    it('a slow reader gets all messages before a truncated end, and then the error', async () => {
      const decoder = new LengthPrefixDecoder();
      decoder.end(Buffer.concat([await encode(['a', 'b']), fromHex('05')]));
      for (const expected of ['a', 'b']) {
        await new Promise(setImmediate);
        expect(decoder.destroyed).to.equal(false);
        expect(String(decoder.read())).to.equal(expected);
      }
      const [error] = await once(decoder, 'error');
      expect(error).to.have.property('code', 'ERR_FRAME_TRUNCATED');
    });
  });

  it('the callback of end() gets the error, too, and only once', async () => {
    const decoder = new LengthPrefixDecoder();
    decoder.resume();
    decoder.on('error', () => {});
    const calls: unknown[] = [];
    decoder.end(fromHex('05'), (error?: unknown) => calls.push(error));
    await new Promise((resolve) => decoder.on('close', resolve));
    expect(calls).to.have.lengthOf(1);
    expect(calls[0]).to.have.property('code', 'ERR_FRAME_TRUNCATED');
  });

  it('destroyed with a write in hand and one behind it, fails both', async () => {
    const decoder = new LengthPrefixDecoder({ readableHighWaterMark: 1 });
    const wire = await encode(['a', 'b']);
    const errors = [1, 2].map(() => new Promise<Error | null | undefined>((resolve) => decoder.write(wire, resolve)));
    decoder.destroy();
    for (const error of await Promise.all(errors)) {
      expect(error).to.have.property('code', 'ERR_STREAM_DESTROYED');
      expect(error!.message).to.equal('Cannot call write after a stream was destroyed');
    }
  });

  it('with an encoding hands out strings only, however they come', async () => {
    for (const wait of [false, true]) {
      const decoder = new LengthPrefixDecoder().setEncoding('utf8');
      const seen: unknown[] = [];
      decoder.on('data', (message) => seen.push(message));
      if (wait) await turn();
      const wire = await encode(['é', 'b', 'c', 'd']);
      decoder.write(wire.subarray(0, 9));
      decoder.end(wire.subarray(9));
      await once(decoder, 'end');
      expect(seen).to.deep.equal(['é', 'b', 'c', 'd']);
    }
  });

  it("calls onOversize with the arguments of the event 'oversize'", async () => {
    const told: unknown[] = [];
    const onOversize = (...args: unknown[]) => told.push('option', args);
    const decoder = new LengthPrefixDecoder({ oversize: 'skip', maxPayloadLength: 1, onOversize });
    decoder.on('oversize', (...args) => told.push('event', args));
    decoder.end(fromHex('01000000 61 02000000 6262')).resume();
    await once(decoder, 'end');
    expect(told).to.deep.equal(['event', [2, 5], 'option', [2, 5]]);
  });

  it("calls a write back when there is room behind its last message, as Node's does", async () => {
    const theirs = new nodeStream.Transform({
      readableObjectMode: true,
      readableHighWaterMark: 1,
      transform: (chunk, _, callback) => callback(null, chunk.subarray(4)),
    });
    for (const stream of [theirs, new LengthPrefixDecoder({ readableHighWaterMark: 1 })]) {
      let isDone = false;
      stream.write(fromHex('01000000 61'), () => {
        isDone = true;
      });
      await turn();
      expect(isDone).to.equal(false);
      expect(stream.read()).to.deep.equal(Buffer.from('a'));
      await turn();
      expect(isDone).to.equal(true);
    }
  });

  it("an 'oversize' listener that throws a falsy value fails the stream as well", async () => {
    for (const cause of [null, undefined, 0, '', false]) {
      const decoder = new LengthPrefixDecoder({ oversize: 'skip', maxPayloadLength: 1 });
      decoder.on('oversize', () => {
        throw cause;
      });
      decoder.end(await encode(['a', 'long', 'b']));
      const { items, error } = await outcomeOf(decoder);
      expect(items.map(String)).to.deep.equal(['a']);
      expect(error).to.include({ code: 'ERR_FRAME_CORRUPT', position: 5 });
      expect(error).to.have.property('cause', cause);
    }
  });

  it('tells that the memory of a chunk is gone, by whatever way it goes on', async () => {
    for (const options of [
      {},
      { copy: true },
      { batch: true },
      { decode: String },
      { lengthField: 'varint' },
    ] as const) {
      for (const cut of [false, true]) {
        const decoder = new LengthPrefixDecoder({ ...options, readableHighWaterMark: 1 });
        const wire = await encode(['a', 'b', 'c', 'd'], options as object);
        const chunk = new Uint8Array(cut ? wire.length - 1 : wire.length);
        chunk.set(wire.subarray(0, chunk.length));
        const written = new Promise((resolve) => decoder.write(chunk, resolve));
        const failed = once(decoder, 'error');
        structuredClone(chunk, { transfer: [chunk.buffer] });
        decoder.end();
        if ('batch' in options) {
          // All was handed out at once.
          failed.catch(() => {});
          decoder.on('error', () => {}).destroy();
          continue;
        }
        decoder.resume();
        expect((await failed)[0]).to.include({ code: 'ERR_INVALID_STATE' });
        expect(await written).to.have.property('code', 'ERR_INVALID_STATE');
      }
    }
  });

  it('shares its settings with others if it has no options, and not otherwise', async () => {
    const decoders = [{}, { copy: true }, { oversize: 'skip' }, {}] as const;
    const wire = await encode(['a', 'b']);
    const buffers = await Promise.all(
      decoders.map(async (options) => {
        const decoder = new LengthPrefixDecoder(options);
        decoder.on('oversize', () => {});
        decoder.end(wire);
        return (await outcomeOf(decoder)).items.map((message) => message.buffer === wire.buffer);
      }),
    );
    expect(buffers).to.deep.equal([
      [true, true],
      [false, false],
      [true, true],
      [true, true],
    ]);
    expect((await decode([fromHex('01 00 00 01')], { oversize: 'skip' })).error).to.have.property(
      'code',
      'ERR_FRAME_TRUNCATED',
    );
    expect((await decode([fromHex('01 00 00 01')])).error).to.have.property('code', 'ERR_FRAME_TOO_LONG');
  });

  describe('with the tools of streams', () => {
    const tools: [string, typeof nodeStream][] = [
      ['node:stream', nodeStream],
      ['readable-stream', readableStream as unknown as typeof nodeStream],
    ];
    for (const [name, stream] of tools) {
      it(`${name}: pipe, pipeline, finished`, async () => {
        const wire = await encode(['a', 'bc', '']);
        const seen: string[] = [];
        const sink = new stream.Writable({
          objectMode: true,
          highWaterMark: 1,
          write(message, _encoding, callback) {
            seen.push(String(message));
            setImmediate(callback);
          },
        });
        const decoder = new LengthPrefixDecoder();
        const finished = new Promise((resolve) => stream.finished(decoder, resolve));
        await new Promise<void>((resolve, reject) =>
          stream.pipeline(stream.Readable.from([wire.subarray(0, 6), wire.subarray(6)]), decoder, sink, (error) =>
            error ? reject(error) : resolve(),
          ),
        );
        expect(seen).to.deep.equal(['a', 'bc', '']);
        expect(await finished).to.equal(undefined);
      });
    }

    it('an AbortSignal destroys it', async () => {
      const controller = new AbortController();
      const decoder = new LengthPrefixDecoder({ signal: controller.signal });
      const error = once(decoder, 'error');
      controller.abort();
      expect((await error)[0]).to.have.property('name', 'AbortError');
    });

    it('the options of streams have their effect', () => {
      const decoder = new LengthPrefixDecoder({
        readableHighWaterMark: 3,
        writableHighWaterMark: 5,
        allowHalfOpen: false,
      });
      expect(decoder).to.include({ readableHighWaterMark: 3, writableHighWaterMark: 5, allowHalfOpen: false });
      expect(new LengthPrefixDecoder({ highWaterMark: 7 })).to.include({
        readableHighWaterMark: 7,
        writableHighWaterMark: 7,
      });
    });

    it('emitClose and autoDestroy have their effect', async () => {
      const silent = new LengthPrefixDecoder({ emitClose: false });
      silent.on('close', () => expect.fail('closed'));
      silent.destroy();
      const lasting = new LengthPrefixDecoder({ autoDestroy: false });
      lasting.resume();
      lasting.end();
      await once(lasting, 'end');
      await new Promise(setImmediate);
      expect(lasting.destroyed).to.equal(false);
    });
  });

  describe('in the flow', () => {
    const messages = Array.from({ length: 50 }, (_, i) => `message ${i}`);

    it('pushes once for each write to a reader in the flow', async () => {
      const { decoder, seen } = await flowing();
      let pushes = 0;
      const push = decoder.push;
      decoder.push = (...args) => {
        pushes++;
        return push.apply(decoder, args);
      };
      decoder.write(await encode(messages));
      expect(seen).to.deep.equal(messages);
      expect(pushes).to.equal(1);
    });

    it('loses nothing when a listener hands over to another in the next tick', async () => {
      const decoder = new LengthPrefixDecoder();
      const seen: string[] = [];
      const second = (message: Buffer) => seen.push(`second: ${message}`);
      const first = (message: Buffer) => {
        seen.push(`first: ${message}`);
        decoder.off('data', first);
        process.nextTick(() => decoder.on('data', second));
      };
      decoder.on('data', first);
      await turn();
      decoder.write(await encode(['a', 'b', 'c']));
      await turn();
      expect(seen).to.deep.equal(['first: a', 'second: b', 'second: c']);
    });

    it("keeps order when an 'oversize' listener reads", async () => {
      const decoder = new LengthPrefixDecoder({ oversize: 'skip', maxPayloadLength: 3, readableHighWaterMark: 2 });
      const seen: string[] = [];
      const take = () => {
        for (let message = decoder.read(); message !== null; message = decoder.read()) seen.push(String(message));
      };
      decoder.on('oversize', take);
      let called = 0;
      decoder.write(await encode(['a', 'long', 'b', 'long', 'long', 'c', 'd', 'long', 'e']), () => called++);
      for (let i = 0; i < 5; i++) {
        await turn();
        take();
      }
      expect(seen).to.deep.equal(['a', 'b', 'c', 'd', 'e']);
      expect(called).to.equal(1);
    });

    it("keeps a message in order that is cut behind one that an 'oversize' listener reads", async () => {
      const decoder = new LengthPrefixDecoder({ oversize: 'skip', maxPayloadLength: 3 });
      decoder.on('oversize', () => decoder.read());
      const wire = await encode(['long', 'a', 'cut']);
      decoder.write(wire.subarray(0, -1));
      decoder.end(wire.subarray(-1));
      expect((await decoder.toArray()).map(String).at(-1)).to.equal('cut');
    });

    it('fails the write in hand with the error that it is destroyed with', async () => {
      const decoder = new LengthPrefixDecoder({ readableHighWaterMark: 1 });
      decoder.on('error', () => {});
      const written = new Promise<unknown>((resolve) => decoder.write(Buffer.alloc(12), resolve));
      const mine = new Error('mine');
      decoder.destroy(mine);
      expect(await written).to.equal(mine);
    });

    it('fails the write in hand with the fault that waits until all is read', async () => {
      for (const mine of [undefined, new Error('mine')]) {
        const decoder = new LengthPrefixDecoder();
        decoder.on('error', () => {});
        const wire = fromHex('00 00 00 00 ff ff ff ff');
        const written = new Promise<unknown>((resolve) => decoder.write(wire, resolve));
        decoder.destroy(mine);
        if (mine === undefined) expect(await written).to.have.property('code', 'ERR_FRAME_TOO_LONG');
        else expect(await written).to.equal(mine);
      }
    });
  });
});
