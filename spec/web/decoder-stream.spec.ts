import { expect } from 'chai';
import fc from 'fast-check';
import {
  type ByteChunk,
  LengthPrefixDecoderStream,
  type LengthPrefixDecoderStreamOptions,
} from '../../lib/web/index.js';
import { cutConversations, truncatedConversations } from '../properties/arbitraries.js';
import { runs } from '../support/runs.js';
import { encode, fromHex, thrownBy } from '../support/streams.js';
import { outcomeOf, settled, streamOf, utf8, writeAll } from './support.js';

const hello = fromHex('05000000 68656c6c6f');

async function decode<Batch extends boolean = false, T = Uint8Array>(
  chunks: Iterable<ByteChunk>,
  options?: LengthPrefixDecoderStreamOptions<Batch, T, false>,
) {
  const decoder = new LengthPrefixDecoderStream(options);
  const writes = writeAll(decoder.writable, chunks);
  const outcome = await outcomeOf(decoder.readable);
  return { ...outcome, writes: await writes };
}

describe('LengthPrefixDecoderStream', () => {
  it('makes messages of any format of bytes however they are cut', async () => {
    await fc.assert(
      fc.asyncProperty(cutConversations, fc.nat(3), async ({ options, messages, chunks }, highWaterMark) => {
        const { items, error } = await decode(chunks, { ...options, highWaterMark });
        expect(error).to.equal(undefined);
        expect(items.map((item) => Buffer.from(item))).to.deep.equal(messages);
        expect(items.every((item) => item.constructor === Uint8Array)).to.equal(true);
      }),
      { numRuns: runs(200) },
    );
  });

  it('hands out all messages before a truncated end, in order, at any pace, and then fails with its writer', async () => {
    await fc.assert(
      fc.asyncProperty(
        truncatedConversations,
        fc.nat(20),
        async ({ options, messages, frames, wire: { length }, chunks }, readableHighWaterMark) => {
          const decoder = new LengthPrefixDecoderStream({ ...options, readableHighWaterMark });
          const writes = writeAll(decoder.writable, chunks);
          await settled();
          const { items, error } = await outcomeOf(decoder.readable);
          let whole = 0;
          let end = 0;
          while (whole < frames.length && end + frames[whole]!.length <= length) end += frames[whole++]!.length;
          expect(items.map((item) => Buffer.from(item))).to.deep.equal(messages.slice(0, whole));
          const closing = (await writes).at(-1)!;
          if (end === length) {
            expect(error).to.equal(undefined);
            expect(closing.status).to.equal('fulfilled');
          } else {
            expect(error).to.include({ name: 'FrameError', code: 'ERR_FRAME_TRUNCATED', position: end });
            expect(closing).to.include({ status: 'rejected', reason: error });
          }
        },
      ),
      { numRuns: runs(200) },
    );
  });

  it('ends when it was given nothing, or nothing but empty chunks', async () => {
    for (const chunks of [[], [new Uint8Array(0), new ArrayBuffer(0)]]) {
      const { items, error, writes } = await decode(chunks);
      expect(items).to.deep.equal([]);
      expect(error).to.equal(undefined);
      expect(writes.every(({ status }) => status === 'fulfilled')).to.equal(true);
    }
  });

  it('counts the cost of chunks that wait (backpressure)', () => {
    const sizes: [unknown, number][] = [
      [new ArrayBuffer(1000), 1000],
      [new Uint8Array(0), 64],
      [new DataView(new ArrayBuffer(100_000), 5, 1), 6250],
      [new Uint8Array(10_000_000).subarray(0, 1), 65_536],
      // They fail in their turn.
      ['no bytes', 64],
      [{ byteLength: -1 }, 64],
    ];
    for (const [chunk, size] of sizes) {
      const writer = new LengthPrefixDecoderStream().writable.getWriter();
      writer.closed.catch(() => {});
      expect(writer.desiredSize).to.equal(131_072);
      writer.write(chunk as ByteChunk).catch(() => {});
      expect(writer.desiredSize).to.equal(131_072 - size);
    }
  });

  it('takes all kinds of bytes, and nothing else', async () => {
    const bytes = Uint8Array.from(hello);
    const shared = new SharedArrayBuffer(bytes.length);
    new Uint8Array(shared).set(bytes);
    const padded = Uint8Array.from([0, ...bytes, 0]);
    const kinds: ByteChunk[] = [bytes, bytes.buffer, shared, new DataView(padded.buffer, 1, bytes.length), hello];
    for (const chunk of kinds) expect((await decode([chunk])).items.map(utf8)).to.deep.equal(['hello']);
    for (const chunk of ['hello', null, undefined, 5, {}, [1], { byteLength: -1 }]) {
      const { items, error, writes } = await decode([hello, chunk as ByteChunk]);
      expect(items.map(utf8)).to.deep.equal(['hello']);
      expect(error).to.be.instanceOf(TypeError).and.include({ code: 'ERR_INVALID_ARG_TYPE' });
      expect(error!.message).to.match(/^The "chunk" argument must be an ArrayBuffer/);
      expect(writes[1]).to.include({ status: 'rejected', reason: error });
    }
  });

  it('fails on both sides for bytes that are gone', async () => {
    const detached = new DataView(new ArrayBuffer(9));
    structuredClone(detached.buffer, { transfer: [detached.buffer] });
    const { items, error, writes } = await decode([hello, detached]);
    expect(items.map(utf8)).to.deep.equal(['hello']);
    expect(error).to.be.instanceOf(TypeError);
    expect(writes[1]).to.include({ status: 'rejected', reason: error });
  });

  it('gives a view of the chunk, or with `copy` memory of its own', async () => {
    for (const copy of [false, true]) {
      const chunk = Uint8Array.from(hello);
      const { items } = await decode([chunk], { copy });
      expect(items[0]!.buffer === chunk.buffer).to.equal(!copy);
    }
  });

  it('hands out batches', async () => {
    const { items } = await decode([Buffer.concat([hello, hello, hello.subarray(0, 3)]), hello.subarray(3)], {
      batch: true,
    });
    expect(items.map((batch) => batch.map(utf8))).to.deep.equal([['hello', 'hello'], ['hello']]);
  });

  it('passes over a payload that is too long, and tells of it', async () => {
    const told: [number, number][] = [];
    const onOversize = (...args: [number, number]) => void told.push(args);
    const wire = await encode(['a', 'too long', 'b']);
    const options = { maxPayloadLength: 7, oversize: 'skip' } as const;
    expect((await decode([wire], { ...options, onOversize })).items.map(utf8)).to.deep.equal(['a', 'b']);
    expect(told).to.deep.equal([[8, 5]]);
    expect((await decode([wire], options)).items.map(utf8)).to.deep.equal(['a', 'b']);
    const { items, error } = await decode([wire], { maxPayloadLength: 7 });
    expect(items.map(utf8)).to.deep.equal(['a']);
    expect(error).to.include({ code: 'ERR_FRAME_TOO_LONG', position: 5 });
  });

  it('fails with any value that `onOversize` throws, behind the messages before', async () => {
    const wire = await encode(['a', 'too long', 'b']);
    for (const thrown of [new Error('too much'), undefined]) {
      const onOversize = () => {
        throw thrown;
      };
      const options = { maxPayloadLength: 7, oversize: 'skip', onOversize } as const;
      for (const batch of [false, true]) {
        const { items, writes } = await decode([wire], { ...options, batch });
        expect(items.flat().map(utf8)).to.deep.equal(['a']);
        const { status, reason } = writes[0] as PromiseRejectedResult;
        expect(status).to.equal('rejected');
        if (thrown !== undefined) expect(reason).to.equal(thrown);
        else expect(reason).to.include({ code: 'ERR_FRAME_CORRUPT', position: 5 });
      }
    }
  });

  it('fails with the rejection of `onOversize`', async () => {
    const failure = new Error('no log');
    const onOversize = async () => {
      throw failure;
    };
    const options = { maxPayloadLength: 7, oversize: 'skip', onOversize } as const;
    for (const batch of [false, true]) {
      const decoder = new LengthPrefixDecoderStream({ ...options, batch });
      const writer = decoder.writable.getWriter();
      writer.closed.catch(() => {});
      await writer.write(await encode(['a', 'too long', 'b']));
      await settled();
      const write = writer.write(await encode(['c'])).catch((error) => error);
      const { items, error } = await outcomeOf(decoder.readable);
      expect(items.flat().map(utf8)).to.deep.equal(['a', 'b']);
      expect(error).to.equal(failure);
      expect(await write).to.equal(failure);
    }
  });

  it("fails for a wrong answer of a length field of the user's own", async () => {
    for (const read of [null, 5n, { length: 5n, width: 4 }, { length: 5, width: 4n }, 'x']) {
      const lengthField = { maxWidth: 4, read: () => read as never, write: () => new Uint8Array(4) };
      const { items, error } = await decode([hello], { lengthField });
      expect(items).to.deep.equal([]);
      expect(error).to.include({ code: 'ERR_FRAME_CORRUPT', position: 0 });
    }
  });

  it('holds back a writer of chunks that are small, but not free', async () => {
    const chunks = [() => new Uint8Array(0), () => new Uint8Array(65_536).subarray(0, 1)];
    const most = [131_072 / 64, (16 * 131_072) / 65_536];
    for (const [number, chunk] of chunks.entries()) {
      const writer = new LengthPrefixDecoderStream({ readableHighWaterMark: 1 }).writable.getWriter();
      void writer.write(Buffer.concat([hello, hello]));
      let written = 0;
      for (; writer.desiredSize! > 0 && written < 10_000; written++) {
        void writer.write(chunk());
        if (written % 100 === 0) await settled();
      }
      expect(written).to.be.within(16, most[number]!);
    }
  });

  it('hands out the values that `decode` makes, once for each message, and fails with its exception behind them', async () => {
    const seen: string[] = [];
    const parse = (bytes: Uint8Array, start: number, end: number) => {
      seen.push(utf8(bytes.subarray(start, end)));
      return JSON.parse(seen.at(-1)!) as number;
    };
    const wire = await encode(['1', '2', 'x', '4']);
    const { items, error } = await decode([wire], { decode: parse });
    expect(items).to.deep.equal([1, 2]);
    expect(error).to.include({ code: 'ERR_FRAME_CORRUPT', position: 10 });
    expect(error!.cause).to.be.instanceOf(SyntaxError);
    expect(seen).to.deep.equal(['1', '2', 'x']);
  });

  it('decodes each message once, also when that reads, and stops where it leaves', async () => {
    const seen: number[] = [];
    const decoder = new LengthPrefixDecoderStream({
      readableHighWaterMark: 0,
      decode: (_, start) => {
        seen.push(start);
        if (seen.length < 3) void reader.read();
        if (seen.length === 4) void reader.cancel();
        return start;
      },
    });
    const reader = decoder.readable.getReader();
    const first = reader.read();
    await settled();
    const writer = decoder.writable.getWriter();
    writer.closed.catch(() => {});
    const write = writer.write(Buffer.concat([hello, hello, hello, hello, hello])).catch(() => 'cancelled');
    expect((await first).value).to.equal(4);
    await settled();
    expect(seen).to.deep.equal([4, 13, 22]);
    void reader.read().catch(() => {});
    expect(await write).to.equal('cancelled');
    expect(seen).to.deep.equal([4, 13, 22, 31]);
  });

  it('refuses options as the Node streams do', () => {
    const wrong: [object, string, string][] = [
      [{ lengthField: 'uint12' }, 'ERR_INVALID_ARG_VALUE', 'options.lengthField'],
      [{ batch: 1 }, 'ERR_INVALID_ARG_TYPE', 'options.batch'],
      [{ oversize: 'ignore' }, 'ERR_INVALID_ARG_VALUE', "options.oversize' must be 'error' or 'skip'"],
      [
        { onOversize: 1, oversize: 'skip' },
        'ERR_INVALID_ARG_TYPE',
        'options.onOversize" property must be of type function',
      ],
      [{ onOversize: () => {} }, 'ERR_INVALID_ARG_VALUE', "options.oversize' must be 'skip' where onOversize is given"],
      [{ highWaterMark: -1 }, 'ERR_OUT_OF_RANGE', 'options.highWaterMark'],
      [{ readableHighWaterMark: 1.5 }, 'ERR_OUT_OF_RANGE', 'options.readableHighWaterMark'],
      [{ writableHighWaterMark: '1' }, 'ERR_INVALID_ARG_TYPE', 'options.writableHighWaterMark'],
      [{ stream: true, batch: true }, 'ERR_INVALID_ARG_VALUE', 'options.batch'],
    ];
    for (const [options, code, name] of wrong) {
      const error = thrownBy(() => new LengthPrefixDecoderStream(options));
      expect(error).to.include({ code });
      expect(error.message).to.include(name);
    }
  });

  it('can be piped to with marks of 0', async () => {
    const { items } = await outcomeOf(
      streamOf([hello, hello]).pipeThrough(new LengthPrefixDecoderStream({ highWaterMark: 0 })),
    );
    expect(items.map(utf8)).to.deep.equal(['hello', 'hello']);
  });

  it('says so when the memory of a chunk was transferred with a message', async () => {
    const wire = Uint8Array.from(Buffer.concat([hello, hello, hello.subarray(0, 3)]));
    const transfer = ({ buffer }: Uint8Array) => structuredClone(buffer, { transfer: [buffer as ArrayBuffer] });
    const gone = { name: 'TypeError', code: 'ERR_INVALID_STATE' };
    for (const options of [{}, { maxPayloadLength: 5, oversize: 'skip' }] as const) {
      const { readable, writable } = new LengthPrefixDecoderStream({ ...options, readableHighWaterMark: 0 });
      const writes = writeAll(writable, [wire.slice(), hello.subarray(3)]);
      const reader = readable.getReader();
      transfer((await reader.read()).value!);
      const error = await reader.read().catch((reason) => reason);
      expect(error, error?.stack).to.include(gone);
      expect((await writes)[0]).to.include({ status: 'rejected', reason: error });
    }
    for (const early of [true, false]) {
      const { readable, writable } = new LengthPrefixDecoderStream({ stream: true, readableHighWaterMark: 0 });
      const writes = writeAll(writable, [wire.slice(), hello.subarray(3)]);
      const reader = readable.getReader();
      const { items } = await outcomeOf((await reader.read()).value!.body);
      if (early) transfer(items[0]!);
      const second = await reader.read().catch((reason) => reason);
      let error = second;
      if (!early) {
        transfer(items[0]!);
        error = (await outcomeOf(second.value.body)).error;
        expect(await reader.read().catch((reason) => reason)).to.equal(error);
      }
      expect(error, error?.stack).to.include(gone);
      expect((await writes)[0]).to.include({ status: 'rejected', reason: error });
    }
  });

  it('is a pair for pipeThrough, whose source may fail', async () => {
    const failure = new Error('the line broke');
    const decoder = new LengthPrefixDecoderStream({ readableHighWaterMark: 1 });
    const messages = streamOf([hello, Buffer.concat([hello, hello]), hello.subarray(0, 2)], failure).pipeThrough(
      decoder,
    );
    await settled();
    const { items, error } = await outcomeOf(messages);
    expect(items.map(utf8)).to.deep.equal(['hello', 'hello', 'hello']);
    expect(error).to.equal(failure);
  });

  describe('and its reader', () => {
    const wire = Buffer.concat(Array.from({ length: 100 }, () => hello));

    for (const readableHighWaterMark of [0, 1, 16]) {
      it(`holds ${readableHighWaterMark} messages at most for one that has stopped`, async () => {
        let made = 0;
        const decoder = new LengthPrefixDecoderStream({ readableHighWaterMark, decode: () => ++made });
        const writer = decoder.writable.getWriter();
        let written = false;
        const write = writer.write(wire).then(() => {
          written = true;
        });
        await settled();
        expect(made).to.equal(readableHighWaterMark);
        const reader = decoder.readable.getReader();
        for (let read = 1; read <= 10; read++) {
          expect((await reader.read()).value).to.equal(read);
          await settled();
          expect(made).to.equal(read + readableHighWaterMark);
        }
        expect(written).to.equal(false);
        for (let read = 11; read <= 100; read++) await reader.read();
        const more = reader.read();
        await write;
        await writer.close();
        expect((await more).done).to.equal(true);
      });
    }

    it('has a write done with when all that it becomes was wanted', async () => {
      for (const options of [{}, { batch: true }, { decode: () => 1 }, { copy: true }]) {
        const wanted = new LengthPrefixDecoderStream({ ...options, readableHighWaterMark: 0 });
        const read = wanted.readable.getReader().read();
        await wanted.writable.getWriter().write(hello);
        await read;
        // There is room for one, wanted or not; what comes behind it is held, but for what is nothing.
        const { writable } = new LengthPrefixDecoderStream({ ...options, readableHighWaterMark: 1 });
        const writer = writable.getWriter();
        await writer.write(hello);
        await writer.write(new Uint8Array(0));
        let written = false;
        void writer.write(hello).then(() => {
          written = true;
        });
        await settled();
        expect(written).to.equal(false);
      }
    });

    it('may ask for many at once', async () => {
      for (const readableHighWaterMark of [0, 3]) {
        const decoder = new LengthPrefixDecoderStream({ readableHighWaterMark });
        const reader = decoder.readable.getReader();
        const reads = Array.from({ length: 100 }, () => reader.read());
        void decoder.writable.getWriter().write(wire);
        for (const { value } of await Promise.all(reads)) expect(utf8(value!)).to.equal('hello');
      }
    });

    it('that leaves fails the writer', async () => {
      const reason = new Error('seen enough');
      const decoder = new LengthPrefixDecoderStream();
      const writer = decoder.writable.getWriter();
      const write = writer.write(wire).catch((error) => error);
      await decoder.readable.cancel(reason);
      expect(await write).to.equal(reason);
      expect(await writer.closed.catch((error) => error)).to.equal(reason);
      expect(await writer.write(wire).catch((error) => error)).to.equal(reason);
    });

    it('gets the messages before an abort, and then its reason', async () => {
      const reason = new Error('enough');
      const decoder = new LengthPrefixDecoderStream({ readableHighWaterMark: 2 });
      const writer = decoder.writable.getWriter();
      writer.closed.catch(() => {});
      const write = writer.write(wire).catch((error) => error);
      await settled();
      await writer.abort(reason);
      expect(await write).to.equal(reason);
      const { items, error } = await outcomeOf(decoder.readable);
      expect(items).to.have.lengthOf(100);
      expect(error).to.equal(reason);
    });

    it('gets undefined where an abort gave no reason, as from a TransformStream', async () => {
      for (const chunks of [[], [hello]]) {
        const { readable, writable } = new LengthPrefixDecoderStream({ readableHighWaterMark: 0 });
        const writer = writable.getWriter();
        writer.closed.catch(() => {});
        const writes = chunks.map((chunk) => writer.write(chunk).catch((error) => error));
        await settled();
        await writer.abort();
        const { items, error } = await outcomeOf(readable);
        expect(items).to.have.lengthOf(chunks.length);
        expect(error).to.equal(undefined);
        expect(await writer.closed.catch((reason) => reason)).to.equal(undefined);
        for (const write of writes) expect(await write).to.include({ name: 'AbortError' });
      }
    });
  });

  it('fails with the first fault, whatever comes after it', async () => {
    const decoder = new LengthPrefixDecoderStream({ readableHighWaterMark: 1, maxPayloadLength: 10 });
    const writer = decoder.writable.getWriter();
    writer.closed.catch(() => {});
    writer.write(Buffer.concat([hello, Buffer.alloc(4, 0xff)])).catch(() => {});
    const reader = decoder.readable.getReader();
    await settled();
    const first = await reader.read();
    expect(utf8(first.value!)).to.equal('hello');
    await writer.abort(new Error('too late')).catch(() => {});
    expect(await reader.read().catch((error) => error)).to.include({ code: 'ERR_FRAME_TOO_LONG' });
  });

  describe('with `stream`', () => {
    const open = (options = {}) => {
      const decoder = new LengthPrefixDecoderStream({ ...options, stream: true });
      return { decoder, writer: decoder.writable.getWriter(), reader: decoder.readable.getReader() };
    };

    it('hands out bodies with the bytes of the messages, however they are cut', async () => {
      await fc.assert(
        fc.asyncProperty(cutConversations, async ({ options, messages, chunks }) => {
          const { readable, writable } = new LengthPrefixDecoderStream({ ...options, stream: true });
          void writeAll(writable, chunks);
          const read: Buffer[] = [];
          for await (const { length, body } of readable) {
            const { items, error } = await outcomeOf(body);
            expect(error).to.equal(undefined);
            read.push(Buffer.concat(items));
            expect(read.at(-1)).to.have.lengthOf(length);
          }
          expect(read).to.deep.equal(messages);
        }),
        { numRuns: runs(100) },
      );
    });

    it('hands out a length before its bytes, and the next message when they are read', async () => {
      const { writer, reader } = open();
      void writer.write(hello.subarray(0, 4));
      const { length, body } = (await reader.read()).value!;
      expect(length).to.equal(5);
      let next: unknown;
      const reading = reader.read().then((result) => {
        next = result;
      });
      void writer.write(Buffer.concat([hello.subarray(4), hello]));
      await settled();
      expect(next).to.equal(undefined);
      expect((await outcomeOf(body)).items.map(utf8)).to.deep.equal(['hello']);
      await reading;
      expect(next).to.deep.include({ done: false });
    });

    it('passes over the rest of a body that is cancelled', async () => {
      const { writer, reader } = open();
      void writer.write(Buffer.concat([hello, hello.subarray(0, 6)]));
      await (await reader.read()).value!.body.cancel();
      const second = (await reader.read()).value!;
      const part = second.body.getReader();
      expect(utf8((await part.read()).value!)).to.equal('he');
      await part.cancel();
      void writer.write(hello.subarray(6));
      void writer.write(hello);
      expect((await outcomeOf((await reader.read()).value!.body)).items.map(utf8)).to.deep.equal(['hello']);
      void writer.close();
      expect((await reader.read()).done).to.equal(true);
    });

    it('goes on at once when a body is cancelled that the next message waits for', async () => {
      const { writer, reader } = open();
      void writer.write(Buffer.concat([hello, hello]));
      const { body } = (await reader.read()).value!;
      const next = reader.read();
      await settled();
      await body.cancel();
      expect((await next).value!.length).to.equal(5);
    });

    it('can be left when no body is open', async () => {
      const { writer, reader } = open();
      void writer.write(Buffer.alloc(4));
      await reader.read();
      const reason = new Error('enough');
      await reader.cancel(reason);
      expect(await writer.closed.catch((error) => error)).to.equal(reason);
    });

    it('is not disturbed by a body that is cancelled when the next one is under way', async () => {
      const { writer, reader } = open();
      void writer.write(hello.subarray(0, 4));
      const { body } = (await reader.read()).value!;
      // Who asks for a part and leaves has it waiting for the next one.
      const part = body.getReader();
      const read = part.read().catch((error) => error);
      part.releaseLock();
      expect(await read).to.be.instanceOf(TypeError);
      void writer.write(Buffer.concat([hello.subarray(4), hello]));
      const next = (await reader.read()).value!;
      await body.cancel();
      expect((await outcomeOf(next.body)).items.map(utf8)).to.deep.equal(['hello']);
    });

    it('gives a reader that asks for more bytes than a body has all that it has', async () => {
      const { writer, reader } = open();
      void writer.write(hello.subarray(0, 4));
      const part = (await reader.read()).value!.body.getReader();
      const reads = [part.read(), part.read(), part.read()];
      void writer.write(hello.subarray(4, 6));
      void writer.write(hello.subarray(6));
      const [first, second, third] = await Promise.all(reads);
      expect([utf8(first!.value!), utf8(second!.value!)]).to.deep.equal(['he', 'llo']);
      expect(third!.done).to.equal(true);
    });

    it('does not wait for an empty one', async () => {
      const { writer, reader } = open();
      void writer.write(Buffer.concat([Buffer.alloc(8), hello]));
      expect((await reader.read()).value!.length).to.equal(0);
      const { length, body } = (await reader.read()).value!;
      expect(length).to.equal(0);
      expect((await outcomeOf(body)).items).to.deep.equal([]);
      expect((await reader.read()).value!.length).to.equal(5);
    });

    it('holds no more than the chunk, whose write is done when the body has it', async () => {
      const { writer, reader } = open();
      let written = false;
      void writer.write(hello.subarray(0, 7)).then(() => {
        written = true;
      });
      const { body } = (await reader.read()).value!;
      await settled();
      expect(written).to.equal(false);
      const part = body.getReader();
      expect(utf8((await part.read()).value!)).to.equal('hel');
      await settled();
      expect(written).to.equal(true);
    });

    it('holds a write until a body has got its bytes of the head, or is cancelled', async () => {
      for (const leave of [false, true]) {
        const { writer, reader } = open({ initialBytesToStrip: 0 });
        await writer.write(Uint8Array.of(0, 0));
        let written = false;
        void writer.write(Uint8Array.of(0, 0)).then(() => {
          written = true;
        });
        const { length, body } = (await reader.read()).value!;
        expect(length).to.equal(4);
        await settled();
        expect(written).to.equal(false);
        if (leave) await body.cancel();
        else expect((await outcomeOf(body)).items).to.deep.equal([new Uint8Array(4)]);
        await settled();
        expect(written).to.equal(true);
        await writer.close();
      }
    });

    it('fails a body and the stream when the input ends inside it', async () => {
      const { writer, reader } = open();
      void writer.write(hello.subarray(0, 7));
      const closing = writer.close().catch((error) => error);
      const { body } = (await reader.read()).value!;
      const { items, error } = await outcomeOf(body);
      expect(items.map(utf8)).to.deep.equal(['hel']);
      expect(error).to.include({ code: 'ERR_FRAME_TRUNCATED', position: 0 });
      expect(await reader.read().catch((reason) => reason)).to.equal(error);
      expect(await closing).to.equal(error);
    });

    it('fails the body when its reader leaves', async () => {
      const { writer, reader } = open();
      const reason = new Error('enough');
      const write = writer.write(hello.subarray(0, 7)).catch((error) => error);
      writer.closed.catch(() => {});
      const { body } = (await reader.read()).value!;
      await reader.cancel(reason);
      expect((await outcomeOf(body)).error).to.equal(reason);
      expect(await write).to.equal(reason);
    });
  });
});
