import { once } from 'node:events';
import { PassThrough, Readable } from 'node:stream';
import { expect } from 'chai';
import fc from 'fast-check';
import {
  type Codec,
  framed,
  encode as frameOf,
  json,
  LengthPrefixDecoder,
  LengthPrefixEncoder,
  text,
} from '../../lib/index.js';
import { FrameParser } from '../../lib/wire/index.js';
import { runs } from '../support/runs.js';
import { encode, fromHex, outcomeOf, thrownBy } from '../support/streams.js';

const field = { lengthField: 'varint' } as const;

/** The values, written to one end and read from the other. */
async function throughBoth<T>(codec: Codec<T>, values: T[]): Promise<T[]> {
  const encoder = new LengthPrefixEncoder({ ...field, ...codec });
  const decoder = encoder.pipe(new LengthPrefixDecoder({ ...field, ...codec }));
  for (const value of values) encoder.write(value);
  encoder.end();
  const { items, error } = await outcomeOf<T>(decoder);
  expect(error).to.equal(undefined);
  return items;
}

/** What comes of this one message, in hex. */
async function decoded<T>(codec: Codec<T>, message: string) {
  const decoder = new LengthPrefixDecoder({ ...field, ...codec });
  decoder.end(await encode([fromHex(message)], field));
  return await outcomeOf<T>(decoder);
}

/** The error that a value's write is called back with, and what the stream failed with. */
async function refused(codec: Codec<any>, value: unknown): Promise<Error & { cause?: unknown }> {
  const encoder = new LengthPrefixEncoder({ ...field, ...codec });
  const written = new Promise((resolve) => encoder.write(value, resolve));
  const [error] = await once(encoder, 'error');
  expect(await written).to.equal(error);
  expect(encoder.read()).to.equal(null);
  return error;
}

// What is cut off by a byte mark, a character of two units, what stands for a wrong byte: all are text.
const strings = [
  '',
  'hello',
  'é',
  '\ufeffmarked',
  '🙂',
  '\ufffd',
  'a\ufffdb',
  '\ufeff\ufffd',
  '\0',
  'x'.repeat(70_000),
];

describe('text', () => {
  it('takes any text there and back', async () => {
    expect(await throughBoth(text, strings)).to.deep.equal(strings);
  });

  it('is UTF-8, in its place among others', () => {
    const bytes = fromHex('ff c3a9 ff');
    expect(text.decode(bytes, 1, 3)).to.equal('é');
    expect(text.decode(bytes, 3, 3)).to.equal('');
    const replaced = fromHex('ff efbfbd ff');
    expect(text.decode(replaced, 1, 4)).to.equal('\ufffd');
    expect(String(text.encode('é'))).to.equal('é');
  });

  it('fails for a message that is not UTF-8', async () => {
    for (const message of ['ff', '61 c3', 'c3 28', 'ed a0 80', 'c0 80', 'f5 80 80 80', 'efbfbd ff']) {
      const { items, error } = await decoded(text, message);
      expect(items).to.deep.equal([]);
      expect(error).to.include({ name: 'FrameError', code: 'ERR_FRAME_CORRUPT', position: 0 });
      const { message: reason } = error!.cause as Error;
      expect(error!.message).to.match(/^Frame at byte 0: a message of \d bytes? can't be decoded: ./);
      expect(error!.message.endsWith(`: ${reason}`), reason).to.equal(true);
      expect(error!.cause).to.be.instanceOf(TypeError);
    }
  });

  it('decodes the chunks of a stream in object mode that are no Buffers', async () => {
    const readable = Readable.from([Uint8Array.from(fromHex('02 6869 02')), Uint8Array.from(fromHex('c3a9'))]);
    const stream = framed({ readable, writable: new PassThrough() }, { ...field, ...text });
    expect((await outcomeOf<string>(stream)).items).to.deep.equal(['hi', 'é']);
  });

  it('is the same however it is cut, decoded in batches, or copied', async () => {
    const wire = await encode(strings.slice(0, -1), field);
    for (const options of [{}, { copy: true }, { batch: true }]) {
      for (const size of [1, 2, 3, wire.length]) {
        const decoder = new LengthPrefixDecoder({ ...field, ...text, ...options });
        for (let at = 0; at < wire.length; at += size) decoder.write(wire.subarray(at, at + size));
        decoder.end();
        expect((await outcomeOf(decoder)).items.flat()).to.deep.equal(strings.slice(0, -1));
      }
    }
  });
});

describe('json', () => {
  it('takes any value there and back', async () => {
    const values = [0, '', false, [], {}, 'é🙂', [null], { a: [1, { b: null }] }, 1e300, '\ud800'];
    expect(await throughBoth(json, values)).to.deep.equal(values);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.jsonValue().filter((value) => value !== null)), async (list) => {
        const same = JSON.parse(JSON.stringify(list));
        expect(await throughBoth(json, list)).to.deep.equal(same);
      }),
      { numRuns: runs(100) },
    );
  });

  it('writes values as JSON.stringify does', () => {
    expect(String(json.encode({ b: undefined, a: new Date(0) }))).to.equal('{"a":"1970-01-01T00:00:00.000Z"}');
    expect(String(json.encode('null'))).to.equal('"null"');
    expect(json.decode(Buffer.from('x[1]x'), 1, 4)).to.deep.equal([1]);
  });

  it('fails for a message that is not JSON, or not UTF-8', async () => {
    const cases: [string, string, string][] = [
      ['', '0 bytes', 'SyntaxError'],
      ['7b', '1 byte', 'SyntaxError'],
      ['22 ff 22', '3 bytes', 'TypeError'],
      // A byte order mark.
      ['efbbbf 31', '4 bytes', 'SyntaxError'],
    ];
    for (const [message, size, name] of cases) {
      const { items, error } = await decoded(json, message);
      expect(items).to.deep.equal([]);
      expect(error).to.include({ code: 'ERR_FRAME_CORRUPT', position: 0 });
      expect(error!.message).to.contain(`a message of ${size} can't be decoded: ${(error!.cause as Error).message}`);
      expect(error!.cause).to.have.property('name', name);
    }
  });

  it('has no null: a stream can not hand it out', async () => {
    const { items, error } = await decoded(json, Buffer.from(' null').toString('hex'));
    expect(items).to.deep.equal([]);
    expect(error).to.include({
      code: 'ERR_FRAME_CORRUPT',
      position: 0,
      message:
        "Frame at byte 0: a message of 5 bytes was decoded as null, which a stream can't hand out; " +
        'null can be sent inside an object or an array, such as [null]',
    });
    expect(error!.cause).to.equal(undefined);
    expect(thrownBy(() => new LengthPrefixEncoder(json).write(null))).to.have.property(
      'code',
      'ERR_STREAM_NULL_VALUES',
    );
  });

  it('refuses values that JSON has no way to write, or writes as null', async () => {
    const round: unknown[] = [];
    round.push(round);
    const cases: [unknown, RegExp][] = [
      [undefined, /^JSON has no way to write a value of type undefined$/],
      [() => {}, /^JSON has no way to write a value of type function$/],
      [Symbol('s'), /^JSON has no way to write a value of type symbol$/],
      [Number.NaN, /^JSON writes NaN as null, which a stream can't hand out; write an object or \[null\]$/],
      [-Infinity, /^JSON writes -Infinity as null, which a stream can't hand out; write an object or \[null\]$/],
      [
        new Date(Number.NaN),
        /^JSON writes Invalid Date as null, which a stream can't hand out; write an object or \[null\]$/,
      ],
      [1n, /BigInt/],
      [round, /circular|cyclic/],
    ];
    for (const [value, reason] of cases) {
      const error = await refused(json, value);
      expect(error).to.include({ name: 'FrameError', code: 'ERR_FRAME_CORRUPT', position: 0 });
      expect(error.cause).to.be.instanceOf(TypeError);
      expect((error.cause as Error).message).to.match(reason);
      expect(error.message).to.equal(
        `Frame at byte 0: the message can't be encoded: ${(error.cause as Error).message}`,
      );
    }
  });
});

