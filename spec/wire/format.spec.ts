import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { type FormatOptions, LengthPrefixDecoder, LengthPrefixEncoder } from '../../lib/index.js';
import { formatOf } from '../../lib/wire/format.js';
import { varint } from '../../lib/wire/length-field.js';
import { decodeBatches, drawings, itIsAsDrawn } from '../support/drawings.js';
import { compactSize } from '../support/fields.js';
import { decode, encode, fromHex, thrownBy } from '../support/streams.js';

const root = new URL('../../../', import.meta.url);

describe('the frames drawn in the documentation of the options', () => {
  const source = readFileSync(new URL('lib/wire/format.ts', root), 'utf8');
  const options = source.slice(source.indexOf('export interface FormatOptions'), source.indexOf('const DEFAULT_MAX'));

  it('are there for each option', () => {
    for (const part of options.split(/\?: .*;\n/).slice(0, -1)) {
      const documentation = part.slice(part.lastIndexOf('/**'));
      expect(drawings(documentation), documentation).to.not.have.lengthOf(0);
    }
  });

  for (const drawing of drawings(options))
    itIsAsDrawn(drawing, new Function('Buffer', `return ${drawing.options}`)(Buffer));
});

describe("Netty's documented examples", () => {
  // https://netty.io/4.1/api/io/netty/handler/codec/LengthFieldBasedFrameDecoder.html
  const text = Buffer.from('HELLO, WORLD').toString('hex');
  const examples: [string, FormatOptions, string, string][] = [
    ['2 bytes length field at offset 0, do not strip header', { initialBytesToStrip: 0 }, `000c${text}`, `000c${text}`],
    ['2 bytes length field at offset 0, strip header', { initialBytesToStrip: 2 }, `000c${text}`, text],
    [
      '2 bytes length field at offset 0, the length field represents the length of the whole message',
      { lengthAdjustment: -2, initialBytesToStrip: 0 },
      `000e${text}`,
      `000e${text}`,
    ],
    [
      '3 bytes length field at the end of 5 bytes header',
      { lengthField: 'uint24be', lengthFieldOffset: 2, initialBytesToStrip: 0 },
      `cafe00000c${text}`,
      `cafe00000c${text}`,
    ],
    [
      '3 bytes length field at the beginning of 5 bytes header',
      { lengthField: 'uint24be', lengthAdjustment: 2, initialBytesToStrip: 0 },
      `00000ccafe${text}`,
      `00000ccafe${text}`,
    ],
    [
      '2 bytes length field at offset 1 in the middle of 4 bytes header, strip the first header field and the length field',
      { lengthFieldOffset: 1, lengthAdjustment: 1, initialBytesToStrip: 3, header: fromHex('ca0000') },
      `ca000cfe${text}`,
      `fe${text}`,
    ],
    [
      'the same, the length field represents the length of the whole message',
      { lengthFieldOffset: 1, lengthAdjustment: -3, initialBytesToStrip: 3, header: fromHex('ca0000') },
      `ca0010fe${text}`,
      `fe${text}`,
    ],
  ];
  for (const [title, given, frame, message] of examples) {
    it(title, async () => {
      const options: FormatOptions = { lengthField: 'uint16be', ...given };
      const { items } = await decode([fromHex(frame), fromHex(frame)], options);
      expect(items).to.deep.equal([fromHex(message), fromHex(message)]);
      expect(await decodeBatches([fromHex(frame + frame)], options)).to.deep.equal([items]);
      expect(await encode(items, options)).to.deep.equal(fromHex(frame + frame));
    });
  }
});

