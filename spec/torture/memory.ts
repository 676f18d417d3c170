/**
 * What the decoder holds, measured: `node --expose-gc dist/spec/torture/memory.js` prints a table of what, measured and
 * allowed. With `--json`, the same for memory.spec.ts.
 *
 * "Held" is the growth of heapUsed and external (which has the memory of all Buffers in it) after garbage collection.
 */
import { Buffer } from 'node:buffer';
import process from 'node:process';
import { Duplex, PassThrough, Readable, type Transform } from 'readable-stream';
import {
  type FormatOptions,
  framed,
  LengthPrefixDecoder,
  type LengthPrefixDecoderOptions,
  LengthPrefixEncoder,
  type Message,
} from '../../lib/index.js';
import { frame, prefix, settle, turns } from '../support/frames.js';
import { usedMemory } from '../support/runtime.js';

export interface Row {
  readonly group: string;
  readonly what: string;
  readonly measured: number;
  /** Undefined: no rule, the figure is there to be known. */
  readonly allowed: number | undefined;
  readonly unit: string;
}

const KIB = 1024;
const MIB = 1024 * KIB;
const SLACK = 64 * KIB;

const rows: Row[] = [];

function row(group: string, what: string, measured: number, allowed: number | undefined, unit: string): void {
  rows.push({ group, what, measured, allowed, unit });
}

function collect(): void {
  if (globalThis.gc === undefined) throw new Error('run this with node --expose-gc');
  globalThis.gc();
}

/** All memory in use, once what is no longer used is gone. */
async function used(): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  // Memory of Buffers is given back some time after the collection that found it: until it gets no less.
  for (let still = 0; still < 2; still++) {
    collect();
    await turns(2);
    const now = usedMemory();
    if (now < least - 512) still = 0;
    least = Math.min(least, now);
  }
  return least;
}

/** The lower quartile: what else happened in a round mostly comes on top. */
function typical(figures: number[]): number {
  return figures.toSorted((a, b) => a - b)[figures.length >> 2]!;
}

/** Bytes for each of `count` things that `make` makes. */
async function each(count: number, make: () => unknown): Promise<number> {
  const things: unknown[] = new Array(count);
  const before = await used();
  for (let i = 0; i < count; i++) things[i] = make();
  await turns(2);
  const after = await used();
  // Still used here, so that nothing of it was collected before.
  if (things.length !== count) throw new Error('unreachable');
  return (after - before) / count;
}

/** Stands for a socket. */
function duplex(): Duplex {
  return new Duplex({ allowHalfOpen: false, read() {}, write: (_chunk, _encoding, callback) => callback() });
}

