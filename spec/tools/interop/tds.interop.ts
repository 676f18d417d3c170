import type { Duplex } from 'node:stream';
import { expect } from 'chai';
import { type Framed, formats, framed } from '../../../lib/index.js';
import { rejectionCode } from '../../support/connections.js';
import { ways } from '../../support/recut.js';
import { uintLE as uint } from './bytes.js';
import { fromNpm } from './npm.js';
import { expectSame } from './same.js';
import { Host } from './servers.js';

const { Connection, Request } = fromNpm('tedious');

// MS-TDS, section 2.2.3.1.1
const SQL_BATCH = 1;
const ANSWER = 4;
const ATTENTION = 6;
const LOGIN7 = 16;
const PRELOGIN = 18;
/** In the status: the last packet of a message. */
const END = 1;
const HEAD_LENGTH = 8;
const LARGEST = 32_767;

const SIZES = [0, 1, 5000, 2_500_000];

const wide = (text: string) => Buffer.from(text, 'utf16le');
/** A string behind the number of its characters. */
const named = (text: string) => Buffer.concat([uint(text.length, 1), wide(text)]);
const token = (type: number, ...parts: Buffer[]) => {
  const rest = Buffer.concat(parts);
  return Buffer.concat([uint(type, 1), uint(rest.length, 2), rest]);
};
/** Status, command, rows. */
const done = (status: number, rows: number) =>
  Buffer.concat([uint(0xfd, 1), uint(status, 2), uint(0, 2), uint(rows, 8)]);

/** Version; encryption, which is not supported. Section 2.2.6.5. */
const preloginAnswer = Buffer.from('00 000b 0006 01 0011 0001 ff 0f0000000000 02'.replaceAll(' ', ''), 'hex');

function loginAnswer(packetSize: number): Buffer {
  const version = Buffer.of(0x74, 0, 0, 4);
  const login = token(0xad, uint(1, 1), version, named('stub'), uint(0, 4));
  return Buffer.concat([token(0xe3, uint(4, 1), named(`${packetSize}`), named('4096')), login, done(0, 0)]);
}

/** One row of one column, an nvarchar(max). Sections 2.2.7.4 and 2.2.5.4.3. */
function rowsOf(text: string): Buffer {
  const value = wide(text);
  const column = [uint(1, 2), uint(0, 4), uint(0, 2), uint(0xe7, 1), uint(0xffff, 2), Buffer.from('0904d00034', 'hex')];
  const chunks = value.length === 0 ? [] : [uint(value.length, 4), value];
  const row = [uint(0xd1, 1), uint(value.length, 8), ...chunks, uint(0, 4)];
  return Buffer.concat([uint(0x81, 1), ...column, named('sent'), ...row, done(0x10, 1)]);
}

/** Sends an answer in packets as long as they may be, the first one aside. */
function send(messages: Framed, answer: Buffer, packetSize: number, first = packetSize - HEAD_LENGTH): void {
  for (let at = 0, end = first, number = 1; at < answer.length; at = end, end += packetSize - HEAD_LENGTH, number++) {
    const status = end < answer.length ? 0 : END;
    messages.write([Buffer.of(ANSWER, status, 0, 0, 0, 51, number % 256, 0), answer.subarray(at, end)]);
  }
}

/**
 * Answers each query with the text between its quotes, and those without with nothing. One is only told of. Returns the
 * lengths of all packets.
 */
