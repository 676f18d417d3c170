import { expect } from 'chai';
import fc from 'fast-check';
import {
  LengthPrefixDecoderStream,
  LengthPrefixEncoderStream,
  type Message,
  type StreamedMessage,
} from '../../lib/web/index.js';
import { runs } from '../support/runs.js';
import { settled } from './support.js';

/** What becomes of a promise. */
class Fate<T = unknown> {
  state: 'pending' | 'fulfilled' | 'rejected' = 'pending';
  value: T | undefined;
  reason: unknown;

  constructor(promise: Promise<T>) {
    promise.then(
      (value) => {
        this.state = 'fulfilled';
        this.value = value;
      },
      (reason) => {
        this.state = 'rejected';
        this.reason = reason;
      },
    );
  }

  get isPending(): boolean {
    return this.state === 'pending';
  }
}

type Read<T> = Fate<{ readonly done: boolean; readonly value?: T | undefined }>;

/** The two sides of a stream, what was done to them, and what came of it. */
class Rig<In, Out> {
  readonly #pair: { readonly readable: ReadableStream<Out>; readonly writable: WritableStream<In> };
  reader: ReadableStreamDefaultReader<Out>;
  readonly writer: WritableStreamDefaultWriter<In>;
  readonly writes: Fate[] = [];
  reads: Read<Out>[] = [];
  closing: Fate | undefined;
  /** Reads whose reader left them: what they asked for may come, and wait. */
  left = false;
  aborted: { readonly reason: Error; readonly fate: Fate } | undefined;
  cancelled: { readonly reason: Error; readonly fate: Fate } | undefined;

  constructor(pair: { readonly readable: ReadableStream<Out>; readonly writable: WritableStream<In> }) {
    this.#pair = pair;
    this.reader = pair.readable.getReader();
    this.writer = pair.writable.getWriter();
    for (const { closed } of [this.reader, this.writer]) closed.catch(() => {});
    this.writer.ready.catch(() => {});
  }

  write(chunk: In): void {
    this.writes.push(new Fate(this.writer.write(chunk)));
    this.writer.ready.catch(() => {});
  }

  close(): void {
    this.closing ??= new Fate(this.writer.close());
  }

  get isOver(): boolean {
    return this.closing !== undefined || this.aborted !== undefined || this.cancelled !== undefined;
  }

  read(): void {
    this.reads.push(new Fate(this.reader.read()));
  }

  /** The reader leaves, with what it asked for, and another one comes. */
  async release(): Promise<void> {
    await settled();
    this.left ||= this.reads.some((read) => read.isPending);
    this.reads = this.reads.filter((read) => !read.isPending);
    this.reader.closed.catch(() => {});
    this.reader.releaseLock();
    this.reader = this.#pair.readable.getReader();
    this.reader.closed.catch(() => {});
  }

  abort(): void {
    const reason = new Error('aborted');
    this.aborted ??= { reason, fate: new Fate(this.writer.abort(reason)) };
  }

  cancel(): void {
    const reason = new Error('cancelled');
    this.cancelled ??= { reason, fate: new Fate(this.reader.cancel(reason)) };
  }

  /** When all is quiet after an abort or a cancel, no read waits: it has got something, or the end. */
  checkNoneWaits(): void {
    expect(
      this.reads.some((read) => read.isPending),
      'a read waits',
    ).to.equal(false);
  }

  get items(): Out[] {
    return this.reads.flatMap(({ value }) => (value === undefined || value.done ? [] : [value.value as Out]));
  }

  /** Reads until there is nothing more. Gives what the reader was told then: undefined for the end. */
  async readAll(): Promise<unknown> {
    for (;;) {
      // One that waits already must be enough.
      if (!this.reads.some((read) => read.isPending)) this.read();
      await settled();
      const end = this.reads.find(({ state, value }) => state === 'rejected' || value?.done);
      if (end !== undefined) return end.reason;
      expect(this.reads.at(-1)!.state, 'a read when all was written').to.equal('fulfilled');
    }
  }

