import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { expect } from 'chai';
import { buffers, LengthPrefixDecoder, LengthPrefixEncoder } from '../../lib/index.js';
import { Expected } from '../../lib/wire/expected.js';
import { Format } from '../../lib/wire/format.js';
import type { Memory } from '../../lib/wire/memory.js';
import { FrameParser } from '../../lib/wire/parser.js';
import { frame, turns } from '../support/frames.js';

const KIB = 1024;
const MIB = 1024 * KIB;

/** The work done on memory and queues: what a clock would be too noisy to tell in a test. */
interface Work {
  /** Bytes copied from one place to another. */
  copied: number;
  /** Calls that copy. */
  copies: number;
  /** Bytes of memory asked for. */
  allocated: number;
  allocations: number;
  /** Views made. */
  views: number;
  /** Items of arrays moved from one place to another. */
  moved: number;
  /** How often a Buffer was asked for its length. */
  lengths: number;
}

const ofTypedArrays = Object.getPrototypeOf(Uint8Array.prototype) as Record<string, (...args: never[]) => unknown>;

/** Counts what is copied and moved, by whatever of the ways there are, while `run` runs. */
async function counted(run: (work: Work) => unknown): Promise<Work> {
  const work: Work = { copied: 0, copies: 0, allocated: 0, allocations: 0, views: 0, moved: 0, lengths: 0 };
  const undo: (() => unknown)[] = [];
  const watch = (holder: object, name: string, look: (self: any, args: unknown[]) => void): void => {
    const own = holder as Record<string, unknown>;
    const had = Object.hasOwn(own, name);
    const method = own[name] as (...args: unknown[]) => unknown;
    own[name] = function (this: unknown, ...args: unknown[]): unknown {
      look(this, args);
      return method.apply(this, args);
    };
    undo.push(() => {
      if (had) own[name] = method;
      else delete own[name];
    });
  };
  const copy = (bytes: number): void => {
    work.copies++;
    work.copied += bytes;
  };
  watch(ofTypedArrays, 'set', (_self, [source]) => copy((source as Uint8Array).length));
  watch(ofTypedArrays, 'slice', (self) => copy(self.length));
  watch(ofTypedArrays, 'copyWithin', (self) => copy(self.length));
  watch(ofTypedArrays, 'subarray', () => work.views++);
  watch(Buffer.prototype, 'copy', (self) => copy(self.length));
  watch(Buffer.prototype, 'subarray', () => work.views++);
  watch(Buffer, 'concat', (_self, [list]) => {
    for (const each of list as Uint8Array[]) copy(each.length);
  });
  watch(Buffer, 'from', (_self, [source]) => copy((source as Uint8Array).length));
  watch(Uint8Array, 'from', (_self, [source]) => copy((source as Uint8Array).length));
  // Not splice: Node's Writable takes off the front of its buffer by it, 257 entries at once.
  for (const name of ['shift', 'unshift', 'slice', 'concat']) {
    watch(Array.prototype, name, (self: unknown[]) => {
      work.moved += self.length;
    });
  }
  const { get: lengthOf } = Object.getOwnPropertyDescriptor(ofTypedArrays, 'length')!;
  const length = {
    configurable: true,
    get(): number {
      work.lengths++;
      return lengthOf!.call(this);
    },
  };
  Object.defineProperty(Buffer.prototype, 'length', length);
  undo.push(() => delete (Buffer.prototype as { length?: number }).length);
  try {
    await run(work);
  } finally {
    for (const each of undo) each();
  }
  return work;
}

function memoryThatCounts(work: Work): Memory<Buffer> {
  return {
    View: (Buffer as unknown as { [Symbol.species]: Memory<Buffer>['View'] })[Symbol.species],
    allocate(length) {
      work.allocations++;
      work.allocated += length;
      return Buffer.allocUnsafeSlow(length);
    },
    allocateShared: buffers.allocateShared,
    encode: buffers.encode,
    maxLength: 2 ** 32,
  };
}

