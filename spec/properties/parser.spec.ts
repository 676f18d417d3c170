import { expect } from 'chai';
import fc from 'fast-check';
import { anyCut } from '../../lib/fuzz/index.js';
import { buffers } from '../../lib/index.js';
import { FrameParser } from '../../lib/wire/parser.js';
import { runs } from '../support/runs.js';
import { conversations, cutConversations } from './arbitraries.js';

/** So many messages are asked for after each chunk; and whether the rest is then taken back, and pushed again. */
const paces = fc.array(fc.record({ most: fc.oneof(fc.nat(3), fc.constant(1000)), takesBack: fc.boolean() }), {
  minLength: 1,
  maxLength: 12,
});

describe('FrameParser: any messages, any format, any cut', () => {
  it('the rest and the frames of the messages that were handed out are the wire, at any point', () => {
    fc.assert(
      fc.property(cutConversations, paces, fc.boolean(), (conversation, ways, copy) => {
        const { options, messages, frames, wire, chunks } = conversation;
        const parser = new FrameParser<Buffer>({ ...options, copy }, buffers);
        const got: Buffer[] = [];
        let pushed = 0;
        for (const [i, chunk] of chunks.entries()) {
          const { most, takesBack } = ways[i % ways.length]!;
          parser.push(chunk);
          pushed += chunk.length;
          for (let left = most; left > 0; left--) {
            const message = parser.next();
            if (message === undefined) break;
            got.push(message);
          }
          if (!takesBack) continue;
          const rest = parser.rest();
          const handedOut = Buffer.concat(frames.slice(0, got.length)).length;
          expect(wire.subarray(handedOut, pushed).equals(rest)).to.equal(true);
          parser.push(rest);
        }
        got.push(...parser.nextAll());
        expect(got).to.deep.equal(messages);
        expect(parser.rest()).to.have.lengthOf(0);
        parser.finish();
      }),
      { numRuns: runs(500) },
    );
  });

  it('the format may change between any two messages', () => {
    const talks = fc
      .array(conversations, { minLength: 1, maxLength: 5 })
      .chain((parts) =>
        fc.record({ parts: fc.constant(parts), chunks: anyCut(Buffer.concat(parts.flatMap(({ frames }) => frames))) }),
      );
    fc.assert(
      fc.property(talks, fc.boolean(), fc.integer({ min: 1, max: 9 }), ({ parts, chunks }, copy, ahead) => {
        const parser = new FrameParser<Buffer>({ ...parts[0]!.options, copy }, buffers);
        const got: Buffer[][] = [[]];
        const goOn = () => {
          for (;;) {
            // A message of the next format is not to be looked for in this one.
            while (got.at(-1)!.length === parts[got.length - 1]!.messages.length && got.length < parts.length) {
              parser.setFormat(parts[got.length]!.options);
              got.push([]);
            }
            const message = parser.next();
            if (message === undefined) return;
            got.at(-1)!.push(message);
          }
        };
        for (const [i, chunk] of chunks.entries()) {
          parser.push(chunk);
          if (i % ahead === 0) goOn();
        }
        goOn();
        expect(got).to.deep.equal(parts.map(({ messages }) => messages));
        parser.finish();
      }),
      { numRuns: runs(300) },
    );
  });

  it('a fault is told at the right place behind any change of format', () => {
    fc.assert(
      fc.property(cutConversations, fc.nat(), ({ options, frames, chunks, wire }, which) => {
        const parser = new FrameParser<Buffer>(options, buffers);
        const change = frames.length === 0 ? 0 : which % (frames.length + 1);
        for (const chunk of chunks) parser.push(chunk);
        for (let i = 0; i < change; i++) parser.next();
        parser.setFormat({ lengthField: 'uint8', maxPayloadLength: 0 });
        const handedOut = Buffer.concat(frames.slice(0, change)).length;
        // Zeros are whole frames of that format.
        let at = handedOut;
        while (at < wire.length && wire[at] === 0) at++;
        if (at === wire.length) parser.push(Buffer.of(1));
        for (let i = handedOut; i < at; i++) expect(parser.next()).to.have.lengthOf(0);
        expect(() => parser.next())
          .to.throw()
          .with.property('position', at);
        expect(
          Buffer.concat([wire.subarray(0, at), parser.rest()])
            .subarray(0, wire.length)
            .equals(wire),
        ).to.equal(true);
      }),
      { numRuns: runs(200) },
    );
  });
});
