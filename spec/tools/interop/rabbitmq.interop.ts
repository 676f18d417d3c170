import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { expect } from 'chai';
import { type Framed, formats, framed, type MessagePart, withFormat } from '../../../lib/index.js';
import { ways } from '../../support/recut.js';
import { uintBE as uint } from './bytes.js';
import { fromNpm } from './npm.js';
import { messageOf } from './programs.js';
import { expectSame } from './same.js';
import { Host } from './servers.js';
import { through } from './through.js';

const amqplib = fromNpm('amqplib');

const [METHOD, HEADER, BODY] = [1, 2, 3];
const HEAD_LENGTH = 7;
/** The most content that a frame can have: RabbitMQ's limit counts the head, and the byte behind the payload. */
const LARGEST = 131_064;
const SIZES = [0, 1, LARGEST, LARGEST + 1, 5_000_000];

const shortString = (text: string) => [uint(text.length, 1), text];
const longString = (text: string) => [uint(text.length, 4), text];

/** A frame: its type, its channel, four bytes that the length is written over, and the rest. */
const frame = (type: number, channel: number, ...rest: MessagePart[]) => [
  Uint8Array.of(type, 0, channel, 0, 0, 0, 0),
  ...rest,
];

/** A client of ours, as far as it has to go: all that it asks for is answered before it goes on. */
class Client {
  readonly #messages: Framed;
  readonly #received: AsyncIterator<Buffer>;

  constructor(stream: Duplex) {
    this.#messages = framed(stream, formats.amqp);
    this.#received = this.#messages[Symbol.asyncIterator]();
    this.#messages.write(withFormat(formats.amqpGreeting, ''));
  }

