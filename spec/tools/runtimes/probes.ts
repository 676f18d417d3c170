/**
 * What works together with the streams of this package on the present runtime: `node dist/spec/tools/runtimes/probes.js` prints
 * it as JSON.
 */
import { Buffer } from 'node:buffer';
import { EventEmitter } from 'node:events';
import { createRequire } from 'node:module';
import * as node from 'node:stream';
import * as nodePromises from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import * as userland from 'readable-stream';
import { FrameError, framed, LengthPrefixDecoder, LengthPrefixEncoder } from '../../../lib/index.js';
import { decode, encode, LengthPrefixDecoderStream, LengthPrefixEncoderStream } from '../../../lib/web/index.js';
import type { Runtime } from '../../support/runtime.js';
import { runtime } from '../../support/runtime.js';
import { closeAll, transports } from '../../torture/connections.js';

interface Probe {
  readonly feature: string;
  /** Whether it works. What it throws is a no, too. */
  run(): boolean | Promise<boolean>;
  /** Where it does not, and why. */
  readonly not?: { readonly runtimes: readonly Runtime[]; readonly reason: string };
}

export interface Finding {
  readonly feature: string;
  readonly works: boolean;
  readonly expected: boolean;
  /** What was thrown. */
  readonly error?: string;
}

// Where one of node:stream is asked for, theirs is one; this is what the types do not know.
type Duplex = node.Duplex;
const decoder = (options = {}) => new LengthPrefixDecoder(options) as unknown as Duplex;
const encoder = (options = {}) => new LengthPrefixEncoder(options) as unknown as Duplex;

const texts = ['', 'one', 'x'.repeat(100_000), 'two', ''];
const all = texts.map((text) => `${text}.`).join('');

/** Bytes of all messages, cut. */
function wire(): Buffer[] {
  const frames = texts.flatMap((text) => {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(text.length);
    return [length, Buffer.from(text)];
  });
  const bytes = Buffer.concat(frames);
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += 1013) chunks.push(bytes.subarray(at, at + 1013));
  return chunks;
}

/** A decoder that has all messages. */
function filled(): Duplex {
  const stream = decoder();
  for (const chunk of wire()) stream.write(chunk);
  return stream.end() as Duplex;
}

async function joined(messages: AsyncIterable<unknown>): Promise<string> {
  let text = '';
  for await (const message of messages) text += `${message}.`;
  return text;
}

type Streams = [node.Readable, ...Duplex[], node.Writable];

/** What `pipeline` must do: pass on all there is, and destroy all there are when one fails. */
async function pipes(pipeline: (...streams: Streams) => Promise<unknown>): Promise<boolean> {
  let text = '';
  const sink = () =>
    new node.Writable({
      objectMode: true,
      write(message, _encoding, callback) {
        text += `${message}.`;
        callback();
      },
    });
  await pipeline(node.Readable.from(wire()), decoder(), encoder(), decoder(), sink());
  if (text !== all) return false;
  const failing: Streams = [node.Readable.from([Buffer.of(1)]), decoder(), encoder(), sink()];
  const error = await pipeline(...failing).catch((error) => error);
  return error instanceof FrameError && failing.every((stream) => stream.destroyed);
}

/** What `finished` must do: tell of the end, and of an error. */
async function finishes(finished: (stream: Duplex) => Promise<unknown>): Promise<boolean> {
  const good = filled().resume();
  await finished(good);
  const bad = decoder().resume();
  bad.end(Buffer.of(1));
  const error = await finished(bad).catch((error) => error);
  return good.readableEnded && good.writableFinished && error instanceof FrameError;
}

const promised =
  <Args extends unknown[]>(run: (...args: [...Args, (error?: Error | null) => void]) => unknown) =>
  (...args: Args) =>
    new Promise<void>((resolve, reject) => {
      run(...args, (error) => (error ? reject(error) : resolve()));
    });

