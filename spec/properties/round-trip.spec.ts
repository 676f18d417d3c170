import { expect } from 'chai';
import fc from 'fast-check';
import { checkAnyCut } from '../../lib/fuzz/index.js';
import { LengthPrefixDecoder, LengthPrefixEncoder } from '../../lib/index.js';
import { runs } from '../support/runs.js';
import { decode, encode, outcomeOf } from '../support/streams.js';
import { conversations, cutConversations, truncatedConversations } from './arbitraries.js';

describe('any messages, any format, any cut', () => {
  it('decodes to the messages, in order', async () => {
    await fc.assert(
      fc.asyncProperty(cutConversations, async ({ options, messages, chunks }) => {
        const { items, error } = await decode(chunks, options);
        expect(error).to.equal(undefined);
        expect(items).to.deep.equal(messages);
      }),
      { numRuns: runs(400) },
    );
  });

  it('decodes to the same with memory of their own, and in batches', async () => {
    await fc.assert(
      fc.asyncProperty(cutConversations, async ({ options, messages, chunks }) => {
        const decoder = new LengthPrefixDecoder({ ...options, copy: true, batch: true });
        for (const chunk of chunks) decoder.write(chunk, () => chunk.fill(0xee));
        decoder.end();
        const { items, error } = await outcomeOf(decoder);
        expect(error).to.equal(undefined);
        expect(items.flat()).to.deep.equal(messages);
        expect(items.every((batch) => batch.length > 0)).to.equal(true);
      }),
      { numRuns: runs(200) },
    );
  });

  it('encodes to the frames', async () => {
    await fc.assert(
      fc.asyncProperty(conversations, async ({ options, messages, frames }) => {
        const before = messages.map((message) => Buffer.from(message));
        expect(await encode(messages, options)).to.deep.equal(Buffer.concat(frames));
        expect(messages).to.deep.equal(before);
      }),
      { numRuns: runs(400) },
    );
  });

  it('one options object makes two ends that fit, piped', async () => {
    await fc.assert(
      fc.asyncProperty(conversations, async ({ options, messages }) => {
        const encoder = new LengthPrefixEncoder(options);
        const decoder = encoder.pipe(new LengthPrefixDecoder(options));
        for (const message of messages) encoder.write(message);
        encoder.end();
        const { items, error } = await outcomeOf(decoder);
        expect(error).to.equal(undefined);
        expect(items).to.deep.equal(messages);
      }),
      { numRuns: runs(200) },
    );
  });
});

describe('a small stream', () => {
  const messages = ['hello', '', 'x', 'twelve bytes'].map((text) => Buffer.from(text));
  const formats = [{}, { lengthField: 'varint', lengthFieldOffset: 1 }, { initialBytesToStrip: 0 }] as const;

  for (const options of formats) {
    it(`is the same at every pair of cut points and many more, with ${JSON.stringify(options)}`, async () => {
      const kept = 'initialBytesToStrip' in options;
      const sent = kept ? messages.map((message) => Buffer.concat([Buffer.alloc(4), message])) : messages;
      const wire = await encode(sent, options);
      const { items: expected } = await decode([wire], options);
      if (!kept) expect(expected).to.deep.equal(messages);
      await checkAnyCut(() => new LengthPrefixDecoder(options), wire, expected, { boundaries: options, runs: 1200 });
    });
  }
});

describe('every truncation', () => {
  it('gives the messages before it, then ERR_FRAME_TRUNCATED', async () => {
    await fc.assert(
      fc.asyncProperty(truncatedConversations, async ({ options, messages, frames, wire: { length }, chunks }) => {
        const { items, error } = await decode(chunks, options);
        let whole = 0;
        let end = 0;
        while (whole < frames.length && end + frames[whole]!.length <= length) end += frames[whole++]!.length;
        expect(items).to.deep.equal(messages.slice(0, whole));
        if (end === length) {
          expect(error).to.equal(undefined);
        } else {
          expect(error).to.include({ name: 'FrameError', code: 'ERR_FRAME_TRUNCATED', position: end });
        }
      }),
      { numRuns: runs(400) },
    );
  });

  it('exhaustively, of a small stream', async () => {
    const wire = await encode(['hello', '', 'x']);
    const ends = [0, 9, 13, 18];
    for (let length = 0; length <= wire.length; length++) {
      const { items, error } = await decode([wire.subarray(0, length)]);
      const whole = ends.filter((end) => end <= length).length - 1;
      expect(items.map(String)).to.deep.equal(['hello', '', 'x'].slice(0, whole));
      if (ends.includes(length)) expect(error).to.equal(undefined);
      else expect(error).to.include({ code: 'ERR_FRAME_TRUNCATED', position: ends[whole] });
    }
  });
});

describe('a paused reader', () => {
  it('never has more messages held for it than its high-water mark', async () => {
    await fc.assert(
      fc.asyncProperty(
        cutConversations,
        fc.integer({ min: 1, max: 20 }),
        fc.array(fc.nat(6), { maxLength: 10 }),
        async ({ options, messages, chunks }, readableHighWaterMark, reads) => {
          const decoder = new LengthPrefixDecoder({ ...options, readableHighWaterMark });
          const taken: Buffer[] = [];
          const check = () => expect(decoder.readableLength).to.be.at.most(readableHighWaterMark);
          for (const chunk of chunks) decoder.write(chunk, check);
          decoder.end();
          for (const count of reads) {
            for (let i = 0; i < count; i++) {
              check();
              const message = decoder.read();
              if (message !== null) taken.push(message);
            }
            await new Promise(setImmediate);
            check();
          }
          for await (const message of decoder) taken.push(message);
          expect(taken).to.deep.equal(messages);
        },
      ),
      { numRuns: runs(200) },
    );
  });
});
