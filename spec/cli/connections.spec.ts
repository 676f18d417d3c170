import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { formats, framed } from '../../lib/index.js';
import { cleanUp, closed, connectTo, hasIPv6, listen, sized, temporaryDirectory } from '../support/programs.js';
import { runtime } from '../support/runtime.js';
import { cert, key } from '../torture/tls-fixture.js';
import { Command, received, startListen, startTap } from './command.js';

/** A port that nobody listens at: it was free a moment ago. */
async function freePort(): Promise<number> {
  const port = await listen(() => {});
  await cleanUp();
  return port;
}

function pem(): { certFile: string; keyFile: string } {
  const [certFile, keyFile] = ['cert', 'key'].map((name) => join(temporaryDirectory(), name)) as [string, string];
  writeFileSync(certFile, cert);
  writeFileSync(keyFile, key);
  return { certFile, keyFile };
}

describe('connections of the command', () => {
  afterEach(cleanUp);

  describe('lines', () => {
    it('are sent as they are typed, and answers printed; the end of the input ends it', async () => {
      const { port } = await startListen(['--echo']);
      const client = new Command(['connect', String(port), '--text']);
      client.child.stdin!.write('hello\nhalf');
      await client.line('hello');
      client.child.stdin!.end(' a line\r\n');
      await client.succeeds();
      expect(client.lines).to.deep.equal(['hello', 'half a line']);
    });

    it('may be NDJSON, which is checked, or hex', async () => {
      const { port } = await startListen(['--echo']);
      expect(await new Command(['connect', String(port), '--input', 'hex', '--hex']).output('00ff\n\n')).to.deep.equal([
        '00ff',
        '',
      ]);
      expect(
        await new Command(['connect', String(port), '--input', 'ndjson', '--raw']).output('{"a":1}\n'),
      ).to.deep.equal(['{"a":1}']);
      const bad = new Command(['connect', String(port), '--input', 'ndjson', '--text']);
      bad.child.stdin!.end('[1]\n[2\n');
      await bad.fails(/^length-prefix: line 2: .*JSON/);
    });

    it('answers are JSON with the fields that are documented', async () => {
      const { port } = await startListen(['--echo']);
      const [line] = await new Command(['connect', String(port), '--json', '--text']).output('hé\n');
      const { time, ...record } = JSON.parse(line!);
      expect(time).to.be.a('string');
      expect(record).to.deep.equal({
        connection: 1,
        direction: '<-',
        position: 0,
        length: 3,
        text: 'hé',
      });
    });
  });

  describe('listen', () => {
    it('--exec answers with what a program makes of each message, in order', async () => {
      const { server, port } = await startListen(['--exec', 'tr a-z A-Z']);
      const client = framed(await connectTo(port));
      for (const message of ['one', '', 'x'.repeat(300_000)]) client.write(message);
      client.end();
      expect((await client.toArray()).map(String)).to.deep.equal(['ONE', '', 'X'.repeat(300_000)]);
      expect(server.errors).to.deep.equal([]);
    });

    it('--exec: a program that fails, or says too much, resets the connection', async () => {
      for (const [command, args, line] of [
        ['exit 3', [], /--exec: the program ended with exit code 3$/],
        ['kill -9 $$', [], /--exec: the program ended with SIGKILL$/],
        ['yes', ['--max-payload-length', '1000'], /--exec: the answer has more than 1000 bytes/],
      ] as [string, string[], RegExp][]) {
        const { server, port } = await startListen(['--exec', command, ...args]);
        const socket = await connectTo(port);
        socket.write(sized('x'));
        expect(await closed(socket)).to.equal('ECONNRESET');
        await server.line(line);
      }
    });

    it('--count stops it after so many messages', async () => {
      const { server, port } = await startListen(['--count', '2']);
      const socket = await connectTo(port);
      socket.write(Buffer.concat(['1', '2', '3'].map(sized)));
      await server.ended;
      await server.succeeds();
      expect(server.lines).to.have.lengthOf(2);
    });

    it('--frame-timeout ends who begins a frame and does not go on', async () => {
      const { server, port } = await startListen(['--frame-timeout', '50']);
      const socket = await connectTo(port);
      socket.write(sized('hello').subarray(0, 5));
      await closed(socket);
      expect(await server.line(/ERR_FRAME_TIMEOUT/)).to.match(/^127\.0\.0\.1:\d+ ERR_FRAME_TIMEOUT: Frame at byte 0/);
    });

    it('--whole shows, keeps and sends back frames with all that they have', async () => {
      const { server, port } = await startListen(['--echo', '--whole', '--format', 'netstring', '--text']);
      const socket = await connectTo(port);
      socket.end('2:hi,');
      let answer = '';
      socket.on('data', (chunk) => (answer += chunk));
      await closed(socket);
      expect(answer).to.equal('2:hi,');
      expect(server.lines).to.deep.equal(['2:hi,']);
    });

    it('prints all of what comes in parts, one message after the other', async () => {
      const { server, port } = await startListen(['--hex']);
      const [one, other] = await Promise.all([connectTo(port), connectTo(port)]);
      const long = Buffer.alloc(3_000_000, 1);
      one.write(sized(long).subarray(0, -1));
      await new Promise(setImmediate);
      other.end(sized(Buffer.alloc(2_000_000, 2)));
      one.end(long.subarray(-1));
      await Promise.all([closed(one), closed(other)]);
      server.signal('SIGTERM');
      await server.succeeds();
      expect(server.lines.map((line) => line.length).sort()).to.deep.equal([4_000_000, 6_000_000]);
    });

    it('is a connection on its standard input and output', async () => {
      const program = new Command(['listen', 'stdio:', '--echo'], { binary: true });
      const messages = framed({ readable: program.child.stdout!, writable: program.child.stdin! });
      messages.write('hello');
      messages.end();
      expect((await messages.toArray()).map(String)).to.deep.equal(['hello']);
      expect(await program.ended).to.equal(0);
      expect(program.notices.join('\n')).to.match(received(5));
    });
  });

  it('Unix sockets, for all three', async function () {
    if (process.platform === 'win32') this.skip();
    const [near, far] = ['near', 'far'].map((name) => join(temporaryDirectory(), name)) as [string, string];
    const server = new Command(['listen', `unix:${far}`, '--echo']);
    expect(await server.line(/^Listening/)).to.equal(`Listening on unix:${far}`);
    const tap = new Command(['tap', '--listen', `unix:${near}`, `unix:${far}`]);
    await tap.line(/^Listening/);
    expect(await new Command(['connect', `unix:${near}`, '--text']).output('hello\n')).to.deep.equal(['hello']);
    await tap.line(/<- end/);
    await new Command(['listen', `unix:${far}`]).fails(/^length-prefix: listen EADDRINUSE: /);
    server.signal('SIGTERM');
    await server.ended;
    expect(existsSync(far)).to.equal(false);
  });

  describe('a reset right behind data', () => {
    before(function () {
      if (process.platform === 'win32' || runtime !== 'node') this.skip();
    });
    const times = 20;
    const sendAndReset = async (at: number) => {
      for (let i = 0; i < times; i++) {
        const socket = await connectTo(at);
        socket.write(sized('x'.repeat(5000)), () => socket.resetAndDestroy());
      }
    };

    it('is no end for a listener', async () => {
      const { server, port } = await startListen();
      await sendAndReset(port);
      await server.line(/ read ECONNRESET$/, times);
    });

    it('is no end for a tap', async () => {
      const { port: target } = await startListen();
      const { server: tap, port } = await startTap(target);
      await sendAndReset(port);
      await tap.line(/-> read ECONNRESET$/, times);
    });

    it('is no end for connect, which has ended its own side', async () => {
      const port = await listen((socket) =>
        socket.resume().once('end', () => socket.write(sized('answer'), () => socket.resetAndDestroy())),
      );
      for (let i = 0; i < 5; i++) {
        const client = new Command(['connect', String(port), '--text']);
        client.child.stdin!.end('hello\n');
        await client.fails(/^length-prefix: read ECONNRESET$/);
      }
    });
  });

  it('a client that does not speak TLS is reset, and named', async () => {
    const { certFile, keyFile } = pem();
    const { server, port } = await startListen(['--tls', '--cert', certFile, '--key', keyFile]);
    const plain = await connectTo(port);
    plain.end(sized('hello'));
    expect(await closed(plain)).to.equal('ECONNRESET');
    await server.line(/^127\.0\.0\.1:\d+ .*(SSL|TLS)/);
  });

  it('TLS, checked, with a name, with a certificate of the client, and unchecked', async () => {
    const { certFile, keyFile } = pem();
    const { port } = await startListen(['--tls', '--cert', certFile, '--key', keyFile, '--echo']);
    const connect = (...args: string[]) => new Command(['connect', `127.0.0.1:${port}`, '--tls', '--text', ...args]);
    expect(await connect('--cacert', certFile, '--servername', 'localhost').output('hello\n')).to.deep.equal(['hello']);
    expect(await connect('--insecure').output('hello\n')).to.deep.equal(['hello']);
    expect(await connect('-k', '--cert', certFile, '--key', keyFile).output('hello\n')).to.deep.equal(['hello']);
    await connect().fails(/^length-prefix: DEPTH_ZERO_SELF_SIGNED_CERT: /);
    await connect('--cacert', certFile, '--servername', 'example.com').fails(
      /^length-prefix: ERR_TLS_CERT_ALTNAME_INVALID: /,
    );
    const { server: tap, port: tapPort } = await startTap(port, ['--tls', '-k']);
    expect(await new Command(['connect', String(tapPort), '--text']).output('hello\n')).to.deep.equal(['hello']);
    await tap.line(/<- end/);
    expect(tap.lines.filter((line) => line.includes('....hello'))).to.have.lengthOf(2);
  });

  describe('connect', () => {
    it('--count ends it after so many answers; --wait when none comes any more', async () => {
      const port = await listen((socket) => socket.write(Buffer.concat(['1', '2', '3'].map(sized))));
      const counted = new Command(['connect', String(port), '--text', '--count', '2']);
      await counted.succeeds();
      expect(counted.lines).to.deep.equal(['1', '2']);
      const waiting = new Command(['connect', String(port), '--text', '--wait', '0.2']);
      expect(await waiting.output()).to.deep.equal(['1', '2', '3']);
    });

    it('--wait is the longest time to connect, too', async () => {
      // It never answers the TLS hello.
      const port = await listen(() => {});
      await new Command(['connect', String(port), '--tls', '--wait', '0.2']).fails(
        /^length-prefix: No connection within 0\.2 seconds \(--wait\)$/,
      );
    });

    it('--retry tries again until somebody listens', async () => {
      const port = await freePort();
      const client = new Command(['connect', String(port), '--retry', '3', '--text'], {
        notices: /trying again in 1 s/,
      });
      client.child.stdin!.end('hello\n');
      await client.line(/^connect ECONNREFUSED 127\.0\.0\.1:\d+: trying again in 1 s$/);
      const server = new Command(['listen', '--port', String(port), '--echo']);
      await server.line(/^Listening/);
      await client.line('hello');
      expect(await client.ended).to.equal(0);
    });

    it('draws an answer that is none', async () => {
      const port = await listen((socket) => socket.resume().end('HTTP/1.1 400 Bad Request\r\n'));
      const client = new Command(['connect', String(port)]);
      expect(await client.ended).to.equal(3);
      expect(client.errors).to.have.lengthOf(1);
      expect(client.errors[0]).to.match(/^length-prefix: ERR_FRAME_TOO_LONG: .* look like HTTP$/);
      expect(client.notices[2]).to.match(/^ {2}came {6}48 54 54 50 {2}/);
    });

    it('Ctrl+C ends it in good order', async () => {
      const { server, port } = await startListen();
      const client = new Command(['connect', String(port)]);
      client.child.stdin!.write('hello\n');
      await server.line(received(5));
      client.signal('SIGINT');
      expect(await client.ended).to.equal(130);
      expect(client.errors).to.deep.equal([]);
      server.signal('SIGTERM');
      await server.succeeds();
    });

    it('is a connection on its standard input and output', async () => {
      const file = join(temporaryDirectory(), 'file');
      writeFileSync(file, 'hello');
      const program = new Command(['connect', 'stdio:', file], { binary: true });
      const messages = framed({ readable: program.child.stdout!, writable: program.child.stdin! });
      messages.write('answer');
      expect(String((await once(messages, 'data'))[0])).to.equal('hello');
      messages.end();
      expect(await program.ended).to.equal(0);
      expect(program.notices.join('\n')).to.include('answer');
      await new Command(['connect', 'stdio:']).fails(/^length-prefix: With stdio: /, 2);
    });
  });

  describe('tap', () => {
    it('--json --output keeps what decode reads', async () => {
      const { port: target } = await startListen(['--echo']);
      const output = join(temporaryDirectory(), 'seen');
      const { server: tap, port } = await startTap(target, ['--json', '--output', output]);
      await new Command(['connect', String(port), '--quiet']).output('hello\n\n');
      tap.signal('SIGTERM');
      await tap.succeeds();
      expect(tap.lines).to.deep.equal([]);
      const lines = await new Command(['decode', output]).output();
      expect(lines.filter((line) => / (->|<-) +0 - +9 05 00 00 00 68 65 6c 6c 6f /.test(line))).to.have.lengthOf(2);
      expect(lines.filter((line) => / (->|<-) +9 - +4 00 00 00 00 /.test(line))).to.have.lengthOf(2);
      const events = readFileSync(output, 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).event);
      expect(events.map((event) => event ?? 'message').sort()).to.deep.equal([
        ...['end', 'end'],
        ...Array(4).fill('message'),
        'open',
      ]);
    });

    it('--count stops it, and resets what is open', async () => {
      const { port: target } = await startListen(['--echo']);
      const { server: tap, port } = await startTap(target, ['--count', '1']);
      const socket = await connectTo(port);
      socket.write(sized('hello'));
      expect(await closed(socket)).to.equal('ECONNRESET');
      await tap.succeeds();
      expect(tap.lines.slice(1)).to.have.lengthOf(1);
    });

    it('--count shows so many, and passes on what it has shown before it resets both sides', async () => {
      const got: Buffer[] = [];
      const resets: Promise<string>[] = [];
      const target = await listen((socket) => {
        socket.on('data', (chunk: Buffer) => got.push(chunk));
        resets.push(closed(socket));
      });
      // The operating system takes its time.
      const preload = `
        import { Socket } from 'node:net';
        const { _write } = Socket.prototype;
        Socket.prototype._write = function (...args) {
          if (this.remotePort === undefined) _write.apply(this, args);
          else setTimeout(() => _write.apply(this, args), 100);
        };`;
      const { server: tap, port } = await startTap(target, ['--count', '2'], { preload });
      const socket = await connectTo(port);
      const bytes = Buffer.concat(['1', '2', '3', '4'].map(sized));
      socket.write(bytes);
      expect(await closed(socket)).to.equal('ECONNRESET');
      await tap.succeeds();
      expect(tap.lines.slice(1)).to.have.lengthOf(2);
      await Promise.all(resets);
      expect(Buffer.concat(got).equals(bytes)).to.equal(true);
    });

    it('--pcap writes packets of which the bytes are those of the connection', async () => {
      const { port: target } = await startListen(['--echo']);
      const file = join(temporaryDirectory(), 'pcap');
      const { server: tap, port } = await startTap(target, ['--pcap', file]);
      const text = 'x'.repeat(100_000);
      await new Command(['connect', String(port), '--quiet']).output(`${text}\n`);
      tap.signal('SIGTERM');
      await tap.ended;
      const capture = readFileSync(file);
      expect(payloads(capture, port)).to.deep.equal({ there: sized(text), back: sized(text) });
      const lines = await new Command(['decode', file]).output();
      expect(lines[0]).to.match(/^#1 is 127\.0\.0\.1:\d+$/);
      const messages = lines.filter((line) => / #1 +(->|<-) +0 - +100004 a0 86 01 00 78 /.test(line));
      expect(messages).to.have.lengthOf(2);
      expect(lines.filter((line) => line.endsWith('end, after 100004 bytes'))).to.have.lengthOf(2);

      // Packets twice, and in another order: those with the bytes are turned round.
      const packets = packetsOf(capture);
      const [first, rest] = [packets.slice(0, 3), packets.slice(3)];
      writeFileSync(file, Buffer.concat([capture.subarray(0, 24), ...first, ...rest.reverse(), ...rest]));
      expect(
        (await new Command(['decode', file]).output()).filter((line) => line.includes(' 100004 a0 ')),
      ).to.have.lengthOf(2);
      writeFileSync(file, Buffer.concat([capture.subarray(0, 24), ...packets.slice(0, 3), ...packets.slice(4)]));
      const broken = new Command(['decode', file]);
      expect(await broken.ended).to.equal(1);
      expect(broken.lines.filter((line) => line.includes('A packet is not in the capture'))).to.have.lengthOf(1);
    });

    it('--pcap is decoded as the bytes are: so many messages, and an exit code for what is not in the format', async () => {
      const { port: target } = await startListen();
      const file = join(temporaryDirectory(), 'pcap');
      const { server: tap, port } = await startTap(target, ['--pcap', file]);
      const socket = await connectTo(port);
      const bytes = Buffer.concat(['1', '2', '3', '4'].map(sized));
      socket.end(bytes);
      await closed(socket);
      tap.signal('SIGTERM');
      await tap.ended;
      for (const form of [['--hex'], ['--json'], []]) {
        const lines = await new Command(['decode', file, '--count', '2', ...form]).output();
        expect(lines.filter((line) => !/#1 is|"open"/.test(line))).to.have.lengthOf(2);
      }

      const capture = readFileSync(file);
      capture[capture.indexOf(bytes) + bytes.length - 2] = 0xff;
      writeFileSync(file, capture);
      for (const form of ['--hex', '--json']) {
        const decode = new Command(['decode', file, form]);
        expect(await decode.ended).to.equal(3);
        const told = [...decode.lines, ...decode.errors].filter((line) => line.includes('ERR_FRAME_TOO_LONG'));
        expect(told).to.have.lengthOf(1);
        expect(told[0]).to.include('All that follows in this direction is not decoded').and.not.include('passed on');
      }
    });

    it('--pcap has the addresses of IPv6, and decode shows them', async function () {
      if (!hasIPv6()) this.skip();
      const { port: target } = await startListen(['--echo']);
      const file = join(temporaryDirectory(), 'pcap');
      const { server: tap, port } = await startTap(target, ['--listen', '[::1]:0', '--pcap', file]);
      await new Command(['connect', `[::1]:${port}`, '--quiet']).output('hello\n');
      tap.signal('SIGTERM');
      await tap.ended;
      const capture = readFileSync(file);
      expect(payloads(capture, port)).to.deep.equal({ there: sized('hello'), back: sized('hello') });
      const loopback = `${'00'.repeat(15)}01`;
      for (const packet of packetsOf(capture)) {
        expect(packet.toString('hex', 16 + 8, 16 + 40)).to.equal(loopback + loopback);
      }
      const lines = await new Command(['decode', file]).output();
      expect(lines[0]).to.match(/^#1 is \[::1\]:\d+$/);
      expect(lines.filter((line) => / #1 +(->|<-) +0 - +9 05 00 00 00 68 65 6c 6c 6f /.test(line))).to.have.lengthOf(2);
    });
  });

  it('MQTT’s format, of the catalogue, in both directions', async () => {
    const { port } = await startListen(['--format', 'mqtt', '--echo']);
    const message = Buffer.from('3007000361 2f626869'.replace(' ', ''), 'hex');
    const lines = await new Command(['connect', String(port), '--format', 'mqtt', '--input', 'hex', '--hex']).output(
      `${message.toString('hex')}\n`,
    );
    expect(lines).to.deep.equal([message.toString('hex')]);
    expect(formats.mqtt.lengthFieldOffset).to.equal(1);
  });
});

/** The packets of a capture, each with its head. */
function packetsOf(capture: Buffer): Buffer[] {
  const packets: Buffer[] = [];
  for (let at = 24; at < capture.length; at += packets.at(-1)!.length) {
    packets.push(capture.subarray(at, at + 16 + capture.readUInt32LE(at + 8)));
  }
  return packets;
}

/** The bytes in the packets of a capture, to a port and from it. */
function payloads(capture: Buffer, port: number): { there: Buffer; back: Buffer } {
  const [there, back]: [Buffer[], Buffer[]] = [[], []];
  expect(capture.readUInt32LE(0)).to.equal(0xa1b2c3d4);
  const next = new Map<number, number>();
  for (let at = 24; at < capture.length; ) {
    const length = capture.readUInt32LE(at + 8);
    const packet = capture.subarray(at + 16, at + 16 + length);
    at += 16 + length;
    const isIPv4 = packet[0] === 0x45;
    if (isIPv4) {
      expect(packet.readUInt16BE(2)).to.equal(length);
      let sum = 0;
      for (let i = 0; i < 20; i += 2) sum += packet.readUInt16BE(i);
      expect((sum & 0xffff) + (sum >>> 16)).to.equal(0xffff);
    } else {
      expect(packet.toString('hex', 0, 4)).to.equal('60000000');
      expect(packet.readUInt16BE(4)).to.equal(length - 40);
      expect(packet[6]).to.equal(6);
    }
    const tcp = packet.subarray(isIPv4 ? 20 : 40);
    const [source, sequence, flags] = [tcp.readUInt16BE(0), tcp.readUInt32BE(4), tcp[13]!];
    expect(sequence).to.equal(next.get(source) ?? 0);
    const data = tcp.subarray(20);
    next.set(source, sequence + data.length + (flags & 3 ? 1 : 0));
    (source === port ? back : there).push(data);
  }
  return { there: Buffer.concat(there), back: Buffer.concat(back) };
}
