import { Buffer } from 'node:buffer';
import { expect } from 'chai';
import { Transform } from 'readable-stream';
import { LengthPrefixDecoder } from '../../lib/index.js';
import { frame, payload, type SlowSink, settle, slowSink, turns } from '../support/frames.js';

const marks = Array.from({ length: 20 }, (_, i) => i + 1);

/** What a stream did: each piece that it handed out, and the most that it held at any moment. */
class Watch {
  readonly out: unknown[] = [];
  most = 0;
  readonly #stream: Transform;

  constructor(stream: Transform) {
    this.#stream = stream;
    const emit = stream.emit;
    stream.emit = (event: string | symbol, ...args: unknown[]): boolean => {
      if (event === 'data') this.out.push(args[0]);
      this.look();
      const answer = emit.call(stream, event as string, ...args);
      this.look();
      return answer;
    };
  }

  look(): void {
    this.most = Math.max(this.most, this.#stream.readableLength);
  }

  get messages(): string[] {
    return this.out.flat().map((message) => (message as Buffer).toString('latin1'));
  }

  settle(sinks: SlowSink[] = []): Promise<void> {
    return settle(() => {
      this.look();
      return [this.out.length, this.#stream.readableLength, sinks.map((sink) => sink.taken.length)];
    });
  }
}

/** `count` small messages, a few of them empty, in chunks of `perChunk`: the last one is cut over two chunks. */
function input(count: number, perChunk: number): { chunks: Buffer[]; messages: string[] } {
  const messages = Array.from({ length: count }, (_, i) => (i % 7 === 3 ? Buffer.alloc(0) : payload(i, 4 + (i % 9))));
  const chunks: Buffer[] = [];
  let open = Buffer.alloc(0);
  for (let at = 0; at < count; at += perChunk) {
    const bytes = Buffer.concat([open, ...messages.slice(at, at + perChunk).map((message) => frame(message))]);
    const whole = at + perChunk >= count;
    const cut = whole ? bytes.length : bytes.length - 3;
    chunks.push(bytes.subarray(0, cut));
    open = bytes.subarray(cut);
  }
  return { chunks, messages: messages.map((message) => message.toString('latin1')) };
}

type Stop = (decoder: Transform, watch: Watch) => { start?: () => void; resume: () => void; sinks?: SlowSink[] };

/** Each way to read, a few messages at first, and then to stop. */
const readers: Record<string, Stop> = {
  'nobody reads, then a listener': (decoder) => ({
    resume: () => void decoder.on('data', () => {}),
  }),
  'paused before anything comes': (decoder) => {
    decoder.on('data', () => {});
    decoder.pause();
    return { resume: () => void decoder.resume() };
  },
  'flowing, then paused by its listener': (decoder, watch) => {
    const listener = () => {
      if (watch.out.length === 3) decoder.pause();
    };
    decoder.on('data', listener);
    return { resume: () => void decoder.resume() };
  },
  'paused at every message': (decoder) => {
    let open = false;
    decoder.on('data', () => {
      if (!open) decoder.pause();
    });
    return {
      resume: () => {
        open = true;
        decoder.resume();
      },
    };
  },
  "'readable', two at a time, then none": (decoder) => {
    let rounds = 0;
    const listener = () => {
      if (rounds++ < 2) {
        decoder.read();
        decoder.read();
      }
    };
    decoder.on('readable', listener);
    return {
      resume: () => {
        decoder.off('readable', listener);
        const readAll = () => {
          while (decoder.read() !== null);
        };
        decoder.on('readable', readAll);
        readAll();
      },
    };
  },
  'read(0) again and again': (decoder, watch) => {
    decoder.on('readable', () => {
      decoder.read(0);
      watch.look();
    });
    for (let i = 0; i < 50; i++) decoder.read(0);
    return {
      resume: () => {
        decoder.removeAllListeners('readable');
        decoder.on('data', () => {});
        process.nextTick(() => decoder.resume());
      },
    };
  },
  'for await that stops in its third turn': (decoder) => {
    let go: () => void = () => {};
    const stopped = new Promise<void>((resolve) => {
      go = resolve;
    });
    void (async () => {
      let turn = 0;
      for await (const _message of decoder) {
        if (++turn === 3) await stopped;
      }
    })();
    return { resume: () => go() };
  },
};

for (const kind of ['node', 'userland'] as const) {
  for (const highWaterMark of [1, 3]) {
    readers[
      `piped to a Writable of ${kind === 'node' ? 'node:stream' : 'readable-stream'} (${highWaterMark}) that stalls`
    ] = (decoder) => {
      const sink = slowSink(kind, { highWaterMark, objectMode: true });
      decoder.pipe(sink.stream);
      return { start: () => sink.step(), resume: () => sink.open(), sinks: [sink] };
    };
  }
}

/**
 * The way DESIGN.md, section 6, warns of, and the first that comes to mind: what is left of the chunk is kept in
 * `_transform`, and `_read` goes on with it. Here to show that the cure in lib/ordered-transform.ts is one.
 */
class NaiveDecoder extends Transform {
  #rest = Buffer.alloc(0);
  #callback: (() => void) | undefined;

  constructor(readableHighWaterMark: number) {
    super({ readableObjectMode: true, readableHighWaterMark });
  }

  override _transform(chunk: Buffer, _encoding: string, callback: () => void): void {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    this.#callback = callback;
    this.#goOn();
  }

  #goOn(): void {
    while (this.#rest.length >= 4 && this.#rest.length >= 4 + this.#rest.readUInt32LE()) {
      const end = 4 + this.#rest.readUInt32LE();
      const message = this.#rest.subarray(4, end);
      this.#rest = this.#rest.subarray(end);
      if (!this.push(message)) return;
    }
    const callback = this.#callback;
    this.#callback = undefined;
    callback?.();
  }

  override _read(size: number): void {
    if (this.#callback !== undefined) this.#goOn();
    else super._read(size);
  }
}

/** The steps of the enumeration below. */
const steps: Record<string, (decoder: Transform, state: { at: number; sinks: SlowSink[] }) => unknown> = {
  'write 1': (decoder, state) => decoder.write(frame(`m${state.at++}`)),
  'write 3': (decoder, state) => decoder.write(Buffer.concat([1, 2, 3].map(() => frame(`m${state.at++}`)))),
  'write half': (decoder) => {
    const bytes = frame('cut');
    decoder.write(bytes.subarray(0, 3));
    decoder.write(bytes.subarray(3, 6));
    decoder.write(bytes.subarray(6));
  },
  'read()': (decoder) => decoder.read(),
  resume: (decoder) => decoder.resume(),
  pause: (decoder) => decoder.pause(),
  pipe: (decoder, state) => {
    const sink = slowSink('node', { highWaterMark: 1, objectMode: true });
    state.sinks.push(sink);
    decoder.pipe(sink.stream);
  },
  'unpipe or step': (decoder, state) => {
    if (!state.sinks.at(-1)?.step()) decoder.unpipe();
  },
  turn: () => turns(1),
};

/** Runs the steps, then lets a reader have all: how many of the messages written never come out. */
async function left(decoder: Transform, names: string[]): Promise<number> {
  const watch = new Watch(decoder);
  const state = { at: 0, sinks: [] as SlowSink[] };
  for (const name of names) await steps[name]!(decoder, state);
  for (const sink of state.sinks) sink.open();
  decoder.unpipe();
  decoder.write(frame('the last one'));
  decoder.on('data', () => {});
  decoder.resume();
  // Before the end, which is a cure for this hang and no help to who waits for an answer.
  await settle(() => watch.out.length, 5);
  const cut = names.filter((name) => name === 'write half').length;
  return state.at + cut + 1 - watch.out.length;
}

function sequences(length: number): string[][] {
  if (length === 0) return [[]];
  return sequences(length - 1).flatMap((head) => Object.keys(steps).map((name) => [...head, name]));
}

describe('torture: backpressure', function () {
  this.timeout(60_000);

  for (const [name, reader] of Object.entries(readers)) {
    it(`holds no more than readableHighWaterMark, 1 to 20: ${name}`, async () => {
      for (const readableHighWaterMark of marks) {
        for (const perChunk of [1, 3, 1000]) {
          for (const batch of [false, true]) {
            const decoder = new LengthPrefixDecoder({ readableHighWaterMark, batch, writableHighWaterMark: 1 << 20 });
            const watch = new Watch(decoder);
            const { start, resume, sinks } = reader(decoder, watch);
            const { chunks, messages } = input(3 * readableHighWaterMark + 40, perChunk);
            const what = `${readableHighWaterMark}, ${perChunk} in a chunk, batch: ${batch}`;
            for (const chunk of chunks) {
              decoder.write(chunk);
              watch.look();
              if (chunk === chunks[1]) await turns(2);
              start?.();
            }
            await watch.settle(sinks);
            expect(watch.most, what).to.be.at.most(readableHighWaterMark);
            // What it may hold it does, so the bound is no accident.
            if (!batch && watch.out.length < messages.length) {
              expect(decoder.readableLength, what).to.equal(readableHighWaterMark);
            }
            resume();
            decoder.end();
            await watch.settle(sinks);
            expect(watch.most, what).to.be.at.most(readableHighWaterMark);
            expect(watch.messages, what).to.deep.equal(messages);
            expect(decoder.readableEnded, what).to.equal(true);
          }
        }
      }
    });
  }

  it('with readableHighWaterMark 0 holds one message at the most, as any Transform does', async () => {
    const decoder = new LengthPrefixDecoder({ readableHighWaterMark: 0 });
    const watch = new Watch(decoder);
    const { chunks, messages } = input(50, 50);
    for (const chunk of chunks) decoder.write(chunk);
    decoder.end();
    await watch.settle();
    expect(watch.most).to.be.at.most(1);
    decoder.on('data', () => {});
    await watch.settle();
    expect(watch.messages).to.deep.equal(messages);
  });

  it('holds no more while messages that wait are read one by one, however slowly', async () => {
    for (const readableHighWaterMark of marks) {
      const decoder = new LengthPrefixDecoder({ readableHighWaterMark });
      const watch = new Watch(decoder);
      const { chunks, messages } = input(100, 9);
      for (const chunk of chunks) decoder.write(chunk);
      decoder.end();
      for (let i = 0; i < messages.length; i++) {
        if (i % 3 === 0) await turns(1);
        let message = decoder.read();
        // The chunk before is called back, and the next one taken, in a tick of its own.
        if (message === null) await turns(1);
        message ??= decoder.read();
        expect((message as Buffer).toString('latin1')).to.equal(messages[i]);
        watch.look();
      }
      expect(watch.most).to.equal(readableHighWaterMark);
    }
  });

  it('does not call back a chunk that is not used up: the writer stops as well', async () => {
    for (const readableHighWaterMark of marks) {
      const decoder = new LengthPrefixDecoder({ readableHighWaterMark });
      let called = 0;
      const chunk = Buffer.concat(Array.from({ length: readableHighWaterMark + 2 }, (_, i) => frame(`${i}`)));
      decoder.write(chunk, () => called++);
      decoder.write(chunk, () => called++);
      await settle(() => called);
      expect(called).to.equal(0);
      decoder.read();
      await settle(() => called);
      expect(called).to.equal(0);
      decoder.read();
      decoder.read();
      await settle(() => called);
      expect(called).to.equal(1);
    }
  });

  describe('the hang of nodejs/node issue 49938', () => {
    /** What comes out of a decoder that is written to, paused and resumed. */
    async function messagesOf(decoder: NaiveDecoder | LengthPrefixDecoder): Promise<string[]> {
      const watch = new Watch(decoder);
      decoder.write(frame('one'));
      decoder.write(frame('two'));
      decoder.write(frame('three'));
      decoder.on('data', () => {});
      decoder.pause();
      await turns(2);
      decoder.resume();
      await watch.settle();
      return watch.messages;
    }

    it('is there in a decoder that goes on in _read the naive way', async () => {
      expect(await messagesOf(new NaiveDecoder(1))).to.deep.equal(['one']);
    });

    it('is not there in LengthPrefixDecoder', async () => {
      const decoder = new LengthPrefixDecoder({ readableHighWaterMark: 1 });
      expect(await messagesOf(decoder)).to.deep.equal(['one', 'two', 'three']);
    });

    it('is in no sequence of four steps out of nine; the naive decoder hangs in many', async () => {
      let naive = 0;
      for (const names of sequences(4)) {
        for (const mark of [1, 2]) {
          const missing = await left(new LengthPrefixDecoder({ readableHighWaterMark: mark }), names);
          expect(missing, `messages that never came: ${mark}, ${names.join(', ')}`).to.equal(0);
        }
      }
      for (const names of sequences(2)) {
        if ((await left(new NaiveDecoder(1), names)) > 0) naive++;
      }
      expect(naive).to.be.greaterThan(10);
    });
  });

  it('piped to two sinks goes at the pace of the slower one', async () => {
    const decoder = new LengthPrefixDecoder({ readableHighWaterMark: 4 });
    const watch = new Watch(decoder);
    const fast = slowSink('node', { highWaterMark: 2, objectMode: true });
    const slow = slowSink('userland', { highWaterMark: 2, objectMode: true });
    decoder.pipe(fast.stream);
    decoder.pipe(slow.stream);
    fast.open();
    const { chunks, messages } = input(100, 100);
    for (const chunk of chunks) decoder.write(chunk);
    decoder.end();
    await watch.settle();
    expect(fast.taken).to.have.length(2);
    expect(watch.most).to.equal(4);
    for (let i = 0; i < messages.length; i++) {
      slow.step();
      await turns(1);
      expect(watch.most).to.equal(4);
      expect(fast.taken.length).to.be.at.most(i + 4);
    }
    slow.open();
    await watch.settle([slow, fast]);
    for (const sink of [fast, slow]) {
      expect(sink.taken.map((message) => (message as Buffer).toString('latin1'))).to.deep.equal(messages);
    }
  });
});