describe('a format that makes no sense is refused', () => {
  const refused: [string, unknown, string, RegExp][] = [
    ['no object', null, 'ERR_INVALID_ARG_TYPE', /"options" argument.*object.*null/],
    ['no object either', 'uint8', 'ERR_INVALID_ARG_TYPE', /"options" argument.*object.*'uint8'/],
    ['an unknown name', { lengthField: 'uint33' }, 'ERR_INVALID_ARG_VALUE', /lengthField.*'uint32le'.*'uint33'/],
    ['a name of Object', { lengthField: 'constructor' }, 'ERR_INVALID_ARG_VALUE', /lengthField.*'constructor'/],
    ['a number for a field', { lengthField: 4 }, 'ERR_INVALID_ARG_TYPE', /lengthField.*number \(4\)/],
    ['a field that can not read', { lengthField: {} }, 'ERR_INVALID_ARG_TYPE', /lengthField\.read.*undefined/],
    ['a field that can not write', { lengthField: { read() {} } }, 'ERR_INVALID_ARG_TYPE', /lengthField\.write/],
    [
      'a field of no width',
      { lengthField: { ...compactSize, maxWidth: undefined } },
      'ERR_INVALID_ARG_TYPE',
      /lengthField\.maxWidth/,
    ],
    [
      'a field of width 0',
      { lengthField: { ...compactSize, maxWidth: 0 } },
      'ERR_OUT_OF_RANGE',
      /maxWidth.*Received 0/,
    ],
    ['a field too wide', { lengthField: { ...compactSize, maxWidth: 1025 } }, 'ERR_OUT_OF_RANGE', /maxWidth.*<= 1024/],
    [
      'a field of no greatest length',
      { lengthField: { ...compactSize, maxLength: -1 } },
      'ERR_OUT_OF_RANGE',
      /maxLength/,
    ],
    [
      'a least length that is none',
      { lengthField: { ...compactSize, minLength: -1 } },
      'ERR_OUT_OF_RANGE',
      /minLength.*>= 0/,
    ],
    [
      'a least length above the greatest',
      { lengthField: { ...compactSize, minLength: 4, maxLength: 3 } },
      'ERR_OUT_OF_RANGE',
      /minLength.*<= 3 \(maxLength\)\. Received 4/,
    ],
    [
      'a limit below the least length',
      { lengthField: { ...compactSize, minLength: 5 }, maxPayloadLength: 4 },
      'ERR_OUT_OF_RANGE',
      /lengthAdjustment.*<= -1, or no frame/,
    ],
    ['an offset of half a byte', { lengthFieldOffset: 0.5 }, 'ERR_OUT_OF_RANGE', /lengthFieldOffset.*>= 0.*0\.5/],
    ['a negative offset', { lengthFieldOffset: -1 }, 'ERR_OUT_OF_RANGE', /lengthFieldOffset.*Received -1/],
    ['an offset that is no number', { lengthFieldOffset: '1' }, 'ERR_INVALID_ARG_TYPE', /lengthFieldOffset.*'1'/],
    ['an adjustment that is no integer', { lengthAdjustment: 0.1 }, 'ERR_OUT_OF_RANGE', /lengthAdjustment/],
    [
      'an endless limit',
      { maxPayloadLength: Number.POSITIVE_INFINITY },
      'ERR_OUT_OF_RANGE',
      /maxPayloadLength.*Infinity/,
    ],
    ['a limit that is no number', { maxPayloadLength: '10' }, 'ERR_INVALID_ARG_TYPE', /maxPayloadLength.*'10'/],
    ['null for an offset', { lengthFieldOffset: null }, 'ERR_INVALID_ARG_TYPE', /lengthFieldOffset.*Received null/],
    ['null for an adjustment', { lengthAdjustment: null }, 'ERR_INVALID_ARG_TYPE', /lengthAdjustment.*Received null/],
    ['null for a limit', { maxPayloadLength: null }, 'ERR_INVALID_ARG_TYPE', /maxPayloadLength.*Received null/],
    ['null for a strip', { initialBytesToStrip: null }, 'ERR_INVALID_ARG_TYPE', /initialBytesToStrip.*Received null/],
    [
      'null for the strip of a varint',
      { lengthField: 'varint', initialBytesToStrip: null },
      'ERR_INVALID_ARG_TYPE',
      /initialBytesToStrip.*Received null/,
    ],
    ['null for a header', { header: null }, 'ERR_INVALID_ARG_TYPE', /header.*Received null/],
    ['null for a field', { lengthField: null }, 'ERR_INVALID_ARG_TYPE', /lengthField.*Received null/],
    ['a limit of NaN', { maxPayloadLength: Number.NaN }, 'ERR_OUT_OF_RANGE', /maxPayloadLength.*NaN/],
    ['a strip inside the field', { initialBytesToStrip: 3 }, 'ERR_OUT_OF_RANGE', /<= 0 or >= 4.*Received 3/],
    [
      'a strip inside the field, behind an offset',
      { lengthFieldOffset: 2, initialBytesToStrip: 3 },
      'ERR_OUT_OF_RANGE',
      /<= 2 or >= 6.*Received 3/,
    ],
    [
      'a strip past the longest frame',
      { lengthField: 'uint8', initialBytesToStrip: 257 },
      'ERR_OUT_OF_RANGE',
      /<= 256.*Received 257/,
    ],
    [
      'a strip past a varint',
      { lengthField: 'varint', lengthFieldOffset: 1, initialBytesToStrip: 2 },
      'ERR_OUT_OF_RANGE',
      /<= 1.*Received 2/,
    ],
    [
      'a field that leaves no room',
      { lengthField: 'uint8', lengthAdjustment: -256 },
      'ERR_OUT_OF_RANGE',
      /lengthAdjustment.*>= -255.*Received -256/,
    ],
    [
      'an adjustment over the limit',
      { lengthAdjustment: 11, maxPayloadLength: 10 },
      'ERR_OUT_OF_RANGE',
      /lengthAdjustment.*<= 10.*Received 11/,
    ],
    ['a header that is too short', { header: Buffer.alloc(3) }, 'ERR_INVALID_ARG_VALUE', /header.*4 bytes.*3 bytes/],
    ['a header in words', { header: 'abcd' }, 'ERR_INVALID_ARG_TYPE', /header.*Uint8Array.*'abcd'/],
    [
      'a header with the varint',
      { lengthField: 'varint', header: Buffer.alloc(1) },
      'ERR_INVALID_ARG_VALUE',
      /header.*0 bytes.*1 byte/,
    ],
    [
      'a mask with no header',
      { headerMask: Buffer.alloc(4) },
      'ERR_INVALID_ARG_VALUE',
      /headerMask.*left out.*4 bytes/,
    ],
    ['a mask in words', { header: Buffer.alloc(4), headerMask: 'abcd' }, 'ERR_INVALID_ARG_TYPE', /headerMask.*'abcd'/],
    ['null for a mask', { headerMask: null }, 'ERR_INVALID_ARG_TYPE', /headerMask.*Received null/],
    [
      'a mask of another length',
      { header: Buffer.alloc(4), headerMask: Buffer.alloc(3) },
      'ERR_INVALID_ARG_VALUE',
      /headerMask.*of 4 bytes, as 'header' is.*3 bytes/,
    ],
  ];
  for (const [what, options, code, message] of refused) {
    it(what, () => {
      for (const make of [
        (format: FormatOptions) => new LengthPrefixDecoder(format),
        (format: FormatOptions) => new LengthPrefixEncoder(format),
      ]) {
        const error = thrownBy(() => make(options as FormatOptions));
        expect(error).to.have.property('code', code);
        expect(error).to.be.instanceOf(code === 'ERR_OUT_OF_RANGE' ? RangeError : TypeError);
        expect(error.message).to.match(message);
      }
    });
  }

  it('at the edge it is taken', () => {
    const taken: FormatOptions[] = [
      { lengthField: 'uint8', initialBytesToStrip: 256 },
      { lengthField: 'uint8', lengthAdjustment: -255 },
      { lengthAdjustment: 10, maxPayloadLength: 10 },
      { maxPayloadLength: 0 },
      { maxPayloadLength: Number.MAX_SAFE_INTEGER },
      { lengthFieldOffset: 2, initialBytesToStrip: 2 },
      { lengthFieldOffset: 2, initialBytesToStrip: 6 },
      { lengthField: 'varint', lengthFieldOffset: 1, initialBytesToStrip: 1 },
      { lengthField: { ...compactSize, maxWidth: 1024, maxLength: 0 } },
      { lengthField: undefined, header: undefined, initialBytesToStrip: undefined },
      { header: Buffer.alloc(4), headerMask: Buffer.alloc(4) },
      { initialBytesToStrip: 0, header: Buffer.alloc(0), headerMask: Buffer.alloc(0) },
    ];
    for (const options of taken) {
      new LengthPrefixDecoder(options);
      new LengthPrefixEncoder(options);
    }
  });
});

