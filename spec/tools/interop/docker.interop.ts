import { once } from 'node:events';
import { createServer } from 'node:http';
import { Writable } from 'node:stream';
import { expect } from 'chai';
import { formats, LengthPrefixDecoder, LengthPrefixEncoder } from '../../../lib/index.js';
import { ways } from '../../support/recut.js';
import { demuxStream, Modem } from './inside.js';
import { messageOf } from './programs.js';
import { expectSame } from './same.js';
import { Host } from './servers.js';

const STDOUT = 1;
const STDERR = 2;

/** What a container writes, and to which of its streams. */
type Output = readonly [stream: number, bytes: Buffer];

const outputs: Output[] = [0, 1, 255, 0, 256, 65_536, 3, 5_000_000, 0, 1].flatMap((size) => [
  [STDOUT, messageOf(size)],
  [STDERR, messageOf(size + 1).subarray(1)],
]);

function expectOutputs(actual: Output[], expected: Output[]): void {
  expect(actual.map(([stream, { length }]) => [stream, length])).to.deep.equal(
    expected.map(([stream, { length }]) => [stream, length]),
  );
  for (const [i, [, bytes]] of expected.entries()) expectSame(actual[i]![1], bytes);
}

describe('formats.dockerStream', () => {
  let host: Host;
  before(() => {
    host = new Host();
  });
  after(() => host.close());

  const demuxers = [
    ['', Modem.prototype.demuxStream],
    [' and our parser inside it', demuxStream],
  ] as const;
  const cases = demuxers.flatMap((demuxer) => ways.map((way) => [...demuxer, ...way] as const));
  for (const [inside, demux, way, over] of cases) {
    it(`with docker-modem${inside}, attached to a container of ours${way}`, async () => {
      const daemon = createServer((request, response) => {
        expect(request.url).to.equal('/containers/one/attach');
        response.writeHead(200, { 'Content-Type': 'application/vnd.docker.multiplexed-stream', Connection: 'close' });
        const encoder = new LengthPrefixEncoder(formats.dockerStream);
        encoder.pipe(response);
        // The stream, three zeros, and four that the length is written over.
        for (const [stream, bytes] of outputs) encoder.write([Buffer.of(stream, 0, 0, 0, 0, 0, 0, 0), bytes]);
        encoder.end();
      });
      const port = await host.serve((socket) => daemon.emit('connection', over(socket)));

      const modem = new Modem({ host: '127.0.0.1', port });
      const attach = { path: '/containers/one/attach', method: 'POST', isStream: true, statusCodes: { 200: true } };
      const attached = await new Promise<any>((resolve, reject) => {
        modem.dial(attach, (error: Error | null, stream: unknown) => (error ? reject(error) : resolve(stream)));
      });
      const demuxed: Output[] = [];
      // It writes once for each frame.
      const into = (stream: number) =>
        new Writable({
          write(bytes, _encoding, callback) {
            demuxed.push([stream, bytes]);
            callback();
          },
        });
      modem.demuxStream = demux;
      modem.demuxStream(attached, into(STDOUT), into(STDERR));
      const decoder = new LengthPrefixDecoder(formats.dockerStream);
      const decoded = attached.pipe(decoder).toArray();
      await once(attached, 'end');
      expectOutputs(demuxed, outputs);
      const messages: Buffer[] = await decoded;
      for (const message of messages) {
        expect([message.readUIntBE(1, 3), message.readUInt32BE(4)]).to.deep.equal([0, message.length - 8]);
      }
      const read = messages.map((message): Output => [message[0]!, message.subarray(8)]);
      expectOutputs(read, outputs);
    });
  }
});