async function idle(): Promise<void> {
  const kinds: Record<string, () => unknown> = {
    through: () => new PassThrough(),
    plain: () => new LengthPrefixDecoder(),
    varint: () => new LengthPrefixDecoder({ lengthField: 'varint' }),
    skip: () => new LengthPrefixDecoder({ oversize: 'skip' }),
    encoder: () => new LengthPrefixEncoder(),
    duplex,
    framed: () => framed(duplex()),
    framedAfterTraffic: () => {
      const stream = duplex();
      const messages = framed(stream).resume();
      messages.write('a');
      stream.push(Buffer.concat([frame('a'), frame(Buffer.alloc(60_000))]));
      return messages;
    },
    prefix: () => {
      const decoder = new LengthPrefixDecoder();
      decoder.write(prefix(16 * MIB));
      return decoder;
    },
    cutPrefix: () => {
      const decoder = new LengthPrefixDecoder();
      for (const byte of prefix(16 * MIB)) decoder.write(Buffer.of(byte));
      return decoder;
    },
    halfPrefix: () => {
      const decoder = new LengthPrefixDecoder();
      decoder.write(prefix(16 * MIB).subarray(0, 3));
      return decoder;
    },
    prefixAtTheEnd: () => {
      const decoder = new LengthPrefixDecoder();
      decoder.resume();
      decoder.write(Buffer.concat([frame(Buffer.alloc(65_000)), prefix(16 * MIB)]));
      return decoder;
    },
    prefixKept: () => {
      const decoder = new LengthPrefixDecoder({ initialBytesToStrip: 0 });
      decoder.write(prefix(16 * MIB));
      return decoder;
    },
    afterMessages: () => {
      const decoder = new LengthPrefixDecoder();
      decoder.resume();
      decoder.write(Buffer.concat([frame('a'), frame(Buffer.alloc(60_000))]));
      return decoder;
    },
  };
  const figures: Record<string, number[]> = {};
  for (const make of Object.values(kinds)) await each(200, make);
  // The first two are compared by turns and in great numbers, for a twentieth counts. Those that are framed are known by tables,
  // which double at times: among few of them, that is much for each. The others need no such care.
  const counts: Readonly<Record<string, number>> = {
    plain: 20_000,
    through: 20_000,
    duplex: 5000,
    framed: 5000,
    framedAfterTraffic: 2000,
  };
  const count = (name: string): number => counts[name] ?? 500;
  for (const name of ['through', 'plain', 'through', 'plain', 'through', 'plain', 'through', 'plain']) {
    figures[name] = [...(figures[name] ?? []), await each(count(name), kinds[name]!)];
  }
  const names = Object.keys(kinds);
  for (const name of [...names, ...names, ...names]) {
    figures[name] = [...(figures[name] ?? []), await each(count(name), kinds[name]!)];
  }
  const of = (name: string): number => typical(figures[name]!);
  row('idle', 'PassThrough of readable-stream, idle', of('through'), undefined, 'bytes');
  row('idle', 'decoder, idle', of('plain'), undefined, 'bytes');
  row('idle', 'decoder, idle, to PassThrough', of('plain') / of('through'), 1.2, 'times');
  row('idle', "decoder, idle, lengthField: 'varint', to PassThrough", of('varint') / of('through'), undefined, 'times');
  row('idle', "decoder, idle, oversize: 'skip', to PassThrough", of('skip') / of('through'), undefined, 'times');
  row('idle', 'encoder, idle, to PassThrough', of('encoder') / of('through'), 1.6, 'times');
  const framedAlone = (name: string): number => (of(name) - of('duplex')) / of('duplex');
  row('idle', 'framed, idle, to the smallest Duplex', framedAlone('framed'), 1.75, 'times');
  row('idle', 'framed, idle behind messages, to the smallest Duplex', framedAlone('framedAfterTraffic'), 1.75, 'times');
  for (const [name, what] of Object.entries({
    prefix: 'the prefix of a 16 MiB frame, more than idle',
    cutPrefix: 'the same prefix byte by byte, more than idle',
    halfPrefix: 'three bytes of that prefix, more than idle',
    prefixAtTheEnd: 'the same prefix behind a message of 64 KiB, more than idle',
    prefixKept: 'the same prefix, kept in the message, more than idle',
    afterMessages: 'all messages handed out, more than idle',
  })) {
    row('prefix', what, of(name) - of('plain'), KIB, 'bytes');
  }
}

/** The next chunk of a payload, undefined when that was all of it. Nothing here refers to a chunk it gave. */
type Chunks = () => Buffer | undefined;

/** Bytes of nothing but payload, in chunks of these sizes, each of memory of its own, as a socket gives them. */
function cut(total: number, ...sizes: number[]): Chunks {
  let at = 0;
  let i = 0;
  return () => {
    const size = Math.min(sizes[i++ % sizes.length]!, total - at);
    at += size;
    return size > 0 ? Buffer.allocUnsafeSlow(size) : undefined;
  };
}

/** Writes the next chunk: not one reference to it is left here. Returns its length, 0 when there is none. */
function writeNext(decoder: Transform, chunks: Chunks): number {
  const chunk = chunks();
  if (chunk !== undefined) decoder.write(chunk);
  return chunk?.length ?? 0;
}

interface Moment {
  readonly received: number;
  readonly held: number;
  /** Bytes held above `perByte` of each byte received. */
  readonly over: number;
}

interface Arrival {
  readonly length: number;
  /** Makes the chunks behind the prefix. */
  readonly chunks: () => Chunks;
  readonly perByte: number;
  readonly options?: LengthPrefixDecoderOptions;
  /** What is written first: the prefix, or more. */
  readonly first?: Buffer;
  /** The number of bytes that come, where that is not all. */
  readonly stopAt?: number;
}

