import { Buffer } from 'node:buffer';
import { createRequire } from 'node:module';
import { Duplex, Readable, Transform } from 'node:stream';
import { ReadableStream, TransformStream } from 'node:stream/web';
import { setTimeout as delay } from 'node:timers/promises';
import { runInNewContext } from 'node:vm';
import { expect } from 'chai';
import fc from 'fast-check';
import { Decoder as FrameStreamDecoder } from 'frame-stream';
import * as itLengthPrefixed from 'it-length-prefixed';
import lengthPrefixedStream from 'length-prefixed-stream';
import * as userland from 'readable-stream';
import {
  type AnyDecoder,
  anyFormat,
  anyMessages,
  type CheckOptions,
  CutError,
  checkAnyCut,
} from '../../lib/fuzz/index.js';
import { json, LengthPrefixDecoder } from '../../lib/index.js';
import { decode, LengthPrefixDecoderStream } from '../../lib/web/index.js';
import { formatOptions } from '../../lib/wire/options.js';
import { turns } from '../support/frames.js';
import { runs } from '../support/runs.js';
import { encode } from '../support/streams.js';

const bytes = (text: string) => Buffer.from(text, 'latin1');

const small = bytes('\x05\0\0\0hello');
const hello = [bytes('hello')];
// Two messages and an empty one.
const wire = bytes('\x05\0\0\0hello\0\0\0\0\x02\0\0\0hi');
const messages = [bytes('hello'), bytes(''), bytes('hi')];

/** A decoder that is right, but for what the test does to it. */
class Right {
  #rest = Buffer.alloc(0);

  *take(chunk: Uint8Array): Generator<Buffer> {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    while (this.#rest.length >= 4 && this.#rest.length >= 4 + this.#rest.readUInt32LE()) {
      const end = 4 + this.#rest.readUInt32LE();
      yield this.#rest.subarray(4, end);
      this.#rest = this.#rest.subarray(end);
    }
  }
}

type Step = (chunk: Buffer, push: (message: unknown) => void, number: number) => void | Promise<void> | boolean;

/** The same decoder in each of the forms there are; a step that returns false is one that never comes to its end. */
const forms: Record<string, (step: () => Step) => AnyDecoder> = {
  'a Transform of node:stream': (step) => () => transform(Transform, step()),
  'a Transform of readable-stream': (step) => () =>
    transform(userland.Transform as unknown as typeof Transform, step()),
  'a TransformStream': (step) => () => {
    const take = step();
    let number = 0;
    return new TransformStream<Buffer, unknown>({
      async transform(chunk, controller) {
        if (take(chunk, (message) => controller.enqueue(message), number++) === false) await never();
      },
    });
  },
  'an async generator': (step) =>
    async function* (chunks) {
      const take = step();
      let number = 0;
      for await (const chunk of chunks) {
        const got: unknown[] = [];
        const isDone = take(chunk as Buffer, (message) => got.push(message), number++) !== false;
        yield* got;
        if (!isDone) await never();
      }
    },
  'a stream that is piped to': (step) => (chunks) => Readable.from(chunks).pipe(transform(Transform, step())),
};

function transform(Base: typeof Transform, take: Step): Transform {
  let number = 0;
  return new Base({
    readableObjectMode: true,
    transform(chunk, _encoding, callback) {
      try {
        if (take(chunk, (message) => this.push(message), number++) !== false) callback();
      } catch (error) {
        callback(error as Error);
      }
    },
  });
}

const never = () => new Promise<never>(() => {});

const right = (): Step => {
  const decoder = new Right();
  return (chunk, push) => {
    for (const message of decoder.take(chunk)) push(message);
  };
};

async function failure(
  decoder: AnyDecoder,
  given: Buffer = small,
  due: unknown[] = hello,
  options?: CheckOptions,
): Promise<CutError> {
  const error = await checkAnyCut(decoder, given, due, options).catch((thrown) => thrown);
  expect(error).to.be.instanceOf(CutError);
  return error;
}

/** The result, and the delays of the timers that expired meanwhile. */
async function expired<T>(run: () => Promise<T>): Promise<{ result: T; delays: number[] }> {
  const { setTimeout } = globalThis;
  const delays: number[] = [];
  globalThis.setTimeout = ((callback: () => void, ms: number) =>
    setTimeout(() => {
      delays.push(ms);
      callback();
    }, ms)) as typeof setTimeout;
  try {
    return { result: await run(), delays };
  } finally {
    globalThis.setTimeout = setTimeout;
  }
}

