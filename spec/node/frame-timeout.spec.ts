import { Buffer } from 'node:buffer';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { setTimeout as later } from 'node:timers/promises';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { framed, LengthPrefixDecoder } from '../../lib/index.js';
import { LengthPrefixDecoderStream } from '../../lib/web/index.js';
import { frame, prefix } from '../support/frames.js';
import { codeArgs } from '../support/runtime.js';

const frameTimeout = 20;
const [a, b, c] = ['a', 'b', 'c'].map((letter) => frame(letter)) as [Buffer, Buffer, Buffer];

/** Ends at this error, which has come behind these messages. */
async function failure(messages: AsyncIterable<Buffer>): Promise<{ error: any; before: string }> {
  let before = '';
  try {
    for await (const message of messages) before += message;
  } catch (error) {
    return { error, before };
  }
  throw new Error(`no error came behind ${before}`);
}

describe('frameTimeout, the deadline of a frame:', () => {
  it('a decoder: the messages before come first, then the error', async () => {
    const decoder = new LengthPrefixDecoder({ frameTimeout });
    decoder.write(Buffer.concat([a, b, c.subarray(0, 2)]));
    const { error, before } = await failure(decoder);
    expect(before).to.equal('ab');
    expect(error).to.include({ name: 'FrameError', code: 'ERR_FRAME_TIMEOUT', position: 10 });
    expect(decoder.destroyed).to.equal(true);
  });

  it('a decoder that is piped to: its source is told, as of any fault', async () => {
    const source = new PassThrough();
    const decoder = source.pipe(new LengthPrefixDecoder({ frameTimeout }));
    const unpiped = once(decoder, 'unpipe');
    source.write(a.subarray(0, 3));
    const { error } = await failure(decoder);
    await unpiped;
    expect(error).to.have.property('code', 'ERR_FRAME_TIMEOUT');
  });

  it('framed: the peer gets a reset, and writes are told', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      framed(socket, { frameTimeout })
        .on('error', (error) => server.emit('failed', error))
        .resume();
    });
    await once(server.listen(0), 'listening');
    const client = connect((server.address() as AddressInfo).port);
    client.write(a.subarray(0, 4));
    const [[error], [reset]] = await Promise.all([once(server, 'failed'), once(client, 'error')]);
    expect(error).to.have.property('code', 'ERR_FRAME_TIMEOUT');
    expect(reset).to.have.property('code', 'ECONNRESET');
    server.close();
  });

  it('a connection that is quiet between two frames goes on', async () => {
    const decoder = new LengthPrefixDecoder({ frameTimeout });
    const reading = text(decoder);
    decoder.write(a);
    // A frame that is cut comes in time, then nothing for long.
    decoder.write(b.subarray(0, 1));
    decoder.write(b.subarray(1));
    await later(3 * frameTimeout);
    decoder.end(c);
    expect(await reading).to.equal('abc');
  });

  it('a reader that is slow is not the fault of the peer', async () => {
    const decoder = new LengthPrefixDecoder({ frameTimeout, readableHighWaterMark: 1 });
    decoder.write(Buffer.concat([a, b, c.subarray(0, 4)]));
    await later(3 * frameTimeout);
    expect(decoder.errored).to.equal(null);
    decoder.end(c.subarray(4));
    expect(await text(decoder)).to.equal('abc');
  });

  it('bytes that came while the event loop was blocked are in time', async () => {
    const server = createServer();
    await once(server.listen(0), 'listening');
    const accepted = once(server, 'connection');
    const client = connect((server.address() as AddressInfo).port);
    const [socket] = (await accepted) as [Socket];
    const messages = framed(socket, { frameTimeout });
    const reading = text(messages);
    try {
      client.write(a.subarray(0, 2));
      await new Promise((resolve) => socket.once('data', resolve));
      client.end(a.subarray(2));
      // Until the bytes are sent: they are not read in this turn.
      const end = performance.now() + 3 * frameTimeout;
      while (performance.now() < end);
      expect(await reading).to.equal('a');
    } finally {
      client.destroy();
      server.close();
    }
  });

  it('the reader of a body may take its time; the body and the decoder fail when the peer does', async () => {
    const decoder = new LengthPrefixDecoder({ frameTimeout, stream: true });
    const bodies = decoder.iterator();
    decoder.write(prefix(3 * 65_536));
    const { body } = (await bodies.next()).value!;
    for (let i = 0; i < 3; i++) decoder.write(Buffer.alloc(65_536));
    // Nobody has read of it until now.
    await later(3 * frameTimeout);
    expect(await buffer(body)).to.have.lengthOf(3 * 65_536);
    decoder.write(prefix(10));
    const { body: second } = (await bodies.next()).value!;
    const { error } = await failure(second);
    expect(error).to.have.property('code', 'ERR_FRAME_TIMEOUT');
    expect(decoder.errored).to.equal(error);
  });

  it('a body that gets a byte now and then fails', async () => {
    const decoder = new LengthPrefixDecoder({ frameTimeout: 50, stream: true });
    decoder.on('error', () => {});
    decoder.write(prefix(1000));
    const [{ body }] = await once(decoder, 'data');
    const drip = setInterval(() => decoder.write(Buffer.alloc(1)), 5);
    try {
      const { error } = await failure(body);
      expect(error).to.have.property('code', 'ERR_FRAME_TIMEOUT');
    } finally {
      clearInterval(drip);
    }
  });

  it('keeps no process alive', async () => {
    const lib = new URL('../../lib/index.js', import.meta.url).href;
    const code = `
      import { LengthPrefixDecoder } from '${lib}';
      new LengthPrefixDecoder({ frameTimeout: 600_000 }).resume().write(Uint8Array.of(1));
    `;
    await promisify(execFile)(process.execPath, codeArgs(code));
  });

  it('a web stream', async () => {
    const { readable, writable } = new LengthPrefixDecoderStream({ frameTimeout });
    const writer = writable.getWriter();
    writer.closed.catch(() => {});
    await writer.write(Buffer.concat([a, b.subarray(0, 3)]));
    const { error, before } = await failure(readable as unknown as AsyncIterable<Buffer>);
    expect(before).to.equal('97');
    expect(error).to.have.property('code', 'ERR_FRAME_TIMEOUT');
    const [late] = await Promise.allSettled([writer.write(c)]);
    expect(late).to.deep.include({ status: 'rejected', reason: error });
  });

  for (const [value, code] of [
    ['1s', 'ERR_INVALID_ARG_TYPE'],
    [-1, 'ERR_OUT_OF_RANGE'],
    [0.5, 'ERR_OUT_OF_RANGE'],
    [2 ** 31, 'ERR_OUT_OF_RANGE'],
  ] as const) {
    it(`refuses ${value}`, () => {
      expect(() => new LengthPrefixDecoder({ frameTimeout: value as number }))
        .to.throw()
        .with.property('code', code);
    });
  }
});
