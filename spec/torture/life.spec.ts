import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { expect } from 'chai';
import { type Framed, formats, framed } from '../../lib/index.js';
import { rejectionCode } from '../support/connections.js';
import { frame, payload, settle } from './support.js';

const format = { header: Buffer.from('LP\0\0\0\0'), lengthFieldOffset: 2, trailer: Buffer.from(';') };
const good = Buffer.from('LP\x04\0\0\0good;', 'latin1');

/** Clients that are up to no good: what they send behind a good frame, and the error that the server sees. */
const hostile = [
  { does: 'begins a frame and stops', sends: 'LP\x05\0\0\0ab', code: 'ERR_FRAME_TIMEOUT' },
  { does: 'sends half a length', sends: 'LP\x05\0', code: 'ERR_FRAME_TIMEOUT' },
  { does: 'leaves out the trailer', sends: 'LP\x01\0\0\0a', code: 'ERR_FRAME_TIMEOUT' },
  { does: 'sends another trailer', sends: 'LP\x01\0\0\0aX', code: 'ERR_FRAME_CORRUPT' },
  { does: 'sends another header', sends: 'GET / HTTP/1.1\r\n\r\n', code: 'ERR_FRAME_CORRUPT' },
  { does: 'sends a header whose last byte is another', sends: 'LQ', code: 'ERR_FRAME_CORRUPT' },
  { does: 'announces more than there may be', sends: 'LP\xff\xff\xff\xff', code: 'ERR_FRAME_TOO_LONG' },
];
/** Of each kind. */
const CLIENTS = 10;

describe('torture: the life of many connections', () => {
  let server: Server;
  const sockets: Socket[] = [];

  const listen = async (onConnection: (socket: Socket) => void): Promise<void> => {
    server = createServer((socket) => {
      sockets.push(socket);
      onConnection(socket);
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
  };
  const connected = async (): Promise<Socket> => {
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => {});
    sockets.push(client);
    await once(client, 'connect');
    return client.resume();
  };

  afterEach(() => {
    for (const socket of sockets.splice(0)) socket.destroy();
    server.close();
  });

  it('each hostile client gets an error of its own and a reset; an honest one goes on', async () => {
    const errors: string[] = [];
    let messages = 0;
    await listen((socket) => {
      framed(socket, { ...format, frameTimeout: 300 })
        .on('data', () => messages++)
        .on('error', (error) => errors.push((error as NodeJS.ErrnoException).code!))
        .on('end', () => server.emit('served'));
    });
    const honest = await connected();
    const resets: Promise<any>[] = [];
    for (const { sends } of hostile) {
      for (let i = 0; i < CLIENTS; i++) {
        const client = await connected();
        resets.push(once(client, 'error').catch((error) => [error]));
        client.write(Buffer.concat([good, Buffer.from(sends, 'latin1')]));
        honest.write(good);
      }
    }
    const codes = (await Promise.all(resets)).map(([error]) => error.code);
    expect(codes).to.deep.equal(codes.map(() => 'ECONNRESET'));
    honest.end(good);
    await once(server, 'served');
    expect(errors.sort()).to.deep.equal(hostile.flatMap(({ code }) => Array(CLIENTS).fill(code)).sort());
    expect(messages).to.equal(2 * CLIENTS * hostile.length + 1);
  });

  it('a client that has the format changed with each message is understood', async () => {
    const sequence = [{}, formats.erlangPacket1, formats.netstring, { lengthField: 'varint' as const }];
    const bodies = Array.from({ length: 5000 }, (_, i) => payload(i, i % 100));
    const heads = [
      (length: number) => frame(Buffer.alloc(length)).subarray(0, 4),
      (length: number) => Buffer.of(length),
      (length: number) => Buffer.from(`${length}:`),
      (length: number) => Buffer.of(length),
    ];
    const wire = bodies.flatMap((body, i) => [heads[i % 4]!(body.length), body, Buffer.from(i % 4 === 2 ? ',' : '')]);
    const got: Buffer[] = [];
    await listen((socket) => {
      framed(socket, { formatAfter: () => sequence[(got.length + 1) % 4], readableHighWaterMark: 1 })
        .on('data', (message) => got.push(message))
        .on('error', () => {}) // behind the test
        .on('end', () => server.emit('served'));
    });
    const served = once(server, 'served');
    (await connected()).end(Buffer.concat(wire));
    await served;
    expect(Buffer.concat(got).equals(Buffer.concat(bodies))).to.equal(true);
    expect(got).to.have.lengthOf(bodies.length);
  });

  it('close() with a deadline is over for peers that end, for those that stall, and for those that flood', async () => {
    const served: Framed[] = [];
    const clients: Socket[] = [];
    await listen((socket) => {
      const messages = framed(socket).resume();
      messages.on('error', () => {}).write('hello');
      served.push(messages);
      server.emit('accepted');
    });
    for (let i = 0; i < 30; i++) {
      const accepted = once(server, 'accepted');
      clients.push(connect({ port: (server.address() as AddressInfo).port, allowHalfOpen: true }));
      await accepted;
    }
    sockets.push(...clients);
    const flood = Buffer.concat(Array(10_000).fill(frame('x')));
    clients.forEach((client, i) => {
      client.on('error', () => {}).resume();
      if (i % 3 === 0) client.end();
      // It never ends, inside a frame or with more and more of them.
      else if (i % 3 === 1) client.write(frame('abc').subarray(0, 5));
      else {
        client.on('drain', () => client.write(flood)).write(flood);
      }
    });
    const codes = await Promise.all(served.map((each) => rejectionCode(each.close({ deadline: 500 }))));
    expect(codes).to.have.lengthOf(30);
    expect(codes.filter((code) => code === 'none')).to.have.lengthOf(10);
    expect(codes.filter((code) => code === 'ERR_FRAME_TIMEOUT')).to.have.lengthOf(20);
  });

  it('what floods behind the end of framing waits in the kernel, and none of it is lost', async () => {
    const accepted = new Promise<any>((resolve) => {
      void listen((socket) => resolve(framed(socket, { formatAfter: () => null })));
    });
    await settle(() => server?.listening);
    const flood = payload(1, 64 * 1024 * 1024);
    const client = await connected();
    client.write(frame('go'));
    client.end(flood);
    const messages = await accepted;
    for await (const message of messages.iterator({ destroyOnReturn: false })) expect(`${message}`).to.equal('go');
    const socket: Socket = await messages.detach();
    await settle(() => socket.bytesRead);
    expect(socket.bytesRead).to.be.below(1_000_000);
    expect((await buffer(socket)).equals(flood)).to.equal(true);
  });
});
