import { once } from 'node:events';
import { connect } from 'node:net';
import { expect } from 'chai';
import { type Message, messagesOf, NOTHING } from '../../examples/gateway/protocol.js';
import { Sender } from '../../examples/gateway/sender.js';
import { cleanUp, listen } from '../support/programs.js';

type Messages = ReturnType<typeof messagesOf>;

/** A gateway that a test plays: what each connection does, one after the other. */
async function gateway(...plays: ((messages: Messages) => Promise<unknown>)[]): Promise<Sender> {
  const port = await listen((socket) => {
    const messages = messagesOf(socket);
    messages.on('error', () => {}).on('end', () => messages.end());
    plays
      .shift()?.(messages)
      .then(() => messages.resume());
  });
  return new Sender('anna', () => connect({ port, host: '127.0.0.1' }));
}

async function next(messages: Messages): Promise<[n: number, text: string]> {
  let message: Message | null = messages.read();
  while (message === null) {
    await once(messages, 'readable');
    message = messages.read();
  }
  return [message.n, Buffer.from(message.data).toString()];
}

const stored = (messages: Messages, n: number) => messages.write({ n, data: NOTHING });

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
    expect(seen).to.deep.equal([[0, 'anna'], [1, 'one'], two, three, [0, 'anna'], two, three]);
  });

  it('does not send again what was stored, where only the acknowledgement was lost', async () => {
    const sender = await gateway(
      async (messages) => {
        await next(messages);
        stored(messages, 0);
        await next(messages);
        messages.destroy(new Error('killed'));
      },
      async (messages) => {
        await next(messages);
        stored(messages, 1);
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
      await next(messages);
      stored(messages, 7);
      expect(await next(messages)).to.deep.equal([8, 'eight']);
      stored(messages, 8);
    });
    expect(await sender.send(Buffer.from('eight'))).to.equal(8);
    await sender.end();
  });

  it('keeps 64 messages, and no more', async () => {
    let peer: Messages | undefined;
    const sender = await gateway(async (messages) => {
      await next(messages);
      stored(messages, 0);
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
        await next(messages);
        stored(messages, 0);
        await next(messages);
        stored(messages, 2);
      },
      async (messages) => {
        await next(messages);
        stored(messages, 1);
      },
    );
    await sender.send(NOTHING);
    const [fault] = await once(sender, 'fault');
    expect(fault.message).to.equal('The gateway has stored message 2, and 1 was the last');
    await sender.end();
  });
});
