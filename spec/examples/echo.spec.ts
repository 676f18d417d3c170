import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { expect } from 'chai';
import { framed } from '../../lib/index.js';
import { cleanUp, closed, connectTo, sized, startExample } from '../support/programs.js';

describe('examples/echo', () => {
  afterEach(cleanUp);

  const startEcho = () => startExample('echo');

  it('sends each message back, many and large ones, also to a client that has no more to send', async () => {
    const { server, port } = await startEcho();
    const socket = framed(await connectTo(port));
    const messages = [0, 1, 5_000_000, 11, 65_536, ...Array<number>(1000).fill(3)].map((size) => randomBytes(size));
    for (const message of messages) socket.write(message);
    socket.end();
    const answers = await socket.toArray();
    expect(answers).to.have.lengthOf(messages.length);
    expect(answers.every((answer, i) => answer.equals(messages[i]!))).to.equal(true);
    expect(server.errors).to.deep.equal([]);
  });

  it('sends a message back while it comes in', async () => {
    const { port } = await startEcho();
    const socket = await connectTo(port);
    const head = sized(Buffer.alloc(16_777_216)).subarray(0, 4);
    socket.write(head);
    socket.write('hello');
    let answer = '';
    while (answer.length < 9) answer += (await once(socket, 'data'))[0].toString('latin1');
    expect(answer).to.equal(`${head.toString('latin1')}hello`);
  });

  it('tells in one line of a bad client, and serves all others on', async () => {
    const { server, port } = await startEcho();
    const bad = await connectTo(port);
    bad.write('GET / HTTP/1.1\r\n\r\n');
    await closed(bad);
    await server.line(/^Frame at byte 0: .* look like HTTP$/);
    const cutOff = await connectTo(port);
    cutOff.end(sized('hello').subarray(0, 6));
    await closed(cutOff);
    await server.line(/^Frame at byte 0: .* 6 of 9 bytes/);
    const reset = framed(await connectTo(port));
    reset.write('x');
    for await (const answer of reset) {
      expect(`${answer}`).to.equal('x');
      break;
    }
    const good = framed(await connectTo(port));
    good.end('hello');
    expect((await good.toArray()).map(String)).to.deep.equal(['hello']);
    expect(server.lines).to.have.lengthOf(1);
  });
});
