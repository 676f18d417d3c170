import { expect } from 'chai';
import { FrameError, formats, LengthPrefixDecoder, type LengthPrefixDecoderOptions } from '../../lib/index.js';
import { invalidType, invalidValue } from '../../lib/wire/errors.js';
import { decode, encode, fromHex, outcomeOf, thrownBy } from '../support/streams.js';

describe('FrameError', () => {
  it('is an Error with a code, a name and a position', () => {
    const cause = new Error('why');
    const error = new FrameError('ERR_FRAME_CORRUPT', 12, 'it is wrong', { cause });
    expect(error).to.be.instanceOf(Error);
    expect(error).to.include({ name: 'FrameError', code: 'ERR_FRAME_CORRUPT', position: 12, cause });
    expect(error.message).to.equal('Frame at byte 12: it is wrong');
    expect(Object.keys(error)).to.not.include('cause');
  });

  const faults: [string, string, LengthPrefixDecoderOptions<false>, string, number, RegExp][] = [
    [
      'too long',
      '00 00 00 02',
      {},
      'ERR_FRAME_TOO_LONG',
      0,
      /33554432 bytes is announced, at most 16777216 are allowed/,
    ],
    [
      'too long by one',
      '06',
      { lengthField: 'uint8', maxPayloadLength: 5 },
      'ERR_FRAME_TOO_LONG',
      0,
      /6 bytes.*at most 5/,
    ],
    [
      'truncated in the length field',
      '01 00 00 00 61 05 00',
      {},
      'ERR_FRAME_TRUNCATED',
      5,
      /after 2 of 4 bytes up to the end of the length field/,
    ],
    [
      'truncated in front of the length field',
      'aa bb',
      { lengthFieldOffset: 4 },
      'ERR_FRAME_TRUNCATED',
      0,
      /after 2 of 8 bytes up to the end/,
    ],
    ['truncated in a varint', '80', { lengthField: 'varint' }, 'ERR_FRAME_TRUNCATED', 0, /after 1 of at least 2 bytes/],
    ['truncated behind the length field', '05 00 00 00', {}, 'ERR_FRAME_TRUNCATED', 0, /after 4 of 9 bytes/],
    ['truncated in the payload', '01 00 00 00 61 05 00 00 00 61', {}, 'ERR_FRAME_TRUNCATED', 5, /after 5 of 9 bytes/],
    [
      'truncated in a payload that is passed over',
      '05 61',
      { lengthField: 'uint8', maxPayloadLength: 1, oversize: 'skip' },
      'ERR_FRAME_TRUNCATED',
      0,
      /after 2 of 6 bytes/,
    ],
    [
      'truncated in bytes to strip',
      '05 61',
      { lengthField: 'uint8', initialBytesToStrip: 4 },
      'ERR_FRAME_TRUNCATED',
      0,
      /after 2 of 6 bytes/,
    ],
    [
      'negative after the adjustment',
      '01',
      { lengthField: 'uint8', lengthAdjustment: -2 },
      'ERR_FRAME_CORRUPT',
      0,
      /length 1 is less than 2, the least with a lengthAdjustment of -2$/,
    ],
    [
      'negative after the adjustment, where the header is kept',
      '02 01',
      { lengthField: 'uint8', lengthAdjustment: -2, initialBytesToStrip: 0 },
      'ERR_FRAME_CORRUPT',
      1,
      /length 1 is less than 2, the least with a lengthAdjustment of -2$/,
    ],
    [
      'shorter than what is to be stripped',
      '02 61 62 02 61 62 01 61',
      { lengthField: 'uint8', initialBytesToStrip: 3 },
      'ERR_FRAME_CORRUPT',
      6,
      /frame of 2 bytes is announced, at least 3 are needed \(initialBytesToStrip\)$/,
    ],
    [
      'shorter than what is to be stripped, in either byte order',
      '00 01',
      { lengthField: 'uint16be', initialBytesToStrip: 259 },
      'ERR_FRAME_CORRUPT',
      0,
      /frame of 3 bytes is announced, at least 259 are needed \(initialBytesToStrip\)$/,
    ],
    [
      'shorter than what is to be stripped, in this byte order',
      '00 01',
      { lengthField: 'uint16be', initialBytesToStrip: 258 },
      'ERR_FRAME_CORRUPT',
      0,
      /at least 258 are needed \(initialBytesToStrip\); read as little-endian it would be 256 bytes$/,
    ],
    [
      'above Number.MAX_SAFE_INTEGER, fixed',
      '00 00 00 00 00 00 20 00',
      { lengthField: 'uint64le', maxPayloadLength: Number.MAX_SAFE_INTEGER },
      'ERR_FRAME_CORRUPT',
      0,
      /00 00 00 00 00 00 20 00 is above 9007199254740991 bytes \(Number\.MAX_SAFE_INTEGER\)/,
    ],
    [
      'above Number.MAX_SAFE_INTEGER, 56 bits',
      '20 00 00 00 00 00 00',
      { lengthField: 'uint56be' },
      'ERR_FRAME_CORRUPT',
      0,
      /above 9007199254740991 bytes/,
    ],
    [
      'above Number.MAX_SAFE_INTEGER, varint',
      '80 80 80 80 80 80 80 10',
      { lengthField: 'varint', maxPayloadLength: Number.MAX_SAFE_INTEGER },
      'ERR_FRAME_CORRUPT',
      0,
      /above 9007199254740991 bytes/,
    ],
  ];
  for (const [what, wire, options, code, position, message] of faults) {
    it(`${what}: ${code}, at any cut`, async () => {
      const bytes = fromHex(wire);
      for (const chunks of [[bytes], Array.from(bytes, (byte) => Buffer.of(byte))]) {
        const { error } = await decode(chunks, options);
        expect(error).to.be.instanceOf(FrameError);
        expect(error).to.include({ code, position });
        expect(error!.message).to.match(message);
      }
      const decoder = new LengthPrefixDecoder({ ...options, batch: true });
      decoder.end(bytes);
      expect((await outcomeOf(decoder)).error).to.include({ code, position });
    });
  }

  it('a length of the longest safe integer is too long, not corrupt', async () => {
    const { error } = await decode([fromHex('ff ff ff ff ff ff 1f 00')], { lengthField: 'uint64le' });
    expect(error).to.have.property('code', 'ERR_FRAME_TOO_LONG');
  });

  it('a message that no Buffer can hold is too long, whatever the limit', async () => {
    const options = { lengthField: 'uint64be', maxPayloadLength: Number.MAX_SAFE_INTEGER } as const;
    const { error } = await decode([fromHex('00 1f ff ff ff ff ff ff')], options);
    expect(error).to.have.property('code', 'ERR_FRAME_TOO_LONG');
    expect(error!.message).to.match(/one message can hold at most \d+/);
  });

  it("says where the encoder's frame would have begun", async () => {
    const error = await encode(['abc', '', 'abcd'], { maxPayloadLength: 3 }).catch((reason) => reason);
    expect(error).to.include({ name: 'FrameError', code: 'ERR_FRAME_TOO_LONG', position: 11 });
  });
});

