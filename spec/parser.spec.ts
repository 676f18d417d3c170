import { expect } from 'chai';
import { type FormatOptions, formatOf } from '../lib/format.js';
import { FrameParser } from '../lib/parser.js';
import { countingMemory } from './support/memory.js';
import { fromHex, thrownBy } from './support/streams.js';

function parser(options: FormatOptions = { lengthField: 'uint8' }, copy = false) {
  const { memory, given } = countingMemory();
  return { parser: new FrameParser({ format: formatOf(options), memory, copy }), given };
}

const bytes = (text: string) => Uint8Array.from(fromHex(text));

describe('FrameParser', () => {
  it('gives one message at a time, when asked', () => {
    const { parser: frames } = parser();
    expect(frames.next()).to.equal(undefined);
    frames.push(bytes('01 61 00 02 62'));
    expect(frames.next()).to.deep.equal(bytes('61'));
    expect(frames.next()).to.deep.equal(bytes(''));
    expect(frames.next()).to.equal(undefined);
    expect(frames.next()).to.equal(undefined);
    frames.push(bytes('63 01'));
    expect(frames.next()).to.deep.equal(bytes('62 63'));
    expect(frames.next()).to.equal(undefined);
  });

  it('throws its fault again with each call, behind the messages before it', () => {
    const { parser: frames } = parser({ lengthField: 'uint8', maxPayloadLength: 2 });
    frames.push(bytes('01 61 03'));
    expect(frames.next()).to.deep.equal(bytes('61'));
    for (let i = 0; i < 3; i++) {
      expect(thrownBy(() => frames.next())).to.include({ code: 'ERR_FRAME_TOO_LONG', position: 2 });
    }
  });

  it('and also when the length field was cut', () => {
    const { parser: frames } = parser({ lengthField: 'varint', maxPayloadLength: 2 });
    frames.push(bytes('80'));
    expect(frames.next()).to.equal(undefined);
    frames.push(bytes('01 00 00'));
    for (let i = 0; i < 3; i++) {
      expect(thrownBy(() => frames.next())).to.include({ code: 'ERR_FRAME_TOO_LONG', position: 0 });
    }
  });

  it('finish is quiet between frames, and throws inside one', () => {
    const { parser: frames } = parser();
    frames.finish();
    frames.push(bytes('01 61'));
    frames.next();
    frames.next();
    frames.finish();
    frames.push(bytes('02'));
    frames.next();
    expect(thrownBy(() => frames.finish())).to.include({ code: 'ERR_FRAME_TRUNCATED', position: 2 });
  });

  describe('a frame that is whole in its chunk and within its limits', () => {
    const options: FormatOptions = { lengthField: 'uint8', maxPayloadLength: 3 };
    const chunks = [bytes('01 61 00 03 616263 00'), bytes('00 00 02 6162')];
    const messages = [bytes('61'), bytes(''), bytes('616263'), bytes(''), bytes(''), bytes(''), bytes('6162')];

    it('is read without an object for its head', () => {
      const format = formatOf(options);
      format.readHead = () => expect.fail('an object');
      const frames = new FrameParser({ format, memory: countingMemory().memory, copy: false });
      const seen: Uint8Array[] = [];
      for (const chunk of chunks) {
        frames.push(chunk);
        for (let message = frames.next(); message !== undefined; message = frames.next()) seen.push(message);
      }
      expect(seen).to.deep.equal(messages);
    });

    it('takes no look at the settings of its own in a batch', () => {
      let looks = 0;
      const settings = {
        get format() {
          looks++;
          return format;
        },
        memory: countingMemory().memory,
        copy: false,
      };
      const format = formatOf(options);
      const frames = new FrameParser(settings);
      const seen: Uint8Array[] = [];
      for (const chunk of chunks) {
        frames.push(chunk);
        looks = 0;
        seen.push(...frames.nextAll());
        // One for the batch, one for what is left.
        expect(looks).to.equal(2);
      }
      expect(seen).to.deep.equal(messages);
    });

    it('has memory of its own in a batch, too, where that is asked for', () => {
      const { parser: frames, given } = parser(options, true);
      frames.push(chunks[0]!);
      expect(frames.nextAll()).to.deep.equal(messages.slice(0, 4));
      expect(given).to.deep.equal([1, 0, 3, 0]);
    });
  });

  it('reserves nothing for a length that was only announced', () => {
    const { parser: frames, given } = parser({ lengthField: 'uint24be' });
    frames.push(bytes('0f 00 00'));
    frames.next();
    expect(given).to.deep.equal([]);
    frames.push(new Uint8Array(100));
    frames.next();
    expect(given.reduce((sum, length) => sum + length, 0)).to.be.at.most(1024);
  });

  it('reserves no more than twice what has come, and some', () => {
    for (const size of [1, 7, 1000, 5000, 65_536]) {
      const { parser: frames, given } = parser({ lengthField: 'uint24be' });
      frames.push(bytes('0f 00 00'));
      frames.next();
      let [came, counted, total] = [0, 0, 0];
      while (came < 400_000) {
        frames.push(new Uint8Array(size));
        frames.next();
        came += size;
        while (counted < given.length) total += given[counted++]!;
        if (total > 2 * came + 65_536) expect.fail(`${total} bytes reserved for ${came}`);
      }
    }
  });

  it('does nothing twice for large chunks: one allocation, of the message', () => {
    const { parser: frames, given } = parser({ lengthField: 'uint24be' });
    frames.push(bytes('0f 00 00'));
    frames.next();
    const message = Uint8Array.from({ length: 0x0f0000 }, (_, i) => i >> 3);
    let result: Uint8Array | undefined;
    for (let at = 0; at < message.length; at += 65_536) {
      frames.push(message.slice(at, at + 65_536));
      result = frames.next();
    }
    expect(result).to.deep.equal(message);
    expect(given).to.deep.equal([0x0f0000]);
  });

  it('and also where the message begins with its header, in the first of them', () => {
    const { parser: frames, given } = parser({ lengthField: 'uint24be', initialBytesToStrip: 0 });
    const message = new Uint8Array(3 + 0x0f0000);
    message[0] = 0x0f;
    let result: Uint8Array | undefined;
    for (let at = 0; at < message.length; at += 65_536) {
      frames.push(message.slice(at, at + 65_536));
      result = frames.next();
    }
    expect(result).to.deep.equal(message);
    expect(given).to.deep.equal([message.length]);
  });

  it('gives no message longer than its memory can hold', () => {
    const { memory } = countingMemory();
    const format = formatOf({ lengthField: 'uint8', initialBytesToStrip: 2 });
    const frames = new FrameParser({ format, memory: { ...memory, maxLength: 5 }, copy: false });
    for (const byte of bytes('06 01 61 62 63 64 65')) {
      expect(frames.next()).to.equal(undefined);
      frames.push(Uint8Array.of(byte));
    }
    expect(frames.next()).to.deep.equal(bytes('61 62 63 64 65'));
    expect(frames.next()).to.equal(undefined);
    frames.push(bytes('07'));
    const error = thrownBy(() => frames.next());
    expect(error).to.include({ code: 'ERR_FRAME_TOO_LONG', position: 7 });
    expect(error.message).to.match(/7 bytes is announced, one message can hold at most 5$/);
  });

  it('a message of no bytes but those of a stored header is whole at once', () => {
    const { parser: frames } = parser({ lengthField: 'uint16be', initialBytesToStrip: 0 });
    const messages: Uint8Array[] = [];
    for (const byte of [0, 0, 0]) {
      frames.push(Uint8Array.of(byte));
      for (let message = frames.next(); message !== undefined; message = frames.next()) messages.push(message);
    }
    expect(messages).to.deep.equal([bytes('0000')]);
    expect(thrownBy(() => frames.finish())).to.have.property('position', 2);
  });

  it('grows for a length field far behind the front of the frame', () => {
    const { parser: frames } = parser({ lengthField: 'uint8', lengthFieldOffset: 5000 });
    const frame = new Uint8Array(5003);
    frame[5000] = 2;
    frame[5002] = 9;
    const messages: Uint8Array[] = [];
    for (let at = 0; at < frame.length; at += 7) {
      frames.push(frame.slice(at, at + 7));
      for (let message = frames.next(); message !== undefined; message = frames.next()) messages.push(message);
    }
    expect(messages).to.deep.equal([bytes('00 09')]);
    frames.finish();
  });

  it('keeps a header that comes byte by byte, however long', () => {
    const { parser: frames } = parser({ lengthField: 'uint8', lengthFieldOffset: 100, initialBytesToStrip: 1 });
    const frame = Uint8Array.from({ length: 103 }, (_, i) => i);
    frame[100] = 2;
    const messages: Uint8Array[] = [];
    for (const byte of frame) {
      frames.push(Uint8Array.of(byte));
      for (let message = frames.next(); message !== undefined; message = frames.next()) messages.push(message);
    }
    expect(messages).to.deep.equal([frame.subarray(1)]);
  });

  it('reserves nothing for a header that has not come', () => {
    const { parser: frames } = parser({ lengthField: 'uint8', lengthFieldOffset: 2 ** 50 });
    frames.push(bytes('61'));
    expect(frames.next()).to.equal(undefined);
    expect(thrownBy(() => frames.finish()).message).to.include(`after 1 of ${2 ** 50 + 1} bytes`);
  });

  it('reset forgets what is there', () => {
    const { parser: frames } = parser();
    frames.push(bytes('05 61'));
    frames.next();
    frames.push(bytes('62'));
    frames.reset();
    expect(frames.next()).to.equal(undefined);
    frames.finish();
  });
});
