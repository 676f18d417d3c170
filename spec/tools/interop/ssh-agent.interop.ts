import { generateKeyPairSync, verify } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { expect } from 'chai';
import { type Framed, formats, framed } from '../../../lib/index.js';
import { ways } from '../../support/recut.js';
import { uintBE } from './bytes.js';
import { expectSame } from './same.js';
import { Host } from './servers.js';

const FAILURE = 5;
const SUCCESS = 6;
const REQUEST_IDENTITIES = 11;
const IDENTITIES_ANSWER = 12;
const SIGN_REQUEST = 13;
const SIGN_RESPONSE = 14;
const ADD_IDENTITY = 17;
const REMOVE_ALL_IDENTITIES = 19;

const LIMIT = 262_144;
const TYPE = 'ssh-ed25519';

const uint32 = (value: number) => uintBE(value, 4);

/** Strings as SSH has them: each behind its length. */
const strings = (...values: (string | Uint8Array)[]) =>
  Buffer.concat(values.flatMap((value) => [uint32(Buffer.byteLength(value)), Buffer.from(value as string)]));

function stringsOf(bytes: Buffer): Buffer[] {
  const values: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += 4 + values.at(-1)!.length) {
    const end = at + 4 + bytes.readUInt32BE(at);
    expect(end).to.be.at.most(bytes.length);
    values.push(bytes.subarray(at + 4, end));
  }
  return values;
}

const messageOf = (type: number, ...rest: Uint8Array[]) => Buffer.concat([Uint8Array.of(type), ...rest]);

/** How many bytes of a list with one key are not its comment. */
const LIST_OF_ONE = 1 + 4 + strings(strings(TYPE, Buffer.alloc(32)), '').length;

