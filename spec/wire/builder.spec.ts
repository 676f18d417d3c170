import { runInNewContext } from 'node:vm';
import { expect } from 'chai';
import fc from 'fast-check';
import { buffers, formats, json, type MessagePart } from '../../lib/index.js';
import { FrameBuilder, LARGE } from '../../lib/wire/builder.js';
import { formatOf } from '../../lib/wire/format.js';
import { FrameParser } from '../../lib/wire/parser.js';
import { conversations } from '../properties/arbitraries.js';
import { compactSize } from '../support/fields.js';
import { runs } from '../support/runs.js';
import { fromHex, thrownBy } from '../support/streams.js';

const uint8 = { lengthField: 'uint8' } as const;
const bytes = (text: string) => Uint8Array.from(fromHex(text));
const joined = (pieces: Uint8Array[]) => Buffer.concat(pieces).toString('hex');
const hex = (text: string) => fromHex(text).toString('hex');

describe('FrameBuilder', () => {
  it('encodes values where it has encode, behind setFormat too', () => {
    const builder = new FrameBuilder(json);
    const parser = new FrameParser(json);
    builder.add({ a: [1, 'é'] });
    builder.setFormat(formats.dns);
    builder.add('text');
    for (const piece of builder.take()) parser.push(piece);
    expect(parser.next()).to.deep.equal({ a: [1, 'é'] });
    parser.setFormat(formats.dns);
    expect(parser.next()).to.equal('text');
    expect(() => builder.add(undefined)).to.throw(/^Frame at byte \d+: the message can't be encoded: JSON has no way/);
    expect(() => new FrameBuilder({ encode: 5 as never })).to.throw(
      /"options.encode" property must be of type function/,
    );
  });

  it('joins small messages in one piece', () => {
    const builder = new FrameBuilder(uint8);
    expect([builder.take(), builder.length, builder.position]).to.deep.equal([[], 0, 0]);
    builder.add('hé');
    builder.add(bytes('61'));
    builder.add(['b', bytes('63'), '']);
    builder.add('');
    builder.add([]);
    expect([builder.length, builder.position]).to.deep.equal([11, 11]);
    const pieces = builder.take();
    expect(pieces).to.deep.equal([bytes('03 68c3a9 01 61 02 6263 00 00')]);
    expect([builder.take(), builder.length, builder.position]).to.deep.equal([[], 0, 11]);
    builder.add('d');
    expect(builder.take()).to.deep.equal([bytes('01 64')]);
    expect(builder.position).to.equal(13);
  });

  it('does not touch pieces again that were taken', () => {
    for (const length of [1, 8, 9, 100]) {
      const builder = new FrameBuilder(uint8);
      const taken: Uint8Array[] = [];
      for (let i = 0; i < 20; i++) {
        builder.add(new Uint8Array(length).fill(i));
        if (i % 3 === 0) taken.push(...builder.take());
      }
      taken.push(...builder.take());
      const due = Array.from({ length: 20 }, (_, i) => Buffer.concat([Buffer.of(length), Buffer.alloc(length, i)]));
      expect(joined(taken)).to.equal(Buffer.concat(due).toString('hex'));
    }
  });

  it('passes on large messages uncopied, behind what is in front of them', () => {
    const builder = new FrameBuilder();
    const [small, large, larger] = [LARGE - 1, LARGE, LARGE + 1].map((length) => new Uint8Array(length).fill(1));
    builder.add('a');
    builder.add(large!);
    builder.add(small!);
    builder.add(larger!);
    builder.add('b');
    const pieces = builder.take();
    expect(pieces.map(({ length }) => length)).to.deep.equal([9, LARGE, LARGE + 3, 4, LARGE + 1, 5]);
    expect(pieces.map(({ buffer }) => buffer)).to.include.members([large!.buffer, larger!.buffer]);
    expect(pieces.map(({ buffer }) => buffer)).not.to.include(small!.buffer);
  });

  it('passes on large parts, and joins the small ones between them', () => {
    const builder = new FrameBuilder({}, buffers, 10);
    const [first, second] = [Buffer.alloc(10, 'x'), Buffer.alloc(12, 'y')];
    builder.add(['a', first, 'b', 'c', second]);
    builder.add('d');
    const pieces = builder.take();
    expect(pieces.map(String)).to.deep.equal(['\x19\0\0\0a', 'x'.repeat(10), 'bc', 'y'.repeat(12), '\x01\0\0\0d']);
    expect([pieces[1]!.buffer, pieces[3]!.buffer]).to.deep.equal([first.buffer, second.buffer]);
    expect(pieces.every(Buffer.isBuffer)).to.equal(true);
  });

  it('is told from which length on a part is large', () => {
    for (const [large, count] of [
      [10, 2],
      [11, 1],
      [Number.POSITIVE_INFINITY, 1],
    ] as const) {
      const builder = new FrameBuilder(uint8, undefined, large);
      builder.add(new Uint8Array(10));
      expect(builder.take()).to.have.lengthOf(count);
    }
  });

  it('gives pieces of the memory that it was given, and plain Uint8Arrays without', () => {
    for (const [memory, Bytes] of [
      [undefined, Uint8Array],
      [buffers, Buffer],
    ] as const) {
      const builder = new FrameBuilder(uint8, memory as never, 5);
      builder.add('abc');
      builder.add(Buffer.from('hello'));
      builder.add(Uint8Array.of(1, 2, 3, 4, 5));
      for (const piece of builder.take()) expect(piece.constructor).to.equal(Bytes);
    }
  });

  it('gives back as much memory as was used, but for a spare part', () => {
    const builder = new FrameBuilder(uint8);
    for (let i = 0; i < 1000; i++) builder.add('message');
    const [piece] = builder.take();
    expect(piece!.length).to.equal(8000);
    expect(piece!.buffer.byteLength).to.be.at.most(16_384);
  });

  it('asks for memory by doubling up to 64 KiB, and at once for as much as was joined before, up to 128 KiB', () => {
    const asked: number[] = [];
    const allocateShared = (length: number) => {
      asked.push(length);
      return Buffer.alloc(length);
    };
    const builder = new FrameBuilder({}, { ...buffers, allocateShared });
    const add = (count: number, length: number) => {
      for (let i = 0; i < count; i++) builder.add(new Uint8Array(length));
      builder.take();
      return asked.splice(0);
    };
    expect(add(4, 16)).to.deep.equal([20, 40, 80]);
    expect(add(4, 16)).to.deep.equal([80]);
    // Not one byte from 64 KiB on is copied again.
    expect(add(5, 60_000)).to.deep.equal([60_004, 120_008, 120_008, 120_008]);
    expect(add(1, 16)).to.deep.equal([120_008]);
    expect(add(1, 16)).to.deep.equal([20]);
    expect(add(3, 65_000)).to.deep.equal([65_004, 130_008, 130_008]);
  });

  it('has strings in an encoding where the memory knows it', () => {
    const builder = new FrameBuilder(uint8, buffers);
    builder.add('é', 'latin1');
    builder.add(['ff', bytes('00'), 'c0'], 'hex');
    builder.add('é');
    expect(joined(builder.take())).to.equal(hex('01 e9 03 ff00c0 02 c3a9'));
  });

  it('takes bytes of another realm, and gives pieces of its own', () => {
    const foreign = runInNewContext('new Uint8Array([1, 2, 3])') as Uint8Array;
    const large = runInNewContext('new Uint8Array(100).fill(7)') as Uint8Array;
    const builder = new FrameBuilder(uint8, buffers, 50);
    builder.add(foreign);
    builder.add([foreign, foreign]);
    builder.add(large);
    const pieces = builder.take();
    expect(pieces.every((piece) => piece instanceof Uint8Array)).to.equal(true);
    expect(joined(pieces)).to.equal(hex(`03 010203 06 010203010203 64 ${'07'.repeat(100)}`));
  });

  describe('faults', () => {
    const wrong: unknown[] = [
      5,
      null,
      undefined,
      {},
      true,
      new DataView(new ArrayBuffer(1)),
      [5],
      ['a', null],
      [['a']],
    ];
    // biome-ignore lint/suspicious/noSparseArray: holes are what is tested
    wrong.push(new Array(1), ['a', , 'b']);

    it('are what is no message; nothing of it is added', () => {
      for (const large of [1, LARGE]) {
        const builder = new FrameBuilder(uint8, undefined, large);
        builder.add('a');
        for (const message of wrong) {
          const error = thrownBy(() => builder.add(message as MessagePart));
          expect(error).to.include({ code: 'ERR_INVALID_ARG_TYPE' });
          expect(error.message).to.match(
            /^The "message" argument must be a string, a Buffer, a Uint8Array, or an array of these\. Received/,
          );
        }
        builder.add('b');
        expect(builder.position).to.equal(4);
        expect(joined(builder.take())).to.equal(hex('01 61 01 62'));
      }
    });

    it('are what the format can not carry; nothing of it is added, and its place is told', () => {
      for (const large of [2, LARGE]) {
        const builder = new FrameBuilder({ ...uint8, maxPayloadLength: 3 }, undefined, large);
        builder.add('ab');
        for (const message of ['long', ['lo', 'ng'], bytes('01020304'), [bytes('0102'), bytes('0304')]]) {
          const { length } = builder;
          expect(thrownBy(() => builder.add(message))).to.include({ code: 'ERR_FRAME_TOO_LONG', position: 3 });
          expect([builder.length, builder.position]).to.deep.equal([length, 3]);
        }
        builder.add('c');
        expect(joined(builder.take())).to.equal(hex('02 6162 01 63'));
      }
    });

    it('are what a length field of the user throws, or writes that is too long', () => {
      for (const write of [
        () => {
          throw new Error('no');
        },
        () => new Uint8Array(3),
        () => new Uint8Array(0),
        () => 'a' as never,
      ]) {
        const builder = new FrameBuilder({ lengthField: { maxWidth: 2, read: () => undefined, write } });
        for (const message of ['a', ['a', 'b']]) {
          expect(thrownBy(() => builder.add(message))).to.include({ code: 'ERR_FRAME_CORRUPT', position: 0 });
        }
        expect([builder.length, builder.position, builder.take()]).to.deep.equal([0, 0, []]);
      }
    });

    it('are options that are wrong', () => {
      for (const make of [
        (options: object) => new FrameBuilder(options),
        (options: object) => new FrameBuilder().setFormat(options),
      ]) {
        expect(thrownBy(() => make({ maxFrameLength: 1 }))).to.include({ code: 'ERR_INVALID_ARG_VALUE' });
        expect(thrownBy(() => make({ lengthField: 'uint7' }))).to.include({ code: 'ERR_INVALID_ARG_VALUE' });
        expect(thrownBy(() => make({ maxPayloadLength: -1 }))).to.include({ code: 'ERR_OUT_OF_RANGE' });
        expect(thrownBy(() => make(null as never))).to.include({ code: 'ERR_INVALID_ARG_TYPE' });
      }
    });
  });

  it('asks a length field of the user once for each message', () => {
    let calls = 0;
    const field = {
      ...compactSize,
      write(length: number) {
        calls++;
        return compactSize.write(length);
      },
    };
    const builder = new FrameBuilder(
      { lengthField: field, lengthFieldOffset: 1, initialBytesToStrip: 1 },
      undefined,
      9,
    );
    const messages = ['05', '0061', ['00', '6162'], '00'.repeat(20), ['00'.repeat(10), '61'.repeat(10)]];
    for (const message of messages) {
      calls = 0;
      builder.add(typeof message === 'string' ? bytes(message) : message.map(bytes));
      // A length that is right stays as it is.
      expect(calls).to.be.at.most(1);
    }
    const whole = new FrameBuilder({ lengthField: field }, undefined, 9);
    for (const message of ['', 'a', ['a', 'b'], 'long enough', ['a', 'long enough']]) {
      calls = 0;
      whole.add(message);
      expect(calls).to.equal(1);
    }
  });

  describe('setFormat', () => {
    it('holds from the next message on', () => {
      const builder = new FrameBuilder(uint8);
      builder.add('a');
      builder.setFormat({ lengthField: 'uint16be', maxPayloadLength: 1 });
      builder.add('b');
      expect(thrownBy(() => builder.add('cc'))).to.include({ code: 'ERR_FRAME_TOO_LONG', position: 5 });
      builder.setFormat({ lengthField: 'varint' });
      builder.add(['c', 'd']);
      builder.setFormat({});
      builder.add('');
      expect(builder.take()).to.deep.equal([bytes('01 61 0001 62 02 6364 00000000')]);
      expect(builder.format).to.equal(formatOf());
    });

    it('that fails changes nothing', () => {
      const builder = new FrameBuilder(uint8);
      const { format } = builder;
      thrownBy(() => builder.setFormat({ lengthField: 'x' as never }));
      expect(builder.format).to.equal(format);
    });
  });

  it('addPiece adds bytes as they are', () => {
    const builder = new FrameBuilder(uint8, buffers, 10);
    const large = Buffer.alloc(12, 'x');
    builder.addPiece(bytes('010203'), 1);
    builder.addPiece(large, 2);
    builder.addPiece(large, 3);
    expect([builder.length, builder.position]).to.deep.equal([2 + 10 + 9, 0]);
    const pieces = builder.take();
    expect(pieces.map(({ length }) => length)).to.deep.equal([2, 10, 9]);
    expect([pieces[1]!.buffer === large.buffer, pieces[2]!.buffer === large.buffer]).to.deep.equal([true, false]);
  });

  it('makes the frames of any messages in any format, however they are cut in parts and taken', () => {
    fc.assert(
      fc.property(
        conversations,
        fc.constantFrom(1, 2, 9, 100, LARGE),
        fc.infiniteStream(fc.record({ places: fc.array(fc.nat(40), { maxLength: 3 }), take: fc.boolean() })),
        ({ options, messages, frames }, large, ways) => {
          const builder = new FrameBuilder<Uint8Array>(options, undefined, large);
          const pieces: Uint8Array[] = [];
          const before = messages.map((message) => Buffer.from(message));
          let position = 0;
          for (const [i, message] of messages.entries()) {
            const { places, take } = ways.next().value as { places: number[]; take: boolean };
            const cuts = [
              0,
              ...places.filter((place) => place <= message.length).sort((a, b) => a - b),
              message.length,
            ];
            const parts = cuts.slice(1).map((end, at) => message.subarray(cuts[at], end));
            builder.add(places.length === 0 ? message : parts);
            position += frames[i]!.length;
            expect(builder.position).to.equal(position);
            if (take) {
              const { length } = builder;
              const taken = builder.take();
              expect(Buffer.concat(taken)).to.have.lengthOf(length);
              pieces.push(...taken);
            }
          }
          pieces.push(...builder.take());
          expect(Buffer.concat(pieces).equals(Buffer.concat(frames))).to.equal(true);
          expect(messages).to.deep.equal(before);
        },
      ),
      { numRuns: runs(300) },
    );
  });
});
