import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { encode } from '../../lib/index.js';
import {
  cleanUp,
  closed,
  connectTo,
  listen,
  Program,
  startExample,
  temporaryDirectory,
  throwGarbage,
} from '../support/programs.js';

describe('examples/upload', () => {
  afterEach(cleanUp);

  async function startUpload() {
    const cwd = temporaryDirectory();
    return { cwd, ...(await startExample('upload', { cwd })) };
  }

  function file(data: Uint8Array): string {
    const name = join(temporaryDirectory(), 'file');
    writeFileSync(name, data);
    return name;
  }

  /** A file that is not all on its way when the first percent of it is. */
  function large(): string {
    const name = file(Buffer.alloc(0));
    truncateSync(name, 3_000_000_000);
    return name;
  }

  const upload = (port: number, name: string) => new Program('upload', [String(port), name]);
  const percents = ({ lines }: Program) => lines.flatMap((line) => /^(\d+) %$/.exec(line)?.[1] ?? []).map(Number);

  it('keeps files of any size, shows the progress, and tells when each is kept', async () => {
    const { server, port, cwd } = await startUpload();
    for (const size of [5_000_000, 0, 1]) {
      const data = randomBytes(size);
      const client = upload(port, file(data));
      await client.succeeds();
      const [, kept] = /^(?:\d+) bytes are kept in (.*)$/.exec(client.lines.at(-1)!)!;
      expect(readFileSync(join(cwd, kept!)).equals(data)).to.equal(true);
      if (size === 0) continue;
      expect(percents(client).at(-1)).to.equal(100);
      expect(percents(client)).to.deep.equal(percents(client).sort((a, b) => a - b));
      if (size > 1) expect(percents(client).length).to.be.above(10);
    }
    expect(server.errors).to.deep.equal([]);
    server.signal('SIGINT');
    await server.succeeds();
  });

  it('shows as progress what the socket has taken, and not what was read', async () => {
    const port = await listen((socket) => socket.pause());
    const client = upload(port, large());
    // As much as buffers hold, at the most.
    await client.line(/ %$/);
    expect(percents(client).at(-1)).to.be.below(2);
    client.signal('SIGINT');
    await client.fails(/^Aborted: The operation was aborted$/);
  });

  it('the server learns that a client aborts, and keeps nothing', async () => {
    const { server, port, cwd } = await startUpload();
    const client = upload(port, large());
    await client.line('1 %');
    client.signal('SIGINT');
    await client.fails(/^Aborted: The operation was aborted$/);
    await server.line(/^Aborted: /);
    await upload(port, file(Buffer.from('next'))).succeeds();
    server.signal('SIGINT');
    await server.ended;
    expect(readdirSync(cwd).map((name) => readFileSync(join(cwd, name), 'utf8'))).to.deep.equal(['next']);
  });

  it('a client learns that the server aborts', async () => {
    const { server, port, cwd } = await startUpload();
    const client = upload(port, large());
    await client.line('1 %');
    server.signal('SIGINT');
    await client.fails(/^Aborted: (read ECONNRESET|write E\w+|The server hung up)$/);
    expect(await server.ended).to.equal(0);
    expect(server.errors).to.deep.equal(['Aborted: The operation was aborted']);
    expect(readdirSync(cwd)).to.deep.equal([]);
  });

  it('a client learns that its file can not be kept, or that the server is gone', async () => {
    const { server, port, cwd } = await startUpload();
    rmSync(cwd, { recursive: true });
    await upload(port, large()).fails(/^Aborted: (read ECONNRESET|write E\w+)$/);
    await server.line(/^Aborted: ENOENT/);

    const ended = await listen((socket) => socket.once('data', () => socket.end().destroySoon()));
    await upload(ended, large()).fails(/^Aborted: (read ECONNRESET|write E\w+|The server hung up)$/);
    const polite = await listen((socket) => socket.resume().on('end', () => socket.end()));
    await upload(polite, file(Buffer.from('x'))).fails(/^Aborted: The server hung up$/);
  });

  it('a bad client ends its own connection, in one line, and no other', async () => {
    const { server, port, cwd } = await startUpload();
    const good = await connectTo(port);
    const frame = encode(randomBytes(1_000_000), { lengthField: 'uint64le' });
    good.write(frame.subarray(0, 500_000));
    await throwGarbage(port);
    // Many at a time: the signal that they share is no leak.
    const bad = await Promise.all(Array.from({ length: 20 }, () => connectTo(port)));
    for (const socket of bad) {
      socket.end(frame.subarray(0, 900_000));
      expect(await closed(socket)).to.equal('ECONNRESET');
    }
    await server.line(/^Aborted: /, 23);
    expect(server.errors).to.have.lengthOf(23);
    good.end(frame.subarray(500_000));
    expect(await closed(good)).to.equal('end');
    server.signal('SIGINT');
    await server.ended;
    const files = readdirSync(cwd).map((name) => readFileSync(join(cwd, name)));
    expect(files).to.have.lengthOf(1);
    expect(files[0]!.equals(frame.subarray(8))).to.equal(true);
  });
});
