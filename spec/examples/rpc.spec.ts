import { once } from 'node:events';
import type { Socket } from 'node:net';
import { expect } from 'chai';
import { framed, json } from '../../lib/index.js';
import {
  breakOff,
  cleanUp,
  closed,
  connectTo,
  listen,
  Program,
  sized,
  startExample,
  throwGarbage,
} from '../support/programs.js';

describe('examples/rpc', () => {
  afterEach(cleanUp);

  const startRpc = () => startExample('rpc');

  const start = (port: number, ...calls: string[]) => new Program('rpc', [String(port), ...calls]);

  /** A server of the test's own. */
  async function listenTo(serve: (calls: any[], socket: Socket) => void, count: number): Promise<number> {
    return listen(async (socket) => {
      // It hangs up when the client does.
      const messages = framed(socket, { ...json, allowHalfOpen: false }).on('error', () => {});
      const calls: any[] = [];
      messages.on('data', (call) => calls.push(call) === count && serve(calls, socket));
    });
  }

  it('answers many calls at a time, each when it is done, with its result or its error', async () => {
    const { server, port } = await startRpc();
    const client = start(port, 'wait 400', 'add 1 2', 'nothing', 'wait 1', 'add 20 22');
    await client.succeeds();
    expect(client.lines.at(-1)).to.equal('wait 400: 400');
    const rest = ['add 1 2: 3', 'nothing: Error: There is no method nothing', 'wait 1: 1', 'add 20 22: 42'];
    expect(client.lines.slice(0, -1).sort()).to.deep.equal(rest.sort());
    expect(server.errors).to.deep.equal([]);
  });

  it('has all calls under way before the first answer, and takes answers in any order', async () => {
    const port = await listenTo((calls, socket) => {
      expect(calls.map(({ method, values }) => [method, ...values])).to.deep.equal([['a', 1], ['b', 2, 3], ['c']]);
      const answers = calls.reverse().map(({ id, method }) => ({ id, result: method.toUpperCase() }));
      const unknown = [
        { id: 99, result: 'of no call' },
        { ...answers[0], result: 'twice' },
      ];
      for (const answer of [...answers, ...unknown]) socket.write(sized(JSON.stringify(answer)));
    }, 3);
    const client = start(port, 'a 1', 'b 2 3', 'c');
    await client.succeeds();
    expect(client.lines).to.deep.equal(['c: C', 'b 2 3: B', 'a 1: A']);
  });

  const hangUps: [name: string, hangUp: (socket: Socket) => void, error: RegExp][] = [
    ['ends', (socket) => socket.end(), /^[ab]: Error: The server hung up$/],
    // Node takes a reset that it sees together with data for an end.
    ['resets', (socket) => socket.resetAndDestroy(), /^[ab]: Error: (read ECONNRESET|The server hung up)$/],
    ['sends garbage', (socket) => socket.write('HTTP/1.1 400 Bad Request\r\n'), /^[ab]: Error: Frame at byte 12: /],
    ['sends half an answer', (socket) => socket.end(sized('{}').subarray(0, 5)), /^[ab]: Error: .* ended after 5 of 6/],
  ];
  for (const [name, hangUp, error] of hangUps) {
    it(`calls under way fail when the server ${name}; answers before that count`, async () => {
      const port = await listenTo((calls, socket) => {
        socket.write(sized(JSON.stringify({ id: calls[1].id })), () => setImmediate(hangUp, socket));
      }, 3);
      const client = start(port, 'a', 'answered', 'b');
      await client.succeeds();
      expect(client.lines).to.have.lengthOf(3);
      expect(client.lines[0]).to.equal('answered: undefined');
      for (const line of client.lines.slice(1)) expect(line).to.match(error);
    });
  }

  it('calls fail where there is no server', async () => {
    const port = await listen(() => {});
    await cleanUp();
    const client = start(port, 'a', 'b');
    await client.succeeds();
    expect(client.lines).to.have.lengthOf(2);
    for (const line of client.lines) expect(line).to.match(/^[ab]: Error: connect ECONNREFUSED/);
  });

  it('a client that has no more calls gets its answers', async () => {
    const { server, port } = await startRpc();
    const messages = framed(await connectTo(port), json);
    messages.write({ id: 1, method: 'wait', values: [100] });
    messages.end({ id: 2, method: 'add', values: [1, 2] });
    expect(await messages.toArray()).to.deep.equal([
      { id: 2, result: 3 },
      { id: 1, result: 100 },
    ]);
    expect(server.errors).to.deep.equal([]);
  });

  it('a bad client ends its own connection, in one line, and no other', async () => {
    const { server, port } = await startRpc();
    const good = framed(await connectTo(port), json).on('error', () => {});
    await throwGarbage(port);
    const notJson = await connectTo(port);
    notJson.write(sized('{'));
    expect(await closed(notJson)).to.equal('ECONNRESET');
    // More than all buffers hold, to a client that takes the first of it.
    const calls = Array.from({ length: 200_000 }, (_, i) => sized(`{"id":${i}}`));
    await breakOff(port, Buffer.concat(calls));
    await server.line(/EPIPE|ECONNRESET/);
    expect(server.errors).to.have.lengthOf(5);

    // JSON that is no call is answered.
    for (const value of [5, 'text', [], { id: 7, method: 'add' }]) {
      good.write(value);
      const [answer] = await once(good, 'data');
      expect(answer.error).to.be.a('string');
    }
    good.write({ id: 8, method: 'add', values: [1, 1] });
    expect((await once(good, 'data'))[0]).to.deep.equal({ id: 8, result: 2 });
  });

  it('makes a client wait that does not read its answers', async () => {
    const { port } = await startRpc();
    const socket = await connectTo(port);
    const text = 'x'.repeat(1_000_000);
    // Each is answered with as much.
    const call = sized(JSON.stringify({ id: text, method: 'add', values: [1, 2] }));
    for (let i = 0; i < 300; i++) socket.write(call);
    const other = framed(await connectTo(port), json).on('error', () => {});
    for (let i = 0; i < 500; i++) {
      other.write({ id: i, method: 'add', values: [i, 1] });
      expect((await once(other, 'data'))[0]).to.deep.equal({ id: i, result: i + 1 });
    }
    expect(socket.writableLength).to.be.above(100 * call.length);
  });
});