const sizesOf = ({ chunks }: CutError) => chunks.map(({ length }) => length);
const headOf = ({ message }: CutError) => message.split('\n')[0];

describe('checkAnyCut', () => {
  it('is there by import and by require, with a few other names', async () => {
    const imported = await import('length-prefix/fuzz');
    const names = ['CutError', 'Recut', 'anyCut', 'anyFormat', 'anyMessages', 'checkAnyCut'];
    expect(Object.keys(imported).sort()).to.deep.equal(names);
    expect(createRequire(import.meta.url)('length-prefix/fuzz').anyCut).to.equal(imported.anyCut);
  });

  for (const [name, form] of Object.entries(forms)) {
    describe(`of ${name}`, () => {
      it('passes one that is right, and says what was tried', async () => {
        expect(await checkAnyCut(form(right), small, hello)).to.deep.equal({ runs: 256 + 10, exhaustive: true });
        expect(await checkAnyCut(form(right), wire, messages, { runs: 400 })).to.deep.equal({
          runs: 400,
          exhaustive: false,
        });
      });

      it('finds a prefix that must not be cut, and nothing simpler', async () => {
        const lost = form(() => {
          const take = right();
          return (chunk, push, number) => (number > 0 || chunk.length > 3 ? take(chunk, push, number) : undefined);
        });
        const error = await failure(lost);
        expect(sizesOf(error)).to.deep.equal([1, 8]);
        expect(error.seed).to.equal(undefined);
        expect(error.expectedMessages).to.equal(hello);
      });

      it('tells of one that throws', async () => {
        const error = await failure(
          form(() => {
            const take = right();
            return (chunk, push, number) => {
              if (chunk.length < 9) chunk.readUInt32LE(5);
              return take(chunk, push, number);
            };
          }),
        );
        expect(headOf(error)).to.match(/^9 bytes in 2 chunks, 1 \+ 8: it fails after .* and 0 of 1 messages: ERR_/);
        expect(error.cause).to.be.instanceOf(RangeError);
        expect(error.message).to.match(/\n {2}actual {6}none$/);
      });

      it('tells of one that hangs', async () => {
        const hangs = form(() => {
          const take = right();
          return (chunk, push, number) => {
            take(chunk, push, number);
            return number < 1;
          };
        });
        const { result: error, delays } = await expired(() => failure(hangs, small, hello, { timeout: 50 }));
        // A source that is piped is read ahead.
        const input = name.includes('piped') ? 'the input ended' : '9 of 9 bytes';
        expect(headOf(error)).to.equal(
          `9 bytes in 2 chunks, 1 + 8: it hangs: after ${input} and 1 of 1 messages, nothing for 50 ms`,
        );
        expect(new Set(delays)).to.deep.equal(new Set([50]));
      });

      it('tells of messages that are wrong, too many, too few and glued', async () => {
        const changed = (change: (got: Buffer[], chunks: number) => Buffer[]) =>
          form(() => {
            const take = right();
            const got: Buffer[] = [];
            let length = 0;
            return (chunk, push, number) => {
              take(chunk, (message) => got.push(message as Buffer), number);
              length += chunk.length;
              if (length === wire.length && chunk.length > 0)
                for (const message of change(got, number + 1)) push(message);
            };
          });
        const head = async (change: (got: Buffer[], chunks: number) => Buffer[]) =>
          headOf(await failure(changed(change), wire, messages, { empty: false }));
        const cut = '19 bytes in 2 chunks, 1 + 18: ';
        expect(await head((got, chunks) => (chunks > 1 ? [got[0]!, got[2]!, got[1]!] : got))).to.equal(
          `${cut}message 2 is wrong`,
        );
        expect(await head((got, chunks) => (chunks > 1 ? [...got, bytes('more')] : got))).to.equal(
          `${cut}4 messages, not 3`,
        );
        expect(await head((got, chunks) => (chunks > 1 ? got.slice(0, 2) : got))).to.equal(`${cut}2 of 3 messages`);
        expect(await head((got, chunks) => (chunks > 1 ? [Buffer.concat(got)] : got))).to.equal(
          `${cut}message 1 is 3 messages glued together`,
        );
        expect(await head((got) => Array(300).fill(got[0]))).to.equal(
          '19 bytes in one chunk: it does not stop: more than 103 messages, not 3',
        );
      });
    });
  }

  const early: Record<string, AnyDecoder> = {
    'a Transform': () =>
      new Transform({
        readableObjectMode: true,
        transform(_chunk, _encoding, callback) {
          this.push(hello[0]);
          this.push(null);
          callback();
        },
      }),
    'a TransformStream': () =>
      new TransformStream({
        transform(_chunk, controller) {
          controller.enqueue(hello[0]);
          controller.terminate();
        },
      }),
    'an async generator': async function* (chunks) {
      for await (const _chunk of chunks) {
        yield hello[0];
        return;
      }
    },
  };
  for (const [name, decoder] of Object.entries(early)) {
    it(`tells of ${name} that ends early`, async () => {
      expect(headOf(await failure(decoder))).to.equal(
        '9 bytes in 2 chunks, 1 + 8: it ends after 1 of 9 bytes and 1 of 1 messages',
      );
    });
  }

  it('tells of a stream that is closed without a word', async () => {
    const closes = () => {
      const take = right();
      return new Transform({
        readableObjectMode: true,
        transform(chunk, _encoding, callback) {
          take(chunk, (message) => this.push(message), 0);
          if (chunk.length < 9) this.destroy();
          else callback();
        },
      });
    };
    expect(headOf(await failure(closes))).to.equal(
      '9 bytes in 2 chunks, 1 + 8: it closes without an end or an error, after 1 of 9 bytes and 0 of 1 messages',
    );
  });

  it('tells of what throws at once, or rejects', async () => {
    const thrown = new Error('mine');
    for (const decoder of [
      () => {
        throw thrown;
      },
      async () => {
        throw thrown;
      },
    ]) {
      const error = await failure(decoder as AnyDecoder);
      expect(headOf(error)).to.equal(
        '9 bytes in one chunk: it fails after 0 of 9 bytes and 0 of 1 messages: Error: mine',
      );
      expect(error.cause).to.equal(thrown);
    }
    expect(headOf(await failure((() => Promise.reject('why')) as never))).to.match(/messages: 'why'$/);
  });

  it('a decoder of this package is right: of values, made later, of no bytes and of one', async () => {
    const values = [{ a: 1 }, 'b', [3]];
    const given = await encode(values.map((value) => JSON.stringify(value)));
    await checkAnyCut(async () => new LengthPrefixDecoder(json), given, values, { runs: 200 });
    expect(headOf(await failure(() => new LengthPrefixDecoder(json), given, [{ a: 2 }]))).to.include(
      'message 1 is wrong',
    );
    expect(await checkAnyCut(() => new LengthPrefixDecoder(), Buffer.alloc(0), [])).to.deep.equal({
      runs: 2,
      exhaustive: true,
    });
    const one = { lengthField: 'uint8' } as const;
    const tried = await checkAnyCut(() => new LengthPrefixDecoder(one), Buffer.alloc(1), [new Uint8Array(0)]);
    expect(tried).to.deep.equal({ runs: 3, exhaustive: true });
  });

  it('tries every way to cut a short wire, once, and one byte at a time with two decoders at last', async () => {
    const cuts: string[] = [];
    const decoder: AnyDecoder = async function* (chunks) {
      const sizes: number[] = [];
      for await (const chunk of chunks) sizes.push(chunk.length);
      cuts.push(sizes.join());
      yield* [];
    };
    await checkAnyCut(decoder, Buffer.alloc(11), [], { empty: false });
    expect(cuts.splice(1024)).to.deep.equal(Array(2).fill(Array(11).fill(1).join()));
    expect(new Set(cuts)).to.have.lengthOf(1024);
    expect(cuts.slice(0, 12)).to.deep.equal([
      '11',
      ...Array.from({ length: 10 }, (_, i) => `${i + 1},${10 - i}`),
      '1,1,9',
    ]);
    cuts.length = 0;
    await checkAnyCut(decoder, Buffer.alloc(3), []);
    expect(cuts).to.deep.equal(['3', '1,2', '2,1', '1,1,1', '0,3', '1,0,2', '2,0,1', '3,0', '1,1,1', '1,1,1']);
  });

  it('tries exactly as many cuts as it is told, or all there are', async () => {
    for (let length = 0; length < 14; length++) {
      for (const empty of [true, false]) {
        const all = 2 ** Math.max(0, length - 1) + (empty ? length + 1 : 0);
        for (const runs of [1, 2, 3, 7, 8, 100, 1024]) {
          let calls = 0;
          const decoder: AnyDecoder = async function* (chunks) {
            calls++;
            for await (const _chunk of chunks);
            yield* [];
          };
          const tried = await checkAnyCut(decoder, Buffer.alloc(length), [], { runs, empty });
          const expected = { runs: Math.min(runs, all), exhaustive: all <= runs };
          expect(tried, `${length} bytes, ${runs} runs`).to.deep.equal(expected);
          // The last two run at the same time.
          expect(calls).to.equal(expected.runs + 2);
        }
      }
    }
  });

  describe('of a decoder that reads its chunks late', () => {
    async function* later(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
      yield* chunks;
    }

    it('does not write to a stream that a generator is piped into', async () => {
      let made = 0;
      const lazy: AnyDecoder = (chunks) => {
        made++;
        return Readable.from(later(chunks)).pipe(new LengthPrefixDecoder() as never);
      };
      expect(await checkAnyCut(lazy, wire, messages, { runs: 200 })).to.include({ runs: 200 });
      expect(made).to.equal(202);
      const web: AnyDecoder = (chunks) => {
        made++;
        const stream = new LengthPrefixDecoderStream();
        ReadableStream.from(later(chunks)).pipeTo(stream.writable as never);
        return stream;
      };
      expect(await checkAnyCut(web, wire, messages, { runs: 200 })).to.include({ runs: 200 });
      expect(made).to.equal(404);
      const foreign: AnyDecoder = (chunks) =>
        Readable.from(later(chunks)).pipe(transform(Transform, (chunk, push) => void push(chunk)));
      expect(headOf(await failure(foreign))).to.equal('9 bytes in one chunk: message 1 is wrong');
    });

    it('starts again with one that begins to read when it was written to already', async () => {
      let made = 0;
      const late: AnyDecoder = (chunks) => {
        made++;
        const stream = new LengthPrefixDecoder();
        turns(4).then(() => Readable.from(chunks).pipe(stream as never));
        return stream;
      };
      const { runs: tried } = await checkAnyCut(late, wire, messages, { runs: 20 });
      expect(made).to.be.above(tried + 2);
    });
  });

  it('takes a wire and messages of another realm', async () => {
    const foreign = (source: string) => runInNewContext(`(${source})`);
    const given = foreign('new Uint8Array([5, 0, 0, 0, 104, 101, 108, 108, 111])');
    const due = foreign('[new Uint8Array([104, 101, 108, 108, 111])]');
    expect(await checkAnyCut(() => new LengthPrefixDecoder(), given, due)).to.include({ exhaustive: true });
    const values = foreign('[{ a: [1] }, [new Map()]]');
    const objects = {
      decode: (_bytes: Uint8Array, start: number, end: number) => (end > start ? { a: [1] } : [new Map()]),
    };
    const two = bytes('\x01\0\0\0.\0\0\0\0');
    expect(await checkAnyCut(() => new LengthPrefixDecoder(objects), two, values)).to.include({ exhaustive: true });
    const glues: AnyDecoder = async function* (chunks) {
      for await (const _chunk of chunks);
      yield foreign('new Uint8Array([104, 105])');
    };
    const error = await failure(glues, Buffer.alloc(1), [bytes('h'), bytes('i')]);
    expect(headOf(error)).to.equal('1 byte in one chunk: message 1 is 2 messages glued together');
    expect(error.message).to.include('actual 1    68 69 |hi|');
    const throws: AnyDecoder = () => {
      throw foreign('Object.assign(new RangeError("theirs"), { code: "ERR_THEIRS" })');
    };
    expect(headOf(await failure(throws))).to.match(/messages: ERR_THEIRS: theirs$/);
  });

  describe('of decoders that share state', () => {
    const shared = () => {
      const rest = new Right();
      return (): Step => (chunk, push) => {
        for (const message of rest.take(chunk)) push(message);
      };
    };
    for (const [name, form] of Object.entries(forms)) {
      it(`finds it with two at once: ${name}`, async () => {
        const error = await failure(form(shared()), wire, messages, { runs: 50 });
        expect(headOf(error)).to.match(/^19 bytes in 19 chunks, (1 \+ ){16}\.\.\., 2 decoders at once: /);
        expect(error.seed).to.equal(undefined);
      });
    }
  });

  describe('of a decoder that uses memory again', () => {
    /** Copies each message to the start of the same memory. */
    const reuses = (): Step => {
      const memory = Buffer.alloc(100);
      const take = right();
      return (chunk, push, number) =>
        take(
          chunk,
          (message) => {
            (message as Buffer).copy(memory);
            push(memory.subarray(0, (message as Buffer).length));
          },
          number,
        );
    };
    for (const [name, form] of Object.entries(forms)) {
      it(`tells of messages that change: ${name}`, async () => {
        // Where a form takes no message before the whole chunk is decoded, the memory was used again by then.
        const isEarly = name.startsWith('a Transform of');
        expect(headOf(await failure(form(reuses), wire, messages))).to.equal(
          `19 bytes in one chunk: message 1 ${isEarly ? 'changed after it was handed out' : 'is wrong'}`,
        );
        await checkAnyCut(form(reuses), small, hello);
      });
    }

    it('passes views of a chunk, unless chunks are overwritten', async () => {
      const views = () => new LengthPrefixDecoder();
      const copies = () => new LengthPrefixDecoder({ copy: true });
      for (const form of [(make: AnyDecoder) => make, readByUs]) {
        await checkAnyCut(form(views), wire, messages, { runs: 50 });
        await checkAnyCut(form(copies), wire, messages, { runs: 50, overwrite: true });
        expect(headOf(await failure(form(views), wire, messages, { overwrite: true }))).to.equal(
          '19 bytes in one chunk: message 1 changed after it was handed out',
        );
      }
    });

    /** Writes the chunks to the decoder in a generator. */
    function readByUs(make: AnyDecoder): AnyDecoder {
      return async function* (chunks) {
        const stream = (await make(chunks)) as LengthPrefixDecoder;
        for await (const chunk of chunks) {
          stream.write(chunk);
          for (let message = stream.read(); message !== null; message = stream.read()) yield message;
        }
      };
    }
  });

  describe('with prompt', () => {
    /** Hands out a message when the next chunk comes, or at the end. */
    const holds = () => {
      const decoder = new Right();
      const held: Buffer[] = [];
      return new Transform({
        readableObjectMode: true,
        transform(chunk, _encoding, callback) {
          for (const message of held.splice(0)) this.push(message);
          held.push(...decoder.take(chunk));
          callback();
        },
        flush(callback) {
          for (const message of held) this.push(message);
          callback();
        },
      });
    };

    const forms: Record<string, AnyDecoder> = {
      'a Transform': holds,
      'a Transform, piped to': (chunks) => Readable.from(chunks).pipe(holds()),
      'a TransformStream': () => {
        const { readable, writable } = Duplex.toWeb(holds());
        return { readable, writable };
      },
      'an async generator': async function* (chunks) {
        yield* Readable.from(chunks).pipe(holds());
      },
    };
    for (const [name, decoder] of Object.entries(forms)) {
      it(`tells of one that holds a message until the next chunk or the end: ${name}`, async () => {
        await checkAnyCut(decoder, wire, messages, { runs: 50 });
        const options = { prompt: true, timeout: 60 };
        const { result: error, delays } = await expired(() => failure(decoder, wire, messages, options));
        expect(headOf(error)).to.equal(
          '19 bytes in one chunk: it holds a message back: after 19 of 19 bytes and 0 of 3 messages, nothing for 60 ms',
        );
        expect(new Set(delays)).to.deep.equal(new Set([60]));
      });
    }

    it('ends the decoders that it stopped', async () => {
      let open = 0;
      const generator: AnyDecoder = async function* (chunks) {
        open++;
        try {
          for await (const _chunk of chunks);
          yield hello[0];
        } finally {
          open--;
        }
      };
      await checkAnyCut(generator, small, hello);
      await failure(generator, small, hello, { prompt: true, timeout: 20 });
      await turns();
      expect(open).to.equal(0);
    });

    const decoders: Record<string, AnyDecoder> = {
      LengthPrefixDecoder: () => new LengthPrefixDecoder({ lengthField: 'uint8' }),
      'LengthPrefixDecoder, piped to': (chunks) =>
        Readable.from(chunks).pipe(new LengthPrefixDecoder({ lengthField: 'uint8' }) as never),
      LengthPrefixDecoderStream: () => new LengthPrefixDecoderStream({ lengthField: 'uint8' }),
      decode: (chunks) => decode(chunks, { lengthField: 'uint8' }),
      'frame-stream': () =>
        new FrameStreamDecoder({ getLength: (prefix: Buffer) => prefix[0]!, lengthSize: 1 } as never),
      'length-prefixed-stream': () => lengthPrefixedStream.decode(),
      'it-length-prefixed': async function* (chunks) {
        for await (const message of itLengthPrefixed.decode(chunks)) yield message.subarray();
      },
    };
    for (const [name, decoder] of Object.entries(decoders)) {
      it(`passes ${name}`, async () => {
        await checkAnyCut(decoder, bytes('\x05hello\x01a\x02hi'), [bytes('hello'), bytes('a'), bytes('hi')], {
          prompt: true,
          empty: false,
          runs: 512,
        });
      });
    }
  });

  describe('of a long wire', () => {
    const count = 300;
    const long = Buffer.concat(Array.from({ length: count }, (_, i) => Buffer.from([1, 0, 0, 0, i])));
    const due = Array.from({ length: count }, (_, i) => Buffer.of(i));
    const decoderThat = (fails: (sizes: number[]) => boolean): AnyDecoder =>
      async function* (chunks) {
        const take = new Right();
        const sizes: number[] = [];
        for await (const chunk of chunks) {
          sizes.push(chunk.length);
          for (const message of take.take(chunk)) if (!fails(sizes)) yield message;
        }
      };

    it('finds by its boundaries what is rare, from any seed, and makes it as simple as can be', async () => {
      const options = { boundaries: {}, runs: 300 };
      for (let seed = 0; seed < 20; seed++) {
        // Both cuts in a row, in the place where a prefix has two bytes left.
        const error = await failure(
          decoderThat((sizes) => sizes.at(-2) === 3 && sizes.length > 2),
          long,
          due,
          {
            ...options,
            seed,
          },
        );
        expect(sizesOf(error)).to.deep.equal([1, 3, 1496]);
        expect(error.seed).to.equal(seed);
        expect(error.message).to.match(new RegExp(`\\n {2}again with +seed: ${seed}$`));
      }
    });

    it('is the same again with the seed that it told', async () => {
      const decoder = decoderThat((sizes) => sizes.length > 3 && sizes.at(-1)! % 7 === 0 && sizes.at(-1)! > 0);
      const first = await failure(decoder, long, due, { boundaries: {} });
      expect(first.seed).to.be.a('number');
      const again = await failure(decoder, long, due, { boundaries: {}, seed: first.seed });
      expect(again.message).to.equal(first.message);
    });

    it('one byte at a time is always among them', async () => {
      const decoder = decoderThat((sizes) => sizes.length > 70);
      const error = await failure(decoder, long.subarray(0, 75), due.slice(0, 15), { runs: 1 });
      expect(sizesOf(error)).to.have.lengthOf(71);
      expect(headOf(error)).to.match(/^75 bytes in 71 chunks, (1 \+ ){16}\.\.\.: 14 of 15 messages$/);
    });

    it('shows only what is of interest', async () => {
      const { message } = await failure(
        decoderThat((sizes) => sizes.length > 1),
        long,
        due,
        { seed: 1 },
      );
      expect(message.split('\n').length).to.be.below(25);
      const longer = Buffer.concat([Buffer.from([100, 0, 0, 0]), Buffer.alloc(100, 7)]);
      const error = await failure(
        decoderThat(() => true),
        longer,
        [longer.subarray(4)],
      );
      expect(error.message).to.equal(`104 bytes in one chunk: 0 of 1 messages
  chunk 1     64 00 00 00 07 07 07 07 07 07 07 07 ... 07 07 07 07 07 07 07 07 07 07 07 07, 104 bytes
  expected 1  07 07 07 07 07 07 07 07 07 07 07 07 ... 07 07 07 07 07 07 07 07 07 07 07 07, 100 bytes
  actual      none`);
    });

    it('a hang is found, made simpler in little time, and tried again in full', async () => {
      const hangs: AnyDecoder = async function* (chunks) {
        const take = new Right();
        let number = 0;
        for await (const chunk of chunks) {
          if (++number > 2) await never();
          yield* take.take(chunk);
        }
      };
      const options = { timeout: 500, runs: 5, seed: 1 };
      const { result: error, delays } = await expired(() => failure(hangs, long, due, options));
      expect(sizesOf(error)).to.deep.equal([1, 1, 1498]);
      expect(headOf(error)).to.match(/nothing for 500 ms$/);
      // Both times in full, and a few times briefly.
      expect(delays.filter((ms) => ms !== 25)).to.deep.equal([500, 500]);
      expect(delays.length).to.be.within(3, 50);
    });

    it('stops the search for a simpler cut in time, with the simplest that it found, and says so', async () => {
      const slow = decoderThat((sizes) => sizes.length > 200);
      const { now } = performance;
      // Each cut takes 20 ms.
      let tries = 0;
      const late: AnyDecoder = (chunks) => {
        tries++;
        return slow(chunks);
      };
      performance.now = () => 20 * tries;
      try {
        const error = await failure(late, long, due, { runs: 2, shrinkTimeout: 150 });
        // Two at the most until it fails, and then as many as take 150 ms.
        expect(tries).to.be.within(8, 2 + 8);
        expect(sizesOf(error).length).to.be.within(202, 1400);
        expect(error.message).to.match(/\n {2}again with +seed: -?\d+\n {2}shrinking +stopped after 150 ms; .*$/);
      } finally {
        performance.now = now;
      }
      const first = await failure(late, long, due, { runs: 2, shrinkTimeout: 0 });
      expect(sizesOf(first)).to.have.lengthOf(1500);
      expect(first.message).to.match(/stopped after 0 ms/);
      const simplest = await failure(slow, long, due, { runs: 2, shrinkTimeout: 15_000 });
      expect(sizesOf(simplest)).to.have.lengthOf(201);
      expect(simplest.message).to.not.include('stopped');
    });

    it('one that is slow is not taken for one that hangs', async () => {
      let calls = 0;
      const slow: AnyDecoder = async function* (chunks) {
        const take = new Right();
        // Hangs once, and is slow from then on.
        if (++calls === 2) await never();
        for await (const chunk of chunks) yield* take.take(chunk);
        if (calls > 2) await delay(60);
      };
      const error = await failure(slow, long, due, { timeout: 200, runs: 3 });
      expect(sizesOf(error).length).to.equal(1500);
    });
  });

  it('a stream is given each chunk in a turn of its own', async () => {
    const early: number[] = [];
    const decoder = () => {
      let isNew = true;
      return transform(Transform, (_chunk, _push, number) => {
        if (!isNew) early.push(number);
        isNew = false;
        setImmediate(() => {
          isNew = true;
        });
      });
    };
    await checkAnyCut(decoder, Buffer.alloc(4), []);
    expect(early).to.deep.equal([]);
  });

  it('a timeout may be longer than a timer of Node', async () => {
    const slow: AnyDecoder = async function* (chunks) {
      await delay(20);
      yield* decode(chunks);
    };
    await checkAnyCut(slow, small, hello, { runs: 2, timeout: 2 ** 31 });
  });

  it('a decoder that goes on slowly does not hang', async () => {
    const slow: AnyDecoder = async function* (chunks) {
      const take = new Right();
      const got: Buffer[] = [];
      for await (const chunk of chunks) got.push(...take.take(chunk));
      for (const message of got) {
        await delay(60);
        yield message;
      }
    };
    expect(await checkAnyCut(slow, wire, messages, { runs: 2, timeout: 100 })).to.include({ runs: 2 });
  });

  it('destroys every stream, and ends every generator, whatever happened', async () => {
    const made: Transform[] = [];
    const make = (take: Step) => () => {
      const stream = transform(Transform, take);
      made.push(stream);
      return stream;
    };
    await failure(
      make(() => false),
      small,
      hello,
      { timeout: 20 },
    );
    await failure(make((chunk) => void chunk.readUInt32LE(5)));
    await failure(make((chunk, push) => push(chunk)));
    expect(made.length).to.be.greaterThan(2);
    expect(made.every(({ destroyed }) => destroyed)).to.equal(true);

    let open = 0;
    const generator: AnyDecoder = async function* (chunks) {
      open++;
      try {
        for await (const _chunk of chunks) for (;;) yield 1;
      } finally {
        open--;
      }
    };
    await failure(generator);
    expect(open).to.equal(0);

    const released: string[] = [];
    const web: AnyDecoder = () => ({
      readable: new ReadableStream({
        pull: (controller) => turns().then(() => controller.enqueue(1)),
        cancel: () => void released.push('readable'),
      }),
      writable: new WritableStream({
        write: () => turns(200),
        abort: () => void released.push('writable'),
      }),
    });
    await failure(web, wire, messages, { empty: false });
    await turns(300);
    expect(released).to.deep.equal(['readable', 'writable']);
  });

  it('what a decoder does to its chunks is not in what is shown, nor in the wire', async () => {
    const given = Buffer.from(small);
    const error = await failure(() => transform(Transform, (chunk) => void chunk.fill(0xee)), given);
    expect(given).to.deep.equal(small);
    expect(error.message).to.include('chunk 1     05 00 00 00 68 65 6c 6c 6f |....hello|');
  });

  it('refuses what it can not use', async () => {
    const refused = async (run: () => Promise<unknown>) =>
      (await run().catch((error) => error)) as Error & { code: string };
    const decoder = () => new LengthPrefixDecoder();
    expect(await refused(() => checkAnyCut('x' as never, small, hello))).to.include({
      code: 'ERR_INVALID_ARG_TYPE',
      message: `The "decoder" argument must be a function that makes a decoder, such as () => new MyDecoder(). Received 'x'`,
    });
    expect(await refused(() => checkAnyCut(decoder, 'x' as never, hello))).to.include({
      message: `The "bytes" argument must be a Buffer or Uint8Array. Received 'x'`,
    });
    expect(await refused(() => checkAnyCut(decoder, small, undefined as never))).to.include({
      message: 'The "messages" argument must be an array. Received undefined',
    });
    for (const options of [{ runs: 0 }, { timeout: -1 }, { timeout: 1.5 }, { shrinkTimeout: -1 }]) {
      expect(await refused(() => checkAnyCut(decoder, small, hello, options))).to.include({ code: 'ERR_OUT_OF_RANGE' });
    }
  });
});

