import { Readable } from 'node:stream';
import { expect } from 'chai';
import fc from 'fast-check';
import { LengthPrefixDecoderStream, LengthPrefixEncoderStream, type Message } from '../../lib/web/index.js';
import { runs } from '../support/runs.js';
import { settled } from './support.js';

const sourceKinds = ['pull', 'push', 'bytes', 'byob', 'iterable', 'tee', 'transfer'] as const;
const readerKinds = ['reader', 'for await', 'pipeTo', 'tee', 'transfer', 'many readers'] as const;

/** A part of the input, from a stream of its own, and how that ends. */
interface Segment {
  readonly kind: (typeof sourceKinds)[number];
  /** How much of what is left it gives: from 0 to before 1. */
  readonly share: number;
  readonly end: 'close' | 'error' | 'signal';
  /** `preventClose` and `preventAbort`. */
  readonly prevents: boolean;
  readonly preventCancel: boolean;
  readonly slow: boolean;
}

interface Reading {
  readonly kind: (typeof readerKinds)[number];
  readonly slow: boolean;
  /** The reader leaves when it has this many. */
  readonly most: number;
  readonly preventCancel: boolean;
  readonly highWaterMark: number;
}

const segment: fc.Arbitrary<Segment> = fc.record({
  kind: fc.constantFrom(...sourceKinds),
  share: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  end: fc.oneof(
    { weight: 3, arbitrary: fc.constant('close' as const) },
    { weight: 1, arbitrary: fc.constantFrom('error' as const, 'signal' as const) },
  ),
  prevents: fc.boolean(),
  preventCancel: fc.boolean(),
  slow: fc.boolean(),
});

const reading: fc.Arbitrary<Reading> = fc.record({
  kind: fc.constantFrom(...readerKinds),
  slow: fc.boolean(),
  most: fc.oneof({ weight: 3, arbitrary: fc.constant(Number.POSITIVE_INFINITY) }, { weight: 1, arbitrary: fc.nat(5) }),
  preventCancel: fc.boolean(),
  highWaterMark: fc.integer({ min: 1, max: 3 }),
});

/** Chunks, and what becomes of them. */
class Source<T> {
  readonly chunks: readonly T[];
  readonly failure = new Error('the source failed');
  given = 0;
  cancelled = false;
  readable: ReadableStream<T>;
  readonly #segment: Segment;
  #isQuiet: (() => void) | undefined;
  /** All chunks are given, and no end comes. */
  readonly isQuiet = new Promise<void>((resolve) => {
    this.#isQuiet = resolve;
  });

  constructor(chunks: readonly T[], segment: Segment) {
    this.chunks = chunks;
    this.#segment = segment;
    this.readable = this.#open();
  }

  #open(): ReadableStream<T> {
    const cancel = () => {
      this.cancelled = true;
    };
    // Those that fail throw away what waits in them, and a generator that waits can't be left.
    const { kind, end } = this.#segment;
    switch (end === 'close' || (end === 'error' && kind === 'iterable') ? kind : plainly(kind)) {
      case 'push':
        return this.#pushing(cancel);
      case 'iterable':
        return ReadableStream.from(this.#iterate()) as ReadableStream<T>;
      case 'bytes':
      case 'byob':
        return this.#ofBytes(cancel);
      case 'tee':
        return this.#teed(this.#pulling(cancel));
      case 'transfer': {
        const stream = this.#pulling(cancel);
        return structuredClone(stream, { transfer: [stream as never] });
      }
      default:
        return this.#pulling(cancel);
    }
  }

