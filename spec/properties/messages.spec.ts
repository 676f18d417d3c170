import { Readable } from 'node:stream';
import { expect } from 'chai';
import fc from 'fast-check';
import * as userland from 'readable-stream';
import { cutAt, placesOf } from '../../lib/fuzz/cut.js';
import { anyCut } from '../../lib/fuzz/index.js';
import {
  type Body,
  type FormatOptions,
  LengthPrefixDecoder,
  LengthPrefixEncoder,
  type Message,
  type StreamedMessage,
} from '../../lib/index.js';
import { formatOf } from '../../lib/wire/format.js';
import { compactSize } from '../support/fields.js';
import { runs } from '../support/runs.js';
import { fromHex, type Outcome, outcomeOf } from '../support/streams.js';
import { conversations, cutConversations, truncatedConversations } from './arbitraries.js';

/** How a message is given to an encoder, and cut into parts. */
interface Giving {
  how: 'bytes' | 'parts' | 'array' | 'generator' | 'async' | 'node' | 'userland' | 'web';
  places: number[];
  /** Whether the tick is over before the next one. */
  pause: boolean;
}

const givings: fc.Arbitrary<Giving> = fc.record({
  how: fc.constantFrom('bytes', 'parts', 'array', 'generator', 'async', 'node', 'userland', 'web'),
  places: anyCut(Buffer.alloc(300)).map(placesOf),
  pause: fc.boolean(),
});

/** How a body is read: so many chunks of it, or all; and whether the reader takes its time. */
interface Reading {
  chunks: number;
  pause: boolean;
}

const readings: fc.Arbitrary<Reading> = fc.record({
  chunks: fc.oneof(fc.constant(Number.POSITIVE_INFINITY), fc.nat(3)),
  pause: fc.boolean(),
});

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

function given(message: Buffer, { how, places }: Giving): Message {
  if (how === 'bytes') return message;
  const { length } = message;
  const parts = cutAt(
    message,
    places.filter((place) => place <= length),
  );
  if (how === 'parts') return parts;
  const bodies: Record<Exclude<Giving['how'], 'bytes' | 'parts'>, () => Body> = {
    array: () => parts,
    *generator() {
      yield* parts;
    },
    async *async() {
      yield* parts;
    },
    node: () => Readable.from(parts),
    userland: () => userland.Readable.from(parts) as unknown as Body,
    web: () => Readable.toWeb(Readable.from(parts)) as unknown as Body,
  };
  return { length, body: bodies[how]() };
}

/** What an encoder makes of the messages, and what the writes were called back with. */
async function sent(options: FormatOptions, messages: Buffer[], ways: Giving[]) {
  const encoder = new LengthPrefixEncoder(options);
  const outcome = outcomeOf<Buffer>(encoder);
  const calls: [number, Error | undefined][] = [];
  for (const [i, message] of messages.entries()) {
    const way = ways[i % ways.length]!;
    encoder.write(given(message, way), (error) => calls.push([i, error ?? undefined]));
    if (way.pause) await turn();
  }
  encoder.end();
  const { items, error } = await outcome;
  expect(error).to.equal(undefined);
  return { wire: Buffer.concat(items), calls };
}

/** The bytes that were read of each body, and its length. */
async function received(chunks: Buffer[], options: FormatOptions, ways: Reading[]) {
  const decoder = new LengthPrefixDecoder({ ...options, stream: true });
  const calls: number[] = [];
  for (const [i, chunk] of chunks.entries()) decoder.write(chunk, () => calls.push(i));
  decoder.end();
  const messages: { length: number; bytes: Buffer; whole: boolean }[] = [];
  const read = async ({ length, body }: StreamedMessage) => {
    const way = ways[messages.length % ways.length]!;
    const message = { length, bytes: Buffer.alloc(0), whole: false };
    messages.push(message);
    if (way.pause) await turn();
    let left = way.chunks;
    if (left === 0) {
      body.destroy();
      return;
    }
    for await (const chunk of body) {
      message.bytes = Buffer.concat([message.bytes, chunk]);
      if (way.pause) await turn();
      if (--left === 0) return;
    }
    message.whole = true;
  };
  let error: Outcome<never>['error'];
  try {
    for await (const message of decoder) await read(message);
  } catch (thrown) {
    error = thrown as Outcome<never>['error'];
  }
  return { messages, error, calls };
}

