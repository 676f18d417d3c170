import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { expect } from 'chai';
import { type FormatOptions, formats, framed, type MessagePart } from '../../../lib/index.js';
import { ways } from '../../support/recut.js';
import { expectSame } from './same.js';
import { Host } from './servers.js';

const REQUEST = 0x80;
const RESPONSE = 0x81;

const GET = 0x00;
const SET = 0x01;
const DELETE = 0x04;
const QUIT = 0x07;
const GETQ = 0x09;
const NOOP = 0x0a;
const GETK = 0x0c;

const OK = 0;
const NOT_FOUND = 1;
const TOO_LARGE = 3;

/** The most bytes that memcached keeps for one item by default: its own head and the key count. */
const ITEM = 1_048_576;
const LARGE = 5_000_000;
const large = { ...formats.memcached, maxPayloadLength: 8 * ITEM + 12 };

interface Frame {
  magic?: number;
  opcode: number;
  status?: number;
  opaque?: number;
  extras?: string;
  key?: string;
  value?: Uint8Array | undefined;
}

/** A message: its head, with zeros that the length is written over, and the rest. */
function messageOf({ magic = REQUEST, opcode, status = 0, opaque = 0, extras = '', key = '', value }: Frame) {
  const head = Buffer.alloc(24);
  head.set([magic, opcode, key.length >> 8, key.length, extras.length, 0, status >> 8, status]);
  head.writeUInt32BE(opaque, 12);
  return [head, extras, key, value ?? ''] satisfies MessagePart[];
}

function frameOf(message: Buffer) {
  const [key, value] = [24 + message[4]!, 24 + message[4]! + message.readUInt16BE(2)];
  expect(message.length).to.equal(24 + message.readUInt32BE(8));
  expect(value).to.be.at.most(message.length);
  return {
    magic: message[0]!,
    opcode: message[1]!,
    status: message.readUInt16BE(6),
    opaque: message.readUInt32BE(12),
    extras: message.toString('latin1', 24, key),
    key: message.toString('latin1', key, value),
    value: message.subarray(value),
  };
}

describe('formats.memcached', () => {
  let host: Host;
  before(() => {
    host = new Host();
  });
  after(() => host.close());

  describe('with memcached', () => {
    let port: number;
    const start = (...options: string[]) => {
      const args = (port: number) => ['-l', '127.0.0.1', '-p', String(port), '-U', '0', '-vv', ...options];
      return host.startOnPort('memcached', args, /server listening/);
    };
    before(async () => {
      port = await start('-I', '8m');
    });

    /** A client that numbers its requests. */
    function client(stream: Duplex, format: FormatOptions = large) {
      const messages = framed(stream, format);
      const received = messages[Symbol.asyncIterator]();
      const receive = async () => frameOf((await received.next()).value as Buffer);
      let opaque = 0;
      const ask = async (frame: Frame) => {
        messages.write(messageOf({ ...frame, opaque: ++opaque }));
        const answer = await receive();
        expect([answer.magic, answer.opcode, answer.opaque]).to.deep.equal([RESPONSE, frame.opcode, opaque]);
        return answer;
      };
      return { messages, received, receive, ask };
    }

    const extras = '\0\0\0\x09\0\0\0\0';

    for (const [way, over] of ways) {
      it(`values of all lengths, and many requests at a time${way}`, async () => {
        const { messages, received, receive, ask } = client(over(connect(port, '127.0.0.1')));
        for (const length of [0, 1, 65_536, LARGE]) {
          const value = Buffer.alloc(length, 'value');
          const stored = await ask({ opcode: SET, extras, key: 'key', value });
          expect([stored.status, stored.value]).to.deep.equal([OK, Buffer.alloc(0)]);
          const got = await ask({ opcode: GETK, key: 'key' });
          expect([got.status, got.extras, got.key]).to.deep.equal([OK, '\0\0\0\x09', 'key']);
          expectSame(got.value, value);
        }
        expect((await ask({ opcode: DELETE, key: 'key' })).status).to.equal(OK);
        expect((await ask({ opcode: GET, key: 'key' })).status).to.equal(NOT_FOUND);

        await ask({ opcode: SET, extras, key: 'n', value: Buffer.from('1') });
        // GETQ is silent about keys that are not there.
        for (let i = 0; i < 2000; i++)
          messages.write(messageOf({ opcode: GETQ, opaque: i, key: i % 2 === 0 ? 'n' : 'x' }));
        messages.write(messageOf({ opcode: NOOP, opaque: 2000 }));
        for (let i = 0; i < 2000; i += 2) {
          const { opaque, value } = await receive();
          expect([opaque, `${value}`]).to.deep.equal([i, '1']);
        }
        expect((await receive()).opcode).to.equal(NOOP);
        messages.write(messageOf({ opcode: QUIT }));
        expect((await receive()).opcode).to.equal(QUIT);
        expect((await received.next()).done).to.equal(true);
      });
    }

    it('which by default stores no item that is over the limit', async () => {
      const { messages, ask } = client(connect(await start(), '127.0.0.1'), formats.memcached);
      const store = (length: number) => ask({ opcode: SET, extras, key: 'key', value: Buffer.alloc(length) });
      expect((await store(ITEM - 100)).status).to.equal(OK);
      expect((await store(ITEM - extras.length - 'key'.length)).status).to.equal(TOO_LARGE);
      messages.destroy();
    });
  });

  describe('with memccp, memccat and memcrm', () => {
    /** A cache of ours. */
    async function serve(stream: Duplex, values: Map<string, Buffer>, opcodes: number[]): Promise<void> {
      const messages = framed(stream, large);
      for await (const message of messages) {
        const { magic, opcode, opaque, key, value } = frameOf(message);
        expect(magic).to.equal(REQUEST);
        opcodes.push(opcode);
        const answer: Frame = { magic: RESPONSE, opcode, opaque, status: OK };
        if (opcode === SET) values.set(key, value);
        else if (opcode === GETK) Object.assign(answer, { extras: '\0\0\0\0', key, value: values.get(key)! });
        else if (opcode === DELETE) values.delete(key);
        else expect(opcode).to.equal(QUIT);
        messages.write(messageOf(answer));
      }
    }

    for (const [way, over] of ways) {
      it(`values of all lengths${way}`, async () => {
        const [values, opcodes] = [new Map<string, Buffer>(), [] as number[]];
        const port = await host.serve((socket) => serve(over(socket), values, opcodes));
        const place = ['--binary', `--servers=127.0.0.1:${port}`];
        for (const length of [0, 1, LARGE]) {
          const value = 'x'.repeat(length);
          await host.run('memccp', [...place, '--set', host.file('file', value)]);
          expect([...values.keys()]).to.deep.equal(['file']);
          expectSame(values.get('file'), value);
          expectSame(await host.run('memccat', [...place, 'file']), `${value}\n`);
        }
        await host.run('memcrm', [...place, 'file']);
        expect([...values.keys()]).to.deep.equal([]);
        const copied = [SET, QUIT, GETK, QUIT];
        expect(opcodes).to.deep.equal([...copied, ...copied, ...copied, DELETE, QUIT]);
      });
    }
  });
});
