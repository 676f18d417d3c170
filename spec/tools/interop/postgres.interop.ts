import { readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { expect } from 'chai';
import {
  type Framed,
  formats,
  framed,
  LengthPrefixDecoder,
  LengthPrefixEncoder,
  type MessagePart,
} from '../../../lib/index.js';
import { ways } from './recut.js';
import { expectSame } from './same.js';
import { Host } from './servers.js';

const LARGE = 5_000_000;
const PROTOCOL_3 = 0x0003_0000;
const SSL_REQUEST = 80_877_103;

/** A message: its type, four bytes that the length is written over, and the rest. */
const messageOf = (type: string, ...rest: MessagePart[]) => [`${type}\0\0\0\0`, ...rest];
const typeOf = (message: Buffer) => String.fromCharCode(message[0]!);

function uint(value: number, width: 2 | 4): Buffer {
  const bytes = Buffer.alloc(width);
  bytes.writeUIntBE(value, 0, width);
  return bytes;
}

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

describe('formats.postgres and formats.postgresStartup', () => {
  let host: Host;
  before(() => {
    host = new Host();
  });
  after(() => host.close());

  describe('with PostgreSQL', () => {
    let port: number;
    before(async () => {
      const [version] = readdirSync('/usr/lib/postgresql').sort((a, b) => Number(b) - Number(a));
      const bin = join('/usr/lib/postgresql', version!, 'bin');
      const data = join(host.folder, 'data');
      await host.run(join(bin, 'initdb'), ['-D', data, '-U', 'bob', '-A', 'trust', '-E', 'UTF8', '--no-sync']);
      const settings = ['-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories=', '-c', 'fsync=off'];
      const args = (port: number) => ['-D', data, '-p', String(port), ...settings];
      port = await host.startOnPort(join(bin, 'postgres'), args, /ready to accept connections/);
    });

    for (const [way, over] of ways) {
      it(`queries, values and copied data of all lengths${way}`, async () => {
        const stream = over(connect(port, '127.0.0.1'));
        const startup = new LengthPrefixEncoder(formats.postgresStartup);
        startup.pipe(stream, { end: false });
        startup.end([uint(PROTOCOL_3, 4), 'user\0bob\0database\0postgres\0\0']);

        const messages = framed(stream, formats.postgres);
        // AuthenticationOk, ParameterStatus, BackendKeyData, ReadyForQuery
        expect((await answer(messages)).types).to.match(/^RS+KZ$/);

        const query = async (sql: string) => {
          messages.write(messageOf('Q', sql, '\0'));
          return await answer(messages);
        };
        const one = await query('SELECT 1');
        expect(one.types).to.equal('TDCZ');
        expect(one.values).to.deep.equal([Buffer.from('1')]);
        expect((await query('')).types).to.equal('IZ');
        const { values } = await query(`SELECT repeat('x', ${LARGE})`);
        expectSame(values[0]!, Buffer.alloc(LARGE, 'x'));
        expect((await query(`SELECT length('${'é'.repeat(LARGE)}')`)).values.map(String)).to.deep.equal([`${LARGE}`]);

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

        await query('CREATE TEMP TABLE lines (number serial, line text)');
        const lines = ['', 'x', 'x'.repeat(LARGE)].map((line) => `${line}\n`);
        messages.write(messageOf('Q', 'COPY lines (line) FROM STDIN\0'));
        for (const data of ['', ...lines, '']) messages.write(messageOf('d', data));
        messages.write(messageOf('c'));
        expect((await answer(messages)).types).to.equal('GCZ');
        const copied = await query('COPY (SELECT line FROM lines ORDER BY number) TO STDOUT');
        expect(copied.types).to.equal('HdddcCZ');
        const texts = copied.received.slice(1, 4).map((data) => data.toString('latin1', 5));
        expectSame(texts.join(''), lines.join(''));

        // Terminate
        messages.end(messageOf('X'));
        expect(await messages.toArray()).to.deep.equal([]);
      });
    }
  });

  describe('with psql', () => {
    /** Reads what a client sends first. It sends no more before it is answered. */
    async function startUp(stream: Duplex): Promise<Buffer[]> {
      const decoder = new LengthPrefixDecoder(formats.postgresStartup);
      stream.pipe(decoder);
      const received: Buffer[] = [];
      for await (const message of decoder) {
        received.push(message);
        if (message.readUInt32BE(0) !== SSL_REQUEST) break;
        // No TLS here.
        stream.write('N');
      }
      stream.unpipe(decoder);
      return received;
    }

    /** Answers each query with its own text. */
    async function serve(stream: Duplex): Promise<void> {
      const received = await startUp(stream);
      expect(received.map((message) => message.readUInt32BE(0))).to.deep.equal([SSL_REQUEST, PROTOCOL_3]);
      expect(received[1]!.toString('latin1', 4)).to.include('user\0bob\0database\0postgres\0');

      const messages = framed(stream, formats.postgres);
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
      it(`queries and rows of all lengths${way}`, async () => {
        const port = await host.serve((socket) => serve(over(socket)));
        const queries = ['SELECT 1;', `SELECT '${'é'.repeat(LARGE)}';`, 'SELECT 2;'].map((sql) => `${sql}\n`).join('');
        const args = ['-X', '-A', '-t', '-h', '127.0.0.1', '-p', String(port), '-U', 'bob', 'postgres'];
        expectSame(await host.run('psql', args, queries), queries);
      });
    }
  });
});
