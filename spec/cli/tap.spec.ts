import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { connect as tlsConnect, createServer as tlsCreateServer } from 'node:tls';
import { expect } from 'chai';
import fc from 'fast-check';
import { whole } from '../../lib/cli/conversation.js';
import { anyCut } from '../../lib/fuzz/index.js';
import { type FormatOptions, formats } from '../../lib/index.js';
import { drawings } from '../support/drawings.js';
import { cleanUp, closed, connecting, connectTo, listen, sized, temporaryDirectory } from '../support/programs.js';
import { runs } from '../support/runs.js';
import { decode, fromHex } from '../support/streams.js';
import { cert, key } from '../torture/tls-fixture.js';
import { Command, startListen, startTap, tapped } from './command.js';

describe('length-prefix tap', () => {
  afterEach(cleanUp);

  /** A tap in front of a server of the test's own, and what opens the two ends of connections through it. */
  async function startPair(args: string[] = [], preload?: string) {
    const waiting: ((socket: Socket) => void)[] = [];
    const target = await listen((socket) => waiting.shift()!(socket));
    const { server: tap, port } = await startTap(target, args, { preload });
    const open = async (): Promise<[client: Socket, server: Socket]> => {
      const accepted = new Promise<Socket>((resolve) => waiting.push(resolve));
      return [await connectTo(port), await accepted];
    };
    return { tap, open };
  }

  /** Its lines without the time. */
  const timeless = (tap: Command) => tap.lines.filter((line) => /^ *\d+ #/.test(line)).map((line) => line.slice(8));
  const messagesOf = (tap: Command, connection = 1) =>
    tapped(tap)
      .filter(({ number }) => number === connection)
      .map(({ direction, position, type, length }) => `${direction} ${position} ${type} ${length}`);

  /** What comes to the end of one direction. (`toArray` would close the other one, too.) */
  async function received(socket: Socket): Promise<Buffer> {
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    await once(socket, 'end');
    return Buffer.concat(chunks);
  }

  /** Sends bytes in pieces of this size, each of which has to arrive before the next one is sent. */
  async function pass(from: Socket, to: Socket, bytes: Buffer, size: number): Promise<void> {
    for (let at = 0; at < bytes.length; at += size) {
      const piece = bytes.subarray(at, at + size);
      from.write(piece);
      const arrived: Buffer[] = [];
      while (Buffer.concat(arrived).length < piece.length) arrived.push((await once(to, 'data'))[0]);
      expect(Buffer.concat(arrived)).to.deep.equal(piece);
    }
  }

  it('prints what the client sends to the server, aligned', async () => {
    const { port: target } = await startListen();
    const { server: tap, port } = await startTap(target);
    const files = ['hello world', '', 'x'.repeat(70_000)].map((text, i) => {
      const file = join(temporaryDirectory(), `${i}`);
      writeFileSync(file, text);
      return file;
    });
    await new Command(['connect', String(port), ...files]).succeeds();
    await tap.line(/<- end/);
    expect(tap.lines[0]).to.match(/^#1 is 127\.0\.0\.1:\d+$/);
    expect(timeless(tap)).to.deep.equal([
      '#1  ->          0 -           15 0b 00 00 00 68 65 6c 6c 6f 20 77 6f 72 6c 64     ....hello world',
      '#1  ->         15 -            4 00 00 00 00                                      ....',
      '#1  ->         19 -        70004 70 11 01 00 78 78 78 78 78 78 78 78 78 78 78 78  p...xxxxxxxxxxxx',
      '#1  -> end, after 70023 bytes',
      '#1  <- end, after 0 bytes',
    ]);
    expect(tap.errors).to.deep.equal([]);
  });

  it('takes the format by name or by option, and prints as many bytes as are asked for', async () => {
    const { tap, open } = await startPair(['--format', 'mqtt', '--bytes', '3']);
    const [client, server] = await open();
    await pass(client, server, fromHex('30 07 0003612f626869 c000'), 1);
    const other = await startPair(['--length-field=uint16be', '--length-field-offset=2', '--length-adjustment=-4']);
    const [client2, server2] = await other.open();
    await pass(client2, server2, fromHex('ca01 0005 ff'), 1);
    client.end();
    client2.end();
    await tap.line(/-> end/);
    await other.tap.line(/-> end/);
    expect(timeless(tap).slice(0, 2)).to.deep.equal([
      '#1  ->          0 30 0         9 30 07 00  0..',
      '#1  ->          9 c0 .         2 c0 00     ..',
    ]);
    expect(messagesOf(other.tap)).to.deep.equal(['-> 0 ca . 5']);
  });

  it('passes on any bytes unchanged, however they are cut', async () => {
    const { tap, open } = await startPair(['--max-payload-length', '300']);
    const bytes = fc
      .array(fc.oneof(fc.uint8Array({ maxLength: 300 }).map(sized), fc.uint8Array({ maxLength: 20 })), { maxLength: 6 })
      .map((parts) => Buffer.concat(parts));
    const cutBytes = bytes.chain((whole) => anyCut(whole, { boundaries: {} }));
    const send = async (socket: Socket, pieces: Buffer[]) => {
      for (const piece of pieces) await new Promise((resolve) => socket.write(piece, resolve));
      socket.end();
    };
    let count = 0;
    await fc.assert(
      fc.asyncProperty(cutBytes, cutBytes, async (there, back) => {
        const [client, server] = await open();
        const arriving = Promise.all([received(client), received(server)]);
        count++;
        await Promise.all([send(client, there), send(server, back)]);
        expect(await arriving).to.deep.equal([Buffer.concat(back), Buffer.concat(there)]);
      }),
      { numRuns: runs(50) },
    );
    await tap.line(new RegExp(`^#${count} is`));
    expect(tap.errors).to.deep.equal([]);
  });

  const startUp = '00000012 00030000 7573657200 626f6200 00';
  const conversations: Record<string, [direction: '->' | '<-', hex: string, printed: string][]> = {
    'without encryption, after two requests for it': [
      ['->', '00000008 04d21630', '-> 0 - 8'],
      ['<-', '4e', '<- 0 - 1'],
      ['->', '00000008 04d2162f', '-> 8 - 8'],
      ['<-', '4e', '<- 1 - 1'],
      ['->', startUp, '-> 16 - 18'],
      ['<-', '52 00000008 00000000', '<- 2 52 R 9'],
      ['<-', '5a 00000005 49', '<- 11 5a Z 6'],
      ['->', '51 0000000d 53454c454354203100', '-> 34 51 Q 14'],
      ['->', '58 00000004', '-> 48 58 X 5'],
    ],
    'without a request': [
      ['->', startUp, '-> 0 - 18'],
      ['<-', '45 00000005 00', '<- 0 45 E 6'],
    ],
    'in TLS': [
      ['->', '00000008 04d2162f', '-> 0 - 8'],
      ['<-', '53', '<- 0 - 1'],
      ['->', '16 0301 0003 010000', '-> 8 16 . 8'],
      ['<-', '16 0303 0002 0200', '<- 1 16 . 7'],
      ['<-', '17 0303 0001 ff', '<- 8 17 . 6'],
      ['->', '17 0303 0001 ff', '-> 16 17 . 6'],
    ],
    'in TLS from the first byte on': [
      ['->', '16 0301 0003 010000', '-> 0 16 . 8'],
      ['<-', '16 0303 0002 0200', '<- 0 16 . 7'],
      ['->', '17 0303 0001 ff', '-> 8 17 . 6'],
      ['<-', '17 0303 0001 ff', '<- 7 17 . 6'],
    ],
    'in GSSAPI': [
      ['->', '00000008 04d21630', '-> 0 - 8'],
      ['<-', '47', '<- 0 - 1'],
      ['->', '00000003 603040', '-> 8 - 7'],
      ['<-', '00000002 6030', '<- 1 - 6'],
      ['->', '00000001 00', '-> 15 - 5'],
    ],
    'with a server that knows of no encryption': [
      ['->', '00000008 04d2162f', '-> 0 - 8'],
      ['<-', '45 00000007 4d7800', '<- 0 45 E 8'],
      ['->', startUp, '-> 8 - 18'],
      ['<-', '5a 00000005 49', '<- 8 5a Z 6'],
    ],
    'that asks to cancel': [['->', '00000010 04d2162e 00000001 00000002', '-> 0 - 16']],
    'with start-ups that are none': [
      ['->', '00000006 0000', '-> 0 - 6'],
      ['<-', '45 00000005 00', '<- 0 45 E 6'],
    ],
  };
  for (const [title, steps] of Object.entries(conversations)) {
    it(`follows a PostgreSQL connection ${title}, in any chunks`, async () => {
      const { tap, open } = await startPair(['--format', 'postgres']);
      for (const [i, size] of [1, 5, 1000].entries()) {
        const [client, server] = await open();
        for (const [direction, hex] of steps) {
          const [from, to] = direction === '->' ? [client, server] : [server, client];
          await pass(from, to, fromHex(hex), size);
        }
        client.end();
        server.end();
        await Promise.all([tap.line(/-> end/, i + 1), tap.line(/<- end/, i + 1)]);
        expect(messagesOf(tap, i + 1)).to.deep.equal(steps.map(([, , printed]) => printed));
      }
    });
  }

  it('follows an AMQP connection, whose frames have a trailer, in any chunks', async () => {
    const { tap, open } = await startPair(['--format', 'amqp']);
    for (const [i, size] of [1, 1000].entries()) {
      const [client, server] = await open();
      await pass(client, server, Buffer.from('AMQP\0\0\x09\x01'), size);
      await pass(server, client, fromHex('01 0000 00000004 000a000a ce 08 0000 00000000 ce'), size);
      await pass(client, server, fromHex('01 0000 00000004 000a000b ce'), size);
      client.end();
      server.end();
      await Promise.all([tap.line(/-> end/, i + 1), tap.line(/<- end/, i + 1)]);
      const printed = messagesOf(tap, i + 1);
      expect(printed).to.have.members(['-> 0 41 A 8', '<- 0 01 . 12', '<- 12 08 . 8', '-> 8 01 . 12']);
    }
  });

  it('knows the place of messages with a trailer', async () => {
    const { tap, open } = await startPair(['--format', 'netstring']);
    const [client, server] = await open();
    await pass(client, server, Buffer.from('5:hello,0:,'), 3);
    client.end();
    await tap.line(/-> end/);
    expect(messagesOf(tap)).to.deep.equal(['-> 0 - 8', '-> 8 - 3']);
  });

  it('prints more than one message of a start-up that come together', async () => {
    const { tap, open } = await startPair(['--format', 'postgres']);
    const [client, server] = await open();
    await pass(client, server, fromHex(`${startUp} 51 0000000d 53454c454354203100 58 00000004`), 1000);
    client.end();
    await tap.line(/-> end/);
    expect(messagesOf(tap)).to.deep.equal(['-> 0 - 18', '-> 18 51 Q 14', '-> 32 58 X 5']);
  });

  it('prints the records of a TLS connection', async () => {
    const secure = tlsCreateServer({ key, cert }, (socket) => socket.pipe(socket));
    secure.listen(0, '127.0.0.1');
    await once(secure, 'listening');
    const { server: tap, port } = await startTap((secure.address() as { port: number }).port, ['--format', 'tls']);
    const socket = tlsConnect({ port, host: '127.0.0.1', servername: 'localhost', ca: [cert] });
    const message = randomBytes(100_000);
    socket.end(message);
    expect(Buffer.concat(await socket.toArray())).to.deep.equal(message);
    secure.close();
    await Promise.all([tap.line(/-> end/), tap.line(/<- end/)]);
    for (const direction of ['->', '<-']) {
      const records = messagesOf(tap).filter((line) => line.startsWith(direction));
      expect(records[0]).to.match(/ 0 16 \. \d+$/);
      expect(records.at(-1)).to.match(/ 17 \. \d+$/);
      const bytes = records.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
      expect(bytes).to.be.above(message.length);
      expect(timeless(tap)).to.include(`#1  ${direction} end, after ${bytes} bytes`);
    }
  });

  it('says what is not in the format, passes it on, and decodes the other direction on', async () => {
    const { tap, open } = await startPair(['--max-payload-length', '1000']);
    const [client, server] = await open();
    await pass(client, server, Buffer.concat([sized('well'), Buffer.from('GET / HTTP/1.1\r\n')]), 3);
    await pass(server, client, sized('answer'), 2);
    await pass(client, server, Buffer.from('Host: x\r\n\r\n'), 3);
    await pass(server, client, sized('answer'), 2);
    client.end();
    server.end();
    await Promise.all([tap.line(/-> end, after 35 bytes/), tap.line(/<- end, after 20 bytes/)]);
    expect(messagesOf(tap)).to.deep.equal(['-> 0 - 8', '<- 0 - 10', '<- 10 - 10']);
    expect(timeless(tap)[1]).to.match(
      /^#1 {2}-> ERR_FRAME_TOO_LONG: Frame at byte 8: .* at most 1000 are allowed \(--max-payload-length\); .* look like HTTP\. All that follows is passed on, but not decoded$/,
    );
    expect(tap.lines).to.have.lengthOf(11);
    expect(tap.errors).to.deep.equal([]);
  });

  it('knows the place of a fault behind a start-up', async () => {
    const { tap, open } = await startPair(['--format', 'postgres']);
    const [client, server] = await open();
    await pass(client, server, fromHex(`${startUp} 58 00000004 58 00000003`), 5);
    await tap.line(/ERR/);
    // Whatever follows.
    await pass(client, server, Buffer.alloc(100_000), 100_000);
    expect(messagesOf(tap)).to.deep.equal(['-> 0 - 18', '-> 18 58 X 5']);
    expect(timeless(tap).at(-1)).to.match(/-> ERR_FRAME_CORRUPT: Frame at byte 23: .* but not decoded$/);
    const [other, otherServer] = await open();
    await pass(other, otherServer, Buffer.from('GET / HTTP/1.1\r\n\r\n'), 100);
    expect(await tap.line(/#2 .*ERR/)).to.match(/Frame at byte 0: .* look like HTTP\./);
  });

  it('prints what came of a message that is not whole, and says so', async () => {
    const { tap, open } = await startPair();
    const [client, server] = await open();
    await pass(client, server, sized('hello').subarray(0, 7), 7);
    client.end();
    await tap.line(/ERR/);
    await pass(server, client, sized('hello').subarray(0, 3), 7);
    server.resetAndDestroy();
    expect(await closed(client)).to.equal('ECONNRESET');
    await tap.line(/ERR/, 2);
    expect(timeless(tap)).to.deep.equal([
      '#1  ->          0 -            9 05 00 00 00 68 65 6c                             ....hel ... incomplete',
      '#1  -> ERR_FRAME_TRUNCATED: Frame at byte 0: the input ended after 7 of 9 bytes',
      '#1  <- read ECONNRESET',
      '#1  <- ERR_FRAME_TRUNCATED: Frame at byte 0: the input ended after 3 of 4 bytes up to the end of the length field',
    ]);
  });

  it('passes on the end of each direction by itself, and resets', async () => {
    const { tap, open } = await startPair();
    for (const isClient of [true, false]) {
      const inOrder = async () => {
        const [client, server] = await open();
        return isClient ? ([client, server] as const) : ([server, client] as const);
      };
      const [one, other] = await inOrder();
      const lastWords = received(other);
      one.end(sized('last words'));
      expect(await lastWords).to.deep.equal(sized('last words'));
      // After that, the other direction still works.
      await pass(other, one, sized('an answer'), 4);
      other.end();
      expect(await closed(one)).to.equal('end');

      const [cutOff, peer] = await inOrder();
      await pass(cutOff, peer, sized('well'), 8);
      cutOff.resetAndDestroy();
      expect(await closed(peer)).to.equal('ECONNRESET');
    }
    await tap.line(/<- read ECONNRESET/);
    // A reset is no end.
    const well = '         0 -            8 04 00 00 00 77 65 6c 6c                          ....well';
    expect(timeless(tap).filter((line) => /^#[24]/.test(line))).to.deep.equal([
      `#2  -> ${well}`,
      '#2  -> read ECONNRESET',
      `#4  <- ${well}`,
      '#4  <- read ECONNRESET',
    ]);
    expect(tap.errors).to.deep.equal([]);
  });

  it('resets a client that there is no server for', async () => {
    const target = await listen(() => {});
    await cleanUp();
    const { server: tap, port } = await startTap(target);
    expect(await closed(connecting(port))).to.equal('ECONNRESET');
    await tap.line(/^ *\d+ #1 {2}<- connect ECONNREFUSED 127\.0\.0\.1:\d+$/);
    expect(tap.errors).to.deep.equal([]);
  });

  for (const direction of ['->', '<-']) {
    it(`lets ${direction === '->' ? 'a client' : 'the server'} send no faster than the other reads, in little memory`, async () => {
      const preload = `
        import { peakMemory } from '${new URL('../support/peak.js', import.meta.url)}';
        process.on('SIGTERM', () => process.exit());
        process.on('exit', () => console.log('peak', peakMemory()));`;
      const { tap, open } = await startPair(['--max-payload-length', '100000000'], preload);
      const [one, other] = await open();
      const [sender, reader] = direction === '->' ? [one, other] : [other, one];
      const messages = 6;
      const message = sized(randomBytes(50_000_000));
      for (let i = 0; i < messages; i++) sender.write(message);
      // The tap goes round its event loop twice for each.
      const [client, server] = await open();
      for (let i = 0; i < 500; i++) {
        await pass(client, server, Buffer.of(0, 0, 0, 0), 4);
        await pass(server, client, Buffer.of(0, 0, 0, 0), 4);
      }
      expect(sender.writableLength).to.be.above(messages * message.length - message.length - 1);

      sender.end();
      let received = 0;
      for await (const chunk of reader) {
        const at = received % message.length;
        const same = Math.min(chunk.length, message.length - at);
        expect(chunk.subarray(0, same).equals(message.subarray(at, at + same))).to.equal(true);
        received += chunk.length;
      }
      expect(received).to.equal(messages * message.length);
      await tap.line(new RegExp(`${direction} end`));
      expect(
        messagesOf(tap).filter((line) => line.startsWith(`${direction} `) && line.endsWith(`${message.length}`)),
      ).to.deep.equal(
        Array.from({ length: messages }, (_, i) => `${direction} ${i * message.length} - ${message.length}`),
      );
      tap.signal('SIGTERM');
      await tap.succeeds();
      // Of 300 MB; runtimes take back late what sockets have read.
      expect(Number(tap.lines.at(-1)!.slice('peak '.length))).to.be.within(10_000_000, 200_000_000);
    });
  }

  it('refuses options that make no sense in one line', async () => {
    const refused: [args: string[], line: RegExp][] = [
      [[], /^length-prefix: There is no SERVER to connect to /],
      [['1', '--format', 'gopher'], /^length-prefix: There is no format 'gopher'\. There are dotnet, .*, compactSize /],
      [['1', '--bytes=-1'], /^length-prefix: --bytes must be 0 to 100000000, not -1 /],
      [['1', '--whole'], /^length-prefix: There is no option --whole/],
      [['1', '--raw'], /^length-prefix: --raw would mix the bytes of both sides: --json tells them apart /],
      [['1', '--listen', 'stdio:'], /^length-prefix: stdio: is one connection/],
    ];
    await Promise.all(refused.map(([args, line]) => new Command(['tap', ...args]).fails(line, 2)));
  });

  for (const { options, before } of drawings(
    readFileSync(new URL('../../../lib/wire/formats.ts', import.meta.url), 'utf8'),
  )) {
    it(`takes a frame of ${options} for a whole message`, async () => {
      const name = options.slice('formats.'.length);
      const format = whole((formats as Record<string, FormatOptions>)[name]!);
      const { items, error } = await decode([fromHex(before)], format);
      expect(error).to.equal(undefined);
      expect(items).to.deep.equal([fromHex(before)]);
    });
  }
});