/** Both ends send all messages, and take them all. */
async function converses(transport: string, talk: (socket: node.Duplex) => Promise<string>): Promise<boolean> {
  try {
    const ends = await transports[transport]!();
    const heard = await Promise.all(ends.map(talk));
    return heard.every((text) => text === all);
  } finally {
    closeAll();
  }
}

async function talkFramed(socket: node.Duplex): Promise<string> {
  const messages = framed(socket);
  for (const text of texts) messages.write(text);
  messages.end();
  return joined(messages);
}

async function talkPiped(socket: node.Duplex): Promise<string> {
  const sending = encoder();
  sending.pipe(socket);
  for (const text of texts) sending.write(text);
  sending.end();
  return joined(socket.pipe(decoder()));
}

const classesOf = ({ Transform, Duplex, Readable, Writable }: typeof node | typeof userland) =>
  Object.entries({ Transform, Duplex, Readable, Writable });
const ownStreams = () => [decoder(), encoder(), framed(new node.PassThrough())];

const everywhere: readonly Runtime[] = ['node', 'bun', 'deno'];

export const probes: readonly Probe[] = [
  {
    feature: "`import` and `require('length-prefix')`, one and the same",
    run: async () => createRequire(import.meta.url)('length-prefix').framed === (await import('length-prefix')).framed,
  },
  ...classesOf(userland).map(([name, its]) => ({
    feature: `\`instanceof\` readable-stream's \`${name}\``,
    // `framed` is a Duplex, and no Transform.
    run: () => (name === 'Transform' ? [decoder(), encoder()] : ownStreams()).every((stream) => stream instanceof its),
  })),
  ...classesOf(node).map(([name, its]) => ({
    feature: `\`instanceof\` node:stream's \`${name}\``,
    run: () => ownStreams().some((stream) => stream instanceof its),
    not: {
      runtimes: everywhere,
      reason: "The streams are readable-stream's, whose classes are others than those of node:stream.",
    },
  })),
  { feature: '`instanceof` `EventEmitter`', run: () => ownStreams().every((stream) => stream instanceof EventEmitter) },
  { feature: '`pipeline` of node:stream', run: () => pipes(promised(node.pipeline as never)) },
  { feature: '`pipeline` of node:stream/promises', run: () => pipes((...streams) => nodePromises.pipeline(streams)) },
  { feature: '`pipeline` of readable-stream', run: () => pipes(promised(userland.pipeline as never)) },
  { feature: '`finished` of node:stream', run: () => finishes(promised(node.finished as never)) },
  { feature: '`finished` of node:stream/promises', run: () => finishes((stream) => nodePromises.finished(stream)) },
  { feature: '`finished` of readable-stream', run: () => finishes(promised(userland.finished as never)) },
  {
    feature: '`compose` of node:stream',
    run: async () => {
      const both = node.compose(encoder(), decoder()) as Duplex;
      for (const text of texts) both.write(text);
      both.end();
      return (await joined(both)) === all;
    },
  },
  {
    feature: '`decoder.compose()`',
    run: async () => {
      async function* shouting(messages: AsyncIterable<Buffer>) {
        for await (const message of messages) yield message.toString().toUpperCase();
      }
      return (await joined(filled().compose(shouting as never))) === all.toUpperCase();
    },
  },
  {
    feature: '`addAbortSignal` of node:stream, and the option `signal`',
    run: async () => {
      for (const added of [true, false]) {
        const controller = new AbortController();
        const { signal } = controller;
        const stream = added ? node.addAbortSignal(signal, decoder()) : decoder({ signal });
        const failed = new Promise<Error>((resolve) => stream.once('error', resolve));
        controller.abort();
        if ((await failed).name !== 'AbortError' || !stream.destroyed) return false;
      }
      return true;
    },
  },
  {
    feature: '`Duplex.toWeb`',
    run: async () => {
      const { readable, writable } = node.Duplex.toWeb(decoder());
      const writer = writable.getWriter();
      const writing = (async () => {
        for (const chunk of wire()) await writer.write(chunk);
        await writer.close();
      })();
      const text = await joined(readable as unknown as AsyncIterable<unknown>);
      await writing;
      return text === all;
    },
  },
  {
    feature: '`Readable.toWeb`',
    run: async () => (await joined(node.Readable.toWeb(filled()) as unknown as AsyncIterable<unknown>)) === all,
  },
  {
    feature: '`Writable.toWeb`',
    run: async () => {
      const stream = decoder();
      const text = joined(stream);
      const writer = node.Writable.toWeb(stream).getWriter();
      for (const chunk of wire()) await writer.write(chunk);
      await writer.close();
      return (await text) === all;
    },
  },
  { feature: '`for await`', run: async () => (await joined(filled())) === all },
  {
    feature: '`map`, `filter`, `flatMap`, `take`, `drop`, `toArray`',
    run: async () => {
      const lengths = filled()
        .filter((message: Buffer) => message.length > 0)
        .map((message: Buffer) => message.length);
      const some = lengths
        .drop(1)
        .take(2)
        .flatMap((length: number) => [length, -length]);
      return (await some.toArray()).join() === '100000,-100000,3,-3';
    },
  },
  {
    feature: '`reduce`, `some`, `every`, `find`, `forEach`',
    run: async () => {
      let count = 0;
      await filled().forEach(() => void count++);
      const total = await filled().reduce((sum: number, message: Buffer) => sum + message.length, 0);
      return (
        count === texts.length &&
        total === texts.join('').length &&
        (await filled().some((message: Buffer) => message.length === 3)) &&
        !(await filled().every((message: Buffer) => message.length === 3)) &&
        String(await filled().find((message: Buffer) => message.length === 3)) === 'one'
      );
    },
  },
  { feature: '`pipe` from and to a `net.Socket`', run: () => converses('TCP', talkPiped) },
  { feature: '`framed(socket)` over TCP', run: () => converses('TCP', talkFramed) },
  { feature: '`framed(socket)` over TLS', run: () => converses('TLS', talkFramed) },
  {
    feature: '`framed(socket)`: a message is sent though the other side ends meanwhile',
    run: async () => {
      try {
        const [client, server] = await transports.TCP!();
        const messages = framed(client);
        framed(server)
          .on('error', () => {})
          .end('one');
        client.end();
        return (await joined(messages)) === 'one.';
      } finally {
        closeAll();
      }
    },
    not: {
      runtimes: ['deno'],
      reason: "A `net.Socket` of Deno fails a write under way with `EPIPE` when the other side's end comes in.",
    },
  },
  { feature: '`framed(socket)` over a Unix socket', run: () => converses('a Unix socket', talkFramed) },
  {
    feature: '`length-prefix/web`: `pipeThrough`, `decode` and `encode`',
    run: async () => {
      const bytes = Buffer.concat(wire());
      const messages = new Response(bytes).body!.pipeThrough(new LengthPrefixDecoderStream());
      const again = await new Response(messages.pipeThrough(new LengthPrefixEncoderStream())).arrayBuffer();
      const frames = Array.from(decode(again), (message) => encode(message));
      return Buffer.from(again).equals(bytes) && Buffer.concat(frames).equals(bytes);
    },
  },
];

/** Tries one of them on the present runtime. */
export async function probe({ feature, run, not }: Probe): Promise<Finding> {
  const expected = not === undefined || !not.runtimes.includes(runtime);
  try {
    return { feature, works: await run(), expected };
  } catch (error) {
    return { feature, works: false, expected, error: String(error) };
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const findings: Finding[] = [];
  for (const each of probes) findings.push(await probe(each));
  console.log(JSON.stringify(findings));
  // Whatever a stream that does not work has left open.
  process.exit();
}
