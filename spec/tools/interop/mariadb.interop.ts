import { connect } from 'node:net';
import { join } from 'node:path';
import { type Duplex, Readable } from 'node:stream';
import { deflateSync, inflateSync } from 'node:zlib';
import { expect } from 'chai';
import { joined, mysql, packetsOf } from '../../../examples/continued.js';
import { encode, type Framed, formats, framed, LengthPrefixDecoder, withFormat } from '../../../lib/index.js';
import { ways } from '../../support/recut.js';
import { expectSame } from './same.js';
import { Host } from './servers.js';

/** A payload of this many bytes goes on in the next packet, which may be empty. */
const FULL = 0xff_ffff;
const [QUIT, QUERY, PING] = [0x01, 0x03, 0x0e];
const EOF = Buffer.of(0xfe, 0, 0, 2, 0);
const OK = Buffer.of(0, 0, 0, 2, 0, 0, 0);
const PLUGIN = 'mysql_native_password\0';
/** CLIENT_LONG_PASSWORD, CLIENT_PROTOCOL_41, CLIENT_SECURE_CONNECTION, CLIENT_PLUGIN_AUTH */
const CAPABILITIES = 0x0008_8201;
/** CLIENT_COMPRESS */
const COMPRESS = 0x20;

/**
 * Packets that are compressed together, behind the log-in: the length of what follows, a number, the length before compression
 * or 0, data. https://mariadb.com/kb/en/0-packet/#compressed-packet
 */
const compressed = { lengthField: 'uint24le', lengthAdjustment: 4 } as const;

/** The bytes of packets, from compressed ones. */
async function* inflated(messages: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  for await (const message of messages) {
    const data = message.subarray(4);
    yield message.readUIntLE(1, 3) === 0 ? data : inflateSync(data);
  }
}

/** Bytes of packets as compressed ones: the first as it is, so that there is one of each kind. */
function* deflated(bytes: Buffer): Generator<Buffer> {
  const first = bytes.subarray(0, 3);
  yield Buffer.concat([Uint8Array.of(0), uint(0, 3), first]);
  for (let at = first.length, number = 1; at < bytes.length; at += FULL, number++) {
    const data = bytes.subarray(at, at + FULL);
    yield Buffer.concat([Uint8Array.of(number), uint(data.length, 3), deflateSync(data)]);
  }
}

/** Payloads in packets that are numbered on within a command, either end's. */
class Conversation {
  readonly #messages: Framed;
  readonly #received: AsyncIterator<Buffer>;
  #number = 0;

  constructor(stream: Duplex) {
    this.#messages = framed(stream, formats.mysql);
    this.#received = this.#messages[Symbol.asyncIterator]();
  }

  /** A new command's packets are numbered from 0. */
  restart(): void {
    this.#number = 0;
  }

  send(...parts: (Uint8Array | string)[]): void {
    const payload = Buffer.concat(parts.map((part) => Buffer.from(part as string)));
    for (let at = 0; at <= payload.length; at += FULL) {
      this.#messages.write([Uint8Array.of(this.#number++), payload.subarray(at, at + FULL)]);
    }
  }

