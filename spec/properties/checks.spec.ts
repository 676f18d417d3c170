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

/** All bits of a frame from one byte to before another. */
function bitsBetween(start: number, end: number): number[] {
  return Array.from({ length: Math.max(0, 8 * (end - start)) }, (_, i) => 8 * start + i);
}

function trailerBits({ options, frames }: Conversation, which: number): number[] {
  const end = frames[which]!.length;
  return bitsBetween(end - formatOf(options).trailerWidth, end);
}

/** The bits of a message that has a checksum, and does not keep its length. */
function checkedBits({ options, frames, messages }: Conversation, which: number): number[] {
  const { trailerWidth, keptAtMost } = formatOf(options);
  if (keptAtMost > 0 || options.trailer === undefined || options.trailer instanceof Uint8Array) return [];
  const end = frames[which]!.length - trailerWidth;
  return bitsBetween(end - messages[which]!.length, end);
}

const faulty = flipped(({ options }) => headerBits(options, true));
const untrue = flipped(trailerBits);

const faults: [string, fc.Arbitrary<Flipped>, string, (flip: Flipped) => number][] = [
  ['a header with a wrong bit', faulty, 'the header', ({ bit, position }) => position + (bit >> 3) + 1],
  [
    'a trailer with a wrong bit',
    untrue,
    'the trailer',
    ({ frames, which, position }) => position + frames[which]!.length,
  ],
  [
    'a message with a checksum and a wrong bit',
    flipped(checkedBits),
    'the trailer',
    ({ frames, which, position }) => position + frames[which]!.length,
  ],
];

for (const [what, conversations, said, endOf] of faults) {
  describe(what, () => {
    for (const [name, read] of Object.entries(readers)) {
      it(`is found, behind all messages before it (${name})`, async () => {
        await fc.assert(
          fc.asyncProperty(conversations, async ({ options, messages, chunks, which, position }) => {
            const { items, error } = await read(chunks, options);
            expect(error).to.include({ name: 'FrameError', code: 'ERR_FRAME_CORRUPT', position });
            expect(error!.message).to.include(said);
            expect(items).to.deep.equal(messages.slice(0, which));
          }),
          { numRuns: runs(100) },
        );
      });
    }

    it('is found with the byte that tells, every time again, and the rest is all from its frame on', () => {
      fc.assert(
        fc.property(conversations, fc.boolean(), (conversation, byByte) => {
          const { options, messages, wire, which, position } = conversation;
          const parser = new FrameParser<Buffer>(options, buffers);
          const got: Buffer[] = [];
          const end = endOf(conversation);
          const isNotYet = wire.subarray(0, end - 1);
          for (const chunk of byByte ? Array.from(isNotYet, (byte) => Buffer.of(byte)) : [isNotYet]) {
            parser.push(chunk);
            got.push(...parser.nextAll());
          }
          expect(got).to.deep.equal(messages.slice(0, which));
          parser.push(wire.subarray(end - 1, end));
          for (const _ of [1, 2]) {
            expect(() => parser.next())
              .to.throw(said)
              .with.property('position', position);
          }
          expect(wire.subarray(position, end).equals(parser.rest())).to.equal(true);
        }),
        { numRuns: runs(200) },
      );
    });

    it('is found in bodies that are destroyed, whole or in part', async () => {
      await fc.assert(
        fc.asyncProperty(conversations, async ({ options, chunks, which, position, messages }) => {
          const decoder = new LengthPrefixDecoder({ ...options, stream: true });
          for (const chunk of chunks) decoder.write(chunk);
          decoder.end();
          let count = 0;
          const bodies = (async function* () {
            for await (const { body } of decoder) {
              if (count++ % 2 === 0) body.read(1);
              body.destroy();
              yield body;
            }
          })();
          const { error } = await outcomeOf(bodies);
          expect(error).to.include({ name: 'FrameError', code: 'ERR_FRAME_CORRUPT', position });
          // One that begins well is handed out before its end is looked at, if there is something of it.
          const begins = said === 'the trailer' && messages[which]!.length > 0;
          expect(count).to.equal(which + (begins ? 1 : 0));
        }),
        { numRuns: runs(100) },
      );
    });
  });
}

/** A format that passes over all but the shortest messages. */
function shortestOf(options: FormatOptions) {
  const { shortest, stripped, maxHeadLength } = formatOf(options);
  return { ...options, maxPayloadLength: Math.max(shortest, stripped - maxHeadLength), oversize: 'skip' as const };
}

describe('of frames that are passed over', () => {
  it('a header with a wrong bit is found, and a constant trailer, but no checksum', async () => {
    const anyFault = fc.oneof(...faults.map(([, conversations]) => conversations));
    await fc.assert(
      fc.asyncProperty(anyFault, async ({ options, messages, frames, chunks, which, bit, position }) => {
        const few = shortestOf(options);
        const format = formatOf(few);
        const isTaken = (i: number) =>
          format.readHead(frames[i]!, 0, frames[i]!.length, 0)!.payload <= few.maxPayloadLength;
        const isHeader = headerBits(options, true).includes(bit);
        const isFound = isHeader || isTaken(which) || options.trailer instanceof Uint8Array;
        const { items, error } = await decode(chunks, few);
        if (isFound) expect(error).to.include({ code: 'ERR_FRAME_CORRUPT', position });
        else expect(error).to.equal(undefined);
        expect(items).to.deep.equal(messages.filter((_, i) => isTaken(i) && (i < which || !isFound)));
      }),
      { numRuns: runs(300) },
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
