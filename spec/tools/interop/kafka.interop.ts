import type { Duplex } from 'node:stream';
import { expect } from 'chai';
import { formats, framed, LengthPrefixDecoder, type MessagePart, withFormat } from '../../../lib/index.js';
import { rejectionCode } from '../../support/connections.js';
import { cleanUp, listen } from '../../support/programs.js';
import { ways } from '../../support/recut.js';
import { intBE } from './bytes.js';
import { fromNpm } from './npm.js';
import { messageOf } from './programs.js';
import { expectSame } from './same.js';
import { Host } from './servers.js';

const { Kafka, logLevel, Partitioners } = fromNpm('kafkajs');

const PRODUCE = 0;
const METADATA = 3;
const SASL_HANDSHAKE = 17;
const API_VERSIONS = 18;

/** The newest version of each request that the server here knows. */
const versions = new Map([
  [PRODUCE, 2],
  [METADATA, 1],
  [SASL_HANDSHAKE, 0],
  [API_VERSIONS, 0],
]);

const int16 = (value: number) => intBE(value, 2);
const int32 = (value: number) => intBE(value, 4);
const string = (value: string) => Buffer.concat([int16(value.length), Buffer.from(value)]);
const array = (items: Uint8Array[]) => Buffer.concat([int32(items.length), ...items]);
const none = int32(0);

/** Reads what Kafka's requests are made of. */
class Request {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  take(length: number): Buffer {
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  int16 = () => this.take(2).readInt16BE();
  int32 = () => this.take(4).readInt32BE();
  string = () => this.take(this.int16()).toString();
  bytes = () => this.take(Math.max(this.int32(), 0));
}

/** A broker that has all its topics on itself, and remembers what is produced. Its topics have one partition. */
class Broker {
  readonly topics: string[];
  readonly produced: { topic: string; value: Buffer }[] = [];
  port = 0;

  constructor(topics: string[]) {
    this.topics = topics;
  }

  async start(): Promise<void> {
    this.port = await listen(async (socket) => {
      const messages = framed(socket, formats.kafka);
      for await (const message of messages) messages.write(await this.answer(message));
      messages.end();
    });
  }

  async answer(message: Buffer): Promise<MessagePart[]> {
    const request = new Request(message);
    const [key, version, correlationId] = [request.int16(), request.int16(), request.take(4)];
    request.string(); // the client's name
    return [correlationId, await this.#answer(key, version, request)];
  }

  async #answer(key: number, version: number, request: Request): Promise<Buffer> {
    if (key === API_VERSIONS) {
      const error = version === 0 ? 0 : 35; // a version that is not supported
      const known = Array.from(versions, ([key, newest]) => Buffer.concat([int16(key), int16(0), int16(newest)]));
      return Buffer.concat([int16(error), array(known)]);
    }
    expect(version, `of request ${key}`).to.equal(versions.get(key));
    if (key === SASL_HANDSHAKE) return Buffer.concat([int16(0), array([string('PLAIN')])]);
    if (key === METADATA) return this.#metadata();
    return await this.#produce(request);
  }

  #metadata(): Buffer {
    const broker = Buffer.concat([int32(0), string('127.0.0.1'), int32(this.port), int16(-1)]);
    // No error, number, leader, replicas, those in sync.
    const partition = Buffer.concat([int16(0), int32(0), int32(0), array([int32(0)]), array([int32(0)])]);
    const topics = this.topics.map((name) => Buffer.concat([int16(0), string(name), Buffer.of(0), array([partition])]));
    return Buffer.concat([array([broker]), int32(0), array(topics)]);
  }

  async #produce(request: Request): Promise<Buffer> {
    request.take(2 + 4); // acks, time-out
    const results: Buffer[] = [];
    for (let count = request.int32(); count > 0; count--) {
      const topic = request.string();
      expect([request.int32(), request.int32()]).to.deep.equal([1, 0]); // one partition, the first
      for (const value of await valuesOf(request.bytes())) this.produced.push({ topic, value });
      // Partition, no error, offset, no time stamp.
      const partition = Buffer.concat([int32(0), int16(0), Buffer.alloc(8), Buffer.alloc(8, 0xff)]);
      results.push(Buffer.concat([string(topic), array([partition])]));
    }
    return Buffer.concat([array(results), none]);
  }
}

/** How long a message may be in front of the log-in. The token is as long. */
const LIMIT = 1000;
const TOKEN = '\0bob\0'.padEnd(LIMIT, 'secret');

