import { Readable } from 'node:stream';
import { expect } from 'chai';
import * as userland from 'readable-stream';
import { type Body, buffers, type FormatOptions } from '../../lib/index.js';
import { BodyParts, bodyJob, sendBody } from '../../lib/wire/body.js';
import { formatOf } from '../../lib/wire/format.js';
import { compactSize } from '../support/fields.js';
import { fromHex, thrownBy } from '../support/streams.js';

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** The parts, to the end. */
async function all(parts: BodyParts): Promise<unknown[]> {
  const got: unknown[] = [];
  for (let part = await parts.next(); part.done !== true; part = await parts.next()) got.push(part.value);
  return got;
}

/** Bodies of 'a' and 'b' of all kinds that hold something, and how often each was let go of, with which reason. */
function held(): [string, Body, unknown[]][] {
  const made: [string, Body, unknown[]][] = [];
  for (const [name, kind] of [
    ['a node:stream', Readable],
    ['a readable-stream', userland.Readable as unknown as typeof Readable],
  ] as const) {
    const reasons: unknown[] = [];
    const letters = ['a', 'b', null];
    const stream = new kind({
      autoDestroy: false,
      read() {
        this.push(letters.shift()!);
      },
      destroy(error, callback) {
        reasons.push(error);
        callback(error);
      },
    });
    made.push([name, stream.setEncoding('utf8'), reasons]);
  }
  const cancelled: unknown[] = [];
  const letters = ['a', 'b'];
  const web = new ReadableStream<string>(
    {
      pull(controller) {
        const letter = letters.shift();
        if (letter === undefined) controller.close();
        else controller.enqueue(letter);
      },
      cancel: (reason) => void cancelled.push(reason),
    },
    { highWaterMark: 0 },
  );
  made.push(['a web stream', web as unknown as Body, cancelled]);
  const bareCancelled: unknown[] = [];
  const bare = {
    getReader: () => new ReadableStream({ start: (it) => it.enqueue('a') }).getReader(),
    cancel: async (reason: unknown) => void bareCancelled.push(reason),
  };
  made.push(['what has getReader and cancel', bare, bareCancelled]);
  for (const name of ['an iterator', 'an async iterator']) {
    const returned: unknown[] = [];
    const items = ['a', 'b'];
    const iterator = {
      next: () => ({ done: items.length === 0, value: items.shift() }),
      return: () => ({ done: true, value: returned.push(undefined) }),
      [Symbol.iterator]: () => iterator,
      [Symbol.asyncIterator]: name === 'an iterator' ? undefined : () => iterator,
    };
    made.push([name, iterator as unknown as Body, returned]);
  }
  return made;
}

describe('BodyParts', () => {
  it('gives the parts of a body of any kind', async () => {
    const bodies: [Body, unknown[]][] = [
      ['ab', ['ab']],
      [Buffer.from('ab'), [Buffer.from('ab')]],
      [
        ['a', 'b'],
        ['a', 'b'],
      ],
      [new Set(['a', 'b']), ['a', 'b']],
      [[Promise.resolve('a'), 'b'] as never, ['a', 'b']],
      [Readable.from(['a', 'b']), ['a', 'b']],
      [
        (async function* () {
          yield 'a';
          yield 'b';
        })(),
        ['a', 'b'],
      ],
    ];
    for (const [body, due] of bodies) expect(await all(new BodyParts(body))).to.deep.equal(due);
    for (const [name, body] of held()) {
      if (name === 'what has getReader and cancel') continue;
      expect(await all(new BodyParts(body)), name).to.deep.equal(['a', 'b']);
    }
  });

  it('asks for nothing by itself', async () => {
    let asked = 0;
    const parts = new BodyParts({
      [Symbol.iterator]() {
        asked++;
        return ['a'][Symbol.iterator]();
      },
    });
    await turn();
    expect(asked).to.equal(0);
    parts.destroy(undefined);
    expect(asked).to.equal(0);
  });

  it('destroy lets go of the body with the reason, before it was asked for a part and after', async () => {
    for (const before of [true, false]) {
      for (const reason of [new Error('reason'), undefined]) {
        for (const [name, body, reasons] of held()) {
          const parts = new BodyParts(body);
          if (!before) await parts.next();
          parts.destroy(reason);
          await turn();
          if (name === 'what has getReader and cancel' && !before) {
            // Its reader is cancelled.
            expect(reasons).to.deep.equal([]);
            continue;
          }
          expect(reasons, name).to.have.lengthOf(1);
          if (!name.includes('iterator')) expect(reasons[0] ?? undefined, name).to.equal(reason);
        }
      }
    }
  });

  it('destroy fits all that holds nothing, and what throws', async () => {
    function* reentrant(): Generator<string> {
      running.destroy(undefined);
      yield 'a';
    }
    const running: BodyParts = new BodyParts(reentrant());
    await running.next();
    for (const body of ['a', ['a'], new Uint8Array(1), null, undefined, 5]) {
      new BodyParts(body as Body).destroy(new Error('reason'));
    }
    const bad = {
      [Symbol.iterator]: () => {},
      return: () => {
        throw new Error('return');
      },
      cancel: () => Promise.reject(new Error('cancel')),
    };
    new BodyParts(bad as never).destroy(undefined);
    await turn();
  });

  it('release leaves a stream as it was', async () => {
    const stream = Readable.from(['a']);
    const parts = new BodyParts(stream);
    const [listener] = stream.listeners('error');
    expect(listener).to.be.a('function');
    await all(parts);
    expect(stream.listeners('error')).to.include(listener);
    parts.release();
    expect(stream.listeners('error')).not.to.include(listener);
    const web = new Response('a').body!;
    const webParts = new BodyParts(web as unknown as Body);
    await all(webParts);
    expect(web.locked).to.equal(true);
    webParts.release();
    expect(web.locked).to.equal(false);
  });

  it('a stream may fail before its turn: its reader is told then', async () => {
    const stream = new Readable({ read() {} });
    const parts = new BodyParts(stream);
    const failure = new Error('early');
    stream.destroy(failure);
    await turn();
    expect(await parts.next().catch((error) => error)).to.equal(failure);
  });
});

