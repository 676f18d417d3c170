import { Buffer } from 'node:buffer';
import type { Readable } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import {
  FrameError,
  type LengthField,
  LengthPrefixDecoder,
  type LengthPrefixDecoderOptions,
  type StreamedMessage,
} from '../../lib/index.js';
import { codeOf } from '../support/streams.js';

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await turn();
}

function decoderOf(options: LengthPrefixDecoderOptions<any, any, any> = {}) {
  const decoder = new LengthPrefixDecoder<any, any, any>({ lengthField: 'uint8', ...options });
  const events: string[] = [];
  const errors: unknown[] = [];
  for (const event of ['end', 'error', 'close'] as const) decoder.on(event, () => events.push(event));
  decoder.on('error', (error) => errors.push(error));
  return { decoder, events, errors };
}

/** The same bytes in the middle of memory that must not be seen. */
function guarded(...bytes: number[]): Buffer {
  const memory = Buffer.alloc(bytes.length + 64, 0xee);
  memory.set(bytes, 32);
  return memory.subarray(32, 32 + bytes.length);
}

describe('a decoder, as it must be', () => {
  describe('setEncoding', () => {
    for (const options of [{}, { copy: true }, { readableHighWaterMark: 1 }]) {
      it(`makes a string of each message, in each way to read: ${JSON.stringify(options)}`, async () => {
        const read: ((decoder: LengthPrefixDecoder<any, any, any>, got: unknown[]) => void)[] = [
          (decoder, got) => decoder.on('data', (message) => got.push(message)),
          (decoder, got) =>
            decoder.on('readable', () => {
              for (let message = decoder.read(); message !== null; message = decoder.read()) got.push(message);
            }),
          (decoder, got) =>
            void (async () => {
              for await (const message of decoder) got.push(message);
            })(),
        ];
        for (const begin of read) {
          const { decoder } = decoderOf(options);
          decoder.setEncoding('utf8');
          const got: unknown[] = [];
          begin(decoder, got);
          decoder.end(Buffer.from([1, 0x61, 1, 0x62, 0, 2, 0x63, 0x64]));
          await turns(8);
          expect(got).to.deep.equal(['a', 'b', '', 'cd']);
        }
      });
    }
  });

  describe('LengthField.read', () => {
    /** Waits for more than the field and its frame have, and then says that the field is one byte. */
    const waiting: LengthField = {
      maxWidth: 4,
      read: (bytes, start, end) => (end - start < 4 ? undefined : { length: bytes[start]!, width: 1 }),
      write: (length) => Uint8Array.of(length),
    };

    for (const mode of [{}, { copy: true }, { batch: true }, { stream: true }]) {
      it(`that waits for more than a frame has gives right bytes or a fault: ${JSON.stringify(mode)}`, async () => {
        // Two whole frames and a half, in one chunk and in many.
        const wire = [1, 0x61, 0, 1, 0x62, 2, 0x63, 0x64];
        for (const size of [1, 2, 3, wire.length]) {
          const { decoder, events, errors } = decoderOf({ lengthField: waiting, ...mode });
          const got: Buffer[] = [];
          decoder.on('data', (message) => {
            if ('stream' in mode) {
              const { body } = message as StreamedMessage;
              body.on('data', (part: Buffer) => got.push(part)).on('error', () => {});
            } else {
              got.push(...[message].flat());
            }
          });
          for (let at = 0; at < wire.length; at += size) decoder.write(guarded(...wire.slice(at, at + size)));
          decoder.end();
          await turns(8);
          expect(events).to.be.deep.oneOf([
            ['end', 'close'],
            ['error', 'close'],
          ]);
          for (const error of errors) expect(error).to.be.instanceOf(FrameError);
          expect('abcd').to.match(new RegExp(`^${Buffer.concat(got).toString('latin1')}`));
        }
      });
    }

    it('gives nothing from in front of the chunk', async () => {
      const { decoder } = decoderOf({ lengthField: waiting });
      const got: Buffer[] = [];
      decoder.on('data', (message) => got.push(message));
      for (const byte of [1, 0x61, 0, 0, 0, 0, 0, 0]) decoder.write(guarded(byte));
      await turns(5);
      expect(Buffer.concat(got).includes(0xee)).to.equal(false);
    });

    const wrong: unknown[] = [
      null,
      3,
      'x',
      {},
      { length: 1 },
      { width: 1 },
      { length: -1, width: 1 },
      { length: 1.5, width: 1 },
      { length: Number.NaN, width: 1 },
      { length: '1', width: 1 },
      { length: 1n, width: 1 },
      { length: null, width: 1 },
      { length: 1, width: 0 },
      { length: 1, width: -1 },
      { length: 1, width: 1.5 },
      { length: 1, width: Number.NaN },
      { length: 1, width: '1' },
      { length: 1, width: 1n },
      { length: 1, width: 5 },
      { length: 1, width: 4 },
    ];
    const shown = (answer: unknown) =>
      JSON.stringify(answer, (_key, value) =>
        typeof value === 'bigint' ? `${value}n` : Number.isNaN(value) ? 'NaN' : value,
      );
    for (const answer of wrong) {
      it(`that answers ${shown(answer)} is a corrupt frame`, async () => {
        const { decoder, errors, events } = decoderOf({
          lengthField: { maxWidth: 4, read: () => answer as never, write: () => Buffer.alloc(1) },
        });
        const got: unknown[] = [];
        decoder.on('data', (message) => got.push(message));
        // Three bytes: a field of four goes past them.
        decoder.write(guarded(1, 0x61, 0x62));
        await turns(5);
        expect(got).to.deep.equal([]);
        expect(errors.map(codeOf)).to.deep.equal(['ERR_FRAME_CORRUPT']);
        expect(errors[0]).to.be.instanceOf(FrameError);
        expect(events).to.deep.equal(['error', 'close']);
      });
    }
  });

  describe('a body', () => {
    for (const error of [undefined, new Error('left')]) {
      it(`that is destroyed${error ? ' with an error' : ''} after the input broke off leaves the fault`, async () => {
        const { decoder, errors, events } = decoderOf({ stream: true });
        let body: Readable | undefined;
        decoder.on('data', (message: StreamedMessage) => {
          body = message.body as unknown as Readable;
          // It is asked for, but not read.
          body.on('readable', () => {}).on('error', () => {});
        });
        decoder.end(Buffer.from([5, 0x61, 0x62]));
        await turns(3);
        expect(errors).to.deep.equal([]);
        body!.destroy(error);
        await turns(3);
        expect(errors.map(codeOf)).to.deep.equal(['ERR_FRAME_TRUNCATED']);
        expect(events).to.deep.equal(['error', 'close']);
      });
    }

    it('that is destroyed with its last bytes lets the next message come', async () => {
      const { decoder, events } = decoderOf({ stream: true });
      const lengths: number[] = [];
      decoder.on('data', ({ length, body }: StreamedMessage) => {
        lengths.push(length);
        let left = length;
        body.on('readable', () => {
          for (let part = body.read(); part !== null; part = body.read()) {
            left -= part.length;
            if (left > 0) continue;
            body.destroy();
            break;
          }
        });
      });
      const calls: number[] = [];
      decoder.write(Buffer.from([2, 0x61]), () => calls.push(0));
      await turns(3);
      decoder.write(Buffer.from([0x62, 1, 0x63]), () => calls.push(1));
      await turns(3);
      expect(lengths).to.deep.equal([2, 1]);
      expect(calls).to.deep.equal([0, 1]);
      decoder.end();
      await turns(3);
      expect(events).to.deep.equal(['end', 'close']);
    });
  });

  describe("an 'oversize' listener", () => {
    for (const thrown of [null, undefined, 0, '', false, Number.NaN]) {
      it(`that throws ${thrown === '' ? "''" : thrown} fails the stream, behind the messages in front`, async () => {
        const { decoder, errors, events } = decoderOf({ oversize: 'skip', maxPayloadLength: 1 });
        decoder.on('oversize', () => {
          throw thrown;
        });
        const got: string[] = [];
        decoder.on('data', (message) => got.push(String(message)));
        const calls: unknown[] = [];
        decoder.write(Buffer.from([1, 0x61, 2, 0x62, 0x63, 1, 0x64]), (error) => calls.push(error ?? undefined));
        await turns(5);
        expect(got).to.deep.equal(['a']);
        expect(errors).to.have.length(1);
        expect(errors[0]).to.be.instanceOf(Error);
        expect(calls).to.deep.equal(errors);
        expect(events).to.deep.equal(['error', 'close']);
      });
    }

    it('that throws an error fails the stream with it', async () => {
      const { decoder, errors } = decoderOf({ oversize: 'skip', maxPayloadLength: 1 });
      const failure = new Error('no');
      decoder.on('oversize', () => {
        throw failure;
      });
      decoder.resume();
      decoder.write(Buffer.from([2, 0x62, 0x63]));
      await turns(5);
      expect(errors).to.deep.equal([failure]);
    });

    it('may write more', async () => {
      const { decoder } = decoderOf({ oversize: 'skip', maxPayloadLength: 1 });
      const calls: number[] = [];
      decoder.once('oversize', () => decoder.write(Buffer.from([0x62, 0x63, 1]), () => calls.push(2)));
      decoder.resume();
      decoder.write(Buffer.from([1, 0x61]), () => calls.push(0));
      await turns(3);
      decoder.write(Buffer.from([2]), () => calls.push(1));
      await turns(5);
      expect(calls).to.deep.equal([0, 1, 2]);
      expect(decoder.writableLength).to.equal(0);
    });
  });

  describe('memory that was transferred away', () => {
    const transfer = (bytes: Uint8Array) => structuredClone(bytes.buffer, { transfer: [bytes.buffer as ArrayBuffer] });
    const waiting: LengthPrefixDecoderOptions<any, any, any>[] = [
      {},
      { decode: (bytes: Buffer, start: number, end: number) => bytes.toString('latin1', start, end) },
      { lengthField: 'varint' },
      { oversize: 'skip', maxPayloadLength: 5 },
      { copy: true },
    ];
    for (const options of waiting) {
      const shown = JSON.stringify(options, (_key, value) => (typeof value === 'function' ? 'function' : value));
      it(`under messages that wait is ERR_INVALID_STATE: ${shown}`, async () => {
        const { decoder, errors, events } = decoderOf({ ...options, readableHighWaterMark: 1 });
        const chunk = Uint8Array.from([1, 0x61, 1, 0x62, 1, 0x63, 2, 0x64, 0x65]);
        decoder.write(chunk);
        await turns(2);
        transfer(chunk);
        decoder.resume();
        await turns(5);
        expect(errors.map(codeOf)).to.deep.equal(['ERR_INVALID_STATE']);
        expect(events).to.deep.equal(['error', 'close']);
      });
    }

    for (const options of [{}, { batch: true }]) {
      it(`under the beginning of a message is ERR_INVALID_STATE: ${JSON.stringify(options)}`, async () => {
        const { decoder, errors, events } = decoderOf({ lengthField: 'uint16be', ...options });
        const got: number[] = [];
        const first = new Uint8Array(8000);
        first.set([0, 1, 0x61, 0x75, 0x30]);
        decoder.on('data', (message) => got.push([message].flat()[0].length));
        decoder.write(first);
        await turns(2);
        // As one does who sends the first message to a worker.
        transfer(first);
        decoder.end(new Uint8Array(0x7530 - 7995));
        await turns(5);
        expect(got).to.deep.equal([1]);
        expect(errors.map(codeOf)).to.deep.equal(['ERR_INVALID_STATE']);
        expect(events).to.deep.equal(['error', 'close']);
      });
    }

    it('under a body that is left is ERR_INVALID_STATE', async () => {
      const { decoder, errors, events } = decoderOf({ stream: true });
      const got: number[] = [];
      const chunk = Uint8Array.from([3, 0x61, 0x62, 0x63, 1, 0x64]);
      decoder.on('data', ({ length, body }: StreamedMessage) => {
        got.push(length);
        setImmediate(() => {
          transfer(chunk);
          body.destroy();
        });
      });
      decoder.write(chunk);
      await turns(5);
      expect(got).to.deep.equal([3]);
      expect(errors.map(codeOf)).to.deep.equal(['ERR_INVALID_STATE']);
      expect(events).to.deep.equal(['error', 'close']);
    });
  });

  describe('callbacks', () => {
    it('come in order where the last write of a tick is at fault', async () => {
      const { decoder } = decoderOf({ maxPayloadLength: 1 });
      decoder.resume();
      const calls: [number, string | undefined][] = [];
      for (const [i, bytes] of [[1, 0x61], [1], [0x62], [9]].entries()) {
        decoder.write(Buffer.from(bytes), (error) => calls.push([i, codeOf(error)]));
      }
      await turns(5);
      expect(calls).to.deep.equal([
        [0, undefined],
        [1, undefined],
        [2, undefined],
        [3, 'ERR_FRAME_TOO_LONG'],
      ]);
    });
  });
});
