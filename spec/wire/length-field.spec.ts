import { once } from 'node:events';
import { expect } from 'chai';
import {
  encode as encodeInHand,
  type FormatOptions,
  framed,
  type LengthField,
  LengthPrefixDecoder,
  LengthPrefixEncoder,
  type Message,
} from '../../lib/index.js';
import { LengthPrefixEncoderStream, encode as webEncode } from '../../lib/web/index.js';
import { FrameBuilder } from '../../lib/wire/builder.js';
import { FixedLengthField, lengthFieldNamed, lengthFieldNames, varint } from '../../lib/wire/length-field.js';
import { compactSize, octetCount, quic } from '../support/fields.js';
import { decode, encode, fromHex } from '../support/streams.js';
import { Wire } from '../support/wire.js';

const fixed = lengthFieldNames.filter((name) => name !== 'varint');

describe('length fields of fixed width', () => {
  it('are named for 8 to 64 bits, in both byte orders', () => {
    const wide = [16, 24, 32, 40, 48, 56, 64].flatMap((bits) => [`uint${bits}le`, `uint${bits}be`]);
    expect(new Set(lengthFieldNames)).to.deep.equal(new Set(['uint8', 'varint', ...wide]));
  });

  for (const name of fixed) {
    it(`${name} writes what Node's Buffer writes, and reads it`, () => {
      const field = lengthFieldNamed(name) as FixedLengthField;
      const width = Number(name.match(/\d+/)![0]) / 8;
      expect(field.width).to.equal(width);
      expect(field.maxLength).to.equal(width < 7 ? 2 ** (8 * width) - 1 : Number.MAX_SAFE_INTEGER);
      for (const length of [0, 1, 2, 127, 128, 255, 256, 65_535, 0x012345, 0x89abcdef, 0x0123456789ab, 2 ** 53 - 1]) {
        if (length > field.maxLength) continue;
        const eight = Buffer.alloc(8);
        if (name.endsWith('be')) eight.writeBigUInt64BE(BigInt(length));
        else eight.writeBigUInt64LE(BigInt(length));
        const expected = name.endsWith('be') ? eight.subarray(8 - width) : eight.subarray(0, width);
        const bytes = Buffer.alloc(width + 2, 0xaa);
        field.write(length, bytes, 1);
        expect(bytes).to.deep.equal(Buffer.concat([Buffer.of(0xaa), expected, Buffer.of(0xaa)]));
        expect(field.read(bytes, 1)).to.equal(length);
      }
    });
  }

  it('never read a length above Number.MAX_SAFE_INTEGER as one below it', () => {
    const field = new FixedLengthField(8, false);
    for (const text of ['0020000000000000', '0020000000000001', '003fffffffffffff', 'ffffffffffffffff']) {
      expect(field.read(fromHex(text), 0)).to.be.above(Number.MAX_SAFE_INTEGER);
    }
    expect(field.read(fromHex('001fffffffffffff'), 0)).to.equal(Number.MAX_SAFE_INTEGER);
  });
});

describe('varint', () => {
  // The first four: https://protobuf.dev/programming-guides/encoding/#varints and the MQTT 5 specification, table 1-1.
  const vectors: [number, string][] = [
    [0, '00'],
    [1, '01'],
    [150, '96 01'],
    [268_435_455, 'ff ff ff 7f'],
    [127, '7f'],
    [128, '80 01'],
    [16_383, 'ff 7f'],
    [16_384, '80 80 01'],
    [2 ** 31, '80 80 80 80 08'],
    [2 ** 53 - 1, 'ff ff ff ff ff ff ff 0f'],
  ];
  for (const [length, text] of vectors) {
    it(`${length} is ${text}`, () => {
      expect(Buffer.from(varint.write(length, new Uint8Array(0)))).to.deep.equal(fromHex(text));
      const bytes = fromHex(`ff${text}ff`);
      expect(varint.read(bytes, 1, bytes.length)).to.deep.equal({ length, width: bytes.length - 2 });
    });
  }

  it('has no length yet while its bytes go on', () => {
    expect(varint.read(fromHex('80 80 01'), 0, 2)).to.equal(undefined);
    expect(varint.read(fromHex('80 80 01'), 0, 3)).to.deep.equal({ length: 16_384, width: 3 });
  });

  it('is read in longer forms than it needs', async () => {
    expect((await decode([fromHex('82 80 00 68 69')], { lengthField: 'varint' })).items.map(String)).to.deep.equal([
      'hi',
    ]);
  });

  it('with no end within ten bytes is corrupt, at any cut', async () => {
    const bytes = Buffer.concat([fromHex('01 61'), Buffer.alloc(10, 0x80)]);
    for (const chunks of [[bytes], Array.from(bytes, (byte) => Buffer.of(byte))]) {
      const { items, error } = await decode(chunks, { lengthField: 'varint' });
      expect(items.map(String)).to.deep.equal(['a']);
      expect(error).to.include({ code: 'ERR_FRAME_CORRUPT', position: 2 });
      expect(error!.message).to.include('no end within 10 bytes');
    }
  });
});