  #pulling(cancel: () => void): ReadableStream<T> {
    return new ReadableStream<T>({ pull: (controller) => this.#pull(controller), cancel }, { highWaterMark: 0 });
  }

  async #pull(controller: { enqueue(chunk: T): void; close(): void; error(error: unknown): void }): Promise<void> {
    if (this.#segment.slow) await settled();
    if (this.cancelled) return;
    if (this.given < this.chunks.length) controller.enqueue(this.chunks[this.given++]!);
    else if (this.#segment.end === 'close') controller.close();
    else if (this.#segment.end === 'error') controller.error(this.failure);
    else {
      this.#isQuiet!();
      await new Promise(() => {});
    }
  }

  #pushing(cancel: () => void): ReadableStream<T> {
    return new ReadableStream<T>({
      start: (controller) => {
        for (const chunk of this.chunks) controller.enqueue(chunk);
        this.given = this.chunks.length;
        controller.close();
      },
      cancel,
    });
  }

  async *#iterate(): AsyncGenerator<T, void, undefined> {
    let isOver = false;
    try {
      for (;;) {
        let chunk: T | undefined;
        await this.#pull({
          enqueue: (next) => {
            chunk = next;
          },
          close: () => {
            isOver = true;
          },
          error: (error) => {
            isOver = true;
            throw error;
          },
        });
        if (isOver) return;
        yield chunk!;
      }
    } finally {
      this.cancelled ||= !isOver;
    }
  }

  #ofBytes(cancel: () => void): ReadableStream<T> {
    const source = {
      type: 'bytes' as const,
      ...(this.#segment.kind === 'byob' ? { autoAllocateChunkSize: 7 } : {}),
      pull: (controller: ReadableByteStreamController) => this.#pull(byteController(controller) as never),
      cancel,
    };
    return new ReadableStream(source, { highWaterMark: 0 }) as unknown as ReadableStream<T>;
  }

  /** One branch is piped, the other one read beside it. */
  #teed(stream: ReadableStream<T>): ReadableStream<T> {
    const [one, other] = stream.tee();
    void consume(other, { kind: 'reader', slow: false, most: Number.POSITIVE_INFINITY } as Reading);
    return one;
  }
}

function plainly(kind: Segment['kind']): Segment['kind'] {
  return kind === 'bytes' || kind === 'byob' ? kind : 'pull';
}

function byteController(controller: ReadableByteStreamController) {
  return {
    enqueue: (chunk: Uint8Array) => {
      const { byobRequest } = controller;
      const view = byobRequest?.view as Uint8Array | null | undefined;
      if (byobRequest && view && view.byteLength >= chunk.length) {
        new Uint8Array(view.buffer, view.byteOffset, view.byteLength).set(chunk);
        byobRequest.respond(chunk.length);
      } else {
        // Its memory is transferred.
        controller.enqueue(Uint8Array.from(chunk));
      }
    },
    close: () => {
      controller.close();
      controller.byobRequest?.respond(0);
    },
    error: (error: unknown) => controller.error(error),
  };
}

interface Consumed<T> {
  readonly items: T[];
  readonly error: unknown;
  readonly left: boolean;
}

const leaving = new Error('the reader left');

/** Reads in this way. */
async function consume<T>(readable: ReadableStream<T>, reading: Reading): Promise<Consumed<T>> {
  const { kind, slow, most } = reading;
  const items: T[] = [];
  /** Whether the reader has enough. */
  const add = async (item: T): Promise<boolean> => {
    items.push(item);
    if (slow) await settled();
    return items.length >= most;
  };
  try {
    if (kind === 'for await') {
      for await (const item of readable) if (await add(item)) return { items, error: undefined, left: true };
    } else if (kind === 'pipeTo') {
      await pipeInto(readable, reading, add);
    } else if (kind === 'tee') {
      // Both would have to leave.
      const others = { ...reading, kind: 'reader', most: Number.POSITIVE_INFINITY } as const;
      const [one, other] = await Promise.all(readable.tee().map((branch) => consume(branch, others)));
      if (one!.error === undefined) expect(other!.items).to.deep.equal(one!.items);
      expect(other!.error).to.equal(one!.error);
      return one!;
    } else if (kind === 'transfer') {
      const clone = structuredClone(readable, { transfer: [readable as never] });
      return await consume(clone, { ...reading, kind: 'reader' });
    } else {
      return await readAll(readable, kind === 'many readers', add, items);
    }
    return { items, error: undefined, left: false };
  } catch (error) {
    return { items, error, left: items.length >= most };
  }
}

