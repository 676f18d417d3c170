import { once } from 'node:events';
import { Duplex, PassThrough, Readable, Transform, Writable } from 'node:stream';
import { expect } from 'chai';
import * as userland from 'readable-stream';
import {
  type Body,
  type FormatOptions,
  framed,
  LengthPrefixEncoder,
  type LengthPrefixEncoderOptions,
  type Message,
} from '../../lib/index.js';
import { compactSize } from '../support/fields.js';
import { fromHex, outcomeOf, thrownBy } from '../support/streams.js';

type Failure = Error & { code?: string; position?: number; cause?: unknown };

/** An encoder, the chunks that flow out of it, and what happened to it. */
function flowing(options: LengthPrefixEncoderOptions = { lengthField: 'uint8' }) {
  const encoder = new LengthPrefixEncoder(options);
  const chunks: Buffer[] = [];
  const errors: Failure[] = [];
  let drains = 0;
  encoder
    .on('data', (chunk) => chunks.push(Buffer.from(chunk)))
    .on('error', (error) => errors.push(error))
    .on('drain', () => drains++);
  return { encoder, chunks, errors, wire: () => Buffer.concat(chunks), drains: () => drains };
}

/** The writes by name, with what they were called back with: each once. */
function callbacks() {
  const calls: [string, Failure | undefined][] = [];
  const called = (name: string) => (error?: Error | null) => void calls.push([name, error ?? undefined]);
  return { calls, called };
}

/** `once` fails with the error that comes first. */
const closed = (stream: NodeJS.EventEmitter) => new Promise((resolve) => stream.once('close', resolve));
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
async function turns(count = 10) {
  for (let i = 0; i < count; i++) await turn();
}

/** A source that gives one part each time it is asked, and tells what became of it. */
function source(parts: Iterable<Buffer | string>, kind: typeof Readable = Readable) {
  const iterator = parts[Symbol.iterator]();
  const state = { asked: 0 };
  const stream = new kind({
    highWaterMark: 1,
    read() {
      state.asked++;
      const { done, value } = iterator.next();
      this.push(done ? null : value);
    },
  });
  return Object.assign(state, { stream });
}

