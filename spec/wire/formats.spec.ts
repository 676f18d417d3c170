import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import fc from 'fast-check';
import { anyCut, anyMessages } from '../../lib/fuzz/index.js';
import { type FormatOptions, formats, LengthPrefixDecoder, LengthPrefixEncoder, withFormat } from '../../lib/index.js';
import { encode as webEncode } from '../../lib/web/index.js';
import {
  compactSize,
  contentLength,
  fastcgiLengths,
  ldapLength,
  mqttLength,
  octetCount,
  pktLength,
} from '../../lib/wire/protocol-fields.js';
import { drawings, itIsAsDrawn } from '../support/drawings.js';
import { runs } from '../support/runs.js';
import { decode, encode, fromHex } from '../support/streams.js';

const source = readFileSync(new URL('../../../lib/wire/formats.ts', import.meta.url), 'utf8');
const nothing = new Uint8Array(0);
const all = formats as Record<string, FormatOptions>;

describe('formats', () => {
  const drawn = drawings(source);

  it('each name their specification', () => {
    for (const documentation of source.match(/ {2}\/\*\*\n.*? {2}\*\/\n/gs)!)
      expect(documentation).to.match(/https:|RFC \d/);
  });

  it('are each drawn, and frozen', () => {
    expect(drawn.map(({ options }) => options)).to.deep.equal(Object.keys(formats).map((name) => `formats.${name}`));
    expect(formats).to.be.frozen;
    for (const format of Object.values(all)) {
      expect(format).to.be.frozen;
      expect(format.lengthField).to.be.frozen;
    }
  });

  for (const drawing of drawn) itIsAsDrawn(drawing, all[drawing.options.slice('formats.'.length)]!);

  const limits: Record<string, number> = {
    postgresStartup: 10_000,
    mysql: 2 ** 24,
    kafka: 100 * 2 ** 20,
    mongodb: 48_000_000 - 4,
    tds: 2 ** 15 - 1 - 4,
    thrift: 16_384_000,
    cassandra: 2 ** 28 - 9,
    grpc: 4 * 2 ** 20,
    gitPktLine: 65_520 - 4,
    ldap: 2 ** 24 - 1,
    nativeMessagingToHost: 64 * 2 ** 20,
    nativeMessagingToBrowser: 2 ** 20,
    mqtt: 2 ** 28 - 1,
    tls: 2 ** 14 + 2048,
    http2: 2 ** 14 + 6,
    http2Preface: 0,
    proxyV2: 2 ** 12 - 16,
    compactSize: 2 ** 25,
    amqp: 2 ** 17 - 8,
    amqpGreeting: 0,
    sshAgent: 2 ** 18,
    memcached: 2 ** 20 + 12,
    bgp: 2 ** 12 - 18,
    nineP: 2 ** 20 - 4,
  };

  it('have the limits of their protocols, and the usual one where there are none', () => {
    for (const [name, { maxPayloadLength }] of Object.entries(all)) {
      expect(maxPayloadLength, name).to.equal(limits[name]);
    }
  });

  it('are spread with options of your own', async () => {
    const format = { ...formats.grpc, initialBytesToStrip: 5 };
    const wire = fromHex('00 00000005 0a03626f62');
    expect((await decode([wire], format)).items).to.deep.equal([fromHex('0a03626f62')]);
    expect(await encode([fromHex('0a03626f62')], format)).to.deep.equal(wire);
  });

  for (const [name, format] of Object.entries(all)) {
    it(`${name} carries any messages, in any chunks`, async () => {
      const wires = anyMessages(format).chain((messages) => {
        const wire = Buffer.concat(messages.map((message) => webEncode(message, format)));
        return anyCut(wire, { boundaries: format }).map((chunks) => ({ messages, wire, chunks }));
      });
      await fc.assert(
        fc.asyncProperty(wires, async ({ messages, wire, chunks }) => {
          expect(await encode(messages, format)).to.deep.equal(wire);
          const { items, error } = await decode(chunks, format);
          expect(error).to.equal(undefined);
          expect(items).to.deep.equal(messages);
        }),
        { numRuns: runs(20) },
      );
    });
  }

  it('write the length over the zeros that stand in its place', async () => {
    const rest = Buffer.alloc(300, 'x');
    const written: [string, string, string][] = [
      ['postgres', '51 00000000', '51 00000130'],
      ['mqtt', '30 00', '30 ac02'],
      ['grpc', '00 00000000', '00 0000012c'],
      ['gitPktLine', '30303030', '30313330'],
      ['ldap', '3000', '3082012c'],
      ['tls', '170303 0000', '170303 012c'],
      ['http2', '000000 0001 00000001', '00012c 0001 00000001'],
      ['proxyV2', '2111 0000', '2111 012c'],
      ['fastcgi', '01060001 0000 00 00', '01060001 012c 00 00'],
      ['fastcgi', '01060001 0000 2d 07', '01060001 00ff 2d 07'],
      ['amqp', '010000 00000000', '010000 0000012c'],
      ['diameter', '01 000000', '01 000130'],
      ['dicom', '0400 00000000', '0400 0000012c'],
      ['memcached', '8001000000000000 00000000', '8001000000000000 00000120'],
      ['mongodb', '00000000', '30010000'],
      ['dockerStream', '01000000 00000000', '01000000 0000012c'],
      ['tds', '0401 0000', '0401 0130'],
      ['cassandra', '8400000108 00000000', '8400000108 0000012c'],
    ];
    for (const [name, zeros, head] of written) {
      const wire = await encode([Buffer.concat([fromHex(zeros), rest])], all[name]);
      const { header = nothing, trailer = nothing } = all[name]!;
      expect(wire, name).to.deep.equal(Buffer.concat([header, fromHex(head), rest, trailer as Uint8Array]));
    }
  });
});