  /** A payload, or nothing at the end. */
  async receive(): Promise<Buffer | undefined> {
    const parts: Buffer[] = [];
    for (;;) {
      const { value: message, done } = await this.#received.next();
      if (done) return undefined;
      expect(message[0]).to.equal(this.#number++);
      parts.push(message.subarray(1));
      if (message.length <= FULL) return Buffer.concat(parts);
    }
  }

  end(): void {
    this.#messages.end();
  }
}

/** A string in a row: its length, then itself. */
function stringOf(bytes: Buffer): Buffer[] {
  if (bytes.length < 0xfb) return [Buffer.of(bytes.length), bytes];
  const length = Buffer.alloc(9);
  length.writeUIntLE(bytes.length, 1, 6);
  length[0] = bytes.length <= FULL ? 0xfd : 0xfe;
  return [length.subarray(0, bytes.length <= FULL ? 4 : 9), bytes];
}

function uint(value: number, width: number): Buffer {
  const bytes = Buffer.alloc(width);
  bytes.writeUIntLE(value, 0, width);
  return bytes;
}

/** What a client answers to the greeting. */
const logIn = (capabilities: number) =>
  [uint(capabilities, 4), uint(2 ** 30, 4), uint(45, 1), new Uint8Array(23), `root\0\0${PLUGIN}`] as const;

/** The row of one column that the server answers with. */
async function rowOf(receive: () => Promise<Buffer | undefined>): Promise<Buffer> {
  const columns = (await receive())!;
  if (columns[0] !== 1) throw new Error(columns.toString('latin1'));
  await receive();
  expect((await receive())![0]).to.equal(EOF[0]);
  const row = (await receive())!;
  expect((await receive())![0]).to.equal(EOF[0]);
  return row;
}

describe('formats.mysql', () => {
  let host: Host;
  before(() => {
    host = new Host();
  });
  after(() => host.close());

  describe('with MariaDB', () => {
    let port: number;
    before(async () => {
      const data = `--datadir=${join(host.folder, 'data')}`;
      const install = ['--no-defaults', data, '--auth-root-authentication-method=normal', '--skip-test-db'];
      await host.run('mariadb-install-db', install);
      const options = ['--no-defaults', data, '--bind-address=127.0.0.1', '--socket=mariadb.sock'];
      const args = (port: number) => [...options, '--max-allowed-packet=64M', `--port=${port}`];
      port = await host.startOnPort('mariadbd', args, /ready for connections/);
    });

    for (const [way, over] of ways) {
      it(`queries and rows of all lengths${way}`, async () => {
        const conversation = new Conversation(over(connect(port, '127.0.0.1')));
        const command = (code: number, sql = '') => {
          conversation.restart();
          conversation.send(Uint8Array.of(code), sql);
        };
        const query = (sql: string) => {
          command(QUERY, sql);
          return rowOf(() => conversation.receive());
        };

        const greeting = (await conversation.receive())!;
        expect(greeting[0]).to.equal(10);
        expect(greeting.toString('latin1')).to.include('MariaDB').and.include(PLUGIN);
        conversation.send(...logIn(CAPABILITIES));
        expect((await conversation.receive())![0]).to.equal(OK[0]);

        command(PING);
        expect((await conversation.receive())![0]).to.equal(OK[0]);
        // The third fills a packet with its row, so that an empty one follows; the others with the query, and with neither.
        for (const length of [0, 1, FULL - 4, FULL - "\x03SELECT ''".length, 20_000_000]) {
          const text = Buffer.alloc(length, 'x');
          const row = Buffer.concat(stringOf(text));
          expectSame(await query(`SELECT REPEAT('x', ${length})`), row);
          expectSame(await query(`SELECT '${text}'`), row);
        }

        conversation.restart();
        conversation.send(Uint8Array.of(QUIT));
        expect(await conversation.receive()).to.equal(undefined);
      });

      it(`compressed packets, another format behind the log-in${way}`, async () => {
        const isOk = (message: Buffer) => message[1] === OK[0] && message[0] === 2;
        const formatAfter = (message: Buffer) => (isOk(message) ? compressed : undefined);
        const messages: Framed = framed(over(connect(port, '127.0.0.1')), { ...formats.mysql, formatAfter });
        const received = messages[Symbol.asyncIterator]();
        expect((await received.next()).value![1]).to.equal(10);
        messages.write([Uint8Array.of(1), ...logIn(CAPABILITIES | COMPRESS)]);
        expect(isOk((await received.next()).value!)).to.equal(true);

        const bytes = Readable.from(inflated({ [Symbol.asyncIterator]: () => received }), { objectMode: false });
        const packets = bytes.pipe(new LengthPrefixDecoder(formats.mysql));
        const answers = packets.pipe(joined(mysql))[Symbol.asyncIterator]();
        const send = (command: Buffer) => {
          const sent = [...packetsOf(command, mysql)].map((packet) => encode(packet, formats.mysql));
          for (const message of deflated(Buffer.concat(sent))) messages.write(withFormat(compressed, message));
        };
        const receive = async (): Promise<Buffer> => (await answers.next()).value!;
        for (const length of [0, 1, 70_000, FULL - "\x03SELECT ''".length, FULL - 4, 20_000_000]) {
          const text = Buffer.alloc(length, 'x');
          const row = Buffer.concat(stringOf(text));
          for (const sql of [`SELECT REPEAT('x', ${length})`, `SELECT '${text}'`]) {
            send(Buffer.concat([Uint8Array.of(QUERY), Buffer.from(sql)]));
            expectSame(await rowOf(receive), row);
          }
        }
        send(Buffer.of(QUIT));
        expect((await answers.next()).done).to.equal(true);
      });
    }
  });

  describe('with the client mariadb', () => {
    /** Answers each query with its own text. */
    async function serve(stream: Duplex): Promise<void> {
      const conversation = new Conversation(stream);
      const [low, high] = [uint(CAPABILITIES % 2 ** 16, 2), uint(CAPABILITIES >> 16, 2)];
      const salt = 'x'.repeat(20);
      const begin = ['\x0aours\0', uint(1, 4), salt.slice(0, 8), '\0', low, uint(45, 1), uint(2, 2), high];
      conversation.send(...begin, uint(21, 1), new Uint8Array(10), `${salt.slice(8)}\0`, PLUGIN);
      expect((await conversation.receive())!.toString('latin1')).to.include('bob\0');
      conversation.send(OK);
      for (;;) {
        conversation.restart();
        const command = await conversation.receive();
        if (command === undefined || command[0] === QUIT) break;
        expect(command[0]).to.equal(QUERY);
        const names = ['def', '', '', '', 'query', ''].flatMap((name) => stringOf(Buffer.from(name)));
        conversation.send(uint(1, 1));
        conversation.send(...names, uint(12, 1), uint(45, 2), uint(2 ** 30, 4), uint(0xfd, 1), uint(0, 2), uint(0, 3));
        conversation.send(EOF);
        conversation.send(...stringOf(command.subarray(1)));
        conversation.send(EOF);
      }
      conversation.end();
    }

    for (const [way, over] of ways) {
      it(`queries and rows of all lengths${way}`, async () => {
        const port = await host.serve((socket) => serve(over(socket)));
        const lengths = [1, FULL - 1, FULL - 4, 20_000_000];
        const queries = lengths.map((length) => 'x'.repeat(length));
        const options = ['--no-defaults', '-h', '127.0.0.1', '-P', String(port), '-u', 'bob', '-N', '-r', '-B'];
        const input = queries.map((sql) => `${sql};\n`).join('');
        const output = await host.run('mariadb', [...options, '--max-allowed-packet=64M'], input);
        expectSame(output, queries.map((sql) => `${sql}\n`).join(''));
      });
    }
  });
});
