import { Buffer } from 'node:buffer';
import { Writable as NodeWritable } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { Writable as UserlandWritable } from 'readable-stream';

/** A frame in the default format, written by hand: these tests must not trust the encoder to judge the decoder. */
export function frame(payload: Uint8Array | string): Buffer {
  const bytes = Buffer.from(payload as Uint8Array);
  const prefix = Buffer.alloc(4);
  prefix.writeUInt32LE(bytes.length);
  return Buffer.concat([prefix, bytes]);
}

/** The frames of these messages, joined. */
export function frames(...messages: string[]): Buffer {
  return Buffer.concat(messages.map(frame));
}

/** The prefix alone. */
export function prefix(length: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(length);
  return bytes;
}

/** `size` bytes that tell this message from all others: its number first, where there is room, then a pattern. */
export function payload(number: number, size: number): Buffer {
  const bytes = Buffer.allocUnsafeSlow(size);
  for (let i = 0; i < Math.min(size, 4096); i++) bytes[i] = (number * 31 + i * 7) & 0xff;
  for (let at = 4096; at < size; at *= 2) bytes.copyWithin(at, 0, Math.min(at, size - at));
  if (size >= 4) bytes.writeUInt32LE(number);
  return bytes;
}

/** Lets the event loop turn. */
export async function turns(count = 1): Promise<void> {
  for (let i = 0; i < count; i++) await turn();
}

/**
 * Lets the event loop turn until `progress` has stood still for `quiet` turns. Nothing here waits for a clock or for
 * I/O, so what has not happened by then never happens: that is how these tests tell a hang.
 */
export async function settle(progress: () => unknown, quiet = 12): Promise<void> {
  let last = String(progress());
  for (let still = 0; still < quiet; still++) {
    await turn();
    const now = String(progress());
    if (now !== last) still = 0;
    last = now;
  }
}

/** A sink that takes a chunk and keeps its callback until `step` is called. */
export interface SlowSink {
  readonly stream: UserlandWritable;
  /** What it has been given so far. */
  readonly taken: unknown[];
  /** What it is done with: looked at only when its callback was called, as a slow device would. */
  readonly done: unknown[];
  /** Callbacks it holds: 0 or 1. */
  readonly waiting: number;
  /** Finishes the write in hand. */
  step(): boolean;
  /** From now on, finishes each write at once. */
  open(): void;
}

export function slowSink(
  kind: 'node' | 'userland',
  options: { highWaterMark: number; objectMode: boolean },
  copy: (chunk: unknown) => unknown = (chunk) => chunk,
): SlowSink {
  const taken: unknown[] = [];
  const done: unknown[] = [];
  let held: (() => void) | undefined;
  let isOpen = false;
  const write = (chunk: unknown, _encoding: string, callback: () => void): void => {
    taken.push(chunk);
    const finish = (): void => {
      done.push(copy(chunk));
      callback();
    };
    if (isOpen) finish();
    else held = finish;
  };
  const stream =
    kind === 'node'
      ? (new NodeWritable({ ...options, write }) as unknown as UserlandWritable)
      : new UserlandWritable({ ...options, write });
  const step = (): boolean => {
    const finish = held;
    held = undefined;
    finish?.();
    return finish !== undefined;
  };
  return {
    stream,
    taken,
    done,
    get waiting() {
      return held === undefined ? 0 : 1;
    },
    step,
    open() {
      isOpen = true;
      step();
    },
  };
}
