import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { appendFileSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { expect } from 'chai';
import { bytesOf } from '../../lib/cli/text.js';
import { cleanUp, closed, listen, sized, temporaryDirectory } from '../support/programs.js';
import { Command, startListen } from './command.js';

describe('length-prefix connect', () => {
  afterEach(cleanUp);

  /** A file with this content, or of so many random bytes. */
  function file(content: string | number): { name: string; data: Buffer } {
    const data = typeof content === 'number' ? randomBytes(content) : Buffer.from(content);
    const name = join(temporaryDirectory(), 'file');
    writeFileSync(name, data);
    return { name, data };
  }

  function client(port: number, ...args: string[]): Command {
    return new Command(['connect', String(port), ...args]);
  }

  /** Takes all that comes, and hangs up when the client has. */
  async function recordingServer() {
    const connections: Promise<Buffer>[] = [];
    /** All that came, also before a reset. */
    const came: Buffer[] = [];
    const port = await listen((socket) => {
      socket.on('data', (chunk: Buffer) => came.push(chunk));
      const received = buffer(socket);
      // A reset may come long before the test looks at it.
      received.catch(() => {});
      connections.push(received);
      socket.on('end', () => socket.end());
    });
    return { port, connections, came };
  }

  /** As the sample does: reads one message, and closes when it has it all. */
  async function sampleServer(received: (data: Buffer) => void): Promise<number> {
    return listen((socket) => {
      const chunks: Uint8Array[] = [];
      let length = 0;
      socket.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        length += chunk.length;
        const size = length < 4 ? Infinity : Buffer.concat(chunks.slice(0, 4)).readInt32LE();
        if (length < 4 + size) return;
        received(Buffer.concat(chunks).subarray(4));
        socket.destroy();
      });
    });
  }

  describe('sending', () => {
    it('sends each file as one message over one connection, and tells their sizes', async () => {
      const { port, connections } = await recordingServer();
      const files = [file('one'), file(''), file(9_000_000), file(65_535), file(65_536), file(1)];
      const program = client(port, ...files.map(({ name }) => name));
      await program.succeeds();
      expect(program.notices).to.deep.equal(files.map(({ name, data }) => `Sent ${name}: ${bytesOf(data.length)}`));
      expect(connections).to.have.lengthOf(1);
      const expected = Buffer.concat(files.map(({ data }) => sized(data)));
      expect((await connections[0]!).equals(expected)).to.equal(true);
    });

    it('sends files that do not say how long they are', async function () {
      if (process.platform !== 'linux') this.skip();
      const { port, connections } = await recordingServer();
      await client(port, '/proc/version').succeeds();
      expect((await connections[0]!).equals(sized(readFileSync('/proc/version')))).to.equal(true);
    });

    it('sends the standard input for -', async () => {
      const { port, connections } = await recordingServer();
      const { name, data } = file('file');
      const program = client(port, name, '-', name);
      await program.line(/^Sent .*: 4 bytes$/);
      program.child.stdin!.write('typed');
      program.child.stdin!.end('\n');
      await program.succeeds();
      expect((await connections[0]!).equals(Buffer.concat([sized(data), sized('typed\n'), sized(data)]))).to.equal(
        true,
      );
    });

    it('says that a message was sent when the socket has it, and not before', async () => {
      let accepted: Socket | undefined;
      const port = await listen((socket) => {
        accepted = socket.pause();
      });
      const { name } = file(16_000_000);
      const program = new Command(['connect', String(port), name], { preload: 'process.stderr.isTTY = true' });
      // It is on its way, and nobody reads it. Another one, in the meantime, is started and done.
      await once(program.child.stderr!, 'data');
      await client((await recordingServer()).port, file('x').name).succeeds();
      expect(program.lines).to.deep.equal([]);
      accepted!.resume().on('end', () => accepted!.end());
      await program.line(/Sent .*: 16000000 bytes$/);
      expect(await program.ended).to.equal(0);
    });

    it('says so of each message, also while the operating system takes its time', async () => {
      const { port, connections, came } = await recordingServer();
      const files = [file(60_000), file(50_000), file(0), file(40_000)];
      const names = [...files.map(({ name }) => name), 'missing'];
      const program = new Command(['connect', String(port), ...names], { preload: SLOW_SOCKET });
      expect(await program.ended).to.equal(1);
      expect(program.errors.join()).to.match(/length-prefix: missing: ENOENT/);
      const wire = files.map((_, i) => Buffer.concat(files.slice(0, i + 1).map(({ data }) => sized(data))));
      const lines = files.map(
        ({ name, data }, i) => `${wire[i]!.length} written, Sent ${name}: ${bytesOf(data.length)}`,
      );
      expect(program.errors.slice(0, -1)).to.deep.equal(lines);
      expect(await connections[0]!.catch((error) => error)).to.have.property('code', 'ECONNRESET');
      expect(Buffer.concat(came).equals(wire[3]!)).to.equal(true);
    });

    it('waits for the server to hang up', async () => {
      // An answer that fits into no buffer: it can only be taken by a client that is there.
      const answer = sized(Buffer.alloc(15_000_000));
      const answered = new Promise<void>((resolve, reject) => {
        listen((socket) => {
          socket.on('error', reject).on('finish', resolve).resume();
          socket.on('end', () => socket.end(Buffer.concat([answer, answer])));
        }).then((port) => client(port, file('x').name).succeeds().catch(reject), reject);
      });
      await answered;
    });
  });

  describe('progress', () => {
    const progressOf = async (input: Buffer, ...names: string[]) => {
      const { port } = await recordingServer();
      const args = ['connect', String(port), file('small').name, ...names];
      const program = new Command(args, { preload: 'process.stderr.isTTY = true' });
      program.child.stdin!.end(input);
      expect(await program.ended).to.equal(0);
      const percents = program.errors
        .join('')
        .match(/\d+(?= %)/g)!
        .map(Number);
      expect(percents.at(0)).to.equal(0);
      expect(percents.at(-1)).to.equal(100);
      expect(percents).to.deep.equal([...percents].sort((a, b) => a - b));
      expect(percents.length).to.be.above(5);
    };

    it('is shown on a terminal while a large file is on its way', () =>
      progressOf(Buffer.alloc(0), file(3_000_000).name));

    it('is shown for the standard input', () => progressOf(randomBytes(3_000_000), '-'));
  });

  describe('failures', () => {
    it('tells in one line that it can not connect', async () => {
      // A port that was free a moment ago.
      const port = await listen(() => {});
      await cleanUp();
      const program = client(port, file('x').name);
      await program.fails(/^length-prefix: connect ECONNREFUSED 127\.0\.0\.1:\d+$/);
      expect(program.lines).to.deep.equal([]);
      // A name of two addresses, on many machines.
      await new Command(['connect', `localhost:${port}`, file('x').name]).fails(
        /^length-prefix: connect ECONNREFUSED .*:\d+$/,
      );
    });

    it('tells in one line which file it can not read; what was sent before it arrives', async () => {
      const { port, connections, came } = await recordingServer();
      const { name, data } = file(2_000_000);
      const missing = client(port, name, `${name}.missing`, name);
      await missing.fails(/^length-prefix: .*file\.missing: ENOENT: /);
      expect(missing.notices).to.deep.equal([`Sent ${name}: 2000000 bytes`]);
      expect(await connections[0]!.catch((error) => error)).to.have.property('code', 'ECONNRESET');
      expect(Buffer.concat(came).equals(sized(data))).to.equal(true);

      await client(port, temporaryDirectory()).fails(/^length-prefix: .*length-prefix-spec.*: EISDIR: /);
      expect(await connections[1]!.catch((error) => error)).to.have.property('code', 'ECONNRESET');
      expect(Buffer.concat(came)).to.have.lengthOf(sized(data).length);
    });

    it('resets the connection where its input fails; what was sent before it arrives', async () => {
      const inputs: [input: string, args: string[], line: RegExp, arrives: Buffer][] = [
        ['00\nzz\n', ['--input', 'hex'], /^length-prefix: line 2: no hex digits/, sized('\0')],
        ['{}\n{x\n', ['--input', 'ndjson'], /^length-prefix: line 2: .*JSON/, sized('{}')],
        ['', [file('file').name, 'gone'], /^length-prefix: gone: ENOENT: /, sized('file')],
      ];
      for (const [input, args, line, arrives] of inputs) {
        const chunks: Buffer[] = [];
        const ends: Promise<string>[] = [];
        const port = await listen((socket) => {
          socket.on('data', (chunk: Buffer) => chunks.push(chunk));
          ends.push(closed(socket));
        });
        const program = client(port, ...args);
        program.child.stdin!.end(input);
        await program.fails(line);
        expect(await ends[0]).to.equal('ECONNRESET');
        expect(Buffer.concat(chunks)).to.deep.equal(arrives);
      }
    });

    it('resets the connection where it is interrupted inside a message', async () => {
      const { server, port } = await startListen();
      const preload = `${SLOW_SOCKET}; process.stderr.isTTY = true;`;
      const program = new Command(['connect', String(port), file(16_000_000).name], { preload });
      await once(program.child.stderr!, 'data');
      program.signal('SIGINT');
      expect(await program.ended).to.equal(130);
      await server.line(/ read ECONNRESET$/);
    });

    it('tells in one line that a message is too long, and the server by a reset', async () => {
      const { port, connections } = await recordingServer();
      const { name } = file('fits');
      const program = client(port, '--max-payload-length', '4', name, file('too long').name, name);
      await program.fails(/^length-prefix: .*file: ERR_FRAME_TOO_LONG: .* 8 bytes .* at most 4 /, 3);
      expect(await connections[0]!.catch((error) => error)).to.have.property('code', 'ECONNRESET');

      const field = client(port, '--length-field', 'uint8', file(256).name);
      await field.fails(/^length-prefix: .*file: ERR_FRAME_TOO_LONG: .* at most 255$/, 3);
      expect(await connections[1]!.catch((error) => error)).to.have.property('code', 'ECONNRESET');
    });

    it('tells in one line that a file has changed while it was sent', async () => {
      const changes: [name: string, change: (name: string) => void, line: RegExp][] = [
        [
          'shrinks',
          (name) => truncateSync(name, 100),
          /^length-prefix: .*file: It shrank while it was sent, from 16000000 bytes to \d+$/,
        ],
        [
          'grows',
          (name) => appendFileSync(name, 'x'),
          /^length-prefix: .*file: It grew while it was sent, from 16000000 bytes to 16000001$/,
        ],
      ];
      await Promise.all(
        changes.map(async ([what, change, line]) => {
          const { name } = file(16_000_000);
          let received = 0;
          const port = await listen((socket) => {
            socket.once('data', () => {
              // Nobody reads: the client can't have sent it all, nor read it.
              socket.pause();
              change(name);
              socket.on('data', (chunk) => {
                received += chunk.length;
              });
              socket.resume();
            });
          });
          const program = client(port, name);
          await program.fails(line);
          expect(program.lines, what).to.deep.equal([]);
          expect(received, what).to.be.below(16_000_000);
        }),
      );
    });

    it('does not read an input without end', async () => {
      const { port } = await recordingServer();
      const program = client(port, '--max-payload-length', '1000', '-');
      const bytes = Buffer.alloc(100_000);
      const feed = () => {
        while (program.child.stdin!.write(bytes));
      };
      program.child.stdin!.on('drain', feed);
      feed();
      await program.fails(/^length-prefix: -: ERR_FRAME_TOO_LONG: more than 1000 bytes \(--max-payload-length\)$/, 3);
    });

    it('fails when the server hangs up before all was sent', async () => {
      const hangUps: [name: string, hangUp: (socket: Socket) => void, line: RegExp][] = [
        ['ends', (socket) => socket.end(), /^length-prefix: The server hung up before all was sent$/],
        // What the client learns of it depends on what it was about to do.
        [
          'closes',
          (socket) => socket.destroy(),
          /^length-prefix: (The server hung up before all was sent|.*(ECONNRESET|EPIPE))/,
        ],
        ['resets', (socket) => socket.resetAndDestroy(), /^length-prefix: .*(ECONNRESET|EPIPE)/],
      ];
      const large = file(16_000_000);
      await Promise.all(
        hangUps.map(async ([name, hangUp, line]) => {
          // Stops reading first, so that the client can't have sent all.
          const port = await listen((socket) => socket.once('data', () => hangUp(socket.pause())));
          const program = client(port, large.name);
          await program.fails(line);
          expect(program.lines, name).to.deep.equal([]);
        }),
      );
    });

    it('fails when the server hangs up between two messages', async () => {
      const port = await sampleServer(() => {});
      const program = client(port, file('first').name, '-');
      await program.fails(/^length-prefix: The server hung up before all was sent$/);
      expect(program.notices).to.have.lengthOf(1);
    });

    it('fails when the server resets the connection after all was sent', async () => {
      const port = await listen((socket) => socket.once('data', () => socket.resetAndDestroy()));
      await client(port, file('x').name).fails(/^length-prefix: read ECONNRESET$/);
    });

    it('refuses options that make no sense in one line', async () => {
      const refused: [args: string[], line: RegExp][] = [
        [[], /^length-prefix: There is no ADDRESS to connect to /],
        [['x:1', '--save', 'x'], /^length-prefix: There is no option --save/],
        [['x:1', '-', 'y', '-'], /^length-prefix: The standard input, -, can be read only once /],
        [['x:1', 'y', '--input', 'hex'], /^length-prefix: --input is for the standard input: there can be no FILE /],
        [['x:1', '--input', 'words'], /^length-prefix: --input must be lines, ndjson, hex or whole, not 'words' /],
        [['x:1', '--insecure'], /^length-prefix: --insecure needs --tls /],
        [['x:0'], /^length-prefix: Port 0 can't be connected to /],
        [[':1'], /^length-prefix: An address is HOST:PORT, /],
        [['x:1', '--wait', 'x'], /^length-prefix: --wait must be a number of seconds above 0, not 'x' /],
      ];
      await Promise.all(refused.map(([args, line]) => new Command(['connect', ...args]).fails(line, 2)));
    });
  });

  describe('a peer written after the sample', () => {
    it('closes when it has its one message: a success', async () => {
      for (const size of [0, 3_000_000]) {
        const { name, data } = file(size);
        const received: Buffer[] = [];
        const program = client(await sampleServer((message) => received.push(message)), name);
        await program.succeeds();
        expect(program.notices).to.deep.equal([`Sent ${name}: ${bytesOf(size)}`]);
        expect(received).to.have.lengthOf(1);
        expect(received[0]!.equals(data)).to.equal(true);
      }
    });
  });
});

/** A module that makes sockets slow, and puts in front of each line how many bytes have been written to them. */
const SLOW_SOCKET = `
  import { Socket } from 'node:net';
  const { write, _write } = Socket.prototype;
  const isConnection = (socket) => socket.remotePort !== undefined;
  let written = 0;
  Socket.prototype.write = function (chunk, ...rest) {
    if (isConnection(this)) written += chunk.length;
    return write.call(this, chunk, ...rest);
  };
  Socket.prototype._write = function (...args) {
    if (isConnection(this)) setTimeout(() => _write.apply(this, args), 20);
    else _write.apply(this, args);
  };
  const { stderr } = process;
  const say = stderr.write;
  stderr.write = (line, ...rest) => say.call(stderr, (line === '' ? '' : written + ' written, ') + line, ...rest);`;
