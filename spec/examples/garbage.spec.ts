import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { framed } from '../../lib/index.js';
import { breakOff, cleanUp, closed, connectTo, sized, startServer, throwGarbage } from './programs.js';

const FAILURE = /ERR_FRAME|EPIPE|ECONNRESET/;

describe('examples that are servers outlive garbage, and clients that break off', () => {
  afterEach(cleanUp);

  /** Sends garbage, and more than buffers hold to where it is sent back to a client that does not read it. */
  async function mistreat(port: number): Promise<void> {
    await throwGarbage(port);
    await breakOff(port, Buffer.concat(Array<Buffer>(100).fill(sized(randomBytes(300_000)))));
    await throwGarbage(port);
  }

  async function expectEcho(port: number): Promise<void> {
    const socket = framed(await connectTo(port));
    socket.end('hello');
    expect((await socket.toArray()).map(String)).to.deep.equal(['hello']);
  }

  it('echo', async () => {
    const { server, port } = await startServer([], {}, 'echo');
    await mistreat(port);
    await expectEcho(port);
    await server.line(FAILURE, 7);
    expect(server.errors).to.have.lengthOf(7);
  });

  for (const name of ['proxy', 'tap'] as const) {
    it(name, async () => {
      const { port: target } = await startServer([], {}, 'echo');
      const { server, port } = await startServer(['--target-port', String(target)], {}, name);
      await mistreat(port);
      await expectEcho(port);
      // The tap says it among the messages.
      await server.line(FAILURE, 7);
      expect(server.errors).to.have.lengthOf(name === 'proxy' ? 7 : 0);
    });
  }

  it('server', async () => {
    const { server, port } = await startServer();
    await throwGarbage(port);
    await server.line(/ERR_FRAME/, 3);
    const good = await connectTo(port);
    good.end(sized('hello'));
    expect(await closed(good)).to.equal('end');
    await server.line('Data received. Size: 5');
    expect(server.errors).to.have.lengthOf(3);
  });
});
