import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { expect } from 'chai';
import { formats, framed } from '../../../lib/index.js';
import { ways } from '../../support/recut.js';
import { cert, key } from '../../torture/tls-fixture.js';
import { uintBE as uint } from './bytes.js';
import { messageOf } from './programs.js';
import { expectSame } from './same.js';
import { Host } from './servers.js';

// Commands; the last is credit control, of an application that freeDiameter does not know.
const CAPABILITIES_EXCHANGE = 257;
const DISCONNECT_PEER = 282;
const CREDIT_CONTROL = 272;

// Flags of a command: a request, one that may be passed on.
const REQUEST = 0x80;
const PROXIABLE = 0x40;

// AVPs. The last is one that no dictionary has.
const HOST_IP_ADDRESS = 257;
const AUTH_APPLICATION_ID = 258;
const SESSION_ID = 263;
const ORIGIN_HOST = 264;
const VENDOR_ID = 266;
const RESULT_CODE = 268;
const PRODUCT_NAME = 269;
const DISCONNECT_CAUSE = 273;
const ROUTE_RECORD = 282;
const DESTINATION_REALM = 283;
const DESTINATION_HOST = 293;
const ORIGIN_REALM = 296;
const DATA = 60_000;

/** Bytes in front of the AVPs. */
const HEAD = 20;
const RELAY = 0xffff_ffff;
const SUCCESS = 2001;
/** As many bytes of data as freeDiameter takes: 65,535 in a message. */
const LENGTHS = [0, 1, 2, 3, 4, 65_000];

// It wants a certificate, though no connection here uses TLS.
const settings = (port: number, server: number, file: (name: string, text: string) => string) => `
Identity = "localhost";
Realm = "example";
Port = ${port};
SecPort = 0;
No_SCTP;
No_IPv6;
ListenOn = "127.0.0.1";
TLS_Cred = "${file('cert', cert)}", "${file('key', key)}";
TLS_CA = "${file('cert', cert)}";
LoadExtension = "acl_wl.fdx" : "${file('allowed', 'ALLOW_IPSEC client.example\n')}";
ConnectPeer = "server.example" { ConnectTo = "127.0.0.1"; Port = ${server}; No_TLS; };
`;

type Avp = [code: number, data: string | number | Buffer];

/** AVPs as a message has them: code, flags, length, data, and zeros up to a multiple of four. */
function bytesOf(avps: readonly Avp[]): Buffer {
  const parts = avps.flatMap(([code, value]) => {
    const data = typeof value === 'number' ? uint(value, 4) : Buffer.from(value as string);
    return [uint(code, 4), Buffer.of(0x40), uint(8 + data.length, 3), data, Buffer.alloc(-data.length & 3)];
  });
  return Buffer.concat(parts);
}

function avpsOf(message: Buffer): Map<number, Buffer> {
  expect([message[0], message.readUIntBE(1, 3)]).to.deep.equal([1, message.length]);
  const avps = new Map<number, Buffer>();
  for (let at = HEAD; at < message.length; ) {
    const length = message.readUIntBE(at + 5, 3);
    avps.set(message.readUInt32BE(at), message.subarray(at + 8, at + length));
    at += (length + 3) & ~3;
  }
  return avps;
}

const commandOf = (message: Buffer) => message.readUIntBE(5, 3);

const from = (name: string): Avp[] => [
  [ORIGIN_HOST, name],
  [ORIGIN_REALM, 'example'],
];

const capabilities = (name: string): Avp[] => [
  ...from(name),
  [HOST_IP_ADDRESS, Buffer.of(0, 1, 127, 0, 0, 1)],
  [VENDOR_ID, 0],
  [PRODUCT_NAME, 'ours'],
  [AUTH_APPLICATION_ID, RELAY],
];

/** A server of ours, which sends the data of a request back; and notes the request. */
async function serve(stream: Duplex, received: Buffer[]): Promise<void> {
  const messages = framed(stream, formats.diameter);
  const name = 'server.example';
  for await (const message of messages) {
    received.push(message);
    const command = commandOf(message);
    const avps = command === CAPABILITIES_EXCHANGE ? capabilities(name) : from(name);
    if (command === CREDIT_CONTROL)
      for (const code of [SESSION_ID, DATA]) avps.push([code, avpsOf(message).get(code)!]);
    // The flags of an answer, and zeros in the place of its length; its command and identifiers are the request's.
    const head = Buffer.concat([Buffer.of(1, 0, 0, 0, message[4]! & PROXIABLE), message.subarray(5, HEAD)]);
    messages.write([head, bytesOf([[RESULT_CODE, SUCCESS], ...avps])]);
    if (command === DISCONNECT_PEER) break;
  }
}

describe('formats.diameter', () => {
  let host: Host;
  before(() => {
    host = new Host();
  });
  after(() => host.close());

  for (const [i, [way, over]] of ways.entries()) {
    it(`freeDiameter connects to us, we to freeDiameter, and passes our requests on${way}`, async () => {
      const received: Buffer[] = [];
      const server = await host.serve((socket) => serve(over(socket), received));
      const file = (name: string, text: string) => host.file(`${name}-${i}`, text);
      const args = (port: number) => ['-c', file('conf', settings(port, server, file))];
      const port = await host.startOnPort('freeDiameterd', args, /STATE_OPEN.*server.example/);

      const messages = framed(over(connect(port, '127.0.0.1')), formats.diameter);
      const answers = messages[Symbol.asyncIterator]();
      let id = 0;
      const ask = async (command: number, flags: number, application: number, avps: Avp[]) => {
        const ids = Buffer.concat([uint(++id, 4), uint(id, 4)]);
        const head = [Buffer.of(1, 0, 0, 0, REQUEST | flags), uint(command, 3), uint(application, 4), ids];
        messages.write([...head, bytesOf(avps)]);
        const answer = (await answers.next()).value as Buffer;
        expect([answer[4], commandOf(answer), answer.subarray(12, HEAD)]).to.deep.equal([flags, command, ids]);
        const answered = avpsOf(answer);
        expect(answered.get(RESULT_CODE)).to.deep.equal(uint(SUCCESS, 4));
        return answered;
      };
      const granted = await ask(CAPABILITIES_EXCHANGE, 0, 0, capabilities('client.example'));
      expect(`${granted.get(ORIGIN_HOST)}`).to.equal('localhost');

      for (const length of LENGTHS) {
        const data = messageOf(length);
        const avps: Avp[] = [
          [SESSION_ID, `client.example;1;${length}`],
          ...from('client.example'),
          [DESTINATION_REALM, 'example'],
          [DESTINATION_HOST, 'server.example'],
          [DATA, data],
        ];
        const answer = await ask(CREDIT_CONTROL, PROXIABLE, 4, avps);
        expectSame(answer.get(DATA), data);
        // It only adds from whom it had the request.
        expectSame(received.at(-1)!.subarray(HEAD), bytesOf([...avps, [ROUTE_RECORD, 'client.example']]));
      }
      expect(received.map(commandOf)).to.deep.equal([CAPABILITIES_EXCHANGE, ...LENGTHS.map(() => CREDIT_CONTROL)]);
      await ask(DISCONNECT_PEER, 0, 0, [...from('client.example'), [DISCONNECT_CAUSE, 0]]);
      messages.end();
      expect((await answers.next()).done).to.equal(true);
    });
  }
});
