import { Duplex, PassThrough } from 'node:stream';
import { expect } from 'chai';
import fc from 'fast-check';
import * as userland from 'readable-stream';
import { encode, framed, LengthPrefixDecoder } from '../../lib/index.js';
import { Loops } from '../../lib/node/loops.js';
import { turns } from '../support/frames.js';
import { runs } from '../support/runs.js';
import { leavesLater } from '../support/runtime.js';

/** Two messages to read, from a stream of Node's. */
function plain(options: object): Duplex {
  const stream = new PassThrough({ objectMode: true, ...options });
  for (const message of ['a', 'b']) stream.write(message);
  return stream;
}

/** The same, framed. */
function ours(options: object): Duplex {
  const stream = new PassThrough();
  for (const message of ['a', 'b']) stream.write(encode(message));
  return framed(stream, options);
}

/** How a loop is left, and what becomes of its stream. */
async function left(stream: Duplex, after: number, how: 'return' | 'throw', destroyOnReturn: boolean) {
  stream.on('error', () => {});
  const loop = destroyOnReturn ? stream[Symbol.asyncIterator]() : stream.iterator({ destroyOnReturn });
  for (let i = 0; i < after; i++) {
    const next = loop.next();
    next.catch(() => {});
    // The third one waits for a message that never comes.
    if (i < 2) await next;
  }
  let settled: unknown = 'waits';
  const call = (loop as any)[how](new Error('left')) as Promise<IteratorResult<unknown>>;
  const isDestroyed = stream.destroyed;
  call.then(
    ({ done }) => {
      settled = done;
    },
    ({ message }) => {
      settled = message;
    },
  );
  await turns(3);
  return { isDestroyed, wasDestroyed: stream.destroyed, settled };
}

describe('a loop over the messages of framed', () => {
  for (const how of ['return', 'throw'] as const) {
    for (const [after, when] of ['has not begun', 'has a message', 'has a second one', 'waits'].entries()) {
      for (const destroyOnReturn of [true, false]) {
        for (const autoDestroy of [true, false]) {
          it(`${how}() when it ${when} does what Node's does: destroyOnReturn ${destroyOnReturn}, autoDestroy ${autoDestroy}`, async () => {
            const [theirs, mine] = [plain({ autoDestroy }), ours({ autoDestroy })];
            const expected = await left(theirs, after, how, destroyOnReturn);
            const { isDestroyed, ...later } = await left(mine, after, how, destroyOnReturn);
            expect(expected).to.deep.include(later);
            if (leavesLater) expect(isDestroyed).to.equal(expected.isDestroyed);
            for (const stream of [theirs, mine]) stream.destroy();
          });
        }
      }
    }
  }

  it('leaves a listener behind when it is done: an error of a later write is not an unhandled one', async () => {
    let fail: ((error: Error) => void) | undefined;
    const stream = new Duplex({
      read() {},
      write(_chunk, _encoding, callback) {
        fail = callback;
      },
    });
    stream.push(encode('a'));
    stream.push(null);
    const messages = framed(stream);
    for await (const message of messages) messages.write(message);
    const told = new Promise((resolve) => messages.write('later', resolve));
    await turns(1);
    fail!(new Error('the peer is gone'));
    expect(await told).to.have.property('message', 'the peer is gone');
    await turns(3);
    expect(messages.errored).to.have.property('message', 'the peer is gone');
  });

  it('leaves no more than one listener, however often it is asked on', async () => {
    const stream = new PassThrough();
    stream.end(encode('a'));
    const messages = framed(stream);
    const loop = messages[Symbol.asyncIterator]();
    await loop.next();
    await loop.next();
    await turns(1);
    const count = messages.listenerCount('error');
    for (let i = 0; i < 5; i++) await loop.next();
    expect(messages.listenerCount('error')).to.equal(count);
  });

  it('gives back the value that it is left with', async () => {
    for (const stream of [plain({}), ours({})]) {
      const loop = stream[Symbol.asyncIterator]() as AsyncIterator<unknown, unknown>;
      await loop.next();
      expect(await loop.return!(7)).to.deep.equal({ done: true, value: 7 });
    }
  });

  it('is open until it is done, left or thrown into', async () => {
    for (const leave of ['return', 'throw', 'next'] as const) {
      const stream = new PassThrough({ objectMode: true, autoDestroy: false });
      let closed = 0;
      const loops = new Loops(stream, () => closed++);
      expect(loops.areOpen).to.equal(false);
      const loop = loops.open(stream.iterator({ destroyOnReturn: false }), false);
      stream.end('a');
      await loop.next();
      expect([loops.areOpen, closed]).to.deep.equal([true, 0]);
      const over = (loop as any)[leave](new Error('left')) as Promise<IteratorResult<unknown>>;
      loops.watchLast();
      await over.catch(() => {});
      await turns(3);
      expect([loops.areOpen, closed], leave).to.deep.equal([false, 1]);
      await loop.return!();
      expect(closed).to.equal(1);
    }
  });
});

