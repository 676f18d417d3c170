import { readFileSync } from 'node:fs';
import { runInNewContext } from 'node:vm';
import { expect } from 'chai';
import fc from 'fast-check';
import {
  type ByteChunk,
  decode,
  encode,
  formats,
  json,
  LengthPrefixEncoderStream,
  type Message,
  text,
} from '../../lib/web/index.js';
import { conversations, truncatedConversations } from '../properties/arbitraries.js';
import { runs } from '../support/runs.js';
import { fromHex, outcomeOf, thrownBy } from '../support/streams.js';
import { streamOf, utf8, writeAll } from './support.js';

const hello = fromHex('05000000 68656c6c6f');

async function* soon<T>(chunks: Iterable<T>) {
  yield* chunks;
}

describe('decode', () => {
  it('gives the messages of any bytes, from any iterable, and those in front of a truncation', async () => {
    await fc.assert(
      fc.asyncProperty(truncatedConversations, async ({ options, messages, frames, wire: { length }, chunks }) => {
        let whole = 0;
        let end = 0;
        while (whole < frames.length && end + frames[whole]!.length <= length) end += frames[whole++]!.length;
        for (const source of [chunks, new Set(chunks), soon(chunks), streamOf<Uint8Array>(chunks)]) {
          const { items, error } = await outcomeOf(decode(source as AsyncIterable<Uint8Array>, options));
          expect(items.map((item) => Buffer.from(item))).to.deep.equal(messages.slice(0, whole));
          if (end === length) expect(error).to.equal(undefined);
          else expect(error).to.include({ code: 'ERR_FRAME_TRUNCATED', position: end });
        }
      }),
      { numRuns: runs(100) },
    );
  });

  it('takes bytes for one chunk', () => {
    const bytes = Uint8Array.from(hello);
    for (const source of [bytes, bytes.buffer, new DataView(bytes.buffer), hello]) {
      expect([...decode(source)].map(utf8)).to.deep.equal(['hello']);
    }
  });

  it('takes the options of the streams', () => {
    const wire = [encode('1'), encode('22'), encode('3')];
    expect([...decode(wire, json)]).to.deep.equal([1, 22, 3]);
    expect([...decode([Buffer.concat(wire)], { ...text, batch: true })]).to.deep.equal([['1', '22', '3']]);
    const told: number[] = [];
    const skip = {
      maxPayloadLength: 1,
      oversize: 'skip',
      onOversize: (length: number) => void told.push(length),
    } as const;
    expect([...decode(wire, { ...text, ...skip })]).to.deep.equal(['1', '3']);
    expect(told).to.deep.equal([2]);
  });

  it('refuses options and sources at once', () => {
    const wrong: [unknown, object, string, RegExp][] = [
      [hello, { lengthField: 'x' }, 'ERR_INVALID_ARG_VALUE', /'options.lengthField' must be one of/],
      [hello, { stream: true }, 'ERR_INVALID_ARG_VALUE', /'options.stream' must be false, or left out. .* \(true\)$/],
      ['text', {}, 'ERR_INVALID_ARG_TYPE', /^The "source" argument must be bytes, or an iterable of them/],
      [null, {}, 'ERR_INVALID_ARG_TYPE', /Received null$/],
    ];
    for (const [source, options, code, message] of wrong) {
      const error = thrownBy(() => decode(source as ByteChunk, options));
      expect(error).to.include({ code });
      expect(error.message).to.match(message);
    }
    expect(thrownBy(() => [...decode({} as ArrayBuffer)])).to.include({ code: 'ERR_INVALID_ARG_TYPE' });
    expect(thrownBy(() => [...decode(['text'] as unknown as ByteChunk[])])).to.include({
      code: 'ERR_INVALID_ARG_TYPE',
    });
  });

  it('looks for a message when it is asked for', () => {
    const made: number[] = [];
    const messages = decode(Buffer.concat([hello, hello]), { decode: (_, start) => made.push(start) });
    expect(made).to.deep.equal([]);
    messages.next();
    expect(made).to.deep.equal([4]);
  });

  it('reads streams that are no iterables, and cancels one that it leaves', async () => {
    let cancelled = false;
    const stream = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(hello),
      cancel: () => {
        cancelled = true;
      },
    });
    Object.defineProperty(stream, Symbol.asyncIterator, { value: undefined });
    // As it is in a browser without them.
    const bare = { getReader: () => stream.getReader() } as unknown as ReadableStream<Uint8Array>;
    for await (const message of decode(bare)) {
      expect(utf8(message)).to.equal('hello');
      break;
    }
    expect(cancelled).to.equal(true);
    const ended = streamOf<Uint8Array>([hello]);
    const { items, error } = await outcomeOf(decode({ getReader: () => ended.getReader() } as typeof ended));
    expect(items.map(utf8)).to.deep.equal(['hello']);
    expect(error).to.equal(undefined);
    expect(ended.locked).to.equal(false);
  });
});