/** A message in pieces: the worst moment of all that were looked at, and the last. */
async function round(arrival: Arrival): Promise<{ worst: Moment; last: Moment }> {
  const { length, perByte, options = {}, first = prefix(length), stopAt = length } = arrival;
  const chunks = arrival.chunks();
  const decoder = new LengthPrefixDecoder(options);
  const got: { message: Buffer | undefined } = { message: undefined };
  decoder.on('data', (each) => {
    got.message = each as Buffer;
  });
  await turns(1);
  const before = await used();
  decoder.write(first);
  // What comes in front of the prefix is the reader's.
  got.message = undefined;
  let received = 0;
  let worst: Moment = { received: 0, held: 0, over: Number.NEGATIVE_INFINITY };
  let last = worst;
  let next = 1;
  const look = async (): Promise<void> => {
    const held = (await used()) - before;
    const over = held - perByte * received;
    last = { received, held, over };
    if (over > worst.over) worst = last;
  };
  for (let size = writeNext(decoder, chunks); size > 0; size = writeNext(decoder, chunks)) {
    received += size;
    // Often at first, around the half of it, and at the end; and in steps in between.
    const half = size >= KIB && Math.abs(received - length / 2) <= size;
    if (received >= next || half || received === stopAt) {
      next = Math.max(received + stopAt / 7, received * 3);
      await look();
    }
  }
  const message = (got as { message?: Buffer }).message;
  if (stopAt === length && message?.length !== length) throw new Error('no message');
  got.message = undefined;
  decoder.destroy();
  await used();
  return { worst, last };
}

async function arriving(group: string, what: string, arrival: Arrival): Promise<void> {
  const { length, perByte, stopAt = length } = arrival;
  // Compiled code and the like come on top at times; what is held, in each round. And a round that ends with less than
  // came began with something else that was not yet collected.
  let worst: Moment | undefined;
  let complete = Number.POSITIVE_INFINITY;
  for (let rounds = 0; rounds < 5; rounds++) {
    const each = await round(arrival);
    if (each.last.held < each.last.received - SLACK) continue;
    if (worst === undefined || each.worst.over < worst.over) worst = each.worst;
    complete = Math.min(complete, each.last.held);
    if (worst.over <= SLACK && (stopAt < length || complete <= length + SLACK)) break;
  }
  if (worst === undefined) throw new Error(`${what}: nothing that was collected in time`);
  row(group, `${what}: at ${worst.received} bytes`, worst.held, perByte * worst.received + SLACK, 'bytes');
  if (stopAt === length && perByte === 2) row(group, `${what}: complete`, complete, length + SLACK, 'bytes');
}