async function pipeInto<T>(
  readable: ReadableStream<T>,
  { preventCancel, highWaterMark }: Reading,
  add: (item: T) => Promise<boolean>,
): Promise<void> {
  const sink = {
    write: async (item: T) => {
      if (await add(item)) throw leaving;
    },
  };
  try {
    await readable.pipeTo(new WritableStream(sink, { highWaterMark }), { preventCancel });
  } catch (error) {
    if (error === leaving && preventCancel) await readable.cancel(leaving);
    throw error;
  }
}

async function readAll<T>(
  readable: ReadableStream<T>,
  changes: boolean,
  add: (item: T) => Promise<boolean>,
  items: T[],
): Promise<Consumed<T>> {
  let reader = readable.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return { items, error: undefined, left: false };
    if (await add(value)) {
      await reader.cancel(leaving);
      return { items, error: undefined, left: true };
    }
    if (!changes) continue;
    reader.releaseLock();
    reader = readable.getReader();
  }
}

interface Piped {
  readonly given: number;
  /** The streams go on. */
  readonly isOpen: boolean;
  readonly error: unknown;
}

/** Pipes a source into the stream, as its segment says. */
async function pipe<T>(source: Source<T>, writable: WritableStream<T>, segment: Segment): Promise<Piped> {
  const { end, prevents, preventCancel } = segment;
  const aborter = new AbortController();
  const reason = new Error('the signal');
  const options = { preventClose: prevents, preventAbort: prevents, preventCancel, signal: aborter.signal };
  if (end === 'signal') void source.isQuiet.then(() => aborter.abort(reason));
  let error: unknown;
  try {
    await source.readable.pipeTo(writable, options);
    expect(end).to.equal('close');
  } catch (failure) {
    error = failure;
  }
  expect(source.readable.locked).to.equal(false);
  expect(writable.locked).to.equal(false);
  const expected = end === 'signal' ? reason : end === 'error' ? source.failure : undefined;
  // An error that is transferred becomes another object.
  const isOwn = error === expected || (segment.kind === 'transfer' && end === 'error' && sameText(error, expected));
  await settled();
  if (error !== undefined && (!isOwn || end === 'signal') && segment.kind !== 'tee') {
    // A generator that was not begun does not see that it is left.
    const isUnseen = source.given === source.chunks.length || (segment.kind === 'iterable' && source.given === 0);
    const isCancelled = source.cancelled || isUnseen;
    if (!preventCancel && segment.kind !== 'transfer') expect(isCancelled, 'source is cancelled').to.equal(true);
    if (preventCancel) expect(source.cancelled).to.equal(false);
  }
  // One that was transferred keeps the process alive until it is over.
  await source.readable.cancel().catch(() => {});
  return { given: source.given, isOpen: prevents && isOwn, error };
}

function sameText(a: unknown, b: unknown): boolean {
  return (a as Error)?.message === (b as Error)?.message;
}

interface Script {
  readonly segments: Segment[];
  readonly reading: Reading;
}

const script: fc.Arbitrary<Script> = fc.record({
  segments: fc.array(segment, { minLength: 1, maxLength: 3 }),
  reading,
});

/** Writes the chunks, a segment after the other. Returns how many of them were given, and the last one's error. */
async function writeAll<T>(writable: WritableStream<T>, chunks: readonly T[], segments: readonly Segment[]) {
  let given = 0;
  for (const [number, { ...segment }] of segments.entries()) {
    const isLast = number === segments.length - 1;
    const share = isLast ? chunks.length - given : Math.ceil(segment.share * (chunks.length - given));
    const source = new Source(chunks.slice(given, given + share), {
      ...segment,
      prevents: segment.prevents || !isLast,
    });
    const piped = await pipe(source, writable, { ...segment, prevents: segment.prevents || !isLast });
    given += piped.given;
    if (!piped.isOpen) return { given, error: piped.error };
  }
  const writer = writable.getWriter();
  writer.close().catch(() => {});
  return { given, error: await writer.closed.catch((reason) => reason) };
}

/** Whether the stream itself has failed. An error that is transferred has its message alone. */
function isFault(error: Error | undefined): boolean {
  return error?.name === 'FrameError' || /^(Frame at byte|the body failed)/.test(error?.message ?? '');
}