/** SASL in its old form: behind the request for it comes a token without a request's head. So is the answer to it. */
async function serveBehindLogIn(broker: Broker, stream: Duplex): Promise<void> {
  let isAsked = false;
  let token: Buffer | undefined;
  const formatAfter = (message: Buffer) => {
    if (token !== undefined) return undefined;
    if (isAsked) token = message;
    else isAsked = message.readInt16BE() === SASL_HANDSHAKE;
    return token && formats.kafka;
  };
  const messages = framed(stream, { ...formats.kafka, maxPayloadLength: LIMIT, formatAfter });
  for await (const message of messages) {
    if (message === token) {
      expect(`${token}`).to.equal(TOKEN);
      messages.write(withFormat(formats.kafka, ''));
    } else {
      messages.write(await broker.answer(message));
    }
  }
  messages.end();
}

/** A message set is length-prefixed, too: an offset of eight bytes, a size, a message. */
async function valuesOf(messageSet: Buffer): Promise<Buffer[]> {
  const decoder = new LengthPrefixDecoder({ ...formats.kafka, lengthFieldOffset: 8 });
  decoder.end(messageSet);
  return await decoder
    .map((message) => {
      const reader = new Request(message);
      reader.take(4 + 1 + 1 + 8); // checksum, version, attributes, time stamp
      reader.bytes(); // key
      return reader.bytes();
    })
    .toArray();
}

describe('kafkajs', () => {
  afterEach(cleanUp);

  const clientOf = ({ port }: Broker, options: Record<string, unknown> = {}) =>
    new Kafka({ brokers: [`127.0.0.1:${port}`], logLevel: logLevel.ERROR, retry: { retries: 0 }, ...options });

  it('produces messages to our server, and understands its answers', async () => {
    const broker = new Broker(['small', 'large']);
    await broker.start();
    const producer = clientOf(broker).producer({ createPartitioner: Partitioners.DefaultPartitioner });
    await producer.connect();
    try {
      const sizes = [5, 0, 1, 1_000];
      const sent = await producer.send({ topic: 'small', messages: sizes.map((size) => ({ value: messageOf(size) })) });
      expect(sent).to.have.lengthOf(1);
      expect(sent[0]).to.include({ topicName: 'small', partition: 0, errorCode: 0, offset: '0' });
      const large = messageOf(20_000_000);
      await Promise.all([1, 2].map(() => producer.send({ topic: 'large', messages: [{ key: 'key', value: large }] })));

      expect(broker.produced.map(({ topic, value }) => [topic, value.length])).to.deep.equal([
        ...sizes.map((size) => ['small', size]),
        ['large', large.length],
        ['large', large.length],
      ]);
      for (const { value } of broker.produced) expect(value.equals(messageOf(value.length))).to.equal(true);
    } finally {
      await producer.disconnect();
    }
  });

  it('understands an answer of several MB', async () => {
    const topics = Array.from({ length: 20_000 }, (_, i) => `${i}`.padStart(200, 'topic.'));
    const broker = new Broker(topics);
    await broker.start();
    const admin = clientOf(broker).admin();
    await admin.connect();
    try {
      expect(await admin.listTopics()).to.deep.equal(topics);
    } finally {
      await admin.disconnect();
    }
  });

  describe('that logs in by SASL, behind which messages may be longer', () => {
    let host: Host;
    before(() => {
      host = new Host();
    });
    after(() => host.close());

    const bob = { mechanism: 'plain', username: 'bob', password: TOKEN.slice('\0bob\0'.length) } as const;
    const tooLong: [string, Record<string, unknown>][] = [
      ['a request', { sasl: bob, clientId: 'x'.repeat(LIMIT) }],
      ['a token', { sasl: { ...bob, password: `${bob.password}x` } }],
    ];

    for (const [way, over] of ways) {
      it(`a token of as many bytes as may be, a longer request, a longer answer${way}`, async () => {
        const topics = Array.from({ length: 100 }, (_, i) => `topic-${i}`);
        const broker = new Broker(topics);
        broker.port = await host.serve((socket) => serveBehindLogIn(broker, over(socket)));
        const client = clientOf(broker, { sasl: bob });
        const producer = client.producer({ createPartitioner: Partitioners.DefaultPartitioner });
        await producer.connect();
        try {
          const value = messageOf(5_000_000);
          await producer.send({ topic: 'topic-7', messages: [{ value }] });
          expect(broker.produced.map(({ topic }) => topic)).to.deep.equal(['topic-7']);
          expectSame(broker.produced[0]!.value, value);
        } finally {
          await producer.disconnect();
        }
      });

      for (const [what, options] of tooLong) {
        it(`${what} over the limit is refused${way}`, async () => {
          const broker = new Broker([]);
          const { port, connection } = await host.serveOne();
          broker.port = port;
          const refused = rejectionCode(connection.then((socket) => serveBehindLogIn(broker, over(socket))));
          const admin = clientOf(broker, { ...options, logLevel: logLevel.NOTHING }).admin();
          // Where a reset is the answer to its token, the client waits for another one.
          admin.connect().catch(() => {});
          expect(await refused).to.equal('ERR_FRAME_TOO_LONG');
          await admin.disconnect();
        });
      }
    }
  });
});
