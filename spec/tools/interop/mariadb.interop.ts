import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { join } from 'node:path';
import { type Duplex, pipeline } from 'node:stream';
import { deflateSync, inflateSync } from 'node:zlib';
import { expect } from 'chai';
import { joined, mysql, packetsOf } from '../../../examples/continued.js';
import { encode, type Framed, formats, framed, LengthPrefixDecoder, withFormat } from '../../../lib/index.js';
import { ways } from '../../support/recut.js';
import { uintLE as uint } from './bytes.js';
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
const compressed = { lengthField: 'uint24le', lengthAdjustment: 4, maxPayloadLength: 4 + FULL } as const;

/** The bytes of packets, from compressed ones. */
async function* inflated(messages: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  for await (const message of messages) {
    const data = message.subarray(4);
    yield message.readUIntLE(1, 3) === 0 ? data : inflateSync(data);
  }
}

/** Compressed packets without their number, from bytes of packets: as they are where they would get no shorter. */
function* deflated(bytes: Buffer): Generator<Buffer[]> {
  // The first three never do, so that there is one of each kind.
  for (let at = 0, end = 3; at < bytes.length; at = end, end += FULL) {
    const data = bytes.subarray(at, end);
    const shorter = deflateSync(data);
    yield shorter.length < data.length ? [uint(data.length, 3), shorter] : [uint(0, 3), data];
  }
}

/** Payloads in packets; or, behind the log-in, in compressed ones. The outer ones are numbered on within a command, either end's. */
class Conversation {
  readonly #messages: Framed;
  readonly #payloads: AsyncIterator<Buffer>;
  /** The number of the last packet of the log-in that is received, where compressed ones come behind it. */
  readonly #last: number | undefined;
  #number = 0;
  #isCompressed = false;

  constructor(stream: Duplex, last?: number) {
    this.#last = last;
    const formatAfter = ([number]: Buffer) => (number === last ? compressed : undefined);
    this.#messages = framed(stream, { ...formats.mysql, formatAfter });
    this.#payloads = pipeline(this.#packets(), joined(mysql), () => {})[Symbol.asyncIterator]();
  }

