import { expect } from 'chai';
import { type FormatOptions, formatOf } from '../../lib/wire/format.js';
import { FrameParser } from '../../lib/wire/parser.js';
import { compactSize } from '../support/fields.js';
import { countingMemory } from '../support/memory.js';
import { fromHex, thrownBy } from '../support/streams.js';

function parser(options: FormatOptions = { lengthField: 'uint8' }, copy = false, inParts = false) {
  const { memory, given } = countingMemory();
  return { parser: new FrameParser({ format: formatOf(options), memory, copy, inParts }), given };
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

    it('is not looked for inside of a message that goes on', () => {
      const { parser: frames } = parser();
      frames.push(bytes('05'));
      expect(frames.nextAll()).to.deep.equal([]);
      frames.push(bytes('01 61 01 62 00 01 63'));
      expect(frames.nextAll()).to.deep.equal([bytes('01 61 01 62 00'), bytes('63')]);
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

describe('FrameParser, in parts', () => {
  const wires: [FormatOptions, string, string[]][] = [
    [{ lengthField: 'uint8' }, '02 6162 00 01 63', ['6162', '', '63']],
    [{ lengthField: 'uint16be', initialBytesToStrip: 0 }, '0002 6162 0000 0001 63', ['00026162', '0000', '000163']],
    [{ lengthField: 'uint8', initialBytesToStrip: 3 }, '04 ffff6162 02 ffff 03 ffff63', ['6162', '', '63']],
    [{ lengthField: 'varint' }, '8200 6162 00 01 63', ['6162', '', '63']],
    [{ lengthField: 'varint', initialBytesToStrip: 0 }, '8200 6162 00 01 63', ['82006162', '00', '0163']],
    [
      { lengthField: compactSize, lengthFieldOffset: 2, initialBytesToStrip: 1 },
      'ca07 fd0200 6162 ca08 00 ca09 01 63',
      ['07fd02006162', '0800', '090163'],
    ],
  ];

  /** All messages in parts, of which `most` are taken before the rest is passed over. */
  function parts(options: FormatOptions, chunks: Uint8Array[], most = Number.POSITIVE_INFINITY, copy = false) {
    const { parser: frames } = parser(options, copy, true);
    const messages: { length: number; parts: Uint8Array[] }[] = [];
    let due = 0;
    for (const chunk of chunks) {
      frames.push(chunk);
      for (;;) {
        if (due === 0) {
          const length = frames.nextLength();
          if (length === undefined) break;
          messages.push({ length, parts: [] });
          due = length;
        } else if (messages.at(-1)!.parts.length >= most) {
          frames.skipRest();
          due = 0;
        } else {
          const part = frames.nextPart();
          if (part === undefined) break;
          messages.at(-1)!.parts.push(part);
          due -= part.length;
        }
      }
    }
    frames.finish();
    return messages;
  }

  for (const [options, text, expected] of wires) {
    const name = JSON.stringify(options);
    const wire = bytes(text);

    it(`gives lengths, then all bytes, at every pair of cuts: ${name}`, () => {
      for (let first = 0; first <= wire.length; first++) {
        for (let second = first; second <= wire.length; second++) {
          for (const copy of [false, true]) {
            const chunks = [wire.slice(0, first), wire.slice(first, second), wire.slice(second)];
            const messages = parts(options, chunks, undefined, copy);
            const cuts = `${first} ${second}`;
            expect(
              messages.map(({ length }) => length * 2),
              cuts,
            ).to.deep.equal(expected.map(({ length }) => length));
            const joined = messages.map((message) => Buffer.concat(message.parts).toString('hex'));
            expect(joined, cuts).to.deep.equal(expected);
            const all = messages.flatMap((message) => message.parts);
            expect(all.every(({ length }) => length > 0)).to.equal(true);
            const shared = all.filter((part) => chunks.some((chunk) => chunk.buffer === part.buffer));
            if (copy) expect(shared, cuts).to.deep.equal([]);
          }
        }
      }
    });

    it(`passes over the rest, at every pair of cuts: ${name}`, () => {
      for (let first = 0; first <= wire.length; first++) {
        for (let second = first; second <= wire.length; second++) {
          const chunks = [wire.slice(0, first), wire.slice(first, second), wire.slice(second)];
          for (const most of [0, 1]) {
            const messages = parts(options, chunks, most);
            expect(messages.map(({ length }) => length * 2)).to.deep.equal(expected.map(({ length }) => length));
            for (const [i, message] of messages.entries()) {
              expect(message.parts.length).to.be.at.most(most);
              const begin = message.parts.map((part) => Buffer.from(part).toString('hex')).join('');
              expect(expected[i]!.startsWith(begin)).to.equal(true);
            }
          }
        }
      }
    });
  }

  it('gives what is there as a view of the chunk, and what was stored of the head in memory of its own', () => {
    const { parser: frames, given } = parser({ lengthField: 'uint16be', initialBytesToStrip: 0 }, false, true);
    frames.push(bytes('00'));
    expect(frames.nextLength()).to.equal(undefined);
    const chunk = bytes('03 61');
    frames.push(chunk);
    expect(frames.nextLength()).to.equal(5);
    expect(frames.nextPart()).to.deep.equal(bytes('0003'));
    expect(given).to.deep.equal([2]);
    const part = frames.nextPart()!;
    expect(part).to.deep.equal(bytes('61'));
    expect(part.buffer).to.equal(chunk.buffer);
    expect(frames.nextPart()).to.equal(undefined);
    expect(frames.nextPart()).to.equal(undefined);
    expect(thrownBy(() => frames.finish())).to.include({
      code: 'ERR_FRAME_TRUNCATED',
      position: 0,
      message: 'Frame at byte 0: the input ended after 3 of 5 bytes',
    });
    frames.push(bytes('6263 0000'));
    expect(frames.nextPart()).to.deep.equal(bytes('6263'));
    expect(frames.nextLength()).to.equal(2);
    expect(frames.nextPart()).to.deep.equal(bytes('0000'));
    expect(frames.nextLength()).to.equal(undefined);
    frames.finish();
    expect(given).to.deep.equal([2]);
  });

  it('has no rest to pass over between messages, nor twice', () => {
    const { parser: frames } = parser(undefined, false, true);
    frames.skipRest();
    frames.push(bytes('02 6162 00 03 63'));
    frames.skipRest();
    expect(frames.nextLength()).to.equal(2);
    expect(frames.nextPart()).to.deep.equal(bytes('6162'));
    frames.skipRest();
    expect(frames.nextLength()).to.equal(0);
    frames.skipRest();
    expect(frames.nextLength()).to.equal(3);
    frames.skipRest();
    frames.skipRest();
    expect(frames.nextLength()).to.equal(undefined);
    expect(thrownBy(() => frames.finish())).to.include({ code: 'ERR_FRAME_TRUNCATED', position: 4 });
    frames.push(bytes('6465 01 66'));
    expect(frames.nextLength()).to.equal(1);
    expect(frames.nextPart()).to.deep.equal(bytes('66'));
    frames.finish();
  });

  it('is done with a message whose rest is all there when that is passed over', () => {
    const { parser: frames } = parser({ lengthField: 'uint16be', initialBytesToStrip: 0 }, false, true);
    frames.push(bytes('00'));
    expect(frames.nextLength()).to.equal(undefined);
    frames.push(bytes('00'));
    expect(frames.nextLength()).to.equal(2);
    frames.skipRest();
    frames.finish();
  });

  it('lets go of a chunk when all that it has was handed out', () => {
    const { parser: frames } = parser({ lengthField: 'uint16be', initialBytesToStrip: 0 }, false, true);
    expect(frames.letGo()).to.equal(true);
    frames.push(bytes('00'));
    expect(frames.letGo()).to.equal(false);
    expect(frames.nextLength()).to.equal(undefined);
    expect(frames.letGo()).to.equal(true);
    frames.push(bytes('01'));
    expect(frames.nextLength()).to.equal(3);
    expect(frames.letGo()).to.equal(false);
    expect(frames.nextPart()).to.deep.equal(bytes('0001'));
    expect(frames.letGo()).to.equal(true);
    frames.push(bytes('61 ffff'));
    expect(frames.nextPart()).to.deep.equal(bytes('61'));
    expect(frames.letGo()).to.equal(false);
    expect(frames.nextLength()).to.equal(65_537);
    frames.skipRest();
    expect(frames.letGo()).to.equal(false);
    expect(frames.nextLength()).to.equal(undefined);
    expect(thrownBy(() => frames.finish())).to.include({ position: 3 });
  });

  it('does not let go of a chunk before the fault of a batch', () => {
    const format = formatOf({ lengthField: 'uint8', maxPayloadLength: 2 });
    const fault = new Error('too long');
    const onOversize = () => {
      throw fault;
    };
    const frames = new FrameParser({ format, memory: countingMemory().memory, copy: false, onOversize });
    frames.push(bytes('01 61 03'));
    expect(frames.nextAll()).to.deep.equal([bytes('61')]);
    expect(frames.letGo()).to.equal(false);
    expect(thrownBy(() => frames.nextAll())).to.equal(fault);
  });

  it('takes messages that no memory could hold, others not', () => {
    const wire = bytes('ffffff ffffff 1f 61');
    const format = formatOf({ lengthField: 'uint56le', maxPayloadLength: Number.MAX_SAFE_INTEGER });
    const { memory } = countingMemory();
    const whole = new FrameParser({ format, memory, copy: false });
    whole.push(wire);
    expect(thrownBy(() => whole.next())).to.include({ code: 'ERR_FRAME_TOO_LONG', position: 0 });
    const frames = new FrameParser({ format, memory, copy: false, inParts: true });
    frames.push(wire);
    expect(frames.nextLength()).to.equal(2 ** 53 - 1);
    expect(frames.nextPart()).to.deep.equal(bytes('61'));
  });

  it('throws its fault with each call, behind the messages before it', () => {
    const { parser: frames } = parser({ lengthField: 'uint8', maxPayloadLength: 2 }, false, true);
    frames.push(bytes('01 61 03'));
    expect(frames.nextLength()).to.equal(1);
    expect(frames.nextPart()).to.deep.equal(bytes('61'));
    for (let i = 0; i < 3; i++) {
      expect(thrownBy(() => frames.nextLength())).to.include({ code: 'ERR_FRAME_TOO_LONG', position: 2 });
    }
  });

  it('reset forgets a message that is under way, and the fault of a batch', () => {
    const { parser: frames } = parser({ lengthField: 'uint8', maxPayloadLength: 2 }, false, true);
    frames.push(bytes('02 61'));
    expect(frames.nextLength()).to.equal(2);
    frames.reset();
    frames.skipRest();
    expect(frames.nextLength()).to.equal(undefined);
    frames.finish();
    frames.push(bytes('01 61 03'));
    expect(frames.nextAll()).to.deep.equal([bytes('61')]);
    for (let i = 0; i < 2; i++) expect(thrownBy(() => frames.nextAll())).to.have.property('code', 'ERR_FRAME_TOO_LONG');
    frames.reset();
    expect(frames.nextAll()).to.deep.equal([]);
  });
});
