import { connect } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { expect } from 'chai';
import { type Framed, formats, framed, withFormat } from '../../../lib/index.js';
import { ways } from '../../support/recut.js';
import { uintBE } from './bytes.js';
import { Host } from './servers.js';

const OPEN = 1;
const UPDATE = 2;
const NOTIFICATION = 3;
const KEEPALIVE = 4;

/** The longest message, its marker, length and type included. */
const LIMIT = 4096;
const HEAD = 19;
/** BIRD's number, and ours: it connects to the first of us, the second connects to it. */
const [BIRD, FIRST, SECOND] = [65_001, 65_002, 65_003];

const settings = (port: number, first: number) => `
log stderr all;
router id 10.0.0.1;
template bgp ours {
  local 127.0.0.1 port ${port} as ${BIRD};
  multihop;
  strict bind yes;
  connect delay time 0;
  ipv4 { import all; export all; next hop address 10.0.0.1; };
}
protocol bgp one from ours { neighbor 127.0.0.1 port ${first} as ${FIRST}; }
protocol bgp two from ours { neighbor 127.0.0.2 as ${SECOND}; passive yes; }
`;

/** An UPDATE without a route: all that BIRD knew before was announced. RFC 4724, section 2. */
const END_OF_RIB = Buffer.of(UPDATE, 0, 0, 0, 0);

const uint16 = (value: number) => uintBE(value, 2);

/** Version 4, 90 s of hold time, a router of this number, no optional parameters. */
const open = (as: number) => Buffer.from([OPEN, 4, ...uint16(as), 0, 90, 10, 0, ...uint16(as), 0]);

interface Announcement {
  path: readonly number[];
  router: readonly number[];
  communities?: number;
  /** Each as an UPDATE has it, in hex: its length in bits, then so many of its address. */
  routes: readonly string[];
}

/** An UPDATE that announces routes through these systems, with so many communities. */
function announcing({ path, router, communities = 0, routes }: Announcement): Buffer {
  const attributes = [0x40, 1, 1, 0, 0x40, 2, 2 + 2 * path.length, 2, path.length];
  for (const system of path) attributes.push(...uint16(system));
  attributes.push(0x40, 3, 4, ...router);
  if (communities > 0) attributes.push(0xd0, 8, ...uint16(4 * communities));
  for (let i = 1; i <= communities; i++) attributes.push(...uint16(FIRST), ...uint16(i));
  const announced = Buffer.from(routes.join(''), 'hex');
  return Buffer.from([UPDATE, 0, 0, ...uint16(attributes.length), ...attributes, ...announced]);
}

/** The routes that an UPDATE announces: it withdraws none. */
function announcedBy(update: Buffer): string[] {
  expect([...update.subarray(0, 3)]).to.deep.equal([UPDATE, 0, 0]);
  const routes: string[] = [];
  for (let at = 5 + update.readUInt16BE(3); at < update.length; ) {
    const end = at + 1 + update[at]! / 8;
    routes.push(update.toString('hex', at, end));
    at = end;
  }
  return routes;
}

type Receive = () => Promise<Buffer>;

/** Opens a session: an OPEN and a KEEPALIVE from either end. Resolves with a function that reads on. */
async function openSession(messages: Framed, as: number): Promise<Receive> {
  const received = messages[Symbol.asyncIterator]();
  const next = async () => (await received.next()).value as Buffer;
  messages.write(open(as));
  const opened = await next();
  expect([...opened.subarray(0, 4)]).to.deep.equal([OPEN, 4, ...uint16(BIRD)]);
  // All that follows is its optional parameters.
  expect(opened[10]).to.equal(opened.length - 11);
  messages.write(Buffer.of(KEEPALIVE));
  expect(await next()).to.deep.equal(Buffer.of(KEEPALIVE));

  let last: Buffer = END_OF_RIB;
  return async () => {
    for (;;) {
      const message = await next();
      // A route that comes while a session begins may be announced twice.
      if (message[0] === KEEPALIVE || message.equals(END_OF_RIB) || message.equals(last)) continue;
      last = message;
      return message;
    }
  };
}

describe('formats.bgp', () => {
  let host: Host;
  before(() => {
    host = new Host();
  });
  after(() => host.close());

  for (const [i, [way, over]] of ways.entries()) {
    it(`BIRD connects to us, we to BIRD, and passes our routes on${way}`, async () => {
      const { port: firstPort, connection } = await host.serveOne();
      const port = await host.startOnPort(
        'bird',
        (port) => {
          const files = ['-s', join(host.folder, `control-${i}`), '-P', join(host.folder, `pid-${i}`)];
          return ['-f', '-c', host.file(`bird-${i}.conf`, settings(port, firstPort)), ...files];
        },
        /<INFO> Started/,
      );
      const bgp = (stream: Duplex) => framed(over(stream), formats.bgp);
      const first = bgp(await connection);
      const firstOf = await openSession(first, FIRST);
      const second = bgp(connect({ port, host: '127.0.0.1', localAddress: '127.0.0.2' }));
      const secondOf = await openSession(second, SECOND);

      const ours = { path: [FIRST], router: [10, 0, 0, 2] };
      const birds = { path: [BIRD, FIRST], router: [10, 0, 0, 1] };
      // BIRD writes about 2,000 bytes of attributes at the most.
      for (const routed of [{ routes: ['0814'] }, { routes: ['2028000001'], communities: 500 }]) {
        first.write(announcing({ ...ours, ...routed }));
        expect(await secondOf()).to.deep.equal(announcing({ ...birds, ...routed }));
      }
      const routes = Array.from({ length: 1010 }, (_, i) => `181e${uint16(i).toString('hex')}`);
      routes.push('2028000002', '2028000003', '2028000004');
      const longest = announcing({ ...ours, routes });
      expect(HEAD + longest.length - 1).to.equal(LIMIT);
      first.write(longest);
      const announced: string[] = [];
      while (announced.length < routes.length) announced.push(...announcedBy(await secondOf()));
      expect(announced.sort()).to.deep.equal(routes.sort());

      const longer = Buffer.concat([longest, Buffer.of(0)]);
      first.write(withFormat({ ...formats.bgp, maxPayloadLength: longer.length }, longer));
      // An error in the head: a bad length, and that length.
      expect(await firstOf()).to.deep.equal(Buffer.from([NOTIFICATION, 1, 2, ...uint16(LIMIT + 1)]));
      for (const each of [first, second]) each.destroy();
    });
  }
});