describe('codecs', () => {
  it('write UTF-8, whatever encoding the write or the stream has', async () => {
    for (const [codec, value] of [
      [text, 'é'],
      [json, { é: 1 }],
    ] as const) {
      const options = { ...codec, defaultEncoding: 'latin1' };
      const encoder = new LengthPrefixEncoder<unknown>(options as object);
      encoder.write(value);
      encoder.write(value, 'hex');
      encoder.setDefaultEncoding('base64');
      encoder.end(value);
      const values = await encoder.pipe(new LengthPrefixDecoder(options as object)).toArray();
      expect(values).to.deep.equal([value, value, value]);
    }
  });

  it('read bytes that are no Buffers, in one piece or cut', () => {
    const frame = frameOf('{"é":1}');
    for (const cut of [frame.length, 7, 1]) {
      const parser = new FrameParser(json as Codec<any>);
      for (const chunk of [frame.subarray(0, cut), frame.subarray(cut)]) parser.push(Uint8Array.from(chunk));
      expect(parser.next()).to.deep.equal({ é: 1 });
    }
  });

  it('may throw a value that has no text: it is the cause', async () => {
    for (const thrown of [Object.create(null), { toString: () => thrown.nothing.at }]) {
      const encoder = new LengthPrefixEncoder({
        encode() {
          throw thrown;
        },
      });
      encoder.write('a' as never);
      const [error] = await once(encoder, 'error');
      expect(error).to.include({ name: 'FrameError', code: 'ERR_FRAME_CORRUPT' });
      expect(error.message).to.contain('a value was thrown that has no text');
      expect(error.cause).to.equal(thrown);
    }
  });

  it('stay as they are', () => {
    expect(Object.isFrozen(text)).to.equal(true);
    expect(Object.isFrozen(json)).to.equal(true);
  });

  it("may be the user's own, with other types on each side", async () => {
    const numbers: Codec<number, number | bigint> = {
      decode: (bytes, start, end) => {
        if (end - start !== 4) throw new Error(`a number has 4 bytes, not ${end - start}`);
        return bytes.readInt32BE(start);
      },
      encode(value) {
        const bytes = Buffer.alloc(4);
        bytes.writeInt32BE(Number(value));
        return bytes;
      },
    };
    const encoder = new LengthPrefixEncoder(numbers);
    const decoder = encoder.pipe(new LengthPrefixDecoder(numbers));
    encoder.write(-1);
    encoder.write(0);
    encoder.end(7n);
    expect((await outcomeOf(decoder)).items).to.deep.equal([-1, 0, 7]);
    const error = await refused(numbers, 2 ** 40);
    expect(error.cause).to.have.property('code', 'ERR_OUT_OF_RANGE');
  });
});
