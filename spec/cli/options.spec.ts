import { expect } from 'chai';
import { addressOf, bytesOfAddress, shownHost, textOfAddress } from '../../lib/cli/address.js';
import { commands, optionsOf } from '../../lib/cli/commands.js';
import { describe as describeError, exitCodeOf } from '../../lib/cli/errors.js';
import { formatOf } from '../../lib/cli/format.js';
import { read, seconds, wholeNumber } from '../../lib/cli/options.js';
import { escaped, safeJson } from '../../lib/cli/text.js';
import { FrameError } from '../../lib/index.js';

describe('the options of the command', () => {
  const options = { count: { type: 'string', text: '' }, adjustment: { type: 'string', text: '' } } as const;

  it('give the format of the library, with its defaults', () => {
    expect(formatOf({})).to.deep.equal({});
    expect(formatOf({ format: 'dns', 'max-payload-length': '6000000' })).to.deep.equal({
      lengthField: 'uint16be',
      maxPayloadLength: 6_000_000,
    });
    expect(
      formatOf({ trailer: '0xCE', header: 'ca fe', 'length-field-offset': '2', 'initial-bytes-to-strip': '2' }),
    ).to.deep.equal({
      trailer: Buffer.of(0xce),
      header: Buffer.of(0xca, 0xfe),
      lengthFieldOffset: 2,
      initialBytesToStrip: 2,
    });
  });

  const bad: [option: string, value: string, line: RegExp][] = [
    ['max-payload-length', 'x', /^--max-payload-length must be a whole number, not 'x'$/],
    [
      'max-payload-length',
      '99999999999999999999',
      /^--max-payload-length must be at most 9007199254740991, not 9{20}$/,
    ],
    [
      'length-field-offset',
      '9007199254740991',
      /^--length-field-offset must be 0 to 4294967295, not 9007199254740991$/,
    ],
    ['max-payload-length', '-1', /^--max-payload-length must be 0 or more, not -1$/],
    [
      'length-field',
      'int32',
      /^The property '--length-field' must be one of 'uint8', .*, 'uint64be', the nearest is 'uint32le'\. Received 'int32'$/,
    ],
    ['initial-bytes-to-strip', '2', /^The value of "--initial-bytes-to-strip" is out of range\. /],
    ['length-field-offset', '1.5', /^--length-field-offset must be a whole number, not '1\.5'$/],
    ['length-adjustment', '99999999', /^The value of "--length-adjustment" is out of range\. /],
    ['trailer', 'c', /^--trailer must be bytes in hex, such as 0xce or 'ca fe': 1 hex digit, and a byte has two: 'c'$/],
    ['trailer', 'ge', /^--trailer must be bytes in hex, such as 0xce or 'ca fe': no hex digits: 'ge'$/],
    ['trailer', '0x', /^--trailer must be bytes in hex, such as 0xce or 'ca fe': there are none$/],
    ['header', '00', /^The property '--header' must be of 4 bytes, /],
    ['format', 'constructor', /^There is no format 'constructor'\. There are dotnet, .*, compactSize$/],
    ['format', 'htp2', /^There is no format 'htp2', the nearest is http2$/],
    ['format', 'git-pkt-line', /^There is no format 'git-pkt-line', the nearest is gitPktLine$/],
    ['format', 'http', /^There is no format 'http', the nearest is http2$/],
  ];
  for (const [option, value, line] of bad) {
    it(`refuse --${option}=${value}, and say what would do`, () => {
      try {
        formatOf({ [option]: value });
      } catch (error) {
        expect(describeError(error)).to.match(line);
        expect(exitCodeOf(error)).to.equal(2);
        return;
      }
      expect.fail('it was taken');
    });
  }

  it('refuse a header that has something in the place of the length', () => {
    const under = (header: string, more = {}) =>
      formatOf({ header, 'length-field': 'uint16be', 'length-field-offset': '1', ...more });
    expect(under('ca0000').header).to.deep.equal(Buffer.of(0xca, 0, 0));
    expect(under('ca0000fe', { 'initial-bytes-to-strip': '4' }).header).to.deep.equal(Buffer.of(0xca, 0, 0, 0xfe));
    expect(under('ca', { 'initial-bytes-to-strip': '1' }).header).to.deep.equal(Buffer.of(0xca));
    expect(under('ca', { 'length-field': 'varint' }).header).to.deep.equal(Buffer.of(0xca));
    const line = '--header has 00 fe in the place of the length, which is written there: give 00 00';
    expect(() => under('ca00fe')).to.throw(line);
    expect(() => under('ca00fefe', { 'initial-bytes-to-strip': '4' })).to.throw(line);
    expect(() => formatOf({ header: '01020304' })).to.throw('--header has 01 02 03 04 in the place of the length');
  });

  it('take a negative number for a value, and no empty ones', () => {
    expect(read(['--adjustment', '-4', 'x'], options)).to.deep.equal({
      values: { __proto__: null, adjustment: '-4' },
      positionals: ['x'],
    });
    expect(() => read(['--count', ''], options)).to.throw('--count must not be empty');
  });

  it('have a nearest one where they are misspelled', () => {
    const hint = (flag: string) => {
      try {
        read([flag, '1'], optionsOf(commands.find(({ name }) => name === 'connect')!));
      } catch (error) {
        return (error as Error).message;
      }
      return undefined;
    };
    for (const [flag, nearest] of [
      ['--cuont', '--count'],
      ['--frmat', '--format'],
      ['--max', '--max-payload-length'],
      ['--maxPayloadLength', '--max-payload-length'],
      ['--lenght-field', '--length-field'],
    ])
      expect(hint(flag!)).to.equal(`There is no option ${flag}, the nearest is ${nearest}`);
    expect(hint('--xyzzy')).to.equal('There is no option --xyzzy');
    expect(hint('-z')).to.equal('There is no option -z');
  });

  it('are numbers within their limits', () => {
    expect(wholeNumber({ port: '65535' }, 'port', 0, 65_535)).to.equal(65_535);
    expect(() => wholeNumber({ port: '65536' }, 'port', 0, 65_535)).to.throw('--port must be 0 to 65535, not 65536');
    expect(seconds({ wait: '0.5' }, 'wait')).to.equal(500);
    for (const wait of ['0', '-1', 'x', '1e9'])
      expect(() => seconds({ wait }, 'wait')).to.throw('--wait must be a number of seconds');
  });
});