const allGivings = fc.array(givings, { minLength: 1, maxLength: 12 });
const allReadings = fc.array(readings, { minLength: 1, maxLength: 12 });

describe('messages given in any way', () => {
  it('become the same frames', async () => {
    await fc.assert(
      fc.asyncProperty(conversations, allGivings, async ({ options, messages, frames }, ways) => {
        const before = messages.map((message) => Buffer.from(message));
        const { wire, calls } = await sent(options, messages, ways);
        expect(wire.equals(Buffer.concat(frames))).to.equal(true);
        expect(calls).to.deep.equal(messages.map((_, i) => [i, undefined]));
        expect(messages).to.deep.equal(before);
      }),
      { numRuns: runs(300) },
    );
  });

  // The smallest of each: a body between others, in a format that keeps its length field or has none of a fixed width.
  const smallest: [FormatOptions, string[], string][] = [
    [{ lengthField: 'uint8' }, ['61', '', '6263'], '01 61 00 02 6263'],
    [{ lengthField: 'uint16be', initialBytesToStrip: 0 }, ['0000', '000161'], '0000 0001 61'],
    [{ lengthField: 'varint', initialBytesToStrip: 0 }, ['00', '0161'], '00 01 61'],
    [{ lengthField: compactSize, initialBytesToStrip: 0 }, ['00', 'fd010061'], '00 fd0100 61'],
  ];
  for (const how of ['bytes', 'parts', 'array', 'generator', 'async', 'node', 'userland', 'web'] as const) {
    it(`such as ${how}, byte by byte`, async () => {
      for (const [options, messages, expected] of smallest) {
        const ways: Giving[] = [{ how, places: [1, 1, 2, 3], pause: false }];
        const { wire } = await sent(options, messages.map(fromHex), ways);
        expect(wire).to.deep.equal(fromHex(expected));
      }
    });
  }
});

