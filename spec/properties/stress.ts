import { Buffer } from 'node:buffer';
import { Writable as NodeWritable, Readable, type Transform } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { createContext, runInContext } from 'node:vm';
import { expect } from 'chai';
import fc from 'fast-check';
import * as userland from 'readable-stream';
import { webReadsOn } from '../support/runtime.js';
import { codeOf } from '../support/streams.js';

/** Lets the event loop turn. */
export async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await turn();
}

/** `size` bytes that tell this message from all others. */
export function payload(number: number, size: number): Buffer {
  const bytes = Buffer.allocUnsafeSlow(size);
  const period = Math.min(size, 4093);
  for (let i = 0; i < period; i++) bytes[i] = (number * 31 + i * 7 + 1) & 0xff;
  for (let at = period; at < size; at *= 2) bytes.copyWithin(at, 0, Math.min(at, size - at));
  if (size >= 4) bytes.writeUInt32LE(number);
  return bytes;
}

const ForeignUint8Array = runInContext('Uint8Array', createContext()) as Uint8ArrayConstructor;

/** The same bytes as a `Uint8Array` of another realm. */
export function foreign(bytes: Uint8Array): Uint8Array {
  return ForeignUint8Array.from(bytes);
}

/** Where a step may run, other than between two others: inside a callback of a write or a listener of an event. */
export type Place = 'data' | 'callback' | 'drain' | 'readable' | 'finish' | 'end' | 'error' | 'close' | 'body' | 'sink';

/** What is done to the reading side, and to time. */
export type CommonStep =
  | { do: 'turns'; count: number }
  | { do: 'tick' }
  | { do: 'microtask' }
  | { do: 'on data'; pausing: boolean }
  | { do: 'off data' }
  | { do: 'on readable'; how: 'all' | 'once' | 'none' | number }
  | { do: 'off readable' }
  | { do: 'read'; count: number | undefined }
  | { do: 'pause' }
  | { do: 'resume' }
  | { do: 'pipe'; kind: 'node' | 'userland'; objectMode: boolean; highWaterMark: number; slow: boolean }
  | { do: 'unpipe'; which: number | undefined }
  | { do: 'open sink'; which: number }
  | { do: 'destroy sink'; which: number }
  | { do: 'loop'; count: number; slow: boolean }
  | { do: 'cork' }
  | { do: 'uncork' };

export type Destroying = { do: 'destroy'; error: boolean };

/** A step of a run, or one that waits for its place. */
export type Steps<S> = S | { do: 'in'; place: Place; step: S };

const counts = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 100_000 }));

export const highWaterMarks = fc.constantFrom(1, 2, 16, 100, 4096, 16_384, 65_536, 100_000, 1_048_576);

const pipes: fc.Arbitrary<CommonStep> = fc.record({
  do: fc.constant('pipe' as const),
  kind: fc.constantFrom('node' as const, 'userland' as const),
  objectMode: fc.boolean(),
  highWaterMark: highWaterMarks,
  slow: fc.boolean(),
});

/** All that can be done to the reading side within a tick. */
export const readerSteps: fc.Arbitrary<CommonStep> = fc.oneof(
  fc.record({ do: fc.constant('on data' as const), pausing: fc.boolean() }),
  fc.constant({ do: 'off data' as const }),
  fc.record({
    do: fc.constant('on readable' as const),
    how: fc.oneof(fc.constantFrom('all' as const, 'once' as const, 'none' as const), counts),
  }),
  fc.constant({ do: 'off readable' as const }),
  fc.record({ do: fc.constant('read' as const), count: fc.oneof(fc.constant(undefined), fc.constant(0), counts) }),
  fc.constant({ do: 'pause' as const }),
  fc.constant({ do: 'resume' as const }),
  { weight: 2, arbitrary: pipes },
  fc.record({ do: fc.constant('unpipe' as const), which: fc.option(fc.nat(2), { nil: undefined }) }),
  fc.record({ do: fc.constant('open sink' as const), which: fc.nat(2) }),
  fc.record({ do: fc.constant('destroy sink' as const), which: fc.nat(2) }),
  fc.record({ do: fc.constant('loop' as const), count: fc.integer({ min: 1, max: 4 }), slow: fc.boolean() }),
  fc.constantFrom({ do: 'cork' as const }, { do: 'uncork' as const }),
);