describe('a message in parts', () => {
  it('leaves as one frame, in one chunk with the other messages of the tick', async () => {
    const { encoder, chunks } = flowing();
    encoder.write(['he', Buffer.from('l'), Uint8Array.of(0x6c), '', new Uint8Array(0), 'o']);
    encoder.write([]);
    encoder.write(['']);
    encoder.write('x');
    await turn();
    expect(chunks).to.deep.equal([fromHex('05 68656c6c6f 00 00 01 78')]);
  });

  it('has strings in the encoding of the write, or of the stream', async () => {
    const { encoder, wire } = flowing({ lengthField: 'uint8', defaultEncoding: 'latin1' });
    encoder.write(['é', 'é']);
    encoder.write(['é', Buffer.from('a')], 'utf8');
    encoder.setDefaultEncoding('hex');
    encoder.write(['0102', '']);
    encoder.end(['w6k='], 'base64');
    await once(encoder, 'end');
    expect(wire()).to.deep.equal(fromHex('02 e9e9 03 c3a961 02 0102 02 c3a9'));
  });

  it('has its small parts and its head copied, and its large parts not', async () => {
    const encoder = new LengthPrefixEncoder();
    const chunks: Buffer[] = [];
    encoder.on('data', (chunk) => chunks.push(chunk));
    const [small, large, larger] = [65_535, 65_536, 70_000].map((length) => Buffer.alloc(length, 'x')) as [
      Buffer,
      Buffer,
      Buffer,
    ];
    encoder.write('a');
    encoder.write(['b', larger, small, 'c', large]);
    encoder.write('d');
    await turn();
    expect(chunks.map(({ length }) => length)).to.deep.equal([10, 70_000, 65_536, 65_536, 5]);
    expect(chunks[0]!.readUInt32LE(5)).to.equal(1 + 70_000 + 65_535 + 1 + 65_536);
    const shared = [small, large, larger].map(({ buffer }) => chunks.filter((chunk) => chunk.buffer === buffer).length);
    expect(shared).to.deep.equal([0, 1, 1]);
    expect(String(chunks[2])).to.equal(`${'x'.repeat(65_535)}c`);
  });

  it('begins with a large part, and ends with a small one', async () => {
    const { encoder, chunks } = flowing();
    const larges = flowing({});
    larges.encoder.write([Buffer.alloc(65_536), 'z']);
    await turn();
    expect(larges.chunks.map(({ length }) => length)).to.deep.equal([4, 65_536, 1]);
    encoder.write(['z']);
    await turn();
    expect(chunks).to.have.lengthOf(1);
  });

  it("never has the caller's bytes changed, nor the list, where it keeps a length field", async () => {
    const formats: [FormatOptions, string[], string][] = [
      [{ lengthField: 'uint16be', initialBytesToStrip: 0 }, ['ff', 'ff61', '62'], '0002 6162'],
      [
        { lengthField: 'uint16be', lengthFieldOffset: 2, initialBytesToStrip: 1 },
        ['01', '', 'eeee', '61'],
        '00 01 0001 61',
      ],
      [{ lengthField: 'varint', initialBytesToStrip: 0 }, ['7f', '6162'], '02 6162'],
      [{ lengthField: compactSize, initialBytesToStrip: 0 }, ['fd', '02', '006162'], 'fd 0200 6162'],
    ];
    for (const [options, parts, expected] of formats) {
      const { encoder, wire } = flowing(options);
      const given = parts.map((part) => Uint8Array.from(fromHex(part)));
      const list = Object.freeze([...given]);
      encoder.write(list);
      await turn();
      expect(wire()).to.deep.equal(fromHex(expected));
      expect(given).to.deep.equal(parts.map((part) => Uint8Array.from(fromHex(part))));
    }
  });

  it('is copied no further than its length field, where it keeps that', async () => {
    const { encoder, chunks } = flowing({ lengthField: 'uint32be', initialBytesToStrip: 0 });
    encoder.write([Buffer.alloc(4), Buffer.alloc(65_536, 'x')]);
    await turn();
    expect(chunks.map(({ length }) => length)).to.deep.equal([4, 65_536]);
    expect(chunks[0]).to.deep.equal(fromHex('00 01 00 00'));
  });

  it('is refused as a whole with a wrong part, and the stream goes on', async () => {
    const { encoder, wire, errors } = flowing();
    const wrong: [unknown, string][] = [
      [['a', 5], 'ERR_INVALID_ARG_TYPE'],
      [['a', undefined], 'ERR_INVALID_ARG_TYPE'],
      [[null], 'ERR_INVALID_ARG_TYPE'],
      [null, 'ERR_STREAM_NULL_VALUES'],
      [[['a']], 'ERR_INVALID_ARG_TYPE'],
      [[{ length: 0, body: '' }], 'ERR_INVALID_ARG_TYPE'],
      [new Array(1), 'ERR_INVALID_ARG_TYPE'],
      [new DataView(new ArrayBuffer(1)), 'ERR_INVALID_ARG_TYPE'],
      [{}, 'ERR_INVALID_ARG_TYPE'],
    ];
    for (const [message, code] of wrong) {
      expect(thrownBy(() => encoder.write(message as Message))).to.have.property('code', code);
    }
    expect(thrownBy(() => encoder.write(['a'], 'utf-9'))).to.have.property('code', 'ERR_UNKNOWN_ENCODING');
    encoder.write(['ok']);
    await turn();
    expect(wire()).to.deep.equal(fromHex('02 6f6b'));
    expect(errors).to.deep.equal([]);
  });

  it('fails its own write when all parts together are too long', async () => {
    const { encoder, wire, errors } = flowing({ lengthField: 'uint8', maxPayloadLength: 3 });
    const { calls, called } = callbacks();
    encoder.write(['a', 'bc'], called('fits'));
    expect(encoder.write(['ab', 'cd'], called('long'))).to.equal(false);
    encoder.write(['a'], called('behind'));
    await turns();
    expect(wire()).to.deep.equal(fromHex('03 616263'));
    expect(errors).to.have.lengthOf(1);
    expect(errors[0]).to.include({ code: 'ERR_FRAME_TOO_LONG', position: 4 });
    expect(errors[0]!.message).to.equal(
      'Frame at byte 4: a payload of 4 bytes was given, at most 3 are allowed (maxPayloadLength)',
    );
    expect(calls).to.deep.equal([
      ['fits', undefined],
      ['long', errors[0]],
      ['behind', errors[0]],
    ]);
  });

  it('has its callback called once, in order, and counts all its bytes until then', async () => {
    const encoder = new LengthPrefixEncoder({ writableHighWaterMark: 1_000_000 });
    const { calls, called } = callbacks();
    encoder.write('a', called('a'));
    encoder.write([Buffer.alloc(70_000), 'b', Buffer.alloc(70_000)], called('parts'));
    encoder.write('c', called('c'));
    expect(encoder.writableLength).to.equal(5 + 4 + 140_001 + 5);
    encoder.resume();
    await turns();
    expect(calls).to.deep.equal([
      ['a', undefined],
      ['parts', undefined],
      ['c', undefined],
    ]);
    expect(encoder.writableLength).to.equal(0);
  });

  it('has its callback called with the error of a stream that is destroyed first', async () => {
    const { encoder, errors } = flowing({});
    encoder.pause();
    const { calls, called } = callbacks();
    encoder.write([Buffer.alloc(70_000), 'b'], called('first'));
    encoder.write([Buffer.alloc(70_000), 'b'], called('second'));
    const failure = new Error('gone');
    encoder.destroy(failure);
    await turns();
    expect(calls).to.deep.equal([
      ['first', failure],
      ['second', failure],
    ]);
    expect(errors).to.deep.equal([failure]);
    expect(encoder.writableLength).to.be.at.most(140_000);
    encoder.write(['late'], called('late'));
    await turn();
    expect(calls[2]![1]).to.have.property('code', 'ERR_STREAM_DESTROYED');
  });

  it('is refused after end', async () => {
    const { encoder, errors } = flowing();
    encoder.end();
    encoder.write(['a']);
    await turns();
    expect(errors.map(({ code }) => code)).to.deep.equal(['ERR_STREAM_WRITE_AFTER_END']);
  });

  it('is refused with an unknown encoding, also after end', () => {
    const { encoder } = flowing();
    encoder.on('error', () => {});
    encoder.end();
    expect(thrownBy(() => encoder.write(['a'], 'utf-9'))).to.have.property('code', 'ERR_UNKNOWN_ENCODING');
  });

  it('leaves in one chunk with the others of its tick also after an end() that threw', async () => {
    const { encoder, chunks } = flowing();
    await turn();
    expect(thrownBy(() => encoder.end(5 as never))).to.have.property('code', 'ERR_INVALID_ARG_TYPE');
    encoder.write(['a']);
    encoder.write('b');
    await turn();
    expect(chunks).to.deep.equal([fromHex('01 61 01 62')]);
  });

  it('reaches a destination in order, its large parts in chunks of their own', async () => {
    const writes: number[][] = [];
    const sink = new Writable({
      writev(chunks, callback) {
        writes.push(chunks.map(({ chunk }) => chunk.length));
        callback();
      },
    });
    const encoder = new LengthPrefixEncoder();
    encoder.pipe(sink);
    await turn();
    encoder.write(['a', Buffer.alloc(70_000), 'b']);
    await turn();
    expect(writes.flat()).to.deep.equal([5, 70_000, 1]);
  });

  describe('and backpressure', () => {
    it('is followed by one drain when only its uncounted chunks fill the stream', async () => {
      for (const [mark, parts] of [
        [70_004, [Buffer.alloc(70_000)]],
        [200_000, [Buffer.alloc(70_000), Buffer.alloc(70_000), Buffer.alloc(70_000)]],
        [70_000, [Buffer.alloc(70_000), Buffer.alloc(70_000)]],
      ] as const) {
        const { encoder, drains } = flowing({ writableHighWaterMark: mark });
        encoder.pause();
        expect(encoder.write(parts)).to.equal(false);
        await turns();
        expect(drains()).to.equal(0);
        encoder.resume();
        await turns();
        expect(drains()).to.equal(1);
        expect(encoder.write('')).to.equal(true);
        if (mark < 200_000) continue;
        encoder.write([Buffer.alloc(70_000), Buffer.alloc(70_000)]);
        await turns();
        expect(drains()).to.equal(1);
      }
    });

    it('asks for no drain below the mark', async () => {
      const { encoder, drains } = flowing({ writableHighWaterMark: 140_005 });
      encoder.pause();
      expect(encoder.write([Buffer.alloc(70_000), Buffer.alloc(70_000)])).to.equal(true);
      encoder.resume();
      await turns();
      expect(drains()).to.equal(0);
    });

    it('is not drained for small messages while its uncounted chunks still fill the stream', async () => {
      const { encoder, drains } = flowing({ writableHighWaterMark: 150_000 });
      encoder.pause();
      expect(encoder.write([Buffer.alloc(70_000), Buffer.alloc(70_000)])).to.equal(true);
      expect(encoder.write(Buffer.alloc(20_000))).to.equal(false);
      await turns();
      expect(drains()).to.equal(0);
      encoder.resume();
      await turns();
      expect(drains()).to.equal(1);
    });
  });
});