describe('bodies read in any way', () => {
  it('are the messages, or their beginnings', async () => {
    await fc.assert(
      fc.asyncProperty(cutConversations, allReadings, async ({ options, messages, chunks }, ways) => {
        const { messages: got, error, calls } = await received(chunks, options, ways);
        expect(error).to.equal(undefined);
        expect(got.map(({ length }) => length)).to.deep.equal(messages.map(({ length }) => length));
        for (const [i, { bytes, whole }] of got.entries()) {
          const message = messages[i]!;
          expect(bytes.equals(whole ? message : message.subarray(0, bytes.length))).to.equal(true);
          if (ways[i % ways.length]!.chunks === Number.POSITIVE_INFINITY) expect(whole).to.equal(true);
        }
        expect(calls).to.deep.equal(chunks.map((_, at) => at));
      }),
      { numRuns: runs(300) },
    );
  });

  it('are there up to where the input ends', async () => {
    await fc.assert(
      fc.asyncProperty(truncatedConversations, allReadings, async (conversation, ways) => {
        const { options, messages, frames, chunks } = conversation;
        const { length } = conversation.wire;
        const { messages: got, error } = await received(chunks, options, ways);
        let whole = 0;
        let end = 0;
        while (whole < frames.length && end + frames[whole]!.length <= length) end += frames[whole++]!.length;
        expect(got.length).to.be.within(whole, whole + 1);
        for (const [i, { bytes }] of got.entries()) {
          expect(bytes.equals(messages[i]!.subarray(0, bytes.length))).to.equal(true);
          const frame = frames[i]!;
          const came = i < whole ? frame.length : length - end;
          if (ways[i % ways.length]!.chunks < Number.POSITIVE_INFINITY) continue;
          // All that came of it behind what is stripped, but its last byte, which waits for the trailer.
          const { trailerWidth } = formatOf(options);
          const stripped = frame.length - messages[i]!.length - trailerWidth;
          const most = messages[i]!.length - (i < whole || trailerWidth === 0 ? 0 : 1);
          expect(bytes.length).to.equal(Math.max(0, Math.min(came - stripped, most)));
        }
        if (end === length) expect(error).to.equal(undefined);
        else expect(error).to.include({ name: 'FrameError', code: 'ERR_FRAME_TRUNCATED', position: end });
      }),
      { numRuns: runs(300) },
    );
  });

  it('exhaustively: a small stream, cut at every pair of points, each way', async () => {
    const all = { chunks: Number.POSITIVE_INFINITY, pause: false };
    for (const options of [{ lengthField: 'uint8' }, { lengthField: 'varint', initialBytesToStrip: 0 }] as const) {
      const wire = fromHex('02 6162 00 01 63');
      const expected = 'initialBytesToStrip' in options ? ['026162', '00', '0163'] : ['6162', '', '63'];
      for (let first = 0; first <= wire.length; first++) {
        for (let second = first; second <= wire.length; second++) {
          for (const way of [all, { chunks: 0, pause: false }, { chunks: 1, pause: false }]) {
            const { messages, error } = await received(cutAt(wire, [first, second]), options, [way]);
            expect(error).to.equal(undefined);
            expect(messages.map(({ length }) => 2 * length)).to.deep.equal(expected.map(({ length }) => length));
            for (const [i, { bytes }] of messages.entries()) {
              if (way === all) expect(bytes.toString('hex')).to.equal(expected[i]);
              else expect(expected[i]!.startsWith(bytes.toString('hex'))).to.equal(true);
            }
          }
        }
      }
    }
  });

  it('go on to an encoder as they are', async () => {
    await fc.assert(
      fc.asyncProperty(cutConversations, async ({ options, messages, chunks }) => {
        const decoder = new LengthPrefixDecoder({ ...options, stream: true });
        for (const chunk of chunks) decoder.write(chunk);
        decoder.end();
        const encoder = decoder.pipe(new LengthPrefixEncoder(options));
        const { items, error } = await outcomeOf(encoder.pipe(new LengthPrefixDecoder(options)));
        expect(error).to.equal(undefined);
        expect(items).to.deep.equal(messages);
      }),
      { numRuns: runs(150) },
    );
  });
});

describe('decoded messages', () => {
  it('are decoded once each, in order, up to the one that can not be', async () => {
    await fc.assert(
      fc.asyncProperty(
        cutConversations,
        fc.record({ copy: fc.boolean(), batch: fc.boolean(), readableHighWaterMark: fc.integer({ min: 1, max: 20 }) }),
        fc.nat(15),
        async ({ options, messages, frames, chunks }, reading, bad) => {
          let calls = 0;
          const cause = new Error('bad');
          const decode = (bytes: Buffer, start: number, end: number) => {
            if (calls++ === bad) throw cause;
            return bytes.toString('hex', start, end);
          };
          const decoder = new LengthPrefixDecoder({ ...options, ...reading, decode });
          for (const chunk of chunks) decoder.write(chunk);
          decoder.end();
          const { items, error } = await outcomeOf(decoder);
          expect(items.flat()).to.deep.equal(messages.slice(0, bad).map((message) => message.toString('hex')));
          expect(calls).to.equal(Math.min(messages.length, bad + 1));
          if (bad >= messages.length) {
            expect(error).to.equal(undefined);
          } else {
            const position = Buffer.concat(frames.slice(0, bad)).length;
            expect(error).to.include({ code: 'ERR_FRAME_CORRUPT', position, cause });
          }
        },
      ),
      { numRuns: runs(300) },
    );
  });
});