  #write(message: MessagePart[]): void {
    this.#messages.write(withFormat(formats.amqp, message));
  }

  call(channel: number, [group, method]: readonly [number, number], ...args: MessagePart[]): void {
    this.#write(frame(METHOD, channel, uint(group, 2), uint(method, 2), ...args));
  }

  /** The payload of the next frame, which has this type. */
  async #next(type: number): Promise<Buffer> {
    const { value } = await this.#received.next();
    expect(value[0]).to.equal(type);
    expect(value.readUInt32BE(3)).to.equal(value.length - HEAD_LENGTH);
    return value.subarray(HEAD_LENGTH);
  }

  /** The arguments of the next method, which is this one. */
  async answer([group, method]: readonly [number, number]): Promise<Buffer> {
    const payload = await this.#next(METHOD);
    expect([payload.readUInt16BE(0), payload.readUInt16BE(2)]).to.deep.equal([group, method]);
    return payload.subarray(4);
  }

  async open(): Promise<void> {
    await this.answer([10, 10]);
    const properties = uint(0, 4);
    this.call(
      0,
      [10, 11],
      properties,
      ...shortString('PLAIN'),
      ...longString('\0guest\0guest'),
      ...shortString('en_US'),
    );
    const tune = await this.answer([10, 30]);
    expect(tune.readUInt32BE(2)).to.equal(LARGEST + HEAD_LENGTH + 1);
    const withoutHeartbeat = [tune.subarray(0, 6), uint(0, 2)];
    this.call(0, [10, 31], ...withoutHeartbeat);
    this.call(0, [10, 40], ...shortString('/'), ...shortString(''), uint(0, 1));
    await this.answer([10, 41]);
    this.call(1, [20, 10], ...shortString(''));
    await this.answer([20, 11]);
  }

  /** A queue of this connection: its name. */
  async queue(): Promise<string> {
    const [isExclusive, args] = [uint(4, 1), uint(0, 4)];
    this.call(1, [50, 10], uint(0, 2), ...shortString(''), isExclusive, args);
    const declared = await this.answer([50, 11]);
    return declared.toString('latin1', 1, 1 + declared[0]!);
  }

  publish(queue: string, content: Buffer): void {
    this.call(1, [60, 40], uint(0, 2), ...shortString(''), ...shortString(queue), uint(0, 1));
    this.#write(frame(HEADER, 1, uint(60, 2), uint(0, 2), uint(content.length, 8), uint(0, 2)));
    for (let at = 0; at < content.length; at += LARGEST) {
      this.#write(frame(BODY, 1, content.subarray(at, at + LARGEST)));
    }
  }

  async get(queue: string): Promise<Buffer> {
    const needsNoAcknowledgement = uint(1, 1);
    this.call(1, [60, 70], uint(0, 2), ...shortString(queue), needsNoAcknowledgement);
    await this.answer([60, 71]);
    const length = Number((await this.#next(HEADER)).readBigUInt64BE(4));
    const parts: Buffer[] = [];
    for (let got = 0; got < length; got += parts.at(-1)!.length) parts.push(await this.#next(BODY));
    return Buffer.concat(parts);
  }

  async close(): Promise<void> {
    this.call(0, [10, 50], uint(200, 2), ...shortString('done'), uint(0, 4));
    await this.answer([10, 51]);
    // The server resets the connection.
    this.#messages.destroy();
  }
}

describe('formats.amqp and formats.amqpGreeting, with RabbitMQ', () => {
  let host: Host;
  let port: number;
  before(async () => {
    host = new Host();
    // Erlang would start one that stays, and on a port that others use.
    const epmd = (port: number) => ['-d', '-d', '-port', `${port}`, '-address', '127.0.0.1'];
    const epmdPort = await host.startOnPort('epmd', epmd, /entering the main select/);
    const env = (port: number) => ({
      RABBITMQ_CONFIG_FILE: host.file('rabbitmq.conf', `listeners.tcp.1 = 127.0.0.1:${port}\n`),
      RABBITMQ_CONF_ENV_FILE: host.file('none', ''),
      RABBITMQ_ENABLED_PLUGINS_FILE: host.file('plugins', '[].'),
      RABBITMQ_MNESIA_BASE: `${host.folder}/mnesia`,
      RABBITMQ_LOG_BASE: `${host.folder}/log`,
      RABBITMQ_LOGS: '-',
      RABBITMQ_NODENAME: 'interop@localhost',
      // It takes signals itself, where nobody is to type.
      RABBITMQ_ALLOW_INPUT: '1',
      RABBITMQ_DIST_PORT: `${port}`,
      ERL_EPMD_PORT: `${epmdPort}`,
      ERL_AFLAGS: '-noinput -start_epmd false -kernel inet_dist_use_interface {127,0,0,2}',
    });
    const args = (port: number) => [
      ...Object.entries(env(port)).map((each) => each.join('=')),
      '/usr/lib/rabbitmq/bin/rabbitmq-server',
    ];
    port = await host.startOnPort('env', args, /Server startup complete/);
  });
  after(() => host.close());

  for (const [way, over] of ways) {
    it(`our client publishes, and gets${way}`, async () => {
      const client = new Client(over(connect(port, '127.0.0.1')));
      await client.open();
      const queue = await client.queue();
      for (const size of SIZES) client.publish(queue, messageOf(size));
      for (const size of SIZES) expectSame(await client.get(queue), messageOf(size));
      await client.close();
    });

    it(`amqplib does so, each frame decoded and encoded anew between them${way}`, async () => {
      let longest = 0;
      const seen = { client: 0, server: 0 };
      const see = (message: Buffer, sender: 'client' | 'server') => {
        // The encoder is to write the length.
        message.fill(0, 3, HEAD_LENGTH);
        longest = Math.max(longest, message.length);
        seen[sender]++;
      };
      const format = formats.amqp;
      const { port: proxy } = await through(host, port, { format, greeting: formats.amqpGreeting, over, see });
      const connection = await amqplib.connect(`amqp://guest:guest@127.0.0.1:${proxy}`);
      const channel = await connection.createChannel();
      const { queue } = await channel.assertQueue('', { exclusive: true });
      for (const size of SIZES) channel.sendToQueue(queue, messageOf(size));
      for (const size of SIZES) expectSame((await channel.get(queue, { noAck: true })).content, messageOf(size));
      await connection.close();
      expect(longest).to.equal(HEAD_LENGTH + LARGEST);
      for (const count of Object.values(seen)) expect(count).to.be.greaterThan(5_000_000 / LARGEST);
    });
  }

  it('answers another greeting with its own', async () => {
    const socket = connect(port, '127.0.0.1');
    socket.write('AMQP\0\x01\0\0');
    const messages = framed(socket, formats.amqpGreeting);
    // Then it resets the connection.
    for await (const message of messages.take(1)) expect(message).to.deep.equal(Buffer.alloc(0));
    expect(messages.messagesRead).to.equal(1);
  });
});