describe('a length that is another protocol', () => {
  const guesses: [string, Buffer, LengthPrefixDecoderOptions<false>, RegExp][] = [
    ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\n\r\n'), {}, /"GET ", look like HTTP/],
    ['an HTTP request', Buffer.from('POST / HTTP/1.1\r\n\r\n'), { lengthField: 'uint32be' }, /"POST", look like HTTP/],
    [
      'an HTTP response',
      Buffer.from('HTTP/1.1 400 Bad Request'),
      { lengthField: 'uint32be' },
      /"HTTP", look like HTTP/,
    ],
    [
      'a TLS hello',
      fromHex('16 03 01 02 00 01 00 01 fc'),
      { lengthField: 'uint32be' },
      /16 03 01 02.*look like a TLS hello/,
    ],
    ['an SSH greeting', Buffer.from('SSH-2.0-OpenSSH_9.7\r\n'), {}, /"SSH-", look like an SSH greeting/],
    ['the other byte order', fromHex('00 00 00 07 61'), {}, /read as big-endian it would be 7 bytes/],
    [
      'the other byte order',
      fromHex('07 00 00 00 61'),
      { lengthField: 'uint32be' },
      /read as little-endian it would be 7 /,
    ],
    [
      'the other byte order, past what is safe',
      fromHex('07 00 00 00 00 00 00 00'),
      { lengthField: 'uint64be' },
      /above 9007199254740991 bytes \(Number\.MAX_SAFE_INTEGER\); read as little-endian it would be 7 bytes/,
    ],
    ['JSON', Buffer.from('{"a":1}\n'), {}, /; its first bytes, "{\\"a\\"", look like JSON with no length in front$/],
    [
      'JSON of a list',
      Buffer.from('[{"a":1}]'),
      {},
      /; its first bytes, "\[{\\"a", look like JSON with no length in front$/,
    ],
    ['Redis', Buffer.from('*1\r\n$4\r\n'), {}, /; its first bytes, "\*1\\r\\n", look like text$/],
    ['text', Buffer.from('XGET X'), {}, /; its first bytes, "XGET", look like text$/],
  ];
  for (const [what, wire, options, message] of guesses) {
    it(`${what} is called by its name`, async () => {
      const { error } = await decode([wire], options);
      expect(error!.message).to.match(message);
    });
  }

  it('text is no sign of another protocol where lengths are text', async () => {
    for (const [wire, format] of [
      ['fff1', formats.gitPktLine],
      ['99999999 x', formats.syslog],
      ['\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff', formats.proxyV2],
    ] as const) {
      const { error } = await decode([Buffer.from(wire)], format);
      expect(error!.message).to.match(/ bytes is announced, at most \d+ are allowed \(maxPayloadLength\)$/);
    }
    const { error } = await decode([Buffer.from('GET / HTTP/1.1')], { ...formats.erlangPacket4, maxPayloadLength: 10 });
    expect(error!.message).to.match(/look like HTTP$/);
  });

  const nameless = ['fe ff ff ff 00', '16 02 ff ff 00', '17 03 ff ff 00', 'ff ff ff ff'];
  for (const wire of nameless) {
    it(`and no name is made up for ${wire}`, async () => {
      const { error } = await decode([fromHex(wire)]);
      expect(error!.message).to.match(/are allowed \(maxPayloadLength\)$/);
    });
  }

  it('the other byte order is taken at its word: offset and adjustment count', async () => {
    const options = { lengthField: 'uint32be', lengthFieldOffset: 1, lengthAdjustment: -4 } as const;
    const { error } = await decode([fromHex('aa 09 00 00 00')], options);
    expect(error!.message).to.match(/read as little-endian it would be 5 bytes$/);
    const negative = await decode([fromHex('aa 03 00 00 00')], options);
    expect(negative.error!.message).to.match(/\(maxPayloadLength\)$/);
    const empty = await decode([fromHex('aa 04 00 00 00')], options);
    expect(empty.error!.message).to.match(/it would be 0 bytes$/);
    const longest = await decode([fromHex('05 00 00 00')], { lengthField: 'uint32be', maxPayloadLength: 5 });
    expect(longest.error!.message).to.match(/it would be 5 bytes$/);
    const one = await decode([fromHex('ff')], { lengthField: 'uint8', maxPayloadLength: 5 });
    expect(one.error!.message).to.match(/\(maxPayloadLength\)$/);
  });

  it('counts one byte as one', async () => {
    const { error } = await decode([fromHex('01')], { lengthField: 'uint8', maxPayloadLength: 0 });
    expect(error!.message).to.include('a payload of 1 byte is announced');
  });
});

