import { readdirSync, readFileSync } from 'node:fs';
import { runInNewContext } from 'node:vm';
import { expect } from 'chai';
import fc from 'fast-check';
import * as main from '../../lib/index.js';
import * as web from '../../lib/web/index.js';
import * as codecs from '../../lib/wire/codecs.js';
import * as wire from '../../lib/wire/index.js';
import { conversations, truncatedConversations } from '../properties/arbitraries.js';
import { runs } from '../support/runs.js';
import { fromHex, outcomeOf, thrownBy } from '../support/streams.js';

const hello = fromHex('05000000 68656c6c6f');
const latin1 = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1');

async function* soon<T>(chunks: Iterable<T>) {
  yield* chunks;
}

function streamOf<T>(chunks: Iterable<T>, onCancel: (reason: unknown) => void = () => {}): ReadableStream<T> {
  const iterator = chunks[Symbol.iterator]();
  return new ReadableStream<T>({
    pull(controller) {
      const { done, value } = iterator.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    cancel: onCancel,
  });
}

// They have one implementation, in memory of their own kinds.
type InHand = Pick<typeof main, 'decode' | 'encode' | 'json' | 'text'>;
const entries: [string, InHand, unknown][] = [
  ['length-prefix', main, Buffer],
  ['length-prefix/wire', { ...wire, ...codecs } as unknown as InHand, Uint8Array],
  ['length-prefix/web', web as unknown as InHand, Uint8Array],
];

it('encode uses the encoding that streams use; plain Uint8Arrays are always UTF-8', () => {
  const options = { lengthField: 'uint8', defaultEncoding: 'latin1' } as const;
  expect(latin1(main.encode('é', options))).to.equal('\x01é');
  expect(latin1(wire.encode('é', options))).to.equal('\x02\xc3\xa9');
  const unknown = { defaultEncoding: 'x' };
  for (const use of [() => main.encode('é', unknown), () => new wire.FrameBuilder(unknown, main.buffers)]) {
    expect(thrownBy(use)).to.have.property('code', 'ERR_UNKNOWN_ENCODING');
  }
  const builder = new wire.FrameBuilder(options, main.buffers);
  builder.add('é');
  builder.add('é', 'utf8');
  expect(latin1(Buffer.concat(builder.take()))).to.equal('\x01é\x02\xc3\xa9');
});

for (const [name, { decode, encode, json, text }, Bytes] of entries) {
  describe(`decode of ${name}`, () => {
    it('gives the messages of any bytes, from any iterable, and those before a truncated end', async () => {
      await fc.assert(
        fc.asyncProperty(truncatedConversations, async ({ options, messages, frames, wire: { length }, chunks }) => {
          let whole = 0;
          let end = 0;
          while (whole < frames.length && end + frames[whole]!.length <= length) end += frames[whole++]!.length;
          for (const source of [chunks, new Set(chunks), soon(chunks), streamOf(chunks)]) {
            const { items, error } = await outcomeOf(decode(source as AsyncIterable<Uint8Array>, options));
            expect(items.every((item) => item.constructor === Bytes)).to.equal(true);
            expect(items.map((item) => Buffer.from(item))).to.deep.equal(messages.slice(0, whole));
            if (end === length) expect(error).to.equal(undefined);
            else expect(error).to.include({ code: 'ERR_FRAME_TRUNCATED', position: end });
          }
        }),
        { numRuns: runs(100) },
      );
    });

    it('takes bytes of any kind for one chunk, or for many', async () => {
      const bytes = Uint8Array.from(hello);
      const shared = new Uint8Array(new SharedArrayBuffer(9));
      shared.set(bytes);
      const foreign = runInNewContext(`Uint8Array.from(${JSON.stringify([...hello])})`) as Uint8Array;
      const sources = [bytes, hello, bytes.buffer, new DataView(bytes.buffer), shared, shared.buffer, foreign];
      for (const source of [...sources, foreign.buffer]) {
        expect([...decode(source)].map(latin1)).to.deep.equal(['hello']);
        expect([...decode([source, source])].map(latin1)).to.deep.equal(['hello', 'hello']);
        expect((await outcomeOf(decode(soon([source])))).items.map(latin1)).to.deep.equal(['hello']);
      }
      const inside = new DataView(Uint8Array.of(9, ...hello, 9).buffer, 1, 9);
      expect([...decode(inside)].map(latin1)).to.deep.equal(['hello']);
      expect([...decode([])]).to.deep.equal([]);
    });

    it('takes the options of the streams', () => {
      const chunks = [encode('1'), encode('22'), encode('3')];
      expect([...decode(chunks, json)]).to.deep.equal([1, 22, 3]);
      const batches = decode([Buffer.concat(chunks), ...chunks], { ...text, batch: true });
      expect([...batches]).to.deep.equal([['1', '22', '3'], ['1'], ['22'], ['3']]);
      const told: number[] = [];
      const skip = {
        maxPayloadLength: 1,
        oversize: 'skip',
        onOversize: (length: number, position: number) => void told.push(length, position),
      } as const;
      expect([...decode(chunks, { ...text, ...skip })]).to.deep.equal(['1', '3']);
      expect(told).to.deep.equal([2, 5]);
      const [view] = decode(hello);
      const [copy] = decode(hello, { copy: true });
      expect([view!.buffer === hello.buffer, copy!.buffer === hello.buffer]).to.deep.equal([true, false]);
    });

    it('refuses options and sources at once', () => {
      const wrong: [unknown, object, string, RegExp][] = [
        [hello, { lengthField: 'x' }, 'ERR_INVALID_ARG_VALUE', /'options.lengthField' must be one of/],
        [hello, { stream: true }, 'ERR_INVALID_ARG_VALUE', /'options.stream' must be false, or left out. .* \(true\)$/],
        [hello, { maxFrameLength: 1 }, 'ERR_INVALID_ARG_VALUE', /'options.maxFrameLength' must be left out/],
        [hello, null as never, 'ERR_INVALID_ARG_TYPE', /^The "options" argument must be an object\. Received null$/],
        ['text', {}, 'ERR_INVALID_ARG_TYPE', /^The "source" argument must be bytes, or an iterable of them/],
        [null, {}, 'ERR_INVALID_ARG_TYPE', /Received null$/],
        [undefined, {}, 'ERR_INVALID_ARG_TYPE', /Received undefined$/],
      ];
      for (const [source, options, code, message] of wrong) {
        const error = thrownBy(() => decode(source as Uint8Array, options));
        expect(error).to.include({ code });
        expect(error.message).to.match(message);
      }
    });

    it('refuses a value that is no chunk when it comes to it', () => {
      for (const chunk of ['text', 5, null, undefined, {}, [1]]) {
        const messages = decode([hello, chunk as Uint8Array]);
        expect(latin1(messages.next().value as Uint8Array)).to.equal('hello');
        const error = thrownBy(() => messages.next());
        expect(error).to.include({ code: 'ERR_INVALID_ARG_TYPE' });
        expect(error.message).to.match(/^The "chunk" argument must be an ArrayBuffer, or a view of one/);
      }
      expect(thrownBy(() => [...decode({} as ArrayBuffer)])).to.include({ code: 'ERR_INVALID_ARG_TYPE' });
    });

    it('gives decode bytes of its own kind, whatever the chunks are', () => {
      for (const chunk of [hello, Uint8Array.from(hello), runInNewContext(`Uint8Array.of(${[...hello]})`)]) {
        const kinds: boolean[] = [];
        const decodeOne = (bytes: Uint8Array, start: number, end: number) => {
          kinds.push(bytes instanceof (Bytes as typeof Uint8Array));
          return text.decode(bytes as Buffer, start, end);
        };
        for (const chunks of [[chunk], [chunk.subarray(0, 6), chunk.subarray(6)], [chunk, chunk]]) {
          expect(new Set(decode(chunks, { decode: decodeOne }))).to.deep.equal(new Set(['hello']));
        }
        expect(new Set(kinds)).to.deep.equal(new Set([true]));
      }
    });

    it('looks for a message when it is asked for, and for a chunk when that has none left', () => {
      const made: number[] = [];
      let chunks = 0;
      function* source() {
        for (; chunks < 2; ) {
          chunks++;
          yield Buffer.concat([hello, hello]);
        }
      }
      const messages = decode(source(), { decode: (_, start) => made.push(start) });
      expect([made, chunks]).to.deep.equal([[], 0]);
      messages.next();
      expect([made, chunks]).to.deep.equal([[4], 1]);
      messages.next();
      expect([made, chunks]).to.deep.equal([[4, 13], 1]);
      messages.next();
      expect(chunks).to.equal(2);
    });

    it('throws behind the messages before the fault', () => {
      const messages = decode(Buffer.concat([hello, fromHex('ff ff ff ff')]));
      expect(latin1(messages.next().value as Uint8Array)).to.equal('hello');
      expect(thrownBy(() => messages.next())).to.include({ code: 'ERR_FRAME_TOO_LONG', position: 9 });
      expect(messages.next()).to.deep.equal({ done: true, value: undefined });
    });

    it('lets go of a source that it leaves', async () => {
      let left = 0;
      function* chunks() {
        try {
          for (;;) yield hello;
        } finally {
          left++;
        }
      }
      async function* later() {
        yield* chunks();
      }
      for (const _message of decode(chunks())) break;
      for await (const _message of decode(later())) break;
      expect(left).to.equal(2);
      expect(thrownBy(() => [...decode(chunks(), { maxPayloadLength: 4 })])).to.include({ code: 'ERR_FRAME_TOO_LONG' });
      expect(left).to.equal(3);
      for await (const _message of decode(streamOf(chunks(), () => left++))) break;
      expect(left).to.equal(4);
    });

    it('reads streams that are no iterables, cancels one that it leaves, and unlocks it', async () => {
      let cancelled = 0;
      // As it is in a browser without them.
      const bare = (stream: ReadableStream<Uint8Array>) => ({ getReader: () => stream.getReader() });
      const endless = streamOf(
        (function* () {
          for (;;) yield hello;
        })(),
        () => cancelled++,
      );
      for await (const message of decode(bare(endless))) {
        expect(latin1(message)).to.equal('hello');
        break;
      }
      expect([cancelled, endless.locked]).to.deep.equal([1, false]);
      const ended = streamOf([hello], () => cancelled++);
      const { items, error } = await outcomeOf(decode(bare(ended)));
      expect(items.map(latin1)).to.deep.equal(['hello']);
      expect([error, ended.locked, cancelled]).to.deep.equal([undefined, false, 1]);
      const failure = new Error('mine');
      const failing = new ReadableStream<Uint8Array>({ start: (controller) => controller.error(failure) });
      expect((await outcomeOf(decode(bare(failing)))).error).to.equal(failure);
      expect(failing.locked).to.equal(false);
    });
  });

  describe(`encode of ${name}`, () => {
    it('gives the frame of any message', () => {
      fc.assert(
        fc.property(conversations, ({ options, messages, frames }) => {
          expect(messages.map((message) => Buffer.from(encode(message, options)))).to.deep.equal(frames);
        }),
        { numRuns: runs(200) },
      );
    });

    it('takes strings, parts and values, small and large', () => {
      expect(Buffer.from(encode('hello'))).to.deep.equal(hello);
      expect(Buffer.from(encode(['he', Buffer.from('llo')]))).to.deep.equal(hello);
      expect(Buffer.from(encode([1], { ...json, ...main.formats.protobuf }))).to.deep.equal(Buffer.from('\x03[1]'));
      expect(encode('x').constructor).to.equal(Bytes);
      const large = Buffer.alloc(100_000, 'x');
      for (const message of [large, ['', large], [large.subarray(0, 70_000), large.subarray(70_000)]]) {
        const frame = encode(message);
        expect(frame.constructor).to.equal(Bytes);
        expect(Buffer.from(frame.subarray(4)).equals(large)).to.equal(true);
        expect(frame.buffer).not.to.equal(large.buffer);
      }
      const many = Array.from({ length: 200_000 }, () => 'x');
      for (const format of [{}, main.formats.mqtt]) {
        expect(encode(['\x30', '\0', ...many], format).length).to.be.above(200_000);
      }
    });

    it('takes bytes of another realm, and nothing that only looks like bytes', () => {
      const foreign = runInNewContext('Uint8Array.of(104, 101, 108, 108, 111)') as Uint8Array;
      expect(Buffer.from(encode(foreign))).to.deep.equal(hello);
      expect(Buffer.from(encode([foreign.subarray(0, 2), foreign.subarray(2)]))).to.deep.equal(hello);
      for (const message of [Object.create(Uint8Array.prototype), new Int8Array(1), new DataView(new ArrayBuffer(1))]) {
        expect(thrownBy(() => encode(message))).to.include({ code: 'ERR_INVALID_ARG_TYPE' });
      }
    });

    it('says what is wrong', () => {
      expect(thrownBy(() => encode('long', { maxPayloadLength: 3 }))).to.include({ code: 'ERR_FRAME_TOO_LONG' });
      const error = thrownBy(() => encode(Number.NaN, json));
      expect(error).to.include({ code: 'ERR_FRAME_CORRUPT', position: 0 });
      expect(error.cause).to.be.instanceOf(TypeError);
      for (const message of [5, null, undefined, { length: 1, body: 'x' }]) {
        expect(thrownBy(() => encode(message as never))).to.include({ code: 'ERR_INVALID_ARG_TYPE' });
      }
      expect(thrownBy(() => encode('x', null as never))).to.include({ code: 'ERR_INVALID_ARG_TYPE' });
      expect(thrownBy(() => encode('x', { encode: 5 as never }))).to.include({ code: 'ERR_INVALID_ARG_TYPE' });
    });
  });
}

describe('lib/wire', () => {
  it('imports nothing but its own files, and nothing of Node', () => {
    const folder = new URL('../../../lib/wire/', import.meta.url);
    const files = readdirSync(folder).filter((file) => file.endsWith('.ts'));
    expect(files.length).to.be.above(10);
    for (const file of files) {
      const source = readFileSync(new URL(file, folder), 'utf8').replace(/\/\*.*?\*\/|\/\/.*$/gms, '');
      for (const [, imported] of source.matchAll(/ from ['"](.*)['"]/g))
        expect(imported, file).to.match(/^\.\/[\w-]+\.js$/);
      expect(source, file).not.to.match(/\b(Buffer\.(from|alloc|concat)|process\.|require\()/);
    }
  });
});
