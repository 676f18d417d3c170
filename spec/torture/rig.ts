import { Buffer } from 'node:buffer';
import { expect } from 'chai';
import fc from 'fast-check';
import type { Transform } from 'readable-stream';
import { type SlowSink, settle, slowSink, turns } from '../support/frames.js';

/** Events that the caller makes, not the stream. */
const byTheCaller = ['pause', 'resume', 'newListener', 'removeListener', 'unpipe', 'pipe'];

/** What became of one write. */
export interface Written {
  readonly end: number;
  calls: number;
  error?: Error | null | undefined;
}

/**
 * A stream under test, with everything that can be done to its two sides, and a record of all that it does. What it
 * hands out is seen in its own `emit`: each piece goes past there exactly once, by whatever way it is read.
 */
export abstract class Rig {
  readonly stream: Transform;
  readonly events: string[] = [];
  readonly writes: Written[] = [];
  error: Error | undefined;
  /** Bytes written so far. */
  written = 0;
  ended = false;
  corks = 0;
  /** Finds what went wrong inside a listener, where an exception would be taken for the stream's own. */
  readonly wrong: string[] = [];
  readonly sinks: SlowSink[] = [];
  #listeners: [string, () => void][] = [];

  constructor(stream: Transform) {
    this.stream = stream;
    const emit = stream.emit;
    stream.emit = (event: string | symbol, ...args: unknown[]): boolean => {
      this.#see(String(event), args);
      return emit.call(stream, event as string, ...args);
    };
    stream.setMaxListeners(0);
    stream.on('error', () => {});
  }

  #see(event: string, args: unknown[]): void {
    if (this.events.includes('close') && !byTheCaller.includes(event)) this.wrong.push(`'${event}' after 'close'`);
    if (event === 'data') this.onData(args[0]);
    if (event === 'error') {
      this.error = args[0] as Error;
      // One that the caller destroys the stream with overtakes what is unread, as in all streams.
      if (this.error.name === 'FrameError') this.onError(this.error);
    }
    if (['end', 'error', 'close', 'finish'].includes(event)) {
      if (this.events.includes(event)) this.wrong.push(`'${event}' for the second time`);
      this.events.push(event);
    }
    this.watch(`at '${event}'`);
  }

  protected abstract onData(piece: unknown): void;
  protected abstract onError(error: Error): void;
  /** What must hold at every moment. */
  protected abstract watch(when: string): void;
  /** All that stands still when nothing more happens. */
  abstract progress(): unknown;

  /** The callback of the next write, which ends at that byte. */
  protected callback(end: number): (error?: Error | null) => void {
    const number = this.writes.length;
    const write: Written = { end, calls: 0 };
    this.writes.push(write);
    return (error) => {
      write.calls++;
      write.error = error;
      if (write.calls > 1) this.wrong.push(`callback ${number} called ${write.calls} times`);
      if (!error) this.onWritten(write, number);
      this.watch(`in callback ${number}`);
    };
  }

  protected abstract onWritten(write: Written, number: number): void;

  check(): void {
    this.watch('after a step');
    expect(this.wrong).to.deep.equal([]);
  }

  listen(event: string, listener: () => void): void {
    this.#listeners.push([event, listener]);
    this.stream.on(event, listener);
  }

  unlisten(event: string): void {
    const at = this.#listeners.findIndex(([name]) => name === event);
    if (at === -1) return;
    const [[name, listener]] = this.#listeners.splice(at, 1) as [[string, () => void]];
    this.stream.off(name, listener);
  }

  onReadable(kind: 'all' | 'once' | 'none'): void {
    this.listen('readable', () => {
      if (kind === 'once') this.stream.read();
      if (kind === 'all') while (this.stream.read() !== null);
    });
  }

  pipe(kind: 'node' | 'userland', highWaterMark: number): void {
    const objectMode = this.stream.readableObjectMode;
    const sink = slowSink(kind, { highWaterMark, objectMode }, (chunk) =>
      Buffer.isBuffer(chunk) ? Buffer.from(chunk) : chunk,
    );
    this.sinks.push(sink);
    this.stream.pipe(sink.stream);
  }

  unpipe(which: number): void {
    const sink = this.sinks[which % Math.max(1, this.sinks.length)];
    if (sink !== undefined) this.stream.unpipe(sink.stream);
  }

  uncorkAll(): void {
    for (; this.corks > 0; this.corks--) this.stream.uncork();
  }

  settle(): Promise<void> {
    return settle(() => {
      for (const sink of this.sinks) sink.step();
      return [
        this.progress(),
        this.events,
        this.writes.map((write) => write.calls),
        this.sinks.map((s) => s.done.length),
      ];
    });
  }

  /** Takes everything that reads away, then lets one reader have all. */
  async readAll(reader: FinalReader): Promise<void> {
    this.uncorkAll();
    for (const event of ['data', 'readable']) {
      while (this.#listeners.some(([name]) => name === event)) this.unlisten(event);
    }
    this.stream.unpipe();
    await turns(2);
    if (reader === 'data') this.listen('data', () => {});
    if (reader === 'readable') this.onReadable('all');
    if (reader === 'pipe') this.pipe('node', 1);
    if (reader === 'iterator') {
      void (async () => {
        for await (const _piece of this.stream) await turns(1);
      })().catch(() => {});
    }
    if (reader === 'data' || reader === 'pipe') this.stream.resume();
    await this.settle();
  }
}

