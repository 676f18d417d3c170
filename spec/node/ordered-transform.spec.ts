import { expect } from 'chai';
import { LengthPrefixDecoder } from '../../lib/index.js';
import { encode, fromHex } from '../support/streams.js';

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** A decoder in the flow, and what it hands out. */
async function flowing() {
  const decoder = new LengthPrefixDecoder();
  const seen: string[] = [];
  decoder.on('data', (message) => seen.push(String(message)));
  await turn();
  return { decoder, seen };
}

describe('OrderedTransform', () => {
  const messages = Array.from({ length: 50 }, (_, i) => `message ${i}`);

  it('pushes once for each write to a reader in the flow', async () => {
    const { decoder, seen } = await flowing();
    let pushes = 0;
    const push = decoder.push;
    decoder.push = (...args) => {
      pushes++;
      return push.apply(decoder, args);
    };
    decoder.write(await encode(messages));
    expect(seen).to.deep.equal(messages);
    expect(pushes).to.equal(1);
  });

  it('loses nothing when a listener hands over to another in the next tick', async () => {
    const decoder = new LengthPrefixDecoder();
    const seen: string[] = [];
    const second = (message: Buffer) => seen.push(`second: ${message}`);
    const first = (message: Buffer) => {
      seen.push(`first: ${message}`);
      decoder.off('data', first);
      process.nextTick(() => decoder.on('data', second));
    };
    decoder.on('data', first);
    await turn();
    decoder.write(await encode(['a', 'b', 'c']));
    await turn();
    expect(seen).to.deep.equal(['first: a', 'second: b', 'second: c']);
  });

  it("keeps order when an 'oversize' listener reads", async () => {
    const decoder = new LengthPrefixDecoder({ oversize: 'skip', maxPayloadLength: 3, readableHighWaterMark: 2 });
    const seen: string[] = [];
    const take = () => {
      for (let message = decoder.read(); message !== null; message = decoder.read()) seen.push(String(message));
    };
    decoder.on('oversize', take);
    let called = 0;
    decoder.write(await encode(['a', 'long', 'b', 'long', 'long', 'c', 'd', 'long', 'e']), () => called++);
    for (let i = 0; i < 5; i++) {
      await turn();
      take();
    }
    expect(seen).to.deep.equal(['a', 'b', 'c', 'd', 'e']);
    expect(called).to.equal(1);
  });

  it("and a message that is cut behind what an 'oversize' listener reads", async () => {
    const decoder = new LengthPrefixDecoder({ oversize: 'skip', maxPayloadLength: 3 });
    decoder.on('oversize', () => decoder.read());
    const wire = await encode(['long', 'a', 'cut']);
    decoder.write(wire.subarray(0, -1));
    decoder.end(wire.subarray(-1));
    expect((await decoder.toArray()).map(String).at(-1)).to.equal('cut');
  });

  it('fails the write in hand with the error that it is destroyed with', async () => {
    const decoder = new LengthPrefixDecoder({ readableHighWaterMark: 1 });
    decoder.on('error', () => {});
    const written = new Promise<unknown>((resolve) => decoder.write(Buffer.alloc(12), resolve));
    const mine = new Error('mine');
    decoder.destroy(mine);
    expect(await written).to.equal(mine);
  });

  it('or with the fault that was to show when all is read', async () => {
    for (const mine of [undefined, new Error('mine')]) {
      const decoder = new LengthPrefixDecoder();
      decoder.on('error', () => {});
      const wire = fromHex('00 00 00 00 ff ff ff ff');
      const written = new Promise<unknown>((resolve) => decoder.write(wire, resolve));
      decoder.destroy(mine);
      if (mine === undefined) expect(await written).to.have.property('code', 'ERR_FRAME_TOO_LONG');
      else expect(await written).to.equal(mine);
    }
  });
});