export const timeSteps: fc.Arbitrary<CommonStep> = fc.oneof(
  fc.record({ do: fc.constant('turns' as const), count: fc.integer({ min: 1, max: 3 }) }),
  fc.constantFrom({ do: 'tick' as const }, { do: 'microtask' as const }),
);

export const destroying: fc.Arbitrary<Destroying> = fc.record({
  do: fc.constant('destroy' as const),
  error: fc.boolean(),
});

export const places: fc.Arbitrary<Place> = fc.constantFrom(
  ...(['data', 'data', 'callback', 'callback', 'drain', 'readable', 'body', 'sink'] as const),
  ...(['finish', 'end', 'error', 'close'] as const),
);

/** How all the rest is read. */
export type FinalReader =
  | { read: 'data' | 'pausing' | 'readable' | 'once' | 'iterator' | 'slow iterator' | 'toArray' | 'map' | 'compose' }
  | { read: 'web' | 'pipeline' | 'two sinks' }
  | { read: 'readable n' | 'poll n'; count: number }
  | { read: 'pipe'; kind: 'node' | 'userland'; objectMode: boolean; highWaterMark: number; slow: boolean };

export const finalReaders: fc.Arbitrary<FinalReader> = fc.oneof(
  {
    weight: 9,
    arbitrary: fc.record({
      read: fc.constantFrom(
        ...(['data', 'pausing', 'readable', 'once', 'iterator', 'slow iterator', 'toArray', 'map', 'compose'] as const),
        ...(['web', 'pipeline', 'two sinks'] as const),
      ),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ read: fc.constantFrom('readable n' as const, 'poll n' as const), count: counts }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      read: fc.constant('pipe' as const),
      kind: fc.constantFrom('node' as const, 'userland' as const),
      objectMode: fc.boolean(),
      highWaterMark: highWaterMarks,
      slow: fc.boolean(),
    }),
  },
);

/** A write, and what became of its callback. */
export interface Write {
  readonly number: number;
  /** The bytes written to the end of this one: where it is to be in what comes out. */
  readonly end: number;
  /** Written after `end` or `destroy`: refused, and so not in order with the others. */
  readonly late: boolean;
  readonly hasCallback: boolean;
  calls: number;
  error: unknown;
}

/** The callback of an `end`. */
interface End {
  calls: number;
  error: unknown;
  /** All was over before it. */
  readonly isRepeated: boolean;
  /** It had a last chunk. */
  readonly isWrite: boolean;
  /** Node's own forget it: the stream was destroyed before the call was done. */
  isForgotten: boolean;
}

interface Sink {
  readonly stream: NodeWritable;
  /** What it was given, and where in all that came out that is. */
  readonly pieces: { chunk: unknown; at: number }[];
  /** How many of them it has begun with. */
  taken: number;
  open: boolean;
  step(): void;
}

interface Final {
  /** What the reader got by itself, in its own words. */
  readonly got: unknown[];
  /** Whether nothing else reads, and there is something to come. */
  readonly isAlone: boolean;
  /** The sinks that it is. */
  readonly sinks: Sink[];
  isDone: boolean;
  error: unknown;
}

/** Events that the caller makes, not the stream. */
const byTheCaller = new Set(['pause', 'resume', 'newListener', 'removeListener', 'unpipe', 'pipe', 'prefinish']);

/**
 * A stream under test with everything that can be done to it, and a record of all that it does. What it hands out goes
 * past in its own `emit`: each piece exactly once, in whatever way it is read.
 */
