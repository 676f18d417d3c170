import { once } from 'node:events';
import { connect } from 'node:net';
import { expect } from 'chai';
import { type Message, MOST_DATA, messagesOf, NOTHING } from '../../examples/gateway/protocol.js';
import { Sender } from '../../examples/gateway/sender.js';
import { cleanUp, listen } from '../support/programs.js';

type Messages = ReturnType<typeof messagesOf>;

type Play = (messages: Messages) => Promise<unknown>;

/** A gateway that a test plays: what each connection does, one after the other. */
const gateway = (...plays: Play[]): Promise<Sender> => impatient(undefined, ...plays);

async function impatient(patience: number | undefined, ...plays: Play[]): Promise<Sender> {
  const port = await listen((socket) => {
    const messages = messagesOf(socket);
    messages.on('error', () => {}).on('end', () => messages.end());
    plays
      .shift()?.(messages)
      .then(() => messages.resume());
  });
  return new Sender('anna', () => connect({ port, host: '127.0.0.1' }), patience);
}

async function next(messages: Messages): Promise<[n: number, text: string]> {
  let message: Message | null = messages.read();
  while (message === null) {
    await once(messages, 'readable');
    message = messages.read();
  }
  // A run is any 16 digits.
  return [
    message.n,
    Buffer.from(message.data)
      .toString()
      .replace(/:[0-9a-f]{16}/, ':run'),
  ];
}

const stored = (messages: Messages, n: number) => messages.write({ n, data: NOTHING });

/** Takes a message, and says that all up to this one are stored. */
async function answer(messages: Messages, n: number): Promise<void> {
  await next(messages);
  stored(messages, n);
}