  /** Everything that was begun has an end: in the right order, and the right one. */
  checkSettled(): void {
    const all = [...this.writes, ...(this.closing === undefined ? [] : [this.closing])];
    expect(all.map(({ state }) => state)).not.to.include('pending');
    const failed = all.findIndex(({ state }) => state === 'rejected');
    if (failed !== -1) expect(all.slice(failed).every(({ state }) => state === 'rejected')).to.equal(true);
    for (const ended of [this.aborted, this.cancelled]) expect(ended?.fate.state).not.to.equal('pending');
    const states = this.reads.map(({ state, value }) => (value?.done ? 'end' : state));
    expect(states.lastIndexOf('fulfilled') + 1).to.equal(states.filter((state) => state === 'fulfilled').length);
  }
}

/** Done one after the other; each with a number from 0 to before 1 to choose by. */
type Script<R> = readonly (readonly [name: string, run: (rig: R, choice: number) => unknown, choice: number])[];

function scripts<R>(steps: Record<string, readonly [weight: number, run: (rig: R, choice: number) => unknown]>) {
  const one = fc.oneof(
    ...Object.entries(steps).map(([name, [weight, run]]) => ({
      weight,
      arbitrary: fc
        .double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
        .map((choice) =>
          Object.assign([name, run, choice] as const, { [fc.toStringMethod]: () => `${name}(${choice})` }),
        ),
    })),
  );
  return fc.array(one, { maxLength: 50, size: 'max' }) as fc.Arbitrary<Script<R>>;
}

const common = {
  turn: [6, () => settled()],
  microtask: [2, () => Promise.resolve()],
} as const;

const sizes = fc.array(fc.oneof({ weight: 5, arbitrary: fc.nat(6) }, { weight: 1, arbitrary: fc.nat(200) }), {
  maxLength: 30,
  size: 'max',
});

interface Wire {
  readonly bytes: Uint8Array;
  /** The byte behind each message. */
  readonly ends: number[];
  readonly messages: Uint8Array[];
  /** The byte at which what follows the messages is known to be wrong. */
  readonly faultAt: number;
}

/** `uint16be` in front of each message, which may keep it. */
function wireOf(lengths: number[], keeps: boolean, faulty: boolean): Wire {
  const frames = lengths.map((length, number) => {
    const frame = new Uint8Array(2 + length).fill(number + 1);
    new DataView(frame.buffer).setUint16(0, length);
    return frame;
  });
  let end = 0;
  const ends = frames.map(({ length }) => {
    end += length;
    return end;
  });
  const bytes = Buffer.concat([...frames, faulty ? Buffer.from('ffffffff', 'hex') : Buffer.alloc(0)]);
  const faultAt = faulty ? end + 2 : Number.POSITIVE_INFINITY;
  return { bytes, ends, messages: frames.map((frame) => (keeps ? frame : frame.subarray(2))), faultAt };
}

interface DecoderSettings {
  readonly sizes: number[];
  readonly keeps: boolean;
  readonly faulty: boolean;
  readonly batch: boolean;
  readonly readableHighWaterMark: number;
}

const decoderSettings: fc.Arbitrary<DecoderSettings> = fc.record({
  sizes,
  keeps: fc.boolean(),
  faulty: fc.boolean(),
  batch: fc.boolean(),
  readableHighWaterMark: fc.oneof(fc.nat(4), fc.constant(1000)),
});

function formatOf(keeps: boolean) {
  return { lengthField: 'uint16be', maxPayloadLength: 1000, ...(keeps ? { initialBytesToStrip: 0 } : {}) } as const;
}

/** Cuts the bytes of a wire into writes. */
class Writing<Out> extends Rig<Uint8Array, Out> {
  readonly wire: Wire;
  /** The byte behind each write. */
  readonly ends: number[] = [];

  constructor(
    wire: Wire,
    pair: { readonly readable: ReadableStream<Out>; readonly writable: WritableStream<Uint8Array> },
  ) {
    super(pair);
    this.wire = wire;
  }

  get written(): number {
    return this.ends.at(-1) ?? 0;
  }

  writeSome(choice: number): void {
    if (this.isOver) return;
    const left = this.wire.bytes.length - this.written;
    const next = this.wire.ends.findIndex((end) => end > this.written);
    // Half of them end where a message does.
    const border = next === -1 ? undefined : this.wire.ends[next + Math.floor(choice * 6)];
    const count = choice < 0.5 && border !== undefined ? border - this.written : Math.floor(choice ** 2 * 30);
    const end = this.written + Math.min(left, count);
    // Its own copy, which nobody else has.
    this.write(Uint8Array.from(this.wire.bytes.subarray(this.written, end)));
    this.ends.push(end);
  }