export abstract class Rig {
  readonly stream: Transform;
  readonly events: string[] = [];
  readonly writes: Write[] = [];
  readonly sinks: Sink[] = [];
  /** What went wrong inside a listener, where an exception would be taken for the stream's own. */
  readonly wrong: string[] = [];
  error: unknown;
  isEnded = false;
  /** What the test destroyed the stream with, if it did. */
  destroyedWith: { readonly error: Error | undefined } | undefined;
  final: Final | undefined;
  /** Loops of the steps that still read. */
  #loops = 0;
  #waiting: { place: Place; step: unknown }[] = [];
  #listeners: [string, () => void][] = [];
  #poll: (() => void) | undefined;
  #pieces = 0;
  #recent: { piece: unknown; at: number }[] = [];
  #depth = 0;
  #readUpTo = 0;
  /** A listener of 'data' read on: Node's own streams then give the next piece to the other listeners first. */
  isNested = false;
  /** How much had come out when the last reader began. */
  outAtFinal = 0;
  readonly ends: End[] = [];

  constructor(stream: Transform) {
    this.stream = stream;
    const { emit } = stream;
    stream.emit = (event: string | symbol, ...args: unknown[]): boolean => {
      this.#see(String(event), args);
      if (event !== 'data') return emit.call(stream, event as string, ...args);
      if (++this.#depth > 1) this.isNested = true;
      try {
        return emit.call(stream, event, ...args);
      } finally {
        this.#depth--;
      }
    };
    stream.setMaxListeners(0);
    // One for each, so that steps find a place there.
    for (const event of ['drain', 'finish', 'end', 'error', 'close'] as const) {
      stream.on(event, () => this.reach(event));
    }
  }

  #see(event: string, args: unknown[]): void {
    if (this.events.includes('close') && !byTheCaller.has(event)) this.wrong.push(`'${event}' after 'close'`);
    if (event === 'data') {
      this.#pieces++;
      this.#recent.push({ piece: args[0], at: this.out });
      if (this.#recent.length > 50) this.#recent.shift();
      this.onPiece(args[0]);
    }
    if (event === 'error') {
      this.error = args[0];
      this.onError(args[0]);
    }
    if (['end', 'error', 'close', 'finish'].includes(event)) {
      if (this.events.includes(event)) this.wrong.push(`'${event}' for the second time`);
      this.events.push(event);
    }
    if (event === 'drain') this.onDrain();
    if (event === 'finish') {
      for (const { late, calls, hasCallback, number } of this.writes) {
        if (!late && hasCallback && calls === 0) this.wrong.push(`'finish' before callback ${number}`);
      }
    }
    this.watch(`at '${event}'`);
  }

  protected abstract onPiece(piece: unknown): void;
  protected abstract onError(error: unknown): void;
  protected abstract onDrain(): void;
  /** What must hold at every moment. */
  protected abstract watch(when: string): void;
  protected abstract onWritten(write: Write): void;
  /** Whether that chunk is still what came out at that place. */
  protected abstract isSame(chunk: unknown, at: number): boolean;
  /** How much has come out. */
  abstract get out(): number;
  /** Does a step of the stream's own kind. */
  protected abstract own(step: unknown): void;

  /** The callback of the next write, and its record. */
  protected written(end: number, late: boolean, hasCallback: boolean): [Write, (error?: unknown) => void] {
    const write: Write = { number: this.writes.length, end, late, hasCallback, calls: 0, error: undefined };
    this.writes.push(write);
    return [
      write,
      (error) => {
        write.calls++;
        write.error = error ?? undefined;
        if (write.calls > 1) this.wrong.push(`callback ${write.number} called ${write.calls} times`);
        if (!late && this.isInOrder) {
          const before = this.writes.find(
            (other) => other.number < write.number && !other.late && other.hasCallback && other.calls === 0,
          );
          if (before !== undefined) this.wrong.push(`callback ${write.number} before callback ${before.number}`);
        }
        if (!error) this.onWritten(write);
        this.watch(`in callback ${write.number}`);
        this.reach('callback');
      },
    ];
  }

  /** The callback of an `end`. */
  protected ending(isWrite = false): [End, (error?: unknown) => void] {
    const { writableFinished } = this.stream;
    const end: End = { calls: 0, error: undefined, isRepeated: writableFinished, isWrite, isForgotten: false };
    this.ends.push(end);
    return [
      end,
      (error) => {
        end.calls++;
        end.error = error ?? undefined;
        if (end.calls > 1) this.wrong.push(`the callback of an end called ${end.calls} times`);
      },
    ];
  }

  /** Each callback of an `end` was called once, and well if all is well. */
  protected expectEnds(isWell: boolean): void {
    for (const [i, { calls, error, isRepeated, isWrite, isForgotten }] of this.ends.entries()) {
      if (!isForgotten) expect(calls, `calls of the callback of end ${i}`).to.equal(1);
      const repeated = isWrite ? 'ERR_STREAM_WRITE_AFTER_END' : 'ERR_STREAM_ALREADY_FINISHED';
      if (isRepeated) expect(codeOf(error)).to.equal(repeated);
      else if (isWell) expect(error, `error of end ${i}`).to.equal(undefined);
    }
  }

  /** Does the steps that wait for this place. */
  reach(place: Place): void {
    const at = this.#waiting.findIndex((one) => one.place === place);
    if (at === -1) return;
    const [{ step }] = this.#waiting.splice(at, 1) as unknown as [{ step: unknown }];
    this.run(step);
  }

  /** Whether a step may still find its place when all is being read by the last reader. */
  protected abstract isForLate(step: unknown): boolean;

  async all(steps: readonly unknown[]): Promise<void> {
    for (const step of steps) {
      const common = step as CommonStep;
      if (common.do === 'turns') {
        for (let i = 0; i < common.count; i++) {
          await turn();
          this.#turn();
        }
      } else if (common.do === 'tick') {
        await new Promise<void>((resolve) => process.nextTick(resolve));
      } else if (common.do === 'microtask') {
        await Promise.resolve();
      } else {
        this.run(step);
      }
      this.watch('after a step');
      if (this.wrong.length > 0) return;
    }
  }

  run(any: unknown): void {
    const step = any as CommonStep | Destroying | { do: 'in'; place: Place; step: unknown };
    const { stream } = this;
    if (step.do === 'in') {
      this.#waiting.push(step);
    } else if (step.do === 'on data') {
      this.#listen('data', () => {
        this.reach('data');
        if (!step.pausing) return;
        stream.pause();
        setImmediate(() => stream.resume());
      });
    } else if (step.do === 'off data') {
      this.#unlisten('data');
    } else if (step.do === 'on readable') {
      this.#listen('readable', () => {
        this.reach('readable');
        if (step.how === 'once') this.#read();
        if (step.how === 'all') while (this.#read() !== null);
        if (typeof step.how === 'number') while (this.#read(step.how) !== null);
      });
    } else if (step.do === 'off readable') {
      this.#unlisten('readable');
    } else if (step.do === 'read') {
      this.#read(step.count);
    } else if (step.do === 'pause') {
      stream.pause();
    } else if (step.do === 'resume') {
      stream.resume();
    } else if (step.do === 'pipe') {
      this.#pipe(step);
    } else if (step.do === 'unpipe') {
      const sink = step.which === undefined ? undefined : this.sinks[step.which % Math.max(1, this.sinks.length)];
      if (step.which === undefined) stream.unpipe();
      else if (sink !== undefined) stream.unpipe(sink.stream);
    } else if (step.do === 'open sink') {
      const sink = this.sinks[step.which];
      if (sink !== undefined) sink.open = true;
      sink?.step();
    } else if (step.do === 'destroy sink') {
      this.sinks[step.which]?.stream.destroy();
    } else if (step.do === 'loop') {
      void this.#loop(step.count, step.slow);
    } else if (step.do === 'cork') {
      // Node's own never finish that are corked after the end.
      if (!stream.writableEnded) stream.cork();
    } else if (step.do === 'uncork') {
      stream.uncork();
    } else if (step.do === 'destroy') {
      this.destroy(step.error);
    } else {
      this.own(step);
    }
  }

  #read(count?: number): unknown {
    // Node's own streams lose count of strings that are read by number.
    const given = this.stream.readableEncoding === null ? count : undefined;
    try {
      const piece: unknown = this.stream.read(given);
      if (piece === null) return null;
      // Each read gives what follows that of the one before: also where one runs inside another.
      const at = this.#placeOf(piece);
      if (at < this.#readUpTo && !this.isNested && !this.stream.destroyed)
        this.wrong.push(`read() gives what comes at ${at} behind what follows it`);
      this.#readUpTo = Math.max(at, this.#readUpTo);
      return piece;
    } catch (error) {
      this.wrong.push(`read(${count}) throws ${(error as Error).stack}`);
      return null;
    }
  }

  destroy(withError: boolean): void {
    const error = withError ? new Error('destroyed by the test') : undefined;
    if (!this.stream.destroyed) this.destroyedWith = { error };
    this.stream.destroy(error);
  }

  #listen(event: string, listener: () => void): void {
    this.#listeners.push([event, listener]);
    this.stream.on(event, listener);
  }

  #unlisten(event: string): boolean {
    const at = this.#listeners.findIndex(([name]) => name === event);
    if (at === -1) return false;
    const [[name, listener]] = this.#listeners.splice(at, 1) as [[string, () => void]];
    this.stream.off(name, listener);
    return true;
  }

  #pipe(how: Omit<CommonStep & { do: 'pipe' }, 'do'>): Sink {
    // A Writable of bytes takes no objects.
    const objectMode = how.objectMode || this.stream.readableObjectMode;
    let held: (() => void) | undefined;
    const sink: Sink = {
      stream: undefined as never,
      pieces: [],
      taken: 0,
      open: !how.slow,
      step: () => {
        const finish = held;
        held = undefined;
        finish?.();
      },
    };
    const options = {
      objectMode,
      highWaterMark: how.highWaterMark,
      write: (chunk: unknown, _encoding: string, callback: () => void) => {
        const piece = sink.pieces[sink.taken++];
        const finish = (): void => {
          if (piece === undefined || !this.isSame(chunk, piece.at)) this.wrong.push('a sink has wrong bytes');
          callback();
        };
        if (sink.open) finish();
        else held = finish;
        this.reach('sink');
      },
    };
    const stream =
      how.kind === 'node' ? new NodeWritable(options) : (new userland.Writable(options) as unknown as NodeWritable);
    stream.setMaxListeners(0).on('error', () => {});
    const { write } = stream;
    stream.write = ((chunk: unknown, ...rest: []) => {
      sink.pieces.push({ chunk, at: this.#placeOf(chunk) });
      return write.call(stream, chunk, ...(rest as unknown as [never]));
    }) as typeof write;
    (sink as { stream: NodeWritable }).stream = stream;
    this.sinks.push(sink);
    this.stream.pipe(stream);
    return sink;
  }

  /** Where what comes out just now begins. */
  #placeOf(chunk: unknown): number {
    return this.#recent.findLast(({ piece }) => piece === chunk)?.at ?? -1;
  }

  async #loop(count: number, slow: boolean): Promise<void> {
    this.#loops++;
    const iterator = (this.stream as unknown as Readable).iterator({ destroyOnReturn: false });
    let left = count;
    try {
      for await (const _ of iterator) {
        this.reach('data');
        if (--left === 0) break;
        if (slow) await turn();
      }
    } catch {
      // The stream's own error, which is seen elsewhere.
    }
    this.#loops--;
  }

  #turn(): void {
    for (const sink of this.sinks) sink.step();
    this.#poll?.();
  }

  /**
   * Lets the event loop turn until all has stood still for some turns. Nothing here waits for a clock or for I/O, so what
   * has not happened by then never happens: that is how these tests tell a hang.
   */
  async settle(quiet = 12): Promise<void> {
    let last = '';
    for (let still = 0; still < quiet; still++) {
      await turn();
      this.#turn();
      const taken = this.sinks.map((sink) => sink.taken);
      const { final } = this;
      const state = [this.#pieces, this.events, this.stream.readableLength, taken, final?.got.length, final?.isDone];
      const now = String([this.progress(), state]);
      if (now !== last) still = 0;
      last = now;
    }
  }

  protected progress(): unknown {
    return [this.out, this.writes.map(({ calls }) => calls), this.ends.map(({ calls }) => calls)];
  }

  /** Takes everything that reads away, then lets one reader have all. */
  async readAll(reader: FinalReader): Promise<void> {
    const { stream } = this;
    while (stream.writableCorked > 0) stream.uncork();
    this.#waiting = this.#waiting.filter(({ step }) => this.isForLate(step));
    while (this.#unlisten('data'));
    while (this.#unlisten('readable'));
    stream.unpipe();
    await turns(2);
    this.outAtFinal = this.out;
    this.final = this.#begin(reader);
    await this.settle();
  }

  /** Has the last reader take what is less than it asks for: a fault behind that shows only then. */
  takeRest(): void {
    this.#poll = () => {
      for (let piece = this.#read(); piece !== null; piece = this.#read()) this.final?.got.push(piece);
    };
  }

  #begin(reader: FinalReader): Final {
    const { stream } = this;
    const isAlone = this.#loops === 0 && !stream.readableEnded && !stream.destroyed;
    const final: Final = { got: [], isAlone, sinks: [], isDone: false, error: undefined };
    const take = (piece: unknown): void => {
      final.got.push(piece);
      this.reach('data');
    };
    const run = (read: () => Promise<void>): void => {
      read().then(
        () => {
          final.isDone = true;
        },
        (error) => {
          final.isDone = true;
          final.error = error;
        },
      );
    };
    const source = stream as unknown as Readable;
    // Web streams take strings for objects, where what they are made of counts characters.
    const canBeWeb = webReadsOn && stream.readableEncoding === null;
    const read = reader.read === 'web' && !canBeWeb ? 'iterator' : reader.read;
    if (read === 'data' || read === 'pausing') {
      stream.on('data', (piece) => {
        take(piece);
        if (read === 'data') return;
        stream.pause();
        setImmediate(() => stream.resume());
      });
      stream.resume();
    } else if (read === 'readable' || read === 'readable n' || read === 'once') {
      const readOn = (): void => {
        let piece: unknown = null;
        do {
          piece = this.#read('count' in reader ? reader.count : undefined);
          if (piece !== null) take(piece);
        } while (piece !== null && read !== 'once');
      };
      stream.on('readable', () => {
        this.reach('readable');
        readOn();
      });
      // Where a loop of the steps leaves something unread, Node does not say so to others that listen.
      if (this.#loops > 0) this.#poll = readOn;
    } else if (reader.read === 'poll n') {
      stream.pause();
      this.#poll = () => {
        for (let piece = this.#read(reader.count); piece !== null; piece = this.#read(reader.count)) take(piece);
      };
    } else if (reader.read === 'pipe') {
      final.sinks.push(this.#pipe(reader));
    } else if (read === 'two sinks') {
      final.sinks.push(this.#pipe({ kind: 'node', objectMode: false, highWaterMark: 16, slow: true }));
      final.sinks.push(this.#pipe({ kind: 'userland', objectMode: true, highWaterMark: 1, slow: true }));
    } else if (read === 'toArray') {
      run(async () => void final.got.push(...(await source.toArray())));
    } else if (read === 'iterator' || read === 'slow iterator') {
      run(async () => {
        for await (const piece of source) {
          take(piece);
          if (read === 'slow iterator') await turn();
        }
      });
    } else if (read === 'map') {
      run(async () => source.map((piece) => piece).forEach(take));
    } else if (read === 'compose') {
      run(async () => {
        // No byte stream: what is composed hands out pieces as they are.
        async function* through(pieces: AsyncIterable<unknown>) {
          yield* pieces;
        }
        for await (const piece of source.compose(through as never) as unknown as AsyncIterable<unknown>) take(piece);
      });
    } else if (read === 'web') {
      run(async () => {
        const web = Readable.toWeb(source);
        for await (const piece of web as unknown as AsyncIterable<unknown>) take(piece);
      });
    } else {
      run(async () => {
        const { pipeline } = await import('node:stream/promises');
        await pipeline(source, async (pieces: AsyncIterable<unknown>) => {
          for await (const piece of pieces) take(piece);
        });
      });
    }
    return final;
  }

  /** Whether callbacks come in order: Node's own let one overtake another where a reader asks for more just then. */
  protected get isInOrder(): boolean {
    return true;
  }
}
