import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { expect } from 'chai';
import { type Framed, formats, framed } from '../../lib/index.js';
import { connections, rejectionCode } from '../support/connections.js';
import { frame, payload, settle } from '../support/frames.js';

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
  const { open } = connections();

  it('each hostile client gets an error of its own and a reset; an honest one goes on', async () => {
    const errors: string[] = [];
    let messages = 0;
    const serve = (socket: Socket) =>
      framed(socket, { ...format, frameTimeout: 300 })
        .on('data', () => messages++)
        .on('error', (error) => errors.push((error as NodeJS.ErrnoException).code!));
    const honest = await open();
    const served = once(serve(honest.socket), 'end');
    const resets: Promise<any>[] = [];
    for (const { sends } of hostile) {
      for (let i = 0; i < CLIENTS; i++) {
        const { socket, client } = await open();
        serve(socket);
        resets.push(once(client.resume(), 'error'));
        client.write(Buffer.concat([good, Buffer.from(sends, 'latin1')]));
        honest.client.write(good);
      }
    }
    const codes = (await Promise.all(resets)).map(([error]) => error.code);
    expect(codes).to.deep.equal(codes.map(() => 'ECONNRESET'));
    honest.client.end(good);
    await served;
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
    const { socket, client } = await open();
    const formatAfter = () => sequence[(got.length + 1) % 4];
    const messages = framed(socket, { formatAfter, readableHighWaterMark: 1 });
    messages.on('error', () => {}); // behind the test
    messages.on('data', (message) => got.push(message));
    client.resume().end(Buffer.concat(wire));
    await once(messages, 'end');
    expect(Buffer.concat(got).equals(Buffer.concat(bodies))).to.equal(true);
    expect(got).to.have.lengthOf(bodies.length);
  });

  it('close() with a deadline settles for peers that end, that stall, and that flood', async () => {
    const served: Framed[] = [];
    const flood = Buffer.concat(Array(10_000).fill(frame('x')));
    for (let i = 0; i < 30; i++) {
      const { socket, client } = await open({ allowHalfOpen: true });
      const messages = framed(socket).resume();
      messages.on('error', () => {}).write('hello');
      served.push(messages);
      client.on('error', () => {});
      // Deno fails a write under way where the other side's end comes in.
      await once(client, 'data');
      client.resume();
      if (i % 3 === 0) client.end();
      // It never ends, inside a frame or with more and more of them.
      else if (i % 3 === 1) client.write(frame('abc').subarray(0, 5));
      else client.on('drain', () => client.write(flood)).write(flood);
    }
    const codes = await Promise.all(served.map((each) => rejectionCode(each.close({ deadline: 500 }))));
    expect(codes).to.have.lengthOf(30);
    expect(codes.filter((code) => code === 'none')).to.have.lengthOf(10);
    expect(codes.filter((code) => code === 'ERR_FRAME_TIMEOUT')).to.have.lengthOf(20);
  });

  it('bytes behind the end of framing wait in the kernel, and none is lost', async () => {
    const flood = payload(1, 64 * 1024 * 1024);
    const { socket, client } = await open();
    const messages = framed(socket, { formatAfter: () => null });
    client.write(frame('go'));
    client.resume().end(flood);
    for await (const message of messages) expect(`${message}`).to.equal('go');
    expect(await messages.detach()).to.equal(socket);
    await settle(() => socket.bytesRead);
    expect(socket.bytesRead).to.be.below(1_000_000);
    expect((await buffer(socket)).equals(flood)).to.equal(true);
  });
});
