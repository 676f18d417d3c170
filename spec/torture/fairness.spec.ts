import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { expect } from 'chai';
import { type Framed, framed, LengthPrefixDecoder } from '../../lib/index.js';
import { LengthPrefixDecoderStream } from '../../lib/web/index.js';
import { MOST_IN_A_TURN } from '../../lib/wire/flow.js';
import { runtime } from '../support/runtime.js';

const COUNT = 3 * MOST_IN_A_TURN + 5;
/** Empty frames: the most messages that a chunk can have. */
const chunk = Buffer.alloc(4 * COUNT);
/** A reader may still have these when the stream rests. */
const READ_AHEAD = 16;

/** Counts messages, and the most of them in one turn of the event loop. */
class Turns {
  total = 0;
  most = 0;
  #now = 0;
  #turn: NodeJS.Immediate | undefined;

  add(count = 1): void {
    this.total += count;
    this.#now += count;
    this.most = Math.max(this.most, this.#now);
    this.#turn ??= setImmediate(() => {
      this.#turn = undefined;
      this.#now = 0;
    });
  }

  check(): void {
    expect(this.total).to.equal(COUNT);
    expect(this.most, 'messages in one turn').to.be.at.most(MOST_IN_A_TURN + READ_AHEAD);
  }
}

describe('torture: a flood of messages leaves others their turn', () => {
  const readers: Record<string, (decoder: LengthPrefixDecoder, turns: Turns) => Promise<unknown>> = {
    "'data'": (decoder, turns) =>
      once(
        decoder.on('data', () => turns.add()),
        'end',
      ),
    "'readable' and read()": (decoder, turns) => {
      decoder.on('readable', () => {
        while (decoder.read() !== null) turns.add();
      });
      return once(decoder, 'end');
    },
    'for await': async (decoder, turns) => {
      for await (const _ of decoder) turns.add();
    },
    forEach: (decoder, turns) =>
      decoder.forEach(() => {
        turns.add();
      }),
  };
  for (const [name, read] of Object.entries(readers)) {
    it(`in one chunk: ${name}`, async () => {
      const decoder = new LengthPrefixDecoder();
      const turns = new Turns();
      const reading = read(decoder, turns);
      decoder.end(chunk);
      await reading;
      turns.check();
    });
  }

  it('in many chunks that come in one turn', async () => {
    const decoder = new LengthPrefixDecoder();
    const turns = new Turns();
    decoder.on('data', () => turns.add());
    for (let at = 0; at < chunk.length; at += 1000) decoder.write(chunk.subarray(at, at + 1000));
    decoder.end();
    await once(decoder, 'end');
    turns.check();
  });

  it('in batches: the next one waits for another turn', async () => {
    const decoder = new LengthPrefixDecoder({ batch: true });
    const sizes: number[] = [];
    decoder.on('data', (batch) => sizes.push(batch.length));
    decoder.write(chunk);
    decoder.write(chunk);
    await new Promise((resolve) => process.nextTick(resolve));
    expect(sizes).to.deep.equal([COUNT]);
    await once(decoder, 'data');
    expect(sizes).to.deep.equal([COUNT, COUNT]);
  });

  it('as bodies', async () => {
    const decoder = new LengthPrefixDecoder({ stream: true });
    const turns = new Turns();
    decoder.on('data', () => turns.add());
    decoder.end(chunk);
    await once(decoder, 'end');
    turns.check();
  });

  it('of web streams', async () => {
    // More tasks of a MessageChannel than run in one turn: 9 in Bun, 129 in Deno.
    const tasks = runtime === 'deno' ? 200 : 20;
    const count = tasks * MOST_IN_A_TURN + 5;
    let [total, inTask, most] = [0, 0, 0];
    let before: number | undefined;
    const { MessageChannel } = globalThis;
    globalThis.MessageChannel = class extends MessageChannel {
      constructor() {
        super();
        this.port1.addEventListener('message', () => {
          inTask = 0;
        });
      }
    };
    try {
      const { readable, writable } = new LengthPrefixDecoderStream();
      const writer = writable.getWriter();
      const writing = writer.write(Buffer.alloc(4 * count)).then(() => writer.close());
      setImmediate(() => {
        before = total;
      });
      for await (const _ of readable) {
        total++;
        most = Math.max(most, ++inTask);
      }
      await writing;
    } finally {
      globalThis.MessageChannel = MessageChannel;
    }
    expect(total).to.equal(count);
    expect(most, 'messages in one task').to.be.at.most(MOST_IN_A_TURN + READ_AHEAD);
    expect(before, 'messages before the turn of others').to.be.below(count);
  });

  it('a listener that throws gets the other messages in later turns', async () => {
    const decoder = new LengthPrefixDecoder();
    let count = 0;
    decoder.on('data', () => {
      // Not in the turn of the write, whose caller gets the exception.
      if (++count === MOST_IN_A_TURN + 1) throw new Error('of the listener');
    });
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    const thrown = once(process, 'uncaughtException');
    try {
      decoder.end(chunk);
      const [error] = await thrown;
      expect(error).to.have.property('message', 'of the listener');
      await once(decoder, 'end');
    } finally {
      for (const listener of listeners) process.on('uncaughtException', listener);
    }
    expect(count).to.equal(COUNT);
  });

  it('is forgotten when the stream is destroyed', async () => {
    const decoder = new LengthPrefixDecoder();
    let count = 0;
    decoder.on('data', () => count++);
    decoder.write(chunk);
    await new Promise((resolve) => process.nextTick(resolve));
    decoder.destroy();
    await once(decoder, 'close');
    await new Promise((resolve) => setImmediate(resolve));
    expect(count).to.equal(MOST_IN_A_TURN);
  });

  it('a server answers an honest client among floods', async () => {
    const served: string[] = [];
    const server = createServer((socket) => {
      const messages: Framed = framed(socket);
      messages.on('data', (message) => {
        if (message.length === 0) served.push('flood');
        else messages.write(message);
      });
      messages.on('error', () => {});
    });
    await once(server.listen(0), 'listening');
    const { port } = server.address() as AddressInfo;
    const floods = Array.from({ length: 4 }, () => connect(port).on('error', () => {}));
    const honest = framed(connect(port));
    try {
      for (const flood of floods) {
        const write = (): void => {
          while (!flood.destroyed && flood.write(Buffer.alloc(262_144)));
        };
        flood.on('drain', write);
        write();
      }
      for (let i = 0; i < 10; i++) {
        const before = served.length;
        honest.write('ping');
        await once(honest, 'data');
        // It is there in one turn of the server's, and its answer is in another; a turn or two more may pass.
        expect(served.length - before, 'messages of others before the answer').to.be.below(6 * 4 * MOST_IN_A_TURN);
      }
    } finally {
      for (const flood of floods) flood.destroy();
      honest.destroy();
      server.close();
      await once(server, 'close');
    }
  });
});
