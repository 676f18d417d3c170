import { Buffer } from 'node:buffer';
import { expect } from 'chai';
import fc from 'fast-check';
import {
  FrameError,
  LengthPrefixDecoder,
  type LengthPrefixDecoderOptions,
  LengthPrefixEncoder,
} from '../../lib/index.js';
import { varintOf } from '../support/fields.js';
import { payload } from '../support/frames.js';
import { runs } from '../support/runs.js';
import { command, finalReader, type Model, Rig, readerCommands, type Written } from './rig.js';

type Field = 'uint32le' | 'uint16be' | 'varint';

function lengthField(field: Field, length: number): Buffer {
  if (field === 'uint32le') {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(length);
    return bytes;
  }
  if (field === 'uint16be') {
    const bytes = Buffer.alloc(2);
    bytes.writeUInt16BE(length);
    return bytes;
  }
  return varintOf(length);
}

/** A whole input, and what must become of it. */
interface Input {
  readonly options: LengthPrefixDecoderOptions;
  readonly bytes: Buffer;
  /** What comes out, and the byte at which each is complete. */
  readonly messages: { readonly payload: Buffer; readonly end: number }[];
  /** Payloads to pass over, and the byte at which that is known. */
  readonly oversize: { readonly length: number; readonly known: number }[];
  /** The byte at which the fault is known, and its code. */
  readonly fault: { readonly at: number; readonly code: string } | undefined;
  /** Bytes that begin and end frames. */
  readonly borders: Set<number>;
  readonly [fc.toStringMethod]: () => string;
}

const sizes = fc.oneof(
  { weight: 6, arbitrary: fc.nat(20) },
  { weight: 2, arbitrary: fc.nat(3000) },
  { weight: 1, arbitrary: fc.integer({ min: 60_000, max: 65_535 }) },
);

const input: fc.Arbitrary<Input> = fc
  .record({
    field: fc.constantFrom<Field>('uint32le', 'uint16be', 'varint'),
    sizes: fc.array(sizes, { maxLength: 40, size: 'max' }),
    fault: fc.boolean(),
    junk: fc.nat(40),
    skip: fc.boolean(),
    copy: fc.boolean(),
    batch: fc.boolean(),
    readableHighWaterMark: fc.integer({ min: 1, max: 20 }),
    writableHighWaterMark: fc.constantFrom(1, 16_384),
  })
  .map(({ field, sizes, fault, junk, skip, copy, batch, readableHighWaterMark, writableHighWaterMark }): Input => {
    const maxPayloadLength = skip ? 2000 : 65_534;
    const pieces: Buffer[] = [];
    const messages: Input['messages'] = [];
    const oversize: Input['oversize'] = [];
    const borders = new Set<number>([0]);
    let at = 0;
    sizes.forEach((asked, number) => {
      const size = Math.min(asked, 65_534);
      const head = lengthField(field, size);
      const bytes = payload(number, size);
      pieces.push(head, bytes);
      if (size > maxPayloadLength) oversize.push({ length: size, known: at + head.length });
      at += head.length + size;
      borders.add(at);
      if (size <= maxPayloadLength) messages.push({ payload: bytes, end: at });
    });
    let known: Input['fault'];
    if (fault && !(skip && field !== 'varint')) {
      const head = Buffer.alloc(field === 'varint' ? 10 : field === 'uint32le' ? 4 : 2, 0xff);
      known = { at: at + head.length, code: field === 'varint' ? 'ERR_FRAME_CORRUPT' : 'ERR_FRAME_TOO_LONG' };
      pieces.push(head, Buffer.alloc(junk, 1));
    }
    const oversizeOption = skip ? ('skip' as const) : ('error' as const);
    return {
      options: {
        lengthField: field,
        maxPayloadLength,
        oversize: oversizeOption,
        copy,
        batch,
        readableHighWaterMark,
        writableHighWaterMark,
      },
      bytes: Buffer.concat(pieces),
      messages,
      oversize,
      fault: known,
      borders,
      [fc.toStringMethod]: () =>
        `${JSON.stringify({ lengthField: field, skip, copy, batch, readableHighWaterMark, writableHighWaterMark })}, ` +
        `messages of ${JSON.stringify(sizes)} bytes, then ${known?.code ?? 'nothing'}`,
    };
  });

