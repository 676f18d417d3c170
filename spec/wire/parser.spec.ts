import { runInNewContext } from 'node:vm';
import { expect } from 'chai';
import type { FrameError } from '../../lib/wire/errors.js';
import { type FormatOptions, formatOf } from '../../lib/wire/format.js';
import type { LengthField } from '../../lib/wire/length-field.js';
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
      const frames = new FrameParser({ format, memory: countingMemory().memory, isQuick: true });
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
        isQuick: true,
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
      const { parser: frames } = parser(options, true);
      frames.push(chunks[0]!);
      const copies = frames.nextAll();
      expect(copies).to.deep.equal(messages.slice(0, 4));
      // Nothing else is in it, so that it can be transferred.
      expect(copies.map(({ buffer }) => buffer.byteLength)).to.deep.equal([1, 0, 3, 0]);
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
    frames.destroy();
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
    expect(frames.isSettled).to.equal(true);
    frames.push(bytes('00'));
    expect(frames.isSettled).to.equal(false);
    expect(frames.nextLength()).to.equal(undefined);
    expect(frames.isSettled).to.equal(true);
    frames.push(bytes('01'));
    expect(frames.nextLength()).to.equal(3);
    expect(frames.isSettled).to.equal(false);
    expect(frames.nextPart()).to.deep.equal(bytes('0001'));
    expect(frames.isSettled).to.equal(true);
    frames.push(bytes('61 ffff'));
    expect(frames.nextPart()).to.deep.equal(bytes('61'));
    expect(frames.isSettled).to.equal(false);
    expect(frames.nextLength()).to.equal(65_537);
    frames.skipRest();
    expect(frames.isSettled).to.equal(false);
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
    expect(frames.isSettled).to.equal(false);
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
    frames.destroy();
    frames.skipRest();
    expect(frames.nextLength()).to.equal(undefined);
    frames.finish();
    frames.push(bytes('01 61 03'));
    expect(frames.nextAll()).to.deep.equal([bytes('61')]);
    for (let i = 0; i < 2; i++) expect(thrownBy(() => frames.nextAll())).to.have.property('code', 'ERR_FRAME_TOO_LONG');
    frames.destroy();
    expect(frames.nextAll()).to.deep.equal([]);
  });
});

