import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { expect } from 'chai';
import fc from 'fast-check';
import { type Continuation, joined, mysql, packetsOf } from '../../examples/continued.js';
import { anyCut } from '../../lib/fuzz/index.js';
import { encode, formats, LengthPrefixDecoder } from '../../lib/index.js';
import { runs } from '../support/runs.js';

/** As MySQL's, with packets that a test can fill. */
const short: Continuation = { ...mysql, maxPayload: 5, goesOn: (packet) => packet.length === 6 };
/** TDS: the rest of the head, a bit in it that marks the last packet, and a number. The format cuts off nothing. */
const tds: Continuation = {
  headLength: 8,
  maxPayload: 5,
  goesOn: (packet) => (packet[1]! & 1) === 0,
  head: (number, isLast) => Uint8Array.of(1, isLast ? 1 : 0, 0, 0, 0, 0, number, 0),
};
const tdsFormat = {
  lengthField: 'uint16be',
  lengthFieldOffset: 2,
  lengthAdjustment: -4,
  initialBytesToStrip: 0,
} as const;

describe('examples/continued', () => {
  for (const [name, continuation, format] of [
    ['MySQL', short, formats.mysql],
    ['TDS', tds, tdsFormat],
  ] as const) {
    it(`joins what it has split, at any cut: ${name}`, () =>
      fc.assert(
        fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 20 })), fc.gen(), async (messages, gen) => {
          const sent = messages.map((message) => Buffer.from(message));
          const packets = sent.flatMap((message) => [...packetsOf(message, continuation)]);
          const wire = Buffer.concat(packets.map((packet) => encode(packet, format)));
          const chunks = gen(anyCut, wire);
          const got = await Readable.from(chunks, { objectMode: false })
            .pipe(new LengthPrefixDecoder(format))
            .pipe(joined(continuation))
            .toArray();
          expect(got).to.deep.equal(sent);
        }),
        { numRuns: runs(100) },
      ));
  }

  it('a full packet is followed by an empty one', () => {
    const packets = [...packetsOf(Buffer.alloc(5), short)];
    expect(packets.map(({ length }) => length)).to.deep.equal([6, 1]);
    expect(packets.map(([number]) => number)).to.deep.equal([0, 1]);
  });

  it('takes a message of as many bytes as it may', async () => {
    const packets = [...packetsOf(Buffer.alloc(12), short)];
    expect(await Readable.from(packets).pipe(joined(short, 300)).toArray()).to.deep.equal([Buffer.alloc(12)]);
  });

  it('fails where a message grows too long, and where the input ends inside of one', async () => {
    const packets = [...packetsOf(Buffer.alloc(12), short)];
    for (const [given, max, message] of [
      // Each of three packets counts as 100 bytes.
      [packets, 299, 'A message takes more than 299 bytes'],
      [packets.slice(0, 2), 300, 'The input ended inside a message'],
    ] as const) {
      const reading = async (messages: AsyncIterable<Buffer>) => {
        for await (const _ of messages);
      };
      const error = await pipeline(given, joined(short, max), reading).catch((reason) => reason);
      expect(error).to.be.instanceOf(Error).with.property('message', message);
    }
  });
});
