import { Readable } from 'node:stream';
import { expect } from 'chai';
import fc from 'fast-check';
import {
  encode as encodeOne,
  formats,
  json,
  LengthPrefixDecoderStream,
  LengthPrefixEncoderStream,
  type LengthPrefixEncoderStreamOptions,
  type Message,
} from '../../lib/web/index.js';
import { conversations } from '../properties/arbitraries.js';
import { runs } from '../support/runs.js';
import { fromHex, thrownBy } from '../support/streams.js';
import { outcomeOf, settled, streamOf, utf8, writeAll } from './support.js';

const hello = fromHex('05000000 68656c6c6f');

async function encode<T = Message>(messages: Iterable<T>, options?: LengthPrefixEncoderStreamOptions<T>) {
  const encoder = new LengthPrefixEncoderStream(options);
  const writes = writeAll(encoder.writable, messages);
  const { items, error } = await outcomeOf(encoder.readable);
  return { chunks: items, bytes: Buffer.concat(items), error, writes: await writes };
}

describe('LengthPrefixEncoderStream', () => {
  it('makes the frames of any messages in any format', async () => {
    await fc.assert(
      fc.asyncProperty(conversations, async ({ options, messages, frames }) => {
        const before = messages.map((message) => Buffer.from(message));
        const { bytes, error } = await encode(messages, options);
        expect(error).to.equal(undefined);
        expect(bytes).to.deep.equal(Buffer.concat(frames));
        expect(messages).to.deep.equal(before);
      }),
      { numRuns: runs(200) },
    );
  });

  it('fits a decoder with the same options', async () => {
    await fc.assert(
      fc.asyncProperty(conversations, async ({ options, messages }) => {
        const encoder = new LengthPrefixEncoderStream(options);
        void writeAll(encoder.writable, messages);
        const { items } = await outcomeOf(encoder.readable.pipeThrough(new LengthPrefixDecoderStream(options)));
        expect(items.map((item) => Buffer.from(item))).to.deep.equal(messages);
      }),
      { numRuns: runs(100) },
    );
  });

  it('takes strings, bytes, and both in parts', async () => {
    const { bytes } = await encode(['é', Uint8Array.of(1), ['a', Uint8Array.of(2), ''], '', []]);
    expect(bytes).to.deep.equal(fromHex('02000000 c3a9  01000000 01  02000000 61 02  00000000  00000000'));
  });

  it('joins messages that are written together, and leaves none waiting', async () => {
    const encoder = new LengthPrefixEncoderStream();
    const reader = encoder.readable.getReader();
    const first = reader.read();
    const writer = encoder.writable.getWriter();
    for (let i = 0; i < 1000; i++) void writer.write('hello');
    expect((await first).value).to.have.lengthOf(9000);
    void writer.write('hello');
    expect((await reader.read()).value).to.have.lengthOf(9);
  });

  it('writes the length that a message in parts keeps', async () => {
    const { bytes } = await encode<Message>([['\x30', '\0', 'x'.repeat(128)], Uint8Array.of(0x30, 0)], formats.mqtt);
    expect(bytes).to.deep.equal(Buffer.concat([fromHex('30 8001'), Buffer.alloc(128, 'x'), fromHex('30 00')]));
  });

  it('does not copy a large message', async () => {
    const large = new Uint8Array(65_536);
    const body = { length: 65_536, body: [large] };
    const { chunks } = await encode<Message>(['hello', large, 'hello', ['small', large, 'small'], body]);
    expect(chunks.map(({ length }) => length)).to.deep.equal([13, 65_536, 18, 65_536, 5, 4, 65_536]);
    expect(chunks.filter(({ buffer }) => buffer === large.buffer)).to.have.lengthOf(3);
  });

  it('holds a large message until it is taken', async () => {
    const encoder = new LengthPrefixEncoderStream();
    const writer = encoder.writable.getWriter();
    let done = 0;
    for (const length of [65_536, 0]) void writer.write(new Uint8Array(length)).then(() => done++);
    await settled();
    expect(done).to.equal(0);
    const reader = encoder.readable.getReader();
    await reader.read();
    await settled();
    expect(done).to.equal(0);
    await reader.read();
    await settled();
    expect(done).to.equal(2);
  });

  it('counts the cost of messages that wait (backpressure)', () => {
    const { desiredSize: before } = new LengthPrefixEncoderStream().writable.getWriter();
    expect(before).to.equal(65_536);
    const small = Math.max(64, 1000 / 16);
    const sizes: [unknown, number][] = [
      ['x'.repeat(100), 104],
      [new Uint8Array(100), 104],
      ['', 68],
      [new Uint8Array(0), 68],
      [new Uint8Array(1000).subarray(0, 1), 4 + small],
      [new Uint8Array(100_000).subarray(0, 1), 4 + 6250],
      [new Uint8Array(10_000_000).subarray(0, 1), 4 + 65_536],
      [[], 4],
      [['x'.repeat(100), new Uint8Array(200), ''], 4 + 100 + 200 + 64],
      [{ length: 5, body: 'hello' }, 4096],
      [{ length: 50_000, body: [] }, 50_000],
      [{ length: 1e9, body: [] }, 65_536],
      // They fail in their turn.
      [5, 68],
      [null, 68],
      [[null], 68],
      [{ length: 'x', body: [] }, 4096],
      [{ byteLength: Number.NaN }, 68],
    ];
    for (const [message, size] of sizes) {
      const writer = new LengthPrefixEncoderStream<unknown>().writable.getWriter();
      writer.write(message).catch(() => {});
      writer.closed.catch(() => {});
      expect(writer.desiredSize, String(message).slice(0, 40)).to.equal(65_536 - size);
    }
    const writer = new LengthPrefixEncoderStream(json).writable.getWriter();
    void writer.write({ a: 1 });
    expect(writer.desiredSize).to.equal(65_536 - 4096);
  });

  it('copies a small message: it may be changed when its write is done', async () => {
    const encoder = new LengthPrefixEncoderStream();
    const writer = encoder.writable.getWriter();
    const bytes = Uint8Array.from(Buffer.from('hello'));
    await writer.write(bytes);
    bytes.fill(0);
    expect(Buffer.from((await encoder.readable.getReader().read()).value!)).to.deep.equal(hello);
  });

  it('holds a writer back that is faster than the reader', async () => {
    const encoder = new LengthPrefixEncoderStream({ writableHighWaterMark: 50_000 });
    const writer = encoder.writable.getWriter();
    expect(writer.desiredSize).to.equal(50_000);
    let done = 0;
    const write = () => void writer.write(new Uint8Array(10_000)).then(() => done++);
    for (let i = 0; i < 20; i++) write();
    expect(writer.desiredSize).to.equal(50_000 - 20 * 10_004);
    await settled();
    // Up to 64 KiB wait to be joined.
    expect(done).to.equal(6);
    const reader = encoder.readable.getReader();
    let read = 0;
    while (read < 20 * 10_004) read += (await reader.read()).value!.length;
    await settled();
    expect(done).to.equal(20);
    expect(writer.desiredSize).to.equal(50_000);
  });

  it('sends all that was written before a message that can not be sent, and then fails with its writer', async () => {
    const lengthless = {
      get length(): number {
        throw new Error('asked for its length');
      },
    };
    const cases: [unknown, string, RegExp][] = [
      [Buffer.alloc(10), 'ERR_FRAME_TOO_LONG', /a payload of 10 bytes was given, at most 5/],
      [5, 'ERR_INVALID_ARG_TYPE', /^The "message" argument must be a string, a Buffer, a Uint8Array.* codec/],
      [null, 'ERR_INVALID_ARG_TYPE', /Received null$/],
      [['a', 5], 'ERR_INVALID_ARG_TYPE', /Received type number/],
      [{ length: 'x', body: '' }, 'ERR_INVALID_ARG_TYPE', /message\.length/],
      [{ length: 10, body: 'x' }, 'ERR_FRAME_TOO_LONG', /10 bytes/],
      [lengthless, 'ERR_INVALID_ARG_TYPE', /Received an instance of Object/],
    ];
    for (const [message, code, text] of cases) {
      const encoder = new LengthPrefixEncoderStream({ maxPayloadLength: 5 });
      const writes = writeAll(encoder.writable, ['hello', message as string, 'lost']);
      await settled();
      const { items, error } = await outcomeOf(encoder.readable);
      expect(Buffer.concat(items)).to.deep.equal(hello);
      expect(error).to.include({ code });
      expect(error!.message).to.match(text);
      const [first, second, third] = await writes;
      expect(first!.status).to.equal('fulfilled');
      for (const write of [second, third]) expect(write).to.include({ status: 'rejected', reason: error });
    }
  });

  it('writes the messages that `encode` makes, and fails with its exception as the cause', async () => {
    const cause = new Error('not this one');
    const encodeValue = (value: number) => {
      if (value === 3) throw cause;
      return 'x'.repeat(value);
    };
    const { bytes, error } = await encode([1, 2, 3], { encode: encodeValue });
    expect(bytes).to.deep.equal(fromHex('01000000 78 02000000 7878'));
    expect(error).to.include({ code: 'ERR_FRAME_CORRUPT', position: 11 });
    expect(error!.message).to.include("the message can't be encoded: not this one");
    expect(error!.cause).to.equal(cause);
  });

  it('refuses options as the Node streams do', () => {
    const wrong: [object | null, string, string][] = [
      [{ lengthField: 'uint12' }, 'ERR_INVALID_ARG_VALUE', 'options.lengthField'],
      [{ encode: 1 }, 'ERR_INVALID_ARG_TYPE', 'options.encode" property must be of type function'],
      [{ highWaterMark: -1 }, 'ERR_OUT_OF_RANGE', 'options.highWaterMark'],
      [null, 'ERR_INVALID_ARG_TYPE', 'options'],
    ];
    for (const [options, code, name] of wrong) {
      const error = thrownBy(() => new LengthPrefixEncoderStream(options as object));
      expect(error).to.include({ code });
      expect(error.message).to.include(name);
    }
  });

  it('whose reader leaves fails the writer', async () => {
    const reason = new Error('enough');
    const encoder = new LengthPrefixEncoderStream();
    const writer = encoder.writable.getWriter();
    await encoder.readable.cancel(reason);
    expect(await writer.closed.catch((error) => error)).to.equal(reason);
  });

  describe('and bodies', () => {
    async function* slowly(parts: string[]) {
      for (const part of parts) {
        await settled();
        yield part;
      }
    }

    it('sends them from whatever has their bytes', async () => {
      const bodies = [
        'hello',
        Buffer.from('hello'),
        ['he', '', Buffer.from('llo')],
        slowly(['', 'hel', 'lo']),
        streamOf<Uint8Array>([Buffer.from('hello')]),
      ];
      for (const body of bodies) {
        const { bytes, error } = await encode<Message>([{ length: 5, body }, { length: 0, body: [] }, 'hello']);
        expect(error).to.equal(undefined);
        expect(bytes).to.deep.equal(Buffer.concat([hello, Buffer.alloc(4), hello]));
      }
    });

    it('writes the length that they keep, when it is there', async () => {
      const format = { ...formats.mqtt, maxPayloadLength: 200 };
      const source = { length: 130, body: slowly(['\x30', '\0', 'x'.repeat(128)]) };
      const { bytes, error } = await encode<Message>([source, Buffer.alloc(300)], format);
      expect(bytes).to.deep.equal(Buffer.concat([fromHex('30 8001'), Buffer.alloc(128, 'x')]));
      expect(error).to.include({ code: 'ERR_FRAME_TOO_LONG', position: 131 });
    });

    it('asks for a part when the one before was taken', async () => {
      let asked = 0;
      const body = (function* () {
        for (asked = 1; asked <= 3; asked++) yield new Uint8Array(100_000);
      })();
      const encoder = new LengthPrefixEncoderStream();
      void writeAll<Message>(encoder.writable, ['hello', { length: 300_000, body }]);
      await settled();
      expect(asked).to.equal(1);
      const reader = encoder.readable.getReader();
      let before = 0;
      while (before < 9 + 4) before += (await reader.read()).value!.length;
      expect(before).to.equal(9 + 4);
      await settled();
      expect(asked).to.equal(1);
      expect((await reader.read()).value).to.have.lengthOf(100_000);
      await settled();
      expect(asked).to.equal(2);
      await reader.read();
      await reader.read();
      expect((await reader.read()).done).to.equal(true);
    });

    it('does not keep messages in front of them waiting', async () => {
      const encoder = new LengthPrefixEncoderStream();
      const writer = encoder.writable.getWriter();
      void writer.write('hello');
      void writer.write({ length: 5, body: new ReadableStream<string>() });
      void writer.write('behind it');
      expect(Buffer.from((await encoder.readable.getReader().read()).value!)).to.deep.equal(hello);
    });

    it('fails when they are truncated or longer than their length, and cancels them', async () => {
      const cases: [number, string, RegExp, number][] = [
        [6, 'ERR_FRAME_TRUNCATED', /the body ended after 5 of 6 bytes/, 9],
        [4, 'ERR_FRAME_TOO_LONG', /the body has 5 bytes or more, and its length is 4$/, 0],
      ];
      for (const [length, code, message, sent] of cases) {
        const { bytes, error } = await encode<Message>(['hello', { length, body: slowly(['hello']) }]);
        expect(error).to.include({ code, position: 9 });
        expect(error!.message).to.match(message);
        expect(bytes).to.have.lengthOf(9 + sent);
      }
      let cancelled = false;
      const body = new ReadableStream<string>({
        pull: (controller) => controller.enqueue('hello'),
        cancel: () => {
          cancelled = true;
        },
      });
      // Nobody reads what came before the fault.
      void writeAll<Message>(new LengthPrefixEncoderStream().writable, [{ length: 3, body }]);
      await settled();
      expect(cancelled).to.equal(true);
    });

    it('fails with the error of their source', async () => {
      const failure = new Error('the disk is gone');
      const { bytes, error } = await encode<Message>([{ length: 5, body: streamOf(['he'], failure) }]);
      expect(error).to.equal(failure);
      expect(bytes).to.deep.equal(hello.subarray(0, 6));
      const wrong = await encode<Message>([{ length: 5, body: [5] as unknown as string[] }]);
      expect(wrong.error).to.include({ code: 'ERR_INVALID_ARG_TYPE' });
      expect(wrong.error!.message).to.match(/^The "message.body" property must be of strings, Buffers or Uint8Arrays/);
    });

    /** A source of 5 bytes that does not give them, and whether it was let go of. */
    function silent() {
      const source = {
        length: 5,
        cancelled: false,
        body: new ReadableStream<string>({
          cancel: () => {
            source.cancelled = true;
          },
        }),
      };
      return source;
    }

    it('cancels bodies that can not be sent', async () => {
      const [queued, longer, wrong, late, made] = Array.from({ length: 5 }, silent) as ReturnType<typeof silent>[];
      await encode<unknown>([5, queued]);
      await encode<Message>([Object.assign(longer!, { length: 17_000_000 })]);
      await encode<unknown>([Object.assign(wrong!, { length: 'x' })]);
      await encode([1], { encode: () => Object.assign(made!, { length: -1 }) });
      const encoder = new LengthPrefixEncoderStream();
      const writer = encoder.writable.getWriter();
      void writer.write(new Uint8Array(100_000));
      void writer.close();
      expect(await writer.write(late!).catch((error) => error)).to.be.instanceOf(TypeError);
      expect((await outcomeOf(encoder.readable)).items).to.have.lengthOf(2);
      await settled();
      for (const source of [queued, longer, wrong, made, late]) expect(source!.cancelled).to.equal(true);
    });

    it('cancels bodies that are written when it can send no more', async () => {
      const ends: Record<string, (writer: WritableStreamDefaultWriter, readable: ReadableStream) => unknown> = {
        cancelled: (_, readable) => readable.cancel(),
        aborted: (writer) => writer.abort(),
        failed: (writer) => writer.write(5).catch(() => {}),
        closed: (writer) => writer.close(),
      };
      for (const [name, end] of Object.entries(ends)) {
        const encoder = new LengthPrefixEncoderStream();
        const writer = encoder.writable.getWriter();
        writer.closed.catch(() => {});
        const ended = end(writer, encoder.readable);
        if (name !== 'cancelled') await outcomeOf(encoder.readable);
        await ended;
        await letsGo(writer, name);
      }
    });

    async function letsGo(writer: WritableStreamDefaultWriter<Message>, name: string): Promise<void> {
      const source = silent();
      const file = new Readable({ read() {} });
      let returned = false;
      const parts = (function* () {
        try {
          yield 'hello';
        } finally {
          returned = true;
        }
      })();
      parts.next();
      const writes = [source, { length: 5, body: file }, { length: 5, body: parts }].map((each) => writer.write(each));
      for (const { status } of await Promise.allSettled(writes)) expect(status, name).to.equal('rejected');
      await settled();
      expect(source.cancelled, name).to.equal(true);
      expect(file.destroyed, name).to.equal(true);
      expect(returned, name).to.equal(true);
    }

    it('cancels bodies that wait when it fails', async () => {
      for (const leave of ['cancel', 'abort'] as const) {
        const encoder = new LengthPrefixEncoderStream();
        const writer = encoder.writable.getWriter();
        writer.closed.catch(() => {});
        const sources = Array.from({ length: 3 }, silent);
        const writes = Promise.allSettled(sources.map((source) => writer.write(source)));
        if (leave === 'cancel') await encoder.readable.cancel();
        else await writer.abort();
        await writes;
        await settled();
        expect(sources.map(({ cancelled }) => cancelled)).to.deep.equal([true, true, true]);
      }
    });

    it('takes streams that are no async iterables', async () => {
      const stream = streamOf<Uint8Array>([Buffer.from('hel'), Buffer.from('lo')]);
      // As it is in browsers without them.
      const bare = { getReader: () => stream.getReader(), cancel: (reason?: unknown) => stream.cancel(reason) };
      const { bytes, error } = await encode<Message>([{ length: 5, body: bare }]);
      expect(error).to.equal(undefined);
      expect(bytes).to.deep.equal(hello);
      expect(stream.locked).to.equal(false);
    });

    it('lets go of one that is made when the reader has left', async () => {
      const source = silent();
      const encoder: LengthPrefixEncoderStream<number> = new LengthPrefixEncoderStream({
        encode: () => {
          void encoder.readable.cancel();
          return source;
        },
      });
      await Promise.allSettled([encoder.writable.getWriter().write(1)]);
      await settled();
      expect(source.cancelled).to.equal(true);
    });

    it('asks for no more of them after an abort or a cancel', async () => {
      for (const abort of [true, false]) {
        let asked = 0;
        let left = false;
        // No iterator itself: all that can be done is not to ask for more.
        const body = {
          [Symbol.iterator]: () => ({
            next: () => ({ done: false as const, value: `part ${asked++}` }),
            return: () => {
              left = true;
              return { done: true as const, value: undefined };
            },
          }),
        };
        const encoder = new LengthPrefixEncoderStream({ readableHighWaterMark: 1 });
        const writer = encoder.writable.getWriter();
        const reader = encoder.readable.getReader();
        const write = writer.write({ length: 1_000_000, body }).catch((error) => error);
        await reader.read();
        await settled();
        const before = asked;
        const reason = new Error('enough');
        await (abort ? writer.abort(reason) : reader.cancel(reason));
        await settled();
        expect(asked).to.equal(before);
        expect(left).to.equal(true);
        expect(await write).to.equal(reason);
        if (!abort) continue;
        // What it had given is read.
        for (let at = 1; at < before; at++) expect(utf8((await reader.read()).value!)).to.equal(`part ${at}`);
        expect(await reader.read().catch((error) => error)).to.equal(reason);
      }
    });

    it('asks for no more behind an empty part that comes after an abort', async () => {
      const calls: string[] = [];
      let give = (_part: IteratorResult<string, undefined>) => {};
      const body = {
        [Symbol.asyncIterator]: () => body,
        next: () => {
          calls.push('next');
          return new Promise<IteratorResult<string, undefined>>((resolve) => {
            give = resolve;
          });
        },
        return: async () => {
          calls.push('return');
          return { done: true as const, value: undefined };
        },
      };
      const encoder = new LengthPrefixEncoderStream();
      const writer = encoder.writable.getWriter();
      writer.closed.catch(() => {});
      void writer.write({ length: 5, body }).catch(() => {});
      await settled();
      await writer.abort();
      give({ done: false, value: '' });
      await settled();
      expect(calls.filter((call) => call === 'next')).to.have.lengthOf(1);
      expect(calls).to.include('return');
    });

    it('sends nothing of an empty one whose end comes after an abort', async () => {
      const encoder = new LengthPrefixEncoderStream();
      const writer = encoder.writable.getWriter();
      writer.closed.catch(() => {});
      await writer.write('hello');
      void writer.write({ length: 0, body: new ReadableStream<string>() }).catch(() => {});
      await settled();
      const reason = new Error('enough');
      await writer.abort(reason);
      await settled();
      const { items, error } = await outcomeOf(encoder.readable);
      expect(Buffer.concat(items)).to.deep.equal(hello);
      expect(error).to.equal(reason);
    });

    it('fails with one of Node that fails before its turn', async () => {
      const failure = new Error('the disk is gone');
      const body = new Readable({ read() {} });
      const encoder = new LengthPrefixEncoderStream();
      const writer = encoder.writable.getWriter();
      void writer.write({ length: 5, body: slowly(['he', 'llo']) });
      const write = writer.write({ length: 5, body }).catch((error) => error);
      body.destroy(failure);
      const { items, error } = await outcomeOf(encoder.readable);
      expect(Buffer.concat(items)).to.deep.equal(hello);
      expect(error).to.equal(failure);
      expect(await write).to.equal(failure);
    });

    it('lets go of them when the reader leaves, or the writer aborts', async () => {
      for (const leave of [
        (encoder: LengthPrefixEncoderStream) => encoder.readable.cancel(),
        (_: LengthPrefixEncoderStream, writer: WritableStreamDefaultWriter) => writer.abort(),
      ]) {
        let cancelled = false;
        const body = new ReadableStream<string>({
          cancel: () => {
            cancelled = true;
          },
        });
        const encoder = new LengthPrefixEncoderStream();
        const writer = encoder.writable.getWriter();
        writer.closed.catch(() => {});
        const write = writer.write({ length: 5, body }).catch(() => 'failed');
        await settled();
        await leave(encoder, writer);
        await settled();
        expect(await write).to.equal('failed');
        expect(cancelled).to.equal(true);
      }
    });
  });

  describe('aborted with writes queued', () => {
    type Abort = 'in the same tick' | 'behind the first' | 'inside encode' | 'when all is quiet';
    const reason = new Error('enough');

    /** Writes ten messages and aborts. Gives what the reader got, and the number of writes that were fulfilled. */
    async function aborted(when: Abort, waits: boolean) {
      const encode = (value: string) => {
        if (when === 'inside encode' && value === 'write 3') void writer.abort(reason);
        return value;
      };
      const encoder: LengthPrefixEncoderStream<string> = new LengthPrefixEncoderStream({ encode });
      const writer = encoder.writable.getWriter();
      writer.closed.catch(() => {});
      if (when !== 'in the same tick') await settled();
      let outcome = waits ? outcomeOf(encoder.readable) : undefined;
      const writes = Array.from({ length: 10 }, (_, number) => writer.write(`write ${number}`));
      const fates = Promise.allSettled(writes);
      if (when === 'behind the first') await writes[0];
      if (when === 'when all is quiet') await settled();
      if (when !== 'inside encode') await writer.abort(reason);
      await settled();
      outcome ??= outcomeOf(encoder.readable);
      const { items, error } = await Promise.race([outcome, settled().then(() => Promise.reject(new Error('waits')))]);
      return { bytes: Buffer.concat(items), error, done: (await fates).filter((fate) => fate.status === 'fulfilled') };
    }

    for (const when of ['in the same tick', 'behind the first', 'inside encode', 'when all is quiet'] as const) {
      it(`${when}, sends the messages whose writes were fulfilled, and then fails`, async () => {
        for (const waits of [true, false]) {
          const { bytes, error, done } = await aborted(when, waits);
          expect(error).to.equal(reason);
          const frames = Array.from({ length: 10 }, (_, number) => encodeOne(`write ${number}`));
          expect(bytes.length).to.be.at.least(11 * done.length);
          expect(bytes).to.deep.equal(Buffer.concat(frames).subarray(0, bytes.length));
          expect(bytes.length % 11).to.equal(0);
          if (when === 'behind the first') expect(done.length).to.be.at.least(1);
          if (when === 'inside encode') expect(done).to.have.lengthOf(3);
          if (when === 'when all is quiet') expect(done).to.have.lengthOf(10);
        }
      });
    }

    it('fails a close that waits for the reader', async () => {
      const encoder = new LengthPrefixEncoderStream();
      const writer = encoder.writable.getWriter();
      writer.closed.catch(() => {});
      await writer.write('hello');
      const closing = writer.close().catch((error) => error);
      await settled();
      const aborting = writer.abort(reason).catch((error) => error);
      expect(await closing).to.equal(reason);
      expect(await aborting).to.equal(reason);
      const { items, error } = await outcomeOf(encoder.readable);
      expect(Buffer.concat(items)).to.deep.equal(hello);
      expect(error).to.equal(reason);
    });
  });

  it('refuses an `encode` that returns a promise', async () => {
    for (const encodeLater of [
      async () => 'hello',
      async () => {
        throw new Error('later');
      },
    ]) {
      const { bytes, error } = await encode([1], { encode: encodeLater as unknown as () => string });
      expect(bytes).to.have.lengthOf(0);
      expect(error).to.include({ code: 'ERR_FRAME_CORRUPT', position: 0 });
      expect(error!.message).to.include(
        "from the \"encode\" function but got a promise. 'encode' can't be asynchronous",
      );
      expect(thrownBy(() => encodeOne(1, { encode: encodeLater as unknown as () => string }))).to.include({
        code: 'ERR_FRAME_CORRUPT',
      });
    }
    await settled();
  });

  it('joins a surrogate pair that two strings of one message share', async () => {
    const halves: [string[], string][] = [
      [['\ud83d', '\ude00'], '\u{1f600}'],
      [['a\ud83d', '', '\ude00b'], 'a\u{1f600}b'],
      [['\ud83d', '\ud83d', '\ude00'], '\ufffd\u{1f600}'],
      [['\ude00', '\ud83d'], '\ufffd\ufffd'],
    ];
    for (const [parts, text] of halves) {
      const length = Buffer.byteLength(text);
      const { bytes, error } = await encode<Message>([parts, { length, body: parts }]);
      expect(error).to.equal(undefined);
      const whole = encodeOne(text);
      expect(bytes).to.deep.equal(Buffer.concat([whole, whole]));
      expect(Buffer.from(encodeOne(parts))).to.deep.equal(Buffer.from(whole));
    }
    const mixed = ['\ud83d', Uint8Array.of(1), '\ude00'];
    const { bytes } = await encode<Message>([mixed, { length: 7, body: mixed }, '\ud83d', '\ude00']);
    expect(bytes.toString('latin1')).to.equal(
      Buffer.from(
        '07000000 efbfbd01efbfbd 07000000 efbfbd01efbfbd 03000000 efbfbd 03000000 efbfbd'.replaceAll(' ', ''),
        'hex',
      ).toString('latin1'),
    );
  });

  it('hands out any number of parts in linear time', async () => {
    const shift = Array.prototype.shift;
    let moved = 0;
    Array.prototype.shift = function () {
      moved += this.length;
      return shift.call(this);
    };
    try {
      const large = new Uint8Array(65_536);
      const parts = Array.from({ length: 20_000 }, () => large);
      const encoder = new LengthPrefixEncoderStream({ lengthField: 'uint64le', maxPayloadLength: 2 ** 40 });
      void writeAll<Message>(encoder.writable, [parts]);
      const { items } = await outcomeOf(encoder.readable);
      expect(items).to.have.lengthOf(20_001);
    } finally {
      Array.prototype.shift = shift;
    }
    expect(moved).to.be.below(20 * 20_000);
  });

  it('sends messages that were written before an abort', async () => {
    const reason = new Error('enough');
    const encoder = new LengthPrefixEncoderStream();
    const writer = encoder.writable.getWriter();
    writer.closed.catch(() => {});
    await writer.write('hello');
    await writer.abort(reason);
    const { items, error } = await outcomeOf(encoder.readable);
    expect(items.map(utf8).join('')).to.equal(utf8(hello));
    expect(error).to.equal(reason);
  });
});