/** What may be done to a decoder, and to a loop over its messages, at a time. */
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('next' as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('write' as const), count: fc.nat(40) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('turn' as const) }) },
  fc.record({ do: fc.constantFrom('end', 'cut', 'destroy', 'fail', 'return', 'throw', 'read', 'burst') }),
);

/** Everything that a user sees of it. */
async function seen(steps: readonly { do: string; count?: number }[], own: boolean, throwsAt: number) {
  const decoder = new LengthPrefixDecoder({ decode: (bytes, start, end) => bytes.toString('latin1', start, end) });
  const events: string[] = [];
  decoder.on('error', ({ message }) => events.push(message)).on('close', () => events.push('close'));
  if (throwsAt > 0) {
    let count = 0;
    decoder.on('data', () => {
      if (++count === throwsAt) throw new Error('of a listener');
    });
    decoder.pause();
  }
  const node = userland.Readable.prototype as any;
  const loop: any = own ? decoder[Symbol.asyncIterator]() : node[Symbol.asyncIterator].call(decoder);
  let written = 0;
  let asked = 0;
  const note = (name: string, result: Promise<IteratorResult<unknown>>): void => {
    const call = `${name} ${asked++}`;
    result.then(
      ({ value, done }) => events.push(`${call}: ${done ? 'done' : value}`),
      ({ message }) => events.push(`${call}: ${message}`),
    );
  };
  for (const { do: what, count = 0 } of steps) {
    if (what === 'next') note('next', loop.next());
    else if (what === 'burst') for (let i = 0; i < 5; i++) note('next', loop.next());
    else if (what === 'write' && decoder.writable) {
      decoder.write(Buffer.concat(Array.from({ length: count }, () => encode(`${written++}`))), () => {});
    } else if (what === 'end') decoder.end();
    else if (what === 'cut') decoder.end(Buffer.of(7));
    else if (what === 'destroy') decoder.destroy();
    else if (what === 'fail') decoder.destroy(new Error('on purpose'));
    else if (what === 'return') note('return', loop.return());
    else if (what === 'throw') note('throw', loop.throw(new Error('into it')));
    else if (what === 'read') events.push(`read ${throwsAt > 0 ? '' : decoder.read()}`);
    else await turns(1);
  }
  await turns(3);
  const { destroyed, readableEnded, readableLength } = decoder;
  return { events, destroyed, readableEnded, readableLength, listeners: decoder.eventNames() };
}

describe('a loop over the messages of a decoder', () => {
  it("does the same as Node's iterator, whatever is done to both", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), fc.constantFrom(0, 0, 1, 3), async (steps, throwsAt) => {
        expect(await seen(steps, true, throwsAt)).to.deep.equal(await seen(steps, false, throwsAt));
      }),
      { numRuns: runs(400) },
    );
  });
});
