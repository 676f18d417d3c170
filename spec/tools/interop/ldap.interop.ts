import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { expect } from 'chai';
import { type Framed, formats, framed, type MessagePart } from '../../../lib/index.js';
import { cleanUp, connectTo } from '../../support/programs.js';
import { ways } from '../../support/recut.js';
import { fromNpm } from './npm.js';
import { messageOf } from './programs.js';
import { expectSame } from './same.js';
import { Host } from './servers.js';

const { Client } = fromNpm('ldapts');

const SEQUENCE = 0x30;
const SET = 0x31;
const BIND = 0x60;
const BOUND = 0x61;
const UNBIND = 0x42;
const SEARCH = 0x63;
const ENTRY = 0x64;
const DONE = 0x65;
const ADD = 0x68;
const ADDED = 0x69;

const LARGE = 4_000_000;
/** Lengths of values: around those at which a length takes one more byte, and large ones. */
const LENGTHS = [1, 40, 80, 127, 128, 200, 65_400, 65_536, LARGE];
const LIMIT = formats.ldap.maxPayloadLength!;

/** A value in BER. A long one has more bytes for its length than it needs. */
function ber(tag: number, ...parts: (Uint8Array | string)[]): Buffer {
  const content = Buffer.concat(parts.map((part) => Buffer.from(part as string)));
  const head = content.length < 0x80 ? Buffer.of(tag, content.length) : Buffer.of(tag, 0x84, 0, 0, 0, 0);
  if (head.length > 2) head.writeUInt32BE(content.length, 2);
  return Buffer.concat([head, content]);
}
const boolean = (value: number) => ber(1, Buffer.of(value));
const integer = (value: number) => ber(2, Buffer.of(value));
const string = (value: Uint8Array | string) => ber(4, value);
const enumerated = (value: number) => ber(10, Buffer.of(value));

/** The values in BER that these bytes are made of. */
function valuesIn(bytes: Buffer): { tag: number; content: Buffer }[] {
  const values = [];
  for (let at = 0; at < bytes.length; ) {
    const width = bytes[at + 1]! < 0x80 ? 0 : bytes[at + 1]! - 0x80;
    const start = at + 2 + width;
    const end = start + (width === 0 ? bytes[at + 1]! : bytes.readUIntBE(at + 2, width));
    values.push({ tag: bytes[at]!, content: bytes.subarray(start, end) });
    at = end;
  }
  return values;
}

/** The number of a message, and what is asked or answered. */
function partsOf(message: Buffer) {
  const [id, operation] = valuesIn(valuesIn(message)[0]!.content);
  return {
    id: id!.content[0]!,
    tag: operation!.tag,
    values: valuesIn(operation!.content).map(({ content }) => content),
  };
}

/** A message: a tag, a zero that the length is written over, and the rest. */
const messageWith = (id: number, operation: MessagePart) => [Uint8Array.of(SEQUENCE, 0), integer(id), operation];

const OK = [enumerated(0), string(''), string('')];
const bind = ber(BIND, integer(3), string('cn=bob,o=spec'), ber(0x80, 'secret'));
const attribute = (name: string, value: Uint8Array | string) => ber(SEQUENCE, string(name), ber(SET, string(value)));
const add = (name: string, ...attributes: Buffer[]) => ber(ADD, string(name), ber(SEQUENCE, ...attributes));
const person = (name: string, password: Uint8Array) =>
  add(
    `cn=${name},o=spec`,
    ...[attribute('objectClass', 'person'), attribute('sn', name), attribute('userPassword', password)],
  );
/** What is asked for one entry. */
const search = (name: string) => {
  const limits = [enumerated(0), enumerated(0), integer(0), integer(0), boolean(0)];
  return ber(SEARCH, string(name), ...limits, ber(0x87, 'objectClass'), ber(SEQUENCE, string('userPassword')));
};

async function next(messages: Framed): Promise<Buffer> {
  for await (const message of messages.iterator({ destroyOnReturn: false })) return message;
  throw new Error('the server has ended');
}

/** Sends a request. The answer says that all is well. */
async function ask(messages: Framed, id: number, operation: Buffer): Promise<void> {
  messages.write(messageWith(id, operation));
  const answer = partsOf(await next(messages));
  // The tag of each answer to a request is the one above.
  expect([answer.id, answer.tag, ...answer.values.map(String)]).to.deep.equal([id, operation[0]! + 1, '\0', '', '']);
}