describe('formats.sshAgent', () => {
  let host: Host;
  before(() => {
    host = new Host();
  });
  after(() => host.close());

  describe('with ssh-agent', () => {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    const own = Buffer.from(publicKey.export({ format: 'jwk' }).x!, 'base64url');
    const secret = Buffer.from(privateKey.export({ format: 'jwk' }).d!, 'base64url');
    const key = strings(TYPE, own);
    const signRequest = (data: Uint8Array) => messageOf(SIGN_REQUEST, strings(key, data), uint32(0));
    let path: string;
    before(async () => {
      path = join(host.folder, 'agent');
      await host.start('ssh-agent', ['-D', '-a', path], /SSH_AUTH_SOCK=/);
    });

    for (const [way, over] of ways) {
      it(`keys with comments of all lengths, signatures of data of all lengths${way}`, async () => {
        const messages = framed(over(connect(path)), formats.sshAgent);
        const received = messages[Symbol.asyncIterator]();
        const ask = async (message: Buffer) => {
          messages.write(message);
          return (await received.next()).value as Buffer;
        };
        expect(await ask(messageOf(REMOVE_ALL_IDENTITIES))).to.deep.equal(Buffer.of(SUCCESS));
        expect(await ask(messageOf(REQUEST_IDENTITIES))).to.deep.equal(Buffer.of(IDENTITIES_ANSWER, 0, 0, 0, 0));
        // One that is there already gets the new comment.
        for (const length of [0, 1, LIMIT - LIST_OF_ONE - 128, 5]) {
          const comment = Buffer.alloc(length, 'comment');
          const added = strings(TYPE, own, Buffer.concat([secret, own]), comment);
          expect(await ask(messageOf(ADD_IDENTITY, added))).to.deep.equal(Buffer.of(SUCCESS));
          const list = messageOf(IDENTITIES_ANSWER, uint32(1), strings(key, comment));
          expectSame(await ask(messageOf(REQUEST_IDENTITIES)), list);
        }
        for (const length of [0, 1, LIMIT - signRequest(Buffer.alloc(0)).length]) {
          const data = Buffer.alloc(length, 'data');
          const answer = await ask(signRequest(data));
          expect(answer[0]).to.equal(SIGN_RESPONSE);
          const [type, signature] = stringsOf(stringsOf(answer.subarray(1))[0]!);
          expect([`${type}`, verify(null, data, publicKey, signature!)]).to.deep.equal([TYPE, true]);
        }
        messages.end();
        expect((await received.next()).done).to.equal(true);
      });
    }

    it('which hangs up on a message over the limit', async () => {
      const format = { ...formats.sshAgent, maxPayloadLength: LIMIT + 1 };
      const messages = framed(connect(path), format);
      messages.end(signRequest(Buffer.alloc(LIMIT + 1 - signRequest(Buffer.alloc(0)).length)));
      // It may leave bytes unread: that is an error to us.
      expect(await messages.toArray().catch(() => [])).to.deep.equal([]);
    });
  });

  describe('with ssh-add', () => {
    /** An agent of ours, of keys and their comments. */
    async function serve(messages: Framed, keys: [Buffer, Buffer][], types: number[]): Promise<void> {
      for await (const message of messages) {
        const type = message[0]!;
        types.push(type);
        if (type === ADD_IDENTITY) {
          const [name, own, secret, comment] = stringsOf(message.subarray(1));
          expect([`${name}`, secret!.subarray(32)]).to.deep.equal([TYPE, own]);
          keys.push([strings(name!, own!), comment!]);
        } else if (type === REMOVE_ALL_IDENTITIES) keys.length = 0;
        if (type === REQUEST_IDENTITIES)
          messages.write(messageOf(IDENTITIES_ANSWER, uint32(keys.length), strings(...keys.flat())));
        else messages.write(messageOf([ADD_IDENTITY, REMOVE_ALL_IDENTITIES].includes(type) ? SUCCESS : FAILURE));
      }
    }

    for (const [i, [way, over]] of ways.entries()) {
      it(`adds, lists and removes keys of an agent of ours${way}`, async () => {
        const [keys, types]: [[Buffer, Buffer][], number[]] = [[], []];
        const serveOver = (socket: Socket) => serve(framed(over(socket), formats.sshAgent), keys, types);
        const path = await host.serveAt(`ours-${i}`, serveOver);
        const add = (...args: string[]) => host.run('env', [`SSH_AUTH_SOCK=${path}`, 'ssh-add', ...args]);
        await host.run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'a comment', '-f', `key-${i}`]);
        const line = await host.run('cat', [`key-${i}.pub`]);
        await add('-q', `key-${i}`);
        expect(types.splice(0)).to.deep.equal([ADD_IDENTITY]);
        expect(await add('-L')).to.equal(line);

        const [[key]] = keys as [[Buffer, Buffer]];
        for (const length of [0, 1, LIMIT - LIST_OF_ONE]) {
          keys.splice(0, 1, [key, Buffer.alloc(length, 'x')]);
          expectSame(await add('-L'), line.replace('a comment', 'x'.repeat(length)));
        }
        keys.push(...new Array(1000).fill([key, Buffer.from('again')]));
        keys.shift();
        expectSame(await add('-L'), line.replace('a comment', 'again').repeat(1000));
        expect(types.splice(0)).to.deep.equal(new Array(5).fill(REQUEST_IDENTITIES));

        await add('-q', '-D');
        expect(types).to.include(REMOVE_ALL_IDENTITIES);
        expect(keys).to.deep.equal([]);
        expect(await add('-L').catch(String)).to.include('The agent has no identities.');
      });
    }

    it('which takes no answer over the limit', async () => {
      const path = await host.serveAt('long', (socket) => {
        const messages = framed(socket, { ...formats.sshAgent, maxPayloadLength: LIMIT + 1 });
        const key = strings(strings(TYPE, Buffer.alloc(32)), Buffer.alloc(LIMIT + 1 - LIST_OF_ONE, 'x'));
        messages.end(messageOf(IDENTITIES_ANSWER, uint32(1), key)).on('error', () => {});
      });
      const listed = host.run('env', [`SSH_AUTH_SOCK=${path}`, 'ssh-add', '-L']);
      expect(await listed.catch(String)).to.include('error fetching identities: invalid format');
    });
  });
});