  writeRest(): void {
    if (this.isOver) return;
    this.write(this.wire.bytes.slice(this.written));
    this.ends.push(this.wire.bytes.length);
  }

  complete(bytes: number): number {
    return this.wire.ends.filter((end) => end <= bytes).length;
  }

  /** The byte behind the last write that was taken, when all is quiet. */
  get taken(): number {
    const inHand = this.writes.findIndex(({ isPending }) => isPending);
    return this.ends[inHand] ?? this.written;
  }

  /** What ends the reader when it has all. */
  expectEnd(error: unknown, bytes: number): void {
    if (bytes >= this.wire.faultAt && !(error === this.aborted?.reason)) {
      expect(error).to.include({ code: 'ERR_FRAME_TOO_LONG' });
    } else if (this.aborted !== undefined) {
      expect(error).to.equal(this.aborted.reason);
    } else if (bytes > (this.wire.ends.filter((end) => end <= bytes).at(-1) ?? 0)) {
      expect(error).to.include({ code: 'ERR_FRAME_TRUNCATED' });
    } else {
      expect(error).to.equal(undefined);
    }
    // What has failed already can't be closed.
    const reason = this.closing?.reason;
    if (reason !== undefined && reason !== error) expect(reason).to.be.instanceOf(TypeError);
  }
}

class DecoderRig extends Writing<Uint8Array | Uint8Array[]> {
  readonly settings: DecoderSettings;
  /** Messages that were looked at. */
  readonly #made: () => number;
  /** Those that had to be taken before an abort. */
  takenAtAbort: number | undefined;
  madeAtCancel: number | undefined;

  constructor(settings: DecoderSettings) {
    const { keeps, faulty, batch, readableHighWaterMark } = settings;
    let made = 0;
    const decode = (bytes: Uint8Array, start: number, end: number) => {
      made++;
      return bytes.subarray(start, end);
    };
    const options = { ...formatOf(keeps), batch, readableHighWaterMark, decode };
    super(wireOf(settings.sizes, keeps, faulty), new LengthPrefixDecoderStream<boolean, Uint8Array>(options) as never);
    this.settings = settings;
    this.#made = () => made;
  }

  /** How many pieces there are in the first bytes, and how many messages in the first pieces. */
  pieces(bytes: number): number[] {
    if (!this.settings.batch) return Array.from({ length: this.complete(bytes) }, () => 1);
    let before = 0;
    const counts = this.ends.map((end) => {
      const count = this.complete(Math.min(end, bytes)) - before;
      before += count;
      return count;
    });
    return counts.filter((count) => count > 0);
  }