describe('formats.ldap', () => {
  let host: Host;
  before(() => {
    host = new Host();
  });
  after(() => host.close());
  afterEach(cleanUp);

  describe('with slapd', () => {
    let port: number;
    before(async () => {
      await host.run('mkdir', ['db']);
      const lines = [
        'include /etc/ldap/schema/core.schema',
        'modulepath /usr/lib/ldap',
        'moduleload back_mdb',
        'database mdb',
        'suffix o=spec',
        'rootdn cn=bob,o=spec',
        'rootpw secret',
        `directory ${join(host.folder, 'db')}`,
        'maxsize 100000000',
        'dbnosync',
      ];
      const conf = host.file('slapd.conf', `${lines.join('\n')}\n`);
      const args = (port: number) => ['-f', conf, '-h', `ldap://127.0.0.1:${port}`, '-d', 'conns'];
      // Behind "slapd starting", it does not listen yet.
      port = await host.startOnPort('slapd', args, /epoll: listen=/);
      const messages = framed(await connectTo(port), formats.ldap);
      await ask(messages, 1, bind);
      await ask(messages, 2, add('o=spec', attribute('objectClass', 'organization')));
      messages.end();
    });

    for (const [way, over] of ways) {
      it(`entries with values of all lengths${way}`, async () => {
        const messages = framed(over(await connectTo(port)), formats.ldap);
        await ask(messages, 1, bind);
        for (const length of LENGTHS) {
          const name = `${length}-${way.length}`;
          const password = messageOf(length);
          await ask(messages, 2, person(name, password));
          messages.write(messageWith(3, search(`cn=${name},o=spec`)));
          const entry = partsOf(await next(messages));
          expect([entry.tag, `${entry.values[0]}`]).to.deep.equal([ENTRY, `cn=${name},o=spec`]);
          expectSame(entry.values[1]!.subarray(-length), password);
          expect(partsOf(await next(messages)).tag).to.equal(DONE);
        }
        messages.end(messageWith(4, Uint8Array.of(UNBIND, 0)));
        expect(await messages.toArray()).to.deep.equal([]);
      });
    }

    it('takes as many bytes as the limit is, and no more', async () => {
      const format = { ...formats.ldap, maxPayloadLength: 2 * LIMIT };
      const messages = framed(await connectTo(port), format);
      await ask(messages, 1, bind);
      const others = integer(2).length + person('limit', messageOf(LARGE)).length - LARGE;
      await ask(messages, 2, person('limit', messageOf(LIMIT - others)));
      // It may close the connection before it has read all.
      messages.on('error', () => {}).write(messageWith(3, person('above', messageOf(LIMIT - others + 1))));
      const outcome = next(messages).then(
        () => 'answered',
        () => 'closed',
      );
      expect(await outcome).to.equal('closed');
    });
  });

  describe('with ldapts, ldapsearch and ldapadd', () => {
    const lengths = [0, ...LENGTHS];

    /** Answers each search with entries that have values of all lengths. */
    async function serve(stream: Duplex, added: Buffer[]): Promise<void> {
      const messages = framed(stream, formats.ldap);
      for await (const message of messages) {
        const { id, tag, values } = partsOf(message);
        const answer = (operation: Buffer) => messages.write(messageWith(id, operation));
        if (tag === UNBIND) break;
        if (tag === BIND) {
          answer(ber(BOUND, ...OK));
        } else if (tag === ADD) {
          const [type, set] = valuesIn(valuesIn(values[1]!)[0]!.content);
          expect(`${type!.content}`).to.equal('data');
          added.push(valuesIn(set!.content)[0]!.content);
          answer(ber(ADDED, ...OK));
        } else {
          expect(tag).to.equal(SEARCH);
          for (const length of lengths) {
            const data = attribute('data', messageOf(length));
            answer(ber(ENTRY, string(`cn=${length},o=spec`), ber(SEQUENCE, data)));
          }
          answer(ber(DONE, ...OK));
        }
      }
      messages.end();
    }

    const expectAdded = (added: readonly Buffer[]) => {
      expect(added).to.have.lengthOf(LENGTHS.length);
      for (const [i, length] of LENGTHS.entries()) expectSame(added[i], 'x'.repeat(length));
    };

    for (const [way, over] of ways) {
      it(`ldapts finds and adds entries with values of all lengths${way}`, async () => {
        const added: Buffer[] = [];
        const port = await host.serve((socket) => serve(over(socket), added));
        const client = new Client({ url: `ldap://127.0.0.1:${port}` });
        await client.bind('cn=bob,o=spec', 'secret');
        const { searchEntries } = await client.search('o=spec', { explicitBufferAttributes: ['data'] });
        expect(searchEntries.map(({ dn }: { dn: string }) => dn)).to.deep.equal(
          lengths.map((each) => `cn=${each},o=spec`),
        );
        for (const [i, length] of lengths.entries()) expectSame(searchEntries[i].data, messageOf(length));
        for (const length of LENGTHS) await client.add('cn=new,o=spec', { data: 'x'.repeat(length) });
        await client.unbind();
        expectAdded(added);
      });

      it(`ldapsearch and ldapadd${way}`, async () => {
        const added: Buffer[] = [];
        const port = await host.serve((socket) => serve(over(socket), added));
        const place = ['-x', '-H', `ldap://127.0.0.1:${port}`, '-D', 'cn=bob,o=spec', '-w', 'secret'];
        const found = await host.run('ldapsearch', [...place, '-b', 'o=spec', '-LLL', '-o', 'ldif-wrap=no']);
        const shown = (length: number) => (length === 0 ? ':' : `:: ${messageOf(length).toString('base64')}`);
        expectSame(found, lengths.map((length) => `dn: cn=${length},o=spec\ndata${shown(length)}\n\n`).join(''));
        const entries = LENGTHS.map((length) => `dn: cn=new,o=spec\ndata: ${'x'.repeat(length)}\n\n`);
        await host.run('ldapadd', place, entries.join(''));
        expectAdded(added);
      });
    }
  });
});
