import { Buffer } from 'node:buffer';
import { on } from 'node:events';
import { addAbortSignal, type Duplex, PassThrough, Readable, Transform, Writable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { expect } from 'chai';
import { Command } from '../cli/command.js';
import { closed, closeLinks, framedStream, link, soon } from '../properties/links.js';
import { frame, frames, turns } from '../support/frames.js';
import { cleanUp, closed as connectionClosed, connectTo, listen, sized, startExample } from '../support/programs.js';
import { Wire } from '../support/wire.js';
import { closeAll, transports } from '../torture/connections.js';

/** A sink that keeps what it is given. */
function sinkOf(got: string[]): Writable {
  return new Writable({
    objectMode: true,
    write(message, _encoding, callback) {
      got.push(String(message));
      callback();
    },
  });
}

async function readInto(got: string[], messages: AsyncIterable<Buffer>): Promise<void> {
  for await (const message of messages) got.push(String(message));
}

const slowly = async function* (messages: AsyncIterable<Buffer>) {
  for await (const message of messages) {
    await turns(3);
    yield message;
  }
  await turns(3);
};

/** The messages of a stream, and its errors. */
function watched(messages: Duplex) {
  const errors: unknown[] = [];
  messages.on('error', (error) => errors.push(error));
  return { messages, errors };
}

type Use = (messages: Duplex, got: string[]) => Promise<unknown>;

/** Ways to read that hand the messages out. */
const readers: Record<string, Use> = {
  'pipeline() into a writable': (messages, got) => pipeline(messages, sinkOf(got)),
  'pipeline() into an async function': (messages, got) =>
    pipeline(messages, (source: AsyncIterable<Buffer>) => readInto(got, source)),
  'Readable.toWeb()': (messages, got) => readInto(got, Readable.toWeb(messages) as unknown as AsyncIterable<Buffer>),
  'pipe()': (messages, got) => finished(messages.pipe(sinkOf(got))),
  'for await': (messages, got) => readInto(got, messages),
  'toArray()': async (messages, got) => got.push(...(await messages.toArray()).map(String)),
  'map().forEach()': (messages, got) => messages.map(String).forEach((text) => void got.push(text)),
  'forEach()': (messages, got) => messages.forEach((message) => void got.push(String(message))),
  'events.on()': async (messages, got) => {
    for await (const [message] of on(messages, 'data', { close: ['end'] } as object)) got.push(String(message));
  },
  'iterator()': (messages, got) => readInto(got, messages.iterator()),
  'iterator({ destroyOnReturn: true })': (messages, got) => readInto(got, messages.iterator({ destroyOnReturn: true })),
  'iterator({ destroyOnReturn: false })': (messages, got) =>
    readInto(got, messages.iterator({ destroyOnReturn: false })),
  'a loop that was left, then resume()': async (messages, got) => {
    for await (const message of messages.iterator({ destroyOnReturn: false })) {
      got.push(String(message));
      break;
    }
    messages.on('data', (message) => got.push(String(message)));
    await new Promise((resolve) => messages.once('end', resolve));
  },
  "'readable'": async (messages, got) => {
    messages.on('readable', () => {
      for (let message = messages.read(); message !== null; message = messages.read()) got.push(String(message));
    });
    await new Promise((resolve) => messages.once('end', resolve));
  },
  "'data'": async (messages, got) => {
    messages.on('data', (message) => got.push(String(message)));
    await new Promise((resolve) => messages.once('end', resolve));
  },
};

/** Ways to watch only: the messages go by. */
const watchers: Record<string, (messages: Duplex) => Promise<unknown>> = {
  'resume()': async (messages) => {
    messages.resume();
    await new Promise((resolve) => messages.once('end', resolve));
  },
  'finished(), then resume()': (messages) => {
    const done = finished(messages);
    messages.resume();
    return done;
  },
  'resume(), then finished()': (messages) => {
    messages.resume();
    return finished(messages);
  },
  "on('finish') and resume()": (messages) => {
    const done = new Promise<void>((resolve) => messages.on('finish', resolve));
    messages.resume();
    return done;
  },
  'addAbortSignal() and resume()': async (messages) => {
    addAbortSignal(new AbortController().signal, messages);
    messages.resume();
    await new Promise((resolve) => messages.once('end', resolve));
  },
};

describe('regressions: framed', () => {
  afterEach(async () => {
    closeAll();
    await closeLinks();
  });

  describe("half open: a server's socket ends after the client's end", () => {
    for (const [name, read] of Object.entries(readers)) {
      it(`read by ${name}`, async () => {
        const { near, peer, gone } = await link();
        const got: string[] = [];
        const { messages, errors } = watched(framedStream(near));
        const done = read(messages, got);
        done.catch(() => {});
        peer.socket.end(frames('a', 'b', 'c'));
        expect(await soon(peer.over, 'the peer sees the end')).to.equal('end');
        await soon(done, 'the reader is done');
        expect(got).to.deep.equal(['a', 'b', 'c']);
        await soon(closed(near), "'close'");
        await soon(gone, 'the connection is gone');
        expect(errors).to.deep.equal([]);
      });
    }

    for (const [name, watch] of Object.entries(watchers)) {
      it(`watched by ${name}`, async () => {
        const { near, peer, gone } = await link();
        const { messages, errors } = watched(framedStream(near));
        const done = watch(messages);
        done.catch(() => {});
        peer.socket.end(frames('a', 'b', 'c'));
        expect(await soon(peer.over, 'the peer sees the end')).to.equal('end');
        await soon(done, 'it is told');
        await soon(closed(near), "'close'");
        await soon(gone, 'the connection is gone');
        expect(errors).to.deep.equal([]);
      });
    }
  });

  describe("half open: a server's socket sends all answers after the client's end", () => {
    const echoes: Record<string, (messages: Duplex) => unknown> = {
      'pipeline(framed(a), framed(a))': (messages) => pipeline(messages, messages),
      'pipeline() with a slow async generator': (messages) => pipeline(messages, slowly, messages),
      'for await with an await in its body': async (messages) => {
        for await (const message of messages) {
          await turns(3);
          messages.write(message);
        }
      },
      'iterator() with an await in its body': async (messages) => {
        for await (const message of messages.iterator()) {
          await turns(3);
          messages.write(message);
        }
      },
      'pipe() into itself through a slow Transform': (messages) =>
        messages
          .pipe(
            new Transform({
              objectMode: true,
              transform: (message, _encoding, callback) => void turns(3).then(() => callback(null, message)),
              flush: (callback) => void turns(3).then(() => callback()),
            }),
          )
          .pipe(messages),
      'a listener that answers at once': (messages) => messages.on('data', (message) => messages.write(message)),
    };
    for (const [name, echo] of Object.entries(echoes)) {
      it(name, async () => {
        const { near, peer } = await link();
        const { messages, errors } = watched(framedStream(near));
        const done = Promise.resolve(echo(messages));
        done.catch(() => {});
        const due = Array.from({ length: 20 }, (_, i) => `${i}`);
        peer.socket.end(frames(...due));
        expect(await soon(peer.over, 'the peer sees the end')).to.equal('end');
        expect(peer.texts).to.deep.equal(due);
        await soon(done, 'it is done');
        await soon(closed(near), "'close'");
        expect(errors).to.deep.equal([]);
      });
    }
  });

  it("closes where the socket is destroyed behind 'end', and end() called", async () => {
    const { near, peer } = await link({ allowHalfOpen: true });
    const messages = framedStream(near).on('error', () => {});
    messages.resume();
    peer.socket.end(frames('a'));
    await new Promise((resolve) => messages.once('end', resolve));
    near.destroy();
    messages.end();
    await soon(closed(messages), "'close'");
  });

  describe('messages that were written before the end are sent:', () => {
    for (const near of ['client', 'server'] as const) {
      it(`write('bye') and destroy() in one tick, of a ${near}`, async () => {
        const { near: socket, peer } = await link({ near });
        const messages = framedStream(socket);
        messages.write('bye');
        messages.destroy();
        expect(await soon(peer.over, 'the peer sees the end')).to.equal('end');
        expect(peer.texts).to.deep.equal(['bye']);
      });
    }

    it("write('bye') and leaving the loop in one tick", async () => {
      for (const leave of ['asyncIterator', 'iterator()']) {
        const { near, peer } = await link();
        const messages = framedStream(near);
        peer.socket.write(frames('hello'));
        for await (const _message of leave === 'iterator()' ? messages.iterator() : messages) {
          messages.write('bye');
          break;
        }
        expect(await soon(peer.over, 'the peer sees the end'), leave).to.equal('end');
        expect(peer.texts, leave).to.deep.equal(['bye']);
      }
    });

    it('by destroy(): given to the stream in the same call, whatever its backpressure, up to the first body', async () => {
      const wire = new Wire('node', { slow: true, highWaterMark: 1 });
      const given: Buffer[] = [];
      const { write } = wire.stream;
      wire.stream.write = (chunk: Buffer, callback: never) => {
        given.push(Buffer.from(chunk));
        return write.call(wire.stream, chunk, callback);
      };
      const messages = framedStream(wire.stream);
      messages.write('in hand');
      await turns(2);
      messages.write('a');
      messages.write(Buffer.alloc(20_000));
      messages.write('b');
      messages.write({ length: 4, body: new PassThrough() });
      messages.write('c');
      messages.destroy();
      const due = Buffer.concat([frames('in hand', 'a'), frame(Buffer.alloc(20_000)), frames('b')]);
      expect(Buffer.concat(given).equals(due)).to.equal(true);
      expect(wire.stream.destroyed).to.equal(true);
    });

    it('but not by destroy(error)', async () => {
      const wire = new Wire();
      const messages = framedStream(wire.stream).on('error', () => {});
      messages.write('a');
      messages.destroy(new Error('mine'));
      await turns(2);
      expect(wire.sent.length).to.equal(0);
    });
  });

  describe('a stream that decodes to strings', () => {
    it('is refused', () => {
      const stream = new PassThrough();
      stream.setEncoding('utf8');
      expect(() => framedStream(stream))
        .to.throw(TypeError)
        .with.property('code')
        .that.matches(/^ERR_INVALID_ARG_/);
      expect(() => framedStream({ readable: stream, writable: new PassThrough() })).to.throw(TypeError);
      expect(stream.eventNames()).to.not.include('data');
    });

    it('fails where it begins to later, with no wrong message', async () => {
      const wire = new Wire();
      const messages = framedStream(wire.stream);
      const got: string[] = [];
      messages.on('data', (message) => got.push(message.toString('hex')));
      const failure = new Promise((resolve) => messages.once('error', resolve));
      wire.stream.setEncoding('utf8');
      wire.receive(frame(Buffer.from([0xff, 0xfe])));
      expect(await soon(failure, "'error'")).to.be.instanceOf(Error);
      expect(got).to.deep.equal([]);
    });
  });

  describe('a failure reaches the peer as a reset', () => {
    const failures: Record<string, (messages: Duplex) => unknown> = {
      'destroy(error)': (messages) => messages.destroy(new Error('mine')),
      'a pipeline into a sink that fails': (messages) =>
        pipeline(
          messages,
          new Writable({ objectMode: true, write: (_message, _encoding, callback) => callback(new Error('mine')) }),
        ).catch(() => {}),
      'a pipeline with a generator that fails': (messages) =>
        pipeline(
          messages,
          // biome-ignore lint/correctness/useYield: it fails before
          async function* () {
            throw new Error('mine');
          },
          messages,
        ).catch(() => {}),
      'a write that is too long': (messages) => messages.write(Buffer.alloc(101)),
    };
    for (const near of ['server', 'client'] as const) {
      for (const [name, fail] of Object.entries(failures)) {
        it(`of a ${near}: ${name}`, async () => {
          const { near: socket, peer } = await link({ near });
          const messages = framedStream(socket, { maxPayloadLength: 100 }).on('error', () => {});
          // A peer under libuv that has bytes to read when the reset comes may take it for an end.
          messages.write('sent before');
          await soon(peer.until(15), 'what was sent before');
          peer.socket.write(frames('a'));
          await new Promise((resolve) => messages.once('readable', resolve));
          fail(messages);
          expect(await soon(peer.over, 'the peer is told')).to.equal('ECONNRESET');
        });
      }

      it(`of a ${near}: a signal`, async () => {
        const { near: socket, peer } = await link({ near });
        const abort = new AbortController();
        framedStream(socket, { signal: abort.signal }).on('error', () => {});
        abort.abort();
        expect(await soon(peer.over, 'the peer is told')).to.equal('ECONNRESET');
      });

      it(`of a ${near}: a message that is too long`, async () => {
        const { near: socket, peer } = await link({ near });
        framedStream(socket)
          .on('error', () => {})
          .resume();
        peer.socket.write(Buffer.alloc(4, 0xff));
        expect(await soon(peer.over, 'the peer is told')).to.equal('ECONNRESET');
      });
    }

    for (const name of ['TLS', 'a Unix socket']) {
      it(`over ${name}, which may know of none, the connection is closed, with the error`, async () => {
        const [client, server] = await transports[name]!();
        const messages = framedStream(server);
        const failure = new Promise((resolve) => messages.once('error', resolve));
        const peerCloses = closed(client.on('error', () => {}).resume());
        const error = new Error('mine');
        messages.destroy(error);
        expect(await soon(failure, "'error'")).to.equal(error);
        await soon(closed(server), "'close'");
        client.end();
        await soon(peerCloses, 'the peer is closed');
      });
    }

    it('by an echo', async () => {
      const { near, peer } = await link();
      const served = pipeline(framedStream(near), framedStream(near)).catch((error) => error.code);
      peer.socket.write(frames('a'));
      await soon(peer.until(5), 'the answer');
      peer.socket.write(Buffer.alloc(4, 0xff));
      expect(await soon(peer.over, 'the peer is told')).to.equal('ECONNRESET');
      expect(await soon(served, 'the pipeline is told')).to.equal('ERR_FRAME_TOO_LONG');
    });

    for (const failing of ['the client', 'the server']) {
      it(`through a proxy: a message of ${failing} that is too long, and its reset`, async () => {
        for (const how of ['too long', 'reset']) {
          const [front, back] = [await link(), await link({ near: 'client' })];
          const [a, b] = [framedStream(front.near), framedStream(back.near)];
          const proxied = pipeline(a, b, a).catch((error) => error.code);
          front.peer.socket.write(frames('question'));
          await soon(back.peer.until(12), 'the question');
          back.peer.socket.write(frames('answer'));
          await soon(front.peer.until(10), 'the answer');
          const [bad, good] = failing === 'the client' ? [front.peer, back.peer] : [back.peer, front.peer];
          if (how === 'reset') bad.socket.resetAndDestroy();
          else bad.socket.write(Buffer.alloc(4, 0xff));
          expect(await soon(good.over, 'the other one is told'), how).to.equal('ECONNRESET');
          if (how !== 'reset') expect(await soon(bad.over, 'it is told'), how).to.equal('ECONNRESET');
          expect(await soon(proxied, 'the pipeline is told'), how).to.be.a('string');
        }
      });
    }
  });

  describe('programs', () => {
    afterEach(cleanUp);

    it('examples/echo resets the connection of a client that sends a message which is too long', async () => {
      const { server, port } = await startExample('echo');
      const socket = await connectTo(port);
      socket.write(Buffer.alloc(4, 0xff));
      expect(await connectionClosed(socket)).to.equal('ECONNRESET');
      await server.line(/^Frame at byte 0: /);
    });

    it('examples/proxy resets both connections at a message that is too long', async () => {
      const accepted: Promise<string>[] = [];
      const target = await listen((socket) => {
        accepted.push(connectionClosed(socket));
        socket.write(sized('hello'));
      });
      const { port } = await startExample('proxy', {}, [String(target)]);
      const socket = await connectTo(port);
      // The proxy has its connection to the server then: one that is not there yet can't be reset.
      await new Promise((resolve) => socket.once('data', resolve));
      socket.write(Buffer.alloc(4, 0xff));
      expect(await connectionClosed(socket)).to.equal('ECONNRESET');
      expect(await accepted[0]).to.equal('ECONNRESET');
    });

    it("examples/proxy passes on the server's reset", async () => {
      const target = await listen((socket) => socket.once('data', () => socket.resetAndDestroy()));
      const { port } = await startExample('proxy', {}, [String(target)]);
      const socket = await connectTo(port);
      socket.write(sized('a'));
      expect(await connectionClosed(socket)).to.equal('ECONNRESET');
    });

    it('length-prefix connect fails where the server, behind a proxy, could not keep its message', async () => {
      const target = await listen((socket) => socket.once('data', () => socket.resetAndDestroy()));
      const { port } = await startExample('proxy', {}, [String(target)]);
      await new Command(['connect', String(port), 'package.json']).fails(/^length-prefix: /);
    });
  });
});
