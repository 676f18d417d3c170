import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { expect } from 'chai';
import fc from 'fast-check';
import { anyCut, Recut, type RecutOptions } from '../../lib/fuzz/index.js';
import { framed, LengthPrefixDecoder, LengthPrefixEncoder } from '../../lib/index.js';
import { payload, settle, slowSink, turns } from '../support/frames.js';
import { runs } from '../support/runs.js';
import { outcomeOf, thrownBy } from '../support/streams.js';
import { closeAll, transports } from '../torture/connections.js';

const bytes = Buffer.from(Array.from({ length: 1000 }, (_, i) => i));

/** The chunks that come out when these go in. */
async function recut(options: RecutOptions, chunks: Iterable<Uint8Array | string>): Promise<Buffer[]> {
  const stream = new Recut(options);
  for (const chunk of chunks) stream.write(chunk);
  stream.end();
  const { items, error } = await outcomeOf<Buffer>(stream);
  expect(error).to.equal(undefined);
  return items;
}

const sizesOf = (chunks: Buffer[]) => chunks.map(({ length }) => length);

describe('Recut', () => {
  it('cuts to the sizes it is given, again and again', async () => {
    expect(sizesOf(await recut({ sizes: [3] }, [bytes.subarray(0, 10)]))).to.deep.equal([3, 3, 3, 1]);
    expect(sizesOf(await recut({ sizes: [1, 4] }, [bytes.subarray(0, 11)]))).to.deep.equal([1, 4, 1, 4, 1]);
    expect(sizesOf(await recut({ sizes: [1] }, ['hello']))).to.deep.equal([1, 1, 1, 1, 1]);
  });

  it('cuts at the same places whatever it is written, and holds nothing back', async () => {
    const chunks = [bytes.subarray(0, 2), bytes.subarray(2, 9), Buffer.alloc(0), bytes.subarray(9, 10)];
    expect(sizesOf(await recut({ sizes: [3, 5] }, chunks))).to.deep.equal([2, 1, 5, 1, 1]);
    const stream = new Recut({ sizes: [100] });
    stream.write('half');
    expect(String(stream.read())).to.equal('half');
  });

  it('with join, holds what is not yet a whole chunk, up to the end', async () => {
    const chunks = [bytes.subarray(0, 2), bytes.subarray(2, 9), Buffer.alloc(0), bytes.subarray(9, 10)];
    const joined = await recut({ sizes: [3, 5], join: true }, chunks);
    expect(sizesOf(joined)).to.deep.equal([3, 5, 2]);
    expect(Buffer.concat(joined)).to.deep.equal(bytes.subarray(0, 10));
    expect(sizesOf(await recut({ sizes: [100], join: true }, [...'hello']))).to.deep.equal([5]);
    expect(await recut({ sizes: [2], join: true }, [])).to.deep.equal([]);
  });

  it('gives an empty chunk where a size is 0, in front of bytes, and else none', async () => {
    expect(sizesOf(await recut({ sizes: [0, 2, 0, 0] }, ['abcde']))).to.deep.equal([0, 2, 0, 0, 0, 2, 0, 0, 0, 1]);
    expect(sizesOf(await recut({ sizes: [2, 0] }, ['ab', '']))).to.deep.equal([2]);
    expect(sizesOf(await recut({ sizes: [3, 0], join: true }, ['ab', 'cd']))).to.deep.equal([3, 0, 1]);
    expect(sizesOf(await recut({ seed: 1 }, ['', 'abc', '']))).to.not.include(0);
  });

  it('cuts at random from a seed: the same one the same, another one not', async () => {
    const many = Buffer.alloc(100_000, 1);
    const cut = async (seed: number) => sizesOf(await recut({ seed }, [many]));
    expect(await cut(7)).to.deep.equal(await cut(7));
    expect(await cut(7)).to.not.deep.equal(await cut(8));
    const sizes = (await cut(7)).slice(0, -1);
    expect(Math.min(...sizes)).to.equal(1);
    expect(Math.max(...sizes)).to.be.within(1000, 4096);
    expect(sizes.filter((size) => size < 16).length / sizes.length).to.be.within(0.2, 0.6);
  });

  it('tells the seed that it chose', async () => {
    const stream = new Recut();
    const again = new Recut({ seed: stream.seed });
    expect(new Recut().seed).to.not.equal(stream.seed);
    expect(new Recut({ sizes: [1] }).seed).to.equal(undefined);
    const many = Buffer.alloc(100_000, 1);
    stream.end(many);
    again.end(many);
    const chunks = sizesOf((await outcomeOf<Buffer>(stream)).items);
    expect(chunks).to.deep.equal(sizesOf((await outcomeOf<Buffer>(again)).items));
  });

  it('loses nothing, keeps the order, and joins alike whatever the writes', async () => {
    const given = fc.record({
      chunks: anyCut(bytes),
      options: fc.oneof(
        fc.record({ seed: fc.integer() }),
        fc.record({ sizes: fc.array(fc.nat(30), { minLength: 1 }).map((sizes) => [...sizes, 1]) }),
      ),
      readableHighWaterMark: fc.integer({ min: 1, max: 20 }),
    });
    await fc.assert(
      fc.asyncProperty(given, async ({ chunks, options, readableHighWaterMark }) => {
        const settings = { ...options, readableHighWaterMark };
        expect(Buffer.concat(await recut(settings, chunks)).equals(bytes)).to.equal(true);
        const joined = await recut({ ...settings, join: true }, chunks);
        expect(joined).to.deep.equal(await recut({ ...options, join: true }, [bytes]));
        if ('sizes' in options) return;
        expect(joined).to.deep.equal(await recut(options, [bytes]));
      }),
      { numRuns: runs(100) },
    );
  });

  for (const join of [false, true]) {
    it(`holds no more chunks than its readableHighWaterMark, and its writer with them; join: ${join}`, async () => {
      for (const readableHighWaterMark of [1, 2, 16]) {
        const stream = new Recut({ sizes: [2, 1], readableHighWaterMark, writableHighWaterMark: 1, join });
        let called = 0;
        for (let at = 0; at < 1000; at += 100) stream.write(bytes.subarray(at, at + 100), () => called++);
        stream.end();
        const got: Buffer[] = [];
        let most = 0;
        for (let turn = 0; Buffer.concat(got).length < 1000; turn++) {
          most = Math.max(most, stream.readableLength);
          expect(called).to.be.at.most((2 * (got.length + readableHighWaterMark)) / 100);
          const chunk = stream.read();
          if (chunk !== null) got.push(chunk);
          most = Math.max(most, stream.readableLength);
          if (turn % 10 === 0) await turns(1);
          expect(turn).to.be.lessThan(5000);
        }
        expect(most).to.equal(readableHighWaterMark);
        expect(Buffer.concat(got)).to.deep.equal(bytes);
        await outcomeOf(stream);
        expect(called).to.equal(10);
      }
    });
  }

  /** Each reads a stream in its own way, and calls `take` with each chunk. */
  const readers: Record<string, (stream: Recut, take: (chunk: Buffer) => void) => void> = {
    data: (stream, take) => void stream.on('data', take),
    'data, pausing': (stream, take) =>
      void stream.on('data', (chunk) => {
        take(chunk);
        stream.pause();
        setImmediate(() => stream.resume());
      }),
    'data, reading inside': (stream, take) =>
      void stream.on('data', (chunk) => {
        take(chunk);
        // Emits 'data' as well.
        stream.read();
      }),
    'readable, all': (stream, take) =>
      void stream.on('readable', () => {
        for (let chunk = stream.read(); chunk !== null; chunk = stream.read()) take(chunk);
      }),
    'readable, one by one': (stream, take) => {
      const step = () => {
        const chunk = stream.read();
        if (chunk !== null) take(chunk);
        if (!stream.readableEnded && !stream.destroyed) setImmediate(step);
      };
      stream.once('readable', step);
    },
    'for await': async (stream, take) => {
      for await (const chunk of stream) {
        take(chunk);
        await turns(1);
      }
    },
    pipe: (stream, take) =>
      void stream.pipe(
        new Writable({
          highWaterMark: 1,
          write(chunk, _encoding, callback) {
            take(chunk);
            setImmediate(callback);
          },
        }),
      ),
  };

  it('never hangs, whoever reads and however it is written, and calls back once and in order', async () => {
    const given = fc.record({
      chunks: anyCut(bytes.subarray(0, 200)),
      sizes: fc.array(fc.nat(30), { minLength: 1, maxLength: 3 }).map((sizes) => [...sizes, 1]),
      join: fc.boolean(),
      readableHighWaterMark: fc.integer({ min: 1, max: 20 }),
      writableHighWaterMark: fc.integer({ min: 1, max: 100 }),
      reader: fc.constantFrom(...Object.keys(readers)),
      pauses: fc.infiniteStream(fc.nat(2)),
    });
    await fc.assert(
      fc.asyncProperty(given, async ({ chunks, reader, pauses, ...options }) => {
        const stream = new Recut(options);
        const got: Buffer[] = [];
        const called: number[] = [];
        let isClosed = false;
        stream.on('close', () => {
          isClosed = true;
        });
        readers[reader]!(stream, (chunk) => {
          expect(stream.readableLength).to.be.at.most(options.readableHighWaterMark);
          got.push(chunk);
        });
        for (const [i, chunk] of chunks.entries()) {
          stream.write(chunk, () => called.push(i));
          await turns(pauses.next().value);
        }
        stream.end();
        await settle(() => [got.length, isClosed]);
        expect(Buffer.concat(got)).to.deep.equal(bytes.subarray(0, 200));
        expect(called).to.deep.equal([...chunks.keys()]);
        expect(isClosed).to.equal(true);
      }),
      { numRuns: runs(100) },
    );
  });

  it('keeps the order of callbacks where a read in the same tick ends a write', async () => {
    const stream = new Recut({ sizes: [1], readableHighWaterMark: 1 });
    const called: string[] = [];
    stream.write('', () => called.push('a'));
    await turns(1);
    stream.write('b', () => called.push('b'));
    stream.write('cd', () => called.push('cd'));
    stream.read();
    stream.read();
    expect(called).to.deep.equal(['a']);
    stream.write('e', () => called.push('e'));
    stream.resume();
    stream.end();
    await turns(3);
    expect(called).to.deep.equal(['a', 'b', 'cd', 'e']);
  });

  it('fails the writes that wait when it is destroyed, and each once', async () => {
    for (const isCorked of [false, true]) {
      const stream = new Recut({ sizes: [1], readableHighWaterMark: 1 });
      if (isCorked) stream.cork();
      const called: unknown[] = [];
      for (const text of ['ab', 'cd', 'ef']) stream.write(text, (error) => called.push([text, error?.name]));
      stream.destroy();
      await turns(2);
      expect(called).to.deep.equal([
        ['ab', 'Error'],
        ['cd', 'Error'],
        ['ef', 'Error'],
      ]);
    }
  });

  it('takes the options of streams that it documents, and no others', async () => {
    const stream = new Recut({ readableHighWaterMark: 3, writableHighWaterMark: 5 });
    expect(thrownBy(() => new Recut({ objectMode: true } as RecutOptions))).to.have.property(
      'code',
      'ERR_INVALID_ARG_VALUE',
    );
    const { readableHighWaterMark, writableHighWaterMark, readableObjectMode, writableObjectMode } = stream;
    const set = { readableHighWaterMark, writableHighWaterMark, readableObjectMode, writableObjectMode };
    expect(set).to.deep.equal({
      readableHighWaterMark: 3,
      writableHighWaterMark: 5,
      readableObjectMode: true,
      writableObjectMode: false,
    });
    expect(new Recut()).to.include({ readableHighWaterMark: 16, writableHighWaterMark: 65_536 });
    expect(new Recut({ highWaterMark: 7 })).to.include({ readableHighWaterMark: 7, writableHighWaterMark: 7 });
    const closed: string[] = [];
    const quiet = new Recut({ autoDestroy: false, emitClose: false, allowHalfOpen: false });
    quiet.on('close', () => closed.push('quiet'));
    expect(quiet.allowHalfOpen).to.equal(false);
    quiet.resume().end('abc');
    await turns(4);
    expect(quiet.destroyed).to.equal(false);
    quiet.destroy();
    await turns(2);
    expect(closed).to.deep.equal([]);
    const controller = new AbortController();
    const aborted = new Recut({ signal: controller.signal });
    controller.abort();
    expect((await once(aborted, 'error'))[0].name).to.equal('AbortError');
    expect(thrownBy(() => new Recut({ signal: 1 as never }))).to.include({ code: 'ERR_INVALID_ARG_TYPE' });
  });

  it('a last chunk that was held waits for its reader as all others do', async () => {
    const stream = new Recut({ sizes: [2], join: true, readableHighWaterMark: 1 });
    stream.write('abc');
    stream.end();
    await turns(2);
    expect(stream.readableLength).to.equal(1);
    expect(stream.writableFinished).to.equal(false);
    expect((await stream.toArray()).map(String)).to.deep.equal(['ab', 'c']);
  });

  it('keeps its chunks apart in whatever way they are read', async () => {
    const ways: Record<string, (stream: Recut) => Promise<unknown[]>> = {
      'for await': async (stream) => (await outcomeOf(stream)).items,
      data: async (stream) => {
        const got: unknown[] = [];
        stream.on('data', (chunk) => got.push(chunk));
        await once(stream, 'end');
        return got;
      },
      'a slow pipe': async (stream) => {
        const sink = slowSink('node', { highWaterMark: 1, objectMode: false });
        stream.pipe(sink.stream);
        await settle(() => [sink.step(), sink.done.length]);
        return sink.done;
      },
    };
    for (const [name, read] of Object.entries(ways)) {
      const stream = new Recut({ sizes: [1] });
      stream.end('hello');
      expect((await read(stream)).map(String), name).to.deep.equal([...'hello']);
    }
  });

  it('destroyed, it fails what is written, and pipelines with it', async () => {
    const stream = new Recut({ sizes: [1], readableHighWaterMark: 1 });
    const written = new Promise((resolve) => stream.write('abc', resolve));
    const error = new Error('mine');
    const failed = once(stream, 'error');
    stream.destroy(error);
    expect(await written).to.equal(error);
    expect(await failed).to.deep.equal([error]);

    const source = new Readable({ read() {} });
    const other = new Recut();
    const sink = new Writable({ write: (_chunk, _encoding, callback) => callback(error) });
    const done = pipeline(source, other, sink).catch((thrown) => thrown);
    source.push('abc');
    expect(await done).to.equal(error);
    expect(source.destroyed && other.destroyed && sink.destroyed).to.equal(true);

    const broken = new Recut({ signal: AbortSignal.abort() });
    expect((await once(broken, 'error'))[0].name).to.equal('AbortError');
  });

  describe('between a socket and a decoder', () => {
    afterEach(closeAll);

    const sizes = [0, 1, 10, 1000, 65_531, 65_536, 200_000, 0, 5];

    for (const options of [{ sizes: [1, 3] }, { seed: 42 }, { seed: 42, join: true }, { sizes: [0, 70_000, 2] }]) {
      it(`by pipe and in a pipeline: ${JSON.stringify(options)}`, async () => {
        const [client, server] = (await transports.TCP!()) as [Socket, Socket];
        const encoder = new LengthPrefixEncoder();
        encoder.pipe(client);
        for (const [i, size] of sizes.entries()) encoder.write(payload(i, size));
        const back = pipeline(server, new Recut(options), server);
        encoder.end();
        const { items, error } = await outcomeOf<Buffer>(
          client.pipe(new Recut(options)).pipe(new LengthPrefixDecoder()),
        );
        await back;
        expect(error).to.equal(undefined);
        expect(sizesOf(items)).to.deep.equal(sizes);
        expect(items.every((message, i) => message.equals(payload(i, sizes[i]!)))).to.equal(true);
      });
    }

    it('answers come where each side waits for the other', async () => {
      const [client, server] = (await transports.TCP!()) as [Socket, Socket];
      const served = pipeline(server, new Recut({ sizes: [5] }), server);
      const messages = framed(client);
      for (const text of ['a', 'bc', 'def']) {
        messages.write(text);
        const [answer] = await once(messages, 'data');
        expect(String(answer)).to.equal(text);
      }
      messages.end();
      await Promise.all([served, once(messages, 'close')]);
    });
  });

  it('refuses what it can not do', () => {
    const refused: [RecutOptions, string, RegExp][] = [
      [{ sizes: 3 as never }, 'ERR_INVALID_ARG_TYPE', /"options.sizes".* an array of numbers. Received type number/],
      [{ sizes: ['a' as never] }, 'ERR_INVALID_ARG_TYPE', /"options.sizes\[0\]".* number/],
      [{ sizes: [1, -1] }, 'ERR_OUT_OF_RANGE', /"options.sizes\[1\]" is out of range/],
      [{ sizes: [] }, 'ERR_INVALID_ARG_VALUE', /'options.sizes' must be an array of lengths that are not all 0/],
      [{ sizes: [0, 0] }, 'ERR_INVALID_ARG_VALUE', /'options.sizes'/],
      [{ seed: 1.5 }, 'ERR_OUT_OF_RANGE', /"options.seed" is out of range/],
      [{ seed: 1, sizes: [1] }, 'ERR_INVALID_ARG_VALUE', /'options.seed' must be left out if sizes is given/],
      [{ join: 1 as never }, 'ERR_INVALID_ARG_TYPE', /"options.join".* of type boolean/],
    ];
    for (const [options, code, message] of refused) {
      const error = thrownBy(() => new Recut(options));
      expect(error).to.include({ code });
      expect(error.message).to.match(message);
    }
    const sizes = [2];
    const stream = new Recut({ sizes });
    sizes[0] = 0;
    stream.end('abc');
    expect(String(stream.read())).to.equal('ab');
  });
});