async function pieces(): Promise<void> {
  for (const length of [3000, 100_000, MIB / 2]) {
    const dribble = { length, chunks: () => cut(length, 1), perByte: 8 };
    await arriving('one-byte chunks', `${length} bytes in chunks of 1`, dribble);
  }
  const stopAt = 200_000;
  const start = { length: 16 * MIB, chunks: () => cut(stopAt, 1), perByte: 8, stopAt };
  await arriving('one-byte chunks', `the first ${stopAt} bytes of 16 MiB in chunks of 1`, start);
  const copied = { length: 100_000, chunks: () => cut(100_000, 1), perByte: 8, options: { copy: true } };
  await arriving('one-byte chunks', '100000 bytes in chunks of 1, copy', copied);

  for (const size of [KIB, 4095, 4096, 65_536, MIB]) {
    for (const length of [MIB + 1, 16 * MIB]) {
      if (size === 4095 && length !== MIB + 1) continue;
      const large = { length, chunks: () => cut(length, size), perByte: 2 };
      await arriving('large chunks', `${length} bytes in chunks of ${size}`, large);
    }
  }
  for (const size of [KIB, 65_536]) {
    const large = { length: MIB, chunks: () => cut(MIB, size), perByte: 2, options: { copy: true } };
    await arriving('large chunks', `${MIB} bytes in chunks of ${size}, copy`, large);
  }

  const mixed: [string, number, number[]][] = [
    ['4096 and 1 by turns', 2 * MIB, [4096, 1]],
    ['4097 and 1 by turns', 2 * MIB, [4097, 1]],
    ['1, then 65536, by turns', 8 * MIB, [1, 65_536]],
    ['65536, 65537 and 1 by turns', 8 * MIB, [65_536, 65_537, 1]],
    ['4095 and 65536 by turns', 8 * MIB, [4095, 65_536]],
    ['1 and 1024 by turns', MIB, [1, 1024]],
    ['100 times 1, then 65536', 8 * MIB, [...new Array(100).fill(1), 65_536]],
    ['257, 4096, 8191 and 61440 by turns', 8 * MIB, [257, 4096, 8191, 61_440]],
  ];
  for (const [name, length, sizes] of mixed) {
    const mixture = { length, chunks: () => cut(length, ...sizes), perByte: 2 };
    await arriving('mixtures', `${length} bytes in ${name}`, mixture);
  }
  for (const tail of [0, 1, 5, 1000, 4095, 4096, 20_000]) {
    const bytes = Buffer.concat([frame(Buffer.alloc(65_536 - 8 - tail)), prefix(16 * MIB), Buffer.alloc(tail)]);
    const behind = { length: 16 * MIB, chunks: () => cut(100, 1), perByte: 8, stopAt: 100 };
    const what = `the last ${tail} bytes of a 64 KiB chunk, then 100 of 1`;
    // Written out again for each round: the decoder may keep the chunk, and nobody else.
    await arriving('mixtures', what, {
      ...behind,
      get first() {
        return Buffer.from(bytes);
      },
    });
  }
  const slabs = (): Chunks => {
    let left = 512;
    return () => (left-- > 0 ? Buffer.allocUnsafeSlow(65_536).subarray(0, 4096) : undefined);
  };
  for (const copy of [false, true]) {
    const what = `2 MiB of 16 MiB in 4 KiB views of 64 KiB each${copy ? ', copy' : ''}`;
    await arriving('views', what, { length: 16 * MIB, chunks: slabs, perByte: 2, options: { copy }, stopAt: 2 * MIB });
  }
}

async function skip(): Promise<void> {
  const chunk = Buffer.alloc(65_536);
  for (const listening of [false, true]) {
    const decoder = new LengthPrefixDecoder({ oversize: 'skip' });
    let oversize = 0;
    let messages = 0;
    decoder.on('oversize', () => oversize++);
    if (listening) decoder.on('data', () => messages++);
    await turns(1);
    const before = await used();
    const externalBefore = process.memoryUsage().external;
    let most = 0;
    let mostUsed = 0;
    decoder.write(prefix(1024 * MIB));
    for (let i = 0; i < 16_384; i++) {
      decoder.write(chunk);
      if (i % 64 === 0) {
        // Not collected, as it would be in use.
        most = Math.max(most, process.memoryUsage().external - externalBefore);
        await turns(1);
      }
      if (i % 2048 === 0) mostUsed = Math.max(mostUsed, (await used()) - before);
    }
    mostUsed = Math.max(mostUsed, (await used()) - before);
    decoder.write(frame('behind it'));
    await turns(1);
    if (oversize !== 1 || (listening && messages !== 1)) throw new Error('1 GiB was not passed over');
    const who = listening ? 'with a reader' : 'with no reader';
    row('skip', `1 GiB passed over, ${who}, at any moment`, mostUsed, MIB, 'bytes');
    row('skip', `1 GiB passed over, ${who}, at any moment, memory of Buffers not collected`, most, MIB, 'bytes');
  }
}

/** How many of these are still alive. */
async function alive(references: WeakRef<object>[]): Promise<number> {
  await turns(2);
  for (let i = 0; i < 3; i++) {
    collect();
    await turns(2);
  }
  return references.filter((reference) => reference.deref() !== undefined).length;
}