/** The chunks of so many frames, cut before anything is counted. */
function cut(frames: number, size: number, chunk: number): Buffer[] {
  const bytes = Buffer.concat(new Array(frames).fill(frame(Buffer.alloc(size, 7))));
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += chunk) chunks.push(own(bytes.subarray(at, at + chunk)));
  return chunks;
}

/** In memory of its own, as a chunk of a socket is; but for tiny ones, which cost too much in such numbers. */
function own(bytes: Buffer): Buffer {
  if (bytes.length < 64) return bytes;
  const chunk = Buffer.allocUnsafeSlow(bytes.length);
  bytes.copy(chunk);
  return chunk;
}

async function parse(chunks: Buffer[], frames: number, copy = false): Promise<Work> {
  let got = 0;
  const work = await counted((work) => {
    const parser = new FrameParser({ format: new Format({}), memory: memoryThatCounts(work), copy });
    for (const chunk of chunks) {
      parser.push(chunk);
      while (parser.next() !== undefined) got++;
    }
    parser.finish();
  });
  expect(got, 'messages').to.equal(frames);
  return work;
}

describe('torture: linear time (node dist/spec/torture/linear.js prints the times)', function () {
  this.timeout(60_000);

  for (const copy of [false, true]) {
    for (const chunk of [64 * KIB, 4 * KIB, KIB, 64]) {
      it(`one frame of 16 MiB costs what sixteen of 1 MiB cost, in chunks of ${chunk}${copy ? ', copy' : ''}`, async () => {
        const one = await parse(cut(1, 16 * MIB, chunk), 1, copy);
        const sixteen = await parse(cut(16, MIB, chunk), 16, copy);
        for (const name of ['copied', 'copies', 'allocated', 'allocations', 'views'] as const) {
          const slack = name === 'copied' || name === 'allocated' ? 64 * KIB : 64;
          expect(one[name], name).to.be.at.most(1.3 * sixteen[name] + slack);
        }
        // And neither is dear: each byte is copied twice at the most, a chunk in a few calls.
        for (const work of [one, sixteen]) {
          expect(work.copied, 'copied').to.be.at.most(2 * 16 * MIB + 64 * KIB);
          expect(work.allocated, 'allocated').to.be.at.most(2 * 16 * MIB + 64 * KIB);
          expect(work.copies, 'calls').to.be.at.most(2.2 * ((16 * MIB) / chunk) + 1000);
        }
      });
    }
  }

  it('chunks of one byte cost the same each, at every size of frame', async () => {
    const sizes = [KIB, 16 * KIB, 128 * KIB, MIB, 2 * MIB];
    const each: Record<keyof Work, number>[] = [];
    for (const size of sizes) {
      const work = await parse(cut(1, size, 1), 1);
      each.push({
        copied: work.copied / size,
        copies: work.copies / size,
        allocated: work.allocated / size,
        allocations: work.allocations / size,
        views: work.views / size,
        moved: work.moved / size,
        lengths: work.lengths / size,
      });
    }
    const first = each[1]!;
    for (const [i, work] of each.entries()) {
      const what = `frames of ${sizes[i]}`;
      expect(work.copied, what).to.be.at.most(2.01);
      expect(work.copies, what).to.be.at.most(2.01);
      expect(work.allocated, what).to.be.at.most(4);
      expect(work.views, what).to.be.at.most(2.01);
      for (const name of ['copied', 'copies', 'allocated', 'views'] as const) {
        expect(work[name], `${name}, ${what}`).to.be.at.most(1.3 * first[name] + 0.05);
      }
    }
  });

  it('a prefix byte by byte, a payload passed over and small messages cost nothing that grows', async () => {
    const large = cut(1, 4 * MIB, 64);
    const skipped = await counted(async () => {
      const decoder = new LengthPrefixDecoder({ oversize: 'skip', maxPayloadLength: 10 });
      for (const chunk of large) decoder.write(chunk);
      await turns(1);
    });
    expect(skipped.copied).to.be.at.most(KIB);
    for (const size of [0, 1, 10, 100]) {
      const work = await parse(cut(10_000, size, 64 * KIB), 10_000);
      const chunks = Math.ceil((10_000 * (size + 4)) / (64 * KIB));
      expect(work.copied, `${size}`).to.be.at.most(chunks * (size + 8) * 2);
      expect(work.copies, `${size}`).to.be.at.most(chunks * 4);
    }
  });

  it('a header byte by byte, however long, is compared once', async () => {
    const length = 20_000;
    const header = Buffer.alloc(length + 4 + length, 1);
    const headerMask = Buffer.alloc(header.length, 0x55);
    const options = { lengthFieldOffset: length, initialBytesToStrip: header.length, lengthAdjustment: length };
    const wire = Buffer.concat([header.subarray(0, length), Buffer.alloc(4), header.subarray(length + 4)]);
    const { matches } = Expected.prototype;
    let compared = 0;
    Expected.prototype.matches = function (input, at, from, to) {
      compared += Math.max(0, to - from);
      return matches.call(this, input, at, from, to);
    };
    try {
      const parser = new FrameParser({ ...options, header, headerMask });
      for (const byte of wire) {
        parser.push(Uint8Array.of(byte));
        const message = parser.next();
        if (message !== undefined) expect(message).to.have.lengthOf(0);
      }
      parser.finish();
    } finally {
      Expected.prototype.matches = matches;
    }
    expect(compared).to.equal(2 * length);
  });

  it('the decoder copies no more than the parser', async () => {
    for (const chunk of [64 * KIB, 4 * KIB, 64]) {
      const chunks = cut(1, 4 * MIB, chunk);
      let got = 0;
      const work = await counted(async () => {
        const decoder = new LengthPrefixDecoder();
        decoder.on('data', () => got++);
        for (const each of chunks) decoder.write(each);
        await turns(1);
      });
      expect(got).to.equal(1);
      expect(work.copied).to.be.at.most(2 * 4 * MIB + 64 * KIB);
    }
  });

  describe('large parts in an encoder', () => {
    type Write = (encoder: LengthPrefixEncoder, count: number) => unknown;
    type Read = (encoder: LengthPrefixEncoder, take: (chunk: Buffer) => void) => unknown;

    const part = Buffer.alloc(64 * KIB);
    const ways: Record<string, Write> = {
      'of one message': (encoder, count) => encoder.end(new Array(count).fill(part)),
      'of messages of their own': (encoder, count) => {
        for (let i = 0; i < count; i++) encoder.write(part);
        encoder.end();
      },
    };
    const readers: Record<string, Read> = {
      "by 'data'": (encoder, take) => encoder.on('data', take),
      'by read()': (encoder, take) => {
        encoder.on('readable', () => {
          for (let chunk = encoder.read(); chunk !== null; chunk = encoder.read()) take(chunk);
        });
      },
    };

    /** The work of sending so many. */
    function send(count: number, write: Write, read: Read): Promise<Work> {
      return counted(async () => {
        const encoder = new LengthPrefixEncoder({ lengthField: 'uint64le', maxPayloadLength: 2 ** 40 });
        let got = 0;
        read(encoder, (chunk) => {
          got += chunk.length;
        });
        write(encoder, count);
        await once(encoder, 'end');
        expect(got)
          .to.equal(encoder.bytesWritten)
          .and.to.be.above(count * part.length);
      });
    }

    for (const [way, write] of Object.entries(ways)) {
      for (const [reader, read] of Object.entries(readers)) {
        it(`do not wait at each other's expense: ${way}, read ${reader}`, async () => {
          const few = await send(1000, write, read);
          const many = await send(8000, write, read);
          for (const name of Object.keys(few) as (keyof Work)[]) {
            expect(many[name], name).to.be.at.most(8.1 * few[name] + 64);
          }
          expect(many.copied, 'copied').to.be.at.most(8 * 8000);
          expect(many.moved, 'moved').to.be.at.most(20 * 8000);
        });
      }
    }
  });
});