/** Both sides see the same end. */
function checkEnd(written: { readonly error: unknown }, read: Consumed<unknown>, { reading, segments }: Script): void {
  if (read.left) return;
  // A fault may be on its way to the writer when the source ends.
  const isLate = /^the (signal|source failed)$/.test((written.error as Error)?.message);
  if (isLate && isFault(read.error as Error)) return;
  const isCopy = reading.kind === 'transfer' || segments.some(({ kind }) => kind === 'transfer');
  if (isCopy) expect(sameText(read.error, written.error), 'same end').to.equal(true);
  else expect(read.error).to.equal(written.error);
}

/** Whether the reader must have got everything. Where a stream fails, these two throw away the items that wait in them. */
function isExact({ left, error }: Consumed<unknown>, { reading }: Script): boolean {
  return !left && (error === undefined || !['tee', 'transfer'].includes(reading.kind));
}

describe('pipes of the web streams', () => {
  const wires = fc.record({
    lengths: fc.array(fc.nat(20), { maxLength: 20 }),
    cuts: fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 20 }),
    isFaulty: fc.boolean(),
    isCut: fc.boolean(),
  });

  it('hand the decoder all bytes, and everyone the end', () =>
    fc.assert(
      fc.asyncProperty(wires, script, async ({ lengths, cuts, isFaulty, isCut }, plan) => {
        const frames = lengths.map((length, number) =>
          Buffer.from([length, ...new Uint8Array(length).fill(number + 1)]),
        );
        const whole = Buffer.concat([...frames, Buffer.from(isFaulty ? [255, 255] : [])]);
        const wire = Uint8Array.from(isCut ? whole.subarray(0, -1) : whole);
        const chunks: Uint8Array[] = [];
        for (let at = 0, n = 0; at < wire.length; at += cuts[n++ % cuts.length]!) {
          chunks.push(wire.slice(at, at + cuts[n % cuts.length]!));
        }
        const options = { lengthField: 'uint8', maxPayloadLength: 100, readableHighWaterMark: 2 } as const;
        const { readable, writable } = new LengthPrefixDecoderStream(options);
        const reading = consume(readable, plan.reading);
        const written = await writeAll(writable, chunks, plan.segments);
        const read = await reading;
        const given = chunks.slice(0, written.given).reduce((sum, { length }) => sum + length, 0);
        let end = 0;
        const messages = frames.filter((frame) => {
          end += frame.length;
          return end <= given;
        });
        const expected = messages.slice(0, read.items.length).map((frame) => [...frame.subarray(1)]);
        expect(read.items.map((item) => [...item])).to.deep.equal(expected);
        if (isExact(read, plan)) expect(read.items).to.have.lengthOf(messages.length);
        checkEnd(written, read, plan);
      }),
      { numRuns: runs(150), timeout: 2000 },
    ));

  type Kind = 'bytes' | 'string' | 'parts' | 'body' | 'strings' | 'generator' | 'stream' | 'node' | 'failing';
  const kinds: Kind[] = ['bytes', 'string', 'parts', 'body', 'strings', 'generator', 'stream', 'node', 'failing'];
  const drafts = fc.array(
    fc.record({
      kind: fc.oneof(
        { weight: 30, arbitrary: fc.constantFrom(...kinds.slice(0, -1)) },
        { weight: 1, arbitrary: fc.constant('failing' as const) },
      ),
      length: fc.oneof(
        { weight: 9, arbitrary: fc.nat(30) },
        { weight: 1, arbitrary: fc.integer({ min: 65_530, max: 70_000 }) },
      ),
    }),
    { maxLength: 15 },
  );

  /** A message, and whether its body is over. */
  function draw(kind: Kind, length: number, number: number) {
    const text = String.fromCharCode(65 + number).repeat(length);
    const state = { isOver: true, isOpened: false };
    const parts = [text.slice(0, length / 2), Buffer.from(text.slice(length / 2))];
    async function* generate() {
      state.isOver = false;
      try {
        for (const part of parts) {
          if (length % 2) await settled();
          yield part;
        }
        if (kind === 'failing') throw new Error('the body failed');
      } finally {
        state.isOver = true;
      }
    }
    const bodies: Record<Kind, () => Message> = {
      bytes: () => Buffer.from(text),
      string: () => text,
      parts: () => parts,
      body: () => ({ length, body: text }),
      strings: () => ({ length, body: parts }),
      generator: () => ({ length, body: generate() }),
      failing: () => ({ length: length + 1, body: generate() }),
      stream: () => ({ length, body: ReadableStream.from(generate()) as ReadableStream<Uint8Array | string> }),
      node: () => ({ length, body: Readable.from(generate()) }),
    };
    return { kind, text, state, message: bodies[kind]() };
  }

  it('hand the encoder all messages, and everyone the end', () =>
    fc.assert(
      fc.asyncProperty(drafts, script, fc.nat(2), async (draftsOf, plan, readableHighWaterMark) => {
        const messages = draftsOf.map(({ kind, length }, number) => draw(kind, length, number));
        // Bodies can't be cloned, and messages are no streams of bytes.
        const kindOf = (kind: Segment['kind']) => (['bytes', 'byob', 'transfer'].includes(kind) ? 'pull' : kind);
        const segments = plan.segments.map((each) => ({ ...each, kind: kindOf(each.kind) }));
        const { readable, writable } = new LengthPrefixEncoderStream({ readableHighWaterMark });
        const reading = consume(readable, plan.reading);
        const all = messages.map(({ message }) => message);
        const written = await writeAll(writable, all, segments);
        const read = await reading;
        await settled();
        const sent = messages.slice(0, written.given);
        const failing = sent.findIndex(({ kind }) => kind === 'failing');
        const due = Buffer.concat(
          sent.slice(0, failing === -1 ? sent.length : failing + 1).map(({ kind, text }) => {
            // Its head goes with its first bytes.
            if (kind === 'failing' && text === '') return Buffer.of();
            const frame = Buffer.alloc(4 + text.length, text);
            frame.writeUInt32LE(text.length + (kind === 'failing' ? 1 : 0));
            return frame;
          }),
        );
        const bytes = Buffer.concat(read.items);
        expect(bytes.equals(due.subarray(0, bytes.length)), 'bytes').to.equal(true);
        if (isExact(read, plan)) expect(bytes).to.have.lengthOf(due.length);
        checkEnd(written, read, { ...plan, segments });
        if (failing === -1 || read.left) {
          expect(
            sent.every(({ state }) => state.isOver),
            'bodies are over',
          ).to.equal(true);
        }
      }),
      { numRuns: runs(150), timeout: 2000 },
    ));

  it('may go into a stream that was transferred', async () => {
    const { readable, writable } = new LengthPrefixDecoderStream({ lengthField: 'uint8' });
    const clone = structuredClone(writable, { transfer: [writable as never] });
    const reading = consume(readable, { kind: 'reader', slow: false, most: Number.POSITIVE_INFINITY } as Reading);
    await ReadableStream.from([Uint8Array.of(1, 5), Uint8Array.of(2, 6), Uint8Array.of(7)]).pipeTo(clone as never);
    const { items, error } = await reading;
    expect(items.map((item) => [...item])).to.deep.equal([[5], [6, 7]]);
    expect(error).to.equal(undefined);

    const encoder = new LengthPrefixEncoderStream();
    const sent = structuredClone(encoder.writable, {
      transfer: [encoder.writable as never],
    }) as typeof encoder.writable;
    const reason = new Error('enough');
    const bytes = consume(encoder.readable, { kind: 'reader', slow: false, most: Number.POSITIVE_INFINITY } as Reading);
    const writer = sent.getWriter();
    writer.closed.catch(() => {});
    await writer.write('hello');
    await writer.write(['he', 'llo']);
    await writer.abort(reason);
    const outcome = await bytes;
    expect(Buffer.concat(outcome.items)).to.have.lengthOf(18);
    expect(sameText(outcome.error, reason)).to.equal(true);
  });
});
