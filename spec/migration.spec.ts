import { readFileSync } from 'node:fs';
import { type Duplex, PassThrough } from 'node:stream';
import { expect } from 'chai';
import frameStream from 'frame-stream';
import lengthPrefixedStream from 'length-prefixed-stream';
import {
  type FormatOptions,
  formats,
  LengthPrefixDecoder,
  type LengthPrefixDecoderOptions,
  type StreamedMessage,
} from '../lib/index.js';
import { decode, encode, fromHex, outcomeOf } from './support/streams.js';

/** What another library makes of a frame, and the longest one it takes, counted from the end of its length field. */
interface Other {
  decode(frame: Buffer): Buffer | Promise<Buffer>;
  /** Undefined: no limit, or the length field sets it. */
  maxPayload?: number | undefined;
}

/** The wire format of Netty, tokio-util and Akka, as their documentation has it. */
interface Field {
  offset: number;
  width: number;
  littleEndian: boolean;
}

function read(bytes: Buffer, { offset, width, littleEndian }: Field): number {
  return littleEndian ? bytes.readUIntLE(offset, width) : bytes.readUIntBE(offset, width);
}

/** Only where the longest payload fits the length field does its limit matter. */
function limit(maxPayload: number, width: number, adjustment = 0): number | undefined {
  return maxPayload - adjustment < 256 ** width ? maxPayload : undefined;
}

/** Netty's arguments: `(4, 0, 2)`, `(LITTLE_ENDIAN, 4, 0, 2, 0, 0, true)`. */
function netty(call: string): Other {
  const [, name, inside] = /^(\w+)\((.*)\)$/.exec(call)!;
  const given = inside!.split(', ');
  const littleEndian = given[0] === 'LITTLE_ENDIAN';
  if (littleEndian) given.shift();
  if (name === 'LengthFieldPrepender') {
    // What is written in front of a message: its length + the adjustment + the field's width, if that is included.
    const [width, second] = [Number(given[0]), given[1] ?? '0'];
    const added = second === 'true' ? width : Number(second);
    return {
      decode: (frame) => frame.subarray(width, width + read(frame, { offset: 0, width, littleEndian }) - added),
    };
  }
  const [max, offset, width, adjustment = 0, strip = 0] = given.map(Number) as [
    number,
    number,
    number,
    number?,
    number?,
  ];
  return {
    decode(frame) {
      const length = read(frame, { offset, width, littleEndian }) + adjustment + offset + width;
      return frame.subarray(strip, length);
    },
    maxPayload: limit(max - offset - width, width, adjustment),
  };
}

/** `.length_field_length(2).num_skip(0)` */
function tokio(chain: string): Other {
  const given: Record<string, string> = Object.fromEntries(
    Array.from(chain.matchAll(/\.(\w+)(?:::<u(\d+)>)?\((-?\d*)\)/g), ([, name, bits, value]) =>
      bits ? ['length_field_length', `${Number(bits) / 8}`] : [name, value],
    ),
  );
  const number = (name: string, usual: number) => Number(given[name] ?? usual);
  const width = number('length_field_length', 4);
  const offset = number('length_field_offset', 0);
  const adjustment = number('length_adjustment', 0);
  const skip = number('num_skip', offset + width);
  const max = number('max_frame_length', 8 * 1024 * 1024);
  const littleEndian = given.little_endian !== undefined;
  return {
    decode: (frame) => frame.subarray(skip, skip + read(frame, { offset, width, littleEndian }) + adjustment),
    maxPayload: max < 256 ** width ? max + adjustment + skip - offset - width : undefined,
  };
}

