import { once } from 'node:events';
import { expect } from 'chai';
import { framed, text } from '../../lib/index.js';
import {
  breakOff,
  cleanUp,
  closed,
  connecting,
  connectTo,
  sized,
  startExample,
  throwGarbage,
} from '../support/programs.js';

describe('examples/shutdown', () => {
  afterEach(cleanUp);

  const startShutdown = (deadline = '10000') => startExample('shutdown', {}, [deadline]);

  /** A client that the server knows: it has answered it. */
  async function client(port: number) {
    const socket = await connectTo(port);
    const messages = framed(socket, text).on('error', () => {});
    messages.write('0');
    expect((await once(messages, 'data'))[0]).to.equal('0 ms are over');
    return { socket, messages };
  }

  it('ends quiet connections at once, refuses new ones, and then stops', async () => {
    const { server, port } = await startShutdown();
    const clients = [await client(port), await client(port)];
    server.signal('SIGTERM');
    for (const { socket } of clients) expect(await closed(socket)).to.equal('end');
    await server.succeeds();
    expect(await closed(connecting(port))).to.equal('ECONNREFUSED');
  });

  it('answers all messages that it has read, and then ends the connection', async () => {
    const { server, port } = await startShutdown();
    const { messages } = await client(port);
    // In one chunk; more than a stream holds.
    const answers: string[] = [];
    messages.on('data', (answer) => answers.push(answer));
    for (let ms = 0; ms < 60; ms++) messages.write(String(ms));
    await once(messages, 'data');
    server.signal('SIGTERM');
    await once(messages, 'end');
    expect(answers).to.deep.equal(Array.from({ length: 60 }, (_, ms) => `${ms} ms are over`));
    messages.end();
    await server.succeeds();
  });

  it('takes no message any more that comes after it has ended the connection', async () => {
    const { server, port } = await startShutdown();
    const { messages, socket } = await client(port);
    socket.write(sized('half a message').subarray(0, 9));
    server.signal('SIGTERM');
    messages.resume();
    await once(messages, 'end');
    socket.write(sized('half a message').subarray(9));
    messages.end('100000');
    await server.succeeds();
  });

  it('breaks off at the deadline, and not before', async () => {
    const { server, port } = await startShutdown('1000');
    const [working, silent, quick] = [await client(port), await client(port), await client(port)];
    const answers: string[] = [];
    for (const { messages } of [working, silent, quick]) messages.on('data', (answer) => answers.push(answer));
    working.messages.write('3000');
    quick.messages.write('900');
    // Both are at work when a later message is answered.
    await client(port);
    server.signal('SIGTERM');
    // One is still at work, and one does not hang up.
    for (const { messages } of [silent, quick]) await once(messages, 'end');
    quick.messages.end();
    expect(await closed(working.socket)).to.equal('ECONNRESET');
    expect(answers).to.deep.equal(['900 ms are over']);
    expect(await server.ended).to.equal(0);
    expect(new Set(server.errors)).to.deep.equal(new Set(['Broken off at the deadline']));
  });

  it('a bad client ends its own connection, in one line, and no other', async () => {
    const { server, port } = await startShutdown();
    const { messages } = await client(port);
    await throwGarbage(port);
    const text = await connectTo(port);
    text.write(sized(Uint8Array.of(0xff)));
    expect(await closed(text)).to.equal('ECONNRESET');
    await server.line(/^Frame at byte /, 4);
    await breakOff(port, Buffer.concat(Array<Buffer>(50).fill(sized('5'))));
    await server.line(/EPIPE|ECONNRESET/);
    expect(server.errors).to.have.lengthOf(5);
    messages.write('1');
    expect((await once(messages, 'data'))[0]).to.equal('1 ms are over');
    server.signal('SIGTERM');
    messages.end();
    expect(await server.ended).to.equal(0);
  });
});
