import { readFileSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { expect } from 'chai';
import { formats, framed } from '../../../lib/index.js';
import { ways } from '../../support/recut.js';
import { uintLE as uint } from './bytes.js';
import { expectSame } from './same.js';
import { Host } from './servers.js';
import { through } from './through.js';

// Of 9P2000.L, the dialect of Linux. An answer's type is one more.
const RLERROR = 7;
const TLOPEN = 12;
const TLCREATE = 14;
const TVERSION = 100;
const TAUTH = 102;
const TATTACH = 104;
const TWALK = 110;
const TREAD = 116;
const TWRITE = 118;
const TCLUNK = 120;

/** The longest message that diod grants, its length included, and the most data in one. */
const MSIZE = 65_536;
const MOST = MSIZE - 24;
const LARGE = 5_000_000;
const ROOT = 0;
const FILE = 1;
const NO_FID = 0xffff_ffff;

const string = (text: string) => Buffer.concat([uint(Buffer.byteLength(text), 2), Buffer.from(text)]);

describe('formats.nineP', () => {
  let host: Host;
  let port: number;
  before(async () => {
    host = new Host();
    // It would not say when it listens.
    port = await host.serveBy('diod', ['-f', '-n', '-r', '0', '-w', '0', '-c', '/dev/null', '-e', host.folder]);
  });
  after(() => host.close());

  for (const [i, [way, over]] of ways.entries()) {
    it(`we write a file to diod, and read it${way}`, async () => {
      const messages = framed(over(connect(port, '127.0.0.1')), formats.nineP);
      const received = messages[Symbol.asyncIterator]();
      let tag = 0;
      const ask = async (type: number, ...rest: Uint8Array[]) => {
        messages.write([Uint8Array.of(type), uint(++tag, 2), ...rest]);
        const answer = (await received.next()).value as Buffer;
        expect([answer[0], answer.readUInt16LE(1)]).to.deep.equal([type + 1, tag]);
        return answer.subarray(3);
      };
      const version = Buffer.concat([uint(MSIZE, 4), string('9P2000.L')]);
      expect(await ask(TVERSION, version)).to.deep.equal(version);
      const user = uint(statSync(host.folder).uid, 4);
      await ask(TATTACH, uint(ROOT, 4), uint(NO_FID, 4), string(''), string(host.folder), user);

      const content = Buffer.alloc(LARGE, 'content');
      await ask(TWALK, uint(ROOT, 4), uint(FILE, 4), uint(0, 2));
      // To read and to write.
      await ask(TLCREATE, uint(FILE, 4), string(`ours-${i}`), uint(2, 4), uint(0o644, 4), uint(0, 4));
      const next = (length: number) => (length === 0 ? 1 : MOST);
      for (let at = 0, length = 0; at < LARGE; at += length, length = next(length)) {
        const data = content.subarray(at, at + length);
        expect(await ask(TWRITE, uint(FILE, 4), uint(at, 8), uint(data.length, 4), data)).to.deep.equal(
          uint(data.length, 4),
        );
      }
      expectSame(readFileSync(join(host.folder, `ours-${i}`)), content);

      const read: Buffer[] = [];
      for (let at = 0, length = 0; at < LARGE; at += length, length = next(length)) {
        const data = await ask(TREAD, uint(FILE, 4), uint(at, 8), uint(length, 4));
        expect(data.readUInt32LE()).to.equal(data.length - 4);
        read.push(data.subarray(4));
      }
      expectSame(Buffer.concat(read), content);
      for (const fid of [FILE, ROOT]) expect(await ask(TCLUNK, uint(fid, 4))).to.deep.equal(Buffer.alloc(0));
      messages.end();
      expect((await received.next()).done).to.equal(true);
    });

    it(`diodcat reads files through us${way}`, async () => {
      const proxy = await through(host, port, { format: formats.nineP, over });
      const contents = ['', 'x', 'x'.repeat(LARGE)];
      const names = contents.map((_, i) => `file-${i}`);
      for (const [i, name] of names.entries()) host.file(name, contents[i]!);
      const place = ['-s', `127.0.0.1:${proxy.port}`, '-a', host.folder];
      expectSame(await host.run('diodcat', [...place, ...names]), contents.join(''));

      const { there, back } = await proxy.passed();
      const types = (messages: Buffer[]) => messages.map((message) => message[0]!);
      const reads = contents.map(({ length }) => new Array(Math.ceil(length / MOST) + 1).fill(TREAD));
      const files = reads.flatMap((reads) => [TWALK, TLOPEN, ...reads, TCLUNK]);
      expect(types(there)).to.deep.equal([TVERSION, TAUTH, TATTACH, ...files, TCLUNK]);
      expect(types(back)).to.deep.equal(types(there).map((type) => (type === TAUTH ? RLERROR : type + 1)));
      expect(Math.max(...back.map(({ length }) => length))).to.equal(7 + MOST);
    });
  }
});
