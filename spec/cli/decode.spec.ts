import { randomBytes } from 'node:crypto';
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { encode, type FormatOptions, formats } from '../../lib/index.js';
import { cleanUp, sized, temporaryDirectory } from '../support/programs.js';
import { Command, startListen } from './command.js';

const wire = Buffer.concat(['hello', '', 'a\x1b[31m\x7fé\n'].map(sized));

/** A file with these bytes. */
function fileOf(bytes: Uint8Array | string): string {
  const file = join(temporaryDirectory(), 'file');
  writeFileSync(file, bytes);
  return file;
}

/** What the command writes to its standard output, byte for byte. */
async function bytesFrom(args: string[], input: Uint8Array | string = ''): Promise<Buffer> {
  const command = new Command(args, { binary: true });
  const chunks: Buffer[] = [];
  command.child.stdout!.on('data', (chunk: Buffer) => chunks.push(chunk));
  command.child.stdin!.end(input);
  await command.succeeds();
  return Buffer.concat(chunks);
}

const records = (lines: readonly string[]) => lines.map((line) => JSON.parse(line));

describe('length-prefix decode', () => {
  afterEach(cleanUp);

  it('lists the messages of a file, or of a pipe, with their places', async () => {
    const lines = [
      '         0 -            5 68 65 6c 6c 6f                                   hello',
      '         9 -            0                                                  ',
      '        13 -           10 61 1b 5b 33 31 6d 7f c3 a9 0a                    a.[31m....',
    ];
    expect(await new Command(['decode', fileOf(wire)]).output()).to.deep.equal(lines);
    const piped = new Command(['decode']);
    for (const byte of wire) {
      await new Promise((resolve) => piped.child.stdin!.write(Uint8Array.of(byte), resolve));
    }
    expect(await piped.output()).to.deep.equal(lines);
  });

  it('writes them in hex, as text, as bytes', async () => {
    const file = fileOf(wire);
    expect(await new Command(['decode', file, '--hex']).output()).to.deep.equal([
      '68656c6c6f',
      '',
      '611b5b33316d7fc3a90a',
    ]);
    expect(await new Command(['decode', file, '--text']).output()).to.deep.equal(['hello', '', 'a\\x1b[31m\\x7fé\\n']);
    expect((await bytesFrom(['decode', file, '--raw'])).toString()).to.equal('helloa\x1b[31m\x7fé\n');
    expect(await new Command(['decode', file, '--quiet']).output()).to.deep.equal([]);
    expect(await new Command(['decode', file, '--bytes', '2', '--count', '1']).output()).to.deep.equal([
      '         0 -            5 68 65  he',
    ]);
    const whole = await new Command(['decode', file, '--whole', '--hex', '--count', '1']).output();
    expect(whole).to.deep.equal(['0500000068656c6c6f']);
  });

  it('writes JSON with the fields that are documented, and reads it back', async () => {
    const file = fileOf(encode(['Q\0\0\0\0', 'SELECT 1\0'], formats.postgres));
    const [record, ...rest] = records(
      await new Command(['decode', '--format', 'postgres', file, '--json', '--hex']).output(),
    );
    expect(rest).to.deep.equal([]);
    expect(record.time).to.match(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    const hex = '510000000d53454c454354203100';
    expect({ ...record, time: '' }).to.deep.equal({
      time: '',

      position: 0,
      type: 81,
      length: 14,
      hex,
    });

    const kept = fileOf('');
    expect(await new Command(['decode', fileOf(wire), '--json', '--output', kept]).output()).to.deep.equal([]);
    expect(await new Command(['decode', kept, '--text']).output()).to.deep.equal(['hello', '', 'a\\x1b[31m\\x7fé\\n']);
    expect((await bytesFrom(['decode', kept, '--raw'])).toString()).to.equal('helloa\x1b[31m\x7fé\n');
    expect(await new Command(['decode', kept]).output()).to.deep.equal(
      await new Command(['decode', fileOf(wire)]).output(),
    );
  });

  it('JSON has all bytes in base64, at whatever place of the line they begin', async () => {
    const messages = Array.from({ length: 300 }, (_, i) => randomBytes(i));
    const lines = await new Command(['decode', fileOf(Buffer.concat(messages.map(sized))), '--json']).output();
    for (const [i, line] of lines.entries()) {
      expect(JSON.parse(line)).to.deep.include({ length: i, base64: messages[i]!.toString('base64') });
    }
    expect(lines).to.have.lengthOf(300);
  });

  it('JSON has text where it is asked for and there, and tells what is cut', async () => {
    const file = fileOf(Buffer.concat([sized('é\x7f\x9b"'), sized(Buffer.of(0xff)), sized('x'.repeat(100_000))]));
    const lines = await new Command(['decode', file, '--json', '--text']).output();
    for (const line of lines) expect(line).to.match(/^[ -~é]*$/);
    const [text, hex, long] = records(lines);
    expect([text.text, hex.base64, hex.text]).to.deep.equal(['é\x7f\x9b"', '/w==', undefined]);
    expect(long).to.deep.include({ length: 100_000, truncated: true, text: 'x'.repeat(65_536) });
    const all = records(await new Command(['decode', file, '--json', '--bytes', '200000']).output());
    expect(Buffer.from(all[2].base64, 'base64').toString()).to.equal('x'.repeat(100_000));
    expect(all[2].truncated).to.equal(undefined);
    await new Command(['decode', fileOf(`${JSON.stringify({ ...long })}\n`), '--raw']).fails(
      /Line 1 of the capture .* a part of a message of 100000 bytes/,
    );
  });

  it('knows the places in formats whose lengths have no fixed width, and with trailers', async () => {
    for (const [name, format] of [
      ['protobuf', formats.protobuf],
      ['netstring', formats.netstring],
      ['compactSize', formats.compactSize],
    ] as [string, FormatOptions][]) {
      const frames = [0, 300, 5, 100_000].map((size) => encode(Buffer.alloc(size, 'x'), format));
      const places = frames.map((_, i) => Buffer.concat(frames.slice(0, i)).length);
      const found = await new Command([
        'decode',
        '--format',
        name,
        '--json',
        '--bytes',
        '0',
        fileOf(Buffer.concat(frames)),
      ]).output();
      expect(
        records(found).map((each) => each.position),
        name,
      ).to.deep.equal(places);
    }
  });

  it('takes a message larger than its memory apart', async function () {
    this.timeout(30_000);
    const file = fileOf(sized(Buffer.alloc(0)));
    const head = Buffer.alloc(8);
    head.writeBigUInt64BE(300_000_000n);
    writeFileSync(file, head);
    truncateSync(file, 300_000_008);
    const preload = `
      import { peakMemory } from '${new URL('../support/peak.js', import.meta.url)}';
      process.on('exit', () => console.error('  peak', peakMemory()));`;
    const args = ['decode', '--length-field', 'uint64be', '--max-payload-length', '1000000000', file];
    for (const more of [['--raw', '--output', '/dev/null'], ['--hex', '--output', '/dev/null'], []]) {
      const command = new Command([...args, ...more], { preload });
      await command.succeeds();
      expect(Number(command.notices[0]!.slice('  peak '.length))).to.be.within(10_000_000, 200_000_000);
    }
  });

  it('--bytes cuts messages of any length, in every form', async () => {
    const file = fileOf(sized(Buffer.alloc(3_000_000, 'x')));
    expect(await new Command(['decode', file, '--text', '--bytes', '3']).output()).to.deep.equal([
      'xxx ... (3000000 bytes)',
    ]);
    expect(await new Command(['decode', file, '--hex', '--bytes', '1']).output()).to.deep.equal([
      '78 ... (3000000 bytes)',
    ]);
    expect((await bytesFrom(['decode', file, '--raw', '--bytes', '3'])).toString()).to.equal('xxx');
    expect((await bytesFrom(['decode', file, '--raw'])).length).to.equal(3_000_000);
  });

  it('draws what is not in the format, beside what is expected', async () => {
    const command = new Command(['decode']);
    command.child.stdin!.end(Buffer.concat([sized('well'), Buffer.from('GET / HTTP/1.1\r\n')]));
    expect(await command.ended).to.equal(3);
    expect(command.lines).to.have.lengthOf(1);
    expect(command.errors).to.have.lengthOf(1);
    expect(command.errors[0]).to.match(
      /^length-prefix: ERR_FRAME_TOO_LONG: Frame at byte 8: .* \(--max-payload-length\); .* look like HTTP$/,
    );
    expect(command.notices).to.deep.equal([
      '            length       payload',
      '  expected  .. .. .. ..  at most 16777216 bytes',
      '  came      47 45 54 20  2f 20 48 54 54 50 2f 31 2e 31 0d 0a  GET / HTTP/1.1..',
      '  before    04 00 00 00 77 65 6c 6c  ....well',
    ]);

    const trailer = new Command(['decode', '--format', 'netstring']);
    trailer.child.stdin!.end('5:hello;');
    expect(await trailer.ended).to.equal(3);
    expect(trailer.errors[0]).to.match(/the trailer is 3b, and must be 2c$/);

    const header = new Command([
      'decode',
      '--header',
      'cafe00',
      '--length-field',
      'uint8',
      '--length-field-offset',
      '2',
    ]);
    header.child.stdin!.end(Buffer.from('cafe0168 cabe0168'.replace(' ', ''), 'hex'));
    expect(await header.ended).to.equal(3);
    expect(header.notices.slice(0, 3)).to.deep.equal([
      '            front  length  payload',
      '  expected  ca fe  ..      at most 16777216 bytes',
      '  came      ca be  01      68                      ...h',
    ]);
  });

  it('draws a bounded part of a frame, however large its parts are', async () => {
    for (const args of [
      ['--length-field-offset', '20000000'],
      ['--initial-bytes-to-strip', '99'],
      ['--header', `${'ab'.repeat(300)}00`, '--length-field', 'uint8', '--length-field-offset', '300'],
      ['--trailer', 'ab'.repeat(300)],
      ['--min-payload-length', '2000000'],
    ]) {
      const lines = await new Command(['decode', '--explain', ...args]).output();
      const command = new Command(['decode', ...args]);
      command.child.stdin!.end(Buffer.from('\x03\0\0\0abc', 'latin1'));
      expect(await command.ended, args[0]).to.equal(3);
      for (const line of [...lines, ...command.notices]) expect(line.length, args[0]).to.be.below(400);
    }
    const huge = await new Command(['decode', '--explain', '--length-field-offset', '2000000000']).output();
    expect(huge).to.deep.equal(['No frame can be drawn']);
  });

  it('shows control characters, and those that nobody sees, escaped in linear time', async () => {
    const text = 'a\u200b\ufeff\u{e0001}\u00adb\u200dc';
    const file = fileOf(sized(text));
    expect(await new Command(['decode', file, '--text']).output()).to.deep.equal([
      'a\\u{200b}\\u{feff}\\u{e0001}\\xadb\u200dc',
    ]);
    const [line] = await new Command(['decode', file, '--json', '--text']).output();
    expect(line).to.include('"text":"a\\u200b\\ufeff\\udb40\\udc01\\u00adb\u200dc"');
    expect(JSON.parse(line!).text).to.equal(text);
    const zeros = new Command(['decode', fileOf(sized(Buffer.alloc(1_000_000))), '--text']);
    expect((await zeros.output())[0] === '\\x00'.repeat(1_000_000)).to.equal(true);
  });

  it('JSON has its fields without spaces, at whatever place of the line they begin', async () => {
    const messages = Array.from({ length: 300 }, (_, i) => sized(Buffer.alloc(i)));
    const lines = await new Command(['decode', fileOf(Buffer.concat(messages)), '--json']).output();
    for (const line of lines) expect(line).to.match(/,"length":\d+, ?"base64":"/);
  });

  it('--raw writes what came of a message that the input ends in, and the exit code tells', async () => {
    const command = new Command(['decode', '--raw'], { binary: true });
    const chunks: Buffer[] = [];
    command.child.stdout!.on('data', (chunk: Buffer) => chunks.push(chunk));
    command.child.stdin!.end(Buffer.concat([sized('abc'), sized('abcde').subarray(0, 6)]));
    expect(await command.ended).to.equal(3);
    expect(Buffer.concat(chunks).toString()).to.equal('abcab');
    expect(command.errors.join()).to.match(/ERR_FRAME_TRUNCATED/);
  });

  it('marks a message that the input ends in, in every form, and reads the mark back', async () => {
    /** The lines of its output. */
    const shown = async (input: Uint8Array | string, ...args: string[]) => {
      const command = new Command(['decode', ...args]);
      command.child.stdin!.end(input);
      expect(await command.ended).to.equal(3);
      expect(command.errors[0]).to.match(/ERR_FRAME_TRUNCATED/);
      return command.lines;
    };
    const cut = Buffer.concat([sized('well'), sized('hello').subarray(0, 7)]);
    const lines = [
      '         0 -            4 77 65 6c 6c                                      well',
      '         8 -            5 68 65 6c                                         hel ... incomplete',
    ];
    expect(await shown(cut)).to.deep.equal(lines);
    expect(await shown(cut, '--hex')).to.deep.equal(['77656c6c', '68656c ... (5 bytes, incomplete)']);
    expect(await shown(cut, '--text', '--bytes', '2')).to.deep.equal([
      'we ... (4 bytes)',
      'he ... (5 bytes, incomplete)',
    ]);
    expect(await shown('5:hello', '--format', 'netstring', '--text')).to.deep.equal(['hell ... (5 bytes, incomplete)']);
    const found = records(await shown(cut, '--json', '--text'));
    expect(found[0]).to.not.have.any.keys('truncated', 'incomplete');
    expect(found[1]).to.deep.include({ length: 5, text: 'hel', truncated: true, incomplete: true });
    const kept = fileOf(found.map((each) => `${JSON.stringify(each)}\n`).join(''));
    expect(await new Command(['decode', kept]).output()).to.deep.equal(lines);

    await new Command(['decode', kept, '--raw']).fails(/^length-prefix: Line 2 of the capture .* ended inside it\)$/);

    const long = sized(Buffer.alloc(2_000_000, 'x')).subarray(0, 1_500_000);
    for (const form of ['--hex', '--text']) {
      const [line, ...more] = await shown(long, form);
      expect(line!.slice(-35)).to.match(/[x8] \.\.\. \(2000000 bytes, incomplete\)$/);
      expect(more).to.deep.equal([]);
    }
    expect((await shown(long, '--json'))[0]).to.match(/,"length":2000000,.*,"truncated":true,"incomplete":true}$/);
  });

  it('fails where there is nothing to read', async () => {
    await new Command(['decode', '/nonexistent']).fails(/^length-prefix: \/nonexistent: ENOENT: /);
    await new Command(['decode', temporaryDirectory()]).fails(/^length-prefix: .*: EISDIR: /);
    await new Command(['decode', 'a', 'b']).fails(
      /^length-prefix: There is 1 FILE at the most: 'b' is one too many /,
      2,
    );
    await new Command(['decode', 'a\x1b[31m\nb']).fails(/^length-prefix: a\\x1b\[31m\\nb: ENOENT: /);
  });
});

describe('length-prefix encode', () => {
  afterEach(cleanUp);

  it('makes frames of lines, of NDJSON, of hex, of files, which decode takes apart', async () => {
    expect(await bytesFrom(['encode'], 'hello\r\n\nno end')).to.deep.equal(
      Buffer.concat(['hello', '', 'no end'].map(sized)),
    );
    expect(
      (await bytesFrom(['encode', '--format', 'netstring', '--input', 'ndjson'], '{"a": 1}\n\n[]\n')).toString(),
    ).to.equal('8:{"a": 1},2:[],');
    expect(
      (await bytesFrom(['encode', '--format', 'netstring', '--input', 'hex'], '6869\n\n0x00, ff')).toString('latin1'),
    ).to.equal('2:hi,0:,2:\0\xff,');
    expect((await bytesFrom(['encode', '--format', 'netstring', '--input', 'whole'], 'a\nb\n')).toString()).to.equal(
      '4:a\nb\n,',
    );
    const large = randomBytes(3_000_000);
    const file = fileOf(large);
    const output = fileOf('');
    expect(await bytesFrom(['encode', file, '-', file, '--output', output], 'x')).to.have.lengthOf(0);
    expect(readFileSync(output).equals(Buffer.concat([large, Buffer.from('x'), large].map(sized)))).to.equal(true);
  });

  it('names the line, or the file, that it can not take', async () => {
    const cases: [args: string[], input: string, line: RegExp, code: number][] = [
      [['--input', 'ndjson'], '{}\n{a}\n', /^length-prefix: line 2: .*JSON/, 1],
      [['--input', 'hex'], '00\n0x\x1b', /^length-prefix: line 2: no hex digits: '0x\\x1b'$/, 1],
      [['--input', 'hex'], '00 f', /^length-prefix: line 1: 3 hex digits, and a byte has two: '00 f'$/, 1],
      [
        ['--length-field', 'uint8'],
        `a\n${'x'.repeat(256)}\n`,
        /^length-prefix: line 2: ERR_FRAME_TOO_LONG: .* at most 255$/,
        3,
      ],
      [['missing'], '', /^length-prefix: missing: ENOENT/, 1],
    ];
    for (const [args, input, line, code] of cases) {
      const command = new Command(['encode', ...args]);
      command.child.stdin!.end(input);
      await command.fails(line, code);
    }
  });

  describe('where messages keep their head', () => {
    const line = 'line 1: the length in its head is 99, and 13 is written over it (said once)';
    /** Its bytes in hex, and what it says beside them. */
    const encoded = async (format: string, input: string) => {
      const command = new Command(['encode', '--format', format, '--input', 'hex'], { binary: true });
      const chunks: Buffer[] = [];
      command.child.stdout!.on('data', (chunk: Buffer) => chunks.push(chunk));
      command.child.stdin!.end(input);
      expect(await command.ended).to.equal(0);
      return { hex: Buffer.concat(chunks).toString('hex'), errors: command.errors };
    };
    const select = '53454c454354203100';

    it('tells of a length that is another than its own, once', async () => {
      const wrong = `5100000063${select}\n`;
      expect(await encoded('postgres', wrong + wrong)).to.deep.equal({
        hex: `510000000d${select}`.repeat(2),
        errors: [line],
      });
      const tooLong = await encoded('ldap', '3084000000110201014200\n');
      expect(tooLong).to.deep.equal({
        hex: '30050201014200',
        errors: ['line 1: the length in its head is 17, and 5 is written over it (said once)'],
      });
    });

    it('says nothing of room that is left for it, nor of one that is right', async () => {
      const cases: [format: string, message: string, hex: string][] = [
        ['postgres', `5100000000${select}`, `510000000d${select}`],
        ['postgres', `510000000d${select}`, `510000000d${select}`],
        ['mqtt', 'e000', 'e000'],
        ['mqtt', '300000036161610d', '300600036161610d'],
        ['gitPktLine', '3030303068690a', '3030303768690a'],
        ['gitPktLine', '30303030', '30303030'],
        ['ldap', '30000201014200', '30050201014200'],
        ['kafka', '00000063', '0000000400000063'],
      ];
      for (const [format, message, hex] of cases)
        expect(await encoded(format, `${message}\n`), message).to.deep.equal({ hex, errors: [] });
    });

    it('sees it in files of any size, and in connect', async () => {
      const large = fileOf(Buffer.concat([Buffer.from('6400000063', 'hex'), Buffer.alloc(300_000)]));
      const command = new Command(['encode', '--format', 'postgres', large, '--output', fileOf('')]);
      expect(await command.ended).to.equal(0);
      expect(command.errors).to.deep.equal([
        `${large}: the length in its head is 99, and 300004 is written over it (said once)`,
      ]);
      const { port } = await startListen(['--format', 'postgres']);
      const client = new Command(['connect', String(port), '--format', 'postgres', '--input', 'hex']);
      client.child.stdin!.end(`5100000063${select}\n`);
      expect(await client.ended).to.equal(0);
      expect(client.errors).to.deep.equal([line]);
    });
  });

  it('names its own option in the place of one of other commands', async () => {
    for (const [option, input] of [
      ['--hex', 'hex'],
      ['--json', 'ndjson'],
      ['--text', 'lines'],
      ['--raw', 'whole'],
    ])
      await new Command(['encode', option!]).fails(
        new RegExp(`^length-prefix: There is no option ${option}: give --input ${input} \\(`),
        2,
      );
  });

  it('does not read all of an input that is too long', async () => {
    const command = new Command(['encode', '--max-payload-length', '1000', '-']);
    command.child.stdin!.write(Buffer.alloc(100_000, 'x'));
    await command.fails(/^length-prefix: -: ERR_FRAME_TOO_LONG: more than 1000 bytes \(--max-payload-length\)$/, 3);
  });

  it('does not read a line without end', async () => {
    const command = new Command(['encode', '--max-payload-length', '1000']);
    const feed = () => {
      while (command.child.stdin!.write(Buffer.alloc(100_000, 'x')));
    };
    command.child.stdin!.write('short\n');
    command.child.stdin!.on('drain', feed);
    feed();
    await command.fails(
      /^length-prefix: line 2: ERR_FRAME_TOO_LONG: more than 1000 bytes \(--max-payload-length\)$/,
      3,
    );
  });
});

describe('length-prefix encode, of many lines', () => {
  afterEach(cleanUp);

  it('joins their frames, and writes those in front of a line that fails', async () => {
    // Each line by itself took a write of its own.
    const preload = `
      const { write } = process.stdout;
      let count = 0;
      process.stdout.write = function (...args) { count++; return write.apply(this, args); };
      process.on('exit', () => console.error('  writes', count));`;
    const command = new Command(['encode', '--length-field', 'uint8'], { binary: true, preload });
    const chunks: Buffer[] = [];
    command.child.stdout!.on('data', (chunk: Buffer) => chunks.push(chunk));
    command.child.stdin!.end(`${'x\n'.repeat(10_000)}${'y'.repeat(256)}\n`);
    expect(await command.ended).to.equal(3);
    expect(command.errors.join()).to.match(/^length-prefix: line 10001: ERR_FRAME_TOO_LONG/);
    expect(Buffer.concat(chunks).equals(Buffer.from('\x01x'.repeat(10_000)))).to.equal(true);
    expect(Number(command.notices[0]!.slice('  writes '.length))).to.be.below(1000);
  });
});

describe('length-prefix formats', () => {
  afterEach(cleanUp);

  it('draws each format of the catalogue', async () => {
    const lines = await new Command(['formats']).output();
    expect(lines.filter((line) => /^\w/.test(line))).to.deep.equal(Object.keys(formats));
    expect(lines.filter((line) => line.startsWith('  frame  '))).to.have.lengthOf(Object.keys(formats).length);
    expect(await new Command(['formats', 'amqp']).output()).to.deep.equal([
      'amqp',
      '         front     length       payload         trailer',
      '  frame  00 00 00  00 00 00 05  68 65 6c 6c 6f  ce',
      '         3 bytes   uint32be     at most 131064  1 byte',
      '  payload = length; message = the frame from byte 0 on, without the trailer',
      '',
    ]);
  });

  it('tells their options as JSON', async () => {
    const all = records(await new Command(['formats', '--json']).output());
    expect(all.map(({ name }) => name)).to.deep.equal(Object.keys(formats));
    expect(all.find(({ name }) => name === 'amqp')).to.deep.equal({
      name: 'amqp',
      lengthField: 'uint32be',
      lengthFieldOffset: 3,
      initialBytesToStrip: 0,
      trailer: 'ce',
      maxPayloadLength: 131_064,
    });
  });

  it('--explain draws the format that options describe, and does no more', async () => {
    const args = ['--length-field', 'uint16be', '--length-field-offset', '1', '--length-adjustment', '-3', '--explain'];
    const lines = await new Command(['listen', ...args]).output();
    expect(lines).to.deep.equal([
      '       front   length    payload',
      'frame  00      00 08     68 65 6c 6c 6f',
      '       1 byte  uint16be  at most 16777216',
      'payload = length - 3; message = the frame from byte 3 on',
    ]);
  });
});
