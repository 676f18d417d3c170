import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls, TLSSocket } from 'node:tls';
import { expect } from 'chai';
import { type Framed, formats, framed, LengthPrefixEncoder, type MessagePart, withFormat } from '../../../lib/index.js';
import { type Command, startTap, tapped } from '../../cli/command.js';
import { cleanUp } from '../../support/programs.js';
import { ways } from '../../support/recut.js';
import { cert, key } from '../../torture/tls-fixture.js';
import { uintBE as uint } from './bytes.js';
import { startPostgres } from './postgres.js';
import { expectSame } from './same.js';
import { Host } from './servers.js';

const LARGE = 5_000_000;
const PROTOCOL_3 = 0x0003_0000;
const SSL_REQUEST = 80_877_103;
const STARTUP = 'user\0bob\0database\0postgres\0\0';

/** A message: its type, four bytes that the length is written over, and the rest. */
const messageOf = (type: string, ...rest: MessagePart[]) => [`${type}\0\0\0\0`, ...rest];
const typeOf = (message: Buffer) => String.fromCharCode(message[0]!);

/** What the server answers, up to ReadyForQuery. */
async function answer(messages: Framed): Promise<{ types: string; values: Buffer[]; received: Buffer[] }> {
  const received: Buffer[] = [];
  for await (const message of messages.iterator({ destroyOnReturn: false })) {
    received.push(message);
    if (typeOf(message) === 'E') throw new Error(message.toString('latin1', 5));
    if (typeOf(message) === 'Z') break;
  }
  const values = received.filter((message) => typeOf(message) === 'D').map(columnOf);
  return { types: received.map(typeOf).join(''), values, received };
}

/** The value of a row of one column. */
function columnOf(row: Buffer): Buffer {
  expect([row.readUInt16BE(5), row.readUInt32BE(7)]).to.deep.equal([1, row.length - 11]);
  return row.subarray(11);
}

/** Reads what a client sends first. It is answered before it sends more. */
async function firstOf(stream: Duplex): Promise<{ message: Buffer; raw: Socket }> {
  const messages = framed(stream, { ...formats.postgresStartup, formatAfter: () => null });
  const [message] = await messages.toArray();
  return { message: message!, raw: await messages.detach<Socket>() };
}

async function query(messages: Framed, sql: string) {
  messages.write(messageOf('Q', sql, '\0'));
  return await answer(messages);
}

/** Asks for TLS. The answer is one byte that no message is made of. */
async function startTls(stream: Duplex): Promise<TLSSocket> {
  const asking = framed(stream, formats.postgresStartup);
  asking.write(uint(SSL_REQUEST, 4));
  const raw = await asking.detach<Socket>();
  while (raw.readableLength === 0) await once(raw, 'readable');
  expect(`${raw.read(1)}`).to.equal('S');
  const early = raw.read();
  if (early !== null) throw new Error(`${early.length} bytes in front of TLS: ${early.toString('hex')}`);
  const secure = connectTls({ socket: raw, ca: cert, servername: 'localhost' });
  await once(secure, 'secureConnect');
  return secure;
}

