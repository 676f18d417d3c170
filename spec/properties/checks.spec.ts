import { expect } from 'chai';
import fc from 'fast-check';
import { anyCut } from '../../lib/fuzz/index.js';
import { buffers, type FormatOptions, LengthPrefixDecoder } from '../../lib/index.js';
import { formatOf } from '../../lib/wire/format.js';
import { FrameParser } from '../../lib/wire/parser.js';
import { runs } from '../support/runs.js';
import { decode, outcomeOf } from '../support/streams.js';
import { type Conversation, conversations } from './arbitraries.js';

/** The bits of the header that are compared, or those that are not: as places in a frame, in bits. */
function headerBits({ header, headerMask, ...options }: FormatOptions, isCompared: boolean): number[] {
  if (header === undefined) return [];
  const { lengthFieldOffset, maxHeadLength } = formatOf(options);
  const bits: number[] = [];
  for (let bit = 0; bit < 8 * header.length; bit++) {
    const byte = bit >> 3;
    const isLength = byte >= lengthFieldOffset && byte < maxHeadLength;
    const isMasked = ((headerMask?.[byte] ?? 0xff) & (1 << (bit & 7))) === 0;
    if (!isLength && isMasked !== isCompared) bits.push(bit);
  }
  return bits;
}

function flip(bytes: Buffer, bit: number): void {
  bytes[bit >> 3]! ^= 1 << (bit & 7);
}

/** A conversation with one bit of one frame flipped. */
interface Flipped extends Conversation {
  wire: Buffer;
  chunks: Buffer[];
  /** The frame, the place of the bit in it, and the place of the frame. */
  which: number;
  bit: number;
  position: number;
}

/** Conversations with one bit flipped, of those that `bitsOf` names. */
function flipped(bitsOf: (conversation: Conversation, which: number) => number[]): fc.Arbitrary<Flipped> {
  return conversations
    .filter((conversation) => conversation.frames.some((_, which) => bitsOf(conversation, which).length > 0))
    .chain((conversation) => {
      const { frames, options } = conversation;
      const able = frames.flatMap((_, which) => (bitsOf(conversation, which).length > 0 ? which : []));
      return fc
        .constantFrom(...able)
        .chain((which) => fc.tuple(fc.constant(which), fc.constantFrom(...bitsOf(conversation, which))))
        .chain(([which, bit]) => {
          const position = Buffer.concat(frames.slice(0, which)).length;
          const wire = Buffer.concat(frames);
          flip(wire.subarray(position), bit);
          return anyCut(wire, { boundaries: options }).map((chunks) => ({
            ...conversation,
            wire,
            chunks,
            which,
            bit,
            position,
          }));
        });
    });
}

/** What a decoder hands out, in each way it has. */
const readers: Record<string, (chunks: Buffer[], options: FormatOptions) => ReturnType<typeof decode>> = {
  one: decode,
  copy: (chunks, options) => decode(chunks, { ...options, copy: true }),
  async batch(chunks, options) {
    const decoder = new LengthPrefixDecoder({ ...options, batch: true });
    for (const chunk of chunks) decoder.write(chunk);
    decoder.end();
    const { items, error } = await outcomeOf(decoder);
    return { items: items.flat(), error };
  },
  decode: (chunks, options) =>
    decode(chunks, {
      ...options,
      decode: (bytes: Buffer, start: number, end: number) => Buffer.from(bytes.subarray(start, end)),
    } as object),
  async stream(chunks, options) {
    const decoder = new LengthPrefixDecoder({ ...options, stream: true });
    for (const chunk of chunks) decoder.write(chunk);
    decoder.end();
    const items: Buffer[] = [];
    const bodies = (async function* () {
      for await (const { body } of decoder) yield Buffer.concat(await body.toArray());
    })();
    const { error } = await outcomeOf(
      (async function* () {
        for await (const body of bodies) {
          items.push(body);
          yield body;
        }
      })(),
    );
    return { items, error };
  },
};

const faulty = flipped(({ options }) => headerBits(options, true));

describe('a header with a wrong bit', () => {
  for (const [name, read] of Object.entries(readers)) {
    it(`is found, behind all messages before it (${name})`, async () => {
      await fc.assert(
        fc.asyncProperty(faulty, async ({ options, messages, chunks, which, position }) => {
          const { items, error } = await read(chunks, options);
          expect(error).to.include({ name: 'FrameError', code: 'ERR_FRAME_CORRUPT', position });
          expect(error!.message).to.include('the header');
          expect(items).to.deep.equal(messages.slice(0, which));
        }),
        { numRuns: runs(100) },
      );
    });
  }

  it('is found with the byte that it is in, every time again, and the rest is all from its frame on', () => {
    fc.assert(
      fc.property(faulty, fc.boolean(), ({ options, messages, wire, which, bit, position }, byByte) => {
        const parser = new FrameParser<Buffer>(options, buffers);
        const got: Buffer[] = [];
        const end = position + (bit >> 3) + 1;
        const isNotYet = wire.subarray(0, end - 1);
        for (const chunk of byByte ? Array.from(isNotYet, (byte) => Buffer.of(byte)) : [isNotYet]) {
          parser.push(chunk);
          got.push(...parser.nextAll());
        }
        expect(got).to.deep.equal(messages.slice(0, which));
        parser.push(wire.subarray(end - 1, end));
        for (const _ of [1, 2]) {
          expect(() => parser.next())
            .to.throw('the header')
            .with.property('position', position);
        }
        expect(wire.subarray(position, end).equals(parser.rest())).to.equal(true);
      }),
      { numRuns: runs(200) },
    );
  });

  it('is found in frames that are passed over', async () => {
    await fc.assert(
      fc.asyncProperty(faulty, async ({ options, messages, chunks, which, position }) => {
        const { shortest, stripped, maxHeadLength } = formatOf(options);
        // So small a limit that only the shortest frames are not passed over.
        const least = Math.max(shortest, stripped - maxHeadLength);
        const limit: FormatOptions = { ...options, maxPayloadLength: least };
        const { items, error } = await decode(chunks, { ...limit, oversize: 'skip' });
        expect(error).to.include({ name: 'FrameError', code: 'ERR_FRAME_CORRUPT', position });
        const { items: expected } = await decode(chunks, options);
        expect(expected).to.deep.equal(messages.slice(0, which));
        expect(expected).to.include.deep.members(items);
      }),
      { numRuns: runs(100) },
    );
  });
});

describe('the bits that headerMask exempts', () => {
  it('may be any', async () => {
    const varied = flipped(({ options }) => headerBits(options, false));
    await fc.assert(
      fc.asyncProperty(
        varied,
        fc.constantFrom(...Object.keys(readers)),
        async ({ options, messages, chunks }, name) => {
          const { items, error } = await readers[name]!(chunks, options);
          expect(error).to.equal(undefined);
          expect(items).to.deep.equal(messages);
        },
      ),
      { numRuns: runs(200) },
    );
  });
});