async function copies(): Promise<void> {
  const size = 16;
  const perChunk = 3276;
  const every = 63;
  for (const batch of [false, true]) {
    for (const copy of [true, false]) {
      const decoder = new LengthPrefixDecoder({ copy, batch });
      const references: WeakRef<object>[] = [];
      const kept: Buffer[] = [];
      // Few messages of each chunk are kept.
      let count = 0;
      decoder.on('data', (each: Buffer | Buffer[]) => {
        for (const message of [each].flat()) if (count++ % every === 0) kept.push(message);
      });
      await turns(1);
      const before = await used();
      const message = frame(Buffer.alloc(size, 7));
      const chunks = 64;
      // In a function of its own: this one, while it waits, may keep the last chunk.
      const write = (): void => {
        const chunk = Buffer.allocUnsafeSlow(perChunk * message.length);
        for (let at = 0; at < chunk.length; at += message.length) chunk.set(message, at);
        references.push(new WeakRef(chunk.buffer));
        decoder.write(chunk);
      };
      for (let i = 0; i < chunks; i++) write();
      await settle(() => count);
      const held = ((await used()) - before) / kept.length;
      const living = await alive(references);
      const name = `copy: ${copy}${batch ? ', batch' : ''}`;
      if (kept.length !== (perChunk / every) * chunks) throw new Error(`${kept.length} kept`);
      row(
        'copy',
        `${name}: chunks of ${chunks} kept alive by some of their messages`,
        living,
        copy ? 0 : undefined,
        'chunks',
      );
      row('copy', `${name}: a message of ${size} bytes kept`, held, copy ? 512 : undefined, 'bytes');
      if (copy) {
        const buffers = new Set(kept.map((each) => each.buffer));
        const shared = kept.filter((each) => each.buffer.byteLength !== size).length + kept.length - buffers.size;
        row('copy', `${name}: messages that share their memory`, shared, 0, 'messages');
      }
      decoder.destroy();
    }
  }
  // Messages that go past their chunk, and large ones.
  const decoder = new LengthPrefixDecoder({ copy: true });
  const kept: Buffer[] = [];
  decoder.on('data', (each) => kept.push(each));
  await turns(1);
  const message = frame(Buffer.alloc(30_000, 7));
  const bytes = Buffer.concat(new Array(40).fill(message));
  const given = new Given();
  for (let at = 0; at < bytes.length; at += 65_536) decoder.write(given.chunk(bytes.subarray(at, at + 65_536)));
  const living = await alive(given.references);
  if (kept.length !== 40) throw new Error(`${kept.length} kept`);
  row('copy', 'copy: true, messages cut by chunks: chunks kept alive', living, 0, 'chunks');
  const shared = kept.filter((each) => each.buffer.byteLength !== each.length).length;
  row('copy', 'copy: true, messages cut by chunks: messages that share their memory', shared, 0, 'messages');
}

/** Half of a large message, in large chunks: with `copy: true` they are the writer's again. */
async function halves(): Promise<void> {
  for (const copy of [true, false]) {
    const given = new Given();
    const decoder = new LengthPrefixDecoder({ copy });
    decoder.write(prefix(4 * MIB));
    for (let i = 0; i < 20; i++) decoder.write(given.chunk(Buffer.alloc(65_536)));
    const living = await alive(given.references);
    row('copy', `copy: ${copy}, a third of a message: chunks of 20 alive`, living, copy ? 0 : undefined, 'chunks');
    if (decoder.destroyed) throw new Error('unreachable');
  }
}

/** Buffers that a stream is given, and whether they are still there. */
class Given {
  readonly references: WeakRef<object>[] = [];

  chunk(bytes: Buffer): Buffer {
    const chunk = Buffer.allocUnsafeSlow(bytes.length);
    chunk.set(bytes);
    this.references.push(new WeakRef(chunk.buffer));
    return chunk;
  }
}

