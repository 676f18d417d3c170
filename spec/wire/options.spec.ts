import { expect } from 'chai';
import { decode, encode, framed, LengthPrefixDecoder, LengthPrefixEncoder } from '../../lib/index.js';
import { FrameBuilder } from '../../lib/wire/builder.js';
import { decode as decodeBytes, encode as encodeBytes } from '../../lib/wire/index.js';
import { checkKnown } from '../../lib/wire/options.js';
import { FrameParser } from '../../lib/wire/parser.js';
import { thrownBy } from '../support/streams.js';
import { Wire } from '../support/wire.js';

/** All that takes options. */
const entries: Record<string, (options: object) => unknown> = {
  LengthPrefixDecoder: (options) => new LengthPrefixDecoder(options),
  LengthPrefixEncoder: (options) => new LengthPrefixEncoder(options),
  framed: (options) => framed(new Wire().stream, options),
  decode: (options) => decode(Buffer.alloc(0), options),
  encode: (options) => encode('', options),
  'decode of wire': (options) => decodeBytes(new Uint8Array(0), options),
  'encode of wire': (options) => encodeBytes('', options),
  FrameParser: (options) => new FrameParser(options),
  'FrameParser, setFormat': (options) => new FrameParser().setFormat(options),
  FrameBuilder: (options) => new FrameBuilder(options),
  'FrameBuilder, setFormat': (options) => new FrameBuilder().setFormat(options),
};

const known = {
  lengthField: 'uint16be',
  lengthFieldOffset: 0,
  lengthAdjustment: 0,
  initialBytesToStrip: 2,
  header: Buffer.alloc(2),
  headerMask: Buffer.alloc(2),
  trailer: Buffer.alloc(2),
  maxPayloadLength: 100,
  copy: true,
  batch: true,
  oversize: 'skip',
  onOversize: () => {},
  decode: () => 1,
  stream: false,
  encode: (value: string) => value,
  defaultEncoding: 'latin1',
  highWaterMark: 10,
  readableHighWaterMark: 10,
  writableHighWaterMark: 10,
  allowHalfOpen: true,
  autoDestroy: true,
  emitClose: true,
};

describe('options', () => {
  for (const [name, make] of Object.entries(entries)) {
    it(`that are not known are refused by ${name}, those of all others taken`, () => {
      expect(thrownBy(() => make({ maxFrameLength: 100 })))
        .to.be.instanceOf(TypeError)
        .and.to.include({
          code: 'ERR_INVALID_ARG_VALUE',
          message:
            "The property 'options.maxFrameLength' must be left out: it is not an option, the nearest option is " +
            "'maxPayloadLength'. Received type number (100)",
        });
      make(known);
      make({ maxFrameLength: undefined, objectMode: undefined });
      for (const name of ['memory', 'format']) {
        expect(thrownBy(() => make({ [name]: {} }))).to.include({ code: 'ERR_INVALID_ARG_VALUE' });
      }
      for (const options of [null, 5, 'lengthField', true]) {
        expect(thrownBy(() => make(options as never))).to.include({ code: 'ERR_INVALID_ARG_TYPE' });
      }
    });
  }

  it('are named by the nearest that is known, whatever the case', () => {
    const nearest: [string, string][] = [
      ['maxPayloadLenght', 'maxPayloadLength'],
      ['MAXPAYLOADLENGTH', 'maxPayloadLength'],
      ['lengthfield', 'lengthField'],
      ['fieldOffset', 'lengthFieldOffset'],
      ['bytesToStrip', 'initialBytesToStrip'],
      ['copies', 'copy'],
      ['batched', 'batch'],
      ['headers', 'header'],
      ['decoder', 'decode'],
      ['encoder', 'encode'],
      ['overSize', 'oversize'],
      ['onoversize', 'onOversize'],
      ['readableHighwater', 'readableHighWaterMark'],
      ['allowHalfOpened', 'allowHalfOpen'],
      ['signals', 'signal'],
    ];
    for (const [name, expected] of nearest) {
      const { message } = thrownBy(() => checkKnown({ [name]: 1 }));
      expect(message, name).to.match(new RegExp(`'options\\.${name}' .* the nearest option is '${expected}'\\.`));
    }
  });

  it('that are like none are refused without a guess', () => {
    for (const name of ['', 'type', 'colour', 'unbuffered']) {
      const { message } = thrownBy(() => checkKnown({ [name]: 1 }));
      expect(message).to.match(/ must be left out: it is not an option\. Received /);
    }
  });

  it('of other libraries are known by what they are called here', () => {
    const elsewhere: [string, string][] = [
      ['maxFrameLength', "'maxPayloadLength'"],
      ['maxLength', "'maxPayloadLength'"],
      ['maxMessageLength', "'maxPayloadLength'"],
      ['limit', "'maxPayloadLength'"],
      ['maxSize', "'maxPayloadLength'"],
      ['byteOrder', "'lengthField', such as lengthField: 'uint16be'"],
      ['lengthFieldLength', "'lengthField', such as lengthField: 'uint16be'"],
      ['lengthSize', "'lengthField', such as lengthField: 'uint16be'"],
      ['littleEndian', "'lengthField', such as lengthField: 'uint32le'"],
      ['littleEndianLength', "'lengthField', such as lengthField: 'uint32le'"],
    ];
    for (const [name, expected] of elsewhere) {
      const { message } = thrownBy(() => checkKnown({ [name]: true }));
      expect(message).to.contain(`the nearest option is ${expected}. Received`);
    }
  });

  it("of Node's that make no sense here are refused with the reason", () => {
    const reasons: [string, RegExp][] = [
      ['objectMode', /one side is messages, the other is bytes/],
      ['readableObjectMode', /one side is messages, the other is bytes/],
      ['writableObjectMode', /one side is messages, the other is bytes/],
      ['encoding', /messages are bytes; decode them with \{ \.\.\.text \} or 'decode'/],
      ['decodeStrings', /strings become bytes; see 'defaultEncoding'/],
    ];
    for (const [name, reason] of reasons) {
      for (const value of [true, false, null]) {
        const error = thrownBy(() => checkKnown({ [name]: value }));
        expect(error).to.include({ code: 'ERR_INVALID_ARG_VALUE' });
        expect(error.message).to.match(reason);
      }
    }
  });

  it('that are inherited count, those that can not be enumerated do not', () => {
    class Defaults {
      maxPayloadLength = 5;
      get lengthField() {
        return 'uint8' as const;
      }
    }
    checkKnown(new Defaults());
    checkKnown(Object.create(null, { unknown: { value: 1 } }));
    checkKnown({ [Symbol('unknown')]: 1 });
    expect(thrownBy(() => checkKnown(Object.create({ unknown: 1 })))).to.include({ code: 'ERR_INVALID_ARG_VALUE' });
    expect(thrownBy(() => encode('123456', new Defaults()))).to.include({ code: 'ERR_FRAME_TOO_LONG' });
  });

  it('may be checked against other names', () => {
    checkKnown({ here: 1 }, ['here', 'there']);
    expect(thrownBy(() => checkKnown({ hear: true }, ['here', 'there'])).message).to.contain("'here'");
  });
});