class DecoderRig extends Rig {
  readonly input: Input;
  delivered = 0;
  oversize = 0;

  constructor(input: Input) {
    super(new LengthPrefixDecoder(input.options));
    this.input = input;
    this.stream.on('oversize', (length: number) => {
      const due = input.oversize[this.oversize++];
      if (due === undefined || due.length !== length || due.known > this.written) {
        this.wrong.push(`'oversize' ${length} instead of ${due?.length}`);
      }
    });
  }

  /** How many messages are complete in the first bytes of the input. */
  complete(bytes: number): number {
    return this.input.messages.filter(({ end }) => end <= bytes).length;
  }

  protected override onData(piece: unknown): void {
    const batch = this.input.options.batch ? (piece as Buffer[]) : [piece as Buffer];
    if (batch.length === 0) this.wrong.push('an empty batch');
    for (const message of batch) {
      const due = this.input.messages[this.delivered++];
      if (!Buffer.isBuffer(message)) this.wrong.push('no Buffer');
      else if (due === undefined || due.end > this.written) this.wrong.push('a message that was not written');
      else if (!message.equals(due.payload)) this.wrong.push(`message ${this.delivered - 1} is wrong`);
    }
  }

  protected override onError(): void {
    if (this.delivered !== this.complete(this.written)) this.wrong.push('the error overtook a message');
  }

  protected override watch(when: string): void {
    const { readableLength, readableHighWaterMark } = this.stream;
    if (readableLength > readableHighWaterMark) {
      this.wrong.push(`holds ${readableLength} of ${readableHighWaterMark} ${when}`);
    }
  }

  protected override onWritten(write: Written, number: number): void {
    // Not in order: a `read()` in the same tick lets the next callback overtake, in every Transform of Node.
    if (this.input.options.batch) return;
    if (this.delivered + this.stream.readableLength < this.complete(write.end)) {
      this.wrong.push(`callback ${number} before its messages were parsed`);
    }
  }

  override progress(): unknown {
    return [this.delivered, this.oversize, this.stream.readableLength];
  }

  write(count: number): void {
    const chunk = Buffer.from(this.input.bytes.subarray(this.written, this.written + count));
    this.written += chunk.length;
    const callback = this.callback(this.written);
    this.stream.write(chunk, (error) => {
      callback(error);
      // With messages of their own memory, that of the chunk is the writer's again.
      if (this.input.options.copy) chunk.fill(0xee);
    });
  }

  /** Up to so many bytes past where the next frame begins: most likely inside its length. */
  writePast(count: number): void {
    const next = [...this.input.borders].find((border) => border > this.written) ?? this.written;
    this.write(Math.max(1, next - this.written + count));
  }

  end(): void {
    this.ended = true;
    this.stream.end();
  }

  get faulty(): boolean {
    return this.input.fault !== undefined && this.input.fault.at <= this.written;
  }

  /** After everything was read: nothing lost, nothing left over, and the end that is due. */
  expectDone(): void {
    this.check();
    expect(this.delivered, 'messages').to.equal(this.complete(this.written));
    expect(this.oversize, 'oversize').to.equal(this.input.oversize.filter(({ known }) => known <= this.written).length);
    const truncated = this.ended && !this.input.borders.has(this.written);
    const code = this.faulty ? this.input.fault!.code : truncated ? 'ERR_FRAME_TRUNCATED' : undefined;
    if (code !== undefined) {
      expect(this.error, 'error').to.be.instanceOf(FrameError);
      expect((this.error as FrameError).code).to.equal(code);
    } else {
      expect(this.error).to.equal(undefined);
    }
    // A write that fails is announced before 'finish'; a truncated end is found in the flush, which is before it too.
    expect(this.events.filter((event) => event !== 'finish')).to.deep.equal(
      code !== undefined ? ['error', 'close'] : this.ended ? ['end', 'close'] : [],
    );
    for (const [number, { calls, error, end }] of this.writes.entries()) {
      expect(calls, `calls of callback ${number}`).to.equal(1);
      if (this.faulty && end >= this.input.fault!.at) expect(error, `callback ${number}`).to.be.instanceOf(Error);
      else expect(error ?? undefined, `callback ${number}`).to.equal(undefined);
    }
  }
}