async function destroyed(): Promise<void> {
  const many = Buffer.concat(new Array(40).fill(frame('twelve bytes')));
  const decoders: Record<string, (decoder: Transform, given: Given) => void> = {
    'a partial frame of large chunks': (decoder, given) => {
      decoder.write(given.chunk(prefix(4 * MIB)));
      for (let i = 0; i < 8; i++) decoder.write(given.chunk(Buffer.alloc(65_536)));
    },
    'a partial frame past its half': (decoder, given) => {
      decoder.write(given.chunk(prefix(MIB)));
      for (let i = 0; i < 12; i++) decoder.write(given.chunk(Buffer.alloc(65_536)));
    },
    'a partial prefix': (decoder, given) => decoder.write(given.chunk(prefix(9).subarray(0, 2))),
    'a chunk held for its reader, and writes behind it': (decoder, given) => {
      for (let i = 0; i < 5; i++) decoder.write(given.chunk(many));
    },
    'a fault held for its reader': (decoder, given) => {
      decoder.write(given.chunk(Buffer.concat([many, Buffer.alloc(9, 0xff)])));
      decoder.write(given.chunk(many));
    },
    'corked writes': (decoder, given) => {
      decoder.cork();
      for (let i = 0; i < 5; i++) decoder.write(given.chunk(many));
    },
  };
  for (const [what, fill] of Object.entries(decoders)) {
    for (const read of [true, false]) {
      const given = new Given();
      const decoder = new LengthPrefixDecoder({ readableHighWaterMark: 2 });
      decoder.on('error', () => {});
      fill(decoder, given);
      await turns(2);
      decoder.destroy();
      // Messages that were ready to read are Node's: it keeps them in a destroyed stream for who calls read().
      if (read) while (decoder.read() !== null);
      const living = await alive(given.references);
      const name = `destroyed with ${what}${read ? '' : ', messages unread'}: chunks alive`;
      row('destroy', name, living, read ? 0 : undefined, 'chunks');
      if (!decoder.destroyed) throw new Error('unreachable');
    }
  }
  for (const read of [true, false]) {
    const given = new Given();
    const through = new PassThrough();
    through.write(given.chunk(many));
    await turns(2);
    through.destroy();
    if (read) while (through.read() !== null);
    const name = `PassThrough destroyed with a chunk${read ? '' : ' unread'}: chunks alive`;
    row('destroy', name, await alive(given.references), undefined, 'chunks');
    if (!through.destroyed) throw new Error('unreachable');
  }
  const encoders: Record<string, (encoder: Transform, given: Given) => void> = {
    'large messages held': (encoder, given) => {
      for (let i = 0; i < 5; i++) encoder.write(given.chunk(Buffer.alloc(100_000)));
    },
    'small messages held': (encoder, given) => {
      for (let i = 0; i < 5; i++) encoder.write(given.chunk(Buffer.alloc(10_000)));
    },
  };
  for (const [what, fill] of Object.entries(encoders)) {
    for (const wait of [0, 2]) {
      const given = new Given();
      const encoder = new LengthPrefixEncoder({ readableHighWaterMark: 10 });
      encoder.on('error', () => {});
      fill(encoder, given);
      await turns(wait);
      fill(encoder, given);
      encoder.destroy();
      while (encoder.read() !== null);
      const when = wait === 0 ? ' in the tick of their writes' : '';
      row(
        'destroy',
        `encoder destroyed with ${what}${when}: messages alive`,
        await alive(given.references),
        0,
        'messages',
      );
      if (!encoder.destroyed) throw new Error('unreachable');
    }
  }
  // One that has failed holds nothing, with no `destroy`: here a large message with a wrong trailer behind it.
  const trailers: Record<string, NonNullable<FormatOptions['trailer']>> = {
    constant: Buffer.alloc(4, 1),
    checksum: { width: 4, update: (sum = 0, bytes) => sum + bytes.length, final: () => Buffer.alloc(4, 1) },
  };
  for (const [what, trailer] of Object.entries(trailers)) {
    for (const stream of [false, true]) {
      const given = new Given();
      const decoder = new LengthPrefixDecoder({ trailer, stream });
      let failure: Error | undefined;
      decoder.on('error', (error) => {
        failure = error;
      });
      decoder.on('data', (message: any) => message.body?.on('error', () => {}).resume());
      decoder.write(given.chunk(prefix(4 * MIB)));
      for (let i = 0; i < 64; i++) decoder.write(given.chunk(Buffer.alloc(65_536)));
      decoder.write(given.chunk(Buffer.alloc(4)));
      const living = await alive(given.references);
      const name = `failed by a wrong trailer (${what}${stream ? ', stream' : ''}) behind a large message: chunks alive`;
      if (!failure?.message.includes('the trailer')) throw new Error('no failure', { cause: failure });
      failure = undefined;
      row('destroy', name, living, 0, 'chunks');
      if (!decoder.destroyed) throw new Error('unreachable');
    }
  }
  // A decoder that has nothing to do any more holds nothing either.
  const given = new Given();
  const decoder = new LengthPrefixDecoder();
  decoder.resume();
  for (let i = 0; i < 5; i++) decoder.write(given.chunk(many));
  row('destroy', 'not destroyed, all messages handed out: chunks alive', await alive(given.references), 0, 'chunks');
  if (decoder.destroyed) throw new Error('unreachable');
}

