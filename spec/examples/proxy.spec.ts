import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { expect } from 'chai';
import { framed } from '../../lib/index.js';
import { Command, startListen } from '../cli/command.js';
import {
  cleanUp,
  closed,
  connecting,
  connectTo,
  listen,
  sized,
  startExample,
  temporaryDirectory,
} from '../support/programs.js';

describe('examples/proxy', () => {
  afterEach(cleanUp);

  const startProxy = (target: number) => startExample('proxy', {}, [String(target)]);

  it('passes on messages in both directions, for many clients at once', async () => {
    const echo = await startExample('echo');
    const { server, port } = await startProxy(echo.port);
    await Promise.all(
      Array.from({ length: 10 }, async (_, i) => {
        const socket = framed(await connectTo(port));
        const messages = [i, 0, 300_000 + i, 11].map((size) => randomBytes(size));
        for (const message of messages) socket.write(message);
        socket.end();
        const answers = await socket.toArray();
        expect(answers.length).to.equal(4);
        expect(answers.every((answer, j) => answer.equals(messages[j]!))).to.equal(true);
      }),
    );
    expect(server.errors).to.deep.equal([]);
    expect(echo.server.errors).to.deep.equal([]);
  });

  it('stands between the client and the server', async () => {
    const saved = temporaryDirectory();
    const { port: target } = await startListen(['--save', saved]);
    const { port } = await startProxy(target);
    const file = join(temporaryDirectory(), 'file');
    const data = randomBytes(2_000_000);
    writeFileSync(file, data);
    await new Command(['connect', String(port), file, file]).succeeds();
    const files = readdirSync(saved);
    expect(files).to.have.lengthOf(2);
    for (const name of files) expect(readFileSync(join(saved, name)).equals(data)).to.equal(true);
  });

  it('passes on a message while it comes in', async () => {
    const accepted: Socket[] = [];
    const target = await listen((socket) => accepted.push(socket));
    const { port } = await startProxy(target);
    const socket = await connectTo(port);
    const head = sized(Buffer.alloc(16_777_216)).subarray(0, 4);
    // Either way.
    socket.write(Buffer.concat([head, Buffer.from('hello')]));
    let passedOn = '';
    while (accepted.length === 0) await new Promise(setImmediate);
    accepted[0]!.write(Buffer.concat([head, Buffer.from('there')]));
    for (const one of [accepted[0]!, socket]) {
      passedOn = '';
      while (passedOn.length < 9) passedOn += (await once(one, 'data'))[0].toString('latin1');
      expect(passedOn).to.equal(`${head.toString('latin1')}${one === socket ? 'there' : 'hello'}`);
    }
  });

  it('lets the server answer a client that has no more to send', async () => {
    const target = await listen((socket) => {
      socket.resume().on('end', () => socket.end(sized('answer')));
    });
    const { port } = await startProxy(target);
    const socket = framed(await connectTo(port));
    socket.end('question');
    expect((await socket.toArray()).map(String)).to.deep.equal(['answer']);
  });

  it('tells in one line what fails, hangs up on both ends, and serves all others on', async () => {
    const accepted: Socket[] = [];
    const target = await listen((socket) => accepted.push(socket.resume()));
    const { server, port } = await startProxy(target);
    const bad = await connectTo(port);
    bad.write(Buffer.concat([sized('well'), Buffer.from('GET / HTTP/1.1\r\n\r\n')]));
    await closed(bad);
    await server.line(/^Frame at byte 8: .* look like HTTP$/);
    await closed(accepted[0]!);

    const unlucky = await connectTo(port);
    unlucky.write(sized('well'));
    while (accepted.length === 1) await new Promise(setImmediate);
    accepted[1]!.resetAndDestroy();
    await closed(unlucky);
    await server.line(/(ECONNRESET|EPIPE)/);

    const good = await connectTo(port);
    while (accepted.length === 2) await new Promise(setImmediate);
    accepted[2]!.end(sized('hello'));
    expect((await framed(good).toArray()).map(String)).to.deep.equal(['hello']);
    good.end();
    expect(server.errors).to.have.lengthOf(2);
  });

  it('tells in one line that there is no server', async () => {
    const target = await listen(() => {});
    await cleanUp();
    const { server, port } = await startProxy(target);
    await closed(connecting(port));
    expect(await server.line(/ECONNREFUSED/)).to.match(/^connect ECONNREFUSED 127\.0\.0\.1:\d+$/);
    expect(server.errors).to.have.lengthOf(1);
  });
});