describe('FrameParser, chunks', () => {
  it('may be several before a message is asked for', () => {
    for (const copy of [false, true]) {
      const { parser: frames } = parser(undefined, copy);
      for (const chunk of ['', '01', '', '61 02 62', '63', '00 03', '646566 01 67 02']) frames.push(bytes(chunk));
      for (const message of ['61', '6263', '', '646566', '67']) expect(frames.next()).to.deep.equal(bytes(message));
      expect(frames.next()).to.equal(undefined);
      frames.push(bytes('6869'));
      expect(frames.nextAll()).to.deep.equal([bytes('6869')]);
      frames.finish();
    }
  });

  it('may be several, byte by byte, at any pace', () => {
    const wire = bytes('02 6162 00 01 63 03 646566');
    for (let ahead = 1; ahead <= wire.length; ahead++) {
      const { parser: frames } = parser();
      const messages: unknown[] = [];
      wire.forEach((byte, i) => {
        frames.push(Uint8Array.of(byte));
        if (i % ahead !== 0) return;
        for (let message = frames.next(); message !== undefined; message = frames.next()) messages.push(message);
      });
      messages.push(...frames.nextAll());
      expect(messages).to.deep.equal([bytes('6162'), bytes(''), bytes('63'), bytes('646566')]);
      frames.finish();
    }
  });

  it('stay in order, one that comes when the first is used up and others wait, too', () => {
    const { parser: frames } = parser();
    frames.push(bytes('01 61'));
    frames.push(bytes('01 62'));
    expect(frames.next()).to.deep.equal(bytes('61'));
    frames.push(bytes('01 63'));
    expect(frames.nextAll()).to.deep.equal([bytes('62'), bytes('63')]);
  });

  it('are read in parts though they came together', () => {
    const { parser: frames } = parser(undefined, false, true);
    for (const chunk of ['04', '61', '6263', '64 01', '65']) frames.push(bytes(chunk));
    expect(frames.nextLength()).to.equal(4);
    expect([frames.nextPart(), frames.nextPart(), frames.nextPart()]).to.deep.equal(['61', '6263', '64'].map(bytes));
    expect(frames.nextLength()).to.equal(1);
    frames.skipRest();
    expect(frames.nextLength()).to.equal(undefined);
    expect(frames.isSettled).to.equal(true);
  });

  it('count in positions, those that were empty or waited, too', () => {
    const { parser: frames } = parser({ lengthField: 'uint8', maxPayloadLength: 3 });
    for (const chunk of ['01 61 01', '', '62', '02', '6364 ff']) frames.push(bytes(chunk));
    for (const message of ['61', '62', '6364']) expect(frames.next()).to.deep.equal(bytes(message));
    expect(thrownBy(() => frames.next())).to.include({ code: 'ERR_FRAME_TOO_LONG', position: 7 });
  });

  it('are not let go of while others wait', () => {
    const { parser: frames } = parser();
    frames.push(bytes('01'));
    frames.push(bytes('61'));
    expect(frames.isSettled).to.equal(false);
    expect(frames.next()).to.deep.equal(bytes('61'));
    expect(frames.isSettled).to.equal(true);
  });

  it('are bytes, of any realm', () => {
    const { parser: frames } = parser();
    for (const chunk of ['01', [1], {}, null, undefined]) {
      expect(thrownBy(() => frames.push(chunk as never))).to.include({ code: 'ERR_INVALID_ARG_TYPE' });
    }
    frames.push(runInNewContext('new Uint8Array([2, 97])'));
    frames.push(runInNewContext('new Uint8Array([98, 1]).buffer'));
    frames.push(new DataView(Uint8Array.of(99).buffer));
    const messages = [frames.next(), frames.next()];
    expect(messages).to.deep.equal([bytes('6162'), bytes('63')]);
    expect(messages.every((message) => message instanceof Uint8Array)).to.equal(true);
  });

  it('tell the right place behind a length field that looked at the frames behind its own', () => {
    const lengthField = {
      maxWidth: 3,
      read: (bytes: Uint8Array, start: number, end: number) =>
        end - start < 3 ? undefined : { length: bytes[start]!, width: 1 },
      write: (length: number) => Uint8Array.of(length),
    };
    for (const size of [1, 2, 3, 7]) {
      const parser = new FrameParser({ lengthField, maxPayloadLength: 3 });
      const wire = fromHex('00 00 01 61 09 00 00');
      const seen: unknown[] = [];
      for (let at = 0; at < wire.length; at += size) {
        parser.push(wire.subarray(at, at + size));
        try {
          for (let message = parser.next(); message !== undefined; message = parser.next()) seen.push(message.length);
        } catch (error) {
          seen.push((error as FrameError).position);
          break;
        }
      }
      expect(seen, `in chunks of ${size}`).to.deep.equal([0, 0, 1, 4]);
    }
  });

  describe('whose memory is gone', () => {
    const detach = (chunk: Uint8Array) => structuredClone(chunk, { transfer: [chunk.buffer as ArrayBuffer] });
    const looks: Record<string, (frames: FrameParser<Uint8Array>) => unknown> = {
      next: (frames) => frames.next(),
      nextAll: (frames) => frames.nextAll(),
      nextPiece: (frames) => frames.next(),
      push: (frames) => frames.push(bytes('00')),
    };
    for (const [name, look] of Object.entries(looks)) {
      it(`with messages that were still to be read: ERR_INVALID_STATE from ${name}`, () => {
        for (const copy of [false, true]) {
          const { parser: frames } = parser(undefined, copy);
          const chunk = bytes('01 61 01 62');
          frames.push(chunk);
          expect(frames.next()).to.deep.equal(bytes('61'));
          detach(chunk);
          for (let i = 0; i < 2; i++) {
            expect(thrownBy(() => look(frames))).to.include({ code: 'ERR_INVALID_STATE' });
          }
        }
      });
    }

    it('with a message that goes on: ERR_INVALID_STATE', () => {
      const { parser: frames } = parser({ lengthField: 'uint16be' });
      const chunk = new Uint8Array(10_002).fill(1);
      chunk.set([0x9c, 0x40]);
      frames.push(chunk);
      expect(frames.next()).to.equal(undefined);
      detach(chunk);
      frames.push(new Uint8Array(30_000));
      for (let i = 0; i < 2; i++) expect(thrownBy(() => frames.next())).to.include({ code: 'ERR_INVALID_STATE' });
    });

    it('in parts: ERR_INVALID_STATE', () => {
      const { parser: frames } = parser(undefined, false, true);
      const chunk = bytes('02 61 62');
      frames.push(chunk);
      expect(frames.nextLength()).to.equal(2);
      detach(chunk);
      expect(thrownBy(() => frames.nextPart())).to.include({ code: 'ERR_INVALID_STATE' });
    });

    it('but with none: it is forgotten', () => {
      const { parser: frames } = parser();
      const chunk = bytes('01 61');
      frames.push(chunk);
      expect(frames.next()).to.deep.equal(bytes('61'));
      expect(frames.isSettled).to.equal(true);
      detach(chunk);
      frames.push(bytes('01 62'));
      expect(frames.next()).to.deep.equal(bytes('62'));
    });
  });
});