  async *#packets(): AsyncGenerator<Buffer> {
    for await (const packet of this.#received()) {
      yield packet;
      if (packet[0] === this.#last) break;
    }
    yield* pipeline(inflated(this.#received()), new LengthPrefixDecoder(formats.mysql), () => {});
  }

  async *#received(): AsyncGenerator<Buffer> {
    for await (const message of this.#messages.iterator({ destroyOnReturn: false })) {
      expect(message[0]).to.equal(this.#number++);
      yield message;
    }
  }

  /** A new command's packets are numbered from 0. The first one ends the log-in. */
  restart(): void {
    this.#number = 0;
    this.#isCompressed = this.#last !== undefined;
  }

  send(...parts: (Uint8Array | string)[]): void {
    const payload = Buffer.concat(parts.map((part) => Buffer.from(part as string)));
    const number = () => Uint8Array.of(this.#number++);
    if (!this.#isCompressed) {
      for (const packet of packetsOf(payload, { ...mysql, head: number })) this.#messages.write(packet);
      return;
    }
    const packets = [...packetsOf(payload, mysql)].map((packet) => encode(packet, formats.mysql));
    for (const data of deflated(Buffer.concat(packets))) {
      this.#messages.write(withFormat(compressed, [number(), ...data]));
    }
  }

  /** A payload, or nothing at the end. */
  async receive(): Promise<Buffer | undefined> {
    return (await this.#payloads.next()).value;
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

/** Plain packets, or compressed ones, over each way. */
const variants = [false, true].flatMap((isCompressed) =>
  ways.map(([way, over]) => [`${isCompressed ? ', compressed' : ''}${way}`, over, isCompressed] as const),
);

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

    for (const [variant, over, isCompressed] of variants) {
      it(`queries and rows of all lengths${variant}`, async () => {
        const conversation = new Conversation(over(connect(port, '127.0.0.1')), isCompressed ? 2 : undefined);
        const command = (code: number, sql = '') => {
          conversation.restart();
          conversation.send(Uint8Array.of(code), sql);
        };
        const receive = async () => (await conversation.receive())!;
        /** The one row of one column that the server answers with. */
        const query = async (sql: string) => {
          command(QUERY, sql);
          const columns = await receive();
          if (columns[0] !== 1) throw new Error(columns.toString('latin1'));
          await receive();
          expect((await receive())[0]).to.equal(EOF[0]);
          const row = await receive();
          expect((await receive())[0]).to.equal(EOF[0]);
          return row;
        };

        const greeting = await receive();
        expect(greeting[0]).to.equal(10);
        expect(greeting.toString('latin1')).to.include('MariaDB').and.include(PLUGIN);
        const capabilities = CAPABILITIES | (isCompressed ? COMPRESS : 0);
        const numbers = [uint(capabilities, 4), uint(2 ** 30, 4), uint(45, 1)];
        conversation.send(...numbers, new Uint8Array(23), `root\0\0${PLUGIN}`);
        expect((await receive())[0]).to.equal(OK[0]);

        command(PING);
        expect((await receive())[0]).to.equal(OK[0]);
        // One fills a packet with its row, so that an empty one follows; the next with the query; the others with neither.
        for (const length of [0, 1, 70_000, FULL - 4, FULL - "\x03SELECT ''".length, 20_000_000]) {
          const text = Buffer.alloc(length, 'x');
          const row = Buffer.concat(stringOf(text));
          expectSame(await query(`SELECT REPEAT('x', ${length})`), row);
          expectSame(await query(`SELECT '${text}'`), row);
        }

        // Bytes that get no shorter when they are compressed.
        const random = randomBytes(20_000_000);
        expectSame(await query(`SELECT UNHEX('${random.toString('hex')}')`), Buffer.concat(stringOf(random)));

        conversation.restart();
        conversation.send(Uint8Array.of(QUIT));
        expect(await conversation.receive()).to.equal(undefined);
      });
    }
  });

  describe('with the client mariadb', () => {
    /** Answers each query with its own text. */
    async function serve(stream: Duplex, isCompressed: boolean): Promise<void> {
      const conversation = new Conversation(stream, isCompressed ? 1 : undefined);
      const capabilities = CAPABILITIES | (isCompressed ? COMPRESS : 0);
      const [low, high] = [uint(capabilities % 2 ** 16, 2), uint(capabilities >> 16, 2)];
      const salt = 'x'.repeat(20);
      const begin = ['\x0aours\0', uint(1, 4), salt.slice(0, 8), '\0', low, uint(45, 1), uint(2, 2), high];
      conversation.send(...begin, uint(21, 1), new Uint8Array(10), `${salt.slice(8)}\0`, PLUGIN);
      const logIn = (await conversation.receive())!;
      expect(logIn.readUInt32LE() & COMPRESS).to.equal(isCompressed ? COMPRESS : 0);
      expect(logIn.toString('latin1')).to.include('bob\0');
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

    for (const [variant, over, isCompressed] of variants) {
      it(`queries and rows of all lengths${variant}`, async () => {
        const port = await host.serve((socket) => serve(over(socket), isCompressed));
        const queries = [1, FULL - 1, FULL - 4].map((length) => 'x'.repeat(length));
        // Letters and digits that hardly get shorter when they are compressed, 20,000,000.
        queries.push(randomBytes(15_000_000).toString('base64'));
        const compress = isCompressed ? ['--compress'] : [];
        const address = ['-h', '127.0.0.1', '-P', String(port), '-u', 'bob'];
        const options = ['--no-defaults', ...compress, ...address, '-N', '-r', '-B'];
        const input = queries.map((sql) => `${sql};\n`).join('');
        const output = await host.run('mariadb', [...options, '--max-allowed-packet=64M'], input);
        expectSame(output, queries.map((sql) => `${sql}\n`).join(''));
      });
    }
  });
});
