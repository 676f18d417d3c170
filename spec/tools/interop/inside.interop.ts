import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { buildSync } from 'esbuild';
import { recut } from '../../support/recut.js';
import { cert } from '../../torture/tls-fixture.js';
import { PostgresParser, parse } from './inside.js';
import { fromNpm, pathFromNpm } from './npm.js';
import { startPostgres } from './postgres.js';
import { messageOf } from './programs.js';
import { expectSame } from './same.js';
import { Host } from './servers.js';

const { Client } = fromNpm('pg');

const LARGE = 5_000_000;

/** node-postgres's own tests of its parser. They get the one that is replaced here. */
function registerTheirs(): void {
  const parser = pathFromNpm('pg-protocol/dist/parser.js');
  const { outputFiles } = buildSync({
    entryPoints: [join(dirname(parser), '../src/inbound-parser.test.ts')],
    external: ['.', './parser'],
    bundle: true,
    platform: 'node',
    format: 'cjs',
    write: false,
  });
  new Function('require', outputFiles[0]!.text)(createRequire(parser));
}

/** Long values by their hash, so that a difference can be shown. */
function shown(_key: string, value: unknown): unknown {
  const long = typeof value === 'string' && value.length > 100;
  return long ? `${value.length} characters, ${createHash('sha1').update(value).digest('hex')}` : value;
}

/** All that a client is told by the server. */
async function told(settings: object): Promise<unknown[]> {
  const client = new Client({ host: '127.0.0.1', user: 'bob', database: 'postgres', ...settings });
  const all: unknown[] = [];
  const tell = (value: unknown) => all.push(JSON.parse(JSON.stringify(value, shown)));
  client.on('notice', ({ message }: Error) => tell(message));
  client.on('notification', ({ channel, payload }: Record<string, unknown>) => tell([channel, payload]));
  await client.connect();
  try {
    const ask = async (...query: unknown[]) => {
      const { command, rowCount, rows, fields } = await client.query(...query).catch((error: Error) => error);
      tell({ command, rowCount, rows, names: fields?.map(({ name }: { name: string }) => name) });
    };
    await ask('');
    await ask('SELECT 1 AS one, NULL AS nothing, $1::text AS text', ['é'.repeat(300)]);
    await ask('SELECT number, repeat($1, number) AS text FROM generate_series(0, 5000) AS number', ['x']);
    for (const size of [0, 1, LARGE]) await ask("SELECT encode($1::bytea, 'hex') AS data", [messageOf(size)]);
    await ask(`SELECT repeat('x', ${LARGE}) AS text`);
    const error = await client.query("SELECT 'no number'::int").catch((error: Error) => error);
    tell({ ...error, message: error.message });
    await client.query("DO $$ BEGIN RAISE NOTICE 'noticed'; END $$");
    await client.query('LISTEN here');
    await client.query(`NOTIFY here, '${'y'.repeat(5000)}'`);
    for (const id of [1, 2, 3]) await ask({ name: 'prepared', text: 'SELECT $1::int AS id', values: [id] });
  } finally {
    await client.end();
  }
  return all;
}

describe('our parser inside', () => {
  let host: Host;
  before(() => {
    host = new Host();
  });
  after(() => host.close());

  describe('node-postgres, with PostgreSQL', () => {
    let port: number;
    let expected: unknown[];
    const theirs = PostgresParser.prototype.parse;
    let chunks = 0;
    before(async () => {
      port = await startPostgres(host);
      expected = await told({ port });
      PostgresParser.prototype.parse = function (...args) {
        chunks++;
        parse.apply(this, args);
      };
    });
    after(() => {
      PostgresParser.prototype.parse = theirs;
    });

    it('what it is told by the server has all kinds of messages', () => {
      expect(expected).to.have.lengthOf(13);
      expect(expected).to.deep.include({ command: 'SELECT', rowCount: 1, rows: [{ id: 3 }], names: ['id'] });
      expect(expected[7]).to.include({ code: '22P02', message: 'invalid input syntax for type integer: "no number"' });
      expect(expected.slice(8, 10)).to.deep.equal(['noticed', ['here', shown('', 'y'.repeat(5000))]]);
    });

    /** A client's socket, the bytes cut anew. */
    const stream = () => {
      const socket = new Socket();
      const both = recut(socket);
      const start = (port: number, host: string) => socket.connect(port, host, () => both.emit('connect'));
      return Object.assign(both, { connect: start, setNoDelay() {} });
    };

    const settings: [string, object][] = [
      ['', {}],
      [', the bytes cut anew', { stream }],
      [', in TLS', { ssl: { ca: cert, servername: 'localhost' } }],
    ];
    for (const [way, options] of settings) {
      it(`it is told the same${way}`, async () => {
        chunks = 0;
        expect(await told({ port, ...options })).to.deep.equal(expected);
        expect(chunks).to.be.above(20);
      });
    }

    // Its own parser writes over them.
    it('copied rows stay as they came', async () => {
      const client = new Client({ host: '127.0.0.1', user: 'bob', database: 'postgres', port });
      await client.connect();
      const rows: Buffer[] = [];
      client.connection.on('copyData', ({ chunk }: { chunk: Buffer }) => rows.push(chunk));
      await client.query("COPY (SELECT repeat('x', number) FROM generate_series(1, 3000) AS number) TO STDOUT");
      await client.end();
      expect(rows).to.have.lengthOf(3000);
      for (const [i, row] of rows.entries()) expectSame(row, `${'x'.repeat(i + 1)}\n`);
    });

    registerTheirs();
  });
});
