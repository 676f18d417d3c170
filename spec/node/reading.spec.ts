import { once } from 'node:events';
import { Readable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { expect } from 'chai';
import * as userland from 'readable-stream';
import {
  type FormatOptions,
  LengthPrefixDecoder,
  type LengthPrefixDecoderOptions,
  LengthPrefixEncoder,
  type StreamedMessage,
} from '../../lib/index.js';
import { compactSize } from '../support/fields.js';
import { fromHex, outcomeOf, thrownBy } from '../support/streams.js';

type Failure = Error & { code?: string; position?: number; cause?: unknown };

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
async function turns(count = 8) {
  for (let i = 0; i < count; i++) await turn();
}
const closed = (stream: NodeJS.EventEmitter) => new Promise((resolve) => stream.once('close', resolve));

/** In chunks of this size, each in memory of its own. */
function pieces(wire: Buffer, size: number): Buffer[] {
  return Array.from({ length: Math.ceil(wire.length / size) }, (_, i) =>
    Buffer.from(wire.subarray(i * size, (i + 1) * size)),
  );
}

describe('the decode option', () => {
  const uint8 = { lengthField: 'uint8' } as const;
  const asText = (bytes: Buffer, start: number, end: number) => bytes.toString('latin1', start, end);

  it('makes the value that is handed out for each message', async () => {
    const wire = fromHex('02 6162 00 01 63 03 646566');
    for (const size of [1, 2, 3, wire.length]) {
      for (const copy of [false, true]) {
        const decoder = new LengthPrefixDecoder({ ...uint8, decode: asText, copy });
        for (const chunk of pieces(wire, size)) decoder.write(chunk);
        decoder.end();
        expect(await outcomeOf(decoder)).to.deep.equal({ items: ['ab', '', 'c', 'def'], error: undefined });
      }
    }
  });

  it('is given the chunk itself, and where in it the message is, for one that is whole in it', async () => {
    const calls: [Buffer, number, number][] = [];
    const decode = (...args: [Buffer, number, number]) => calls.push(args);
    const decoder = new LengthPrefixDecoder({ ...uint8, decode });
    const [first, second] = [fromHex('02 6162 00 03 63'), fromHex('6465 01 66 01')];
    const third = fromHex('67 ff');
    for (const chunk of [first, second, third]) decoder.write(chunk);
    decoder.resume();
    await turn();
    expect(calls.map(([bytes]) => [first, second, third].indexOf(bytes))).to.deep.equal([0, 0, -1, 1, 2]);
    expect(calls.map(([, start, end]) => [start, end])).to.deep.equal([
      [1, 3],
      [4, 4],
      [0, 3],
      [3, 4],
      [0, 1],
    ]);
    expect(calls[2]![0]).to.deep.equal(fromHex('636465'));
  });

  it('is given memory of its own with copy: true', async () => {
    const kept: Buffer[] = [];
    const decode = (bytes: Buffer, start: number, end: number) => {
      kept.push(bytes);
      return `${start} ${end}`;
    };
    const decoder = new LengthPrefixDecoder({ ...uint8, decode, copy: true });
    const chunk = fromHex('02 6162 01 63');
    decoder.write(chunk);
    chunk.fill(0);
    expect([decoder.read(), decoder.read()]).to.deep.equal(['0 2', '0 1']);
    expect(kept).to.deep.equal([Buffer.from('ab'), Buffer.from('c')]);
    expect(kept.map(({ buffer }) => buffer.byteLength)).to.deep.equal([2, 1]);
  });

  it('may return a falsy value, but not null or undefined', async () => {
    const values = [0, false, '', Number.NaN, 0n];
    for (const batch of [false, true]) {
      const queue = [...values];
      const decoder = new LengthPrefixDecoder({ ...uint8, batch, decode: () => queue.shift() as unknown });
      decoder.end(fromHex('00 00 01 61 00 00'));
      const { items, error } = await outcomeOf(decoder);
      expect(error).to.equal(undefined);
      expect(items.flat()).to.deep.equal(values);
    }
  });

  for (const value of [null, undefined]) {
    it(`returning ${value} fails the stream`, async () => {
      for (const chunks of [['00 01 61 02 6262 00'], ['00 01 61 02 62', '62 00']]) {
        const decode = (bytes: Buffer, start: number, end: number) =>
          end - start === 2 ? value : bytes.toString('latin1', start, end);
        const decoder = new LengthPrefixDecoder({ ...uint8, decode });
        for (const chunk of chunks) decoder.write(fromHex(chunk));
        decoder.end();
        const { items, error } = await outcomeOf(decoder);
        expect(items).to.deep.equal(['', 'a']);
        expect(error).to.include({
          name: 'FrameError',
          code: 'ERR_FRAME_CORRUPT',
          position: 3,
          message:
            `Frame at byte 3: a message of 2 bytes was decoded as ${value}, which a stream can't hand out` +
            (value === null ? '; null can be sent inside an object or an array, such as [null]' : ''),
        });
        expect(error!.cause).to.equal(undefined);
      }
    });
  }

  describe('that throws', () => {
    const thrown: [unknown, string][] = [
      [new RangeError('no good'), 'no good'],
      ['just so', 'just so'],
      [undefined, 'undefined'],
    ];
    for (const [cause, reason] of thrown) {
      it(`${cause}: fails the stream behind the messages before it, and is called once for each`, async () => {
        const wire = fromHex('01 61 00 02 7878 01 62');
        for (const size of [1, 3, 4, 5, wire.length]) {
          for (const options of [{}, { copy: true }, { batch: true }, { readableHighWaterMark: 1 }]) {
            let calls = 0;
            const decode = (bytes: Buffer, start: number, end: number) => {
              calls++;
              const value = bytes.toString('latin1', start, end);
              if (value === 'xx') throw cause;
              return value;
            };
            const decoder = new LengthPrefixDecoder({ ...uint8, ...options, decode });
            for (const chunk of pieces(wire, size)) decoder.write(chunk);
            decoder.end();
            const { items, error } = await outcomeOf(decoder);
            expect(items.flat()).to.deep.equal(['a', '']);
            expect(error).to.include({
              name: 'FrameError',
              code: 'ERR_FRAME_CORRUPT',
              position: 3,
              message: `Frame at byte 3: a message of 2 bytes can't be decoded: ${reason}`,
            });
            expect(error!.cause).to.equal(cause);
            expect(Object.hasOwn(error!, 'cause')).to.equal(true);
            expect(calls).to.equal(3);
          }
        }
      });
    }

    it('waits for a slow reader, and fails the write that it came with', async () => {
      const decode = (bytes: Buffer, start: number) => JSON.parse(String.fromCharCode(bytes[start]!)) as number;
      const decoder = new LengthPrefixDecoder({ ...uint8, decode });
      const errors: unknown[] = [];
      decoder.on('error', (error) => errors.push(error));
      decoder.write(fromHex('01 31'), (error) => errors.push(error ?? 'no error'));
      decoder.write(fromHex('01 32 01 7b'), (error) => errors.push(error));
      for (const value of [1, 2]) {
        await turns(3);
        expect(errors).to.deep.equal(['no error']);
        expect(decoder.read()).to.equal(value);
      }
      await turn();
      expect(errors).to.have.lengthOf(3);
      expect(errors[1]).to.equal(errors[2]);
      expect(errors[1]).to.include({ code: 'ERR_FRAME_CORRUPT', position: 4 });
    });
  });

  it('comes with other options that are checked', () => {
    const cases: [LengthPrefixDecoderOptions, string, string][] = [
      [
        { decode: 'utf8' as never },
        'ERR_INVALID_ARG_TYPE',
        'The "options.decode" property must be of type function. Received \'utf8\'',
      ],
      [
        { stream: 1 as never },
        'ERR_INVALID_ARG_TYPE',
        'The "options.stream" property must be of type boolean. Received type number (1)',
      ],
      [
        { stream: true, batch: true },
        'ERR_INVALID_ARG_VALUE',
        "The property 'options.batch' must be false where stream is true. Received type boolean (true)",
      ],
      [
        { stream: true, decode: asText },
        'ERR_INVALID_ARG_VALUE',
        "The property 'options.decode' must be left out where stream is true. Received function asText",
      ],
    ];
    for (const [options, code, message] of cases) {
      expect(thrownBy(() => new LengthPrefixDecoder(options))).to.include({ code, message });
    }
  });
});

describe('the stream option', () => {
  const streaming = { lengthField: 'uint8', stream: true } as const;

  /** All bodies, read to their ends. */
  async function readAll(decoder: AsyncIterable<StreamedMessage>) {
    const messages: [number, string][] = [];
    try {
      for await (const { length, body } of decoder) {
        const chunks: Buffer[] = [];
        for await (const chunk of body) chunks.push(chunk);
        messages.push([length, Buffer.concat(chunks).toString('hex')]);
      }
      return { messages, error: undefined };
    } catch (error) {
      return { messages, error: error as Failure };
    }
  }

  const formats: [string, FormatOptions, string, string[]][] = [
    ['a fixed field', { lengthField: 'uint8' }, '02 6162 00 00 01 63 03 646566', ['6162', '', '', '63', '646566']],
    [
      'a field that is kept',
      { lengthField: 'uint16be', initialBytesToStrip: 0 },
      '0002 6162 0000',
      ['00026162', '0000'],
    ],
    ['a varint', { lengthField: 'varint' }, '02 6162 00 8200 6162', ['6162', '', '6162']],
    [
      'a varint that is kept',
      { lengthField: 'varint', initialBytesToStrip: 0 },
      '02 6162 00 8100 61',
      ['026162', '00', '810061'],
    ],
    [
      'a varint that is kept, behind others',
      { lengthField: 'varint', lengthFieldOffset: 2, initialBytesToStrip: 1 },
      'ca07 02 6162 ca08 00',
      ['07026162', '0800'],
    ],
    ['CompactSize', { lengthField: compactSize }, 'fd 0200 6162 00 01 63', ['6162', '', '63']],
    ['a header', { lengthField: 'uint8', lengthFieldOffset: 1 }, 'ca 02 6162 ca 00', ['6162', '']],
    ['more to strip than the head', { lengthField: 'uint8', initialBytesToStrip: 3 }, '03 ffff61 02 ffff', ['61', '']],
    ['an adjustment', { lengthField: 'uint8', lengthAdjustment: -1 }, '03 6162 01', ['6162', '']],
  ];
  for (const [name, options, wire, expected] of formats) {
    it(`hands out each message with its length and its body: ${name}, at every cut`, async () => {
      const bytes = fromHex(wire);
      for (let size = 1; size <= bytes.length; size++) {
        for (const copy of [false, true]) {
          const decoder = new LengthPrefixDecoder({ ...options, copy, stream: true });
          for (const chunk of pieces(bytes, size)) decoder.write(chunk, () => copy && chunk.fill(0xee));
          decoder.end();
          expect(await readAll(decoder)).to.deep.equal({
            messages: expected.map((message) => [message.length / 2, message]),
            error: undefined,
          });
        }
      }
    });

    it(`passes over the rest of a body: ${name}, at every cut`, async () => {
      const bytes = fromHex(wire);
      for (let size = 1; size <= bytes.length; size++) {
        for (const when of ['at once', 'later', 'part-way'] as const) {
          const decoder = new LengthPrefixDecoder({ ...options, stream: true });
          for (const chunk of pieces(bytes, size)) decoder.write(chunk);
          decoder.end();
          const lengths: number[] = [];
          for await (const { length, body } of decoder) {
            lengths.push(length);
            if (when === 'later') await turn();
            if (when === 'part-way') for await (const chunk of body) if (chunk.length > 0) break;
            body.destroy();
          }
          expect(lengths, `${size} ${when}`).to.deep.equal(expected.map((message) => message.length / 2));
        }
      }
    });
  }

  it('tells the length at once, and gives the bytes as they come, as views of their chunks', async () => {
    const decoder = new LengthPrefixDecoder({ lengthField: 'uint16be', stream: true });
    expect(decoder.read()).to.equal(null);
    decoder.write(fromHex('03'));
    expect(decoder.read()).to.equal(null);
    const chunk = fromHex('e8 61');
    decoder.write(chunk);
    const { length, body } = decoder.read()!;
    expect(length).to.equal(1000);
    expect(body).to.be.instanceOf(userland.Readable);
    expect(decoder.read()).to.equal(null);
    const first = body.read() as Buffer;
    expect(first).to.deep.equal(fromHex('61'));
    expect(first.buffer).to.equal(chunk.buffer);
    expect(body.read()).to.equal(null);
    const readable = once(body, 'readable');
    decoder.write(Buffer.alloc(998, 'b'));
    await readable;
    expect(body.read()).to.have.lengthOf(998);
    expect([body.readableEnded, decoder.read()]).to.deep.equal([false, null]);
    decoder.write(fromHex('63 0000'));
    body.resume();
    await once(body, 'end');
    await turn();
    const next = decoder.read()!;
    expect(next.length).to.equal(0);
  });

  it('takes the chunks of a body while the decoder reads nothing ahead', async () => {
    const decoder = new LengthPrefixDecoder({ ...streaming, readableHighWaterMark: 0 });
    for (const chunk of ['02 61', '62']) decoder.write(fromHex(chunk));
    await once(decoder, 'readable');
    const { body } = decoder.read()!;
    expect(await body.toArray()).to.deep.equal([fromHex('61'), fromHex('62')]);
  });

  it("comes in 'data' events, too, and does not give the next message before the body is read or destroyed", async () => {
    const decoder = new LengthPrefixDecoder(streaming);
    const messages: StreamedMessage[] = [];
    decoder.on('data', (message) => messages.push(message));
    decoder.end(fromHex('00 01 61 00 02 6263 01 64'));
    await turns();
    expect(messages.map(({ length }) => length)).to.deep.equal([0, 1]);
    messages[1]!.body.resume();
    await turns();
    expect(messages.map(({ length }) => length)).to.deep.equal([0, 1, 0, 2]);
    messages[3]!.body.once('data', () => messages[3]!.body.destroy());
    await turns();
    expect(messages).to.have.lengthOf(5);
    messages[4]!.body.destroy(new Error('not this one'));
    messages[4]!.body.on('error', () => {});
    await once(decoder, 'end');
    expect(messages).to.have.lengthOf(5);
  });

  it('hands out the next message when the last bytes of the body were read, and not when they only wait', async () => {
    const decoder = new LengthPrefixDecoder(streaming);
    decoder.end(fromHex('01 61 02 6263'));
    const first = decoder.read()!.body;
    first.read(0);
    await turns();
    expect([first.readableLength, decoder.read()]).to.deep.equal([1, null]);
    expect(first.read()).to.deep.equal(fromHex('61'));
    await turns();
    const second = decoder.read()!.body;
    expect(second.read(1)).to.deep.equal(fromHex('62'));
    await turns();
    expect(decoder.read()).to.equal(null);
    await turns();
    // It is over, and takes nothing from who still reads.
    expect([decoder.readableEnded, decoder.destroyed]).to.deep.equal([true, true]);
    expect(second.read()).to.deep.equal(fromHex('63'));
  });

  it('lets a body be destroyed inside of its own events', async () => {
    const decoder = new LengthPrefixDecoder(streaming);
    const lengths: number[] = [];
    decoder.on('data', ({ length, body }) => {
      lengths.push(length);
      body.on('data', () => body.destroy());
    });
    for (const byte of fromHex('03 616263 01 64 02 6566')) {
      decoder.write(Buffer.of(byte));
      await turn();
    }
    decoder.end();
    await once(decoder, 'end');
    expect(lengths).to.deep.equal([3, 1, 2]);
  });

  it('goes through a pipeline, and on as a message with a body', async () => {
    const wire = Buffer.concat([
      fromHex('0004'),
      Buffer.from('abcd'),
      fromHex('0000'),
      fromHex('9c40'),
      Buffer.alloc(40_000, 'x'),
    ]);
    const decoder = new LengthPrefixDecoder({ lengthField: 'uint16be', stream: true });
    const encoder = new LengthPrefixEncoder({ lengthField: 'uint16be' });
    const sent = outcomeOf<Buffer>(encoder);
    await pipeline(Readable.from(pieces(wire, 9000), { objectMode: false }), decoder, encoder);
    expect(Buffer.concat((await sent).items).equals(wire)).to.equal(true);
  });

  it('holds no more of a body than its reader wants, and stops the source', async () => {
    const decoder = new LengthPrefixDecoder({ stream: true });
    let written = 0;
    const head = Buffer.alloc(4);
    head.writeUInt32LE(10_000_000);
    decoder.write(head);
    const write = (): void => {
      decoder.write(Buffer.alloc(16_384), (error) => {
        written++;
        if (!error) write();
      });
    };
    write();
    await turns();
    expect(written).to.equal(0);
    const { body } = decoder.read()!;
    expect(body.readableLength).to.equal(0);
    let read = 0;
    for (let i = 0; i < 5; i++) {
      read += body.read()?.length ?? 0;
      await turns();
      expect(body.readableLength).to.be.at.most(body.readableHighWaterMark + 16_384);
      // What has been called back, what is in hand and no more.
      expect((written + 1) * 16_384).to.be.at.most(read + body.readableLength + 2 * 16_384);
    }
    expect(read).to.be.greaterThan(2 * 16_384);
    expect(written).to.be.lessThan(30);
    body.destroy();
    await turns();
    expect(written).to.be.greaterThan(600);
    decoder.on('error', () => {});
    decoder.destroy();
  });

  describe('and faults', () => {
    it('in front of a message show when the body before it was read', async () => {
      for (const size of [1, 2, 100]) {
        const decoder = new LengthPrefixDecoder({ ...streaming, maxPayloadLength: 3 });
        for (const chunk of pieces(fromHex('02 6162 04 61626364'), size)) decoder.write(chunk);
        const { messages, error } = await readAll(decoder);
        expect(messages).to.deep.equal([[2, '6162']]);
        expect(error).to.include({ code: 'ERR_FRAME_TOO_LONG', position: 3 });
        expect(error!.message).to.contain(
          'a payload of 4 bytes is announced, at most 3 are allowed (maxPayloadLength)',
        );
      }
    });

    it("with oversize: 'skip', a payload that is too long is passed over", async () => {
      for (const size of [1, 2, 100]) {
        const decoder = new LengthPrefixDecoder({ ...streaming, maxPayloadLength: 3, oversize: 'skip' });
        const passed: number[][] = [];
        decoder.on('oversize', (...args) => passed.push(args));
        for (const chunk of pieces(fromHex('02 6162 04 61626364 00 05 6162636465 01 63'), size)) decoder.write(chunk);
        decoder.end();
        const { messages, error } = await readAll(decoder);
        expect(error).to.equal(undefined);
        expect(messages).to.deep.equal([
          [2, '6162'],
          [0, ''],
          [1, '63'],
        ]);
        expect(passed).to.deep.equal([
          [4, 3],
          [5, 9],
        ]);
      }
    });

    it('truncated: the bytes that came are read, then body and decoder fail with one error', async () => {
      for (const size of [1, 2, 100]) {
        const decoder = new LengthPrefixDecoder(streaming);
        const errors: Failure[] = [];
        decoder.on('error', (error: Failure) => errors.push(error));
        for (const chunk of pieces(fromHex('00 05 616263'), size)) decoder.write(chunk);
        decoder.end();
        await turns();
        expect(decoder.read()).to.have.property('length', 0);
        await turns();
        const { length, body } = decoder.read()!;
        expect(length).to.equal(5);
        await turns();
        expect(errors).to.deep.equal([]);
        const { items, error } = await outcomeOf<Buffer>(body);
        expect(Buffer.concat(items)).to.deep.equal(fromHex('616263'));
        await turns();
        expect(errors).to.deep.equal([error]);
        expect(error).to.include({
          name: 'FrameError',
          code: 'ERR_FRAME_TRUNCATED',
          position: 1,
          message: 'Frame at byte 1: the input ended after 4 of 6 bytes',
        });
      }
    });

    it('truncated: the buffered bytes are read first, also a few at a time', async () => {
      const decoder = new LengthPrefixDecoder(streaming);
      const errors: Failure[] = [];
      decoder.on('error', (error: Failure) => errors.push(error));
      decoder.write(fromHex('05 61'));
      const { body } = decoder.read()!;
      body.on('error', (error) => errors.push(error));
      body.read(0);
      decoder.end(fromHex('6263'));
      for (const letter of ['61', '62', '63']) {
        await turns();
        expect(errors).to.deep.equal([]);
        expect(body.read(1)).to.deep.equal(fromHex(letter));
      }
      await turns();
      expect(errors).to.have.lengthOf(2);
      expect(errors[0]).to.equal(errors[1]);
    });

    it('truncated: a later reader of the body gets the error, too', async () => {
      const decoder = new LengthPrefixDecoder(streaming);
      const errors: Failure[] = [];
      decoder.on('error', (error: Failure) => errors.push(error));
      decoder.write(fromHex('05 61'));
      const { body } = decoder.read()!;
      body.read();
      decoder.end();
      await closed(decoder);
      expect((await outcomeOf(body)).error).to.equal(errors[0]);
      expect(errors.map(({ code }) => code)).to.deep.equal(['ERR_FRAME_TRUNCATED']);
    });

    it('truncated: shows when a body is destroyed after the input broke off', async () => {
      for (const wait of [false, true]) {
        const decoder = new LengthPrefixDecoder(streaming);
        const errors: Failure[] = [];
        decoder.on('error', (error: Failure) => errors.push(error));
        decoder.write(fromHex('05 61'));
        const { body } = decoder.read()!;
        decoder.end();
        if (wait) await turns(2);
        expect(errors).to.deep.equal([]);
        body.destroy();
        await closed(decoder);
        expect(errors.map(({ code }) => code)).to.deep.equal(['ERR_FRAME_TRUNCATED']);
      }
    });

    it('truncated: a body that nobody reads', async () => {
      const decoder = new LengthPrefixDecoder(streaming);
      decoder.end(fromHex('02 61'));
      const lengths: number[] = [];
      let failure: Failure | undefined;
      try {
        for await (const { length, body } of decoder) {
          lengths.push(length);
          body.destroy();
        }
      } catch (error) {
        failure = error as Failure;
      }
      expect(lengths).to.deep.equal([2]);
      expect(failure).to.include({ code: 'ERR_FRAME_TRUNCATED', position: 0 });
      expect(failure!.message).to.equal('Frame at byte 0: the input ended after 2 of 3 bytes');
    });
  });

  describe('and destroy', () => {
    it('of the decoder destroys the body: with the error, or before its end', async () => {
      for (const failure of [new Error('gone'), undefined]) {
        const decoder = new LengthPrefixDecoder(streaming);
        decoder.on('error', () => {});
        decoder.write(fromHex('03 61'));
        const { body } = decoder.read()!;
        const ended = finished(body).then(
          () => undefined,
          (error) => error,
        );
        decoder.destroy(failure);
        if (failure) expect(await ended).to.equal(failure);
        else expect(await ended).to.have.property('code', 'ERR_STREAM_PREMATURE_CLOSE');
        expect(body.destroyed).to.equal(true);
        expect(body.errored).to.equal(failure ?? null);
      }
    });

    it('of a body with an error is nobody else’s', async () => {
      const decoder = new LengthPrefixDecoder(streaming);
      const lengths: number[] = [];
      decoder.end(fromHex('01 61 01 62'));
      for await (const { length, body } of decoder) {
        lengths.push(length);
        body.on('error', () => {});
        body.destroy(new Error('mine'));
      }
      expect(lengths).to.deep.equal([1, 1]);
    });

    it('at any moment ends everything, and calls back each write once', async () => {
      const wire = fromHex('02 6162 00 03 636465 01 66');
      for (let moment = 0; moment < 24; moment++) {
        const decoder = new LengthPrefixDecoder({ ...streaming, readableHighWaterMark: 1 });
        let calls = 0;
        const bodies: Readable[] = [];
        for (const byte of wire) decoder.write(Buffer.of(byte), () => calls++);
        decoder.on('data', ({ body }) => {
          bodies.push(body as unknown as Readable);
          body.on('data', () => {});
        });
        for (let i = 0; i < moment; i++) await (i % 4 === 3 ? turn() : null);
        decoder.destroy();
        await turns(4);
        expect(calls, `${moment}`).to.equal(wire.length);
        const open = bodies.filter(({ destroyed }) => !destroyed).length;
        expect(open, `${moment}`).to.equal(0);
      }
    });

    it('inside of an event of the body, too', async () => {
      const decoder = new LengthPrefixDecoder(streaming);
      const errors: unknown[] = [];
      const lengths: number[] = [];
      decoder.on('error', (error) => errors.push(error));
      decoder.on('data', ({ length, body }) => {
        lengths.push(length);
        body.on('data', () => decoder.destroy());
      });
      decoder.write(fromHex('02 61'));
      decoder.write(fromHex('62 01 63'));
      await closed(decoder);
      await turns();
      expect(lengths).to.deep.equal([2]);
      expect(errors).to.deep.equal([]);
    });
  });
});