describe('FrameParser, a length field of the user', () => {
  /** Waits for so many bytes, and then takes the first one for the length. */
  const waiting = (count: number): LengthField => ({
    maxWidth: 8,
    read: (input, start, end) => (end - start < count ? undefined : { length: input[start]!, width: 1 }),
    write: (length) => Uint8Array.of(length),
  });

  it('may wait for more bytes than its frame has: they are those of the next frames', () => {
    const wire = bytes('01 61 00 00 02 6263 01 64 00 00 00 00 00 00');
    const due = ['61', '', '', '6263', '64'];
    for (const format of [{}, { lengthFieldOffset: 1 }, { initialBytesToStrip: 0 }]) {
      for (const count of [1, 2, 3, 4, 8]) {
        const { lengthFieldOffset = 0 } = format as FormatOptions;
        const options = { ...format, lengthField: waiting(count) };
        const whole = lengthFieldOffset === 0 ? wire : withOffset(wire);
        for (let size = 1; size <= whole.length; size++) {
          for (const copy of [false, true]) {
            const { parser: frames } = parser(options, copy);
            const messages: string[] = [];
            for (let at = 0; at < whole.length; at += size) {
              frames.push(whole.slice(at, at + size));
              for (const message of frames.nextAll()) messages.push(Buffer.from(message).toString('hex'));
            }
            const expected = due.map((text) => ('initialBytesToStrip' in format ? `0${text.length / 2}${text}` : text));
            expect(messages.slice(0, due.length), `${JSON.stringify(format)}, ${count}, ${size}`).to.deep.equal(
              expected,
            );
          }
        }
      }
    }
  });

  /** A byte of 0xee in front of each frame. */
  function withOffset(wire: Uint8Array): Uint8Array {
    const framesOf: number[] = [];
    for (let at = 0; at < wire.length; at += 1 + wire[at]!) framesOf.push(0xee, ...wire.slice(at, at + 1 + wire[at]!));
    return Uint8Array.from(framesOf);
  }

  it('is never asked past its width, nor behind the bytes that are there', () => {
    const asked: [number, number][] = [];
    const field: LengthField = {
      maxWidth: 3,
      read(input, start, end) {
        asked.push([end - start, input.length - end]);
        expect(input.length).to.be.at.least(end);
        return end - start < 3 ? undefined : { length: 0, width: 1 };
      },
      write: () => Uint8Array.of(0),
    };
    const { parser: frames } = parser({ lengthField: field });
    for (const chunk of ['00', '00', '00 00 00 00']) {
      frames.push(bytes(chunk));
      frames.nextAll();
    }
    expect(asked.every(([width]) => width >= 1 && width <= 3)).to.equal(true);
  });

  it('can not reach memory outside of its frame, whatever it answers', () => {
    const answers: unknown[] = [
      { length: 1, width: 0 },
      { length: 1, width: -1 },
      { length: 1, width: 9 },
      { length: 1, width: 1.5 },
      { length: 1, width: Number.NaN },
      { length: -1, width: 1 },
      { length: 1.5, width: 1 },
      { length: Number.NaN, width: 1 },
      { length: 1n, width: 1 },
      { length: '1', width: 1 },
      { length: 1 },
      {},
      null,
      1,
      1n,
      'a',
    ];
    for (const answer of answers) {
      for (const size of [1, 2, 100]) {
        const { parser: frames } = parser({
          lengthField: { maxWidth: 4, read: () => answer as never, write: () => Uint8Array.of(0) },
        });
        const memory = bytes('eeeeee 01 61 01 62 eeeeee');
        const wire = memory.subarray(3, 7);
        for (let at = 0; at < wire.length; at += size) frames.push(wire.subarray(at, at + size));
        const error = thrownBy(() => frames.next());
        expect(error, String(answer)).to.include({ name: 'FrameError', code: 'ERR_FRAME_CORRUPT', position: 0 });
      }
    }
  });
});

