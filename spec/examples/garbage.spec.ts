import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { framed } from '../../lib/index.js';
import { received, startListen, startTap } from '../cli/command.js';
import { breakOff, cleanUp, closed, connectTo, sized, startExample, throwGarbage } from '../support/programs.js';

const FAILURE = /Frame at byte|EPIPE|ECONNRESET/;

describe('servers outlive garbage, and clients that break off', () => {
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
    const { server, port } = await startExample('echo');
    await mistreat(port);
    await expectEcho(port);
    await server.line(FAILURE, 7);
    expect(server.errors).to.have.lengthOf(7);
  });

  it('proxy', async () => {
    const { port: target } = await startExample('echo');
    const { server, port } = await startExample('proxy', {}, [String(target)]);
    await mistreat(port);
    await expectEcho(port);
    await server.line(FAILURE, 7);
    expect(server.errors).to.have.lengthOf(7);
  });

  it('length-prefix listen --echo', async () => {
    const { server, port } = await startListen(['--echo']);
    await mistreat(port);
    await expectEcho(port);
    await server.line(FAILURE, 7);
    expect(server.errors).to.have.lengthOf(7);
  });

  it('length-prefix tap', async () => {
    const { port: target } = await startExample('echo');
    const { server, port } = await startTap(target);
    await mistreat(port);
    await expectEcho(port);
    // It says it among the messages.
    await server.line(FAILURE, 7);
    expect(server.errors).to.have.lengthOf(0);
  });

  it('length-prefix listen', async () => {
    const { server, port } = await startListen();
    await throwGarbage(port);
    await server.line(/ERR_FRAME/, 3);
    const good = await connectTo(port);
    good.end(sized('hello'));
    expect(await closed(good)).to.equal('end');
    await server.line(received(5));
    expect(server.errors).to.have.lengthOf(3);
  });
});
