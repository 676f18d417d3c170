/** Connections for the tests of `framed`: one end is under test, the other one is a bare socket that sees its bytes. */
import { Buffer } from 'node:buffer';
import { on, once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { addAbortSignal, type Duplex, PassThrough, Readable, Transform, Writable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'chai';
import fc from 'fast-check';
import * as userland from 'readable-stream';
import { type ByteStream, type FramedOptions, framed } from '../../lib/index.js';
import { frame, payload, turns } from '../support/frames.js';

/** `framed`, with the types of Node's own streams. */
export function framedStream(stream: ByteStream | { readable: unknown; writable: unknown }, options = {}): Duplex {
  return framed(stream as ByteStream, options as FramedOptions<false, Buffer, false>) as unknown as Duplex;
}

/** The messages in bytes of the default format, read by hand. What is behind the last whole one is left out. */
function messagesIn(bytes: Buffer): Buffer[] {
  const messages: Buffer[] = [];
  for (let at = 0; at + 4 <= bytes.length; ) {
    const end = at + 4 + bytes.readUInt32LE(at);
    if (end > bytes.length) break;
    messages.push(bytes.subarray(at + 4, end));
    at = end;
  }
  return messages;
}

/** Tells of anything that happens, so that a test can tell a hang: nothing happens any more. */
export class Activity {
  #count = 0;

  /** Something happened. */
  bump(): void {
    this.#count++;
  }

  /** Waits for the promise, but not longer than `idle` milliseconds in which nothing happens. */
  async within<T>(promise: PromiseLike<T> | T, what: string | (() => string), idle = 1500): Promise<T> {
    const abort = new AbortController();
    const hang = async (): Promise<never> => {
      for (let last = -1; last !== this.#count; ) {
        last = this.#count;
        await delay(idle, undefined, { signal: abort.signal });
        // After a pause of the whole process, what is late comes first.
        await turns(5);
      }
      throw new Error(`hangs: ${typeof what === 'string' ? what : what()}`);
    };
    const hanging = hang();
    hanging.catch(() => {});
    try {
      return await Promise.race([promise, hanging]);
    } finally {
      abort.abort();
    }
  }
}

/** Waits for the promise, and fails after 1.5 seconds. */
export function soon<T>(promise: PromiseLike<T> | T, what: string): Promise<T> {
  return new Activity().within(promise, what);
}

/** Waits until a stream has emitted `'close'`. */
export async function closed(stream: { closed: boolean; once(event: string, listener: () => void): unknown }) {
  if (!stream.closed) await new Promise<void>((resolve) => stream.once('close', resolve));
}

/** A bare socket, and all that comes to it. */
class Peer {
  readonly socket: Socket;
  /** How its input ends: `'end'`, the code of an error, or `'close'` without either. */
  readonly over: Promise<string>;
  /** How it ended, if it has. */
  ending: string | undefined;
  readonly #chunks: Buffer[] = [];
  readonly #waiting: (() => void)[] = [];
  readonly #activity: Activity | undefined;
  received = 0;

  constructor(socket: Socket, activity?: Activity) {
    this.socket = socket;
    this.#activity = activity;
    this.over = new Promise((resolve) => {
      const over = (how: string) => {
        this.ending ??= how;
        resolve(how);
        this.#happened();
      };
      socket.on('end', () => over('end'));
      socket.on('error', (error: NodeJS.ErrnoException) => over(error.code ?? error.message));
      socket.on('close', () => over('close'));
    });
    socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.received += chunk.length;
      this.#happened();
    });
  }

  #happened(): void {
    this.#activity?.bump();
    for (const check of this.#waiting.splice(0)) check();
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  get texts(): string[] {
    return messagesIn(this.bytes).map(String);
  }

  /** Waits until so many bytes have come, or no more can come. */
  async until(bytes: number): Promise<void> {
    while (this.received < bytes && this.ending === undefined) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }
}

/** A connection: `near` is the end under test. */
export interface Link {
  readonly near: Socket;
  readonly peer: Peer;
  /** Resolves when the server has no connection any more. */
  readonly gone: Promise<void>;
}

export interface LinkOptions {
  /** Which end is under test. */
  readonly near?: 'server' | 'client';
  /** Of the end under test. Default: Node's own, false. */
  readonly allowHalfOpen?: boolean;
  readonly activity?: Activity;
}

const links = new Set<{ server: Server; sockets: Socket[] }>();

/** Connects two sockets over loopback. The peer's may be half open. */
export async function link({ near = 'server', allowHalfOpen = false, activity }: LinkOptions = {}): Promise<Link> {
  const ofServer = near === 'server' ? allowHalfOpen : true;
  const ofClient = near === 'client' ? allowHalfOpen : true;
  const server = createServer({ allowHalfOpen: ofServer }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = connect({ port, host: '127.0.0.1', allowHalfOpen: ofClient });
  const [[accepted]] = await Promise.all([once(server, 'connection') as Promise<[Socket]>, once(client, 'connect')]);
  links.add({ server, sockets: [client, accepted] });
  const gone = new Promise<void>((resolve) => server.close(() => resolve()));
  const ends = near === 'server' ? ([accepted, client] as const) : ([client, accepted] as const);
  return { near: ends[0], peer: new Peer(ends[1], activity), gone };
}

/** Destroys what tests have left open: for `afterEach`. */
export async function closeLinks(): Promise<void> {
  const all = [...links];
  links.clear();
  await Promise.all(
    all.map(async ({ server, sockets }) => {
      for (const socket of sockets) socket.on('error', () => {}).destroy();
      if (server.listening) server.close();
    }),
  );
}

/** Sees what a stream does, by its own `emit`, and says what was wrong. */
export class Watch {
  readonly stream: Duplex;
  /** The messages in the order in which they were handed out. */
  readonly handed: Buffer[] = [];
  readonly events: string[] = [];
  readonly wrong: string[] = [];
  error: NodeJS.ErrnoException | undefined;
  /** What became of each write: the error of its callback, or null. */
  readonly calls: { number: number; error: Error | null }[] = [];
  /** Is called inside the listeners of each event. */
  inside: ((event: string) => void) | undefined;
  #writes = 0;
  #owesDrain = false;

  constructor(stream: Duplex, activity: Activity) {
    this.stream = stream;
    const { emit } = stream;
    stream.emit = (event: string | symbol, ...args: unknown[]): boolean => {
      activity.bump();
      this.#see(String(event), args[0]);
      this.inside?.(String(event));
      return emit.call(stream, event as string, ...args);
    };
    const { write } = stream;
    stream.write = (...args: [any, any?, any?]): boolean => {
      const over = stream.destroyed || stream.writableEnded;
      const hasRoom = write.apply(stream, args as never);
      if (!hasRoom && !over) this.#owesDrain = true;
      return hasRoom;
    };
    // There is one who listens, so that an error is no crash.
    stream.on('error', () => {});
  }

  #see(event: string, what: unknown): void {
    if (event === 'data') {
      if (this.events.length > 0 && this.events.some((seen) => seen !== 'finish')) {
        this.wrong.push(`'data' after ${this.events}`);
      }
      // It may be a view of memory that is used again.
      this.handed.push(Buffer.from(what as Buffer));
    }
    if (event === 'drain') this.#drained();
    if (!['end', 'finish', 'error', 'close'].includes(event)) return;
    if (event === 'error') this.error = what as Error;
    if (this.events.includes(event)) this.wrong.push(`'${event}' for the second time`);
    if (this.events.includes('close')) this.wrong.push(`'${event}' after 'close'`);
    if (event !== 'close' && this.events.includes('error')) this.wrong.push(`'${event}' after 'error'`);
    this.events.push(event);
  }

  #drained(): void {
    const { writableLength, writableHighWaterMark } = this.stream;
    if (!this.#owesDrain) this.wrong.push("'drain' that nobody waits for");
    if (writableLength >= writableHighWaterMark) this.wrong.push(`'drain' at ${writableLength} bytes`);
    this.#owesDrain = false;
  }

  /** Whether a write returned false, and `'drain'` has not come. */
  get owesDrain(): boolean {
    return this.#owesDrain;
  }

  /** Writes, and watches the callback; `size` is that of the message, where it counts. */
  write(message: unknown, size?: number, then: () => void = () => {}): boolean {
    const { stream } = this;
    const before = stream.writableLength;
    const over = stream.destroyed || stream.writableEnded;
    const hasRoom = stream.write(message, this.callback(then));
    if (over || stream.destroyed) return hasRoom;
    const mark = stream.writableHighWaterMark;
    if (hasRoom && stream.writableLength >= mark) this.wrong.push('write() returned true where there is no room');
    // A frame's head is small.
    if (!hasRoom && size !== undefined && before + size + 32 < mark)
      this.wrong.push('write() returned false too early');
    return hasRoom;
  }

  /** The callback of one more write. */
  callback(then: () => void = () => {}): (error?: Error | null) => void {
    const number = this.#writes++;
    let called = 0;
    return (error) => {
      if (++called > 1) this.wrong.push(`callback ${number} was called ${called} times`);
      else this.calls.push({ number, error: error ?? null });
      then();
    };
  }

  /** All callbacks were called, in order; behind one that failed, all have failed. */
  checkCalls(): void {
    const numbers = this.calls.map(({ number }) => number);
    const due = Array.from({ length: this.#writes }, (_, i) => i);
    if (String(numbers) !== String(due)) this.wrong.push(`callbacks of ${this.#writes} writes: ${numbers}`);
    const failed = this.calls.findIndex(({ error }) => error !== null);
    if (failed !== -1 && this.calls.slice(failed).some(({ error }) => error === null)) {
      this.wrong.push(`write ${failed} failed, and a later one did not`);
    }
  }

  /** After the end. */
  check(): void {
    this.checkCalls();
    expect(this.wrong).to.deep.equal([]);
  }

  /** What has happened, in a line. */
  get story(): string {
    const { handed, events, calls } = this;
    return `${handed.length} messages read, ${calls.length} of ${this.#writes} callbacks, events: ${events}`;
  }
}

/** Keeps what nobody has caught while `run` runs, and fails with it. */
async function nothingUnhandled<T>(run: () => Promise<T>): Promise<T> {
  const names = ['uncaughtException', 'unhandledRejection'] as const;
  const before = names.map((name) => process.rawListeners(name));
  const unhandled: unknown[] = [];
  const keep = (error: unknown): void => void unhandled.push(error);
  for (const name of names) process.removeAllListeners(name).on(name, keep);
  try {
    const result = await run();
    await turns(1);
    if (unhandled.length > 0) throw new Error('nobody handled an error', { cause: unhandled[0] });
    return result;
  } catch (error) {
    if (unhandled.length === 0 || unhandled[0] === (error as Error).cause) throw error;
    throw new Error(`${error}; and nobody handled an error`, { cause: unhandled[0] });
  } finally {
    for (const [i, name] of names.entries()) {
      process.removeAllListeners(name);
      for (const listener of before[i]!) process.on(name, listener as () => void);
    }
  }
}

/** The handles of sockets, servers and pipes that are open. */
function handles(): string[] {
  const kinds = ['TCPSocketWrap', 'TCPServerWrap', 'PipeWrap', 'ProcessWrap'];
  return process
    .getActiveResourcesInfo()
    .filter((kind) => kinds.includes(kind))
    .sort();
}

/** Waits a while for all handles to be closed that were not there before. */
async function noHandleLeft(before: string[]): Promise<void> {
  for (let i = 0; i < 50 && handles().length > before.length; i++) await turns(1);
  if (handles().length > before.length) throw new Error(`handles are left: ${handles()}, before: ${before}`);
}

/** What can be written as one message, and what it is on the wire. */
export interface Writing {
  readonly name: string;
  /** A body may be used once: each write has one of its own. */
  make(): unknown;
  readonly bytes: Buffer;
  /** Of messages that are bytes. */
  readonly size: number | undefined;
  /** Its bytes are there when it is written. */
  readonly whole: boolean;
}

const sizes = fc.oneof(
  { weight: 6, arbitrary: fc.nat(40) },
  { weight: 1, arbitrary: fc.constantFrom(0, 5000, 16_383, 16_384, 70_000, 200_000) },
);

const halves = (bytes: Buffer) => [bytes.subarray(0, bytes.length >> 1), bytes.subarray(bytes.length >> 1)];

async function* inTurns(parts: Iterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  for (const part of parts) {
    await turns(1);
    yield part;
  }
}

/** How a message of these bytes can be written. */
const forms: Record<string, (bytes: Buffer) => unknown> = {
  Buffer: (bytes) => bytes,
  Uint8Array: (bytes) => new Uint8Array(bytes),
  string: (bytes) => bytes.toString('latin1'),
  parts: (bytes) => halves(bytes),
  'parts, one a string': (bytes) => [halves(bytes)[0], halves(bytes)[1]!.toString('latin1'), ''],
  'no parts but one': (bytes) => [bytes],
  'body: Buffer': (bytes) => ({ length: bytes.length, body: bytes }),
  'body: string': (bytes) => ({ length: bytes.length, body: bytes.toString('latin1') }),
  'body: array': (bytes) => ({ length: bytes.length, body: halves(bytes) }),
  'body: generator': (bytes) => ({ length: bytes.length, body: new Set(halves(bytes)).values() }),
  'body: async generator': (bytes) => ({ length: bytes.length, body: inTurns(halves(bytes)) }),
  'body: Readable': (bytes) => ({ length: bytes.length, body: Readable.from(inTurns(halves(bytes))) }),
  'body: PassThrough': (bytes) => ({ length: bytes.length, body: new PassThrough().end(bytes) }),
  'body: ReadableStream': (bytes) => ({
    length: bytes.length,
    body: new ReadableStream({
      start(controller) {
        for (const half of halves(bytes)) controller.enqueue(half);
        controller.close();
      },
    }),
  }),
  value: (bytes) => ({ value: bytes.toString('latin1') }),
};

/** So that values can be written beside all else. Strings stand for bytes: the tests write them as `latin1`. */
export const encode = (message: any): any =>
  typeof message?.value === 'string' ? Buffer.from(message.value, 'latin1') : message;

/** One message, in any form. */
export const writings = fc
  .tuple(fc.constantFrom(...Object.keys(forms)), sizes, fc.nat(255))
  .map(([name, size, number]): Writing & fc.WithToStringMethod => {
    // Bytes of latin1 that are the same in UTF-8.
    const bytes = Buffer.from(payload(number, size).map((byte) => byte & 0x7f));
    const shown = `${name} of ${size}`;
    const isBytes = !name.startsWith('body') && name !== 'value';
    return {
      name: shown,
      [fc.toStringMethod]: () => shown,
      make: () => forms[name]!(bytes),
      bytes,
      size: isBytes ? size : undefined,
      whole: !name.startsWith('body'),
    };
  });

/** Messages for the peer to send. */
export const incoming = fc.array(sizes, { maxLength: 12 }).map((all) => {
  const messages: Buffer[] & Partial<fc.WithToStringMethod> = all.map((size, i) => payload(i, size));
  messages[fc.toStringMethod] = () => `messages of [${all}]`;
  return messages;
});

/** How a stream of messages is read: resolves when the reader is done, and rejects with its error. */
export type Reader = (stream: Duplex, slow: number, highWaterMark: number) => Promise<unknown>;

const ended = (stream: Duplex) =>
  new Promise<void>((resolve, reject) => stream.once('end', resolve).once('error', reject).once('close', resolve));

const sink = (slow: number, highWaterMark: number) =>
  new Writable({
    objectMode: true,
    highWaterMark,
    write: (_message, _encoding, callback) => (slow ? void turns(slow).then(() => callback()) : callback()),
  });

async function drained(messages: AsyncIterable<unknown>, slow: number): Promise<void> {
  for await (const _message of messages) if (slow) await turns(slow);
}

const userlandPipeline = (...streams: unknown[]) =>
  new Promise<void>((resolve, reject) => {
    (userland.pipeline as any)(...streams, (error?: Error | null) => (error ? reject(error) : resolve()));
  });

/** What a reader ends with. */
export function outcomeOf(reading: Promise<unknown>): Promise<NodeJS.ErrnoException | undefined> {
  return reading.then(
    () => undefined,
    (error) => error,
  );
}

/** Readers that take all messages. */
export const readers: Record<string, Reader> = {
  "'data'": (stream) => ended(stream.on('data', () => {})),
  "'data', pausing": (stream, slow) =>
    ended(
      stream.on('data', () => {
        stream.pause();
        void turns(slow + 1).then(() => stream.resume());
      }),
    ),
  "'readable', read()": (stream) =>
    ended(
      stream.on('readable', () => {
        while (stream.read() !== null);
      }),
    ),
  "'readable', read(1)": (stream) =>
    ended(
      stream.on('readable', () => {
        while (stream.read(1) !== null);
      }),
    ),
  'for await': (stream, slow) => drained(stream, slow),
  'iterator()': (stream, slow) => drained(stream.iterator(), slow),
  'iterator({ destroyOnReturn: true })': (stream, slow) => drained(stream.iterator({ destroyOnReturn: true }), slow),
  'iterator({ destroyOnReturn: false })': (stream, slow) => drained(stream.iterator({ destroyOnReturn: false }), slow),
  'a loop that is left, then resume()': async (stream) => {
    for await (const _message of stream.iterator({ destroyOnReturn: false })) break;
    stream.resume();
    if (!stream.readableEnded && !stream.destroyed) await ended(stream);
  },
  'pipe()': (stream, slow, mark) => {
    stream.pipe(sink(slow, mark));
    return ended(stream);
  },
  'pipeline() into a writable': (stream, slow, mark) => pipeline(stream, sink(slow, mark)),
  "readable-stream's pipeline() into a writable": (stream, slow, mark) => userlandPipeline(stream, sink(slow, mark)),
  'pipeline() into an async function': (stream, slow) =>
    pipeline(stream, (messages: AsyncIterable<unknown>) => drained(messages, slow)),
  'pipeline() through a Transform': (stream, slow, mark) =>
    pipeline(stream, new PassThrough({ objectMode: true, highWaterMark: mark }), sink(slow, mark)),
  'toArray()': (stream) => stream.toArray(),
  'map().forEach()': (stream, slow) => stream.map((message) => message).forEach(() => void turns(slow)),
  'map() of several at a time': (stream, slow) =>
    stream.map(async () => turns(slow), { concurrency: 3 }).forEach(() => {}),
  'filter().toArray()': (stream) => stream.filter((message) => message.length % 2 === 0).toArray(),
  'forEach()': (stream, slow) => stream.forEach(async () => turns(slow)),
  'events.on()': (stream, slow) => drained(on(stream, 'data', { close: ['end', 'close'] } as object), slow),
  'Readable.toWeb()': (stream, slow) => drained(Readable.toWeb(stream) as AsyncIterable<unknown>, slow),
  'compose()': (stream, slow) => {
    const composed = (stream as any).compose(async function* (messages: AsyncIterable<unknown>) {
      for await (const message of messages) {
        if (slow) await turns(slow);
        yield message;
      }
    }) as Duplex;
    // What is composed keeps a 'drain' listener for good, as a generator that writes does: the user has to end.
    return ended(composed.on('data', () => {}).on('end', () => stream.end()));
  },
  'resume()': (stream) => ended(stream.resume()),
  'finished() and resume()': (stream) => {
    const done = finished(stream);
    stream.resume();
    return done;
  },
  'resume() and finished()': (stream) => finished(stream.resume()),
  "on('finish') and resume()": (stream) => ended(stream.on('finish', () => {}).resume()),
  'addAbortSignal() and resume()': (stream) => ended(addAbortSignal(new AbortController().signal, stream).resume()),
};

async function* slowly(messages: AsyncIterable<Buffer>, slow: number) {
  for await (const message of messages) {
    if (slow) await turns(slow);
    yield message;
  }
  if (slow) await turns(slow);
}

async function answered(stream: Duplex, messages: AsyncIterable<Buffer>, slow: number): Promise<void> {
  for await (const message of messages) {
    if (slow) await turns(slow);
    if (!stream.write(message)) await once(stream, 'drain');
  }
}

/** Readers that write each message back. */
export const echoes: Record<string, Reader> = {
  'pipeline(a, a)': (stream) => pipeline(stream, stream),
  "readable-stream's pipeline(a, a)": (stream) => userlandPipeline(stream, stream),
  'pipeline(a, a slow generator, a)': (stream, slow) =>
    pipeline(stream, (messages: AsyncIterable<Buffer>) => slowly(messages, slow), stream),
  "readable-stream's pipeline(a, a slow generator, a)": (stream, slow) =>
    userlandPipeline(stream, (messages: AsyncIterable<Buffer>) => slowly(messages, slow), stream),
  'pipeline(a, a slow Transform, a)': (stream, slow, mark) => pipeline(stream, slowTransform(slow, mark), stream),
  'pipe() into itself': (stream) => ended(stream.pipe(stream)),
  'pipe() into itself through a slow Transform': (stream, slow, mark) =>
    ended(stream.pipe(slowTransform(slow, mark)).pipe(stream)),
  'for await that answers': (stream, slow) => answered(stream, stream, slow),
  'iterator() that answers': (stream, slow) => answered(stream, stream.iterator(), slow),
  'iterator({ destroyOnReturn: false }) that answers': (stream, slow) =>
    answered(stream, stream.iterator({ destroyOnReturn: false }), slow),
  "'data' that answers": (stream) => ended(stream.on('data', (message) => stream.write(message))),
  "'readable' that answers": (stream) =>
    ended(
      stream.on('readable', () => {
        for (let message = stream.read(); message !== null; message = stream.read()) stream.write(message);
      }),
    ),
};

const slowTransform = (slow: number, highWaterMark: number) =>
  new Transform({
    objectMode: true,
    highWaterMark,
    transform: (message, _encoding, callback) => void turns(slow).then(() => callback(null, message)),
    flush: (callback) => void turns(slow).then(() => callback()),
  });

/** The frames of these messages, in the default format. */
export const framesOf = (messages: readonly Uint8Array[]) => Buffer.concat(messages.map((message) => frame(message)));

/** All messages were handed out, in order. */
export function expectHanded(watch: Watch, due: readonly Uint8Array[]): void {
  const got = watch.handed.map((message) => message.toString('hex'));
  expect(got).to.deep.equal(due.map((message) => Buffer.from(message).toString('hex')));
}

/** The same bytes, told by the first that differs. */
export function expectBytes(got: Buffer, due: Buffer): void {
  if (got.equals(due)) return;
  let at = 0;
  while (at < got.length && got[at] === due[at]) at++;
  throw new Error(`${got.length} bytes, not ${due.length}; they differ from byte ${at} on`);
}

export const slow = fc.constantFrom(0, 0, 1, 3);
export const marks = fc.constantFrom(1, 2, 16);

/** Runs one case of a property: nothing unhandled, no handle left. */
export async function property(run: () => Promise<void>): Promise<void> {
  const before = handles();
  try {
    await nothingUnhandled(run);
    await noHandleLeft(before);
  } finally {
    await closeLinks();
    await turns(2);
  }
}