async function serve(stream: Duplex, onWait?: () => void): Promise<number[]> {
  const messages = framed(stream, formats.tds);
  let packetSize = 4096;
  let parts: Buffer[] = [];
  const lengths: number[] = [];
  for await (const packet of messages) {
    lengths.push(packet.length);
    parts.push(packet.subarray(HEAD_LENGTH));
    if ((packet[1]! & END) === 0) continue;
    const type = packet[0]!;
    const request = Buffer.concat(parts);
    parts = [];
    if (type === PRELOGIN) {
      send(messages, preloginAnswer, packetSize);
    } else if (type === LOGIN7) {
      const answer = loginAnswer(request.readUInt32LE(8));
      send(messages, answer, packetSize);
      packetSize = request.readUInt32LE(8);
    } else if (type === ATTENTION) {
      expect(packet).to.have.lengthOf(HEAD_LENGTH);
      // The query's answer ends, and the attention has one of its own.
      for (const status of [2, 0x20]) send(messages, done(status, 0), packetSize);
    } else {
      expect(type).to.equal(SQL_BATCH);
      // Behind headers, which say how long they are.
      const sql = request.toString('utf16le', request.readUInt32LE(0));
      const quoted = /^select '(.*)'\s*$/s.exec(sql)?.[1];
      if (sql === 'waitfor') onWait?.();
      else send(messages, quoted === undefined ? done(0, 0) : rowsOf(quoted), packetSize, 1);
    }
  }
  messages.end();
  return lengths;
}

describe('formats.tds', () => {
  let host: Host;
  before(() => {
    host = new Host();
  });
  after(() => host.close());

  async function connected(port: number, options: object): Promise<any> {
    const authentication = { type: 'default', options: { userName: 'bob', password: 'secret' } };
    const connection = new Connection({
      server: '127.0.0.1',
      authentication,
      options: { port, encrypt: false, ...options },
    });
    await new Promise<void>((resolve, reject) => {
      connection.connect((error?: Error) => (error ? reject(error) : resolve()));
    });
    return connection;
  }

  /** The value of the one row, if there is one. */
  async function query(connection: any, sql: string): Promise<string | undefined> {
    return await new Promise((resolve, reject) => {
      let value: string | undefined;
      const request = new Request(sql, (error?: Error) => (error ? reject(error) : resolve(value)));
      request.on('row', ([column]: { value: string }[]) => {
        value = column!.value;
      });
      connection.execSqlBatch(request);
    });
  }

  for (const [way, over] of ways) {
    for (const packetSize of [512, 4096, LARGEST]) {
      it(`with tedious: queries and answers of all lengths, in packets of ${packetSize} bytes${way}`, async () => {
        const { port, connection: arrived } = await host.serveOne();
        const serving = arrived.then((socket) => serve(over(socket)));
        const connection = await connected(port, { packetSize });
        try {
          for (const size of SIZES) {
            const text = 'é'.repeat(size);
            expectSame(await query(connection, `select '${text}'`), text);
          }
        } finally {
          connection.close();
        }
        const lengths = await serving;
        expect(Math.max(...lengths)).to.equal(packetSize);
        expect(lengths.length).to.be.above(5_000_000 / packetSize);
      });
    }

    it(`with tedious: a query is called off by a packet that is only a head${way}`, async () => {
      const port = await host.serve((socket) => serve(over(socket), () => connection.cancel()));
      const connection = await connected(port, {});
      try {
        expect(await rejectionCode(query(connection, 'waitfor'))).to.equal('ECANCEL');
        expect(await query(connection, "select 'more'")).to.equal('more');
      } finally {
        connection.close();
      }
    });

    it(`with tsql of FreeTDS: queries and answers of all lengths${way}`, async () => {
      const port = await host.serve((socket) => serve(over(socket)));
      const text = `[stub]\nhost = 127.0.0.1\nport = ${port}\ntds version = 7.4\ntext size = 2147483647\n`;
      const texts = SIZES.map((size) => 'x'.repeat(size));
      const script = texts.map((text) => `select '${text}'\ngo\n`).join('');
      const args = ['-I', host.file('freetds.conf', text), '-S', 'stub', '-U', 'bob', '-P', 'secret', '-o', 'fhq'];
      expectSame(await host.run('tsql', args, `${script}exit\n`), texts.map((text) => `${text}\n`).join(''));
    });
  }
});
