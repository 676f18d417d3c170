import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { expect } from 'chai';
import {
  cleanUp,
  closed,
  connecting,
  connectTo,
  listen,
  Process,
  sized,
  temporaryDirectory,
} from '../support/programs.js';
import { runtime } from '../support/runtime.js';
import { Command, main, received, startListen, startTap } from './command.js';

/** The command, as a shell runs it: `$lp` stands for it. */
class Shell extends Process {
  constructor(script: string, ...args: string[]) {
    super('/bin/sh', ['-c', script.replaceAll('$lp', `"${process.execPath}" "${main}"`), 'sh', ...args], {
      notices: /^(Listening on |Sent )/,
      group: true,
    });
  }
}

const port = async (program: Process) => Number(/(\d+)$/.exec(await program.line(/^Listening on /))![1]);

describe('the command, as an unlucky operator or an attacker has it', () => {
  afterEach(cleanUp);
  before(function () {
    if (process.platform !== 'linux' || runtime !== 'node') this.skip();
  });

  /** So many frames. */
  function framesFile(count: number, size = 100): string {
    const file = join(temporaryDirectory(), 'frames');
    const frame = sized(Buffer.alloc(size, 'x'));
    writeFileSync(file, Buffer.concat(Array<Buffer>(count).fill(frame)));
    return file;
  }

  describe('a standard output that is closed', () => {
    it('ends decode, formats and encode quietly, as with head', async () => {
      const file = framesFile(100_000);
      for (const script of [
        '$lp decode "$1" | head -2',
        '$lp formats | head -2',
        '$lp encode "$1" "$1" "$1" | head -c 2 | od -An -c',
      ]) {
        const shell = new Shell(script, file);
        await shell.succeeds();
        expect(shell.lines.length, script).to.be.within(1, 2);
      }
    });

    it('ends connect in one line, and its server sees no good end', async () => {
      const { server, port } = await startListen(['--echo']);
      const shell = new Shell('(yes | $lp connect "$1" --text; echo "code $?" >&2) | head -1', String(port));
      await shell.line('code 1');
      expect(await shell.ended).to.equal(0);
      expect(shell.lines).to.deep.equal(['y']);
      expect(shell.errors[0]).to.match(/^length-prefix: The output can't be written: write EPIPE$/);
      await server.line(/^127\.0\.0\.1:\d+ .*(ECONNRESET|EPIPE|TRUNCATED)/);
    });

    it('does not end listen and tap: they go on, and say so once', async () => {
      const { port: target } = await startListen(['--echo']);
      const shell = new Shell('$lp tap "$1" | head -1', String(target));
      const tap = await port(shell);
      for (let i = 0; i < 5; i++) {
        expect(await new Command(['connect', String(tap), '--text']).output('hello\n')).to.deep.equal(['hello']);
      }
      await shell.line(/^Going on without output: write EPIPE$/);
      expect(shell.errors).to.have.lengthOf(1);
    });
  });

  describe('/dev/full', () => {
    it('is one line, and an exit code', async () => {
      const file = framesFile(10);
      for (const args of ['decode "$1"', 'formats', 'encode "$1"', '--help']) {
        const shell = new Shell(`$lp ${args} > /dev/full`, file);
        await shell.fails(/^length-prefix: ENOSPC: no space left on device, write$/);
      }
      await new Command(['decode', file, '--output', '/dev/full']).fails(/^length-prefix: ENOSPC/);
    });

    it('is an exit code of connect, too, whose last line is lost', async () => {
      const at = await listen((socket) => socket.resume().on('end', () => socket.end(sized('answer'))));
      // The line is written when all else is over.
      const preload = 'globalThis.setImmediate = (callback, ...args) => setTimeout(callback, 200, ...args);';
      const client = new Command(['connect', String(at), '--output', '/dev/full'], { preload });
      client.child.stdin!.end();
      await client.fails(/^length-prefix: The output can't be written: ENOSPC: no space left on device, write$/);
    });

    it('does not end a listener, which still keeps messages', async () => {
      const saved = temporaryDirectory();
      const shell = new Shell('exec $lp listen --port 0 --save "$1" > /dev/full', saved);
      const socket = await connectTo(await port(shell));
      socket.end(Buffer.concat([sized('1'), sized('2')]));
      expect(await closed(socket)).to.equal('end');
      expect(readdirSync(saved)).to.have.lengthOf(2);
      expect(shell.errors).to.deep.equal(['Going on without output: ENOSPC: no space left on device, write']);
    });
  });

  describe('a standard output that nobody reads', () => {
    const preload = `
      import { peakMemory } from '${new URL('../support/peak.js', import.meta.url)}';
      process.on('exit', () => console.error('peak', peakMemory()));`;

    it('does not keep a tap from passing on, in bounded memory; it tells what it left out', async function () {
      this.timeout(60_000);
      const target = await listen((socket) => socket.resume().on('end', () => socket.end()));
      const tap = new Command(['tap', String(target), '--text', '--json'], { preload, binary: true });
      const socket = await connectTo(await port(tap));
      const frame = sized(Buffer.alloc(1000, 'x'));
      const chunk = Buffer.concat(Array<Buffer>(100).fill(frame));
      for (let i = 0; i < 1000; i++) if (!socket.write(chunk)) await once(socket, 'drain');
      socket.end();
      expect(await closed(socket)).to.equal('end');
      // Now it reads.
      let text = '';
      tap.child.stdout!.setEncoding('utf8').on('data', (data: string) => {
        text += data;
        if (text.indexOf('"event":"skipped"', text.length - data.length - 100) !== -1) tap.signal('SIGTERM');
      });
      await tap.ended;
      const lines = text.split('\n');
      const skipped = lines.find((line) => line.includes('"event":"skipped"'));
      const messages = lines.filter((line) => line.includes('"length":')).length;
      expect(messages + JSON.parse(skipped!).messages).to.equal(100_000);
      expect(Number(/^peak (\d+)$/m.exec(tap.errors.join('\n'))![1])).to.be.below(150_000_000);
    });

    /** Ends a program whose standard output nobody reads. */
    const endUnread = async (program: Command) => {
      program.child.once('exit', () => program.child.stdout!.resume());
      program.signal('SIGTERM');
      expect(await program.ended).to.equal(0);
      const dropped = program.errors.filter((line) => /^Going on without output: .* \d+ bytes are dropped$/.test(line));
      expect(dropped).to.have.lengthOf(1);
    };
    const many = Buffer.concat(Array<Buffer>(4000).fill(sized('x'.repeat(4096))));

    it('does not keep a tap from ending, which says what it drops', async () => {
      const target = await listen((socket) => socket.resume().on('end', () => socket.end()));
      const tap = new Command(['tap', String(target), '--bytes', '5000'], { binary: true });
      const socket = await connectTo(await port(tap));
      socket.end(many);
      expect(await closed(socket)).to.equal('end');
      await endUnread(tap);
      expect(
        tap.errors.filter((line) => /^\.\.\. \d+ more messages of \d+ bytes are not shown/.test(line)),
      ).to.have.lengthOf(1);
    });

    it('does not keep a listener from ending, which says what it drops', async () => {
      const full = `
        const { write } = process.stdout;
        process.stdout.write = function (...args) {
          if (this.writableLength > 500_000) console.error('  full');
          return write.apply(this, args);
        };`;
      const server = new Command(['listen', '--port', '0', '--text'], { binary: true, preload: full });
      const socket = await connectTo(await port(server));
      const ending = closed(socket);
      socket.write(many);
      await server.line('  full');
      await endUnread(server);
      await ending;
    });

    it('does not keep connect from ending', async () => {
      const target = await listen((socket) => socket.write(many));
      const client = new Command(['connect', String(target), '--text'], { binary: true });
      await once(client.child.stdout!, 'readable');
      client.child.once('exit', () => client.child.stdout!.resume());
      client.signal('SIGINT');
      expect(await client.ended).to.equal(130);
      expect(client.errors.join()).to.match(/^length-prefix: The output can't be written: .* \d+ bytes are dropped$/);
    });

    it('makes the clients of a listener wait', async function () {
      this.timeout(60_000);
      const server = new Command(['listen', '--port', '0', '--text'], { preload, binary: true });
      const socket = await connectTo(await port(server));
      const chunk = Buffer.concat(Array<Buffer>(100).fill(sized(Buffer.alloc(1000, 'x'))));
      let written = 0;
      while (socket.write(chunk) && written < 1e8) written += chunk.length;
      while (written < 1e8) {
        const isRead = await Promise.race([
          once(socket, 'drain'),
          new Promise((resolve) => setTimeout(resolve, 1000, 'stuck')),
        ]);
        if (isRead === 'stuck') break;
        while (socket.write(chunk) && written < 1e8) written += chunk.length;
      }
      expect(written).to.be.below(1e8);
      server.signal('SIGKILL');
      await server.ended;
    });
  });

  it('file descriptors that are used up are said, once, and no client is told that all went well', async () => {
    const shell = new Shell('ulimit -n 40; exec $lp listen --port 0');
    const at = await port(shell);
    const sockets = Array.from({ length: 60 }, () => connecting(at));
    // Those that have sent nothing see no reset of the system's own.
    for (const socket of sockets.slice(0, 45)) socket.write(sized('hello'));
    await shell.line(/^Out of file descriptors/);
    const reset = sockets.slice(30).map(closed);
    expect(new Set(await Promise.all(reset))).to.deep.equal(new Set(['ECONNRESET']));
    for (const socket of sockets.slice(0, 5)) {
      socket.end();
      expect(await closed(socket)).to.equal('end');
    }
    expect(shell.errors).to.have.lengthOf(1);
  });

  describe('a Unix socket, which has no reset', () => {
    /** A connection to a Unix socket, once it is closed. */
    const cutOff = async (path: string, bytes = '') => {
      const socket = connect(path).on('error', () => {});
      if (bytes !== '') socket.write(bytes);
      await new Promise((resolve) => socket.resume().once('close', resolve));
    };
    const listening = async (args: string[]) => {
      const program = new Command(args);
      await program.line(/^Listening/);
      return program;
    };

    it('of a client, is closed where there is no server, by a signal, and by --count', async () => {
      const [near, far] = ['near', 'far'].map((name) => join(temporaryDirectory(), name)) as [string, string];
      const tap = await listening(['tap', '--listen', `unix:${near}`, `unix:${far}`]);
      await cutOff(near);
      await tap.line(/<- connect ENOENT/);
      const server = await listening(['listen', `unix:${far}`]);
      const open = connect(near).on('error', () => {});
      open.write(sized('hello'));
      await server.line(received(5));
      tap.signal('SIGTERM');
      await tap.succeeds();

      const counting = await listening(['tap', '--listen', `unix:${near}`, `unix:${far}`, '--count', '1']);
      await cutOff(near, sized('hello').toString());
      await counting.succeeds();
      expect(counting.lines.filter((line) => line.includes('ERR_'))).to.deep.equal([]);
    });

    it('of a server, is closed when a TCP client resets its connection', async () => {
      const far = join(temporaryDirectory(), 'far');
      const server = await listening(['listen', `unix:${far}`]);
      const tap = await listening(['tap', `unix:${far}`]);
      for (const count of [1, 2]) {
        const socket = await connectTo(await port(tap));
        socket.write(sized('hello'));
        await server.line(received(5), count);
        socket.resetAndDestroy();
        await tap.line(/read ECONNRESET$/, count);
      }
      tap.signal('SIGTERM');
      await tap.succeeds();
    });

    it('is closed where a listener is out of descriptors', async () => {
      const path = join(temporaryDirectory(), 'path');
      const shell = new Shell(`ulimit -n 25; exec $lp listen "$1"`, `unix:${path}`);
      await shell.line(/^Listening/);
      const first = connect(path);
      first.write(sized('first'));
      await shell.line(received(5));
      await cutOff(path);
      await shell.line(/^Out of file descriptors/);
      first.end(sized('second'));
      await shell.line(received(6));
    });
  });

  describe('a standard input that is none', () => {
    const cases: [script: string, line: RegExp, code: number][] = [
      ['$lp connect "$1" - <&-', /^length-prefix: The standard input is closed$/, 1],
      ['$lp connect "$1" <&-', /^length-prefix: The standard input is closed$/, 1],
      ['$lp connect "$1" - < /tmp', /^length-prefix: -: EISDIR/, 1],
      ['$lp encode < /tmp', /^length-prefix: -: EISDIR/, 1],
      ['$lp decode < /tmp', /^length-prefix: -: EISDIR/, 1],
      ['$lp connect "$1" - - < /dev/null', /^length-prefix: The standard input, -, can be read only once/, 2],
    ];
    for (const [script, line, code] of cases) {
      it(`is an error, and no message: ${script.slice(4)}`, async () => {
        let received = 0;
        const at = await listen((socket) =>
          socket.on('data', (chunk) => (received += chunk.length)).on('end', () => socket.end()),
        );
        await new Shell(script, String(at)).fails(line, code);
        expect(received).to.equal(0);
      });
    }

    it('an empty one is an empty message', async () => {
      const { server, port } = await startListen(['--text']);
      await new Shell('$lp connect "$1" - < /dev/null', String(port)).succeeds();
      expect(server.lines).to.deep.equal(['']);
    });
  });

  it('nothing from the wire or the name of a file reaches the terminal unescaped', async () => {
    const evil = '\x1b]0;title\x07\x1b[2J\x7f\x9b31m\u202e\r\b';
    const { server, port } = await startListen(['--text']);
    const { server: tap, port: tapPort } = await startTap(port, ['--json', '--text']);
    const file = join(temporaryDirectory(), `a${evil.replaceAll('/', '')}`);
    writeFileSync(file, evil);
    const client = new Command(['connect', String(tapPort), file, `${file}.missing`]);
    const path = `unix:${join(temporaryDirectory(), evil.replaceAll('/', ''))}`;
    const [unixServer, unixTap] = [new Command(['listen', path]), new Command(['tap', '--listen', `${path}2`, path])];
    await Promise.all([unixServer, unixTap].map((program) => program.line(/^Listening on unix:.*x1b/)));
    expect(await client.ended).to.equal(1);
    await tap.line(/"event":"error"/);
    await new Command(['decode', evil.replaceAll('/', ''), evil]).ended;
    await new Command([evil]).fails(/not '\\x1b/, 2);
    for (const program of [server, tap, client, unixServer, unixTap]) {
      const text = [...program.lines, ...program.errors, ...program.notices].join('');
      expect(text).to.match(/x1b|u001b/);
      expect(text).to.not.match(/[\p{Cc}\p{Bidi_Control}]/u);
    }
  });

  describe('--save', () => {
    /** Has all files of a server named alike: something is there already. */
    const frozen = `
      const RealDate = Date;
      globalThis.Date = class extends RealDate { constructor(...args) { super(...(args.length === 0 ? [0] : args)); } };
      Object.defineProperty(process, 'pid', { value: 7 });`;
    const name = '19700101T000000000Z-7-000001-000001';

    for (const [what, place] of [
      ['a file', (path: string) => writeFileSync(path, 'mine')],
      ['a link', (path: string) => symlinkSync(join(path, '..', 'target'), path)],
      ['a pipe', (path: string) => spawn('mkfifo', [path])],
      ['a directory', (path: string) => mkdirSync(path)],
    ] as [string, (path: string) => unknown][]) {
      for (const end of ['', '.part']) {
        it(`never writes to ${what} that is there: ${end || 'the name'}`, async () => {
          const saved = temporaryDirectory();
          const child = place(join(saved, name + end));
          if (child !== undefined) await once(child as ReturnType<typeof spawn>, 'close');
          const { server, port } = await startListen(['--save', saved], { preload: frozen });
          const socket = await connectTo(port);
          socket.end(sized('yours'));
          expect(await closed(socket)).to.equal('ECONNRESET');
          await server.line(/^127\.0\.0\.1:\d+ EEXIST: /);
          expect(readdirSync(saved)).to.deep.equal([name + end]);
          if (what === 'a file') expect(readFileSync(join(saved, name + end), 'utf8')).to.equal('mine');
        });
      }
    }
  });

  it('a file that is written to while it is sent is noticed, though it keeps its length', async () => {
    const file = join(temporaryDirectory(), 'file');
    const length = 16_000_000;
    writeFileSync(file, randomBytes(length));
    utimesSync(file, 1, 1);
    let received = 0;
    const at = await listen((socket) => {
      socket.once('data', () => {
        // Nobody reads: the client can't have sent it all, nor read it.
        socket.pause();
        writeFileSync(file, randomBytes(length));
        socket.on('data', (chunk) => (received += chunk.length)).resume();
      });
    });
    await new Command(['connect', String(at), file]).fails(
      /^length-prefix: .*file: It was written to while it was sent$|It shrank/,
    );
    expect(received).to.be.below(length);
  });

  it('--bytes of any size takes linear time', async function () {
    this.timeout(60_000);
    const file = join(temporaryDirectory(), 'file');
    writeFileSync(file, sized(Buffer.alloc(16_000_000, 'x')));
    const times: number[] = [];
    for (const bytes of ['1000000', '16000000']) {
      const begin = performance.now();
      await new Command(['decode', file, '--bytes', bytes, '--output', '/dev/null']).succeeds();
      times.push(performance.now() - begin);
    }
    expect(times[1]).to.be.below(times[0]! + 5000);
  });
});