/** Each writes one message in one way, to its end. */
async function writeNode(message: any, options: any): Promise<void> {
  const encoder = new LengthPrefixEncoder(options);
  encoder.end(message);
  await encoder.toArray();
}

async function writeFramed(message: any, options: any): Promise<void> {
  const messages = framed(new Wire().stream, options);
  await new Promise((resolve) => messages.write(message, resolve));
  messages.destroy();
}

async function writeWeb(message: any, options: any): Promise<void> {
  const { readable, writable } = new LengthPrefixEncoderStream(options);
  const writer = writable.getWriter();
  writer.write(message);
  writer.close();
  await new Response(readable as any).arrayBuffer();
}

function writeInHand(message: any, options: any): void {
  encodeInHand(message, options);
}

function writeToBuilder(message: any, options: any): void {
  new FrameBuilder(options).add(message);
}

describe("a length field of the user's own", () => {
  const lengths = [0, 1, 63, 64, 252, 253, 254, 255, 16_383, 16_384, 65_535, 65_536];
  for (const [name, field] of Object.entries({ compactSize, quic, octetCount })) {
    it(`${name} is written and read, split anywhere`, async () => {
      const messages = lengths.map((length) => Buffer.alloc(length, length));
      const wire = await encode(messages, { lengthField: field });
      expect((await decode([wire], { lengthField: field })).items).to.deep.equal(messages);
      const bytes = Array.from(wire.subarray(0, 600), (byte) => Buffer.of(byte));
      const { items } = await decode([...bytes, wire.subarray(600)], { lengthField: field });
      expect(items).to.deep.equal(messages);
    });
  }

  it('writes what the specifications say', async () => {
    // RFC 9000, appendix A.1, and RFC 6587, section 3.4.1.
    expect(Buffer.from(quic.write(15_293))).to.deep.equal(fromHex('7b bd'));
    expect(Buffer.from(quic.write(494_878_333))).to.deep.equal(fromHex('9d 7f 3e 7d'));
    expect(String(await encode(['<34>Oct 11', 'b'], { lengthField: octetCount }))).to.equal('10 <34>Oct 111 b');
    expect(Buffer.from(compactSize.write(515))).to.deep.equal(fromHex('fd 03 02'));
  });

  it('that throws is corrupt, with what it threw as the cause', async () => {
    const { items, error } = await decode([Buffer.from('2 hix')], { lengthField: octetCount });
    expect(items.map(String)).to.deep.equal(['hi']);
    expect(error).to.include({ code: 'ERR_FRAME_CORRUPT', position: 4 });
    expect(error!.message).to.include('byte 120 is no digit');
    expect(error!.cause).to.be.instanceOf(Error).with.property('message', 'byte 120 is no digit');
  });

  it('that goes on past maxWidth is corrupt', async () => {
    const { error } = await decode([Buffer.alloc(40, '1')], { lengthField: octetCount });
    expect(error).to.include({ code: 'ERR_FRAME_CORRUPT', position: 0 });
    expect(error!.message).to.include('no end within 17 bytes');
  });

  const wrong: [string, unknown][] = [
    ['a fraction', { length: 1.5, width: 1 }],
    ['a negative length', { length: -1, width: 1 }],
    ['no number', { length: Number.NaN, width: 1 }],
    ['no bytes', { length: 1, width: 0 }],
    ['half a byte', { length: 1, width: 1.5 }],
    ['more bytes than there are', { length: 0, width: 4 }],
  ];
  for (const [what, answer] of wrong) {
    it(`that answers with ${what} is corrupt`, async () => {
      const lengthField = { maxWidth: 4, read: () => answer, write: () => Buffer.of(0) } as LengthField;
      const { error } = await decode([Buffer.from('xabc')], { lengthField, lengthFieldOffset: 1 });
      expect(error).to.include({ code: 'ERR_FRAME_CORRUPT', position: 0 });
      expect(error!.message).to.match(
        /'lengthField\.read' returned the length .* and the width .*; the length must be an integer >= 0, and the width 1 to 3 bytes$/,
      );
    });
  }

  it('is shown no byte from `end` on, and none past maxWidth', () => {
    const seen: [number, number][] = [];
    const lengthField: LengthField = {
      maxWidth: 2,
      read(_bytes, start, end) {
        seen.push([start, end]);
        return end - start === 2 ? { length: 0, width: 2 } : undefined;
      },
      write: () => Buffer.alloc(2),
    };
    const decoder = new LengthPrefixDecoder({ lengthField, lengthFieldOffset: 1 });
    decoder.resume();
    decoder.write(Buffer.alloc(7));
    decoder.write(Buffer.alloc(1));
    decoder.write(Buffer.alloc(1));
    expect(new Set(seen.map(String))).to.deep.equal(new Set(['1,3', '4,6', '1,2']));
  });

  it('may be written in all of maxWidth', async () => {
    const write = () => Uint8Array.of(0x80, 0x01);
    const lengthField: LengthField = { maxWidth: 2, read: () => undefined, write };
    expect(await encode(['x'], { lengthField })).to.deep.equal(fromHex('80 01 78'));
  });

  it('may be written in the same place each time', async () => {
    const place = new Uint8Array(4);
    const lengthField: LengthField = {
      maxWidth: 4,
      read: () => undefined,
      write(length) {
        new DataView(place.buffer).setUint32(0, length);
        return place;
      },
    };
    const large = Buffer.alloc(100_000);
    const messages = [
      'a',
      large,
      ['b', large],
      { length: 100_000, body: [large] },
      { length: 90_000, body: [large.subarray(10_000)] },
    ];
    const encoder = new LengthPrefixEncoder({ lengthField });
    for (const message of messages) encoder.write(message);
    encoder.end();
    const chunks: Buffer[] = [];
    encoder.on('data', (chunk) => chunks.push(chunk));
    await once(encoder, 'end');
    const head = (length: number) => Buffer.from(Uint32Array.of(length).buffer).reverse();
    const frames = ['a', large, Buffer.concat([Buffer.from('b'), large]), large, large.subarray(10_000)].map(
      (message) => [head(message.length), Buffer.from(message)],
    );
    expect(Buffer.concat(chunks).equals(Buffer.concat(frames.flat()))).to.equal(true);
    const web = messages.slice(0, 2).map((message) => webEncode(message as string, { lengthField }));
    expect(web.map((frame) => frame[3])).to.deep.equal([1, 100_000 & 0xff]);
  });

  /** A field of one byte that notes the messages that it is shown. */
  function watching(): { lengthField: LengthField; seen: string[] } {
    const seen: string[] = [];
    const lengthField: LengthField = {
      maxWidth: 3,
      read: (bytes, start, end) => (end - start < 1 ? undefined : { length: bytes[start]!, width: 1 }),
      write(length, message) {
        seen.push(Buffer.from(message).toString());
        return Uint8Array.of(length);
      },
    };
    return { lengthField, seen };
  }

  const kinds: [string, Message, string, string][] = [
    ['bytes', Buffer.from('\0abc'), '\0abc', '\0abc'],
    ['foreign bytes', new Uint8Array(Buffer.from('\0abc')), '\0abc', '\0abc'],
    ['a string', '\0äbc', '\0äbc', '\0äbc'],
    ['parts', ['\0a', Buffer.from('bc')], '\0a', '\0abc'],
    ['a part that ends in half a character', ['\0a\ud83d', '\ude00'], '\0a', '\0a\u{1f600}'],
    ['one part', ['\0abc'], '\0abc', '\0abc'],
    ['an empty part, and another', ['', '\0abc'], '', '\0abc'],
    ['a body', { length: 4, body: ['\0', 'abc'] }, '', '\0abc'],
    ['a body in one part', { length: 4, body: '\0abc' }, '', '\0abc'],
    ['large bytes', Buffer.alloc(70_000), '\0'.repeat(70_000), '\0'.repeat(70_000)],
  ];
  for (const [what, message, shown, shownKept] of kinds) {
    it(`is shown ${what} once, when it is to be written`, async () => {
      for (const isKept of [false, true]) {
        const expected = [isKept ? shownKept : shown];
        for (const write of [writeNode, writeWeb, writeFramed, writeInHand, writeToBuilder]) {
          const isSource = typeof message === 'object' && 'body' in message;
          if (isSource && (write === writeInHand || write === writeToBuilder)) continue;
          for (const encode of [undefined, (value: { message: Message }) => value.message]) {
            const { lengthField, seen } = watching();
            const format = { lengthField, ...(isKept ? { initialBytesToStrip: 0 } : {}) };
            await write(encode === undefined ? message : { message }, { ...format, ...(encode && { encode }) });
            expect(seen, `${write.name}, ${isKept}`).to.deep.equal(expected);
          }
        }
      }
    });
  }

  it('is not asked where the message keeps a right length', async () => {
    const { lengthField, seen } = watching();
    expect(await encode(['\u0002ab'], { lengthField, initialBytesToStrip: 0 })).to.deep.equal(fromHex('02 6162'));
    expect(seen).to.deep.equal([]);
  });

  const unwritable: [string, () => unknown, RegExp][] = [
    [
      'throws',
      () => {
        throw new Error('no room');
      },
      /can't be written: no room/,
    ],
    ['answers with no bytes', () => Buffer.alloc(0), /1 to 2 bytes/],
    ['answers with too many bytes', () => Buffer.alloc(3), /1 to 2 bytes/],
    ['answers with no Uint8Array', () => '5', /1 to 2 bytes/],
  ];
  for (const [what, write, message] of unwritable) {
    it(`whose write ${what} fails the message`, async () => {
      const lengthField = { maxWidth: 2, read: () => undefined, write } as LengthField;
      const error = await encode(['x'], { lengthField }).catch((reason) => reason);
      expect(error).to.include({ code: 'ERR_FRAME_CORRUPT', position: 0 });
      expect(error.message).to.match(message);
      expect(error.cause?.message).to.equal(what === 'throws' ? 'no room' : undefined);
    });
  }
});