describe('bodyJob', () => {
  it('writes the head at once where it does not depend on the body', () => {
    const cases: [FormatOptions, number, string | undefined][] = [
      [{ lengthField: 'uint8' }, 5, '05'],
      [{ lengthField: 'varint' }, 300, 'ac02'],
      [{ lengthField: 'uint8', lengthFieldOffset: 1, header: fromHex('ca00') }, 1, 'ca01'],
      [{ lengthField: 'varint', initialBytesToStrip: 0 }, 5, undefined],
    ];
    for (const [options, length, head] of cases) {
      const job = bodyJob({ length, body: '' }, formatOf(options), 7, 'latin1');
      expect(job).to.include({ length, position: 7, encoding: 'latin1' });
      expect(job.head && Buffer.from(job.head).toString('hex')).to.equal(head);
    }
  });

  it('keeps a head of its own, where a length field writes in the same place each time', () => {
    const shared = new Uint8Array(1);
    const lengthField = {
      maxWidth: 1,
      read: () => undefined,
      write(length: number) {
        shared[0] = length;
        return shared;
      },
    };
    const format = formatOf({ lengthField });
    const [first, second] = [1, 2].map((length) => bodyJob({ length, body: '' }, format, 0));
    expect([first!.head![0], second!.head![0]]).to.deep.equal([1, 2]);
  });

  it('lets go of the body of a source that is wrong, or that the format can not carry', async () => {
    const cases: [FormatOptions, number, string][] = [
      [{}, -1, 'ERR_OUT_OF_RANGE'],
      [{}, 1.5, 'ERR_OUT_OF_RANGE'],
      [{}, '1' as never, 'ERR_INVALID_ARG_TYPE'],
      [{ maxPayloadLength: 4 }, 5, 'ERR_FRAME_TOO_LONG'],
      [{ lengthField: 'uint16be', initialBytesToStrip: 0 }, 1, 'ERR_FRAME_CORRUPT'],
      [{ lengthField: 'varint', initialBytesToStrip: 0 }, 0, 'ERR_FRAME_CORRUPT'],
    ];
    for (const [options, length, code] of cases) {
      for (const [name, body, reasons] of held()) {
        const error = thrownBy(() => bodyJob({ length, body }, formatOf(options), 3));
        expect(error).to.have.property('code', code);
        await turn();
        expect(reasons, `${name} ${code}`).to.have.lengthOf(1);
        if (!name.includes('iterator')) expect(reasons[0]).to.equal(error);
      }
    }
  });
});