  async step(run: (rig: DecoderRig, choice: number) => unknown, choice: number): Promise<void> {
    await run(this, choice);
    const wanted = this.reads.length + this.settings.readableHighWaterMark + (this.left ? 1 : 0);
    const most = this.pieces(this.written).slice(0, wanted);
    expect(this.#made(), 'messages held').to.be.at.most(most.reduce((sum, count) => sum + count, 0));
    for (const [number, write] of this.writes.entries()) {
      if (write.state === 'fulfilled') expect(this.#made()).to.be.at.least(this.complete(this.ends[number]!));
    }
  }

  /** When all is quiet: what is wanted is there, and a write of which all is wanted is done. */
  quiet(): void {
    if (this.aborted !== undefined || this.cancelled !== undefined) {
      this.checkNoneWaits();
      if (this.madeAtCancel !== undefined) expect(this.#made()).to.equal(this.madeAtCancel);
      return;
    }
    const wanted = this.reads.length + this.settings.readableHighWaterMark;
    const inHand = this.writes.findIndex(({ isPending }) => isPending);
    for (const [number, end] of this.ends.entries()) {
      if (end >= this.wire.faultAt || (inHand !== -1 && number > inHand)) break;
      const count = this.pieces(end).length;
      const isBorder = end === 0 || this.wire.ends.includes(end);
      if (count < wanted || (count === wanted && isBorder)) {
        expect(this.writes[number]!.state, `write ${number}`).to.equal('fulfilled');
      }
    }
    const there = Math.min(this.pieces(this.taken).length, this.reads.length);
    expect(this.items.length, 'items').to.be.at.least(there);
  }

  async abortWhen(quiet: boolean): Promise<void> {
    if (this.isOver) return;
    if (quiet) {
      await settled();
      this.takenAtAbort = this.taken;
    }
    this.abort();
  }

  async cancelNow(): Promise<void> {
    this.cancel();
    this.madeAtCancel ??= this.#made();
  }

  async finish(): Promise<void> {
    if (!this.isOver) {
      this.writeRest();
      this.close();
    }
    const error = await this.readAll();
    this.checkSettled();
    const messages = this.items.flat();
    expect(messages.map((message) => Buffer.from(message as Uint8Array))).to.deep.equal(
      this.wire.messages.slice(0, messages.length).map((message) => Buffer.from(message)),
    );
    if (this.cancelled !== undefined) {
      const failed = this.writes.filter(({ state }) => state === 'rejected');
      const reasons = [this.cancelled.reason, this.aborted?.reason];
      for (const { reason } of failed) {
        if (!reasons.includes(reason as Error)) expect(reason).to.have.property('code');
      }
      return;
    }
    const accepted = this.aborted === undefined ? this.written : (this.takenAtAbort ?? this.taken);
    if (this.aborted === undefined || this.takenAtAbort !== undefined) {
      expect(messages).to.have.lengthOf(this.complete(accepted));
      this.expectEnd(error, accepted);
    }
    const done = this.writes.filter(({ state }) => state === 'fulfilled').length;
    expect(messages.length).to.be.at.least(this.complete(this.ends[done - 1] ?? 0));
    if (this.aborted === undefined && error !== undefined) {
      for (const { state, reason } of this.writes) if (state === 'rejected') expect(reason).to.equal(error);
      const known = this.ends.filter((end) => end < this.wire.faultAt).length;
      expect(done, 'writes that are done').to.be.at.least(known);
    }
  }
}

/** A body that was handed out, and what was read of it. */
class ReadBody {
  readonly message: StreamedMessage;
  left = false;
  /** A part that was asked for stays in the body when it comes: its reader has released its lock. */
  isReleased = false;
  #reader: ReadableStreamDefaultReader<Uint8Array>;
  #reads: Read<Uint8Array>[] = [];

  constructor(message: StreamedMessage) {
    this.message = message;
    this.#reader = message.body.getReader();
    this.#reader.closed.catch(() => {});
  }

  read(): void {
    this.#reads.push(new Fate(this.#reader.read()));
  }

  async release(): Promise<void> {
    await settled();
    const done = this.#reads.filter((read) => !read.isPending);
    this.isReleased ||= done.length < this.#reads.length;
    this.#reads = done;
    this.#reader.releaseLock();
    this.#reader = this.message.body.getReader();
    this.#reader.closed.catch(() => {});
  }

  leave(): void {
    this.left = true;
    this.#reader.cancel().catch(() => {});
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#reads.flatMap(({ value }) => (value?.value === undefined ? [] : [value.value])));
  }

  /** Reads to the end. Gives what it failed with. */
  async readAll(): Promise<unknown> {
    for (;;) {
      this.read();
      await settled();
      const end = this.#reads.find(({ state, value }) => state === 'rejected' || value?.done);
      if (end !== undefined) return end.reason;
      expect(this.#reads.at(-1)!.isPending, 'a read of a body when all was written').to.equal(false);
    }
  }
}

class BodiesRig extends Writing<StreamedMessage> {
  readonly bodies: ReadBody[] = [];

  constructor({ sizes, keeps, faulty, readableHighWaterMark }: DecoderSettings) {
    const options = { ...formatOf(keeps), readableHighWaterMark, stream: true } as const;
    super(wireOf(sizes, keeps, faulty), new LengthPrefixDecoderStream(options));
  }

  /** The one that came last; seldom, one before it. */
  body(choice: number): ReadBody | undefined {
    const all = this.items;
    while (this.bodies.length < all.length) this.bodies.push(new ReadBody(all[this.bodies.length]!));
    return this.bodies.at(choice < 0.8 ? -1 : -2);
  }

  quiet(): void {
    this.body(0);
    const open = this.bodies.filter(({ left, isReleased, bytes, message }) => {
      return !left && !isReleased && bytes.length < message.length;
    });
    expect(open.length, 'open bodies').to.be.at.most(1);
  }

  async finish(): Promise<void> {
    if (!this.isOver) {
      this.writeRest();
      this.close();
    }
    let error: unknown;
    for (let read = 0, ended = false; !ended; ) {
      if (this.reads.length === read) this.read();
      await settled();
      for (this.body(0); read < this.reads.length && !ended; read++) {
        const { state, value, reason } = this.reads[read]!;
        if (state === 'pending') break;
        error = reason;
        ended = state === 'rejected' || value?.done === true;
      }
      for (const body of this.bodies.slice(-2)) {
        const failed = body.left ? undefined : await body.readAll();
        const payload = this.wire.messages[this.bodies.indexOf(body)]!;
        expect(body.message.length).to.equal(payload.length);
        const whole = body.left || failed !== undefined ? payload.subarray(0, body.bytes.length) : payload;
        expect(body.bytes).to.deep.equal(Buffer.from(whole));
        if (failed !== undefined && this.cancelled === undefined && this.aborted === undefined) {
          expect(failed).to.include({ code: 'ERR_FRAME_TRUNCATED' });
        }
      }
    }
    await settled();
    this.checkSettled();
    if (this.cancelled !== undefined || this.aborted !== undefined) return;
    expect(this.bodies.length).to.be.at.least(this.complete(this.written));
    this.expectEnd(error, this.written);
  }
}

/** The bytes of a message, which come when they are fed. */
class Feed {
  readonly length: number;
  readonly body: ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>;
  given = 0;
  letGo = false;
  failure: Error | undefined;
  readonly asStream: boolean;
  readonly #byte: number;
  #controller!: ReadableStreamDefaultController<Uint8Array>;

  constructor(byte: number, length: number, asStream: boolean) {
    this.#byte = byte;
    this.length = length;
    this.asStream = asStream;
    const stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller as ReadableStreamDefaultController<Uint8Array>;
          if (length === 0) controller.close();
        },
        cancel: () => {
          this.letGo = true;
        },
      },
      { highWaterMark: 0 },
    );
    this.body = asStream ? stream : stream.values();
  }

  get isOver(): boolean {
    return this.letGo || this.failure !== undefined || this.given === this.length;
  }

  give(count: number): void {
    if (this.isOver) return;
    const part = new Uint8Array(Math.min(count, this.length - this.given)).fill(this.#byte);
    this.given += part.length;
    this.#controller.enqueue(part);
    if (this.given === this.length) this.#controller.close();
  }

  fail(): void {
    if (this.isOver) return;
    this.failure = new Error('the feed failed');
    this.#controller.error(this.failure);
  }
}

const LIMIT = 100_000;

class EncoderRig extends Rig<Message, Uint8Array> {
  readonly feeds: (Feed | undefined)[] = [];
  readonly #frames: Buffer[] = [];
  /** The first write that can't be sent. */
  refused = Number.POSITIVE_INFINITY;
  quietAtAbort = false;

  constructor(readableHighWaterMark: number) {
    super(new LengthPrefixEncoderStream({ maxPayloadLength: LIMIT, readableHighWaterMark }));
  }

  #frame(length: number): Buffer {
    const frame = Buffer.alloc(4 + length, this.writes.length + 1);
    frame.writeUInt32LE(length);
    this.#frames.push(frame);
    return frame;
  }

  writeBytes(length: number): void {
    if (this.isOver) return;
    this.feeds.push(undefined);
    this.write(this.#frame(length).subarray(4));
  }

  /** Several at once; then so many microtasks pass that some of them are taken. */
  async writeMany(choice: number): Promise<void> {
    const count = 2 + Math.floor(choice * 6);
    for (let i = 0; i < count; i++) this.writeBytes(i);
    const turns = Math.floor((choice * 1000) % 12);
    for (let i = 0; i < turns; i++) await undefined;
  }

  async abortAmong(choice: number): Promise<void> {
    await this.writeMany(choice);
    await this.abortWhen(false);
    await settled();
    this.quiet();
  }

  writeFeed(length: number, asStream: boolean): void {
    if (this.isOver) return;
    const feed = new Feed((this.writes.length + 1) % 256, length, asStream);
    this.#frame(length);
    this.feeds.push(feed);
    this.write(feed);
  }

  writeTooLong(): void {
    if (this.isOver) return;
    this.refused = Math.min(this.refused, this.writes.length);
    this.writeBytes(LIMIT + 1);
  }

  /** One of those that are not over: most likely the first. */
  feed(choice: number): Feed | undefined {
    const open = this.feeds.filter((feed) => feed !== undefined && !feed.isOver);
    return open[choice < 0.7 ? 0 : Math.floor(choice * open.length)];
  }

  async abortWhen(quiet: boolean): Promise<void> {
    if (this.isOver) return;
    if (quiet) await settled();
    this.quietAtAbort = quiet;
    this.abort();
  }

  /** All that was written, as it must come out, up to where it can't. */
  due(): { bytes: Buffer; failedAt: number } {
    const parts: Buffer[] = [];
    for (const [number, frame] of this.#frames.entries()) {
      const feed = this.feeds[number];
      if (number >= this.refused) return { bytes: Buffer.concat(parts), failedAt: number };
      if (feed === undefined || feed.given === feed.length) {
        parts.push(frame);
      } else {
        if (feed.given > 0) parts.push(frame.subarray(0, 4 + feed.given));
        return { bytes: Buffer.concat(parts), failedAt: number };
      }
    }
    return { bytes: Buffer.concat(parts), failedAt: Number.POSITIVE_INFINITY };
  }

  get bytes(): Buffer {
    return Buffer.concat(this.items);
  }

  check(): void {
    const { bytes } = this;
    expect(bytes.equals(this.due().bytes.subarray(0, bytes.length)), 'bytes').to.equal(true);
  }

  /** When all is quiet: a read waits only where there is nothing to be read. */
  quiet(): void {
    if (this.aborted !== undefined || this.cancelled !== undefined) {
      this.checkNoneWaits();
      return;
    }
    if (!this.reads.some(({ isPending }) => isPending)) return;
    expect(this.bytes.length, 'bytes read').to.equal(this.due().bytes.length);
    const inHand = this.writes.findIndex(({ isPending }) => isPending);
    if (inHand !== -1) expect(this.feeds[inHand]?.isOver, 'a write waits for its body').to.equal(false);
  }

  async finish(): Promise<void> {
    if (!this.isOver) this.close();
    for (const feed of this.feeds) if (this.aborted === undefined) feed?.give(feed.length);
    const error = await this.readAll();
    this.checkSettled();
    this.check();
    await settled();
    // An iterator that waits for a part can't be left before that comes.
    for (const feed of this.feeds) if (feed?.asStream === false) feed.give(1);
    await settled();
    for (const feed of this.feeds) expect(feed?.isOver, 'a body is done with').not.to.equal(false);
    if (this.cancelled !== undefined) return;
    if (this.aborted !== undefined) {
      if (this.refused === Number.POSITIVE_INFINITY && !this.feeds.some((feed) => feed?.failure)) {
        expect(error).to.equal(this.aborted.reason);
      }
      const done = this.writes.filter(({ state }) => state === 'fulfilled').length;
      const least = this.#frames.slice(0, done).reduce((sum, { length }) => sum + length, 0);
      expect(this.bytes.length).to.be.at.least(least);
      return;
    }
    const { bytes, failedAt } = this.due();
    const failure = this.feeds[failedAt]?.failure;
    // A ReadableStream that fails throws away the parts that it still has.
    if (failure !== undefined) expect(this.bytes.length).to.be.at.most(bytes.length);
    else expect(this.bytes.length).to.equal(bytes.length);
    if (failedAt === Number.POSITIVE_INFINITY) expect(error).to.equal(undefined);
    else if (failure !== undefined) expect(error).to.equal(failure);
    else expect(error).to.include({ code: 'ERR_FRAME_TOO_LONG' });
    for (const [number, { state }] of this.writes.entries()) {
      expect(state).to.equal(number < failedAt ? 'fulfilled' : 'rejected');
    }
  }
}

const begun = (rig: { readonly writes: readonly unknown[]; readonly isOver: boolean }, writes: number) =>
  !rig.isOver && rig.writes.length >= writes;

const decoderScripts = (ends: boolean) =>
  scripts<DecoderRig>({
    ...common,
    write: [10, (rig, choice) => rig.writeSome(choice)],
    read: [8, (rig) => rig.read()],
    release: [1, (rig) => rig.release()],
    close: [ends ? 1 : 0, (rig) => begun(rig, 3) && rig.close()],
    abort: [ends ? 2 : 0, (rig, choice) => begun(rig, 3) && rig.abortWhen(choice < 0.5)],
    cancel: [ends ? 1 : 0, (rig) => rig.writes.length > 4 && rig.cancelNow()],
  });

const bodiesScripts = (ends: boolean) =>
  scripts<BodiesRig>({
    ...common,
    write: [10, (rig, choice) => rig.writeSome(choice)],
    read: [8, (rig) => rig.read()],
    release: [1, (rig) => rig.release()],
    part: [8, (rig, choice) => rig.body(choice)?.read()],
    leave: [2, (rig, choice) => rig.body(choice)?.leave()],
    releaseBody: [1, (rig, choice) => rig.body(choice)?.release()],
    close: [ends ? 1 : 0, (rig) => begun(rig, 3) && rig.close()],
    abort: [ends ? 1 : 0, (rig) => begun(rig, 3) && rig.abort()],
    cancel: [ends ? 1 : 0, (rig) => rig.writes.length > 4 && rig.cancel()],
  });

const encoderScripts = (ends: boolean) =>
  scripts<EncoderRig>({
    ...common,
    write: [8, (rig, choice) => rig.writeBytes(Math.floor(choice * 30))],
    writeMany: [2, (rig, choice) => rig.writeMany(choice)],
    abortAmong: [ends ? 2 : 0, (rig, choice) => rig.abortAmong(choice)],
    writeLarge: [1, (rig, choice) => rig.writeBytes(65_530 + Math.floor(choice * 10_000))],
    writeFeed: [3, (rig, choice) => rig.writeFeed(Math.floor(choice * 40), choice < 0.5)],
    feed: [6, (rig, choice) => rig.feed(choice)?.give(Math.floor(choice * 20))],
    read: [8, (rig) => rig.read()],
    release: [1, (rig) => rig.release()],
    writeTooLong: [ends ? 1 : 0, (rig) => begun(rig, 3) && rig.writeTooLong()],
    failFeed: [ends ? 1 : 0, (rig, choice) => rig.feed(choice)?.fail()],
    close: [ends ? 1 : 0, (rig) => begun(rig, 3) && rig.close()],
    abort: [ends ? 2 : 0, (rig, choice) => begun(rig, 3) && rig.abortWhen(choice < 0.5)],
    cancel: [ends ? 1 : 0, (rig) => rig.writes.length > 4 && rig.cancel()],
  });

describe('model of the web streams', () => {
  for (const ends of [false, true]) {
    const however = ends ? ', however it ends' : '';

    it(`the decoder keeps order, holds what it may, and settles what it should${however}`, () =>
      fc.assert(
        fc.asyncProperty(decoderSettings, decoderScripts(ends), async (settings, script) => {
          const rig = new DecoderRig(settings);
          await settled();
          for (const [name, run, choice] of script) {
            await rig.step(run, choice);
            if (name === 'turn') rig.quiet();
          }
          await rig.finish();
        }),
        { numRuns: runs(150) },
      ));

    it(`the decoder hands out bodies one at a time, whatever is done to them${however}`, () =>
      fc.assert(
        fc.asyncProperty(decoderSettings, bodiesScripts(ends), async (settings, script) => {
          const rig = new BodiesRig(settings);
          for (const [name, run, choice] of script) {
            await run(rig, choice);
            if (name === 'turn') rig.quiet();
          }
          await rig.finish();
        }),
        { numRuns: runs(150) },
      ));

    it(`the encoder sends exactly the frames, and lets go of all bodies${however}`, () =>
      fc.assert(
        fc.asyncProperty(fc.nat(3), encoderScripts(ends), async (readableHighWaterMark, script) => {
          const rig = new EncoderRig(readableHighWaterMark);
          await settled();
          for (const [name, run, choice] of script) {
            await run(rig, choice);
            rig.check();
            if (name === 'turn') rig.quiet();
          }
          await rig.finish();
        }),
        { numRuns: runs(150) },
      ));
  }
});