const SENDERS = 20;

/** Streams that have sent everything, and wait for more. */
async function sent(): Promise<void> {
  const messages: Record<string, (references: WeakRef<object>[]) => Message> = {
    'a large message': () => Buffer.allocUnsafeSlow(100_000),
    'a small one': () => Buffer.allocUnsafeSlow(10_000),
    'a body': (references) => {
      const body = Readable.from([Buffer.allocUnsafeSlow(10_000)]);
      references.push(new WeakRef(body));
      return { length: 10_000, body };
    },
  };
  for (const [what, make] of Object.entries(messages)) {
    for (const kind of ['encoder', 'framed']) {
      const references: WeakRef<object>[] = [];
      const write = (chunk: Buffer, _encoding: unknown, callback: () => void): void => {
        // Not the heads, which share memory.
        if (chunk.length > 1000) references.push(new WeakRef(chunk.buffer));
        callback();
      };
      const streams: { destroyed: boolean }[] = [];
      for (let i = 0; i < SENDERS; i++) {
        const sink = new Duplex({ read() {}, write });
        const stream = kind === 'framed' ? framed(sink) : new LengthPrefixEncoder();
        if (kind === 'encoder') stream.pipe(sink);
        stream.write(make(references));
        streams.push(stream, sink);
      }
      await turns(20);
      const living = await alive(references);
      if (references.length < SENDERS) throw new Error('not all was sent');
      // Some may still be on the stack of the engine, or in a compiled function: Node 24 keeps up to five.
      row('sent', `${kind}s, ${SENDERS}, idle behind ${what}: chunks and bodies alive`, living, SENDERS / 2, 'things');
      if (streams.some(({ destroyed }) => destroyed)) throw new Error('unreachable');
    }
  }
}

/** Compiled code and the like are not to be in the figures: everything runs once before it is measured. */
async function warmUp(): Promise<void> {
  for (const sizes of [[1], [1024], [4096, 1], [65_536]]) {
    const length = sizes[0] === 1 ? 200_000 : 8 * MIB;
    for (const copy of [false, true]) {
      await round({ length, chunks: () => cut(length, ...sizes), perByte: 2, options: { copy } });
    }
  }
}

await idle();
await warmUp();
await pieces();
await skip();
await copies();
await halves();
await destroyed();
await sent();

if (process.argv.includes('--json')) {
  process.stdout.write(JSON.stringify(rows));
} else {
  const say = (figure: number, unit: string): string =>
    `${unit === 'times' ? figure.toFixed(2) : Math.round(figure).toLocaleString('en')} ${unit}`;
  const table = rows.map(({ what, measured, allowed, unit }) => ({
    what,
    measured: say(measured, unit),
    allowed: allowed === undefined ? '' : say(allowed, unit),
    verdict: allowed === undefined ? '' : measured <= allowed ? 'ok' : 'TOO MUCH',
  }));
  const width = (key: 'what' | 'measured' | 'allowed'): number =>
    Math.max(...table.map((line) => line[key].length), key.length);
  const [a, b, c] = [width('what'), width('measured'), width('allowed')];
  console.log(`${'what'.padEnd(a)} | ${'measured'.padStart(b)} | ${'allowed'.padStart(c)} |`);
  for (const line of table) {
    console.log(
      `${line.what.padEnd(a)} | ${line.measured.padStart(b)} | ${line.allowed.padStart(c)} | ${line.verdict}`.trimEnd(),
    );
  }
}
