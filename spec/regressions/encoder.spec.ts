import { Buffer } from 'node:buffer';
import { createRequire } from 'node:module';
import process from 'node:process';
import { Readable } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { createContext, runInContext } from 'node:vm';
import { expect } from 'chai';
import { type LengthField, LengthPrefixEncoder, type LengthPrefixEncoderOptions } from '../../lib/index.js';
import { codeOf } from '../support/streams.js';

const KIB = 1024;

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await turn();
}

function frame(payload: Uint8Array | string): Buffer {
  const bytes = Buffer.from(payload as Uint8Array);
  const head = Buffer.alloc(4);
  head.writeUInt32LE(bytes.length);
  return Buffer.concat([head, bytes]);
}

function quiet(options?: LengthPrefixEncoderOptions) {
  const encoder = new LengthPrefixEncoder<any>(options);
  const errors: unknown[] = [];
  encoder.on('error', (error) => errors.push(error));
  return { encoder, errors };
}

/** An encoder that is read as it comes. */
function flowing(options?: LengthPrefixEncoderOptions) {
  const { encoder, errors } = quiet(options);
  const chunks: Buffer[] = [];
  encoder.on('data', (chunk) => chunks.push(chunk));
  return { encoder, errors, chunks };
}

describe('an encoder, as it must be', () => {
  describe("'readable' and read() in a loop", () => {
    for (const marks of [{}, { readableHighWaterMark: 1000 }, { highWaterMark: KIB * KIB }]) {
      it(`give a large message before the small one behind it: ${JSON.stringify(marks)}`, async () => {
        const { encoder } = quiet(marks);
        const got: Buffer[] = [];
        encoder.on('readable', () => {
          for (let chunk = encoder.read(); chunk !== null; chunk = encoder.read()) got.push(chunk);
        });
        const large = Buffer.alloc(100_000, 1);
        encoder.write(large);
        encoder.write('small');
        encoder.end();
        await turns(5);
        expect(Buffer.concat(got).equals(Buffer.concat([frame(large), frame('small')]))).to.equal(true);
      });
    }
  });

  describe('a write', () => {
    it('of large and small parts is called back when there is room, not with nobody reading', async () => {
      const { encoder } = quiet();
      const calls: unknown[] = [];
      const large = Buffer.alloc(128 * KIB, 1);
      encoder.write([large, 'tail'], (error: unknown) => calls.push(error));
      await turns(5);
      expect(calls).to.deep.equal([]);
      const got: Buffer[] = [];
      encoder.on('data', (chunk) => got.push(chunk));
      await turns(5);
      expect(calls).to.have.length(1);
      expect(Buffer.concat(got).equals(frame(Buffer.concat([large, Buffer.from('tail')])))).to.equal(true);
    });

    for (const large of [false, true]) {
      it(`inside a 'data' listener is taken while end() writes a ${large ? 'large' : 'small'} message`, async () => {
        const { encoder, errors, chunks } = flowing();
        const calls: unknown[] = [];
        encoder.once('data', () => encoder.write('inside', (error: unknown) => calls.push(codeOf(error))));
        const last = Buffer.alloc(large ? 100_000 : 4, 1);
        let isLate: boolean | undefined;
        encoder.once('data', () => {
          isLate = encoder.writableEnded;
        });
        encoder.end(last);
        await turns(5);
        // It may come during the call or after it. What it is told has to be what becomes of it.
        const due = isLate ? [frame(last)] : [frame(last), frame('inside')];
        expect(calls).to.deep.equal(isLate ? ['ERR_STREAM_WRITE_AFTER_END'] : [undefined]);
        expect(errors.map(codeOf)).to.deep.equal(isLate ? ['ERR_STREAM_WRITE_AFTER_END'] : []);
        if (!isLate) expect(Buffer.concat(chunks).equals(Buffer.concat(due))).to.equal(true);
      });
    }

    it('takes null for an encoding and for a callback', async () => {
      const uncaught: unknown[] = [];
      const listeners = process.listeners('uncaughtException');
      process.removeAllListeners('uncaughtException').on('uncaughtException', (error) => uncaught.push(error));
      try {
        const { encoder, chunks } = flowing();
        const write = encoder.write.bind(encoder) as (...args: unknown[]) => boolean;
        write('a', 'utf8', null);
        write('b', null, null);
        write('c', undefined, null);
        write(Buffer.alloc(100_000), 'utf8', null);
        write(['d', 'e'], null, null);
        write({ length: 1, body: 'f' }, 'utf8', null);
        await turns(5);
        expect(uncaught).to.deep.equal([]);
        const due = ['a', 'b', 'c', Buffer.alloc(100_000), 'de', 'f'].map(frame);
        expect(Buffer.concat(chunks).equals(Buffer.concat(due))).to.equal(true);
      } finally {
        process.removeAllListeners('uncaughtException');
        for (const listener of listeners) process.on('uncaughtException', listener);
      }
    });

    it('behind one that is refused takes null for a callback, too', async () => {
      const { encoder, errors } = quiet({ maxPayloadLength: 3 });
      encoder.resume();
      encoder.write('four');
      (encoder.write as (...args: unknown[]) => boolean).call(encoder, 'b', 'utf8', null);
      await turns(5);
      expect(errors.map(codeOf)).to.deep.equal(['ERR_FRAME_TOO_LONG']);
    });

    it('of null or of nothing throws behind one that is refused, as in front of it', () => {
      const { encoder } = quiet({ maxPayloadLength: 3 });
      encoder.write('four');
      expect(() => encoder.write(null))
        .to.throw()
        .with.property('code', 'ERR_STREAM_NULL_VALUES');
      expect(() => encoder.write(undefined))
        .to.throw()
        .with.property('code', 'ERR_INVALID_ARG_TYPE');
      encoder.destroy();
    });
  });

  describe("'drain'", () => {
    it('does not come while the stream is full', async () => {
      const { encoder } = quiet({ writableHighWaterMark: 100, readableHighWaterMark: 1 });
      const lengths: number[] = [];
      encoder.on('drain', () => lengths.push(encoder.writableLength));
      // Each write in the callback of another, so that there is always one more.
      let left = 20;
      const more = () => {
        if (left-- > 0) encoder.write(Buffer.alloc(96), more);
      };
      for (let i = 0; i < 9; i++) encoder.write(Buffer.alloc(96), more);
      for (let i = 0; i < 60; i++) {
        encoder.read();
        await turn();
      }
      expect(lengths.length).to.be.greaterThan(0);
      expect(lengths.filter((length) => length >= 100)).to.deep.equal([]);
    });

    it('does not come while a message waits behind a read one', async () => {
      const { encoder } = quiet({ highWaterMark: 1 });
      const lengths: number[] = [];
      encoder.on('drain', () => lengths.push(encoder.writableLength));
      encoder.write('');
      encoder.write('');
      encoder.read();
      await turns(5);
      expect(lengths.filter((length) => length >= 1)).to.deep.equal([]);
    });

    it('is known to be due from a write that returns false on, in writableNeedDrain', () => {
      for (const message of [Buffer.alloc(10), Buffer.alloc(100_000), [Buffer.alloc(100_000), 'a']]) {
        const { encoder } = quiet({ writableHighWaterMark: 10 });
        expect(encoder.write(message)).to.equal(false);
        expect(encoder.writableNeedDrain).to.equal(true);
        encoder.destroy();
      }
    });
  });

  describe('a reader that has paused', () => {
    it('gets all by read(n)', async () => {
      const { encoder } = quiet();
      encoder.pause();
      for (let i = 0; i < 3; i++) encoder.write(Buffer.alloc(50_000, i));
      encoder.end();
      let length = 0;
      for (let i = 0; i < 400; i++) {
        length += encoder.read(1000)?.length ?? 0;
        if (i % 10 === 0) await turn();
      }
      expect(length).to.equal(3 * 50_004);
    });

    it('gets as many bytes as it asks for, although fewer were written before', async () => {
      const { encoder } = quiet({ readableHighWaterMark: 1 });
      encoder.pause();
      encoder.write('ab');
      encoder.write('cd');
      await turn();
      encoder.write('ef');
      const got: Buffer[] = [];
      for (let i = 0; i < 20; i++) {
        const chunk = encoder.read(18);
        if (chunk !== null) got.push(chunk);
        await turn();
      }
      expect(Buffer.concat(got)).to.deep.equal(Buffer.concat(['ab', 'cd', 'ef'].map(frame)));
    });
  });

  describe('callbacks', () => {
    for (const error of [undefined, new Error('destroyed')]) {
      it(`come once, in order, on destroy(${error === undefined ? '' : 'error'})`, async () => {
        const messages: [string, () => unknown][] = [
          ['small', () => 'small'],
          ['large', () => Buffer.alloc(100_000)],
          ['parts', () => [Buffer.alloc(100_000), 'b']],
          ['body', () => ({ length: 1, body: ['c'] })],
        ];
        for (const [, first] of messages) {
          for (const [, second] of messages) {
            for (const [, third] of messages) {
              const { encoder } = quiet({ readableHighWaterMark: 1 });
              const calls: number[] = [];
              const codes: unknown[] = [];
              for (const [i, message] of [first, second, third, first].entries()) {
                encoder.write(message(), (thrown: unknown) => {
                  calls.push(i);
                  codes.push(thrown === error || codeOf(thrown) === 'ERR_STREAM_DESTROYED' || thrown === undefined);
                });
              }
              encoder.destroy(error);
              await turns(3);
              expect(calls).to.deep.equal([0, 1, 2, 3]);
            }
          }
        }
      });
    }

    it('of one that is refused comes in order, when the stream is destroyed', async () => {
      const { encoder } = quiet({ maxPayloadLength: 3 });
      const calls: number[] = [];
      for (const [i, message] of ['a', 'b', 'four', 'c'].entries()) encoder.write(message, () => calls.push(i));
      encoder.destroy();
      await turns(3);
      expect(calls).to.deep.equal([0, 1, 2, 3]);
    });

    it('of writes behind one that is refused come after its own', async () => {
      const { encoder } = quiet({ maxPayloadLength: 3 });
      const calls: number[] = [];
      for (const [i, message] of ['a', 'four', 'c'].entries()) encoder.write(message, () => calls.push(i));
      encoder.resume();
      await turns(5);
      expect(calls).to.deep.equal([0, 1, 2]);
    });
  });

  describe('a body', () => {
    /** Bodies of each kind, and whether they were let go of. */
    const bodies: [string, () => { body: unknown; isReleased: () => boolean }][] = [
      [
        'Readable',
        () => {
          const body = new Readable({ read() {} });
          return { body, isReleased: () => body.destroyed };
        },
      ],
      [
        'ReadableStream',
        () => {
          let isReleased = false;
          const body = new ReadableStream({
            cancel() {
              isReleased = true;
            },
          });
          return { body, isReleased: () => isReleased };
        },
      ],
      [
        'iterator',
        () => {
          let isReleased = false;
          const body = {
            next: () => new Promise(() => {}),
            return: async () => {
              isReleased = true;
              return { done: true };
            },
            [Symbol.asyncIterator]: () => body,
          };
          return { body, isReleased: () => isReleased };
        },
      ],
    ];

    for (const [kind, make] of bodies) {
      it(`that is a ${kind} is destroyed when a listener destroys the stream inside its write`, async () => {
        // The write gives what was written before it to the reader, who has enough.
        for (const front of ['small', Buffer.alloc(100_000)]) {
          const { encoder } = flowing();
          await turn();
          encoder.once('data', () => encoder.destroy());
          const calls: unknown[] = [];
          encoder.write(front);
          const { body, isReleased } = make();
          encoder.write({ length: 1, body }, (error: unknown) => calls.push(codeOf(error)));
          await turns(5);
          expect(isReleased()).to.equal(true);
          expect(calls).to.deep.equal(['ERR_STREAM_DESTROYED']);
        }
      });

      it(`that is a ${kind} is destroyed when its length is no valid length`, async () => {
        for (const length of [-1, 1.5, Number.NaN, 2 ** 53, '1', undefined, null, 1n]) {
          const { encoder } = quiet();
          const { body, isReleased } = make();
          expect(() => encoder.write({ length, body })).to.throw();
          await turns(3);
          expect(isReleased(), String(length)).to.equal(true);
          encoder.destroy();
        }
      });

      it(`that is a ${kind} is destroyed behind end(), destroy() and a refused message`, async () => {
        const late: ((encoder: LengthPrefixEncoder<any>) => void)[] = [
          (encoder) => encoder.end(),
          (encoder) => encoder.destroy(),
          (encoder) => encoder.write('four'),
        ];
        for (const before of late) {
          const { encoder } = quiet({ maxPayloadLength: 3 });
          before(encoder);
          const { body, isReleased } = make();
          encoder.write({ length: 1, body });
          await turns(3);
          expect(isReleased()).to.equal(true);
        }
      });
    }

    it('that is a ReadableStream is let go of when it is sent', async () => {
      const { encoder } = flowing();
      const body = new ReadableStream({
        start(controller) {
          controller.enqueue(Buffer.from('a'));
          controller.close();
        },
      });
      encoder.write({ length: 1, body });
      await turns(5);
      expect(body.locked).to.equal(false);
    });

    it('is destroyed with the reason', async () => {
      const reason = new Error('reason');
      const { encoder } = quiet();
      const first = new Readable({ read() {} });
      let why: unknown;
      const second = new ReadableStream({
        cancel(given) {
          why = given;
        },
      });
      encoder.write({ length: 1, body: first });
      encoder.write({ length: 1, body: second });
      await turn();
      encoder.destroy(reason);
      await turns(3);
      expect(first.errored).to.equal(reason);
      expect(why).to.equal(reason);
    });
  });

  describe('bytes of another realm', () => {
    const Foreign = runInContext('Uint8Array', createContext()) as Uint8ArrayConstructor;

    it('are a message, a part, a body and a part of one', async () => {
      const { encoder, errors, chunks } = flowing();
      encoder.write(Foreign.of(1, 2));
      encoder.write([Foreign.of(3), 'a', Foreign.from(Buffer.alloc(100_000, 4))]);
      encoder.write({ length: 2, body: Foreign.of(5, 6) });
      encoder.write({ length: 2, body: [Foreign.of(7), Foreign.of(8)] });
      encoder.end(Foreign.of(9));
      await turns(5);
      expect(errors).to.deep.equal([]);
      const parts = Buffer.concat([Buffer.from([3]), Buffer.from('a'), Buffer.alloc(100_000, 4)]);
      const due = [Buffer.from([1, 2]), parts, Buffer.from([5, 6]), Buffer.from([7, 8]), Buffer.from([9])].map(frame);
      expect(Buffer.concat(chunks).equals(Buffer.concat(due))).to.equal(true);
    });

    it('are messages for an encoder that lives in another realm itself', async () => {
      const require = createRequire(import.meta.url);
      const { buildSync } = require('esbuild') as typeof import('esbuild');
      const { outputFiles } = buildSync({
        entryPoints: [require.resolve('../../lib/index.js')],
        bundle: true,
        write: false,
        format: 'cjs',
        platform: 'node',
        external: ['readable-stream'],
        logLevel: 'error',
      });
      // As test runners do: globals of its own, but the modules and the Buffer of the outside.
      const module = { exports: {} as typeof import('../../lib/index.js') };
      const globals = { module, exports: module.exports, require, process, Buffer, setImmediate, clearImmediate };
      runInContext(
        outputFiles[0]!.text,
        createContext({
          ...globals,
          queueMicrotask,
          setTimeout,
          clearTimeout,
          TextDecoder,
          TextEncoder,
          AbortController,
        }),
      );
      const encoder = new module.exports.LengthPrefixEncoder();
      const chunks: Buffer[] = [];
      encoder.on('data', (chunk) => chunks.push(chunk));
      encoder.write(Buffer.from('hi'));
      encoder.write(Uint8Array.of(1));
      encoder.end([Buffer.from('a'), 'b']);
      await turns(5);
      expect(Buffer.concat(chunks)).to.deep.equal(Buffer.concat([frame('hi'), frame(Buffer.from([1])), frame('ab')]));
    });
  });

  describe('LengthField.write', () => {
    it('is called once a message', async () => {
      const messages = ['a', Buffer.alloc(100_000), ['b', Buffer.alloc(100_000)], { length: 1, body: 'c' }, []];
      for (const message of messages) {
        let calls = 0;
        const lengthField: LengthField = {
          maxWidth: 4,
          read: () => undefined,
          write(length) {
            calls++;
            return frame(Buffer.alloc(length)).subarray(0, 4);
          },
        };
        const { encoder } = flowing({ lengthField });
        encoder.end(message);
        await turns(5);
        expect(calls).to.equal(1);
      }
    });

    it('sends only the bytes that it returned, when each answer is another', async () => {
      const answers = [Buffer.from([1, 1, 1, 1]), Buffer.from([2]), Buffer.from([3, 3])];
      for (const message of ['a', ['a'], { length: 1, body: 'a' }]) {
        let calls = 0;
        const lengthField: LengthField = {
          maxWidth: 4,
          read: () => undefined,
          write: () => answers[calls++ % answers.length]!,
        };
        const { encoder, chunks } = flowing({ lengthField });
        encoder.end(message);
        await turns(5);
        expect(Buffer.concat(chunks)).to.deep.equal(Buffer.from([1, 1, 1, 1, 0x61]));
      }
    });
  });
});