describe('encode', () => {
  it('gives the frame of any message', () => {
    fc.assert(
      fc.property(conversations, ({ options, messages, frames }) => {
        expect(messages.map((message) => Buffer.from(encode(message, options)))).to.deep.equal(frames);
      }),
      { numRuns: runs(200) },
    );
  });

  it('takes strings, parts and values', () => {
    expect(Buffer.from(encode('hello'))).to.deep.equal(hello);
    expect(Buffer.from(encode(['he', Buffer.from('llo')]))).to.deep.equal(hello);
    expect(Buffer.from(encode([1], { ...json, ...formats.protobuf }))).to.deep.equal(Buffer.from('\x03[1]'));
    expect(encode('x').constructor).to.equal(Uint8Array);
    const many = Array.from({ length: 200_000 }, () => 'x');
    for (const format of [{}, formats.mqtt]) {
      expect(encode(['\x30', '\0', ...many], format).length).to.be.above(200_000);
    }
  });

  it('says what is wrong', () => {
    expect(thrownBy(() => encode('long', { maxPayloadLength: 3 }))).to.include({ code: 'ERR_FRAME_TOO_LONG' });
    expect(thrownBy(() => encode(Number.NaN, json))).to.include({ code: 'ERR_FRAME_CORRUPT' });
    for (const message of [5, null, { length: 1, body: 'x' }]) {
      expect(thrownBy(() => encode(message as unknown as string))).to.include({ code: 'ERR_INVALID_ARG_TYPE' });
    }
    expect(thrownBy(() => encode('x', null as unknown as object))).to.include({ code: 'ERR_INVALID_ARG_TYPE' });
    expect(thrownBy(() => encode('x', { encode: 5 as unknown as () => string }))).to.include({
      code: 'ERR_INVALID_ARG_TYPE',
    });
  });
});

describe('bytes of another realm, and what only looks like bytes', () => {
  const foreign = runInNewContext('Uint8Array.of(104, 101, 108, 108, 111)') as Uint8Array;

  it('are taken', async () => {
    expect(foreign).not.to.be.instanceOf(Uint8Array);
    expect(Buffer.from(encode(foreign))).to.deep.equal(hello);
    expect(Buffer.from(encode(foreign, { lengthField: 'uint8', header: foreign.subarray(0, 1) })).at(-1)).to.equal(
      0x6f,
    );
    expect([...decode(hello.buffer.slice(hello.byteOffset, hello.byteOffset + 9), text)]).to.deep.equal(['hello']);
    const { readable, writable } = new LengthPrefixEncoderStream();
    const writes = writeAll<Message>(writable, [foreign, { length: 5, body: foreign }]);
    const { items } = await outcomeOf(readable);
    expect(Buffer.concat(items)).to.deep.equal(Buffer.concat([hello, hello]));
    await writes;
  });

  it('is refused', () => {
    for (const message of [Object.create(Uint8Array.prototype), new Int8Array(1), new DataView(new ArrayBuffer(1))]) {
      expect(thrownBy(() => encode(message))).to.include({ code: 'ERR_INVALID_ARG_TYPE' });
    }
  });
});

describe('text and json of length-prefix/web', () => {
  it('are strict', async () => {
    expect([...decode(encode('\ufeffé\ufffd', text), text)]).to.deep.equal(['\ufeffé\ufffd']);
    const error = thrownBy(() => [...decode(encode(Buffer.of(0xff)), text)]);
    expect(error).to.include({ code: 'ERR_FRAME_CORRUPT' });
    expect(error.cause).to.be.instanceOf(TypeError);
    expect(thrownBy(() => [...decode(encode('nope'), json)])).to.include({ code: 'ERR_FRAME_CORRUPT' });
    expect(thrownBy(() => [...decode(encode('null'), json)])).to.include({ code: 'ERR_FRAME_CORRUPT' });
  });
});

describe('length-prefix/web', () => {
  it('is reached by its name', async () => {
    const entry = await import('length-prefix/web');
    expect(Object.keys(entry).sort()).to.deep.equal([
      'FrameError',
      'LengthPrefixDecoderStream',
      'LengthPrefixEncoderStream',
      'decode',
      'encode',
      'formats',
      'json',
      'text',
    ]);
  });

  it('imports nothing but its own files', () => {
    const seen = new Set<string>();
    const visit = (url: URL): void => {
      if (seen.has(url.href)) return;
      seen.add(url.href);
      const source = readFileSync(url, 'utf8');
      for (const [, name] of source.matchAll(/^(?:import|export) .*from ['"](.*)['"];$/gm)) {
        expect(name, url.href).to.match(/^\.\.?\//);
        visit(new URL(name!, url));
      }
    };
    visit(new URL('../../lib/web/index.js', import.meta.url));
    expect(seen.size).to.be.above(10);
  });
});