/** `Framing.lengthField(4, 0, 1024)` */
function akka(call: string): Other {
  const simple = /^Framing\.simpleFramingProtocol\((\d+)\)$/.exec(call);
  if (simple) return { decode: (frame) => frame.subarray(4, 4 + frame.readInt32BE()), maxPayload: Number(simple[1]) };
  const [, numbers, order, compute] =
    /^Framing\.lengthField\(([\d, ]+?)(?:, (\w+_ENDIAN))?(?:, (\(.*\) => .*))?\)$/.exec(call)!;
  const [width, offset, max] = numbers!.split(', ').map(Number) as [number, number, number];
  const frameSize: (front: Buffer, length: number) => number = compute
    ? new Function(`return ${compute}`)()
    : (_front, length) => length + offset + width;
  const field = { offset, width, littleEndian: order !== 'BIG_ENDIAN' };
  const adjustment = frameSize(Buffer.alloc(offset), 0) - offset - width;
  return {
    decode: (frame) => frame.subarray(0, frameSize(frame.subarray(0, offset), read(frame, field))),
    maxPayload: limit(max - offset - width, width, adjustment),
  };
}

/** `{packet, 4}, {packet_size, 1024}` */
function erlang(options: string): Other {
  const [, packet, , max] = /^\{packet, (\w+)\}(, \{packet_size, (\d+)\})?$/.exec(options)!;
  const maxPayload = max === undefined ? undefined : Number(max);
  if (packet === 'tpkt') return { decode: (frame) => frame.subarray(0, frame.readUInt16BE(2)), maxPayload };
  const width = Number(packet);
  return { decode: (frame) => frame.subarray(width, width + frame.readUIntBE(0, width)), maxPayload };
}

async function through(stream: Duplex, ...chunks: Buffer[]): Promise<Buffer[]> {
  for (const chunk of chunks) stream.write(chunk);
  stream.end();
  const { items, error } = await outcomeOf<Buffer>(stream);
  if (error !== undefined) throw error;
  return items;
}

const evaluated = (code: string) => new Function('formats', `return (${code})`)(formats);

/** The libraries in this repository's reach speak for themselves. */
const itself: Record<string, (options: any) => { decoder: Duplex; encoder: Duplex; maxPayload?: number }> = {
  'frame-stream': (options) => ({
    decoder: frameStream.decode(options),
    encoder: frameStream.encode(options),
    maxPayload: options.maxSize,
  }),
  'length-prefixed-stream': (options) => ({
    decoder: lengthPrefixedStream.decode(options),
    encoder: lengthPrefixedStream.encode(),
    maxPayload: options.limit,
  }),
};

function installed(library: string) {
  return (code: string): Other => {
    const open = () => itself[library]!(evaluated(code));
    return {
      async decode(frame) {
        return Buffer.concat(await through(open().decoder, frame));
      },
      maxPayload: open().maxPayload,
    };
  };
}

const others: Record<string, (theirs: string) => Other> = {
  Netty: netty,
  'tokio-util': tokio,
  'Akka, Pekko': akka,
  Erlang: erlang,
  'frame-stream': installed('frame-stream'),
  'length-prefixed-stream': installed('length-prefixed-stream'),
};