describe('formats.postgres and formats.postgresStartup', () => {
  let host: Host;
  before(() => {
    host = new Host();
  });
  after(() => host.close());

  describe('with PostgreSQL', () => {
    let port: number;
    before(async () => {
      port = await startPostgres(host);
    });

    for (const [way, over] of ways) {
      it(`queries, values and copied data of all lengths${way}`, async () => {
        const stream = over(connect(port, '127.0.0.1'));
        const startup = new LengthPrefixEncoder(formats.postgresStartup);
        startup.pipe(stream, { end: false });
        startup.end([uint(PROTOCOL_3, 4), STARTUP]);

        const messages = framed(stream, formats.postgres);
        // AuthenticationOk, ParameterStatus, BackendKeyData, ReadyForQuery
        expect((await answer(messages)).types).to.match(/^RS+KZ$/);

        const one = await query(messages, 'SELECT 1');
        expect(one.types).to.equal('TDCZ');
        expect(one.values).to.deep.equal([Buffer.from('1')]);
        expect((await query(messages, '')).types).to.equal('IZ');
        const { values } = await query(messages, `SELECT repeat('x', ${LARGE})`);
        expectSame(values[0]!, Buffer.alloc(LARGE, 'x'));
        expect((await query(messages, `SELECT length('${'é'.repeat(LARGE)}')`)).values.map(String)).to.deep.equal([
          `${LARGE}`,
        ]);

        for (const value of [Buffer.alloc(0), Buffer.of(7), Buffer.alloc(LARGE, '00ff', 'hex')]) {
          const binary = [uint(1, 2), uint(1, 2)];
          messages.write(messageOf('P', '\0SELECT $1::bytea\0', uint(0, 2)));
          messages.write(messageOf('B', '\0\0', ...binary, uint(1, 2), uint(value.length, 4), value, ...binary));
          messages.write(messageOf('E', '\0', uint(0, 4)));
          messages.write(messageOf('S'));
          const { types, values } = await answer(messages);
          expect(types).to.equal('12DCZ');
          expectSame(values[0]!, value);
        }

        await query(messages, 'CREATE TEMP TABLE lines (number serial, line text)');
        const lines = ['', 'x', 'x'.repeat(LARGE)].map((line) => `${line}\n`);
        messages.write(messageOf('Q', 'COPY lines (line) FROM STDIN\0'));
        for (const data of ['', ...lines, '']) messages.write(messageOf('d', data));
        messages.write(messageOf('c'));
        expect((await answer(messages)).types).to.equal('GCZ');
        const copied = await query(messages, 'COPY (SELECT line FROM lines ORDER BY number) TO STDOUT');
        expect(copied.types).to.equal('HdddcCZ');
        const texts = copied.received.slice(1, 4).map((data) => data.toString('latin1', 5));
        expectSame(texts.join(''), lines.join(''));

        // Terminate
        messages.end(messageOf('X'));
        expect(await messages.toArray()).to.deep.equal([]);
      });

      it(`TLS behind detach()${way}`, async () => {
        const secure = await startTls(over(connect(port, '127.0.0.1')));
        const messages = framed(secure, formats.postgres);
        messages.write(withFormat(formats.postgresStartup, [uint(PROTOCOL_3, 4), STARTUP]));
        messages.write(
          withFormat(formats.postgres, messageOf('Q', 'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()\0')),
        );
        expect((await answer(messages)).types).to.match(/^RS+KZ$/);
        expect((await answer(messages)).values.map(String)).to.deep.equal(['t']);
        expect((await query(messages, 'SELECT generate_series(1, 1000)')).values.map(Number)).to.deep.equal(
          Array.from({ length: 1000 }, (_, i) => i + 1),
        );
        const { values } = await query(messages, `SELECT repeat('x', ${LARGE})`);
        expectSame(values[0]!, Buffer.alloc(LARGE, 'x'));
        messages.end(messageOf('X'));
        expect(await messages.toArray()).to.deep.equal([]);
      });
    }

    describe('and psql, a tap between them', () => {
      afterEach(cleanUp);

      const ROWS = 5000;
      const row = 'x'.repeat(1000);
      const script = [
        'CREATE TEMP TABLE lines (number serial, line text);',
        'COPY lines (line) FROM STDIN;',
        ...new Array(ROWS).fill(row),
        'x'.repeat(LARGE),
        '\\.',
        'COPY (SELECT line FROM lines ORDER BY number) TO STDOUT;',
        "SELECT 'no number'::int;",
        '\\echo :LAST_ERROR_SQLSTATE :LAST_ERROR_MESSAGE',
        '',
      ].join('\n');
      const psql = (port: number, sslmode: string) =>
        host.run('psql', ['-X', `host=127.0.0.1 port=${port} user=bob dbname=postgres sslmode=${sslmode}`], script);

      /** The messages in one direction, each of which begins where the one before ends. */
      function sideOf(tap: Command, direction: string): { types: string[]; length: number } {
        const messages = tapped(tap).filter((message) => message.direction === direction);
        let length = 0;
        for (const message of messages) {
          expect(message.position).to.equal(length);
          length += message.length;
        }
        expect(length).to.be.above(2 * LARGE);
        return { types: messages.map(({ type }) => type), length };
      }

      /** Waits until the tap has printed that the connection is over. */
      async function throughTap(sslmode: string, over: RegExp[]) {
        const { server: tap, port: tapPort } = await startTap(port, ['--format', 'postgres']);
        const direct = await psql(port, sslmode);
        expect(direct).to.include(row).and.include('22P02 invalid input syntax for type integer: "no number"');
        expectSame(await psql(tapPort, sslmode), direct);
        await Promise.all(over.map((line) => tap.line(line)));
        expect(tap.errors).to.deep.equal([]);
        return { client: sideOf(tap, '->'), server: sideOf(tap, '<-'), tap };
      }

      it('prints all messages', async () => {
        const { client, server, tap } = await throughTap('disable', [/-> end/, /<- end/]);
        const letters = ({ types }: typeof client) => types.map((type) => type.at(-1)).join('');
        expect(letters(client)).to.match(/^-QQd+cQQX$/);
        expect(letters(server)).to.match(new RegExp(`^RS+KZCZGCZHd{${ROWS + 1}}cCZEZ$`));
        const ends = tap.lines.flatMap((line) => /.. end, after .*/.exec(line)?.[0] ?? []);
        expect(ends).to.have.members([`-> end, after ${client.length} bytes`, `<- end, after ${server.length} bytes`]);
      });

      it('prints the records of TLS behind the request for it', async () => {
        // The server has left before it reads that the client ends TLS: mostly it resets the connection.
        const { client, server } = await throughTap('require', [/<- (end|read ECONNRESET)/]);
        for (const { types } of [client, server]) {
          expect(types.slice(0, 2)).to.deep.equal(['-', '16 .']);
          expect(types.at(-1)).to.equal('17 .');
        }
      });
    });
  });

  describe('with somebody between client and server, who adds a message in plaintext (CVE-2021-23222)', () => {
    const ready = Buffer.from('Z\0\0\0\x05I', 'latin1');

    it('behind the answer: it is there to be refused', async () => {
      const port = await host.serve(async (socket) => {
        const { raw } = await firstOf(socket);
        raw.write(Buffer.concat([Buffer.from('S'), ready]));
      });
      const socket = connect(port, '127.0.0.1');
      const error = await startTls(socket).catch((error) => error);
      expect(error.message).to.equal(`6 bytes in front of TLS: ${ready.toString('hex')}`);
      socket.destroy();
    });

    for (const [way, over] of ways) {
      it(`later: TLS fails on it${way}`, async () => {
        const port = await host.serve(async (socket) => {
          const { raw } = await firstOf(socket);
          raw.write('S');
          await once(raw, 'data');
          raw.write(ready);
        });
        const error = await startTls(over(connect(port, '127.0.0.1'))).catch((error) => error);
        expect(error.code).to.equal('ERR_SSL_WRONG_VERSION_NUMBER');
      });
    }
  });

  describe('with psql', () => {
    /** Answers each query with its own text. */
    async function serve(stream: Duplex, inTls: boolean): Promise<void> {
      const asked = await firstOf(stream);
      expect(asked.message.readUInt32BE(0)).to.equal(SSL_REQUEST);
      asked.raw.write(inTls ? 'S' : 'N');
      const begun = await firstOf(inTls ? new TLSSocket(asked.raw, { isServer: true, key, cert }) : asked.raw);
      expect(begun.message.readUInt32BE(0)).to.equal(PROTOCOL_3);
      expect(begun.message.toString('latin1', 4)).to.include(STARTUP.slice(0, -1));

      const messages = framed(begun.raw, formats.postgres);
      messages.write(messageOf('R', uint(0, 4)));
      messages.write(messageOf('S', 'client_encoding\0UTF8\0'));
      messages.write(messageOf('Z', 'I'));
      for await (const message of messages) {
        if (typeOf(message) === 'X') break;
        expect(typeOf(message)).to.equal('Q');
        const sql = message.subarray(5, -1);
        const text = [uint(0, 4), uint(0, 2), uint(25, 4), uint(0xffff, 2), uint(0xffff_ffff, 4), uint(0, 2)];
        messages.write(messageOf('T', uint(1, 2), 'query\0', ...text));
        messages.write(messageOf('D', uint(1, 2), uint(sql.length, 4), sql));
        messages.write(messageOf('C', 'SELECT 1\0'));
        messages.write(messageOf('Z', 'I'));
      }
    }

    for (const [way, over] of ways) {
      for (const sslmode of ['prefer', 'require']) {
        it(`queries and rows of all lengths, sslmode=${sslmode}${way}`, async () => {
          const port = await host.serve((socket) => serve(over(socket), sslmode === 'require'));
          const queries = ['SELECT 1;', `SELECT '${'é'.repeat(LARGE)}';`, 'SELECT 2;']
            .map((sql) => `${sql}\n`)
            .join('');
          const database = `host=127.0.0.1 port=${port} user=bob dbname=postgres sslmode=${sslmode}`;
          expectSame(await host.run('psql', ['-X', '-A', '-t', database], queries), queries);
        });
      }
    }
  });
});
