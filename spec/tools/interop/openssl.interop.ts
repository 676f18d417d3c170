import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { connect as connectTls, createServer as createTlsServer, type SecureVersion, type TLSSocket } from 'node:tls';
import { expect } from 'chai';
import { formats, framed } from '../../../lib/index.js';
import { ways } from '../../support/recut.js';
import { cert, key } from '../../torture/tls-fixture.js';
import { expectSame } from './same.js';
import { Host } from './servers.js';
import { noting } from './through.js';

const CHANGE_CIPHER_SPEC = 20;
const HANDSHAKE = 22;
const APPLICATION_DATA = 23;
/** Of data in a record. */
const LONGEST = 16_384;
const LARGE = 5_000_000;

/** Digits only: openssl takes some letters for commands. */
const data = () => Buffer.from(randomBytes(LARGE).map((byte) => 0x30 + (byte % 10))).toString();

function check(records: Buffer[]): void {
  const types = records.map((record) => record[0]);
  expect(types).to.include.members([CHANGE_CIPHER_SPEC, HANDSHAKE, APPLICATION_DATA]);
  const data = records.filter((record) => record[0] === APPLICATION_DATA).map((record) => record.readUInt16BE(3));
  expect(data.reduce((sum, length) => sum + length, 0)).to.be.within(LARGE, 1.1 * LARGE);
}

const longestOf = (records: Buffer[]) => Math.max(...records.map((record) => record.readUInt16BE(3)));

describe('formats.tls', () => {
  let host: Host;
  before(() => {
    host = new Host();
  });
  after(() => host.close());

  /** Passes one connection on to a port, record by record: its own port, and when all is over, the records of both ways. */
  async function relay(target: number, over: (stream: Duplex) => Duplex) {
    const { port, connection } = await host.serveOne();
    const pass = async (near: Socket) => {
      const far = connect(target, '127.0.0.1');
      const [there, back]: [Buffer[], Buffer[]] = [[], []];
      const [client, server] = [framed(over(near), formats.tls), framed(over(far), formats.tls)];
      await pipeline(client, noting(there), server, noting(back), client);
      // What has changed within a record, TLS finds out.
      const [up, down] = [there, back].map((records) => records.reduce((sum, record) => sum + record.length, 0));
      expect([near.bytesRead, far.bytesWritten]).to.deep.equal([up, up]);
      expect([far.bytesRead, near.bytesWritten]).to.deep.equal([down, down]);
      return { there, back };
    };
    return { port, relayed: connection.then(pass) };
  }

  for (const version of ['TLSv1.2', 'TLSv1.3'] satisfies SecureVersion[]) {
    for (const [way, over] of ways) {
      it(`${version} between a client of Node's and s_server${way}`, async () => {
        const identity = ['-key', host.file('key', key), '-cert', host.file('cert', cert)];
        const args = ['s_server', '-accept', '127.0.0.1:0', '-naccept', '1', ...identity];
        const { program, said } = await host.start('openssl', args, /ACCEPT 127.0.0.1:(\d+)/);
        const { port, relayed } = await relay(Number(said[1]), over);

        const [up, down] = [data(), data()];
        const options = { port, host: '127.0.0.1', ca: cert, servername: 'localhost' };
        const client = connectTls({ ...options, minVersion: version, maxVersion: version });
        client.write(up);
        let printed = '';
        for await (const chunk of program.stdout.iterator({ destroyOnReturn: false })) {
          printed += chunk;
          if (printed.endsWith(up)) break;
        }
        program.stdout.resume();
        // Not before: what it reads before the handshake is over can make it hang.
        program.stdin.write(down);
        const received: Buffer[] = [];
        for await (const chunk of client) {
          received.push(chunk);
          // It hangs up, then.
          if (received.reduce((sum, { length }) => sum + length, 0) === LARGE) client.end();
        }
        expectSame(received.join(''), down);
        const { there, back } = await relayed;
        check(there);
        check(back);
        expect(longestOf(there)).to.be.within(LONGEST, LONGEST + 256);
      });

      it(`${version} between s_client and a server of Node's${way}`, async () => {
        const server = createTlsServer({ key, cert, minVersion: version, maxVersion: version }).listen(0, '127.0.0.1');
        await once(server, 'listening');
        const { port, relayed } = await relay((server.address() as AddressInfo).port, over);

        const [up, down] = [data(), data()];
        const printed = host.run('openssl', ['s_client', '-quiet', '-connect', `127.0.0.1:${port}`], up);
        const [client] = (await once(server, 'secureConnection')) as [TLSSocket];
        server.close();
        const received: Buffer[] = [];
        for await (const chunk of client) {
          received.push(chunk);
          if (received.reduce((sum, { length }) => sum + length, 0) === LARGE) client.end(down);
        }
        expectSame(received.join(''), up);
        expectSame(await printed, down);
        const { there, back } = await relayed;
        check(there);
        check(back);
        expect(longestOf(back)).to.be.within(LONGEST, LONGEST + 256);
      });
    }
  }
});