describe('What other libraries do, as their documentation has it', () => {
  const hello = Buffer.from('Hello world').toString('hex');
  const capitals = Buffer.from('HELLO, WORLD').toString('hex');
  const nettyDecoder = 'https://netty.io/4.1/api/io/netty/handler/codec/LengthFieldBasedFrameDecoder.html';
  const prepender = 'https://netty.io/4.1/api/io/netty/handler/codec/LengthFieldPrepender.html';
  // As they have been since tokio's pull request 6638.
  const codec = 'https://docs.rs/tokio-util/latest/tokio_util/codec/length_delimited/index.html';
  const erts = 'https://www.erlang.org/doc/apps/erts/erlang.html#decode_packet/3';
  const framing = 'https://pekko.apache.org/api/pekko/current/org/apache/pekko/stream/scaladsl/Framing$.html';
  // Where a computeFrameSize adds the first byte to the length.
  const framingSpec =
    'https://github.com/apache/pekko/blob/main/stream-tests/src/test/scala/org/apache/pekko/stream/scaladsl/FramingSpec.scala';
  const vectors: [library: string, source: string, theirs: string, frame: string, message: string][] = [
    ['Netty', nettyDecoder, 'LengthFieldBasedFrameDecoder(99, 0, 2, 0, 0)', `000c${capitals}`, `000c${capitals}`],
    ['Netty', nettyDecoder, 'LengthFieldBasedFrameDecoder(99, 0, 2, 0, 2)', `000c${capitals}`, capitals],
    ['Netty', nettyDecoder, 'LengthFieldBasedFrameDecoder(99, 0, 2, -2, 0)', `000e${capitals}`, `000e${capitals}`],
    ['Netty', nettyDecoder, 'LengthFieldBasedFrameDecoder(99, 2, 3)', `cafe00000c${capitals}`, `cafe00000c${capitals}`],
    [
      'Netty',
      nettyDecoder,
      'LengthFieldBasedFrameDecoder(99, 0, 3, 2, 0)',
      `00000ccafe${capitals}`,
      `00000ccafe${capitals}`,
    ],
    ['Netty', nettyDecoder, 'LengthFieldBasedFrameDecoder(99, 1, 2, 1, 3)', `ca000cfe${capitals}`, `fe${capitals}`],
    ['Netty', nettyDecoder, 'LengthFieldBasedFrameDecoder(99, 1, 2, -3, 3)', `ca0010fe${capitals}`, `fe${capitals}`],
    ['Netty', prepender, 'LengthFieldPrepender(2)', `000c${capitals}`, capitals],
    ['Netty', prepender, 'LengthFieldPrepender(2, true)', `000e${capitals}`, capitals],
    ['tokio-util', codec, '.new_codec()', `0000000b${hello}`, hello],
    ['tokio-util', codec, '.length_field_type::<u16>().length_adjustment(0)', `000b${hello}`, hello],
    [
      'tokio-util',
      codec,
      '.length_field_type::<u16>().length_adjustment(2).num_skip(0)',
      `000b${hello}`,
      `000b${hello}`,
    ],
    ['tokio-util', codec, '.length_field_type::<u16>().length_adjustment(-2)', `000d${hello}`, hello],
    [
      'tokio-util',
      codec,
      '.length_field_length(3).length_adjustment(5).num_skip(0)',
      `00000bcafe${hello}`,
      `00000bcafe${hello}`,
    ],
    [
      'tokio-util',
      codec,
      '.length_field_offset(1).length_field_type::<u16>().length_adjustment(1).num_skip(3)',
      `ca000bfe${hello}`,
      `fe${hello}`,
    ],
    [
      'tokio-util',
      codec,
      '.length_field_offset(1).length_field_type::<u16>().length_adjustment(-3).num_skip(3)',
      `ca000ffe${hello}`,
      `fe${hello}`,
    ],
    ['tokio-util', codec, '.length_field_length(3).length_adjustment(0).num_skip(4)', `00000bff${hello}`, hello],
    ['Akka, Pekko', framing, 'Framing.simpleFramingProtocol(1024)', `0000000c${capitals}`, capitals],
    ['Akka, Pekko', framingSpec, 'Framing.lengthField(4, 0, 1000)', '010000002a', '010000002a'],
    [
      'Akka, Pekko',
      framingSpec,
      'Framing.lengthField(1, 1, 1000, BIG_ENDIAN, (a, n) => a.length + 1 + n + a[0])',
      '020168ffff',
      '020168ffff',
    ],
    [
      'Akka, Pekko',
      framingSpec,
      'Framing.lengthField(4, 0, 1000, LITTLE_ENDIAN, (a, n) => 8)',
      '030201ff07060504',
      '030201ff07060504',
    ],
    ['Erlang', erts, '{packet, 1}', '03616263', '616263'],
  ];
  for (const [library, source, theirs, frame, message] of vectors) {
    it(`${library}: ${theirs} (${source})`, async () => {
      // Whatever comes behind the frame is not looked at.
      const bytes = library === 'Erlang' ? fromHex(`${frame}64`) : fromHex(frame + frame);
      expect(await others[library]!(theirs).decode(bytes)).to.deep.equal(fromHex(message));
    });
  }
});