describe('a length field that says the size of all messages', () => {
  const format: FormatOptions = {
    lengthField: {
      maxWidth: 1,
      minLength: 12,
      maxLength: 12,
      read: () => ({ length: 12, width: 1 }),
      write: (_length, message) => message.subarray(0, 1),
    },
    lengthAdjustment: -1,
    initialBytesToStrip: 0,
  };
  const versions = ['RFB 003.008\n', 'RFB 003.889\n'].map((text) => Buffer.from(text));

  it('takes the first byte of each, and keeps it, in any chunks', async () => {
    const wire = Buffer.concat(versions);
    expect(await encode(versions, format)).to.deep.equal(wire);
    for (let size = 1; size <= wire.length; size++) {
      const count = Math.ceil(wire.length / size);
      const chunks = Array.from({ length: count }, (_, i) => wire.subarray(i * size, (i + 1) * size));
      expect((await decode(chunks, format)).items).to.deep.equal(versions);
    }
  });

  it('refuses others', async () => {
    const codes = { 0: 'ERR_FRAME_CORRUPT', 11: 'ERR_FRAME_CORRUPT', 13: 'ERR_FRAME_TOO_LONG' };
    for (const [size, code] of Object.entries(codes)) {
      const error = await encode([Buffer.alloc(Number(size))], format).catch((caught) => caught);
      expect(error, size).to.include({ code, position: 0 });
    }
    expect((await decode([versions[0]!.subarray(1)], format)).error).to.include({ code: 'ERR_FRAME_TRUNCATED' });
  });
});