describe('formats that begin with bytes that are always the same', () => {
  const same: [string, number][] = [
    ['http2Preface', 24],
    ['proxyV2', 12],
    ['amqpGreeting', 8],
    ['smb', 1],
  ];
  for (const [name, length] of same) {
    it(`${name}: others are refused with the first of them`, async () => {
      for (let at = 0; at < length; at++) {
        const wrong = Buffer.from(all[name]!.header!.subarray(0, at + 1));
        wrong[at]! ^= 1;
        const decoder = new LengthPrefixDecoder(all[name]);
        decoder.write(wrong);
        const [error] = await once(decoder, 'error');
        expect(error.code, `byte ${at}`).to.match(/^ERR_FRAME_(CORRUPT|TOO_LONG)$/);
        expect(error.position).to.equal(0);
      }
    });
  }

  it('are the formats in front of others', async () => {
    const formatAfter = (message: Buffer) => (message.length === 0 ? formats.http2 : undefined);
    const decoder = new LengthPrefixDecoder({ ...formats.http2Preface, formatAfter });
    const encoder = new LengthPrefixEncoder(formats.http2Preface);
    const settings = fromHex('000000 04 00 00000000');
    encoder.write('');
    encoder.end(withFormat(formats.http2, settings));
    expect(await encoder.pipe(decoder).toArray()).to.deep.equal([Buffer.alloc(0), settings]);
  });
});

describe('formats whose messages all have a head', () => {
  const heads: [string, string, number][] = [
    ['mongodb', '0f000000', 16],
    ['tds', '04010007', 8],
    ['diameter', '01000013', 20],
    ['sshAgent', '00000000', 1],
    ['nineP', '06000000', 3],
    ['postgresStartup', '00000007', 4],
  ];
  for (const [name, short, length] of heads) {
    it(`${name}: a message has at least ${length} bytes`, async () => {
      const { error } = await decode([fromHex(short)], all[name]);
      expect(error).to.include({ code: 'ERR_FRAME_CORRUPT', position: 0 });
      expect(error!.message).to.include('are needed (minPayloadLength)');
      const least = Buffer.alloc(length);
      const wire = await encode([least], all[name]);
      expect((await decode([wire], all[name])).items).to.have.lengthOf(1);
      expect(await encode([least.subarray(1)], all[name]).catch(({ code }) => code)).to.equal('ERR_FRAME_CORRUPT');
    });
  }
});

