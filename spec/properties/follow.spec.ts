import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { Duplex, Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { expect } from 'chai';
import fc from 'fast-check';
import { anyCut } from '../../lib/fuzz/index.js';
import {
  decode,
  type FormatOptions,
  framed,
  LengthPrefixDecoder,
  LengthPrefixEncoder,
  withFormat,
} from '../../lib/index.js';
import { LengthPrefixDecoderStream, LengthPrefixEncoderStream } from '../../lib/web/index.js';
import { FrameBuilder, FrameParser } from '../../lib/wire/index.js';
import { runs } from '../support/runs.js';
import { thrownBy } from '../support/streams.js';
import { conversations } from './arbitraries.js';

/** Messages in one format after the other. */
interface Talk {
  readonly messages: { readonly message: Buffer; readonly options: FormatOptions; readonly isFirst: boolean }[];
  readonly wire: Buffer;
  readonly raw: Buffer;
}

const talks: fc.Arbitrary<Talk> = fc
  .tuple(fc.array(conversations, { minLength: 1, maxLength: 5 }), fc.uint8Array({ maxLength: 40 }))
  .map(([all, raw]) => {
    const some = all.filter(({ messages }) => messages.length > 0);
    return {
      messages: some.flatMap(({ options, messages }) =>
        messages.map((message, i) => ({ message, options, isFirst: i === 0 })),
      ),
      wire: Buffer.concat(some.flatMap(({ frames }) => frames)),
      raw: Buffer.from(raw),
    };
  })
  .filter(({ messages }) => messages.length > 0);

const cutTalks = talks.chain((talk) =>
  anyCut(Buffer.concat([talk.wire, talk.raw])).map((chunks) => ({ ...talk, chunks })),
);

/** Follows the formats of a talk; null behind the last one. */
function following({ messages }: Talk): { options: object; asked: unknown[] } {
  const asked: unknown[] = [];
  const formatAfter = (message: unknown): FormatOptions | null | undefined => {
    asked.push(message);
    const next = messages[asked.length];
    return next === undefined ? null : next.isFirst ? next.options : undefined;
  };
  return { options: { ...messages[0]!.options, formatAfter }, asked };
}

const handed = fc.constantFrom<object>(
  {},
  { copy: true },
  { batch: true },
  { batch: true, copy: true },
  { isDecoded: true },
);

function waysOf(choice: any): object {
  if (!choice.isDecoded) return choice;
  return { decode: (bytes: Uint8Array, start: number, end: number) => Buffer.from(bytes.subarray(start, end)) };
}

/** A stream of bytes that come when it is told. */
class Link extends Duplex {
  readonly sent: Buffer[] = [];
  override _read(): void {}
  override _write(chunk: Buffer, _encoding: string, callback: () => void): void {
    this.sent.push(chunk);
    callback();
  }
}

describe('formats that change', () => {
  it('a decoder follows at any cut; then the raw bytes go on', () =>
    fc.assert(
      fc.asyncProperty(cutTalks, handed, fc.constantFrom(1, 2, 16), async (talk, way, readableHighWaterMark) => {
        const { options, asked } = following(talk);
        const decoder = new LengthPrefixDecoder({ ...options, ...waysOf(way), readableHighWaterMark } as object);
        for (const chunk of talk.chunks) decoder.write(chunk);
        decoder.end();
        const got: unknown[] = [];
        for await (const each of decoder.iterator({ destroyOnReturn: false })) got.push(...[each].flat());
        expect(got).to.deep.equal(talk.messages.map(({ message }) => message));
        expect(asked).to.deep.equal(got);
        expect(await buffer(decoder.detach())).to.deep.equal(talk.raw);
      }),
      { numRuns: runs(150) },
    ));

  it('framed follows at any cut, and gives the stream back', () =>
    fc.assert(
      fc.asyncProperty(cutTalks, handed, async (talk, way) => {
        const { options, asked } = following(talk);
        const link = new Link();
        const stream = framed(link, { ...options, ...waysOf(way) } as object);
        stream.write(withFormat({}, 'bye'));
        for (const chunk of talk.chunks) link.push(chunk);
        link.push(null);
        const got: unknown[] = [];
        for await (const each of stream) got.push(...[each].flat());
        expect(got).to.deep.equal(talk.messages.map(({ message }) => message));
        expect(asked).to.deep.equal(got);
        // Most times the link itself: it may have ended before the last message was parsed.
        expect(await buffer(await stream.detach())).to.deep.equal(talk.raw);
      }),
      { numRuns: runs(150) },
    ));

  it('a web stream follows at any cut', () =>
    fc.assert(
      fc.asyncProperty(cutTalks, handed, async (talk, way) => {
        const { options } = following(talk);
        const stream = new LengthPrefixDecoderStream({ ...options, ...waysOf(way) } as object);
        const writer = stream.writable.getWriter();
        const writing = Promise.all([...talk.chunks.map((chunk) => writer.write(chunk)), writer.close()]);
        const got: unknown[] = [];
        for await (const each of stream.readable) got.push(...[each].flat());
        expect(got.map((each) => Buffer.from(each as Buffer))).to.deep.equal(
          talk.messages.map(({ message }) => message),
        );
        expect(Buffer.from(await new Response(stream.detach()).arrayBuffer())).to.deep.equal(talk.raw);
        await writing;
      }),
      { numRuns: runs(150) },
    ));

  it('a parser follows, and its rest is raw', () =>
    fc.assert(
      fc.property(cutTalks, handed, (talk, way) => {
        const parser = new FrameParser({ ...following(talk).options, ...waysOf(way) } as object);
        const got: unknown[] = [];
        for (const chunk of talk.chunks) {
          parser.push(chunk);
          for (let each = parser.next(); each !== undefined; each = parser.next()) got.push(...[each].flat());
        }
        expect(got.map((each) => Buffer.from(each as Buffer))).to.deep.equal(
          talk.messages.map(({ message }) => message),
        );
        expect(Buffer.from(parser.rest())).to.deep.equal(talk.raw);
      }),
      { numRuns: runs(150) },
    ));

  it('the format travels with the message, for each kind of write', () =>
    fc.assert(
      fc.asyncProperty(talks, fc.func(fc.nat(2)), async ({ messages, wire }, kindOf) => {
        const [{ options }] = messages as [(typeof messages)[0]];
        const link = new Link();
        const encoder = new LengthPrefixEncoder(options);
        const connection = framed(link, options);
        const web = new LengthPrefixEncoderStream(options);
        const builder = new FrameBuilder(options);
        const writer = web.writable.getWriter();
        const sent = new Response(web.readable as ReadableStream<Uint8Array<ArrayBuffer>>).arrayBuffer();
        const encoded = buffer(encoder);
        for (const [i, { message, options: format, isFirst }] of messages.entries()) {
          const parts = [message.subarray(0, 1), message.subarray(1)];
          const kind = kindOf(i);
          const make = (): any => {
            const value =
              kind === 0 ? message : kind === 1 ? parts : { length: message.length, body: Readable.from(parts) };
            return i > 0 && isFirst ? withFormat(format, value) : value;
          };
          encoder.write(make());
          connection.write(make());
          void writer.write(make());
          builder.add(i > 0 && isFirst ? withFormat(format, message) : message);
        }
        encoder.end();
        connection.end();
        await Promise.all([writer.close(), once(connection, 'finish')]);
        expect(await encoded).to.deep.equal(wire);
        expect(Buffer.concat(link.sent)).to.deep.equal(wire);
        expect(Buffer.from(await sent)).to.deep.equal(wire);
        expect(Buffer.concat(builder.take())).to.deep.equal(wire);
      }),
      { numRuns: runs(100) },
    ));
});

describe('formatAfter', () => {
  const decoderOf = (formatAfter: (message: Buffer) => any) => {
    const decoder = new LengthPrefixDecoder({ lengthField: 'uint8', formatAfter });
    decoder.end(Buffer.from('\x01a\x01b\x01c'));
    return decoder;
  };

  const failing: Record<string, (message: Buffer) => unknown> = {
    'that throws': () => {
      throw new Error('no format');
    },
    'that gives an unknown option': () => ({ maxFrameLength: 1 }),
    'that gives a wrong value': () => ({ lengthFieldOffset: -1 }),
    'that is asynchronous': async () => undefined,
    'that gives something else': () => 'varint',
  };
  for (const [name, formatAfter] of Object.entries(failing)) {
    it(`${name}: the message comes, then the error`, async () => {
      const got: string[] = [];
      let error: any;
      try {
        for await (const message of decoderOf((each) => (`${each}` === 'b' ? formatAfter(each) : undefined))) {
          got.push(`${message}`);
        }
      } catch (thrown) {
        error = thrown;
      }
      expect(got).to.deep.equal(['a', 'b']);
      expect(error).to.include({ code: 'ERR_FRAME_CORRUPT' });
      expect(error.message).to.match(/^Frame at byte 4: 'formatAfter' gave no format for the next message: ./);
    });
  }

  it('null ends decode() of bytes in hand, and lets go of its source', async () => {
    let isLetGo = false;
    async function* source() {
      try {
        for (;;) yield Buffer.from('\x01a');
      } finally {
        isLetGo = true;
      }
    }
    const messages: string[] = [];
    for await (const message of decode(source(), { lengthField: 'uint8', formatAfter: () => null }))
      messages.push(`${message}`);
    expect(messages).to.deep.equal(['a']);
    expect(isLetGo).to.equal(true);
  });

  it('is refused where it is no function, or with stream: true', () => {
    for (const options of [{ formatAfter: {} }, { formatAfter: () => null, stream: true }]) {
      expect(() => new LengthPrefixDecoder(options as object))
        .to.throw()
        .with.property('code')
        .that.matches(/^ERR_INVALID_ARG/);
    }
  });
});

describe('withFormat', () => {
  it('refuses options that are wrong, at once', () => {
    expect(thrownBy(() => withFormat({ lengthField: 'uint7' } as object, 'a'))).to.have.property(
      'code',
      'ERR_INVALID_ARG_VALUE',
    );
    expect(thrownBy(() => withFormat({ maxLength: 7 } as object, 'a'))).to.have.property(
      'code',
      'ERR_INVALID_ARG_VALUE',
    );
  });

  it('of a message that a builder refuses changes nothing', () => {
    const builder = new FrameBuilder({ lengthField: 'uint8' });
    expect(() => builder.add(withFormat({ maxPayloadLength: 1 }, 'ab')))
      .to.throw()
      .with.property('code', 'ERR_FRAME_TOO_LONG');
    builder.add('c');
    expect(Buffer.concat(builder.take()).toString('latin1')).to.equal('\x01c');
  });

  it('of a message that a stream refuses changes nothing', async () => {
    const encoder = new LengthPrefixEncoder({ lengthField: 'uint8' });
    expect(() => encoder.write(withFormat({}, { a: 1 }) as never))
      .to.throw()
      .with.property('code', 'ERR_INVALID_ARG_TYPE');
    encoder.end('c');
    expect(await text(encoder)).to.equal('\x01c');
  });

  it('is for values of an encode, too', async () => {
    const encoder = new LengthPrefixEncoder({ lengthField: 'uint8', encode: (value: number) => `${value}` });
    encoder.write(1);
    encoder.write(withFormat({ lengthField: 'uint16be' }, 23));
    encoder.end(4);
    expect(await text(encoder)).to.equal('\x011\0\x0223\0\x014');
  });
});