describe('a message with a body', () => {
  const bodies: [string, () => Body][] = [
    ['a string', () => 'hello'],
    ['a Buffer', () => Buffer.from('hello')],
    ['a Uint8Array', () => Uint8Array.from(Buffer.from('hello'))],
    ['an array', () => ['he', Buffer.from('l'), '', Uint8Array.of(0x6c, 0x6f)]],
    ['a Set', () => new Set(['hel', 'lo'])],
    [
      'a generator',
      function* () {
        yield* ['h', '', 'ello'];
      },
    ],
    [
      'an async generator',
      async function* () {
        for (const letter of 'hello') {
          await turn();
          yield letter;
        }
      },
    ],
    ['promises', () => [Promise.resolve('hel'), Promise.resolve('lo')] as unknown as Body],
    ['a node:stream', () => Readable.from([Buffer.from('hel'), Buffer.from('lo')])],
    ['a node:stream in byte mode', () => source(['hel', 'lo']).stream],
    ['a node:stream that decodes', () => source([Buffer.from('hel'), 'lo']).stream.setEncoding('utf8')],
    ['a readable-stream', () => source(['hel', 'lo'], userland.Readable as unknown as typeof Readable).stream],
    ['a web ReadableStream', () => new Response('hello').body as unknown as Body],
    ['a web ReadableStream of strings', () => Readable.toWeb(Readable.from(['hel', 'lo'])) as unknown as Body],
  ];

  for (const [name, body] of bodies) {
    it(`is sent from ${name}, in its place between others`, async () => {
      const { encoder, wire, errors, drains } = flowing();
      const { calls, called } = callbacks();
      encoder.write('a', called('a'));
      expect(encoder.write({ length: 5, body: body() }, called('body'))).to.equal(false);
      encoder.write(['b'], called('b'));
      encoder.write({ length: 5, body: body() }, called('again'));
      encoder.end('c', called('end') as () => void);
      await once(encoder, 'end');
      expect(wire()).to.deep.equal(fromHex('01 61 05 68656c6c6f 01 62 05 68656c6c6f 01 63'));
      expect(errors).to.deep.equal([]);
      expect(calls.filter(([name]) => name !== 'end')).to.deep.equal([
        ['a', undefined],
        ['body', undefined],
        ['b', undefined],
        ['again', undefined],
      ]);
      expect(drains()).to.equal(0);
    });
  }

  it('has its strings in the encoding of the write', async () => {
    const { encoder, wire } = flowing({ lengthField: 'uint8', defaultEncoding: 'latin1' });
    encoder.write({ length: 1, body: 'é' });
    encoder.write({ length: 4, body: ['é', 'é'] }, 'utf8');
    encoder.end({ length: 1, body: ['ff'] }, 'hex');
    await once(encoder, 'end');
    expect(wire()).to.deep.equal(fromHex('01 e9 04 c3a9c3a9 01 ff'));
  });

  it('has an empty encoding for none', async () => {
    const { encoder, wire } = flowing({ lengthField: 'uint8', defaultEncoding: 'latin1' });
    encoder.write({ length: 1, body: source(['a']).stream }, '');
    encoder.end({ length: 1, body: 'é' }, '');
    await once(encoder, 'end');
    expect(wire()).to.deep.equal(fromHex('01 61 01 e9'));
  });

  it('may be empty', async () => {
    for (const body of ['', [], new Uint8Array(0), Readable.from([]), ['', ''], new Blob([]).stream() as never]) {
      const { encoder, wire } = flowing();
      encoder.write({ length: 0, body });
      encoder.end('a');
      await once(encoder, 'end');
      expect(wire()).to.deep.equal(fromHex('00 01 61'));
    }
  });

  it('is followed by one drain, and by none once the stream has ended', async () => {
    const { encoder, drains } = flowing();
    expect(encoder.write({ length: 1, body: 'a' })).to.equal(false);
    expect(drains()).to.equal(0);
    await once(encoder, 'drain');
    await turns();
    expect(drains()).to.equal(1);
    encoder.end({ length: 1, body: 'a' });
    await once(encoder, 'end');
    await turns();
    expect(drains()).to.equal(1);
  });

  it('has its callback called once, also when the stream is destroyed after it', async () => {
    const { encoder, errors } = flowing();
    const { calls, called } = callbacks();
    encoder.write({ length: 1, body: 'a' }, called('body'));
    await turns();
    encoder.destroy();
    await turns();
    expect(calls).to.deep.equal([['body', undefined]]);
    expect(errors).to.deep.equal([]);
  });

  it('waits while the stream is corked', async () => {
    const { encoder, wire } = flowing();
    encoder.cork();
    encoder.write('a');
    encoder.write({ length: 1, body: 'b' });
    encoder.write('c');
    await turns();
    expect(wire()).to.have.lengthOf(0);
    encoder.uncork();
    await turns();
    expect(wire()).to.deep.equal(fromHex('01 61 01 62 01 63'));
  });

  it('is sent part by part, also to a late reader: its parts belong to the stream', async () => {
    const encoder = new LengthPrefixEncoder({ readableHighWaterMark: 1_000_000 });
    async function* parts() {
      for (const letter of 'ab') yield Buffer.alloc(65_535, letter);
      yield Buffer.alloc(65_536);
    }
    encoder.end({ length: 2 * 65_535 + 65_536, body: parts() });
    await turns();
    const { items } = await outcomeOf<Buffer>(encoder);
    expect(Buffer.concat(items).toString('latin1', 4)).to.equal(
      'a'.repeat(65_535) + 'b'.repeat(65_535) + '\0'.repeat(65_536),
    );
  });

  it('gives its large parts uncopied to a reader that takes them as they come', async () => {
    const encoder = new LengthPrefixEncoder();
    const chunks: Buffer[] = [];
    encoder.on('data', (chunk) => chunks.push(chunk));
    const large = new Uint8Array(65_536);
    encoder.end({ length: 65_537, body: ['a', large] });
    await once(encoder, 'end');
    expect(chunks.map(({ length }) => length)).to.deep.equal([5, 65_536]);
    expect(chunks[1]!.buffer).to.equal(large.buffer);
  });

  const kept: [string, FormatOptions, string[], string][] = [
    [
      'a header',
      { lengthField: 'uint16be', lengthFieldOffset: 1, header: fromHex('070000') },
      ['61', '62'],
      '07 0002 6162',
    ],
    ['an adjustment', { lengthField: 'uint8', lengthAdjustment: -1 }, ['61', '62'], '03 6162'],
    ['CompactSize', { lengthField: compactSize }, ['61', '62'], '02 6162'],
    ['CompactSize, wide', { lengthField: compactSize }, ['61'.repeat(300)], `fd 2c01 ${'61'.repeat(300)}`],
    [
      'a fixed field that is kept',
      { lengthField: 'uint16be', initialBytesToStrip: 0 },
      ['ff', 'ff61', '62'],
      '0002 6162',
    ],
    ['a fixed field that is all', { lengthField: 'uint16be', initialBytesToStrip: 0 }, ['ff', 'ff'], '0000'],
    [
      'a fixed field that is kept, with what is in front',
      { lengthField: 'uint16be', lengthFieldOffset: 2, initialBytesToStrip: 1, header: fromHex('ca') },
      ['01', '', 'eeee', '61'],
      'ca 01 0001 61',
    ],
    ['a varint that is kept', { lengthField: 'varint', initialBytesToStrip: 0 }, ['7f', '61', '62'], '02 6162'],
    ['a varint that is all', { lengthField: 'varint', initialBytesToStrip: 0 }, ['7f'], '00'],
    [
      'a varint that is kept, behind others',
      { lengthField: 'varint', lengthFieldOffset: 2, initialBytesToStrip: 1 },
      ['07', '8000', '61'.repeat(199), '62'],
      `00 07 c801 ${'61'.repeat(199)} 62`,
    ],
    [
      'a CompactSize that is kept',
      { lengthField: compactSize, initialBytesToStrip: 0 },
      ['fd', '00', '00', '61'.repeat(253)],
      `fd fd00 ${'61'.repeat(253)}`,
    ],
  ];
  for (const [name, options, parts, expected] of kept) {
    it(`goes with ${name}, and leaves the caller's bytes alone`, async () => {
      const { encoder, wire, errors } = flowing(options);
      const given = parts.map(fromHex);
      const length = Buffer.concat(given).length;
      encoder.write({ length, body: given });
      encoder.write({ length, body: Buffer.concat(given) });
      encoder.end();
      await outcomeOf(encoder);
      expect(errors).to.deep.equal([]);
      expect(wire().toString('hex')).to.equal(fromHex(expected + expected).toString('hex'));
      expect(given).to.deep.equal(parts.map(fromHex));
    });
  }

  describe('that is longer or shorter than its length', () => {
    const wrong: [string, number, Body, string, string, string][] = [
      ['truncated', 4, ['ab', 'c'], 'ERR_FRAME_TRUNCATED', 'the body ended after 3 of 4 bytes', '04 616263'],
      ['truncated before its first byte', 1, [], 'ERR_FRAME_TRUNCATED', 'the body ended after 0 of 1 byte', ''],
      [
        'too long',
        3,
        ['ab', 'cd'],
        'ERR_FRAME_TOO_LONG',
        'the body has 4 bytes or more, and its length is 3',
        '03 6162',
      ],
      [
        'too long by a later part',
        1,
        ['a', '', 'b'],
        'ERR_FRAME_TOO_LONG',
        'the body has 2 bytes or more, and its length is 1',
        '01 61',
      ],
      [
        'too long for a length of 0',
        0,
        'a',
        'ERR_FRAME_TOO_LONG',
        'the body has 1 byte or more, and its length is 0',
        '',
      ],
    ];
    for (const [name, length, body, code, what, sent] of wrong) {
      it(`${name}: fails its own write, then the stream behind all messages before`, async () => {
        for (const given of [body, Readable.from(typeof body === 'string' ? [body] : (body as string[]))]) {
          const { encoder, wire, errors } = flowing();
          const { calls, called } = callbacks();
          encoder.write('a', called('a'));
          encoder.write({ length, body: given }, called('body'));
          encoder.write('b', called('b'));
          await closed(encoder);
          await turns();
          expect(wire()).to.deep.equal(fromHex(`01 61 ${sent}`));
          expect(errors).to.have.lengthOf(1);
          expect(errors[0]).to.include({ name: 'FrameError', code, position: 2 });
          expect(errors[0]!.message).to.equal(`Frame at byte 2: ${what}`);
          expect(calls.map(([name]) => name)).to.deep.equal(['a', 'body', 'b']);
          expect(calls.map(([, error]) => error)).to.deep.equal([undefined, errors[0], errors[0]]);
          if (given instanceof Readable) expect(given.destroyed).to.equal(true);
        }
      });
    }

    it('tells the place of its frame behind bodies and headers of any width', async () => {
      const { encoder, errors } = flowing({ lengthField: 'varint', lengthFieldOffset: 1, initialBytesToStrip: 0 });
      encoder.write({ length: 4, body: [fromHex('00 02 61 62')] });
      encoder.write({ length: 202, body: [fromHex('00 8000'), Buffer.alloc(199)] });
      encoder.write({ length: 3, body: [fromHex('00 01')] });
      await closed(encoder);
      expect(errors[0]).to.include({ code: 'ERR_FRAME_TRUNCATED', position: 206 });
    });

    it('tells the place of its frame behind a body that was sent with a wider length field than it came with', async () => {
      const { encoder, wire, errors } = flowing({
        lengthField: 'varint',
        lengthFieldOffset: 1,
        initialBytesToStrip: 1,
      });
      encoder.write({ length: 201, body: [fromHex('00'), Buffer.alloc(200)] });
      await once(encoder, 'drain');
      expect(wire()).to.have.lengthOf(1 + 2 + 200);
      encoder.write({ length: 2, body: [fromHex('00 61')] });
      encoder.write({ length: 2, body: [fromHex('01')] });
      await closed(encoder);
      expect(errors[0]).to.include({ code: 'ERR_FRAME_TRUNCATED', position: 203 + 3 });
    });

    it('and has no room for its length field: fails before its body ends', async () => {
      const { encoder, wire, errors } = flowing({ lengthField: 'varint', initialBytesToStrip: 0 });
      const body = new PassThrough();
      encoder.write({ length: 0, body });
      await closed(encoder);
      await turns();
      expect(wire()).to.have.lengthOf(0);
      expect(errors.map(({ code, position }) => [code, position])).to.deep.equal([['ERR_FRAME_CORRUPT', 0]]);
      expect(body.destroyed).to.equal(true);
    });

    it('is refused at once where that can be seen: the body is not read, and messages behind it fail', async () => {
      const { encoder, wire, errors } = flowing({ lengthField: 'varint', lengthFieldOffset: 1, maxPayloadLength: 200 });
      const { calls, called } = callbacks();
      encoder.write({ length: 200, body: [Buffer.alloc(200)] });
      encoder.write({ length: 1, body: 'a' });
      const { stream } = source(['b']);
      expect(encoder.write({ length: 201, body: stream }, called('body'))).to.equal(false);
      expect(stream.destroyed).to.equal(true);
      expect(encoder.writableEnded).to.equal(false);
      encoder.write('b', called('behind'));
      await closed(encoder);
      expect(wire()).to.have.lengthOf(203 + 3);
      expect(errors).to.have.lengthOf(1);
      expect(errors[0]).to.include({
        code: 'ERR_FRAME_TOO_LONG',
        position: 206,
        message: 'Frame at byte 206: a payload of 201 bytes was given, at most 200 are allowed (maxPayloadLength)',
      });
      expect(calls).to.have.deep.members([
        ['body', errors[0]],
        ['behind', errors[0]],
      ]);
    });

    it('is not reported before a slow reader has all that came before it', async () => {
      const encoder = new LengthPrefixEncoder({ lengthField: 'uint8' });
      const errors: Failure[] = [];
      encoder.on('error', (error) => errors.push(error));
      encoder.write('ab');
      encoder.write({ length: 2, body: ['c'] });
      for (const byte of fromHex('02 6162 02 63')) {
        await turns(3);
        expect(errors).to.deep.equal([]);
        expect(encoder.read(1)).to.deep.equal(Buffer.of(byte));
      }
      await turns();
      expect(errors.map(({ code }) => code)).to.deep.equal(['ERR_FRAME_TRUNCATED']);
    });

    it('in its kept length field: not one byte is sent', async () => {
      const cases: [FormatOptions, number, Body, string, RegExp][] = [
        [
          { lengthField: 'varint', initialBytesToStrip: 0 },
          2,
          [fromHex('80'), fromHex('80')],
          'ERR_FRAME_CORRUPT',
          /a message of 2 bytes was given, and must have a whole length field from byte 0 on$/,
        ],
        [
          { lengthField: 'varint', initialBytesToStrip: 0 },
          0,
          source([]).stream,
          'ERR_FRAME_CORRUPT',
          /a message of 0 bytes was given, and must have a whole length field from byte 0 on$/,
        ],
        [
          { lengthField: 'varint', initialBytesToStrip: 0, maxPayloadLength: 3 },
          5,
          [Buffer.alloc(5)],
          'ERR_FRAME_TOO_LONG',
          /a payload of 4 bytes was given, at most 3 are allowed \(maxPayloadLength\)$/,
        ],
        [
          { lengthField: 'varint', initialBytesToStrip: 0 },
          12,
          [fromHex('0b')],
          'ERR_FRAME_TRUNCATED',
          /the body ended after 1 of 12 bytes$/,
        ],
      ];
      for (const [options, length, body, code, message] of cases) {
        const { encoder, wire, errors } = flowing(options);
        encoder.write(fromHex('01 61'));
        encoder.write({ length, body });
        await closed(encoder);
        expect(wire()).to.deep.equal(fromHex('01 61'));
        expect(errors[0]).to.include({ code, position: 2 });
        expect(errors[0]!.message).to.match(message);
        if (body instanceof Readable) expect(body.destroyed).to.equal(true);
      }
    });

    it('for a part that is no bytes', async () => {
      for (const [part, received] of [
        [5, 'type number (5)'],
        [['a'], 'an instance of Array'],
        [undefined, 'undefined'],
      ] as const) {
        const { encoder, errors } = flowing();
        encoder.write({ length: 2, body: ['a', part] as string[] });
        await closed(encoder);
        expect(errors[0]).to.have.property('code', 'ERR_INVALID_ARG_TYPE');
        expect(errors[0]!.message).to.equal(
          `The "message.body" property must be of strings, Buffers or Uint8Arrays. Received ${received}`,
        );
      }
    });
  });

  it('that fails, fails its write and the stream with its own error', async () => {
    const failure = new Error('disk');
    const failing: (() => Body)[] = [
      () => new Readable({ read: () => {} }).destroy(failure) as Readable,
      () => {
        const stream = new Readable({ read: () => {} });
        stream.push('a');
        setImmediate(() => stream.destroy(failure));
        return stream;
      },
      () =>
        (function* () {
          yield 'a';
          throw failure;
        })(),
      () => new ReadableStream({ start: (controller) => controller.error(failure) }) as unknown as Body,
    ];
    for (const make of failing) {
      const { encoder, errors } = flowing();
      const { calls, called } = callbacks();
      encoder.write('a', called('a'));
      encoder.write({ length: 2, body: make() }, called('body'));
      await closed(encoder);
      expect(errors).to.deep.equal([failure]);
      expect(calls).to.deep.equal([
        ['a', undefined],
        ['body', failure],
      ]);
    }
  });

  it('that closes before its end fails its write', async () => {
    const stream = new PassThrough();
    const { encoder, errors } = flowing();
    encoder.write({ length: 2, body: stream });
    stream.write('a');
    await turns();
    stream.destroy();
    await closed(encoder);
    expect(errors.map(({ code }) => code)).to.deep.equal(['ERR_STREAM_PREMATURE_CLOSE']);
  });

  it('that fails before its turn is told then', async () => {
    const { encoder, wire, errors } = flowing();
    const failure = new Error('too early');
    const [first, second] = [new PassThrough(), new PassThrough()];
    encoder.write({ length: 1, body: first });
    encoder.write({ length: 1, body: second });
    second.destroy(failure);
    await turns();
    expect(errors).to.deep.equal([]);
    first.end('a');
    await closed(encoder);
    expect(errors).to.deep.equal([failure]);
    expect(wire()).to.deep.equal(fromHex('01 61'));
  });

  describe('is destroyed', () => {
    /** One of each kind that holds something, and whether that was let go of. */
    function held(): [string, Body, () => boolean][] {
      let [cancelled, left] = [false, false];
      function* generator() {
        try {
          yield 'a';
          yield 'b';
        } finally {
          left = true;
        }
      }
      const started = generator();
      const nodeStream = new Readable({ read: () => {} });
      const userlandStream = new userland.Readable({ read: () => {} });
      const web = new ReadableStream({
        cancel() {
          cancelled = true;
        },
      });
      started.next();
      return [
        ['a node:stream', nodeStream, () => nodeStream.destroyed],
        ['a readable-stream', userlandStream as unknown as Body, () => userlandStream.destroyed],
        ['a web ReadableStream', web as unknown as Body, () => cancelled],
        ['a generator', started, () => left],
      ];
    }

    it('when it can not be sent', async () => {
      const cases: [LengthPrefixEncoderOptions, (encoder: LengthPrefixEncoder) => void, string][] = [
        [{ maxPayloadLength: 0 }, () => {}, 'ERR_FRAME_TOO_LONG'],
        [{ lengthField: 'uint16be', initialBytesToStrip: 0 }, () => {}, 'ERR_FRAME_CORRUPT'],
        [{}, (encoder) => encoder.end(), 'ERR_STREAM_WRITE_AFTER_END'],
        [{}, (encoder) => encoder.destroy(), 'ERR_STREAM_DESTROYED'],
        [{ maxPayloadLength: 3 }, (encoder) => encoder.write('long'), 'ERR_FRAME_TOO_LONG'],
      ];
      for (const [options, before, code] of cases) {
        for (const [name, body, isLetGo] of held()) {
          const { encoder } = flowing(options);
          const { calls, called } = callbacks();
          before(encoder);
          expect(encoder.write({ length: 1, body }, called('body'))).to.equal(false);
          await turns();
          expect(isLetGo(), `${name} ${code}`).to.equal(true);
          expect(calls.map(([, error]) => error?.code)).to.deep.equal([code]);
        }
      }
    });

    it('when the stream is destroyed: the body that is being sent, and all behind it', async () => {
      for (const failure of [new Error('gone'), undefined]) {
        for (let pair = 0; pair < 16; pair++) {
          const [name, body, isLetGo] = held()[pair >> 2]!;
          const [nextName, next, isNextLetGo] = held()[pair & 3]!;
          const { encoder, errors } = flowing();
          const { calls, called } = callbacks();
          encoder.write({ length: 9, body }, called('first'));
          encoder.write({ length: 9, body: next }, called('second'));
          // A generator is not one to wait: what it has is sent, and is too little.
          if (name !== 'a generator') await turns(3);
          encoder.destroy(failure);
          await turns();
          expect([isLetGo(), isNextLetGo()], `${name}, ${nextName}`).to.deep.equal([true, true]);
          expect(calls.map(([name]) => name)).to.deep.equal(['first', 'second']);
          for (const [, error] of calls) {
            if (failure !== undefined) expect(error, `${name}, ${nextName}`).to.equal(failure);
            else expect(error).to.have.property('code', 'ERR_STREAM_DESTROYED');
          }
          expect(errors).to.deep.equal(failure ? [failure] : []);
        }
      }
    });

    it('when a body in front of it fails', async () => {
      for (const [name, body, isLetGo] of held()) {
        const { encoder, errors } = flowing();
        encoder.write({ length: 2, body: 'a' });
        encoder.write({ length: 1, body });
        await closed(encoder);
        await turns();
        expect(isLetGo(), name).to.equal(true);
        expect(errors.map(({ code }) => code)).to.deep.equal(['ERR_FRAME_TRUNCATED']);
      }
    });

    /** A body that is written now is let go of with the error of a write after the end, and so is its callback called. */
    async function expectTooLate(encoder: LengthPrefixEncoder): Promise<void> {
      const { calls, called } = callbacks();
      const body = new PassThrough();
      encoder.write({ length: 1, body }, called('late'));
      await turns();
      expect(body.errored).to.have.property('code', 'ERR_STREAM_WRITE_AFTER_END');
      expect(calls).to.deep.equal([['late', body.errored]]);
    }

    it('with the error that its write is called back with, after end', async () => {
      const { encoder } = flowing();
      encoder.end();
      await expectTooLate(encoder);
    });

    it('at once when the stream has failed and is not destroyed for it', async () => {
      const { encoder, errors } = flowing({ maxPayloadLength: 3, autoDestroy: false });
      encoder.write('four');
      await turns();
      const { calls, called } = callbacks();
      const body = new PassThrough();
      expect(encoder.write({ length: 1, body }, called('body'))).to.equal(false);
      expect([body.errored, encoder.destroyed]).to.deep.equal([errors[0], false]);
      encoder.destroy();
      await turns();
      expect(calls.map(([name, error]) => [name, error instanceof Error])).to.deep.equal([['body', true]]);
    });

    it("when a message in front of it is refused, as Node's Transform calls back, with autoDestroy: false", async () => {
      const node = new Transform({
        autoDestroy: false,
        transform: (chunk, _encoding, done) => done(String(chunk) === 'long' ? new Error('mine') : null),
      });
      const encoder = new LengthPrefixEncoder({ lengthField: 'uint8', maxPayloadLength: 3, autoDestroy: false });
      const bodies = [new PassThrough(), new PassThrough()];
      const outcomes: unknown[] = [];
      for (const stream of [node, encoder]) {
        const errors: Failure[] = [];
        stream.on('error', (error) => errors.push(error)).resume();
        const { calls, called } = callbacks();
        stream.write('long', called('refused'));
        const [body, other] = stream === encoder ? bodies.map((each) => ({ length: 1, body: each })) : ['a', 'b'];
        stream.write(body as never, called('body'));
        stream.write(other as never);
        stream.write('c', called('of the tick'));
        await turns();
        expect(stream.destroyed).to.equal(false);
        if (stream === encoder) for (const each of bodies) expect(each.errored).to.equal(errors[0]);
        stream.write('d', called('late'));
        await turns();
        expect(calls).to.have.lengthOf(3);
        stream.destroy();
        await turns();
        expect(errors).to.have.lengthOf(1);
        outcomes.push(calls.map(([name, error]) => [name, errors.indexOf(error!)]));
      }
      expect(outcomes[1]).to.deep.equal(outcomes[0]);
    });

    it('when the stream has failed behind its end, and is not destroyed for it: the write comes after end', async () => {
      const { encoder } = flowing({ maxPayloadLength: 3, autoDestroy: false });
      encoder.end('four');
      await turns();
      await expectTooLate(encoder);
    });

    it('when it is given to end() too late', async () => {
      const failure = new Error('gone');
      const cases: [(encoder: LengthPrefixEncoder) => unknown, string][] = [
        [(encoder) => encoder.end(), 'ERR_STREAM_WRITE_AFTER_END'],
        [(encoder) => encoder.destroy(), 'ERR_STREAM_DESTROYED'],
        [(encoder) => encoder.destroy(failure), 'ERR_STREAM_DESTROYED'],
      ];
      for (const [leave, code] of cases) {
        const { encoder } = flowing();
        const { calls, called } = callbacks();
        leave(encoder);
        const body = new PassThrough();
        encoder.end({ length: 1, body }, called('end'));
        await turns();
        expect(body.errored).to.have.property('code', code);
        expect(calls).to.deep.equal([['end', body.errored]]);
      }
    });

    it('when its encoding is not known, with the error that is thrown, after end too', async () => {
      for (const isEnded of [false, true]) {
        const { encoder } = flowing();
        if (isEnded) encoder.end();
        const body = new PassThrough();
        const error = thrownBy(() => encoder.write({ length: 1, body }, 'utf-9'));
        expect(error).to.have.property('code', 'ERR_UNKNOWN_ENCODING');
        expect(body.errored).to.equal(error);
      }
    });

    it('when it is given to end() of a stream that has failed and is not destroyed for it', async () => {
      const { encoder, errors } = flowing({ maxPayloadLength: 3, autoDestroy: false });
      encoder.write('four');
      await turns();
      const { calls, called } = callbacks();
      const body = new PassThrough();
      encoder.end({ length: 1, body }, called('end'));
      expect(body.errored).to.equal(errors[0]);
      encoder.destroy();
      await turns();
      expect(calls).to.deep.equal([['end', errors[0]]]);
      expect(errors).to.have.lengthOf(1);
    });

    it('when it is longer than its length', async () => {
      let cancelled = false;
      const endless = new ReadableStream({
        pull: (controller) => controller.enqueue(Buffer.from('ab')),
        cancel() {
          cancelled = true;
        },
      });
      const { encoder, errors } = flowing();
      encoder.write({ length: 3, body: endless as unknown as Body });
      await closed(encoder);
      await turns();
      expect(cancelled).to.equal(true);
      expect(errors.map(({ code }) => code)).to.deep.equal(['ERR_FRAME_TOO_LONG']);
    });

    it('when another reads it already, as far as that can be', async () => {
      const web = new ReadableStream();
      web.getReader();
      const { encoder, errors } = flowing();
      encoder.write({ length: 3, body: web as unknown as Body });
      await closed(encoder);
      expect(errors.map(({ name }) => name)).to.deep.equal(['TypeError']);
    });

    it('when it destroys the stream itself', async () => {
      const { encoder, errors } = flowing();
      const { calls, called } = callbacks();
      let left = false;
      function* body() {
        try {
          yield 'a';
          encoder.destroy();
          yield 'b';
        } finally {
          left = true;
        }
      }
      encoder.write({ length: 2, body: body() }, called('body'));
      await closed(encoder);
      await turns();
      expect(errors).to.deep.equal([]);
      expect(left).to.equal(true);
      expect(calls.map(([, error]) => error?.code)).to.deep.equal(['ERR_STREAM_DESTROYED']);
    });
  });

  it('has its callback called once when the stream is destroyed at any moment', async () => {
    for (const end of ['whole', 'short', 'failing'] as const) {
      for (let moment = 0; moment < 24; moment++) {
        for (const reads of [true, false, undefined]) {
          const { encoder, errors } = flowing();
          if (reads === false) encoder.pause();
          // What is buffered then is not read, and body after body goes into the buffer.
          if (reads === undefined) encoder.removeAllListeners('data').on('readable', () => {});
          const { calls, called } = callbacks();
          async function* body() {
            yield 'a';
            if (end === 'failing') throw new Error('failing');
            if (end === 'whole') yield 'b';
          }
          encoder.write('z', called('z'));
          encoder.write({ length: 2, body: body() }, called('body'));
          encoder.write('y', called('y'));
          for (let i = 0; i < moment; i++) await (i % 8 === 0 ? turn() : null);
          const wasDestroyed = encoder.destroyed;
          encoder.destroy();
          await turns(4);
          const message = `${end} ${moment} ${reads}`;
          expect(new Set(calls.map(([name]) => name)), message).to.deep.equal(new Set(['z', 'body', 'y']));
          expect(calls, message).to.have.lengthOf(3);
          expect(errors.length, message).to.equal(wasDestroyed ? 1 : 0);
        }
      }
    }
  });

  it('has its callback called once when the stream is destroyed just as the body fails', async () => {
    for (let moment = 0; moment < 12; moment++) {
      const encoder = new LengthPrefixEncoder({ lengthField: 'uint8' });
      const { calls, called } = callbacks();
      const body = {
        [Symbol.asyncIterator]: () => ({
          next() {
            let later = Promise.resolve();
            for (let i = 0; i < moment; i++) later = later.then(() => {});
            later.then(() => encoder.destroy());
            return Promise.reject(new Error('failing'));
          },
        }),
      };
      encoder.on('readable', () => {});
      encoder.write({ length: 2, body }, called('body'));
      await turns(4);
      expect(calls, `${moment}`).to.have.lengthOf(1);
      expect(calls[0]![1]).to.be.instanceOf(Error);
    }
  });

  it('is asked for no more than its reader takes', async () => {
    function* endless() {
      for (;;) yield Buffer.alloc(10_000);
    }
    const body = source(endless());
    const encoder = new LengthPrefixEncoder({ readableHighWaterMark: 20_000 });
    encoder.on('error', () => {});
    encoder.write({ length: 10_000_000, body: body.stream });
    await turns(20);
    const { asked } = body;
    expect(asked).to.be.within(1, 6);
    await turns(20);
    expect(body.asked).to.equal(asked);
    expect(encoder.readableLength).to.be.at.most(30_004);
    for (let i = 0; i < 5; i++) {
      encoder.read();
      await turns(20);
    }
    expect(body.asked).to.be.within(asked + 5, asked + 30);
    encoder.destroy();
  });

  it('is refused at once if it is no body, and the stream goes on', async () => {
    const { encoder, wire, errors } = flowing();
    const wrong: [unknown, string, string][] = [
      [
        { length: '1', body: 'a' },
        'ERR_INVALID_ARG_TYPE',
        'The "message.length" property must be of type number. Received \'1\'',
      ],
      [
        { body: 'a' },
        'ERR_INVALID_ARG_TYPE',
        'The "message.length" property must be of type number. Received undefined',
      ],
      [
        { length: -1, body: 'a' },
        'ERR_OUT_OF_RANGE',
        'The value of "message.length" is out of range. It must be an integer >= 0 and <= 9007199254740991. Received -1',
      ],
      [
        { length: 1.5, body: 'a' },
        'ERR_OUT_OF_RANGE',
        'The value of "message.length" is out of range. It must be an integer >= 0 and <= 9007199254740991. Received 1.5',
      ],
      [
        { length: 1, body: 5 },
        'ERR_INVALID_ARG_TYPE',
        'The "message.body" property must be a stream, an iterable, a string, a Buffer or a Uint8Array. Received type number (5)',
      ],
      [
        { length: 1, body: {} },
        'ERR_INVALID_ARG_TYPE',
        'The "message.body" property must be a stream, an iterable, a string, a Buffer or a Uint8Array. Received an instance of Object',
      ],
      [
        { length: 1, body: null },
        'ERR_INVALID_ARG_TYPE',
        'The "message.body" property must be a stream, an iterable, a string, a Buffer or a Uint8Array. Received null',
      ],
      [
        { length: 1, body: undefined },
        'ERR_INVALID_ARG_TYPE',
        'The "message.body" property must be a stream, an iterable, a string, a Buffer or a Uint8Array. Received undefined',
      ],
    ];
    for (const [message, code, text] of wrong) {
      expect(thrownBy(() => encoder.write(message as Message))).to.include({ code, message: text });
    }
    encoder.write('ok');
    await turns();
    expect(wire()).to.deep.equal(fromHex('02 6f6b'));
    expect(errors).to.deep.equal([]);
  });

  it('comes through a pipe of objects, one at a time', async () => {
    let open = 0;
    const { encoder, wire } = flowing();
    function* messages() {
      for (let i = 0; i < 20; i++) {
        open++;
        const body = Readable.from(['a', 'b']);
        body.on('close', () => open--);
        yield { length: 2, body };
      }
    }
    const most: number[] = [];
    encoder.on('data', () => most.push(open));
    Readable.from(messages(), { highWaterMark: 1 }).pipe(encoder);
    await once(encoder, 'end');
    expect(wire().toString('latin1')).to.equal('\x02ab'.repeat(20));
    expect(Math.max(...most)).to.be.at.most(4);
  });

  it('goes to a framed stream, whose failure fails it, and is failed by it', async () => {
    const sent: Buffer[] = [];
    const socket = new Duplex({
      read() {},
      write(chunk, _encoding, callback) {
        sent.push(Buffer.from(chunk));
        setImmediate(callback);
      },
    });
    const stream = framed(socket, { lengthField: 'uint8' });
    const { calls, called } = callbacks();
    const errors: Failure[] = [];
    stream.on('error', (error) => errors.push(error));
    stream.write('a', called('a'));
    stream.write({ length: 3, body: Readable.from(['b', 'cd']) }, called('body'));
    stream.write(['e', Buffer.alloc(1)], called('parts'));
    const never = new PassThrough();
    stream.write({ length: 2, body: ['f'] }, called('short'));
    stream.write({ length: 2, body: never }, called('never'));
    await closed(stream);
    await turns();
    expect(Buffer.concat(sent)).to.deep.equal(fromHex('01 61 03 626364 02 6500 02 66'));
    expect(errors).to.have.lengthOf(1);
    expect(errors[0]).to.include({ code: 'ERR_FRAME_TRUNCATED', position: 9 });
    expect(calls).to.deep.equal([
      ['a', undefined],
      ['body', undefined],
      ['parts', undefined],
      ['short', errors[0]],
      ['never', errors[0]],
    ]);
    expect([never.destroyed, socket.destroyed]).to.deep.equal([true, true]);
  });
});

