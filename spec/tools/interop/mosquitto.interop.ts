import { EventEmitter, once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { expect } from 'chai';
import { type Framed, formats, framed, type MessagePart } from '../../../lib/index.js';
import { Command, startTap } from '../../cli/command.js';
import { cleanUp, temporaryDirectory } from '../../support/programs.js';
import { ways } from '../../support/recut.js';
import { expectSame } from './same.js';
import { Host } from './servers.js';

const CONNECT = 0x10;
const CONNACK = 0x20;
const PUBLISH = 0x30;
const RETAINED = 0x31;
const SUBSCRIBE = 0x82;
const SUBACK = 0x90;
const PINGREQ = 0xc0;
const PINGRESP = 0xd0;
const DISCONNECT = 0xe0;

/** Around each length at which the remaining length takes one more byte, the topic's three bytes counted, and large ones. */
const LENGTHS = [0, 1, 124, 125, 16_380, 16_381, 2_097_148, 2_097_149, 5_000_000];

/** A message: its type and flags, a zero that the length is written over, and the rest. */
const messageOf = (type: number, ...rest: MessagePart[]) => [Uint8Array.of(type, 0), ...rest];

/** What follows the type and the length. */
function restOf(message: Buffer): Buffer {
  const end = message.findIndex((byte, at) => at > 0 && byte < 0x80);
  return message.subarray(end + 1);
}

/** The message of a PUBLISH to the topic `t`. */
function publishedBy(message: Buffer): Buffer {
  expect(message[0]! & 0xfe).to.equal(PUBLISH);
  const rest = restOf(message);
  expect(rest.toString('latin1', 0, 3)).to.equal('\0\x01t');
  return rest.subarray(3);
}

describe('formats.mqtt', () => {
  let host: Host;
  before(() => {
    host = new Host();
  });
  after(() => host.close());

  describe('with mosquitto', () => {
    let port: number;
    before(async () => {
      const args = (port: number) => {
        const text = `listener ${port} 127.0.0.1\nallow_anonymous true\n`;
        return ['-v', '-c', host.file(`mosquitto-${port}.conf`, text)];
      };
      port = await host.startOnPort('mosquitto', args, /mosquitto version \S+ running/);
    });

    /** A client that has connected, and what it receives. */
    async function client(stream: Duplex): Promise<{ messages: Framed; receive: () => Promise<Buffer> }> {
      const messages = framed(stream, formats.mqtt);
      const received = messages[Symbol.asyncIterator]();
      const receive = async () => (await received.next()).value as Buffer;
      // MQTT 3.1.1, a clean session, no keep-alive, no name
      messages.write(messageOf(CONNECT, '\0\x04MQTT\x04\x02\0\0\0\0'));
      expect(await receive()).to.deep.equal(Buffer.of(CONNACK, 2, 0, 0));
      return { messages, receive };
    }

    describe('the command length-prefix', () => {
      afterEach(cleanUp);

      it('connect asks, and shows the answer', async () => {
        const client = new Command([
          'connect',
          String(port),
          '--format',
          'mqtt',
          '--input',
          'hex',
          '--hex',
          '--count',
          '2',
        ]);
        client.child.stdin!.write('1000 0004 4d515454 04 02 0000 0000\nc000\n');
        await client.succeeds();
        expect(client.lines).to.deep.equal(['20020000', 'd000']);
      });

      it('tap shows what mosquitto_pub says, as decode does from a capture', async () => {
        const output = join(temporaryDirectory(), 'seen');
        const { server: tap, port: tapPort } = await startTap(port, ['--format', 'mqtt', '--json', '--output', output]);
        await host.run('mosquitto_pub', [
          '-h',
          '127.0.0.1',
          '-p',
          String(tapPort),
          '-t',
          'a/b',
          '-m',
          'hello',
          '-q',
          '1',
        ]);
        tap.signal('SIGTERM');
        await tap.succeeds();
        const lines = await new Command(['decode', output]).output();
        const types = (direction: string) =>
          lines.flatMap((line) => new RegExp(` ${direction} +\\d+ (..) `).exec(line)?.[1] ?? []);
        // CONNECT, PUBLISH, DISCONNECT; CONNACK, PUBACK
        expect(types('->')).to.deep.equal(['10', '32', 'e0']);
        expect(types('<-')).to.deep.equal(['20', '40']);
        expect(lines.join('\n')).to.match(/32 0c 00 03 61 2f 62 /);
      });
    });

    for (const [way, over] of ways) {
      it(`PUBLISH of all lengths, by us to ourselves${way}`, async () => {
        const { messages, receive } = await client(over(connect(port, '127.0.0.1')));
        messages.write(messageOf(PINGREQ));
        expect(await receive()).to.deep.equal(Buffer.of(PINGRESP, 0));
        messages.write(messageOf(SUBSCRIBE, '\0\x07\0\x01t\0'));
        expect(await receive()).to.deep.equal(Buffer.of(SUBACK, 3, 0, 7, 0));
        for (const length of LENGTHS) {
          messages.write(messageOf(PUBLISH, '\0\x01t', Buffer.alloc(length, 'x')));
          expectSame(publishedBy(await receive()), Buffer.alloc(length, 'x'));
        }
        messages.end(messageOf(DISCONNECT));
        expect(await receive()).to.equal(undefined);
      });

      it(`mosquitto_pub to us, and we to mosquitto_sub, through it${way}`, async () => {
        const { messages, receive } = await client(over(connect(port, '127.0.0.1')));
        messages.write(messageOf(SUBSCRIBE, '\0\x07\0\x01t\0'));
        expect(await receive()).to.deep.equal(Buffer.of(SUBACK, 3, 0, 7, 0));
        const place = ['-h', '127.0.0.1', '-p', String(port), '-t', 't'];
        for (const length of [0, 1, 5_000_000]) {
          const sent = 'y'.repeat(length);
          await host.run('mosquitto_pub', [...place, ...(length === 0 ? ['-n'] : ['-s'])], sent);
          expectSame(publishedBy(await receive()), Buffer.from(sent));
        }
        for (const length of [1, 5_000_000]) {
          // It keeps this one for who comes later, until an empty one comes.
          messages.write(messageOf(RETAINED, '\0\x01t', Buffer.alloc(length, 'z')));
          expect(publishedBy(await receive()).length).to.equal(length);
          const printed = await host.run('mosquitto_sub', [...place, '-C', '1', '-N']);
          expectSame(printed, 'z'.repeat(length));
        }
        messages.write(messageOf(RETAINED, '\0\x01t'));
        expectSame(publishedBy(await receive()), '');
        messages.end(messageOf(DISCONNECT));
        expect(await receive()).to.equal(undefined);
      });
    }
  });

  describe('with mosquitto_pub and mosquitto_sub', () => {
    /** A broker of one topic, `events` to all its connections. */
    async function serve(stream: Duplex, events: EventEmitter): Promise<void> {
      const messages = framed(stream, formats.mqtt);
      const forward = (message: Buffer) => messages.write(message);
      for await (const message of messages) {
        const type = message[0]!;
        if (type === CONNECT) messages.write(messageOf(CONNACK, '\0\0'));
        else if (type === PINGREQ) messages.write(messageOf(PINGRESP));
        else if (type === PUBLISH) events.emit('published', message);
        else if (type === SUBSCRIBE) {
          messages.write(messageOf(SUBACK, restOf(message).subarray(0, 2), '\0'));
          events.on('published', forward).emit('subscribed');
        } else {
          expect(type).to.equal(DISCONNECT);
          break;
        }
      }
      events.off('published', forward);
    }

    for (const [way, over] of ways) {
      it(`PUBLISH of all lengths goes through a broker of ours${way}`, async () => {
        const events = new EventEmitter();
        const port = await host.serve((socket) => serve(over(socket), events));
        const place = ['-h', '127.0.0.1', '-p', String(port), '-t', 't'];
        const lengths = [0, 1, 125, 16_381, 5_000_000];
        const printed = host.run('mosquitto_sub', [...place, '-C', String(lengths.length), '-F', '%l %p']);
        await Promise.race([once(events, 'subscribed'), printed]);
        for (const length of lengths) {
          const sent = 'x'.repeat(length);
          await host.run('mosquitto_pub', [...place, ...(length === 0 ? ['-n'] : ['-s'])], sent);
        }
        expectSame(await printed, lengths.map((length) => `${length} ${'x'.repeat(length)}\n`).join(''));
      });
    }
  });
});