describe('sendBody', () => {
  /** The chunks of a frame, each as it was sent. */
  async function sent(options: FormatOptions, length: number, body: Body, soon?: () => Promise<void>) {
    const groups: string[][] = [];
    const job = bodyJob({ length, body }, formatOf(options), 0);
    const headLength = await sendBody(
      job,
      buffers,
      async (pieces) => {
        groups.push(pieces.map((piece) => Buffer.from(piece).toString('hex')));
      },
      soon,
    );
    return { groups, headLength };
  }

  it('sends the head with the first bytes, then part by part', async () => {
    const { groups, headLength } = await sent({ lengthField: 'uint8' }, 4, ['', 'ab', '', 'c', 'd', '']);
    expect(groups).to.deep.equal([['04', '6162'], ['63'], ['64']]);
    expect(headLength).to.equal(1);
    expect(await sent({ lengthField: 'uint8' }, 0, ['', ''])).to.deep.equal({ groups: [['00']], headLength: 1 });
    expect(await sent({ lengthField: 'uint8' }, 0, [])).to.deep.equal({ groups: [['00']], headLength: 1 });
  });

  it('gathers the bytes of a length field that is kept', async () => {
    const kept = {
      lengthField: 'uint16be',
      lengthFieldOffset: 2,
      initialBytesToStrip: 1,
      header: fromHex('ca'),
    } as const;
    const { groups, headLength } = await sent(kept, 5, [fromHex('01'), '', fromHex('ee'), fromHex('ee61'), 'b']);
    expect(groups).to.deep.equal([['ca010002', '61'], ['62']]);
    expect(headLength).to.equal(1);
    const own = { lengthField: compactSize, initialBytesToStrip: 0 };
    const wide = await sent(own, 301, [fromHex('00'), Buffer.alloc(300)]);
    expect(wide.groups[0]![0]).to.equal('fd2c01');
    expect(wide.headLength).to.equal(2);
    expect((await sent(own, 4, [fromHex('fd'), fromHex('0100'), 'a'])).groups.flat().join('')).to.equal('fd010061');
  });

  it('does not send a head before its body is there, unless it is told not to wait', async () => {
    async function* late() {
      await turn();
      await turn();
      yield 'a';
    }
    expect((await sent({ lengthField: 'uint8' }, 1, late())).groups).to.deep.equal([['01', '61']]);
    expect((await sent({ lengthField: 'uint8' }, 1, late(), turn)).groups).to.deep.equal([['01'], ['61']]);
    expect((await sent({ lengthField: 'uint8' }, 1, 'a', turn)).groups).to.deep.equal([['01', '61']]);
  });

  it('asks for the next part when the one before is sent', async () => {
    let asked = 0;
    function* parts() {
      for (const letter of 'abc') {
        asked++;
        yield letter;
      }
    }
    const releases: (() => void)[] = [];
    const job = bodyJob({ length: 3, body: parts() }, formatOf({ lengthField: 'uint8' }), 0);
    const sending = sendBody(job, buffers, () => new Promise((resolve) => releases.push(resolve)));
    for (let i = 1; i <= 3; i++) {
      await turn();
      expect([asked, releases.length]).to.deep.equal([i, i]);
      releases[i - 1]!();
    }
    expect(await sending).to.equal(1);
  });

  it('fails for a body of another length, with what send fails with, and with what the body fails with', async () => {
    const failure = new Error('mine');
    function* failing() {
      yield 'a';
      throw failure;
    }
    const cases: [number, Body, object | string][] = [
      [2, ['a'], 'ERR_FRAME_TRUNCATED'],
      [1, [], 'ERR_FRAME_TRUNCATED'],
      [1, ['ab'], 'ERR_FRAME_TOO_LONG'],
      [1, ['a', 'b'], 'ERR_FRAME_TOO_LONG'],
      [0, ['a'], 'ERR_FRAME_TOO_LONG'],
      [2, ['a', 5 as never], 'ERR_INVALID_ARG_TYPE'],
      [2, failing(), failure],
    ];
    for (const [length, body, due] of cases) {
      const error = await sent({ lengthField: 'uint8' }, length, body).catch((thrown) => thrown);
      if (typeof due === 'string') expect(error).to.have.property('code', due);
      else expect(error).to.equal(due);
    }
    const job = bodyJob({ length: 1, body: 'a' }, formatOf({}), 0);
    expect(await sendBody(job, buffers, () => Promise.reject(failure)).catch((error) => error)).to.equal(failure);
  });

  it('lets go of a body that was sent to its end', async () => {
    const stream = Readable.from(['a']);
    const sending = sent({}, 1, stream);
    const [listener] = stream.listeners('error');
    await sending;
    expect(stream.listeners('error')).not.to.include(listener);
    const web = new Response('a').body!;
    await sent({}, 1, web as unknown as Body);
    expect(web.locked).to.equal(false);
  });
});
