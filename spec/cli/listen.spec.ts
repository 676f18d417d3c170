import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { expect } from 'chai';
import {
  cleanUp,
  closed,
  connectTo,
  hasIPv6,
  portOf,
  replaceWriteFile,
  sized,
  temporaryDirectory,
} from '../support/programs.js';
import { replaceExport } from '../support/runtime.js';
import { Command, lengthsIn, received, startListen } from './command.js';

describe('length-prefix listen', () => {
  afterEach(cleanUp);

  describe('listening', () => {
    it('listens on an IPv6 address, in brackets', async function () {
      if (!hasIPv6()) this.skip();
      const server = new Command(['listen', '--host', '::1', '--port', '0']);
      const line = await server.line(/^Listening/);
      expect(line).to.match(/^Listening on \[::1\]:\d+$/);

      const socket = await connectTo(portOf(line), '::1');
      socket.end('GET / HTTP/1.1\r\n\r\n');
      expect(await server.line(/ERR_FRAME/)).to.match(/^\[::1\]:\d+ ERR_FRAME_TOO_LONG: /);
    });

    it('says where it listens; a second one fails there in one line', async () => {
      const { server, port } = await startListen();
      expect(server.notices).to.deep.equal([`Listening on 127.0.0.1:${port}`]);
      const second = new Command(['listen', '--port', String(port)]);
      await second.fails(/^length-prefix: listen EADDRINUSE: .*:\d+$/);
    });
  });

  describe('options', () => {
    it('are refused in one line where they make no sense', async () => {
      const refused: [args: string[], line: RegExp][] = [
        [
          ['--max-payload-length', 'x'],
          /^length-prefix: --max-payload-length must be a whole number, not 'x' \(.* --help\)$/,
        ],
        [['--host', ''], /^length-prefix: --host must not be empty /],
        [['--port', '65536'], /^length-prefix: --port must be 0 to 65535, not 65536 /],
        [['1', '2'], /^length-prefix: There is 1 ADDRESS at the most: '2' is one too many /],
        [['1', '--host', 'x'], /^length-prefix: --host can't be given with an ADDRESS /],
        [['--echo', '--save', 'x'], /^length-prefix: --save and --echo exclude each other /],
        [['--tls'], /^length-prefix: A server with --tls needs --cert and --key /],
        [['--cert', 'x'], /^length-prefix: --cert needs --tls /],
        [['--cuont', '3'], /^length-prefix: There is no option --cuont, the nearest is --count /],
      ];
      await Promise.all(refused.map(([args, line]) => new Command(['listen', ...args]).fails(line, 2)));
    });
  });

  describe('receiving', () => {
    it('takes many messages on one connection, empty ones too, in whichever pieces they come', async () => {
      const { server, port } = await startListen();
      const socket = await connectTo(port);
      socket.setNoDelay();
      const sizes = [5, 0, 0, 1, 70_000, 3];
      const wire = Buffer.concat(sizes.map((size) => sized(randomBytes(size))));
      // Each a packet of its own, mostly.
      for (let at = 0; at < 24; at++) await new Promise((resolve) => socket.write(wire.subarray(at, at + 1), resolve));
      socket.end(wire.subarray(24));
      expect(await closed(socket)).to.equal('end');
      expect(lengthsIn(server.lines)).to.deep.equal(sizes);
      expect(server.errors).to.deep.equal([]);
    });

    it('serves many clients at once', async () => {
      const { server, port } = await startListen();
      const sockets = await Promise.all(Array.from({ length: 20 }, () => connectTo(port)));
      for (const [i, socket] of sockets.entries()) socket.write(sized(Buffer.alloc(100 + i)).subarray(0, 50));
      // All are inside their first message, now.
      for (const [i, socket] of [...sockets.entries()].reverse()) {
        socket.write(sized(Buffer.alloc(100 + i)).subarray(50));
        socket.end(sized(Buffer.alloc(200 + i)));
      }
      for (const socket of sockets) expect(await closed(socket)).to.equal('end');
      const expected = sockets.flatMap((_, i) => [100 + i, 200 + i]);
      expect(lengthsIn(server.lines).sort()).to.deep.equal(expected.sort());
    });

    it('hangs up only when all messages are dealt with, though the client has no more to send', async () => {
      const saved = temporaryDirectory();
      const { port } = await startListen(['--save', saved], { preload: slowDisk(20) });
      const socket = await connectTo(port);
      socket.end(Buffer.concat([sized('1'), sized('2'), sized('3')]));
      expect(await closed(socket)).to.equal('end');
      expect(readdirSync(saved)).to.have.lengthOf(3);
    });
  });

  describe('--save', () => {
    it('keeps each message as a file, byte for byte, in the order of each connection', async () => {
      const saved = join(temporaryDirectory(), 'a', 'b');
      const { server, port } = await startListen(['--save', saved]);
      const messages = [
        randomBytes(100),
        Buffer.alloc(0),
        randomBytes(3_000_000),
        Buffer.from('\r\n\0'),
        randomBytes(1),
      ];
      for (let turn = 0; turn < 2; turn++) {
        const socket = await connectTo(port);
        socket.end(Buffer.concat(messages.map(sized)));
        expect(await closed(socket)).to.equal('end');
      }
      const files = readdirSync(saved).sort();
      expect(files).to.have.lengthOf(10);
      for (const [i, file] of files.entries()) {
        expect(readFileSync(join(saved, file)).equals(messages[i % 5]!), file).to.equal(true);
      }
      expect(server.errors).to.deep.equal([]);
    });

    it('never writes two messages to one file: two servers, many clients, one directory', async () => {
      const saved = temporaryDirectory();
      const servers = await Promise.all([startListen(['--save', saved]), startListen(['--save', saved])]);
      await Promise.all(
        servers.flatMap(({ port }) =>
          Array.from({ length: 5 }, async (_, i) => {
            const socket = await connectTo(port);
            socket.end(Buffer.concat(Array.from({ length: 10 }, (_, j) => sized(`${port} ${i} ${j}`))));
            expect(await closed(socket)).to.equal('end');
          }),
        ),
      );
      const contents = readdirSync(saved).map((file) => readFileSync(join(saved, file), 'latin1'));
      expect(new Set(contents).size).to.equal(100);
    });

    it('fails in one line when the directory can not be made', async () => {
      const file = join(temporaryDirectory(), 'file');
      writeFileSync(file, '');
      await new Command(['listen', '--port', '0', '--save', join(file, 'x')]).fails(/^length-prefix: ENOTDIR: .*file/);
    });

    it('tells in one line that a file can not be written, resets the connection, and goes on', async () => {
      const saved = join(temporaryDirectory(), 'saved');
      const { server, port } = await startListen(['--save', saved]);
      const good = await connectTo(port);
      rmSync(saved, { recursive: true });
      const unlucky = await connectTo(port);
      unlucky.end(sized('lost'));
      expect(await closed(unlucky)).to.equal('ECONNRESET');
      expect(await server.line(/ENOENT/)).to.match(/^127\.0\.0\.1:\d+ ENOENT: /);

      mkdirSync(saved);
      good.end(sized('kept'));
      expect(await closed(good)).to.equal('end');
      expect(readdirSync(saved)).to.have.lengthOf(1);
      expect(server.errors).to.have.lengthOf(1);
      expect(lengthsIn(server.lines)).to.deep.equal([4]);
    });

    it('leaves no half-written file when the disk is full', async () => {
      const saved = temporaryDirectory();
      const preload = replaceWriteFile(`async (file, body) => {
        for await (const chunk of body) await original(file, chunk.subarray(0, 10));
        throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
      }`);
      const { server, port } = await startListen(['--save', saved], { preload });
      const socket = await connectTo(port);
      socket.write(sized(randomBytes(100)));
      expect(await closed(socket)).to.equal('ECONNRESET');
      expect(await server.line(/ENOSPC/)).to.match(/^127\.0\.0\.1:\d+ ENOSPC: no space left on device, write$/);
      expect(readdirSync(saved)).to.deep.equal([]);
    });

    it('leaves no half-written file when a client is cut off inside a message', async () => {
      const saved = temporaryDirectory();
      const { server, port } = await startListen(['--save', saved], { preload: WRITING });
      for (const [i, hangUp] of (['end', 'resetAndDestroy'] as const).entries()) {
        const socket = await connectTo(port);
        socket.write(Buffer.concat([sized('whole'), sized(randomBytes(200_000)).subarray(0, -1)]));
        await server.line('written: 100000', i + 1);
        expect(readdirSync(saved).filter((name) => name.endsWith('.part'))).to.have.lengthOf(1);
        socket[hangUp]();
        await closed(socket);
        await server.line(i === 0 ? /ERR_FRAME_TRUNCATED/ : /read ECONNRESET$/);
        const files = readdirSync(saved);
        expect(files).to.have.lengthOf(i + 1);
        for (const name of files) expect(readFileSync(join(saved, name), 'latin1')).to.equal('whole');
      }
      expect(server.errors).to.have.lengthOf(2);
    });

    it('makes a client wait that is faster than the disk', async () => {
      // 32 MiB are sent; what the server holds of it is looked at before each file is written.
      const preload = `
        import { usedMemory } from '${new URL('../support/runtime.js', import.meta.url)}';
        gc();
        const before = usedMemory();
        ${replaceWriteFile(`async (...args) => {
        await new Promise((resolve) => setTimeout(resolve, 2));
        gc();
        console.log('holds', usedMemory() - before);
        return original(...args);
      }`)}`;
      const settings = { preload, gc: true };
      const { server, port } = await startListen(['--save', temporaryDirectory()], settings);
      const socket = await connectTo(port);
      const message = sized(Buffer.alloc(1_048_576));
      for (let i = 0; i < 32; i++) socket.write(message);
      socket.end();
      expect(await closed(socket)).to.equal('end');
      const held = server.lines.filter((line) => line.startsWith('holds')).map((line) => Number(line.slice(5)));
      expect(held).to.have.lengthOf(32);
      expect(Math.max(...held)).to.be.below(8 * 1_048_576);
    });
  });

  describe('a bad client', () => {
    const greeting = 'GET / HTTP/1.1\r\nHost: example\r\n\r\n';
    const tooLong = Buffer.from([1, 0, 0, 1]);
    const faults: [name: string, bytes: string | Buffer, line: RegExp][] = [
      ['that speaks HTTP', greeting, /^127\.0\.0\.1:\d+ ERR_FRAME_TOO_LONG: .* look like HTTP$/],
      ['with a message that is too long', tooLong, /^127\.0\.0\.1:\d+ ERR_FRAME_TOO_LONG: .* 16777217 bytes/],
      ['cut off inside a length', Buffer.from([5, 0]), /^127\.0\.0\.1:\d+ ERR_FRAME_TRUNCATED: .* 2 of 4 bytes/],
      ['cut off inside a message', sized('hello').subarray(0, 7), /^127\.0\.0\.1:\d+ ERR_FRAME_TRUNCATED: .* 7 of 9/],
    ];

    it('is hung up on, with one line, and all others are served on', async () => {
      const { server, port } = await startListen();
      const good = await connectTo(port);
      let sent = 0;
      const serves = async () => {
        good.write(sized(Buffer.alloc(1000 + ++sent)));
        await server.line(received(1000 + sent));
      };
      await serves();
      for (const [name, bytes, line] of faults) {
        const bad = await connectTo(port);
        // What came whole before the fault is taken.
        bad.write(sized('well'));
        if (line.source.includes('TRUNCATED')) bad.end(bytes);
        else bad.write(bytes);
        expect(await closed(bad), name).to.be.oneOf(['end', 'ECONNRESET']);
        await server.line(line);
        await serves();
      }
      const reset = await connectTo(port);
      reset.write(Buffer.concat([sized('well'), sized('cut off').subarray(0, 8)]));
      await server.line(received(4), faults.length + 1);
      reset.resetAndDestroy();
      await server.line(/^127\.0\.0\.1:\d+ read ECONNRESET$/);
      await serves();

      good.end();
      expect(await closed(good)).to.equal('end');
      server.signal('SIGTERM');
      expect(await server.ended).to.equal(0);
      expect(server.errors, 'one line each').to.have.lengthOf(faults.length + 1);
      expect(lengthsIn(server.lines).filter((length) => length === 4)).to.have.lengthOf(faults.length + 1);
    });

    it('that is reset is one line, too, and the messages that came whole are taken', async () => {
      const { server, port } = await startListen(['--save', temporaryDirectory()], { preload: slowDisk(50) });
      const socket = await connectTo(port);
      socket.write(Buffer.concat([sized('1'), sized('2'), sized('3')]));
      await server.line('writing');
      socket.resetAndDestroy();
      await server.line(received(1), 3);
      await server.line(/^127\.0\.0\.1:\d+ read ECONNRESET$/);
      expect(server.errors).to.have.lengthOf(1);
    });
  });

  describe('the wire format', () => {
    it('is that of the options', async () => {
      const saved = temporaryDirectory();
      const { server, port } = await startListen([
        '--length-field',
        'uint16be',
        '--max-payload-length',
        '5',
        '--save',
        saved,
      ]);
      const good = await connectTo(port);
      good.end(Buffer.from('\0\x05hello\0\0', 'latin1'));
      expect(await closed(good)).to.equal('end');
      expect(lengthsIn(server.lines)).to.deep.equal([5, 0]);

      const bad = await connectTo(port);
      bad.write(Buffer.from('\0\x06hello!', 'latin1'));
      expect(await closed(bad)).to.be.oneOf(['end', 'ECONNRESET']);
      expect(await server.line(/ERR_FRAME/)).to.match(/ERR_FRAME_TOO_LONG: .* 6 bytes .* at most 5 /);
    });

    it('can have an offset, an adjustment and bytes to strip', async () => {
      const saved = temporaryDirectory();
      const format = [
        '--length-field',
        'uint8',
        '--length-field-offset',
        '1',
        '--length-adjustment=-2',
        '--initial-bytes-to-strip',
        '1',
      ];
      const { port } = await startListen(['--save', saved, ...format]);
      const socket = await connectTo(port);
      socket.end('?\x07hello');
      expect(await closed(socket)).to.equal('end');
      const [file] = readdirSync(saved);
      expect(readFileSync(join(saved, file!), 'latin1')).to.equal('\x07hello');
    });
  });

  describe('SIGINT and SIGTERM', () => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      it(`${signal}: idle connections are ended at once, and the program well`, async () => {
        const { server, port } = await startListen();
        const fresh = await connectTo(port);
        const idle = await connectTo(port);
        // One that does not hang up itself.
        const deaf = await connectTo(port);
        deaf.write(sized(''));
        idle.write(Buffer.concat([sized('one'), sized(''), sized(randomBytes(200_000))]));
        await server.line(received(0), 2);
        await server.line(received(200000));
        server.signal(signal);
        await server.succeeds();
        expect(await closed(idle)).to.equal('end');
        expect(await closed(fresh)).to.be.oneOf(['end', 'ECONNRESET']);
      });
    }

    // How the frame is counted differs from format to format.
    const formats: [args: string[], frame: (data: Buffer) => Buffer, headLength: number][] = [
      [[], sized, 4],
      [['--length-field', 'varint'], (data) => Buffer.concat([Buffer.from([0xc8, 1]), data]), 2],
      [
        ['--length-field', 'uint16be', '--initial-bytes-to-strip', '0'],
        (data) => Buffer.concat([Buffer.from([0, 200]), data]),
        2,
      ],
      [
        ['--length-field', 'uint24le', '--length-field-offset', '2', '--length-adjustment=-5'],
        (data) => Buffer.concat([Buffer.from([9, 9, 205, 0, 0]), data]),
        5,
      ],
    ];
    for (const [args, frame, headLength] of formats) {
      const whole = frame(randomBytes(200));
      it(`take the messages under way: ${args.join(' ') || 'the default format'}`, async () => {
        const saved = temporaryDirectory();
        const { server, port } = await startListen(['--save', saved, ...args]);
        const idle = await connectTo(port);
        idle.write(Buffer.concat([whole, whole]));
        await server.line(/ -> /, 2);
        // Inside the head, behind it, inside the data, in front of the last byte.
        const cuts = [headLength - 1, headLength, 100, whole.length - 1];
        const busy = await Promise.all(cuts.map(() => connectTo(port)));
        for (const [i, at] of cuts.entries()) busy[i]!.write(Buffer.concat([whole, whole, whole.subarray(0, at)]));
        await server.line(/ -> /, 2 + 2 * cuts.length);

        server.signal('SIGTERM');
        expect(await closed(idle)).to.equal('end');
        await server.line('Stopping after the messages under way. Connections: 4. Ctrl+C again stops at once');
        const [refusal] = await once(connect(port, '127.0.0.1'), 'error');
        expect(refusal).to.include({ code: 'ECONNREFUSED' });

        for (const [i, at] of cuts.entries()) {
          busy[i]!.write(whole.subarray(at));
          expect(await closed(busy[i]!)).to.equal('end');
        }
        expect(await server.ended).to.equal(0);
        expect(server.errors).to.have.lengthOf(1);
        const files = readdirSync(saved);
        expect(files).to.have.lengthOf(2 + 3 * cuts.length);
        const expected = args.includes('0') ? whole : whole.subarray(headLength);
        for (const file of files) expect(readFileSync(join(saved, file)).equals(expected)).to.equal(true);
      });
    }

    it('takes no more than the message under way, and tells of one that is cut off', async () => {
      const { server, port } = await startListen();
      const untiring = await connectTo(port);
      untiring.write(Buffer.concat([sized('one'), sized('twotwo').subarray(0, 5)]));
      const cutOff = await connectTo(port);
      cutOff.write(Buffer.concat([sized('one'), sized('twotwo').subarray(0, 5)]));
      await server.line(received(3), 2);
      server.signal('SIGINT');
      await server.line(/^Stopping/);
      cutOff.end();
      await closed(cutOff);
      await server.line(/^127\.0\.0\.1:\d+ ERR_FRAME_TRUNCATED: /);

      untiring.write(Buffer.concat([sized('twotwo').subarray(5), sized('three')]));
      expect(await closed(untiring)).to.equal('ECONNRESET');
      expect(await server.ended).to.equal(0);
      expect(lengthsIn(server.lines).slice(2)).to.deep.equal([6]);
      expect(server.errors).to.have.lengthOf(2);
    });

    it('finishes the files of all that came before it', async () => {
      const saved = temporaryDirectory();
      // No file is written before the signal has come.
      const preload = replaceWriteFile(`async (...args) => {
        console.log('writing');
        await signal;
        return original(...args);
      };
      const signal = new Promise((resolve) => process.once('SIGTERM', () => setImmediate(resolve)))`);
      const { server, port } = await startListen(['--save', saved], { preload });
      const messages = [randomBytes(10), randomBytes(0), randomBytes(1000), randomBytes(100)];
      const wire = Buffer.concat(messages.map(sized));
      const [idle, busy] = [await connectTo(port), await connectTo(port)];
      idle.write(wire);
      busy.write(wire.subarray(0, -1));
      await server.line('writing', 2);
      server.signal('SIGTERM');
      await server.line('Stopping after the messages under way. Connections: 2. Ctrl+C again stops at once');
      await server.line(received(1000), 2);
      busy.write(wire.subarray(-1));
      expect(await closed(idle)).to.equal('end');
      expect(await closed(busy)).to.equal('end');
      expect(await server.ended).to.equal(0);
      const files = readdirSync(saved).sort();
      expect(files).to.have.lengthOf(8);
      for (const [i, file] of files.entries()) {
        expect(readFileSync(join(saved, file)).equals(messages[i % 4]!)).to.equal(true);
      }
    });

    it('Ctrl+C that comes twice, from the terminal and from npm, counts once', async () => {
      // A terminal, and a slow clock: the second one is not late.
      const preload = `
        ${replaceExport('node:tty', 'isatty', '() => true')}
        const { setTimeout } = globalThis;
        globalThis.setTimeout = (callback, delay) => setTimeout(callback, 100 * delay);`;
      const { server, port } = await startListen([], { preload });
      const busy = await connectTo(port);
      busy.write(Buffer.concat([sized('one'), sized('twotwo').subarray(0, 5)]));
      await server.line(received(3));
      server.signal('SIGINT');
      await server.line(/^Stopping/);
      server.signal('SIGINT');
      busy.write(sized('twotwo').subarray(5));
      expect(await closed(busy)).to.equal('end');
      expect(await server.ended).to.equal(0);
      expect(lengthsIn(server.lines)).to.include(6);
      expect(server.errors).to.have.lengthOf(1);
    });

    describe('an answer that is being made', () => {
      /** The program of a message that is slow waits until the test lets it go on, others do not. */
      const answering = async (...more: string[]) => {
        const folder = temporaryDirectory();
        const command = `read x; echo "begin $x" >&2; case $x in slow*) until [ -e go ]; do sleep 0.02; done;; esac; echo "$x done"`;
        const started = await startListen(['--text', '--exec', command, ...more], {
          cwd: folder,
          group: true,
        });
        const ask = async (text: string) => {
          const socket = await connectTo(started.port);
          const answer = { text: '' };
          socket.on('data', (chunk) => (answer.text += chunk)).write(sized(`${text}\n`));
          await started.server.line(`begin ${text}`);
          return { socket, answer };
        };
        return { ...started, ask, letGo: () => writeFileSync(join(folder, 'go'), '') };
      };
      const slow = sized('slow done\n').toString();

      for (const signal of ['SIGINT', 'SIGTERM'] as const) {
        it(`is sent before the end: ${signal}`, async () => {
          const { server, ask, letGo } = await answering();
          const { socket, answer } = await ask('slow');
          server.signal(signal);
          await server.line('Stopping after the messages under way. Connections: 1. Ctrl+C again stops at once');
          letGo();
          expect(await closed(socket)).to.equal('end');
          expect(answer.text).to.equal(slow);
          expect(await server.ended).to.equal(0);
          expect(server.lines).to.deep.equal(['slow\\n']);
        });
      }

      it('is sent before the end: --count, which others have reached', async () => {
        const { server, ask, letGo } = await answering('--count', '1');
        const waiting = await ask('slow');
        const fast = await ask('fast');
        expect(await closed(fast.socket)).to.equal('end');
        letGo();
        expect(await closed(waiting.socket)).to.equal('end');
        expect([fast.answer.text, waiting.answer.text]).to.deep.equal([sized('fast done\n').toString(), slow]);
        expect(await server.ended).to.equal(0);
      });

      it('and those of messages that came before the signal, but no later ones', async () => {
        const { server, ask, letGo } = await answering();
        const { socket, answer } = await ask('slow');
        socket.write(Buffer.concat([sized('2\n'), sized('3\n').subarray(0, 5)]));
        await new Promise((resolve) => socket.write('', resolve));
        await ask('fast'); // Bytes that were sent before are there as well.
        server.signal('SIGTERM');
        await server.line(/^Stopping/);
        letGo();
        await server.line('begin 2');
        socket.write(Buffer.concat([sized('3\n').subarray(5), sized('late\n')]));
        expect(await closed(socket)).to.equal('end');
        expect(answer.text).to.equal(slow + sized('2 done\n') + sized('3 done\n'));
        expect(await server.ended).to.equal(0);
        expect(server.errors.filter((line) => /^begin/.test(line))).to.deep.equal(
          ['slow', 'fast', '2', '3'].map((text) => `begin ${text}`),
        );
      });

      it('is lost where a second signal comes: its client sees a reset', async () => {
        const { server, ask, letGo } = await answering();
        const { socket } = await ask('slow');
        server.signal('SIGINT');
        await server.line(/^Stopping/);
        server.signal('SIGINT');
        expect(await closed(socket)).to.equal('ECONNRESET');
        letGo();
        expect(await server.ended).to.equal('SIGINT');
      });
    });

    it('an echo of a message under way is sent before the end', async () => {
      const { server, port } = await startListen(['--echo']);
      const socket = await connectTo(port);
      socket.write(Buffer.concat([sized('one'), sized('two').subarray(0, 2)]));
      await server.line(received(3));
      server.signal('SIGTERM');
      await server.line(/^Stopping/);
      let answer = '';
      socket.on('data', (chunk) => (answer += chunk)).write(sized('two').subarray(2));
      expect(await closed(socket)).to.equal('end');
      expect(answer).to.equal(`${sized('one')}${sized('two')}`);
      expect(await server.ended).to.equal(0);
    });

    it('--count resets a client whose next message it does not take', async () => {
      const { server, port } = await startListen(['--count', '1']);
      const socket = await connectTo(port);
      socket.write(Buffer.concat([sized('1'), sized('22')]));
      expect(await closed(socket)).to.equal('ECONNRESET');
      await server.succeeds();
      expect(lengthsIn(server.lines)).to.deep.equal([1]);
    });

    it('a second signal ends it at once', async () => {
      const { server, port } = await startListen();
      const busy = await connectTo(port);
      busy.write(Buffer.concat([sized('one'), Buffer.from([1])]));
      await server.line(received(3));
      server.signal('SIGINT');
      await server.line(/^Stopping/);
      server.signal('SIGTERM');
      expect(await server.ended).to.equal('SIGTERM');
    });
  });

  describe('a peer written after the sample', () => {
    it('sends one message and closes', async () => {
      const { server, port } = await startListen();
      for (const size of [0, 1, 100_000]) {
        const socket = await connectTo(port);
        socket.write(sized(Buffer.alloc(size)), () => socket.destroy());
        await server.line(received(size));
      }
      server.signal('SIGTERM');
      await server.succeeds();
    });
  });
});

/** Tells when 100,000 bytes of a file are written. */
const WRITING = replaceWriteFile(`async (file, body) => original(file, async function* () {
  let written = 0;
  for await (const chunk of body) {
    yield chunk;
    if (written < 100_000 && written + chunk.length >= 100_000) console.log('written: 100000');
    written += chunk.length;
  }
}())`);

/** Files take their time to be written. */
function slowDisk(milliseconds: number): string {
  return replaceWriteFile(`async (...args) => {
    console.log('writing');
    await new Promise((resolve) => setTimeout(resolve, ${milliseconds}));
    return original(...args);
  }`);
}