describe('anyFormat and anyMessages', () => {
  it('are formats and messages that go through an encoder and a decoder', async () => {
    await fc.assert(
      fc.asyncProperty(
        anyFormat().chain((format) => fc.tuple(fc.constant(format), anyMessages(format))),
        async ([format, list]) => {
          const options = { boundaries: format, runs: 3 };
          await checkAnyCut(() => new LengthPrefixDecoder(format), await encode(list, format), list, options);
        },
      ),
      { numRuns: runs(50) },
    );
  });

  it('know every option and every named length field, empty messages and those that need two bytes', () => {
    const formats = fc.sample(anyFormat(), { seed: 1, numRuns: 1000 });
    expect(new Set(formats.map(({ lengthField }) => lengthField))).to.have.lengthOf(16);
    for (const name of formatOptions.filter((option) => option !== 'lengthField')) {
      expect(formats.filter((format) => name in format).length, name).to.be.greaterThan(100);
      expect(formats.filter((format) => !(name in format)).length, name).to.be.greaterThan(100);
    }
    const sizes = fc
      .sample(anyMessages(), { seed: 1, numRuns: 1000 })
      .flat()
      .map(({ length }) => length);
    for (const size of [0, 1, 127, 128, 255, 256]) expect(sizes).to.include(size);
    expect(Math.max(...sizes)).to.be.within(3000, 5000);
  });

  it('keep to a short list of length fields, and to what a format can carry', () => {
    expect(new Set(fc.sample(anyFormat(['varint', 'uint8']), 50).map(({ lengthField }) => lengthField))).to.deep.equal(
      new Set(['varint', 'uint8']),
    );
    const sizes = fc
      .sample(anyMessages({ lengthField: 'uint8', lengthAdjustment: 2, maxPayloadLength: 3 }), 100)
      .flat();
    expect(new Set(sizes.map(({ length }) => length))).to.deep.equal(new Set([2, 3]));
  });

  it('shrink to the simplest', () => {
    for (let seed = 0; seed < 50; seed++) {
      const format = fc.check(
        fc.property(anyFormat(), ({ lengthFieldOffset = 0 }) => lengthFieldOffset < 3),
        { seed, numRuns: 1000 },
      );
      expect(format.counterexample).to.deep.equal([{ lengthField: 'uint8', lengthFieldOffset: 3 }]);
      const list = fc.check(
        fc.property(anyMessages(), (all) => all.every(({ length }) => length < 3)),
        { seed, numRuns: 1000 },
      );
      expect(list.counterexample).to.deep.equal([[Buffer.of(0, 1, 2)]]);
    }
  });
});