describe('limits', () => {
  it('count the payload and never the header', async () => {
    const options: FormatOptions = { lengthFieldOffset: 3, lengthAdjustment: -7, maxPayloadLength: 5 };
    const wire = await encode(['12345'], options);
    expect(wire).to.have.lengthOf(12);
    expect((await decode([wire], options)).items.map(String)).to.deep.equal(['12345']);
    const error = await encode(['123456'], options).catch((reason) => reason);
    expect(error.code).to.equal('ERR_FRAME_TOO_LONG');
    expect(error.message).to.match(/6 bytes.*at most 5 are allowed \(maxPayloadLength\)/);
  });

  it('are 16 MiB by default', async () => {
    expect((await decode([fromHex('00 00 00 01')])).error).to.have.property('code', 'ERR_FRAME_TRUNCATED');
    expect((await decode([fromHex('01 00 00 01')])).error).to.have.property('code', 'ERR_FRAME_TOO_LONG');
  });

  it('are those of the length field, too', async () => {
    const options: FormatOptions = { lengthField: 'uint8', lengthAdjustment: 2 };
    expect((await decode([await encode([Buffer.alloc(257)], options)], options)).items[0]).to.have.lengthOf(257);
    const error = await encode([Buffer.alloc(258)], options).catch((reason) => reason);
    expect(error.code).to.equal('ERR_FRAME_TOO_LONG');
    expect(error.message).to.match(/258 bytes.*length field can say at most 257/);
    const longest = await encode([Buffer.alloc(300)], { ...options, maxPayloadLength: 300 }).catch((reason) => reason);
    expect(longest.message).to.match(/300 bytes.*length field can say at most 257/);
  });

  it('of a field of the user, too', async () => {
    const options: FormatOptions = { lengthField: { ...compactSize, maxLength: 3 } };
    expect(await encode(['abc'], options)).to.have.lengthOf(4);
    const error = await encode(['abcd'], options).catch((reason) => reason);
    expect(error.code).to.equal('ERR_FRAME_TOO_LONG');
  });

  it('a message with no room for its length field is refused', async () => {
    for (const lengthField of ['uint32be', compactSize] as const) {
      const options: FormatOptions = { lengthField, lengthFieldOffset: 1, initialBytesToStrip: 0 };
      const error = await encode(['\u0001'], options).catch((reason) => reason);
      expect(error.code).to.equal('ERR_FRAME_CORRUPT');
      expect(error.message).to.match(/a message of 1 byte/);
    }
  });

  it('a payload shorter than minPayloadLength is refused, at both ends, in batches and with a trailer', async () => {
    for (const more of [{}, { batch: true }, { trailer: Buffer.of(0xce) }] as const) {
      const options: FormatOptions = { lengthField: 'uint8', lengthAdjustment: 1, minPayloadLength: 3, ...more };
      const good = await encode(['abc'], options);
      const { items, error } = await decode([good, good, Buffer.of(1, 1, 2, 3)], options);
      expect(items.flat().map(String)).to.deep.equal(['abc', 'abc']);
      expect(error).to.include({ code: 'ERR_FRAME_CORRUPT', position: 2 * good.length });
      expect(error!.message).to.include('a payload of 2 bytes is announced, at least 3 are needed (minPayloadLength)');
      const refused = await encode(['ab'], options).catch((reason) => reason);
      expect(refused.message).to.match(/a message of 2 bytes .* needs at least 3/);
    }
    const wrong = () => new LengthPrefixDecoder({ lengthField: 'uint8', minPayloadLength: 256 });
    expect(wrong).to.throw(RangeError, 'minPayloadLength').with.property('code', 'ERR_OUT_OF_RANGE');
  });

  it('a message shorter than the length field can say is refused, at both ends', async () => {
    const options: FormatOptions = { lengthField: { ...compactSize, minLength: 3 }, lengthAdjustment: -1 };
    expect(await encode(['ab'], options)).to.deep.equal(fromHex('03 6162'));
    expect((await decode([fromHex('03 6162')], options)).items.map(String)).to.deep.equal(['ab']);
    const refused = await encode(['a'], options).catch((reason) => reason);
    expect(refused).to.include({ code: 'ERR_FRAME_CORRUPT' });
    expect(refused.message).to.match(/a message of 1 byte .* needs at least 2/);
    const { error } = await decode([fromHex('02 61')], options);
    expect(error).to.include({ code: 'ERR_FRAME_CORRUPT' });
    expect(error!.message).to.include('the length 2 is less than 3, the least that the length field can say');
  });

  it('a message too short for the adjustment is refused', async () => {
    const options: FormatOptions = { lengthField: 'uint8', lengthAdjustment: 3 };
    expect(await encode(['abc'], options)).to.deep.equal(fromHex('00 616263'));
    const error = await encode(['ab'], options).catch((reason) => reason);
    expect(error.code).to.equal('ERR_FRAME_CORRUPT');
    expect(error.message).to.match(/a message of 2 bytes .* needs at least 3/);
  });

  it('a message with no room for its length field is refused, also where the length counts more', async () => {
    const options: FormatOptions = { lengthField: 'uint32be', lengthAdjustment: -10, initialBytesToStrip: 0 };
    expect(await encode(['abcd'], options)).to.deep.equal(fromHex('00 00 00 0a'));
    const error = await encode(['abc'], options).catch((reason) => reason);
    expect(error.code).to.equal('ERR_FRAME_CORRUPT');
    expect(error.message).to.match(/a message of 3 bytes .* needs at least 4/);
  });
});