describe('coming from another library', () => {
  const page = readFileSync(new URL('../../lib/wire/README.md', import.meta.url), 'utf8');
  const section = page.slice(page.indexOf('## Coming from another library'));
  const tables = section.split(/\n(?=\| .* \| here \| frame \| message \|\n)/).slice(1);

  it('has a table for each library', () => {
    expect(tables.map((table) => /^\| (.*?) \|/.exec(table)![1])).to.deep.equal(Object.keys(others));
  });

  for (const table of tables) {
    const [heading, , ...rows] = table.split('\n').filter((line) => line.startsWith('|'));
    const library = /^\| (.*?) \|/.exec(heading!)![1]!;
    for (const row of rows) {
      const cells = row.split(' | ').map((cell) => cell.replace(/^\| | \|$/g, ''));
      const [theirs, ours, frame, message] = cells.map((cell) => /^`(.*)`$/.exec(cell)?.[1]);
      if (/^(nothing|no option)/.test(cells[1]!)) continue;

      it(`${library}: ${theirs} is ${ours}`, async () => {
        expect(message !== undefined || cells[3] === 'empty').to.equal(true);
        const options = evaluated(ours!);
        const wire = fromHex(frame!);
        const content = fromHex(message ?? '');
        const other = others[library]!(theirs!);

        expect(await other.decode(wire), 'theirs').to.deep.equal(content);
        if (itself[library]) {
          const { encoder } = itself[library](evaluated(theirs!));
          expect(Buffer.concat(await through(encoder, content)), 'theirs, encoded').to.deep.equal(wire);
        }
        expect(await messagesOf([wire, wire], options)).to.deep.equal([content, content]);
        const { stream: _, ...format } = options;
        expect(await encode([content], format)).to.deep.equal(wire);

        // The limits are the same, to the byte.
        expect(options.maxPayloadLength).to.equal(other.maxPayload);
        if (other.maxPayload === undefined) return;
        for (const [excess, code] of [
          [0, undefined],
          [1, 'ERR_FRAME_TOO_LONG'],
        ] as const) {
          const longest = Buffer.alloc(messageLength(other.maxPayload + excess, options));
          const unlimited = await encode([longest], { ...format, maxPayloadLength: 2 ** 24 });
          expect((await decode([unlimited], format)).error?.code).to.equal(code);
          if (itself[library]) {
            const refused = await Promise.resolve(other.decode(unlimited)).then(
              () => false,
              () => true,
            );
            expect(refused, 'theirs').to.equal(code !== undefined);
          }
        }
      });
    }
  }
});

/** The length of the message with so many bytes behind the length field. */
function messageLength(
  payload: number,
  { lengthField, lengthFieldOffset = 0, initialBytesToStrip }: FormatOptions,
): number {
  if (lengthField === 'varint' || initialBytesToStrip === undefined) return payload;
  return lengthFieldOffset + Number(/\d+/.exec(lengthField as string)) / 8 + payload - initialBytesToStrip;
}

/** What a decoder makes of the chunks; messages that it hands out while they come, whole. */
async function messagesOf(chunks: Buffer[], options: LengthPrefixDecoderOptions): Promise<Buffer[]> {
  const decoder = new LengthPrefixDecoder(options);
  for (const chunk of chunks) decoder.write(chunk);
  decoder.end();
  const messages: Buffer[] = [];
  for await (const message of decoder as AsyncIterable<Buffer | StreamedMessage>) {
    messages.push(Buffer.isBuffer(message) ? message : Buffer.concat(await message.body.toArray()));
  }
  return messages;
}

describe('Messages that other libraries lose or join', () => {
  const frames: Record<string, Buffer> = {
    'frame-stream': fromHex('00000001 61 00000000 00000001 62'),
    'length-prefixed-stream': fromHex('01 61 00 01 62'),
  };
  for (const [library, bytes] of Object.entries(frames)) {
    it(library, async () => {
      const ours = await decode([bytes], { lengthField: library === 'frame-stream' ? 'uint32be' : 'varint' });
      expect(ours.items.map(String)).to.deep.equal(['a', '', 'b']);
      const theirs = await through(itself[library]!({}).decoder, bytes);
      // It is node:stream that joins what waits, before Node 26.
      const plain = await through(new PassThrough(), Buffer.from('a'), Buffer.from('b'));
      const joined = library === 'frame-stream' ? plain.map(String) : ['ab'];
      expect(theirs.map(String)).to.deep.equal(joined);
    });
  }
});