const writeSizes = fc.oneof(
  { weight: 3, arbitrary: fc.integer({ min: 1, max: 8 }) },
  { weight: 3, arbitrary: fc.integer({ min: 1, max: 300 }) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 70_000 }) },
);

const decoderCommands = fc.commands(
  [
    ...[1, 2, 3, 4].map(() =>
      writeSizes.map((count) =>
        command<DecoderRig>(
          `write(${count})`,
          (rig) => rig.write(count),
          (rig) => !rig.ended && !rig.stream.destroyed && rig.written < rig.input.bytes.length,
        ),
      ),
    ),
    ...[1, 2].map(() =>
      fc.integer({ min: -3, max: 5 }).map((count) =>
        command<DecoderRig>(
          `write to ${count} past the next frame's beginning`,
          (rig) => rig.writePast(count),
          (rig) => !rig.ended && !rig.stream.destroyed && rig.written < rig.input.bytes.length,
        ),
      ),
    ),
    ...readerCommands,
    fc.constant(
      command<DecoderRig>(
        'write the rest and end',
        (rig) => {
          rig.write(rig.input.bytes.length);
          rig.end();
        },
        (rig) => !rig.ended && !rig.stream.destroyed && rig.written < rig.input.bytes.length,
      ),
    ),
    fc.constant(
      command<DecoderRig>(
        'end',
        (rig) => rig.end(),
        (rig) => !rig.ended && rig.writes.length > 6,
      ),
    ),
  ],
  { maxCommands: 60, size: 'max' },
);

interface Piece {
  readonly bytes: Buffer;
  readonly as: 'buffer' | 'array' | 'utf8' | 'hex';
}

const pieces: fc.Arbitrary<Piece> = fc
  .record({
    size: fc.oneof(
      { weight: 6, arbitrary: fc.nat(30) },
      { weight: 2, arbitrary: fc.nat(20_000) },
      { weight: 1, arbitrary: fc.integer({ min: 65_530, max: 65_540 }) },
      { weight: 1, arbitrary: fc.integer({ min: 65_536, max: 150_000 }) },
    ),
    as: fc.constantFrom('buffer' as const, 'buffer' as const, 'array' as const, 'utf8' as const, 'hex' as const),
    number: fc.nat(1000),
  })
  .map(({ size, as, number }) => {
    const bytes = payload(number, size);
    return {
      [fc.toStringMethod]: () => `${size} bytes as ${as}`,
      bytes: as === 'utf8' ? (bytes.map((byte) => byte & 0x7f) as Buffer) : bytes,
      as,
    };
  });

const LIMIT = 200_000;

class EncoderRig extends Rig {
  /** The frames of all messages that were accepted. */
  #due: Buffer[] = [];
  #dueLength = 0;
  /** Bytes handed out so far. */
  out = 0;
  refused: number | undefined;

  constructor(readableHighWaterMark: number, writableHighWaterMark: number) {
    super(new LengthPrefixEncoder({ maxPayloadLength: LIMIT, readableHighWaterMark, writableHighWaterMark }));
  }