describe('examples/gateway: a sender', () => {
  afterEach(cleanUp);

  it('sends what is not acknowledged again, with the same numbers, and nothing else', async () => {
    const seen: unknown[] = [];
    const sender = await gateway(
      async (messages) => {
        seen.push(await next(messages));
        stored(messages, 0);
        for (let i = 0; i < 3; i++) seen.push(await next(messages));
        stored(messages, 1);
        messages.end();
      },
      async (messages) => {
        seen.push(await next(messages));
        stored(messages, 1);
        for (let i = 0; i < 2; i++) seen.push(await next(messages));
        stored(messages, 3);
      },
    );
    for (const text of ['one', 'two', 'three']) await sender.send(Buffer.from(text));
    await sender.end();
    const [two, three] = [
      [2, 'two'],
      [3, 'three'],
    ];
    expect(seen).to.deep.equal([[0, 'anna:run'], [1, 'one'], two, three, [0, 'anna:run:1'], two, three]);
  });

  it('does not send again what was stored, where only the acknowledgement was lost', async () => {
    const sender = await gateway(
      async (messages) => {
        await answer(messages, 0);
        await next(messages);
        messages.destroy(new Error('killed'));
      },
      async (messages) => {
        await answer(messages, 1);
        expect(await next(messages)).to.deep.equal([2, 'two']);
        stored(messages, 2);
      },
    );
    await sender.send(Buffer.from('one'));
    await once(sender, 'fault');
    await sender.send(Buffer.from('two'));
    await sender.end();
    expect(sender.stored).to.equal(2);
  });

  it('goes on behind the last message of an earlier run', async () => {
    const sender = await gateway(async (messages) => {
      await answer(messages, 7);
      expect(await next(messages)).to.deep.equal([8, 'eight']);
      stored(messages, 8);
    });
    expect(await sender.send(Buffer.from('eight'))).to.equal(8);
    await sender.end();
  });

  it('keeps 64 messages, and no more', async () => {
    let peer: Messages | undefined;
    const sender = await gateway(async (messages) => {
      await answer(messages, 0);
      peer = messages;
    });
    for (let n = 1; n <= 64; n++) await sender.send(NOTHING);
    let isKept = false;
    const sixtyFifth = sender.send(NOTHING).then(() => {
      isKept = true;
    });
    // All of them have come: the sender would have sent the next one by then.
    for (let n = 1; n <= 64; n++) expect((await next(peer!))[0]).to.equal(n);
    expect(isKept).to.equal(false);
    stored(peer!, 1);
    await sixtyFifth;
    expect(await next(peer!)).to.deep.equal([65, '']);
    stored(peer!, 65);
    await sender.end();
  });

  it('does not believe that more is stored than it has sent', async () => {
    const sender = await gateway(
      async (messages) => {
        await answer(messages, 0);
        await answer(messages, 2);
      },
      async (messages) => {
        await answer(messages, 1);
      },
    );
    await sender.send(NOTHING);
    const [fault] = await once(sender, 'fault');
    expect(fault.message).to.equal('The gateway has stored message 2, and 1 was the last');
    await sender.end();
  });

  it('keeps messages in the order of the calls, also those that wait', async () => {
    const seen: unknown[] = [];
    const sender = await gateway(async (messages) => {
      await answer(messages, 0);
      for (let n = 1; n <= 200; n++) {
        seen.push((await next(messages))[1]);
        stored(messages, n);
      }
    });
    const texts = Array.from({ length: 200 }, (_, i) => `${i}`);
    let called = 0;
    const call = () => called < 200 && sender.send(Buffer.from(texts[called++]!));
    sender.on('stored', call);
    while (called < 150) call();
    while (sender.stored < 200) await once(sender, 'stored');
    await sender.end();
    expect(seen).to.deep.equal(texts);
  });

  it('rejects a message that is too large, and goes on', async () => {
    const sender = await gateway(async (messages) => {
      await answer(messages, 0);
      expect((await next(messages))[1]).to.have.lengthOf(MOST_DATA);
      stored(messages, 1);
    });
    const error = await sender.send(Buffer.alloc(MOST_DATA + 1)).catch((error) => error);
    expect(error).to.be.instanceOf(RangeError);
    expect(error.message).to.equal('16379 bytes are too many: at most 16378 are allowed');
    expect(await sender.send(Buffer.alloc(MOST_DATA))).to.equal(1);
    await sender.end();
  });

  it('stops when it is refused, and says why', async () => {
    const sender = await gateway(async (messages) => {
      await answer(messages, 0);
      await next(messages);
      messages.write({ n: 0, data: Buffer.from('Another has taken over') });
    });
    const faults: string[] = [];
    sender.on('fault', ({ message }) => faults.push(message));
    for (let n = 1; n <= 64; n++) await sender.send(NOTHING);
    const calls = [sender.send(NOTHING), sender.send(NOTHING), sender.end()];
    const results = (await Promise.allSettled(calls)) as PromiseRejectedResult[];
    expect(results.map(({ reason }) => reason.message)).to.deep.equal(Array(3).fill('Another has taken over'));
    expect((await sender.send(NOTHING).catch((error) => error)).message).to.equal('Another has taken over');
    expect(faults).to.deep.equal(['Another has taken over']);
  });

  it('takes an end for a fault, unless it has ended itself', async () => {
    const sender = await gateway(
      async (messages) => {
        await answer(messages, 0);
        messages.end();
      },
      async (messages) => {
        await answer(messages, 0);
      },
    );
    const faults: string[] = [];
    sender.on('fault', ({ message }) => faults.push(message));
    await once(sender, 'fault');
    await sender.end();
    expect(faults).to.deep.equal(['The gateway has ended the connection']);
  });

  it('ends while it connects, if nothing is waited for', async () => {
    const seen: unknown[] = [];
    const sender = await gateway(async (messages) => {
      seen.push(await next(messages));
    });
    await sender.end();
    expect(seen).to.have.lengthOf.at.most(1);
  });

  it('asks whether the gateway is there when it has nothing to send, and only then', async () => {
    const seen: unknown[] = [];
    const sender = await impatient(
      400,
      async (messages) => {
        await answer(messages, 0);
        for (let i = 0; i < 2; i++) {
          seen.push(await next(messages));
          stored(messages, 0);
        }
        // It is not answered the third time.
        await once(messages, 'end');
      },
      async (messages) => {
        seen.push(await next(messages));
        stored(messages, 0);
      },
    );
    const [fault] = await once(sender, 'fault');
    expect(fault.message).to.equal('Nothing was heard for 400 ms');
    while (seen.length < 3) await new Promise(setImmediate);
    await sender.end();
    expect(seen).to.deep.equal([
      [0, ''],
      [0, ''],
      [0, 'anna:run:0'],
    ]);
  });

  it('tells of messages that are lost, and goes on behind them', async () => {
    const sender = await gateway(
      async (messages) => {
        await answer(messages, 10);
        messages.end();
      },
      async (messages) => {
        expect(await next(messages)).to.deep.equal([0, 'anna:run:10']);
        stored(messages, 7);
        expect(await next(messages)).to.deep.equal([11, 'eleven']);
        stored(messages, 11);
      },
    );
    const faults: string[] = [];
    sender.on('fault', ({ message }) => faults.push(message));
    await once(sender, 'fault');
    expect(await sender.send(Buffer.from('eleven'))).to.equal(11);
    await sender.end();
    const lost = 'The stream has no messages 8 to 10 any more: they are lost, or were there for too long';
    expect(faults[1]).to.equal(lost);
  });
});