describe('addresses', () => {
  it('are of TCP, of a Unix socket, or the standard input and output', () => {
    expect(addressOf('example.com:80')).to.deep.equal({ kind: 'tcp', host: 'example.com', port: 80 });
    expect(addressOf('[::1]:80')).to.deep.equal({ kind: 'tcp', host: '::1', port: 80 });
    expect(addressOf('80')).to.deep.equal({ kind: 'tcp', host: '127.0.0.1', port: 80 });
    expect(addressOf('unix:/tmp/x')).to.deep.equal({ kind: 'unix', path: '/tmp/x' });
    expect(addressOf('stdio:')).to.deep.equal({ kind: 'stdio' });
  });

  it('are refused where they are none', () => {
    for (const text of ['', ':80', '::1', 'host', 'host:', 'host:x', 'host:65536', 'unix:', 'a:b:1']) {
      expect(() => addressOf(text), text).to.throw(/^(An address is|A port is|unix: needs)/);
    }
  });

  it('of IP have bytes, and of IPv6 a short form', () => {
    const pairs: [text: string, hex: string][] = [
      ['127.0.0.1', '7f000001'],
      ['::', '00'.repeat(16)],
      ['::1', `${'00'.repeat(15)}01`],
      ['2001:db8::', `20010db8${'00'.repeat(12)}`],
      ['2001:db8:0:1:2:3:4:5', '20010db8000000010002000300040005'],
    ];
    for (const [text, hex] of pairs) {
      expect(bytesOfAddress(text)?.toString('hex')).to.equal(hex);
      expect(textOfAddress(Buffer.from(hex, 'hex'))).to.equal(text);
    }
    expect(bytesOfAddress('::ffff:10.0.0.255')).to.deep.equal(Buffer.of(10, 0, 0, 255));
    expect(bytesOfAddress('fe80::1%eth0')?.toString('hex')).to.equal(`fe80${'00'.repeat(13)}01`);
    for (const text of ['host', '', undefined]) expect(bytesOfAddress(text)).to.equal(undefined);
  });

  it('are shown with brackets where they have colons', () => {
    expect(shownHost('::1', 80)).to.equal('[::1]:80');
    expect(shownHost('127.0.0.1', 80)).to.equal('127.0.0.1:80');
  });
});

describe('errors of the command', () => {
  it('are one line, with their code once', () => {
    const coded = (code: string, message: string) => Object.assign(new Error(message), { code });
    expect(describeError(new Error('two\nlines'))).to.equal('two lines');
    expect(describeError(coded('ERR_X', 'what'))).to.equal('ERR_X: what');
    expect(describeError(coded('EPIPE', 'write EPIPE'))).to.equal('write EPIPE');
    expect(describeError(new AggregateError([coded('EX', 'first'), coded('EY', 'second')]))).to.equal('EX: first');
    expect(describeError(new FrameError('ERR_FRAME_CORRUPT', 1, 'x (maxPayloadLength)'))).to.include(
      '(--max-payload-length)',
    );
  });

  it('have an exit code each', () => {
    expect(exitCodeOf(new FrameError('ERR_FRAME_CORRUPT', 1, 'x'))).to.equal(3);
    expect(exitCodeOf(new Error('x'))).to.equal(1);
    expect(exitCodeOf(Object.assign(new Error('x'), { code: 'ERR_PARSE_ARGS_UNKNOWN_OPTION' }))).to.equal(2);
  });
});

describe('text from elsewhere', () => {
  it('has nothing in it that a terminal obeys', () => {
    expect(escaped('a\x1b[31m\x7f\x9b\u202e\n\r\t\u2028é')).to.equal(
      'a\\x1b[31m\\x7f\\x9b\\u{202e}\\n\\r\\t\\u{2028}é',
    );
    const text = 'a\x1b\x7f\x9b\u202e"';
    expect(safeJson({ text })).to.match(/^[\x20-\x7e]*$/);
    expect(JSON.parse(safeJson({ text }))).to.deep.equal({ text });
  });
});
