import { createHash } from 'node:crypto';
import { expect } from 'chai';
import {
  type Checksum,
  type FormatOptions,
  framed,
  LengthPrefixDecoder,
  LengthPrefixEncoder,
  type Message,
} from '../../lib/index.js';
import { LengthPrefixDecoderStream, LengthPrefixEncoderStream } from '../../lib/web/index.js';
import { FrameBuilder } from '../../lib/wire/builder.js';
import { FrameParser } from '../../lib/wire/parser.js';
import { decode, encode, fromHex, outcomeOf, thrownBy } from '../support/streams.js';
import { wirePair } from '../support/wire.js';

/** The sum of all bytes, and what it was given. */
function noting(): { sum: Checksum<number>; seen: string[] } {
  const seen: string[] = [];
  const sum: Checksum<number> = {
    width: 1,
    update(sum = 0, bytes) {
      seen.push(Buffer.from(bytes).toString('hex'));
      return bytes.reduce((a, b) => (a + b) & 0xff, sum);
    },
    final(sum) {
      seen.push(sum === undefined ? 'empty' : 'final');
      return Uint8Array.of(sum ?? 0);
    },
  };
  return { sum, seen };
}

const end: FormatOptions = { lengthField: 'uint8', trailer: fromHex('ce fa') };

/** One byte at a time. */
const bytewise = (wire: Uint8Array) => Array.from(wire, (byte) => Buffer.of(byte));

describe('a constant trailer', () => {
  it('is written behind each message, however that is given', async () => {
    const encoder = new LengthPrefixEncoder(end);
    const messages: Message[] = [
      'a',
      Buffer.from('bc'),
      ['d', Buffer.from('e')],
      '',
      [],
      { length: 2, body: ['f', 'g'] },
    ];
    for (const message of [...messages, { length: 0, body: [] }]) encoder.write(message);
    encoder.end();
    expect(Buffer.concat(await encoder.toArray()).toString('hex')).to.equal(
      ['0161cefa', '026263cefa', '026465cefa', '00cefa', '00cefa', '026667cefa', '00cefa'].join(''),
    );
  });

  it('is cut off, and not counted by the limit', async () => {
    const wire = fromHex('01 61 cefa 00 cefa 02 6263 cefa');
    for (const chunks of [[wire], bytewise(wire)]) {
      const { items, error } = await decode(chunks, { ...end, maxPayloadLength: 2 });
      expect(error).to.equal(undefined);
      expect(items.map(String)).to.deep.equal(['a', '', 'bc']);
    }
  });

  it('that is another is corrupt, and both are shown', async () => {
    for (const chunks of [[fromHex('01 61 cefa 01 62 cefb 01 63 cefa')], bytewise(fromHex('01 61 cefa 01 62 cefb'))]) {
      const { items, error } = await decode(chunks, end);
      expect(items.map(String)).to.deep.equal(['a']);
      expect(error).to.include({ code: 'ERR_FRAME_CORRUPT', position: 4 });
      expect(error!.message).to.equal('Frame at byte 4: the trailer is ce fb, and must be ce fa');
    }
  });

  it('inside which the input ends is truncated', async () => {
    for (const wire of ['01 61', '01 61 ce', '00', '00 ce']) {
      const bytes = fromHex(wire);
      for (const chunks of [[bytes], bytewise(bytes)]) {
        const { items, error } = await decode(chunks, end);
        expect(items).to.deep.equal([]);
        expect(error).to.include({ code: 'ERR_FRAME_TRUNCATED', position: 0 });
        const whole = bytes[0]! + 3;
        expect(error!.message).to.include(`the input ended after ${bytes.length} of ${whole} bytes`);
      }
    }
  });

  it('may be counted by the length', async () => {
    const options: FormatOptions = { ...end, lengthAdjustment: -2 };
    expect(await encode(['abc', ''], options)).to.deep.equal(fromHex('05 616263 cefa 02 cefa'));
    expect((await decode([fromHex('05 616263 cefa 02 cefa')], options)).items.map(String)).to.deep.equal(['abc', '']);
    expect((await decode([fromHex('01 cefa')], options)).error).to.include({ code: 'ERR_FRAME_CORRUPT' });
  });

  it('that was given is not changed by who gave it', async () => {
    const trailer = fromHex('ce fa');
    const encoder = new LengthPrefixEncoder({ ...end, trailer });
    trailer.fill(0);
    encoder.end('a');
    expect(Buffer.concat(await encoder.toArray())).to.deep.equal(fromHex('01 61 cefa'));
  });

  it('of 1,024 bytes is the longest', async () => {
    const options: FormatOptions = { trailer: Buffer.alloc(1024, 1) };
    expect((await decode([await encode(['a'], options)], options)).items.map(String)).to.deep.equal(['a']);
    const wrong = await encode(['a'], options);
    wrong[1000] = 2;
    const { error } = await decode([wrong], options);
    expect(error!.message).to.match(/: the trailer from byte 995 on is 02( 01){15}, and must be( 01){16}$/);
  });
});