describe('FrameParser, rest and setFormat', () => {
  const wires: [FormatOptions, string, number[]][] = [
    [{ lengthField: 'uint8' }, '02 6162 00 01 63', [3, 1, 2]],
    [{ lengthField: 'uint16be', initialBytesToStrip: 0 }, '0002 6162 0000 0001 63', [4, 2, 3]],
    [{ lengthField: 'uint8', initialBytesToStrip: 3 }, '04 ffee6162 02 ddcc 03 bbaa63', [5, 3, 4]],
    [{ lengthField: 'uint16le', lengthFieldOffset: 2, initialBytesToStrip: 1 }, 'ca07 0200 6162 ca08 0000', [6, 4]],
    [{ lengthField: 'varint' }, '8200 6162 00 01 63', [4, 1, 2]],
    [{ lengthField: 'varint', lengthFieldOffset: 1 }, 'ca 8200 6162 cb 00', [5, 2]],
    [{ lengthField: 'varint', initialBytesToStrip: 0 }, '8200 6162 00 01 63', [4, 1, 2]],
    [
      { lengthField: compactSize, lengthFieldOffset: 2, initialBytesToStrip: 1 },
      'ca07 fd0200 6162 ca08 00 ca09 01 63',
      [7, 3, 4],
    ],
  ];
  for (const [options, text, lengths] of wires) {
    it(`rest gives back what no message was made of, at every cut and pace: ${JSON.stringify(options)}`, () => {
      const wire = bytes(text);
      const whole = parser(options).parser;
      whole.push(wire);
      const messages = whole.nextAll();
      for (let cut = 0; cut <= wire.length; cut++) {
        for (let size = 1; size <= Math.max(1, cut); size++) {
          for (let most = 0; most <= lengths.length; most++) {
            for (const copy of [false, true]) {
              const { parser: frames } = parser(options, copy);
              const chunks: Uint8Array[] = [];
              for (let at = 0; at < cut; at += size) chunks.push(wire.slice(at, Math.min(cut, at + size)));
              const got: Uint8Array[] = [];
              for (const chunk of chunks) {
                frames.push(chunk);
                if (got.length >= most) continue;
                for (let message = frames.next(); message !== undefined; ) {
                  got.push(message);
                  message = got.length < most ? frames.next() : undefined;
                }
                if (copy && frames.isSettled) chunk.fill(0xaa);
              }
              const handedOut = lengths.slice(0, got.length).reduce((sum, length) => sum + length, 0);
              const rest = frames.rest();
              const what = `${cut} ${size} ${most} ${copy}`;
              expect(Buffer.from(rest).toString('hex'), what).to.equal(
                Buffer.from(wire.subarray(handedOut, cut)).toString('hex'),
              );
              expect(frames.rest(), what).to.have.lengthOf(0);
              // It is between two frames, and goes on.
              frames.finish();
              frames.push(rest);
              frames.push(wire.subarray(cut));
              got.push(...frames.nextAll());
              expect(got, what).to.deep.equal(messages);
              frames.push(bytes('ff'.repeat(20)));
              const fault = thrownBy(() => frames.nextAll() && frames.finish()) as FrameError;
              expect(fault.position, what).to.equal(wire.length);
            }
          }
        }
      }
    });
  }

  it('rest gives back a frame that was found to be wrong', () => {
    for (const size of [1, 2, 100]) {
      const wire = bytes('01 61 05 6263');
      const { parser: frames } = parser({ lengthField: 'uint8', maxPayloadLength: 4 });
      for (let at = 0; at < wire.length; at += size) frames.push(wire.slice(at, at + size));
      expect(frames.next()).to.deep.equal(bytes('61'));
      for (let i = 0; i < 2; i++) thrownBy(() => frames.next());
      expect(frames.rest()).to.deep.equal(bytes('05 6263'));
      expect(frames.next()).to.equal(undefined);
    }
  });

  it('and one that was found to be wrong behind a batch, or by decode', () => {
    const decode = (input: Uint8Array, start: number) => {
      if (input[start] === 0x62) throw new Error('no');
      return input[start]!;
    };
    for (const size of [1, 2, 3, 4, 100]) {
      for (const copy of [false, true]) {
        const frames = new FrameParser({ lengthField: 'uint8', decode, copy });
        const wire = bytes('01 61 01 62 01 63');
        for (let at = 0; at < wire.length; at += size) frames.push(wire.slice(at, at + size));
        expect(frames.nextAll()).to.deep.equal([0x61]);
        expect(thrownBy(() => frames.nextAll())).to.include({ code: 'ERR_FRAME_CORRUPT', position: 2 });
        expect(frames.rest(), `${size} ${copy}`).to.deep.equal(bytes('01 62 01 63'));
        expect(frames.nextAll()).to.deep.equal([]);
      }
    }
  });

  it('is a view of a chunk where nothing else is left', () => {
    const { parser: frames } = parser();
    const chunk = bytes('01 61 02 62');
    frames.push(chunk);
    frames.next();
    expect(frames.rest().buffer).to.equal(chunk.buffer);
  });

  it('there is no rest inside a message that is read in parts, nor is there another format', () => {
    const { parser: frames } = parser(undefined, false, true);
    frames.push(bytes('02 61'));
    expect(frames.nextLength()).to.equal(2);
    for (let i = 0; i < 2; i++) {
      expect(thrownBy(() => frames.rest())).to.include({ code: 'ERR_INVALID_STATE' });
      expect(thrownBy(() => frames.setFormat({}))).to.include({ code: 'ERR_INVALID_STATE' });
      frames.nextPart();
    }
    frames.push(bytes('62 00'));
    expect(frames.nextPart()).to.deep.equal(bytes('62'));
    expect(frames.rest()).to.deep.equal(bytes('00'));
    frames.push(bytes('02'));
    expect(frames.nextLength()).to.equal(2);
    frames.skipRest();
    expect(thrownBy(() => frames.rest())).to.include({ code: 'ERR_INVALID_STATE' });
  });

  it('nor inside one that is passed over', () => {
    const frames = new FrameParser({ lengthField: 'uint8', maxPayloadLength: 2, oversize: 'skip' });
    frames.push(bytes('03 61'));
    expect(frames.next()).to.equal(undefined);
    expect(thrownBy(() => frames.rest())).to.include({ code: 'ERR_INVALID_STATE' });
    frames.push(bytes('6263 02'));
    expect(frames.next()).to.equal(undefined);
    expect(frames.rest()).to.deep.equal(bytes('02'));
  });

  it('setFormat holds from the next frame on', () => {
    const { parser: frames } = parser();
    frames.push(bytes('01 61 0001 62 8100 63 00'));
    expect(frames.next()).to.deep.equal(bytes('61'));
    frames.setFormat({ lengthField: 'uint16be' });
    expect(frames.next()).to.deep.equal(bytes('62'));
    frames.setFormat({ lengthField: 'varint' });
    frames.setFormat({ lengthField: 'varint', initialBytesToStrip: 0, maxPayloadLength: 1 });
    expect(frames.nextAll()).to.deep.equal([bytes('8100 63'), bytes('00')]);
    frames.push(bytes('02'));
    expect(thrownBy(() => frames.next())).to.include({ code: 'ERR_FRAME_TOO_LONG', position: 9 });
  });

  it('setFormat reads a frame anew that is not complete', () => {
    for (const chunks of [['05 61'], ['05', '61']]) {
      const { parser: frames } = parser();
      for (const chunk of chunks) {
        frames.push(bytes(chunk));
        expect(frames.next()).to.equal(undefined);
      }
      frames.setFormat({ lengthField: 'uint16le', maxPayloadLength: 100_000 });
      expect(frames.next()).to.equal(undefined);
      frames.push(new Uint8Array(0x6105).fill(7));
      expect(frames.next()).to.have.lengthOf(0x6105);
      frames.finish();
    }
  });

  it('setFormat keeps what else was said, and refuses what is wrong without a change', () => {
    const decode = (input: Uint8Array, start: number, end: number) => Buffer.from(input).toString('latin1', start, end);
    const frames = new FrameParser({ lengthField: 'uint8', decode });
    frames.push(bytes('01 61 01 62 0001 63'));
    expect(frames.next()).to.equal('a');
    for (const options of [{ lengthField: 'uint7' }, { maxFrameLength: 5 }, null]) {
      expect(thrownBy(() => frames.setFormat(options as FormatOptions))).to.be.instanceOf(TypeError);
    }
    expect(frames.next()).to.equal('b');
    frames.setFormat({ lengthField: 'uint16be' });
    expect(frames.next()).to.equal('c');
  });
});
