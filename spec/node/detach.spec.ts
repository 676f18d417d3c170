import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { Duplex, finished, PassThrough, Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { connect as connectTls, TLSSocket } from 'node:tls';
import { expect } from 'chai';
import { framed, LengthPrefixDecoder } from '../../lib/index.js';
import { LengthPrefixDecoderStream } from '../../lib/web/index.js';
import { connections, rejectionCode } from '../support/connections.js';
import { frame, prefix } from '../support/frames.js';
import { until } from '../support/streams.js';
import { cert, key } from '../torture/tls-fixture.js';

describe('detach() of framed', () => {
  const { open, track } = connections();

  it('STARTTLS: both ends go on in TLS, over the socket that was framed', async () => {
    const { socket, client } = await open();
    const serving = (async () => {
      const messages = framed(socket, until('STARTTLS'));
      for await (const message of messages) messages.write(`${message}: ok`);
      const raw = await messages.detach<Socket>();
      expect(raw).to.equal(socket);
      const secure = new TLSSocket(raw, { isServer: true, key, cert });
      track(secure);
      for await (const message of framed(secure)) {
        framed(secure).write(`secret ${message}`);
      }
    })();
    const messages = framed(client, until('STARTTLS: ok'));
    messages.write('hello');
    messages.write('STARTTLS');
    const answers: string[] = [];
    for await (const answer of messages) answers.push(`${answer}`);
    expect(answers).to.deep.equal(['hello: ok', 'STARTTLS: ok']);
    const secure = connectTls({ socket: await messages.detach<Socket>(), rejectUnauthorized: false });
    track(secure);
    await once(secure, 'secureConnect');
    const inTls = framed(secure);
    inTls.end('hello');
    const [answer] = await once(inTls, 'data');
    expect(`${answer}`).to.equal('secret hello');
    await serving;
  });

  it('with autoDestroy: false, settles when the last message is read and the last one sent', async () => {
    for (const last of ['read', 'sent'] as const) {
      let send = (): void => {};
      const stream = new Duplex({
        read() {},
        write(_chunk, _encoding, callback) {
          send = callback;
        },
      });
      const messages = framed(stream, { autoDestroy: false });
      messages.write('x');
      await new Promise(setImmediate);
      stream.push(Buffer.concat([frame('a'), frame('b'), frame('c').subarray(0, 2)]));
      await once(messages, 'readable');
      const detached = messages.detach();
      if (last === 'read') send();
      if (last === 'read') await once(messages, 'finish');
      expect((await messages.toArray()).map(String)).to.deep.equal(['a', 'b']);
      if (last === 'sent') send();
      expect(await detached).to.equal(stream);
      expect(stream.read()).to.deep.equal(frame('c').subarray(0, 2));
      expect(messages.destroyed).to.equal(true);
    }
  });

  it('plaintext in front of TLS is never taken for decrypted bytes (CVE-2021-23222)', async () => {
    const { socket, client } = await open();
    const messages = framed(client, until('ok'));
    // Somebody in the middle adds a message to the answer.
    socket.write(Buffer.concat([frame('ok'), frame('injected')]));
    for await (const _ of messages);
    const raw = await messages.detach<Socket>();
    const secure = connectTls({ socket: raw, rejectUnauthorized: false });
    track(secure);
    const inTls = framed(secure);
    const got: string[] = [];
    inTls.on('data', (message) => got.push(`${message}`));
    const [error] = await once(inTls, 'error');
    expect(error.code).to.match(/^(ERR_SSL|EPROTO|ECONNRESET)/);
    expect(got).to.deep.equal([]);
  });

  it('gives back the bytes of a frame that is not complete; the stream may be framed anew', async () => {
    const { socket, client } = await open();
    const { allowHalfOpen } = socket;
    const messages = framed(socket);
    const bytes = Buffer.concat([frame('a'), frame('bcd')]);
    client.write(bytes.subarray(0, -2));
    expect(`${(await once(messages, 'data'))[0]}`).to.equal('a');
    while (messages.pendingFrameBytes < 5) await new Promise(setImmediate);
    const raw = await messages.detach<Socket>();
    expect(raw).to.equal(socket);
    expect(raw.readableFlowing).to.equal(null);
    expect(raw.allowHalfOpen).to.equal(allowHalfOpen);
    const left = Object.fromEntries(['data', 'end', 'error', 'close'].map((name) => [name, raw.listenerCount(name)]));
    const { socket: other } = await open();
    expect(left).to.deep.equal(Object.fromEntries(Object.keys(left).map((name) => [name, other.listenerCount(name)])));
    expect(messages.closed).to.equal(true);
    client.end(bytes.subarray(-2));
    const again = framed(raw).on('error', () => {});
    expect(again).not.to.equal(messages as unknown);
    expect(`${(await once(again, 'data'))[0]}`).to.equal('bcd');
  });

  it('waits until parsed messages are read, and written ones are sent', async () => {
    const { socket, client } = await open();
    const messages = framed(socket);
    client.write(Buffer.concat([frame('a'), frame('b')]));
    await once(messages, 'readable');
    const received: Buffer[] = [];
    client.on('data', (chunk) => received.push(chunk as Buffer));
    messages.write(Buffer.alloc(100_000));
    const detaching = messages.detach<Socket>();
    let isDone = false;
    void detaching.then(() => {
      isDone = true;
    });
    await new Promise(setImmediate);
    expect(isDone).to.equal(false);
    expect(`${messages.read()}${messages.read()}`).to.equal('ab');
    expect(await detaching).to.equal(socket);
    expect(await messages.detach().catch((error) => error.code)).to.equal('ERR_STREAM_DESTROYED');
    while (Buffer.concat(received).length < 100_004) await once(client, 'data');
    socket.end('raw');
    await once(client, 'end');
    expect(Buffer.concat(received).subarray(-3).toString()).to.equal('raw');
  });

  it("a listener of the user's own gets the bytes that follow", async () => {
    const { socket, client } = await open();
    const messages = framed(socket, until('a'));
    client.write(Buffer.concat([frame('a'), Buffer.from('raw')]));
    for await (const _ of messages);
    const seen: string[] = [];
    const raw = (async () => {
      socket.on('data', (chunk) => seen.push(`${chunk}`));
      await messages.detach();
    })();
    await raw;
    while (seen.join('') !== 'raw') await new Promise(setImmediate);
    client.write(' more');
    while (seen.join('') !== 'raw more') await new Promise(setImmediate);
  });

  it('inside a body it is refused, and changes nothing', async () => {
    const { socket, client } = await open();
    const messages = framed(socket, { stream: true });
    messages.on('error', () => {}); // when the test is over
    client.write(prefix(3));
    const [{ body }] = await once(messages, 'data');
    expect(await rejectionCode(messages.detach())).to.equal('ERR_INVALID_STATE');
    client.write('abc');
    expect(`${await buffer(body)}`).to.equal('abc');
  });

  it('rejects when the stream fails, or is destroyed', async () => {
    const { socket, client } = await open();
    const messages = framed(socket);
    client.write(Buffer.concat([frame('a')]));
    await once(messages, 'readable');
    const detaching = rejectionCode(messages.detach());
    messages.destroy();
    expect(await detaching).to.equal('ERR_STREAM_DESTROYED');
    expect(await rejectionCode(messages.detach())).to.equal('ERR_STREAM_DESTROYED');
    const { socket: second } = await open();
    const others = framed(second);
    others.on('error', () => {});
    const closing = others.close();
    expect(await rejectionCode(others.detach())).to.equal('ERR_INVALID_STATE');
    second.destroy();
    await rejectionCode(closing);
  });

  it('behind a loop that was left: the error says so', async () => {
    const { socket, client } = await open();
    const messages = framed(socket);
    client.write(frame('a'));
    for await (const _ of messages) break;
    const error = await messages.detach().catch((reason) => reason);
    expect(error).to.have.property('code', 'ERR_STREAM_DESTROYED');
    expect(error.message).to.contain('leaving a for await loop destroys it');
  });

  for (const batch of [false, true]) {
    it(`gives back a frame whose fault waits behind messages that are not read: batch ${batch}`, async () => {
      for (const raw of ['GET / HTTP/1.1\r\n', `${prefix(10).toString('latin1')}half`]) {
        const { socket, client } = await open();
        const messages = framed(socket, { batch });
        client.end(Buffer.concat([frame('UPGRADE'), Buffer.from(raw, 'latin1')]));
        await once(messages, 'readable');
        await new Promise(setImmediate);
        const detached = messages.detach();
        const got: string[] = [];
        for await (const message of messages) got.push(`${message}`);
        expect(got).to.deep.equal(['UPGRADE']);
        expect((await buffer(await detached)).toString('latin1')).to.equal(raw);
      }
    });
  }

  it('gives back a frame that was not complete in time, while a message waits to be read', async () => {
    const { socket, client } = await open();
    const messages = framed(socket, { frameTimeout: 1 });
    client.write(Buffer.concat([frame('a'), Buffer.from('xyz')]));
    await once(messages, 'readable');
    // Its time is over when that of a later one is.
    const later = new LengthPrefixDecoder({ frameTimeout: 1 });
    later.resume().write('xyz');
    await once(later, 'error');
    const detached = messages.detach<Socket>();
    expect(`${messages.read()}`).to.equal('a');
    messages.resume();
    const raw = await detached;
    client.end('w');
    expect(`${await buffer(raw)}`).to.equal('xyzw');
  });

  it('may be called very often', async () => {
    const { socket, client } = await open();
    const messages = framed(socket);
    client.write(frame('a'));
    await once(messages, 'readable');
    const before = messages.listenerCount('end');
    const all = Array.from({ length: 12 }, () => messages.detach<Socket>());
    expect(messages.listenerCount('end')).to.equal(before + 1);
    messages.resume();
    expect(await Promise.all(all)).to.deep.equal(Array(12).fill(socket));
  });

  it('of a web stream that is being closed: the raw bytes end, and close() settles', async () => {
    for (const readsAll of [true, false]) {
      const stream = new LengthPrefixDecoderStream();
      const writer = stream.writable.getWriter();
      void writer.write(Buffer.concat([frame('a'), frame('b')]));
      void writer.write(frame('partial').subarray(0, 6));
      const closing = writer.close();
      await new Promise(setImmediate);
      const raw = stream.detach().getReader();
      // A message that was not asked for is raw as well.
      const rest: Uint8Array[] = [];
      if (readsAll) for (let read = await raw.read(); !read.done; read = await raw.read()) rest.push(read.value);
      else await raw.cancel();
      if (readsAll) expect(Buffer.concat(rest).subarray(-6)).to.deep.equal(frame('partial').subarray(0, 6));
      await closing;
      for await (const _ of stream.readable);
    }
  });

  it('of a decoder, or a web stream, that has ended: there are no bytes', async () => {
    const decoder = new LengthPrefixDecoder();
    decoder.end(frame('a'));
    for await (const _ of decoder);
    expect(await buffer(decoder.detach())).to.have.lengthOf(0);
    const stream = new LengthPrefixDecoderStream();
    const writer = stream.writable.getWriter();
    void writer.write(frame('a'));
    void writer.close();
    for await (const _ of stream.readable);
    expect((await stream.detach().getReader().read()).done).to.equal(true);
  });

  it('of a decoder: a pipeline into it stays whole', async () => {
    const source = new PassThrough();
    const decoder = new LengthPrefixDecoder(until('last'));
    const running = pipeline(source, decoder);
    source.write(Buffer.concat([frame('first'), frame('last'), Buffer.alloc(200_000, 'r')]));
    const got: string[] = [];
    for await (const message of decoder.iterator({ destroyOnReturn: false })) got.push(`${message}`);
    expect(got).to.deep.equal(['first', 'last']);
    const reading = buffer(decoder.detach());
    source.end('the end');
    const raw = await reading;
    expect(raw).to.have.lengthOf(200_007);
    expect(raw.subarray(-7).toString()).to.equal('the end');
    await running;
  });

  it('of a decoder: a loop that comes to its end leaves the raw bytes', async () => {
    for (const loop of [
      (decoder: LengthPrefixDecoder) => decoder,
      (decoder: LengthPrefixDecoder) => decoder.iterator(),
    ]) {
      const decoder = new LengthPrefixDecoder(until('a'));
      decoder.write(Buffer.concat([frame('a'), Buffer.from('raw')]));
      for await (const message of loop(decoder)) expect(`${message}`).to.equal('a');
      const reading = buffer(decoder.detach());
      decoder.end(' more');
      expect(`${await reading}`).to.equal('raw more');
    }
  });

  it("of a decoder: an error is the raw stream's only when somebody has it", async () => {
    const decoder = new LengthPrefixDecoder(until('a'));
    decoder.resume().write(frame('a'));
    await once(decoder, 'end');
    const failed = once(decoder, 'error');
    decoder.destroy(new Error('reset'));
    expect((await failed)[0]).to.have.property('message', 'reset');
  });

  it('of a web stream that is cancelled in the turn in which framing ends', async () => {
    const { readable, writable } = new LengthPrefixDecoderStream({ formatAfter: () => null });
    await new Promise(setImmediate);
    const writer = writable.getWriter();
    writer.closed.catch(() => {});
    writer.write(Uint8Array.of(0, 0, 0, 0)).catch(() => {});
    await readable.cancel();
  });

  it('a stream whose framing has ended is not left open', async () => {
    const { socket, client } = await open();
    const messages = framed(socket, until('a'));
    client.resume().on('error', () => {});
    client.write(Buffer.concat([frame('a'), Buffer.from('raw')]));
    for await (const _ of messages);
    messages.end();
    await once(socket, 'close');
  });

  it('of a decoder: its raw bytes wait for their reader, and fail with it', async () => {
    const decoder = new LengthPrefixDecoder();
    decoder.resume();
    const raw = decoder.detach();
    let written = 0;
    const write = (): void => {
      while (decoder.write(Buffer.alloc(65_536), () => written++) && written < 100);
    };
    write();
    await new Promise(setImmediate);
    expect(written).to.be.below(4);
    const failed = once(raw, 'error');
    decoder.on('error', () => {}).destroy(new Error('of the decoder'));
    expect((await failed)[0]).to.have.property('message', 'of the decoder');
    expect(() => new LengthPrefixDecoder().destroy().detach())
      .to.throw()
      .with.property('code', 'ERR_STREAM_DESTROYED');
  });

  it('of a web stream: written bytes are read unchanged; an abort shows', async () => {
    const stream = new LengthPrefixDecoderStream();
    const writer = stream.writable.getWriter();
    void writer.write(frame('abc').subarray(0, 5)).catch(() => {});
    await new Promise(setImmediate);
    const raw = stream.detach().getReader();
    expect(Buffer.from((await raw.read()).value!)).to.deep.equal(frame('abc').subarray(0, 5));
    expect((await stream.readable.getReader().read()).done).to.equal(true);
    const reason = new Error('aborted');
    void raw.closed.catch(() => {});
    await writer.abort(reason);
    expect(await raw.read().catch((error) => error)).to.equal(reason);
  });

  it('of a web stream: written chunks are checked, and bytes of any kind are read as Uint8Arrays', async () => {
    const stream = new LengthPrefixDecoderStream();
    const raw = stream.detach().getReader();
    const writer = stream.writable.getWriter();
    writer.write(Uint8Array.of(1, 2).buffer).catch(() => {});
    expect(await raw.read()).to.deep.equal({ done: false, value: Uint8Array.of(1, 2) });
    const written = writer.write('text' as any).catch((error) => error);
    const read = await raw.read().catch((error) => error);
    expect(read).to.have.property('code', 'ERR_INVALID_ARG_TYPE');
    expect(await written).to.equal(read);
    writer.closed.catch(() => {});
    raw.closed.catch(() => {});
  });

  it('of a web stream that was cancelled behind the end of framing: the raw bytes fail with it', async () => {
    const stream = new LengthPrefixDecoderStream({ formatAfter: () => null });
    const writer = stream.writable.getWriter();
    writer.closed.catch(() => {});
    writer.write(Buffer.concat([frame('a'), Buffer.from('raw')])).catch(() => {});
    await new Promise(setImmediate);
    const reason = new Error('not wanted');
    await stream.readable.cancel(reason);
    const raw = stream.detach().getReader();
    expect(await raw.read().catch((error) => error)).to.equal(reason);
    raw.closed.catch(() => {});
  });

  it('of a decoder: its raw bytes come at the pace of their reader, and all of them', async () => {
    const decoder = new LengthPrefixDecoder();
    const raw = decoder.resume().detach();
    const chunks = Array.from({ length: 20 }, (_, i) => Buffer.alloc(65_536, i));
    const writing = (async () => {
      for (const chunk of chunks) await new Promise((resolve) => decoder.write(chunk, resolve));
      decoder.end();
    })();
    const got: Buffer[] = [];
    for await (const chunk of raw) got.push(chunk);
    await writing;
    expect(Buffer.concat(got).equals(Buffer.concat(chunks))).to.equal(true);
  });

  for (const error of [undefined, new Error('not wanted')]) {
    it(`of a decoder: destroyed with its raw bytes, ${error ? 'with their error' : 'without an error'}`, async () => {
      const decoder = new LengthPrefixDecoder();
      const raw = decoder.resume().detach();
      const failures: unknown[] = [];
      for (const stream of [raw, decoder]) stream.on('error', (failure) => failures.push(failure));
      const written = new Promise((resolve) => decoder.write(Buffer.alloc(200_000), resolve));
      await new Promise(setImmediate);
      raw.destroy(error);
      await written;
      await new Promise<unknown>((resolve) => finished(decoder as unknown as Readable, resolve));
      await new Promise(setImmediate);
      expect(decoder.destroyed).to.equal(true);
      expect(failures).to.deep.equal(error ? [error, error] : []);
    });
  }

  it('of a decoder: raw bytes that were read to their end take nothing with them', async () => {
    const decoder = new LengthPrefixDecoder({ emitClose: false, autoDestroy: false });
    const raw = decoder.resume().detach();
    decoder.end('raw');
    expect(`${await buffer(raw)}`).to.equal('raw');
    raw.destroy();
    expect(decoder.destroyed).to.equal(false);
  });

  it("of a decoder: an error is nobody else's when somebody has the raw bytes", async () => {
    const raw = new LengthPrefixDecoder()
      .on('error', () => {})
      .resume()
      .detach();
    expect(raw.listenerCount('error')).to.equal(0);
  });

  it('of a web stream: cancelled with its raw bytes', async () => {
    const stream = new LengthPrefixDecoderStream();
    const writer = stream.writable.getWriter();
    const raw = stream.detach();
    const written = writer.write(Buffer.from('raw'));
    await new Promise(setImmediate);
    const reason = new Error('not wanted');
    await raw.cancel(reason);
    await written;
    expect(await writer.closed.catch((error) => error)).to.equal(reason);
  });

  it('of a web stream: a write is done when its raw bytes are wanted', async () => {
    const stream = new LengthPrefixDecoderStream();
    const writer = stream.writable.getWriter();
    const raw = stream.detach().getReader();
    const done: string[] = [];
    for (const text of ['a', 'b']) void writer.write(Buffer.from(text)).then(() => done.push(text));
    await new Promise(setImmediate);
    expect(done).to.deep.equal([]);
    await raw.read();
    expect(done).to.deep.equal([]);
    await raw.read();
    expect(done).to.deep.equal(['a']);
  });

  it('a web stream that decode cancels hands out nothing more', async () => {
    const stream = new LengthPrefixDecoderStream({
      decode: (_bytes: Uint8Array) => {
        void stream.readable.cancel();
        return 1;
      },
    }) as LengthPrefixDecoderStream<false, number>;
    await new Promise(setImmediate);
    const writer = stream.writable.getWriter();
    const failed = writer.closed.catch((error) => error);
    // The cancel had no reason.
    expect(await writer.write(frame('a')).catch((error) => error)).to.equal(undefined);
    expect(await failed).to.equal(undefined);
  });

  it('of a decoder that ends its writable side with the readable one: not behind the end of framing', async () => {
    const decoder = new LengthPrefixDecoder({ ...until('a'), allowHalfOpen: false });
    decoder.resume().write(frame('a'));
    await once(decoder, 'end');
    const reading = buffer(decoder.detach());
    await new Promise(setImmediate);
    decoder.end('raw');
    expect(`${await reading}`).to.equal('raw');
  });

  for (const place of ['decode', 'formatAfter'] as const) {
    it(`inside ${place} it is refused, and changes nothing`, async () => {
      for (const size of [1, 1000]) {
        for (const stream of [LengthPrefixDecoder, LengthPrefixDecoderStream]) {
          const errors: unknown[] = [];
          const detach = (bytes: Uint8Array, start: number, end: number) => {
            try {
              decoder.detach();
            } catch (error) {
              errors.push((error as { code: string }).code);
            }
            return place === 'decode' ? bytes.slice(start, end) : undefined;
          };
          const decoder = new stream({ [place]: detach }) as LengthPrefixDecoder;
          const bytes = Buffer.concat([frame('a'), frame('b')]);
          const chunks = size === 1 ? [...bytes].map((byte) => Buffer.of(byte)) : [bytes];
          const got: string[] = [];
          const web = stream === LengthPrefixDecoderStream ? (decoder as any) : undefined;
          const messages: AsyncIterable<Uint8Array> = web
            ? ReadableStream.from(chunks).pipeThrough(web)
            : Readable.from(chunks).pipe(decoder);
          for await (const message of messages) got.push(Buffer.from(message).toString());
          expect(got).to.deep.equal(['a', 'b']);
          expect(errors).to.deep.equal(['ERR_INVALID_STATE', 'ERR_INVALID_STATE']);
        }
      }
    });
  }
});