describe("the options of Node's kind", () => {
  const refused: [string, unknown, string, RegExp][] = [
    ['copy', { copy: 1 }, 'ERR_INVALID_ARG_TYPE', /"options\.copy" property must be of type boolean.*number \(1\)/],
    ['batch', { batch: 'yes' }, 'ERR_INVALID_ARG_TYPE', /options\.batch.*boolean.*'yes'/],
    ['oversize', { oversize: 'drop' }, 'ERR_INVALID_ARG_VALUE', /'options\.oversize'.*'error' or 'skip'.*'drop'/],
    ['readableHighWaterMark', { readableHighWaterMark: -1 }, 'ERR_INVALID_ARG_VALUE', /readableHighWaterMark/],
    ['signal', { signal: 5 }, 'ERR_INVALID_ARG_TYPE', /signal/],
  ];
  for (const [what, options, code, message] of refused) {
    it(`${what} is checked`, () => {
      const error = thrownBy(() => new LengthPrefixDecoder(options as LengthPrefixDecoderOptions));
      expect(error).to.have.property('code', code);
      expect(error.message).to.match(message);
    });
  }

  it('show functions and objects by their names', () => {
    const given = (copy: unknown) => thrownBy(() => new LengthPrefixDecoder({ copy } as never)).message;
    expect(given(function yes() {})).to.include('Received function yes');
    expect(given(new Date())).to.include('Received an instance of Date');
    expect(given(Object.create(null))).to.include('Received an instance of Object');
    expect(given(null)).to.include('Received null');
    const field = (lengthField: unknown) => thrownBy(() => new LengthPrefixDecoder({ lengthField } as never)).message;
    expect(field({ read() {} })).to.equal(
      'The "options.lengthField.write" property must be of type function. Received undefined',
    );
    expect(field(4)).to.equal(
      `The "options.lengthField" property must be a name such as 'uint32be', or a LengthField. Received type number (4)`,
    );
    expect(thrownBy(() => new LengthPrefixDecoder({ maxPayloadLength: '5' } as never)).message).to.equal(
      'The "options.maxPayloadLength" property must be of type number. Received \'5\'',
    );
    expect(thrownBy(() => new LengthPrefixDecoder({ initialBytesToStrip: 1 })).message).to.match(
      /^The value of "options\.initialBytesToStrip" is out of range\./,
    );
  });

  it('name options as such, and else an argument or what a message has', () => {
    expect(invalidType('copy', 'x', 1).message).to.match(/^The "options\.copy" property must be x\./);
    expect(invalidType('options', 'x', 1).message).to.match(/^The "options" argument must be x\./);
    expect(invalidType('stream', 'x', 1).message).to.match(/^The "stream" argument must be x\./);
    expect(invalidType('message.body', 'x', 1).message).to.match(/^The "message\.body" property must be x\./);
    expect(invalidValue('stream', 'x', 1).message).to.match(/^The argument 'stream' must be x\./);
  });
});
