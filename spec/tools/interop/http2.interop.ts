import { once } from 'node:events';
import { type ClientHttp2Session, connect as connectHttp2, createServer, type Http2Server } from 'node:http2';
import { type AddressInfo, connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { expect } from 'chai';
import { type Framed, formats, framed, type MessagePart, withFormat } from '../../../lib/index.js';
import { ways } from '../../support/recut.js';
import { uintBE } from './bytes.js';
import { messageOf } from './programs.js';
import { expectSame } from './same.js';
import { Host } from './servers.js';
import { through } from './through.js';

const [DATA, HEADERS, SETTINGS, PING, GOAWAY, WINDOW_UPDATE] = [0, 1, 4, 6, 7, 8];
const END_STREAM = 0x1;
const ACK = 0x1;
const END_HEADERS = 0x4;
const LARGEST = 16_384;
const HEAD_LENGTH = 9;
const SIZES = [0, 1, LARGEST, LARGEST + 1, 5_000_000];

/** As many bytes as a window can have, so that nobody has to wait for it. */
const WINDOW = 2 ** 31 - 1;
const INITIAL_WINDOW_SIZE = 4;

const uint32 = (value: number) => uintBE(value, 4);

type Frame = MessagePart[];

/** A frame: three bytes that the length is written over, type, flags, stream, and the payload. */
const frame = (type: number, flags: number, stream: number, ...payload: MessagePart[]): Frame => [
  Uint8Array.of(0, 0, 0, type, flags),
  uint32(stream),
  ...payload,
];
const settings = frame(SETTINGS, 0, 0, Uint8Array.of(0, INITIAL_WINDOW_SIZE), uint32(WINDOW));
const widened = frame(WINDOW_UPDATE, 0, 0, uint32(WINDOW - 65_535));

/** HEADERS, in HPACK: indexes into its static table (RFC 7541, appendix A), and what else is given. */
const head = (stream: number, indexes: number[], ...more: MessagePart[]) =>
  frame(
    HEADERS,
    END_HEADERS,
    stream,
    Uint8Array.from(indexes, (index) => 0x80 | index),
    ...more,
  );
const [METHOD_POST, PATH_ROOT, SCHEME_HTTP, STATUS_200] = [3, 4, 6, 8];
const authority = [Uint8Array.of(0x01, 9), '127.0.0.1'];

/** A body in DATA, in as few frames as may be. */
function data(stream: number, body: Buffer): Frame[] {
  const count = Math.max(1, Math.ceil(body.length / LARGEST));
  return Array.from({ length: count }, (_, i) => {
    const part = body.subarray(i * LARGEST, (i + 1) * LARGEST);
    return frame(DATA, i === count - 1 ? END_STREAM : 0, stream, part);
  });
}

const streamOf = (message: Buffer) => message.readUInt32BE(5);

/** Bodies of streams, from the frames that come; acknowledges what is to be. */
class Receiver {
  readonly #bodies = new Map<number, Buffer[]>();
  readonly #send: (frame: Frame) => void;

  constructor(send: (frame: Frame) => void) {
    this.#send = send;
  }

  /** @returns the body that ends with this frame. */
  take(message: Buffer): Buffer | undefined {
    expect(message.readUIntBE(0, 3)).to.equal(message.length - HEAD_LENGTH);
    const [type, flags, stream] = [message[3], message[4]!, streamOf(message)];
    if (type === SETTINGS && (flags & ACK) === 0) this.#send(frame(SETTINGS, ACK, 0));
    if (type === PING && (flags & ACK) === 0) this.#send(frame(PING, ACK, 0, message.subarray(HEAD_LENGTH)));
    if (type === HEADERS) this.#bodies.set(stream, []);
    if (type === DATA) this.#bodies.get(stream)!.push(message.subarray(HEAD_LENGTH));
    const isEnd = (type === HEADERS || type === DATA) && (flags & END_STREAM) !== 0;
    return isEnd ? Buffer.concat(this.#bodies.get(stream)!) : undefined;
  }
}

/** A server of ours that answers each request with its body. */
async function serve(stream: Duplex): Promise<void> {
  const formatAfter = (message: Buffer) => (message.length === 0 ? formats.http2 : undefined);
  const messages = framed(stream, { ...formats.http2Preface, formatAfter });
  const send = (frame: Frame) => messages.write(withFormat(formats.http2, frame));
  const receiver = new Receiver(send);
  for await (const message of messages) {
    if (message.length === 0) {
      for (const each of [settings, widened]) send(each);
      continue;
    }
    const body = receiver.take(message);
    if (body === undefined) continue;
    for (const each of [head(streamOf(message), [STATUS_200]), ...data(streamOf(message), body)]) send(each);
  }
}

/** Our client posts bodies, which come back. */
async function post(stream: Duplex, sizes: readonly number[]): Promise<void> {
  const messages: Framed = framed(stream, formats.http2);
  messages.write(withFormat(formats.http2Preface, ''));
  const send = (frame: Frame) => messages.write(withFormat(formats.http2, frame));
  for (const each of [settings, widened]) send(each);
  const receiver = new Receiver(send);
  const received = messages[Symbol.asyncIterator]();
  /** The next frame of this type; or the body that it ends. */
  const next = async (wanted: number | 'body'): Promise<Buffer> => {
    for (;;) {
      const { value, done } = await received.next();
      if (done) throw new Error(`the server has ended, and no ${wanted} came`);
      const body = receiver.take(value);
      if (wanted === 'body' && body !== undefined) return body;
      if (wanted === value[3]) return value;
    }
  };
  await next(WINDOW_UPDATE);
  for (const [i, size] of sizes.entries()) {
    const stream = 2 * i + 1;
    send(head(stream, [METHOD_POST, SCHEME_HTTP, PATH_ROOT], ...authority));
    for (const each of data(stream, messageOf(size))) send(each);
    expectSame(await next('body'), messageOf(size));
  }
  send(frame(GOAWAY, 0, 0, uint32(0), uint32(0)));
  messages.end();
  await received.return!();
}

/** Node's client posts a body: the one that comes back. */
async function echoOf(session: ClientHttp2Session, body: Buffer): Promise<Buffer> {
  const request = session.request({ ':method': 'POST' });
  request.end(body);
  return await buffer(request);
}

describe('formats.http2 and formats.http2Preface', () => {
  let host: Host;
  let server: Http2Server;
  let nodePort: number;
  let nghttpPort: number;
  const root = () => host.folder;
  before(async () => {
    host = new Host();
    const settings = { initialWindowSize: WINDOW };
    server = createServer({ settings }, (request, response) => request.pipe(response));
    server.on('session', (session) => session.setLocalWindowSize(WINDOW));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    nodePort = (server.address() as AddressInfo).port;
    const args = (port: number) => ['-v', '--no-tls', '--echo-upload', '-w', '30', '-W', '30', '-d', root(), `${port}`];
    nghttpPort = await host.startOnPort('nghttpd', args, /IPv4: listen/);
  });
  after(async () => {
    server.close();
    await host.close();
  });

  const ports: [string, () => number][] = [
    ["Node's server", () => nodePort],
    ['nghttpd', () => nghttpPort],
  ];

  /** nghttp posts bodies, of which each comes back. */
  async function nghttp(port: number, sizes: readonly number[]): Promise<void> {
    for (const size of sizes) {
      const path = host.file(`body-${size}`, messageOf(size).toString('hex'));
      const args = ['--data', path, '-w', '30', '-W', '30', `http://127.0.0.1:${port}/`];
      expectSame(await host.run('nghttp', args), messageOf(size).toString('hex'));
    }
  }

  async function nodeClient(port: number, sizes: readonly number[]): Promise<void> {
    const session = connectHttp2(`http://127.0.0.1:${port}`, { settings: { initialWindowSize: WINDOW } });
    session.once('connect', () => session.setLocalWindowSize(WINDOW));
    const bodies = sizes.map(messageOf);
    const echoes = await Promise.all(bodies.map((body) => echoOf(session, body)));
    for (const [i, body] of bodies.entries()) expectSame(echoes[i], body);
    const closed = once(session, 'close');
    session.close();
    await closed;
  }

  for (const [way, over] of ways) {
    for (const [name, port] of ports) {
      it(`our client with ${name}${way}`, async () => {
        await post(over(connect(port(), '127.0.0.1')), SIZES);
      });

      for (const [clientName, client] of [["Node's client", nodeClient] as const, ['nghttp', nghttp] as const]) {
        it(`${clientName} with ${name}, each frame decoded and encoded anew between them${way}`, async () => {
          const seen = { client: 0, server: 0 };
          let longest = 0;
          const see = (message: Buffer, sender: 'client' | 'server') => {
            // The encoder is to write the length.
            message.fill(0, 0, 3);
            longest = Math.max(longest, message.length);
            seen[sender]++;
          };
          const format = formats.http2;
          const { port: proxy } = await through(host, port(), { format, greeting: formats.http2Preface, over, see });
          await client(proxy, [0, 1, 5_000_000]);
          expect(longest).to.equal(HEAD_LENGTH + LARGEST);
          for (const count of Object.values(seen)) expect(count).to.be.greaterThan(5_000_000 / LARGEST);
        });
      }
    }

    it(`Node's client with our server${way}`, async () => {
      await nodeClient(await host.serve((socket) => serve(over(socket))), SIZES);
    });

    it(`nghttp with our server${way}`, async () => {
      await nghttp(await host.serve((socket) => serve(over(socket))), SIZES);
    });
  }
});