export type FinalReader = 'data' | 'readable' | 'pipe' | 'iterator';

export const finalReader: fc.Arbitrary<FinalReader> = fc.constantFrom('data', 'readable', 'pipe', 'iterator');

/** What the commands of a run know of it: the rest is the rig's. */
export interface Model {
  rig: Rig | undefined;
}

type Command = fc.AsyncCommand<Model, Rig>;

/** A command that can always be given, or when `can` says so. */
export function command<R extends Rig>(
  name: string,
  run: (rig: R) => unknown,
  can: (rig: R) => boolean = () => true,
): Command {
  return {
    // The trivial model is a part of the rig: what was written, and so what must come out.
    check: () => true,
    async run(_model, rig) {
      if (can(rig as R)) await run(rig as R);
      rig.check();
    },
    toString: () => name,
  };
}

const readableKind = fc.constantFrom('all' as const, 'once' as const, 'none' as const);

/** All that can be done to the reading side, and to time. */
export const readerCommands: fc.Arbitrary<Command>[] = [
  fc.constant(command('read()', (rig) => rig.stream.read())),
  fc.constant(command('read(0)', (rig) => rig.stream.read(0))),
  fc.constant(command('pause', (rig) => rig.stream.pause())),
  fc.constant(command('resume', (rig) => rig.stream.resume())),
  fc.constant(command("on 'data'", (rig) => rig.listen('data', () => {}))),
  fc.constant(command("off 'data'", (rig) => rig.unlisten('data'))),
  fc.constant(command("on 'data', pausing", (rig) => rig.listen('data', () => rig.stream.pause()))),
  readableKind.map((kind) => command(`on 'readable' (${kind})`, (rig) => rig.onReadable(kind))),
  fc.constant(command("off 'readable'", (rig) => rig.unlisten('readable'))),
  fc
    .tuple(fc.constantFrom('node' as const, 'userland' as const), fc.integer({ min: 1, max: 4 }))
    .map(([kind, hwm]) => command(`pipe(${kind}, ${hwm})`, (rig) => rig.pipe(kind, hwm))),
  fc.nat(2).map((which) => command(`unpipe(${which})`, (rig) => rig.unpipe(which))),
  fc.nat(2).map((which) => command(`step(${which})`, (rig) => rig.sinks[which]?.step())),
  fc.constant(
    command('cork', (rig) => {
      rig.corks++;
      rig.stream.cork();
    }),
  ),
  fc.constant(command('uncork', (rig) => rig.uncorkAll())),
  fc.integer({ min: 1, max: 3 }).map((count) => command(`turns(${count})`, () => turns(count))),
  fc.constant(command('tick', () => new Promise((resolve) => process.nextTick(resolve)))),
];