describe('a message that keeps its length field', () => {
  const options: FormatOptions = { lengthField: 'varint', lengthFieldOffset: 1, initialBytesToStrip: 0 };

  it('has the length written over what stands there, in a copy', async () => {
    const message = fromHex('30 00 616263');
    expect(await encode([message], options)).to.deep.equal(fromHex('30 03 616263'));
    expect(message).to.deep.equal(fromHex('30 00 616263'));
    const fixed = fromHex('ffff 616263');
    expect(await encode([fixed], { lengthField: 'uint16be', initialBytesToStrip: 0 })).to.deep.equal(
      fromHex('0003 616263'),
    );
    expect(fixed).to.deep.equal(fromHex('ffff 616263'));
  });

  it('keeps a right length in the form it has', async () => {
    const message = fromHex('30 83 80 00 616263');
    expect(await encode([message], options)).to.deep.equal(message);
  });

  it('is refused when it is too long, with a right length as well', async () => {
    const error = await encode([fromHex('30 03 616263')], { ...options, maxPayloadLength: 2 }).catch(
      (reason) => reason,
    );
    expect(error.code).to.equal('ERR_FRAME_TOO_LONG');
  });

  it('gives the length as many bytes as it takes, whatever stands there', async () => {
    const long = Buffer.alloc(128, 'x');
    const parts = [Buffer.of(0x30, 0), long];
    expect(await encode([Buffer.concat(parts)], options)).to.deep.equal(Buffer.concat([fromHex('30 8001'), long]));
    expect(await encode([fromHex('30 80 01 616263')], options)).to.deep.equal(fromHex('30 03 616263'));
    const kept = { ...options, initialBytesToStrip: 1, header: Buffer.of(0x30) };
    expect(await encode([Buffer.concat([Buffer.of(0), long])], kept)).to.deep.equal(
      Buffer.concat([fromHex('30 8001'), long]),
    );
  });

  it('does so in parts, and as a body, and knows where the frame behind it begins', async () => {
    const long = Buffer.alloc(128, 'x');
    const chunks: Buffer[] = [];
    const encoder = new LengthPrefixEncoder({ ...options, maxPayloadLength: 200 });
    encoder.on('data', (chunk) => chunks.push(chunk));
    encoder.write([Buffer.of(0x30, 0), long]);
    await new Promise((resolve) =>
      encoder.write({ length: 130, body: [Buffer.of(0x30), Buffer.of(0), long] }, resolve),
    );
    const frame = Buffer.concat([fromHex('30 8001'), long]);
    expect(Buffer.concat(chunks)).to.deep.equal(Buffer.concat([frame, frame]));
    encoder.end(Buffer.concat([Buffer.of(0x30, 0), Buffer.alloc(201)]));
    const [error] = await once(encoder, 'error');
    expect(error).to.include({ code: 'ERR_FRAME_TOO_LONG', position: 2 * frame.length });
  });
});

