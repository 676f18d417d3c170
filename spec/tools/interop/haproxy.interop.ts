import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { expect } from 'chai';
import { formats, framed, withFormat } from '../../../lib/index.js';
import { rejectionCode } from '../../support/connections.js';
import { ways } from '../../support/recut.js';
import { expectAnswers } from './programs.js';
import { Host } from './servers.js';

/**
 * The header that HAProxy sends first: 12 bytes that no other protocol begins with; version and command in a byte; family;
 * length; addresses and ports. https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt, section 2.2.
 */
const proxy = {
  lengthField: 'uint16be',
  lengthFieldOffset: 14,
  // The message begins with the family.
  initialBytesToStrip: 13,
  header: Buffer.from('\r\n\r\n\0\r\nQUIT\n\x20', 'latin1'),
  // Version 2, with any command.
  headerMask: Buffer.from('fffffffffffffffffffffffff0', 'hex'),
  maxPayloadLength: 536,
} as const;
const TCP_OVER_IPV4 = 0x11;
const HEADER_LENGTH = 28;

const inner = formats.erlangPacket4;
const SIZES = [0, 1, 255, 0, 65_536, 3, 5_000_000, 0];

/** The client's address, and the one that it is connected to. */
function addressesOf(header: Buffer): string[] {
  expect(header).to.have.lengthOf(HEADER_LENGTH - proxy.initialBytesToStrip);
  expect([header[0], header.readUInt16BE(1)]).to.deep.equal([TCP_OVER_IPV4, 12]);
  return [0, 1].map((i) => `${header.subarray(3 + 4 * i, 7 + 4 * i).join('.')}:${header.readUInt16BE(11 + 2 * i)}`);
}

const settings = (port: number, target: number) => `
defaults
  mode tcp
  timeout connect 10s
  timeout client 60s
  timeout server 60s
listen proxy
  bind 127.0.0.1:${port}
  server target 127.0.0.1:${target} send-proxy-v2
`;

/** Answers each message with its size, and itself. Resolves with the header in front of all. */
type Serve = (stream: Duplex) => Promise<Buffer>;

const serveDetached: Serve = async (stream) => {
  const proxied = framed(stream, { ...proxy, formatAfter: () => null });
  const [header] = await proxied.toArray();
  const raw = await proxied.detach<Socket>();
  expect(proxied.bytesRead).to.equal(HEADER_LENGTH);
  const messages = framed(raw, inner);
  for await (const message of messages) {
    messages.write(`${message.length}`);
    messages.write(message);
  }
  return header!;
};

const serveNext: Serve = async (stream) => {
  let header: Buffer | undefined;
  const formatAfter = (message: Buffer) => {
    if (header !== undefined) return undefined;
    header = message;
    return inner;
  };
  const messages = framed(stream, { ...proxy, formatAfter });
  for await (const message of messages) {
    if (message === header) continue;
    messages.write(withFormat(inner, `${message.length}`));
    messages.write(message);
  }
  return header!;
};

const servers: [string, Serve][] = [
  ['null, and framed anew', serveDetached],
  ['the format of what follows', serveNext],
];

describe('formatAfter, behind a PROXY header', () => {
  let host: Host;
  before(() => {
    host = new Host();
  });
  after(() => host.close());

  for (const [answer, serve] of servers) {
    for (const [way, over] of ways) {
      it(`of HAProxy: ${answer}${way}`, async () => {
        const { port: target, connection } = await host.serveOne();
        const args = (port: number) => ['-W', '-db', '-f', host.file('haproxy.cfg', settings(port, target))];
        const port = await host.startOnPort('haproxy', args, /Loading success/);
        const client = connect(port, '127.0.0.1');
        const serving = connection.then((socket) => serve(over(socket)));
        await once(client, 'connect');
        const ends = [`${client.localAddress}:${client.localPort}`, `127.0.0.1:${port}`];
        await expectAnswers(framed(client, inner), SIZES);
        expect(addressesOf(await serving)).to.deep.equal(ends);
      });
    }

    it(`that is none is refused with its first bytes: ${answer}`, async () => {
      const { port, connection } = await host.serveOne();
      const client = connect(port, '127.0.0.1').on('error', () => {});
      client.write('\r\n\r\n\0\r\nQUIT.');
      expect(await rejectionCode(connection.then(serve))).to.equal('ERR_FRAME_CORRUPT');
      client.destroy();
    });
  }
});