  protected override onData(piece: unknown): void {
    const bytes = piece as Buffer;
    let at = 0;
    let start = 0;
    for (const due of this.#due) {
      if (at >= bytes.length) break;
      const from = this.out + at - start;
      if (from < due.length) {
        const count = Math.min(due.length - from, bytes.length - at);
        if (!due.subarray(from, from + count).equals(bytes.subarray(at, at + count))) {
          this.wrong.push(`bytes ${this.out + at} and after are wrong`);
          break;
        }
        at += count;
      }
      start += due.length;
    }
    this.out += bytes.length;
    if (this.out > this.#dueLength) this.wrong.push('bytes that were not written');
  }

  protected override onError(): void {
    if (this.out !== this.#dueLength) this.wrong.push('the error overtook a message');
  }

  protected override watch(): void {}

  protected override onWritten(write: Written, number: number): void {
    if (this.writes.slice(number + 1).some((later) => later.calls > 0 && !later.error)) {
      this.wrong.push(`callback ${number} after a later one`);
    }
    const handedOn = this.out + this.stream.readableLength;
    if (handedOn < write.end) this.wrong.push(`callback ${number} at ${handedOn} of ${write.end} bytes`);
  }

  override progress(): unknown {
    return [this.out, this.stream.readableLength];
  }

  #accept({ bytes, as }: Piece): string | Uint8Array {
    const head = Buffer.alloc(4);
    head.writeUInt32LE(bytes.length);
    const whole = Buffer.concat([head, bytes]);
    this.#due.push(whole);
    this.#dueLength += whole.length;
    this.written += whole.length;
    if (as === 'buffer') return Buffer.from(bytes);
    if (as === 'array') return Uint8Array.from(bytes);
    return bytes.toString(as);
  }

  write(piece: Piece): void {
    if (this.refused !== undefined) {
      this.stream.write(piece.bytes, this.callback(this.written));
      return;
    }
    const message = this.#accept(piece);
    const callback = this.callback(this.written);
    const encoding = typeof message === 'string' ? (piece.as as BufferEncoding) : undefined;
    (this.stream as LengthPrefixEncoder).write(message, encoding, callback);
  }

  writeTooLong(): void {
    this.refused ??= this.writes.length;
    this.stream.write(Buffer.alloc(LIMIT + 1), this.callback(this.written));
  }

  end(piece?: Piece): void {
    this.ended = true;
    if (piece === undefined || this.refused !== undefined) {
      this.stream.end();
      return;
    }
    const message = this.#accept(piece);
    if (typeof message === 'string') (this.stream as LengthPrefixEncoder).end(message, piece.as);
    else (this.stream as LengthPrefixEncoder).end(message);
  }

  expectDone(): void {
    this.check();
    expect(this.out, 'bytes').to.equal(this.#dueLength);
    for (const [number, { calls, error }] of this.writes.entries()) {
      expect(calls, `calls of callback ${number}`).to.equal(1);
      if (this.refused !== undefined && number >= this.refused) {
        expect((error as FrameError).code, `callback ${number}`).to.equal('ERR_FRAME_TOO_LONG');
      } else {
        expect(error ?? undefined, `callback ${number}`).to.equal(undefined);
      }
    }
    const failed = this.refused !== undefined;
    if (failed) expect((this.error as FrameError).code).to.equal('ERR_FRAME_TOO_LONG');
    else expect(this.error).to.equal(undefined);
    expect(this.events.filter((event) => event !== 'finish')).to.deep.equal(
      failed ? ['error', 'close'] : this.ended ? ['end', 'close'] : [],
    );
  }
}

const canWrite = (rig: EncoderRig): boolean => !rig.ended && !rig.stream.destroyed;

const encoderCommands = (withRefusals: boolean) =>
  fc.commands(
    [
      ...[1, 2, 3, 4, 5].map(() =>
        pieces.map((piece) =>
          command<EncoderRig>(`write(${piece.bytes.length} as ${piece.as})`, (rig) => rig.write(piece), canWrite),
        ),
      ),
      ...readerCommands,
      fc.integer({ min: 1, max: 5000 }).map((count) => command(`read(${count})`, (rig) => rig.stream.read(count))),
      fc.option(pieces, { nil: undefined }).map((piece) =>
        command<EncoderRig>(
          `end(${piece?.bytes.length ?? ''})`,
          (rig) => rig.end(piece),
          (rig) => canWrite(rig) && rig.writes.length > 6,
        ),
      ),
      ...(withRefusals
        ? [
            fc.constant(
              command<EncoderRig>(
                'write(too long)',
                (rig) => rig.writeTooLong(),
                (rig) => canWrite(rig) && rig.writes.length > 3,
              ),
            ),
          ]
        : []),
    ],
    { maxCommands: 60, size: 'max' },
  );

/** After `destroy`: each callback once, 'close' once, nothing more handed out. */
async function destroyAndCheck(rig: Rig, error: Error | undefined): Promise<void> {
  const failed = rig.stream.destroyed;
  rig.stream.destroy(error);
  await rig.settle();
  rig.check();
  rig.uncorkAll();
  await rig.settle();
  rig.check();
  for (const [number, { calls }] of rig.writes.entries()) {
    expect(calls, `calls of callback ${number}`).to.equal(1);
  }
  expect(rig.events.filter((event) => event === 'close')).to.have.length(1);
  if (error !== undefined && !failed) expect(rig.error).to.equal(error);
}

describe('torture: model', function () {
  this.timeout(60_000);

  describe('decoder', () => {
    it('keeps order, holds no more than it may, loses nothing and ends, whatever is done to it', () =>
      fc.assert(
        fc.asyncProperty(input, decoderCommands, finalReader, async (input, commands, reader) => {
          const rig = new DecoderRig(input);
          await fc.asyncModelRun(() => ({ model: { rig } as Model, real: rig as Rig }), commands);
          await rig.readAll(reader);
          rig.expectDone();
        }),
        { numRuns: runs(250) },
      ));

    it('calls every callback once and is silent after close, destroyed at any moment', () =>
      fc.assert(
        fc.asyncProperty(input, decoderCommands, fc.boolean(), async (input, commands, withError) => {
          const rig = new DecoderRig(input);
          await fc.asyncModelRun(() => ({ model: { rig } as Model, real: rig as Rig }), commands);
          await destroyAndCheck(rig, withError ? new Error('destroyed by the test') : undefined);
        }),
        { numRuns: runs(150) },
      ));
  });

  describe('encoder', () => {
    const marks = fc.constantFrom(1, 100, 16_384, 100_000);

    it('sends exactly the frames, calls back in order and not too early, whatever is done to it', () =>
      fc.assert(
        fc.asyncProperty(marks, marks, encoderCommands(false), finalReader, async (r, w, commands, reader) => {
          const rig = new EncoderRig(r, w);
          await fc.asyncModelRun(() => ({ model: { rig } as Model, real: rig as Rig }), commands);
          await rig.readAll(reader);
          rig.expectDone();
        }),
        { numRuns: runs(250) },
      ));

    it('fails the write of a too-long message, sends all before it and no byte of it', () =>
      fc.assert(
        fc.asyncProperty(marks, marks, encoderCommands(true), finalReader, async (r, w, commands, reader) => {
          const rig = new EncoderRig(r, w);
          await fc.asyncModelRun(() => ({ model: { rig } as Model, real: rig as Rig }), commands);
          await rig.readAll(reader);
          rig.expectDone();
        }),
        { numRuns: runs(150) },
      ));

    it('calls every callback once and is silent after close, destroyed at any moment', () =>
      fc.assert(
        fc.asyncProperty(marks, marks, encoderCommands(true), fc.boolean(), async (r, w, commands, withError) => {
          const rig = new EncoderRig(r, w);
          await fc.asyncModelRun(() => ({ model: { rig } as Model, real: rig as Rig }), commands);
          await destroyAndCheck(rig, withError ? new Error('destroyed by the test') : undefined);
        }),
        { numRuns: runs(150) },
      ));
  });
});
