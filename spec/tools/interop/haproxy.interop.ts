import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { expect } from 'chai';
import { formats, framed, type MessagePart, withFormat } from '../../../lib/index.js';
import { rejectionCode } from '../../support/connections.js';
import { ways } from '../../support/recut.js';
import { expectAnswers } from './programs.js';
import { Host } from './servers.js';

const PROXIED = 0x21;
const LOCAL = 0x20;
const TCP_OVER_IPV4 = 0x11;
const TCP_OVER_IPV6 = 0x21;
const NOTHING = 0x04;
/** In front of the version and the command. */
const SIGNATURE_LENGTH = 12;

const inner = formats.erlangPacket4;
const SIZES = [0, 1, 255, 0, 65_536, 3, 5_000_000, 0];

/** The client's address, and the one that it is connected to. */
function addressesOf(header: Buffer): string[] {
  expect(header).to.have.lengthOf(16);
  expect([header[0], header[1], header.readUInt16BE(2)]).to.deep.equal([PROXIED, TCP_OVER_IPV4, 12]);
  return [0, 1].map((i) => `${header.subarray(4 + 4 * i, 8 + 4 * i).join('.')}:${header.readUInt16BE(12 + 2 * i)}`);
}

/** The settings for HAProxy: what it also minds where it listens, at its server, and between the two. */
interface Extras {
  bind?: string;
  server?: string;
  proxy?: string;
}

const settings = (port: number, target: number, { bind = '', server = '', proxy = '' }: Extras) => `
defaults
  mode tcp
  timeout connect 10s
  timeout client 60s
  timeout server 60s
listen proxy
  bind 127.0.0.1:${port} ${bind}
  ${proxy}
  server target 127.0.0.1:${target} send-proxy-v2 ${server}
`;

/** Answers each message with its size, and itself. Resolves with the header in front of all. */
type Serve = (stream: Duplex) => Promise<Buffer>;

const serveDetached: Serve = async (stream) => {
  const proxied = framed(stream, { ...formats.proxyV2, formatAfter: () => null });
  const [header] = await proxied.toArray();
  const raw = await proxied.detach<Socket>();
  expect(proxied.bytesRead).to.equal(SIGNATURE_LENGTH + header!.length);
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
  const messages = framed(stream, { ...formats.proxyV2, formatAfter });
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

const ports = Buffer.of(0xff, 0x98, 0x01, 0xbb);
const ipv4 = Buffer.concat([Buffer.of(TCP_OVER_IPV4, 0, 12, 192, 0, 2, 1, 192, 0, 2, 2), ports]);
const address6 = (last: number) => Buffer.from(`20010db8${'0'.repeat(22)}0${last}`, 'hex');
const ipv6 = Buffer.concat([Buffer.of(TCP_OVER_IPV6, 0, 36), address6(1), address6(2), ports]);

/** A header with these addresses, and something of so many bytes that says nothing. The encoder is to write the length. */
function headerOf(command: number, addresses: Buffer, more: number): MessagePart[] {
  const family = addresses.subarray(0, 1);
  return [
    Uint8Array.of(command),
    family,
    '\0\0',
    addresses.subarray(3),
    Uint8Array.of(NOTHING, more >> 8, more),
    Buffer.alloc(more),
  ];
}

describe('formats.proxyV2, in front of messages of another format', () => {
  let host: Host;
  before(() => {
    host = new Host();
  });
  after(() => host.close());

  async function haproxy(target: number, extras: Extras = {}): Promise<number> {
    const args = (port: number) => ['-W', '-db', '-f', host.file('haproxy.cfg', settings(port, target, extras))];
    return await host.startOnPort('haproxy', args, /Loading success/);
  }

  for (const [answer, serve] of servers) {
    for (const [way, over] of ways) {
      it(`of HAProxy: ${answer}${way}`, async () => {
        const { port: target, connection } = await host.serveOne();
        const port = await haproxy(target);
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

  /** Our client writes the header. HAProxy takes it in one piece only, so its bytes are not cut. */
  async function askBehind(header: MessagePart[], port: number): Promise<string[]> {
    const client = connect(port, '127.0.0.1');
    await once(client, 'connect');
    const ends = [`${client.localAddress}:${client.localPort}`, `127.0.0.1:${port}`];
    const proxied = framed(client, formats.proxyV2);
    proxied.write(header);
    await expectAnswers(framed(await proxied.detach<Socket>(), inner), SIZES);
    return ends;
  }

  for (const more of [0, 1, 500]) {
    for (const [name, addresses] of [['IPv4', ipv4] as const, ['IPv6', ipv6] as const]) {
      it(`from us to HAProxy, and on to us: ${name}, and ${more} bytes more`, async () => {
        const { port: target, connection } = await host.serveOne();
        const port = await haproxy(target, { bind: 'accept-proxy' });
        const serving = connection.then(serveNext);
        await askBehind(headerOf(PROXIED, addresses, more), port);
        expect(await serving).to.deep.equal(Buffer.concat([Buffer.of(PROXIED), addresses]));
      });
    }
  }

  it('from us to HAProxy, and on to us: a connection of our own has the addresses that it has', async () => {
    const { port: target, connection } = await host.serveOne();
    const port = await haproxy(target, { bind: 'accept-proxy' });
    const serving = connection.then(serveNext);
    const ends = await askBehind(headerOf(LOCAL, ipv4, 0), port);
    expect(addressesOf(await serving)).to.deep.equal(ends);
  });

  for (const [way, over] of ways) {
    it(`of a connection of HAProxy's own: a check of the server${way}`, async () => {
      const { port: target, connection } = await host.serveOne();
      const checked = connection.then(async (socket) => {
        const proxied = framed(over(socket), { ...formats.proxyV2, formatAfter: () => null });
        const headers = await proxied.toArray();
        // It resets the connection when it has read this.
        (await proxied.detach<Socket>()).on('error', () => {}).end('well');
        return headers;
      });
      const proxy = 'option tcp-check\n  tcp-check connect send-proxy\n  tcp-check expect string well';
      await haproxy(target, { proxy, server: 'check inter 60s' });
      expect(await checked).to.deep.equal([Buffer.of(LOCAL, 0, 0, 0)]);
    });
  }
});
