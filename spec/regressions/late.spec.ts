import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { Duplex, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { runInNewContext } from 'node:vm';
import { expect } from 'chai';
import { framed, LengthPrefixDecoder, LengthPrefixEncoder } from '../../lib/index.js';
import { connections } from '../support/connections.js';
import { frame, frames, turns } from '../support/frames.js';

/** A chunk of memory of its own. */
const chunkOf = (...messages: string[]) => Buffer.from(new Uint8Array(frames(...messages)).buffer);

const giveAway = ({ buffer }: Uint8Array) => void structuredClone(buffer, { transfer: [buffer as ArrayBuffer] });

/** A stream that does not stop when it is told to. */
class Endless extends Duplex {
  override pause(): this {
    return this;
  }
  override _read(): void {}
  override _write(_chunk: unknown, _encoding: string, callback: () => void): void {
    callback();
  }
}

describe('regressions: calls and bytes that come too late:', () => {
  describe('a decoder that is detached inside a loop that comes to its end', () => {
    const loops: Record<string, (decoder: LengthPrefixDecoder, detach: () => void) => Promise<unknown>> = {
      async 'for await'(decoder, detach) {
        for await (const _ of decoder) detach();
      },
      toArray: (decoder, detach) => {
        decoder.once('data', detach);
        return decoder.toArray();
      },
      map: (decoder, detach) => decoder.map(detach).toArray(),
      pipeline: (decoder, detach) =>
        pipeline(decoder, async (messages) => {
          for await (const _ of messages) detach();
        }),
    };
    for (const [name, loop] of Object.entries(loops)) {
      it(`goes on with the raw bytes: ${name}`, async () => {
        const decoder = new LengthPrefixDecoder({ lengthField: 'uint8' });
        let raw: Readable | undefined;
        decoder.write('\x01A');
        await loop(decoder, () => {
          raw ??= decoder.detach();
        });
        decoder.end('raw bytes');
        expect(String(Buffer.concat(await raw!.toArray()))).to.equal('raw bytes');
      });
    }
  });

  describe('a socket that is destroyed when all was read', () => {
    const { open } = connections();

    it('is no error where nothing was to be written', async () => {
      const { socket, client } = await open();
      const messages = framed(socket);
      const seen: unknown[] = [];
      messages.on('data', (message) => seen.push(`${message}`)).on('error', ({ code }: any) => seen.push(code));
      messages.on('end', () => socket.destroy());
      client.end(frames('hello'));
      await once(messages, 'close');
      expect(seen).to.deep.equal(['hello']);
    });
  });

  it('an end, corked, behind a message that is refused: only that fails', async () => {
    for (const corked of ['before', 'inside'] as const) {
      const encoder = new LengthPrefixEncoder({ maxPayloadLength: 10 });
      const seen: unknown[] = [];
      encoder.on('error', ({ code }: NodeJS.ErrnoException) => seen.push(code)).resume();
      encoder.write(Buffer.alloc(11), (error) => {
        seen.push((error as NodeJS.ErrnoException).code);
        if (corked === 'inside') encoder.cork();
        encoder.end('bye');
      });
      if (corked === 'before') encoder.cork();
      await turns(4);
      expect(seen).to.deep.equal(['ERR_FRAME_TOO_LONG', 'ERR_FRAME_TOO_LONG']);
      expect(encoder.destroyed).to.equal(true);
    }
  });

  for (const how of ['null', 'detach()'] as const) {
    it(`bytes behind ${how}, of a stream that does not stop: they are in front of the raw ones, in order`, async () => {
      const stream = new Endless();
      const messages = framed(stream, { formatAfter: (message) => (`${message}` === 'raw' ? null : undefined) });
      const rest = Buffer.of(50, 0, 0, 0, 1, 2);
      stream.push(Buffer.concat([frames('a', how === 'null' ? 'raw' : 'b'), rest]));
      await turns(2);
      const detached = how === 'null' ? undefined : messages.detach<Duplex>();
      stream.push(Buffer.of(7, 7));
      expect((await messages.toArray()).map(String)).to.deep.equal(['a', how === 'null' ? 'raw' : 'b']);
      const raw = await (detached ?? messages.detach<Duplex>());
      const got: Buffer[] = [];
      raw.on('data', (chunk) => got.push(chunk));
      stream.push(Buffer.of(8));
      await turns(2);
      expect(Buffer.concat(got)).to.deep.equal(Buffer.concat([rest, Buffer.of(7, 7, 8)]));
    });
  }

  it("the memory of a chunk whose last message was handed out is nobody's: it may be given away", async () => {
    const decode = (bytes: Buffer, start: number, end: number) => {
      const text = bytes.toString('latin1', start, end);
      if (text === 'last') giveAway(bytes);
      return text;
    };
    for (const options of [{}, { decode }, { decode, batch: true }, { formatAfter: () => undefined }]) {
      for (const first of [['last'], ['a', 'last']]) {
        const decoder = new LengthPrefixDecoder(options as object);
        const got: string[] = [];
        decoder.on('data', (message: unknown) => {
          for (const each of Array.isArray(message) ? message : [message]) {
            got.push(`${each}`);
            if (`${each}` === 'last' && !('decode' in options)) giveAway(each as Buffer);
          }
        });
        decoder.write(chunkOf(...first));
        await turns(2);
        decoder.write(chunkOf('next'));
        // Cut anew: its first bytes wait for the others.
        for (const byte of chunkOf('cut')) decoder.write(Buffer.of(byte));
        decoder.end();
        await once(decoder, 'end');
        expect(got).to.deep.equal([...first, 'next', 'cut']);
      }
    }
  });

  it('the memory of a chunk with a message to come is not', async () => {
    const decoder = new LengthPrefixDecoder({ batch: true, decode: (bytes) => giveAway(bytes) ?? 1 });
    decoder.on('data', () => {});
    decoder.write(chunkOf('a', 'b'));
    expect((await once(decoder, 'error'))[0]).to.have.property('code', 'ERR_INVALID_STATE');
  });

  it('chunks that come behind destroy() are not parsed', async () => {
    const calls: string[] = [];
    const note = (what: string): number => calls.push(`${what}, ${messages.destroyed}`);
    const stream = new Duplex({ read() {} });
    const messages: Duplex = framed(stream, {
      oversize: 'skip',
      maxPayloadLength: 100,
      decode: (bytes, start, end) => note(`decode ${bytes.toString('latin1', start, end)}`),
      formatAfter: () => void note('formatAfter'),
    });
    messages.on('oversize', () => note('oversize')).on('data', () => messages.destroy());
    await turns(2);
    stream.pause();
    const bytes = frames('one', '0123\x02\0\0\0hi56789');
    stream.push(bytes.subarray(0, 15));
    stream.push(bytes.subarray(15));
    stream.resume();
    await turns(3);
    expect(calls).to.deep.equal(['decode one, false', 'formatAfter, false']);
  });

  for (const place of ['decode', 'formatAfter'] as const) {
    it(`a message in whose ${place} the stream is destroyed is not handed out`, async () => {
      for (const error of [undefined, new Error('on purpose')]) {
        for (const batch of [false, true]) {
          const look = (text: string): void => {
            if (text === '2') decoder.destroy(error);
          };
          const decoder: LengthPrefixDecoder<boolean, any, false> = new LengthPrefixDecoder<boolean, any, false>({
            batch,
            decode(bytes, start, end) {
              const text = bytes.toString('latin1', start, end);
              if (place === 'decode') look(text);
              return text;
            },
            formatAfter: (text: string) => {
              if (place === 'formatAfter') look(text);
              return undefined;
            },
          });
          const got: unknown[] = [];
          decoder.on('error', () => {}).on('data', (message) => got.push(message));
          await turns(1);
          decoder.write(frames('0', '1', '2', '3'));
          await turns(3);
          // A batch is handed out whole, or not at all.
          expect(got).to.deep.equal(batch ? [] : ['0', '1']);
        }
      }
    });
  }

  it('end(), then detach(): no listener of ours is left', async () => {
    const stream = new Duplex({ read() {}, write: (_chunk, _encoding, callback) => callback() });
    const before = stream.eventNames();
    const messages = framed(stream);
    messages.end('x');
    messages.resume();
    await turns(2);
    await messages.detach();
    expect(stream.eventNames()).to.deep.equal(before);
  });

  it('return() of a loop that is done leaves the stream open for an answer', async () => {
    const written: Buffer[] = [];
    const stream = new Duplex({
      read() {},
      write(chunk, _encoding, callback) {
        written.push(chunk);
        callback();
      },
    });
    const messages = framed(stream);
    stream.push(frames('a'));
    stream.push(null);
    const loop = messages[Symbol.asyncIterator]();
    expect([(await loop.next()).done, (await loop.next()).done]).to.deep.equal([false, true]);
    await loop.return!();
    await new Promise<void>((resolve, reject) => {
      messages.write('answer', (error) => (error ? reject(error) : resolve()));
    });
    expect(Buffer.concat(written)).to.deep.equal(frame('answer'));
  });

  it('return() of a loop that has not begun, and then next(), leaves the stream alone', async () => {
    const messages = framed(new Duplex({ read() {} }));
    const loop = messages[Symbol.asyncIterator]();
    const left = loop.return!();
    expect((await loop.next()).done).to.equal(true);
    await left;
    expect(messages.destroyed).to.equal(false);
  });

  it('a promise of another realm that decode or formatAfter returns is named, too', async () => {
    const promise = (): any => runInNewContext('Promise.reject(1)');
    for (const [options, said] of [
      [{ decode: promise }, /'decode' returned a promise/],
      [{ formatAfter: promise }, /'formatAfter' gave no format.*a promise/],
    ] as const) {
      const decoder = new LengthPrefixDecoder(options);
      decoder.on('data', () => {});
      decoder.write(frames('a'));
      expect((await once(decoder, 'error'))[0].message).to.match(said);
    }
  });
});