describe('length fields of protocols', () => {
  it("MQTT's has four bytes at the most", async () => {
    expect(mqttLength.read(fromHex('ffffff7f'), 0, 4)).to.deep.equal({ length: 268_435_455, width: 4 });
    const { error } = await decode([fromHex('30 ffffffff 01')], formats.mqtt);
    expect(error).to.include({ code: 'ERR_FRAME_CORRUPT', position: 0 });
    expect(error!.message).to.include('no end within 4 bytes');
  });

  // The lengths at which CompactSize changes its width, from Bitcoin Core's serialize_tests.
  const compact: [number, string][] = [
    [0, '00'],
    [0xfc, 'fc'],
    [0xfd, 'fd fd00'],
    [0xffff, 'fd ffff'],
    [0x1_0000, 'fe 00000100'],
    [0xffff_ffff, 'fe ffffffff'],
    [0x1_0000_0000, 'ff 0000000001000000'],
    [Number.MAX_SAFE_INTEGER, 'ff ffffffffffff1f00'],
  ];
  for (const [length, text] of compact) {
    it(`${length} as CompactSize is ${text}`, () => {
      const bytes = fromHex(text);
      expect(Buffer.from(compactSize.write(length, nothing))).to.deep.equal(bytes);
      const padded = Buffer.concat([Buffer.of(0xff), bytes, Buffer.of(0xff)]);
      expect(compactSize.read(padded, 1, padded.length)).to.deep.equal({ length, width: bytes.length });
      expect(compactSize.read(padded, 1, 1 + bytes.length)).to.deep.equal({ length, width: bytes.length });
      if (bytes.length > 1) expect(compactSize.read(padded, 1, bytes.length)).to.equal(undefined);
    });
  }

  it('CompactSize in more bytes than it needs is corrupt, as it is to Bitcoin Core', async () => {
    for (const text of ['fd fc00', 'fe ffff0000', 'ff ffffffff00000000']) {
      const { error } = await decode([fromHex(text)], formats.compactSize);
      expect(error).to.include({ code: 'ERR_FRAME_CORRUPT', position: 0 });
      expect(error!.message).to.match(/ is written in \d bytes, and needs fewer/);
    }
  });

  it("BGP's is never less than 19, and a marker of ones is in front of it", async () => {
    const marker = 'ff'.repeat(16);
    const { items, error } = await decode([fromHex(`${marker}001304 ${marker}0012`)], formats.bgp);
    expect(items).to.deep.equal([Buffer.of(4)]);
    expect(error).to.include({ code: 'ERR_FRAME_CORRUPT', position: 19 });
    expect(error!.message).to.include('a payload of 0 bytes is announced, at least 1 are needed (minPayloadLength)');
    expect((await decode([fromHex('fffe')], formats.bgp)).error).to.include({ code: 'ERR_FRAME_CORRUPT', position: 0 });
    expect(await encode([''], formats.bgp).catch(({ code }) => code)).to.equal('ERR_FRAME_CORRUPT');

    const extended = { ...formats.bgp, maxPayloadLength: 65_517 };
    const longest = Buffer.alloc(65_517, 2);
    const wire = await encode([longest], extended);
    expect(wire.subarray(0, 19)).to.deep.equal(fromHex(`${marker}ffff02`));
    expect((await decode([wire.subarray(0, 17), wire.subarray(17)], extended)).items).to.deep.equal([longest]);
  });

  it('an octet count is decimal digits and a space', async () => {
    expect(String(Buffer.from(octetCount.write(1234, nothing)))).to.equal('1234 ');
    expect(octetCount.read(Buffer.from('x1234 '), 1, 6)).to.deep.equal({ length: 1234, width: 5 });
    expect(octetCount.read(Buffer.from('x1234 '), 1, 5)).to.equal(undefined);
    for (const text of [' x', '1x', '01 x', '<34>1 no octet count']) {
      const { error } = await decode([Buffer.from(text)], formats.syslog);
      expect(error).to.include({ code: 'ERR_FRAME_CORRUPT', position: 0 });
      expect(error!.message).to.include(' does not begin a decimal number and a space');
    }
    expect((await decode([Buffer.from('1/')], formats.syslog)).error!.message).to.include('"1/"');
    expect((await decode([Buffer.from('1:')], formats.syslog)).error!.message).to.include('"1:"');
    const { error } = await decode([Buffer.alloc(20, '1')], formats.syslog);
    expect(error!.message).to.include('no end within 17 bytes');
  });

  it('an octet count is never 0', async () => {
    const { items, error } = await decode([Buffer.from('1 x0 1 x')], formats.syslog);
    expect(items.map(String)).to.deep.equal(['x']);
    expect(error).to.include({ code: 'ERR_FRAME_CORRUPT', position: 3 });
    expect(error!.message).to.include('the length 0 is less than 1, the least that the length field can say');
    const refused = await encode(['x', ''], formats.syslog).catch((caught) => caught);
    expect(refused).to.include({ code: 'ERR_FRAME_CORRUPT', position: 3 });
    expect(refused.message).to.include('a message of 0 bytes was given, this format needs at least 1');
  });

  it('a netstring has no zeros in front of its length, and a comma behind it', async () => {
    const { items, error } = await decode([Buffer.from('0:,12:hello world!,1:a;')], formats.netstring);
    expect(items.map(String)).to.deep.equal(['', 'hello world!']);
    expect(error).to.include({ code: 'ERR_FRAME_CORRUPT', position: 19 });
    expect(error!.message).to.include('the trailer is 3b, and must be 2c');
    for (const text of ['00:,', '01:a,', ':,', '1 a,']) {
      const { error } = await decode([Buffer.from(text)], formats.netstring);
      expect(error).to.include({ code: 'ERR_FRAME_CORRUPT', position: 0 });
      expect(error!.message).to.include(' does not begin a decimal number and a colon');
    }
    expect((await decode([Buffer.alloc(20, '1')], formats.netstring)).error!.message).to.include('no end within 17');
  });

  it("FastCGI's is content and padding, and is written in front of the padding that the message says", async () => {
    const bytes = fromHex('01060001 ffff ff 00');
    expect(fastcgiLengths.read(bytes, 4, 8)).to.deep.equal({ length: 65_535 + 255, width: 4 });
    for (const end of [5, 6, 7]) expect(fastcgiLengths.read(bytes, 4, end)).to.equal(undefined);
    const record = Buffer.concat([bytes, Buffer.alloc(65_535 + 255, 'x')]);
    expect(await encode([record], formats.fastcgi)).to.deep.equal(record);
    expect((await decode([record], formats.fastcgi)).items).to.deep.equal([record]);
    // Less than the padding; one byte too many, with and without padding.
    for (const [head, length, content] of [
      ['01060001 0000 08 00', 7, -1],
      ['01060001 0000 03 00', 65_539, 65_536],
      ['01060001 0000 00 00', 65_536, 65_536],
    ] as const) {
      const wrong = Buffer.concat([fromHex(head), Buffer.alloc(length)]);
      const error = await encode([wrong], formats.fastcgi).catch((caught) => caught);
      expect(error).to.include({ code: 'ERR_FRAME_CORRUPT', position: 0 });
      expect(error.message).to.include(`the content has ${content} bytes, and must have 0 to 65535`);
    }
  });

  it('Content-Length may be in any case, with other headers on either side', async () => {
    expect(String(Buffer.from(contentLength.write(1234, nothing)))).to.equal('Content-Length: 1234\r\n\r\n');
    const blocks = [
      'Content-Length: 2\r\n\r\n',
      'content-length:2\r\n\r\n',
      'CONTENT-LENGTH: \t02 \r\n\r\n',
      'Content-Type: application/vscode-jsonrpc; charset=utf-8\r\nContent-Length: 2\r\n\r\n',
      'Content-Length: 2\r\nContent-Type: application/vscode-jsonrpc; charset=utf-8\r\nX-Content-Length: 3\r\n\r\n',
      `X:\r\nContent-Length: 2\r\nY: ${'y'.repeat(1024 - 30)}\r\n\r\n`,
    ];
    const wire = Buffer.from(blocks.map((block) => `${block}{}`).join(''));
    for (const size of [wire.length, 1, 7]) {
      const chunks = Array.from({ length: Math.ceil(wire.length / size) }, (_, i) =>
        wire.subarray(i * size, i * size + size),
      );
      const { items, error } = await decode(chunks, formats.lsp);
      expect(error).to.equal(undefined);
      expect(items.map(String)).to.deep.equal(blocks.map(() => '{}'));
    }
  });

  const noHeaders: [string, string][] = [
    ['{"jsonrpc":"2.0"}', '"{" does not begin a header'],
    ['GET / HTTP/1.1\r\n\r\n', '"GET " does not begin a header'],
    [' Content-Length: 2\r\n\r\n', '" " does not begin a header'],
    [': 2\r\n\r\n', '":" does not begin a header'],
    ['Content-Length\r\n\r\n', '"Content-Length\\r" does not begin a header'],
    ['Content-Length: 2\n\n', '"Content-Length: 2\\n" is no header line'],
    ['Content-Length: é\r\n\r\n', '"Content-Length: \u00c3" is no header line'],
    ['Content-Length: 2\r{}', '"Content-Length: 2\\r{" has no line feed behind its CR'],
    ['Content-Length: 2\r\n\r{}', '"\\r{" has no line feed behind its CR'],
    ['\r\n', 'there is no Content-Length in "\\r\\n"'],
    ['Content-Type: a\r\n\r\n', 'there is no Content-Length in "Content-Type: a\\r\\n\\r\\n"'],
    ['Content-Length:\r\n\r\n', 'Content-Length is "", and must be decimal digits'],
    ['Content-Length: -1\r\n\r\n', 'Content-Length is "-1", and must be decimal digits'],
    ['Content-Length: 2 3\r\n\r\n', 'Content-Length is "2 3", and must be decimal digits'],
    ['Content-Length: 2\r\nCONTENT-LENGTH: 3\r\n\r\n', 'Content-Length is there twice: 2 and 3'],
    [`Content-Length: ${'9'.repeat(400)}\r\n\r\n`, 'is above 9007199254740991 bytes'],
    [`Content-Length: 2\r\nX: ${'x'.repeat(999)}\r\n\r\n`, 'the length field has no end within 1024 bytes'],
  ];
  for (const [text, reason] of noHeaders) {
    it(`no Content-Length, in one chunk and byte by byte: ${reason}`, async () => {
      const wire = Buffer.concat([Buffer.from('Content-Length: 5\r\n\r\nfirst'), Buffer.from(text)]);
      for (const chunks of [[wire], Array.from(wire, (byte) => Buffer.of(byte))]) {
        const { items, error } = await decode(chunks, formats.lsp);
        expect(items.map(String)).to.deep.equal(['first']);
        expect(error).to.include({ code: 'ERR_FRAME_CORRUPT', position: 26 });
        expect(error!.message).to.include(reason);
      }
    });
  }

  it("git's digits count themselves, and packets that are digits alone stay as they are", async () => {
    const packets = ['0000', '0001', '0002', '0004', '0009hello', '000Aupper\n'];
    const wire = Buffer.from(packets.join(''));
    for (const chunks of [[wire], Array.from(wire, (byte) => Buffer.of(byte))]) {
      const { items, error } = await decode(chunks, formats.gitPktLine);
      expect(error).to.equal(undefined);
      expect(items.map(String)).to.deep.equal(packets);
    }
    expect(await encode(packets, formats.gitPktLine)).to.deep.equal(wire);
    expect(String(await encode(['0000x', '0001x', '0004x', 'ffffx'], formats.gitPktLine))).to.equal('0005x'.repeat(4));
    expect(String(Buffer.from(pktLength.write(65_520, nothing)))).to.equal('fff0');
  });

  it('what is no length of a packet of git is refused', async () => {
    for (const [text, reason] of [
      ['0003', '0003 is no length'],
      ['00 4', '"00 " does not begin four hexadecimal digits'],
      ['SSH-', '"S" does not begin four hexadecimal digits'],
      ['-001', '"-" does not begin four hexadecimal digits'],
    ] as const) {
      const { error } = await decode([Buffer.from(text)], formats.gitPktLine);
      expect(error).to.include({ code: 'ERR_FRAME_CORRUPT', position: 0 });
      expect(error!.message).to.include(reason);
      const refused = await encode([text], formats.gitPktLine).catch((caught) => caught);
      expect(refused).to.include({ code: 'ERR_FRAME_CORRUPT', position: 0 });
    }
    expect((await decode([Buffer.from('fff1')], formats.gitPktLine)).error).to.include({ code: 'ERR_FRAME_TOO_LONG' });
  });

  const definite: [number, string][] = [
    [0, '30 00'],
    [0x7f, '30 7f'],
    [0x80, '30 81 80'],
    [0xff, '30 81 ff'],
    [0x100, '30 82 0100'],
    [0xffff, '30 82 ffff'],
    [0x1_0000, '30 83 010000'],
    [0xff_ffff, '30 83 ffffff'],
    [0x100_0000, '30 84 01000000'],
    [0xffff_ffff, '30 84 ffffffff'],
  ];
  for (const [length, text] of definite) {
    it(`${length} in the head of an LDAPMessage is ${text}`, () => {
      const bytes = fromHex(text);
      expect(Buffer.from(ldapLength.write(length, nothing))).to.deep.equal(bytes);
      const padded = Buffer.concat([Buffer.of(0xff), bytes, Buffer.of(0xff)]);
      expect(ldapLength.read(padded, 1, padded.length)).to.deep.equal({ length, width: bytes.length });
      for (let end = 2; end <= bytes.length; end++) expect(ldapLength.read(padded, 1, end)).to.equal(undefined);
    });
  }

  it('the length of an LDAPMessage may take more bytes than it needs, and stays so', async () => {
    const messages = ['30 8105 0201024200', '30 820005 0201024200', '30 8400000005 0201024200'].map(fromHex);
    const wire = Buffer.concat(messages);
    for (const chunks of [[wire], Array.from(wire, (byte) => Buffer.of(byte))]) {
      expect((await decode(chunks, formats.ldap)).items).to.deep.equal(messages);
    }
    expect(await encode(messages, formats.ldap)).to.deep.equal(wire);
  });

  it('what is no LDAPMessage is refused', async () => {
    for (const [text, reason] of [
      ['31', 'the tag is 31, and must be 30'],
      ['30 80', 'the length is indefinite (80), which LDAP does not allow'],
      ['30 85', 'the length takes 5 bytes, and may take at most 4'],
      ['30 ff', 'the length takes 127 bytes, and may take at most 4'],
    ] as const) {
      const { error } = await decode([fromHex(text)], formats.ldap);
      expect(error).to.include({ code: 'ERR_FRAME_CORRUPT', position: 0 });
      expect(error!.message).to.include(reason);
    }
  });
});
