import { expect } from 'chai';
import { checkedOptions, describe as describeError, sharedOptions, shownAddress } from '../../examples/options.js';

describe('examples/options', () => {
  const defaults = {
    host: sharedOptions.host.default,
    port: sharedOptions.port.default,
    'length-field': sharedOptions['length-field'].default,
    'length-field-offset': sharedOptions['length-field-offset'].default,
    'length-adjustment': sharedOptions['length-adjustment'].default,
    max: sharedOptions.max.default,
  };

  it("have the library's defaults", () => {
    expect(checkedOptions(defaults)).to.deep.equal({
      host: '127.0.0.1',
      port: 11_000,
      format: {
        lengthField: 'uint32le',
        lengthFieldOffset: 0,
        lengthAdjustment: 0,
        initialBytesToStrip: undefined,
        maxPayloadLength: 16_777_216,
      },
    });
  });

  it('a message can be longer than 4 GiB', () => {
    const { format } = checkedOptions({ ...defaults, 'length-field': 'uint64be', max: '6000000000000' });
    expect(format.maxPayloadLength).to.equal(6_000_000_000_000);
  });

  const bad: [option: string, value: string, line: RegExp][] = [
    ['port', '65536', /^--port must be 0 to 65535, not 65536$/],
    ['port', '-1', /^--port must be 0 to 65535, not -1$/],
    ['port', 'http', /^--port must be a whole number, not 'http'$/],
    ['max', '', /^--max must be a whole number, not ''$/],
    ['max', '-1', /^The value of "--max" is out of range\. /],
    [
      'length-field',
      'int32',
      /^The property '--length-field' must be one of 'uint8', .*, 'uint64be', the nearest is 'uint32le'\. Received 'int32'$/,
    ],
    ['strip', '2', /^The value of "--strip" is out of range\. /],
    ['length-field-offset', '1.5', /^--length-field-offset must be a whole number, not '1\.5'$/],
    ['length-adjustment', '99999999', /^The value of "--length-adjustment" is out of range\. /],
  ];
  for (const [option, value, line] of bad) {
    it(`refuse --${option}=${value}, and say what would do`, () => {
      expect(() => checkedOptions({ ...defaults, [option]: value })).to.throw(line);
    });
  }

  it('an error is one line, with its code once', () => {
    const coded = (code: string, message: string) => Object.assign(new Error(message), { code });
    expect(describeError(new Error('two\nlines'))).to.equal('two lines');
    expect(describeError(coded('ERR_X', 'what'))).to.equal('ERR_X: what');
    expect(describeError(coded('EPIPE', 'write EPIPE'))).to.equal('write EPIPE');
    expect(describeError(new AggregateError([coded('EX', 'first'), coded('EY', 'second')]))).to.equal('EX: first');
  });

  it('an IPv6 address is shown in brackets', () => {
    expect(shownAddress('::1', 80)).to.equal('[::1]:80');
    expect(shownAddress('127.0.0.1', 80)).to.equal('127.0.0.1:80');
  });
});