describe('the encode option', () => {
  it('makes the message of each value, of any kind that write takes', async () => {
    const { encoder, wire } = flowing({
      lengthField: 'uint8',
      encode: (value: number | Message) => (typeof value === 'number' ? `${value}` : value),
    });
    encoder.write(12);
    encoder.write(0);
    encoder.write(['a', 'b']);
    encoder.write({ length: 1, body: ['c'] });
    encoder.write(Buffer.from('d'));
    encoder.end(7);
    await once(encoder, 'end');
    expect(wire()).to.deep.equal(fromHex('02 3132 01 30 02 6162 01 63 01 64 01 37'));
  });

  it('is given false, an empty string and undefined, too, and strings it returns are in the encoding of the write', async () => {
    const seen: unknown[] = [];
    const { encoder, wire } = flowing({
      lengthField: 'uint8',
      encode(value: unknown) {
        seen.push(value);
        return 'é';
      },
    });
    for (const value of [false, '', undefined]) encoder.write(value as never, 'latin1');
    encoder.end(false as never);
    await once(encoder, 'end');
    expect(seen).to.deep.equal([false, '', undefined, false]);
    expect(wire()).to.deep.equal(fromHex('01 e9 01 e9 01 e9 02 c3a9'));
  });

  it('that throws fails its own write, then the stream behind all messages before', async () => {
    for (const cause of [new Error('no'), 'just so']) {
      const { encoder, wire, errors } = flowing({
        lengthField: 'uint8',
        encode(value: string) {
          if (value === 'bad') throw cause;
          return value;
        },
      });
      encoder.pause();
      const { calls, called } = callbacks();
      encoder.write('ab', called('good'));
      expect(encoder.write('bad', called('bad'))).to.equal(false);
      encoder.write('c', called('behind'));
      await turns();
      expect(errors).to.deep.equal([]);
      encoder.resume();
      await closed(encoder);
      expect(wire()).to.deep.equal(fromHex('02 6162'));
      expect(errors).to.have.lengthOf(1);
      expect(errors[0]).to.include({ name: 'FrameError', code: 'ERR_FRAME_CORRUPT', position: 3, cause });
      expect(errors[0]!.message).to.equal(
        `Frame at byte 3: the message can't be encoded: ${cause instanceof Error ? 'no' : 'just so'}`,
      );
      expect(calls).to.deep.equal([
        ['good', undefined],
        ['bad', errors[0]],
        ['behind', errors[0]],
      ]);
    }
  });

  it('that returns no message fails the write, and the stream', async () => {
    const wrong: [unknown, string][] = [
      [undefined, 'ERR_INVALID_RETURN_VALUE'],
      [null, 'ERR_INVALID_RETURN_VALUE'],
      [5, 'ERR_INVALID_RETURN_VALUE'],
      [{}, 'ERR_INVALID_RETURN_VALUE'],
      [Promise.resolve('a'), 'ERR_INVALID_RETURN_VALUE'],
      [Promise.reject(new Error('later')), 'ERR_INVALID_RETURN_VALUE'],
      [[5], 'ERR_INVALID_ARG_TYPE'],
      [[Promise.reject(new Error('later'))], 'ERR_INVALID_ARG_TYPE'],
      [[null], 'ERR_INVALID_ARG_TYPE'],
      [{ length: 1, body: 5 }, 'ERR_INVALID_ARG_TYPE'],
      [{ length: -1, body: '' }, 'ERR_OUT_OF_RANGE'],
    ];
    for (const [result, code] of wrong) {
      const encoder = new LengthPrefixEncoder({ encode: () => result as Message });
      const errors: unknown[] = [];
      encoder.write('a', (error) => errors.push(error));
      const [error] = await once(encoder, 'error');
      expect(errors).to.deep.equal([error]);
      expect(error).to.include({ code: 'ERR_FRAME_CORRUPT', position: 0 });
      expect(error.cause).to.have.property('code', code);
      expect(encoder.read()).to.equal(null);
    }
  });

  it('that ends or destroys the stream has made its message too late', async () => {
    const failure = new Error('gone');
    const cases: [(encoder: LengthPrefixEncoder) => unknown, string][] = [
      [(encoder) => encoder.end(), 'ERR_STREAM_WRITE_AFTER_END'],
      [(encoder) => encoder.destroy(), 'ERR_STREAM_DESTROYED'],
      [(encoder) => encoder.destroy(failure), 'ERR_STREAM_DESTROYED'],
    ];
    for (const [leave, code] of cases) {
      const body = new PassThrough();
      for (const result of ['a', undefined, { length: 1, body }]) {
        const { encoder, wire } = flowing({
          encode() {
            leave(encoder);
            return result as Message;
          },
        });
        const { calls, called } = callbacks();
        expect(encoder.write('late', called('late'))).to.equal(false);
        await turns();
        expect(calls.map(([, error]) => error?.code)).to.deep.equal([code]);
        expect(wire()).to.have.lengthOf(0);
      }
      expect(body.errored).to.have.property('code', code);
    }
  });

  it('does not touch a value that only looks like a message with a body, when it comes too late', async () => {
    const { encoder, errors } = flowing({ encode: () => 'made' });
    encoder.end();
    const value = { length: 1, body: new PassThrough() };
    encoder.write(value as never);
    encoder.end(value as never);
    await turns();
    expect(errors[0]).to.have.property('code', 'ERR_STREAM_WRITE_AFTER_END');
    expect(value.body.destroyed).to.equal(false);
  });

  it('is not called for a value that comes too late, nor for null', async () => {
    let calls = 0;
    const { encoder, errors } = flowing({
      encode(value: string) {
        calls++;
        return value;
      },
    });
    expect(thrownBy(() => encoder.write(null as never))).to.have.property('code', 'ERR_STREAM_NULL_VALUES');
    encoder.end();
    encoder.write('late');
    await turns();
    expect(calls).to.equal(0);
    expect(errors.map(({ code }) => code)).to.deep.equal(['ERR_STREAM_WRITE_AFTER_END']);
  });

  it('is a function', () => {
    expect(thrownBy(() => new LengthPrefixEncoder({ encode: 'json' as never }))).to.include({
      code: 'ERR_INVALID_ARG_TYPE',
      message: 'The "options.encode" property must be of type function. Received \'json\'',
    });
  });
});