describe('a checksum', () => {
  it('is given the message once, as it is handed out, and nothing of an empty one', async () => {
    for (const [options, messages, expected] of [
      [{}, ['ab', '', 'c'], '0002 6162 c3 0000 00 0001 63 63'],
      [{ lengthFieldOffset: 1, initialBytesToStrip: 1, header: fromHex('ca') }, ['\0\0a'], 'ca 0001 61 62'],
      [{ initialBytesToStrip: 3 }, ['a'], '0002 00 61 61'],
      [{ lengthField: 'varint', lengthFieldOffset: 1, initialBytesToStrip: 0 }, ['\x05\0ab'], '05 02 6162 ca'],
    ] as [FormatOptions, string[], string][]) {
      const { sum, seen } = noting();
      const format: FormatOptions = { lengthField: 'uint16be', ...options, trailer: sum };
      const wire = await encode(messages, format);
      expect(wire).to.deep.equal(fromHex(expected));
      const written = seen
        .splice(0)
        .join('')
        .split(/final|empty/);
      const { items, error } = await decode([wire], format);
      expect(error).to.equal(undefined);
      expect(written.slice(0, -1)).to.deep.equal(items.map((item) => item.toString('hex')));
      expect(seen.join('').split(/final|empty/)).to.deep.equal(written);
      expect((await decode(bytewise(wire), format)).items).to.deep.equal(items);
    }
  });

  it('runs over the length that a message keeps, in its final form', async () => {
    const { sum, seen } = noting();
    const format: FormatOptions = { lengthField: 'uint16be', initialBytesToStrip: 0, trailer: sum };
    const wire = await encode(['\0\0a'], format);
    expect(wire).to.deep.equal(fromHex('0001 61 62'));
    expect(seen.join(' ')).to.equal('0001 61 final');
    const body = new LengthPrefixEncoder(format);
    body.end({ length: 3, body: ['\x7f', '\x7f', 'a'] });
    expect(Buffer.concat(await body.toArray())).to.deep.equal(wire);
  });

  it('goes on from part to part of a body, and of parts', async () => {
    const { sum, seen } = noting();
    const format: FormatOptions = { lengthField: 'uint8', trailer: sum };
    const encoder = new LengthPrefixEncoder(format);
    encoder.write(['a', '', 'b']);
    encoder.end({ length: 3, body: ['a', '', 'bc'] });
    expect(Buffer.concat(await encoder.toArray())).to.deep.equal(fromHex('02 6162 c3 03 616263 26'));
    expect(seen).to.deep.equal(['61', '62', 'final', '61', '6263', 'final']);
  });

  it('may keep an object, such as a hash', async () => {
    const sha1: Checksum = {
      width: 20,
      update: (sum = createHash('sha1'), bytes) => sum.update(bytes),
      final: (sum = createHash('sha1')) => sum.digest(),
    };
    const options: FormatOptions = { lengthField: 'uint8', trailer: sha1 };
    const wire = await encode(['hello', ''], options);
    const hello = createHash('sha1').update('hello').digest('hex');
    expect(wire).to.deep.equal(fromHex(`05 68656c6c6f ${hello} 00 ${createHash('sha1').digest('hex')}`));
    for (const chunks of [[wire], bytewise(wire)]) {
      expect((await decode(chunks, options)).items.map(String)).to.deep.equal(['hello', '']);
      const decoder = new LengthPrefixDecoder({ ...options, stream: true });
      for (const chunk of chunks) decoder.write(chunk);
      decoder.end();
      const bodies: string[] = [];
      for await (const { body } of decoder) bodies.push(Buffer.concat(await body.toArray()).toString());
      expect(bodies).to.deep.equal(['hello', '']);
    }
    // Its digest can be had once: the fault is kept.
    const parser = new FrameParser(options);
    parser.push(fromHex(`02 6869 ${hello}`));
    expect(parser.nextLength()).to.equal(2);
    parser.skipRest();
    for (const _ of [1, 2]) expect(() => parser.nextLength()).to.throw('the trailer is');
  });

  it('may be made in the same place each time', async () => {
    const place = new Uint8Array(1);
    const trailer: Checksum<number> = {
      width: 1,
      update: (sum = 0, bytes) => sum + bytes.length,
      final(sum = 0) {
        place[0] = sum;
        return place;
      },
    };
    const builder = new FrameBuilder({ lengthField: 'uint8', trailer }, undefined, 1);
    builder.add('a');
    builder.add(['b', 'c']);
    expect(Buffer.concat(builder.take())).to.deep.equal(fromHex('01 61 01 02 6263 02'));
  });

  const broken: [string, object, RegExp, string | undefined][] = [
    [
      'update throws',
      {
        update() {
          throw new Error('no sum');
        },
      },
      /the trailer can't be made: no sum/,
      'no sum',
    ],
    [
      'final throws',
      {
        final() {
          throw new Error('no end');
        },
      },
      /the trailer can't be made: no end/,
      'no end',
    ],
    [
      'update returns nothing',
      { update() {} },
      /'trailer\.update' returned undefined, and must return the sum/,
      undefined,
    ],
    ['update is asynchronous', { update: async () => 1 }, /a checksum can't be asynchronous/, undefined],
    ['final is asynchronous', { final: async () => Buffer.of(1) }, /a checksum can't be asynchronous/, undefined],
    ['final rejects', { final: () => Promise.reject(new Error('no')) }, /a checksum can't be asynchronous/, undefined],
    ['final returns a number', { final: () => 1 }, /returned type number \(1\), .* a Uint8Array of 1 byte$/, undefined],
    [
      'final returns too much',
      { final: () => Buffer.alloc(2) },
      /returned 2 bytes, .* a Uint8Array of 1 byte$/,
      undefined,
    ],
    ['final returns nothing', { final() {} }, /returned undefined, .* a Uint8Array of 1 byte$/, undefined],
  ];
  for (const [what, functions, message, cause] of broken) {
    it(`whose ${what} is corrupt, at both ends`, async () => {
      const trailer = { width: 1, update: () => 1, final: () => Buffer.of(1), ...functions } as Checksum;
      const format: FormatOptions = { lengthField: 'uint8', trailer };
      const builder = new FrameBuilder(format);
      for (const message of ['a', ['a', 'b']]) expect(() => builder.add(message)).to.throw();
      expect(builder.take()).to.deep.equal([]);
      const written = await encode(['a'], format).catch((error) => error);
      const body = new LengthPrefixEncoder(format);
      const bodied = outcomeOf(body.end({ length: 1, body: 'a' }));
      const whole = await decode([fromHex('01 61 01')], format);
      const parts = await decode(bytewise(fromHex('01 61 01')), format);
      const streamed = new LengthPrefixDecoder({ ...format, stream: true });
      streamed.on('data', ({ body }) => body.on('error', () => {}).resume());
      streamed.end(fromHex('01 61 01'));
      const all = [written, (await bodied).error, whole.error, parts.error];
      all.push(await new Promise((resolve) => streamed.on('error', resolve)));
      for (const error of all) {
        expect(error).to.include({ name: 'FrameError', code: 'ERR_FRAME_CORRUPT', position: 0 });
        expect(error.message).to.match(message);
        expect(error.cause?.message).to.equal(cause);
      }
    });
  }
});

describe('a trailer that makes no sense is refused', () => {
  const [update, final] = [() => 1, () => Buffer.of(1)];
  const refused: [string, unknown, string, RegExp][] = [
    ['null', null, 'ERR_INVALID_ARG_TYPE', /options\.trailer.*checksum, \{ width, update, final \}.*null/],
    ['words', 'ce', 'ERR_INVALID_ARG_TYPE', /options\.trailer.*'ce'/],
    ['no bytes', Buffer.alloc(0), 'ERR_OUT_OF_RANGE', /options\.trailer\.length.*>= 1 and <= 1024.*Received 0/],
    ['too many bytes', Buffer.alloc(1025), 'ERR_OUT_OF_RANGE', /trailer\.length.*Received 1025/],
    ['no width', { update, final }, 'ERR_INVALID_ARG_TYPE', /options\.trailer\.width.*number.*undefined/],
    ['a width of 0', { width: 0, update, final }, 'ERR_OUT_OF_RANGE', /trailer\.width.*Received 0/],
    ['half a byte', { width: 1.5, update, final }, 'ERR_OUT_OF_RANGE', /trailer\.width.*Received 1\.5/],
    ['no update', { width: 1, final }, 'ERR_INVALID_ARG_TYPE', /options\.trailer\.update.*function/],
    ['no final', { width: 1, update }, 'ERR_INVALID_ARG_TYPE', /options\.trailer\.final.*function/],
  ];
  for (const [what, trailer, code, message] of refused) {
    it(what, () => {
      for (const make of [
        (options: object) => new LengthPrefixDecoder(options),
        (options: object) => new LengthPrefixEncoder(options),
      ]) {
        const error = thrownBy(() => make({ trailer }));
        expect(error).to.include({ code });
        expect(error.message).to.match(message);
      }
    });
  }
});

describe('a message with a trailer that is read in parts', () => {
  it('has its last byte when the trailer was checked', () => {
    const parser = new FrameParser(end);
    parser.push(fromHex('03 6162'));
    expect(parser.nextLength()).to.equal(3);
    expect(parser.nextPart()).to.deep.equal(new Uint8Array(fromHex('6162')));
    parser.push(fromHex('63'));
    expect(parser.nextPart()).to.equal(undefined);
    expect(parser.isSettled).to.equal(true);
    parser.push(fromHex('ce'));
    expect(parser.nextPart()).to.equal(undefined);
    expect(thrownBy(() => parser.finish()).message).to.include('the input ended after 5 of 6 bytes');
    parser.push(fromHex('fa 02 6465 ce'));
    expect(parser.nextPart()).to.deep.equal(new Uint8Array(fromHex('63')));
    expect(parser.nextLength()).to.equal(2);
    expect(parser.nextPart()).to.deep.equal(new Uint8Array(fromHex('64')));
    expect(parser.nextPart()).to.equal(undefined);
    parser.push(fromHex('fb'));
    for (const _ of [1, 2]) expect(() => parser.nextPart()).to.throw('the trailer is ce fb, and must be ce fa');
  });

  it('and is empty, has its length then', () => {
    const parser = new FrameParser(end);
    parser.push(fromHex('00 ce'));
    expect(parser.nextLength()).to.equal(undefined);
    expect(parser.next()).to.equal(undefined);
    expect(parser.rest()).to.deep.equal(new Uint8Array(fromHex('00 ce')));
    parser.push(fromHex('00 ce fa 00 ce fb'));
    expect(parser.nextLength()).to.equal(0);
    expect(() => parser.nextLength()).to.throw('the trailer is ce fb');
  });

  it('may have been begun as a whole', () => {
    for (const wire of ['02 61', '02 6162', '02 6162 ce']) {
      const parser = new FrameParser(end);
      parser.push(fromHex(wire));
      expect(parser.next()).to.equal(undefined);
      expect(parser.nextLength()).to.equal(2);
      parser.push(fromHex('02 6162 cefa 00 cefa').subarray(fromHex(wire).length));
      const parts: Uint8Array[] = [];
      for (let part = parser.nextPart(); part !== undefined; part = parser.nextPart()) {
        parts.push(part);
        if (Buffer.concat(parts).length === 2) break;
      }
      expect(Buffer.concat(parts).toString()).to.equal('ab');
      expect(parser.next()).to.have.lengthOf(0);
      parser.finish();
    }
  });

  it('is passed over with its trailer, from anywhere', () => {
    const { sum } = noting();
    for (const trailer of [sum, Buffer.of(0x26)]) {
      for (const last of ['26', '27']) {
        for (let taken = 0; taken < 3; taken++) {
          const parser = new FrameParser({ lengthField: 'uint8', trailer });
          for (const byte of fromHex(`03 616263`).subarray(0, 2 + taken)) parser.push(Uint8Array.of(byte));
          expect(parser.nextLength()).to.equal(3);
          for (let i = 0; i < taken; i++) parser.nextPart();
          parser.skipRest();
          for (const byte of fromHex('616263').subarray(1 + taken)) parser.push(Uint8Array.of(byte));
          expect(parser.next()).to.equal(undefined);
          expect(() => parser.rest())
            .to.throw("can't be ended or changed")
            .with.property('code', 'ERR_INVALID_STATE');
          parser.push(fromHex(`${last}`));
          if (last === '26') expect(parser.rest()).to.have.lengthOf(0);
          else for (const _ of [1, 2]) expect(() => parser.next()).to.throw('the trailer is 27, and must be 26');
        }
      }
    }
  });

  it('fails where the memory of its chunk is gone', () => {
    const parser = new FrameParser(end);
    const chunk = Uint8Array.from(fromHex('02 6162 ce'));
    parser.push(chunk);
    expect(parser.nextLength()).to.equal(2);
    expect(parser.nextPart()).to.have.lengthOf(1);
    structuredClone(chunk.buffer, { transfer: [chunk.buffer] });
    expect(() => parser.nextPart())
      .to.throw('The memory of a chunk is gone')
      .with.property('code', 'ERR_INVALID_STATE');
  });

  it('and another format may follow it', () => {
    const parser = new FrameParser(end);
    parser.push(fromHex('01 61 ce'));
    expect(parser.next()).to.equal(undefined);
    parser.setFormat({ lengthField: 'uint8' });
    expect(parser.next()).to.deep.equal(new Uint8Array(fromHex('61')));
    expect(parser.rest()).to.deep.equal(new Uint8Array(fromHex('ce')));
  });
});

describe('bodies with a trailer', () => {
  const checksum = (): FormatOptions => ({ lengthField: 'uint8', trailer: noting().sum });

  it('are checked before their end; a wrong one fails the body, and the stream', async () => {
    const decoder = new LengthPrefixDecoder({ ...checksum(), stream: true });
    const seen: string[] = [];
    const done = new Promise<Error>((resolve) => decoder.on('error', resolve));
    decoder.on('data', ({ body }) => {
      body.on('data', (part: Buffer) => seen.push(String(part)));
      body.on('end', () => seen.push('end'));
      body.on('error', (error: Error) => seen.push(error.message));
    });
    for (const chunk of ['02 6162', 'c3', '02 6364', 'c8']) {
      decoder.write(fromHex(chunk));
      await new Promise(setImmediate);
    }
    expect((await done).message).to.equal('Frame at byte 4: the trailer is c8, and must be c7');
    expect(seen).to.deep.equal(['a', 'b', 'end', 'c', 'Frame at byte 4: the trailer is c8, and must be c7']);
  });

  it('are checked on the web', async () => {
    const { readable, writable } = new LengthPrefixDecoderStream({ ...checksum(), stream: true });
    const writer = writable.getWriter();
    for (const chunk of ['02 6162', 'c3', '02 6364', 'c8']) writer.write(fromHex(chunk)).catch(() => {});
    writer.close().catch(() => {});
    const texts: string[] = [];
    let error: Error | undefined;
    try {
      for await (const { body } of readable as any) texts.push(await new Response(body).text());
    } catch (thrown) {
      error = thrown as Error;
    }
    expect(texts).to.deep.equal(['ab']);
    expect(error).to.include({ code: 'ERR_FRAME_CORRUPT', position: 4 });
  });

  it('of any size go through, by every way', async () => {
    const parts = Array.from({ length: 40 }, (_, i) => Buffer.alloc(10_000 * (1 + (i % 9)), i));
    const whole = Buffer.concat(parts);
    const format: FormatOptions = { ...checksum(), lengthField: 'uint32be' };
    const [a, b] = wirePair();
    const [client, server] = [framed(a, format), framed(b, { ...format, stream: true })];
    client.write('first');
    client.end({ length: whole.length, body: parts });
    const got: Buffer[] = [];
    for await (const { body } of server) got.push(Buffer.concat(await body.toArray()));
    expect(got.map(({ length }) => length)).to.deep.equal([5, whole.length]);
    expect(got[1]!.equals(whole)).to.equal(true);

    const encoder = new LengthPrefixEncoderStream(format);
    const writer = encoder.writable.getWriter();
    writer.write({ length: whole.length, body: parts }).catch(() => {});
    writer.write('last').catch(() => {});
    writer.close().catch(() => {});
    const messages: Uint8Array[] = [];
    const pair = new LengthPrefixDecoderStream(format);
    for await (const message of encoder.readable.pipeThrough(pair as any) as any) messages.push(message);
    expect(messages.map(({ length }) => length)).to.deep.equal([whole.length, 4]);
    expect(Buffer.from(messages[0]!).equals(whole)).to.equal(true);
  });

  it("have one in memory of their own, which is the reader's", async () => {
    const large = Buffer.alloc(100_000, 1);
    for (const write of [
      (encoder: LengthPrefixEncoder) => encoder.write({ length: 100_000, body: large }),
      (encoder: LengthPrefixEncoder) => encoder.write(large),
      (encoder: LengthPrefixEncoder) => encoder.write([large, large]),
    ]) {
      const encoder = new LengthPrefixEncoder({ ...end, lengthField: 'uint32be' });
      let last = '';
      encoder.on('data', (chunk) => {
        last = chunk.toString('hex').slice(-4);
        if (chunk.length < 1000) chunk.fill(0);
      });
      for (const _ of [1, 2]) {
        write(encoder);
        await new Promise((resolve) => encoder.write('', resolve));
        expect(last).to.equal('cefa');
      }
    }
  });

  it('are sent in one chunk where they are small', async () => {
    const encoder = new LengthPrefixEncoder(checksum());
    encoder.end({ length: 2, body: 'ab' });
    expect(await encoder.toArray()).to.deep.equal([fromHex('02 6162 c3')]);
  });

  it('know where the frame behind them begins', async () => {
    for (const make of [() => ['abc'], () => ({ length: 3, body: 'abc' }), () => 'abc'] as (() => Message)[]) {
      const encoder = new LengthPrefixEncoder({ ...end, maxPayloadLength: 3 });
      encoder.on('data', () => {});
      encoder.write(make());
      const error = await new Promise<Error>((resolve) => encoder.on('error', resolve).write('abcd'));
      expect(error).to.include({ code: 'ERR_FRAME_TOO_LONG', position: 6 });
      const web = new LengthPrefixEncoderStream({ ...end, maxPayloadLength: 3 });
      const writer = web.writable.getWriter();
      writer.write(make()).catch(() => {});
      writer.write('abcd').catch(() => {});
      const failure = await new Response(web.readable as any).arrayBuffer().catch((reason) => reason);
      expect(failure.position ?? failure.cause?.position).to.equal(6);
    }
  });
});
