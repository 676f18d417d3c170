import { once } from 'node:events';
import { type ClientHttp2Stream, connect, createServer, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { expect } from 'chai';
import { formats, framed } from '../../../lib/index.js';
import { fromNpm } from './npm.js';
import { messageOf } from './programs.js';

const { Client, compressionAlgorithms, credentials, Server, ServerCredentials } = fromNpm('@grpc/grpc-js');

/** What a method's messages are made of is not gRPC's business. Here they are bytes. */
const asTheyAre = (bytes: Buffer) => bytes;
const method = (path: string, streams: boolean) => ({
  path,
  requestStream: streams,
  responseStream: streams,
  requestSerialize: asTheyAre,
  requestDeserialize: asTheyAre,
  responseSerialize: asTheyAre,
  responseDeserialize: asTheyAre,
});
const echo = { unary: method('/Echo/Unary', false), streaming: method('/Echo/Streaming', true) };
const service = echo;

const large = 5_000_000;
const sizes = [5, 0, 1, 0, large];
const largeMessages = { ...formats.grpc, maxPayloadLength: large };
const unlimited = { 'grpc.max_receive_message_length': -1 };

/** A message with the head that formats.grpc keeps: whether it is compressed, and room for the length. */
const withHead = (message: Buffer) => [Buffer.alloc(5), message];
const sizesOf = (messages: Buffer[]) => messages.map(({ length }) => length);

function expectMessages(messages: Buffer[], sizes: number[]): void {
  expect(sizesOf(messages)).to.deep.equal(sizes);
  for (const message of messages) expect(message.equals(messageOf(message.length))).to.equal(true);
}

describe('@grpc/grpc-js', () => {
  const cleaning: (() => void)[] = [];
  afterEach(() => {
    for (const clean of cleaning.splice(0)) clean();
  });

  describe('its server, and our client', () => {
    async function call(path: string): Promise<ClientHttp2Stream> {
      const server = new Server(unlimited);
      server.addService(service, {
        unary: (call: any, callback: any) => callback(null, call.request),
        streaming: (call: any) => call.pipe(call),
      });
      cleaning.push(() => server.forceShutdown());
      const port = await new Promise<number>((resolve, reject) => {
        const bound = (error: Error | null, port: number) => (error ? reject(error) : resolve(port));
        server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), bound);
      });
      const session = connect(`http://127.0.0.1:${port}`);
      cleaning.push(() => session.destroy());
      return session.request({
        ':method': 'POST',
        ':path': path,
        'content-type': 'application/grpc',
        te: 'trailers',
      });
    }

    for (const size of [0, 1, 5, large]) {
      it(`a unary call with ${size} bytes`, async () => {
        const request = await call('/Echo/Unary');
        const trailers = once(request, 'trailers');
        const messages = framed(request, largeMessages);
        messages.end(withHead(messageOf(size)));
        const [answer, ...more] = await messages.toArray();
        expect(more).to.have.lengthOf(0);
        expect(answer![0], 'compressed').to.equal(0);
        expectMessages([answer!.subarray(5)], [size]);
        expect((await trailers)[0]).to.include({ 'grpc-status': '0' });
      });
    }

    it('streams', async () => {
      const request = await call('/Echo/Streaming');
      const trailers = once(request, 'trailers');
      const messages = framed(request, { ...largeMessages, initialBytesToStrip: 5 });
      for (const size of sizes) messages.write(messageOf(size));
      messages.end();
      expectMessages(await messages.toArray(), sizes);
      expect((await trailers)[0]).to.include({ 'grpc-status': '0' });
    });
  });

  describe('our server, and its client', () => {
    async function serve(answer: (stream: ServerHttp2Stream) => void, options = {}) {
      const server = createServer();
      cleaning.push(() => server.close());
      server.on('stream', (stream: ServerHttp2Stream) => {
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
        stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
        answer(stream);
      });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), { ...unlimited, ...options });
      cleaning.push(() => client.close());
      return client;
    }

    async function sendBack(stream: ServerHttp2Stream): Promise<void> {
      const messages = framed(stream, largeMessages);
      for await (const message of messages) messages.write(message);
      messages.end();
    }

    const unary = (client: any, message: Buffer) =>
      new Promise<Buffer>((resolve, reject) => {
        const { path, requestSerialize, responseDeserialize } = echo.unary;
        client.makeUnaryRequest(
          path,
          requestSerialize,
          responseDeserialize,
          message,
          (error: Error | null, answer: Buffer) => (error ? reject(error) : resolve(answer)),
        );
      });

    it('unary calls', async () => {
      const client = await serve(sendBack);
      const answers = await Promise.all(sizes.map((size) => unary(client, messageOf(size))));
      expectMessages(answers, sizes);
    });

    it('streams', async () => {
      const client = await serve(sendBack);
      const { path, requestSerialize, responseDeserialize } = echo.streaming;
      const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
      for (const size of sizes) call.write(messageOf(size));
      call.end();
      expectMessages(await call.toArray(), sizes);
    });

    it('messages that it has compressed say so in their head', async () => {
      const received: Buffer[] = [];
      const gzip = { 'grpc.default_compression_algorithm': compressionAlgorithms.gzip };
      const client = await serve(async (stream) => {
        const messages = framed(stream, formats.grpc);
        for await (const message of messages) {
          received.push(message);
          messages.write(withHead(gunzipSync(message.subarray(5))));
        }
        messages.end();
      }, gzip);
      expectMessages([await unary(client, messageOf(1000))], [1000]);
      expect(received).to.have.lengthOf(1);
      expect(received[0]![0], 'compressed').to.equal(1);
      expect(received[0]!.length).to.be.below(1000);
    });
  });
});