describe('formatOf', () => {
  it('gives all that have no options of their own the same format', () => {
    const usual = formatOf();
    expect(formatOf({})).to.equal(usual);
    expect(formatOf({ lengthField: undefined, batch: true } as FormatOptions)).to.equal(usual);
    expect(formatOf({ lengthField: 'uint8' })).to.not.equal(usual);
    expect(formatOf({ lengthFieldOffset: 0 })).to.not.equal(usual);
  });

  it('has a short way where there is nothing to check but a length of fixed width', () => {
    const ways: [FormatOptions, boolean][] = [
      [{}, true],
      [{ lengthFieldOffset: 2, initialBytesToStrip: 0 }, true],
      // The length alone: it is not compared.
      [{ header: Buffer.alloc(4) }, true],
      [{ lengthFieldOffset: 2, initialBytesToStrip: 0, header: Buffer.alloc(0) }, true],
      [{ lengthFieldOffset: 2, header: Buffer.alloc(6) }, false],
      [{ initialBytesToStrip: 5, header: Buffer.alloc(5) }, false],
      [{ lengthField: 'varint' }, false],
    ];
    for (const [options, isShort] of ways) expect(formatOf(options).quick !== undefined).to.equal(isShort);
  });

  it('knows how many bytes the encoder puts in front of a message, where it can write the head in its place', () => {
    const fronts: [FormatOptions, number | undefined][] = [
      [{}, 4],
      [{ lengthFieldOffset: 2 }, 6],
      [{ initialBytesToStrip: 7 }, 7],
      [{ initialBytesToStrip: 0 }, 0],
      [{ lengthFieldOffset: 2, initialBytesToStrip: 2 }, 2],
      [{ lengthFieldOffset: 2, initialBytesToStrip: 1, header: Buffer.of(1) }, 1],
      [{ lengthField: 'varint' }, 2],
      [{ lengthField: 'varint', lengthFieldOffset: 3 }, 5],
      [{ lengthField: 'varint', lengthAdjustment: 100 }, 1],
      [{ lengthField: 'varint', lengthFieldOffset: 2, initialBytesToStrip: 2 }, undefined],
      [{ lengthField: { ...varint } }, undefined],
      [{ trailer: Buffer.of(1) }, undefined],
    ];
    for (const [options, front] of fronts) {
      const format = formatOf(options);
      expect(format.isInPlace).to.equal(front !== undefined);
      if (front !== undefined) expect(format.frontOf(200, 0)).to.equal(front);
    }
  });
});
