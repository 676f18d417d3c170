import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { expect } from 'chai';
import { type Framed, formats, framed, type MessagePart } from '../../../lib/index.js';
import { cleanUp, connectTo } from '../../support/programs.js';
import { ways } from '../../support/recut.js';
import { Host } from './servers.js';

const FLUSH = '0000';
const DELIMITER = '0001';
const LONGEST = 65_520;
/** What the first byte of a packet says, while a pack is sent. */
const PACK = 1;

/** A packet: four digits that the length is written over, and the rest. */
const packet = (...rest: MessagePart[]) => ['0000', ...rest];

async function next(messages: Framed): Promise<Buffer | undefined> {
  for await (const message of messages.iterator({ destroyOnReturn: false })) return message;
  return undefined;
}

/** All packets up to a flush, or the end. */
async function upToFlush(messages: Framed): Promise<Buffer[]> {
  const packets: Buffer[] = [];
  for (;;) {
    const message = await next(messages);
    if (message === undefined || `${message}` === FLUSH) return packets;
    packets.push(message);
  }
}

const textsOf = (packets: readonly Buffer[]) => packets.map((packet) => packet.toString('utf8', 4).replace(/\n$/, ''));

/** The files in the repository: their names, and what is in them. */
const files = Object.entries({ empty: Buffer.alloc(0), large: randomBytes(5_000_000), one: Buffer.from('x') });

/** The tree as git lists it: the names of the files' objects are hashes. */
const TREE = files
  .map(([name, data]) => {
    const hash = createHash('sha1').update(`blob ${data.length}\0`).update(data).digest('hex');
    return `100644 blob ${hash}\t${name}\n`;
  })
  .join('');

describe('formats.gitPktLine with git', () => {
  let host: Host;
  let commit: string;
  const git = (repository: string, args: string[], input?: string | Uint8Array) =>
    host.run('git', ['-C', repository, ...args], input);

  before(async () => {
    host = new Host();
    await git(host.folder, ['init', '-q', '--bare', '-b', 'main', 'spec.git']);
    const data = files.flatMap(([name, data]) => [`M 100644 inline ${name}\ndata ${data.length}\n`, data, '\n']);
    const head = 'commit refs/heads/main\ncommitter Bob <bob@localhost> 0 +0000\ndata 0\n';
    const input = Buffer.concat([head, ...data].map((part) => Buffer.from(part as string)));
    await git('spec.git', ['fast-import', '--quiet'], input);
    commit = (await git('spec.git', ['rev-parse', 'main'])).trim();
  });
  after(() => host.close());

  describe('as server', () => {
    afterEach(cleanUp);
    let port: number;
    before(async () => {
      // Not by `git daemon`, which would leave it behind when it is ended.
      const daemon = join((await git(host.folder, ['--exec-path'])).trim(), 'git-daemon');
      const options = ['--export-all', '--verbose', `--base-path=${host.folder}`];
      const args = (port: number) => ['--listen=127.0.0.1', `--port=${port}`, ...options];
      port = await host.startOnPort(daemon, args, /Ready to rumble/);
    });

    for (const [way, over] of ways) {
      it(`lists branches, and sends a pack${way}`, async () => {
        const messages = framed(over(await connectTo(port)), formats.gitPktLine);
        messages.write(packet('git-upload-pack /spec.git\0host=127.0.0.1\0\0version=2\0'));
        const capabilities = textsOf(await upToFlush(messages));
        expect(capabilities).to.include.members(['version 2', 'object-format=sha1']);

        for (const message of [packet('command=ls-refs\n'), DELIMITER, packet('ref-prefix refs/\n'), FLUSH])
          messages.write(message);
        expect(textsOf(await upToFlush(messages))).to.deep.equal([`${commit} refs/heads/main`]);

        const wants = [packet(`want ${commit}\n`), packet('no-progress\n'), packet('done\n')];
        for (const message of [packet('command=fetch'), DELIMITER, ...wants, FLUSH]) messages.write(message);
        const [section, ...packets] = await upToFlush(messages);
        expect(textsOf([section!])).to.deep.equal(['packfile']);
        const pieces = packets.filter((packet) => packet[4] === PACK).map((packet) => packet.subarray(5));
        const pack = Buffer.concat(pieces);
        expect(pack.length).to.be.above(5_000_000);
        messages.end(FLUSH);
        expect(await messages.toArray()).to.deep.equal([]);

        const repository = `fetched${way.length}.git`;
        await git(host.folder, ['init', '-q', '--bare', repository]);
        await git(repository, ['index-pack', '--strict', '--stdin'], pack);
        expect(await git(repository, ['ls-tree', commit])).to.equal(TREE);
      });
    }
  });

  describe('as client', () => {
    let pack: Buffer;
    before(async () => {
      const hash = await git('spec.git', ['pack-objects', '-q', '--revs', 'spec'], 'main\n');
      pack = readFileSync(join(host.folder, 'spec.git', `spec-${hash.trim()}.pack`));
      expect(pack.length).to.be.above(5_000_000);
    });

    /** A server of one branch. */
    async function serve(stream: Duplex): Promise<void> {
      const messages = framed(stream, formats.gitPktLine);
      const write = (...packets: (MessagePart | MessagePart[])[]) => {
        for (const packet of packets) messages.write(packet);
      };
      expect((await next(messages))!.toString('utf8', 4)).to.match(/^git-upload-pack \/spec\.git\0.*\0\0version=2\0$/);
      write(packet('version 2\n'), packet('ls-refs\n'), packet('fetch\n'), packet('object-format=sha1\n'), FLUSH);
      for (;;) {
        const [command, ...args] = textsOf(await upToFlush(messages));
        if (command === undefined) break;
        if (command === 'command=ls-refs') {
          write(packet(`${commit} HEAD symref-target:refs/heads/main\n`), packet(`${commit} refs/heads/main\n`), FLUSH);
          continue;
        }
        expect(command).to.equal('command=fetch');
        expect(args).to.include.members([`want ${commit}`, 'done']);
        // A piece of nothing keeps the connection alive.
        write(packet('packfile\n'), packet(Uint8Array.of(PACK)));
        const most = LONGEST - 5;
        for (let at = 0; at < pack.length; at += most) write(packet(Uint8Array.of(PACK), pack.subarray(at, at + most)));
        write(FLUSH);
      }
      messages.end();
    }

    for (const [way, over] of ways) {
      it(`lists branches, and clones${way}`, async () => {
        const port = await host.serve((socket) => serve(over(socket)));
        const url = `git://127.0.0.1:${port}/spec.git`;
        expect(await git(host.folder, ['ls-remote', url])).to.equal(`${commit}\tHEAD\n${commit}\trefs/heads/main\n`);
        const repository = `cloned${way.length}.git`;
        await git(host.folder, ['clone', '-q', '--bare', url, repository]);
        expect(await git(repository, ['ls-tree', 'main'])).to.equal(TREE);
      });
    }
  });
});
