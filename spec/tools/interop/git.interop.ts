import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, watch } from 'node:fs';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { expect } from 'chai';
import { type Framed, formats, framed, type MessagePart } from '../../../lib/index.js';
import { Command, startTap } from '../../cli/command.js';
import { cleanUp, connectTo, temporaryDirectory } from '../../support/programs.js';
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
      const options = ['--export-all', '--enable=receive-pack', '--verbose', `--base-path=${host.folder}`];
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

    describe('and git as client, a tap between them', () => {
      /** Settles when a file of the tap has the end of both directions. */
      async function bothEnds(file: string): Promise<string> {
        const watcher = watch(file);
        try {
          for (;;) {
            const change = once(watcher, 'change');
            const text = readFileSync(file, 'utf8');
            if (text.split('"event":"end"').length === 3) return text;
            await change;
          }
        } finally {
          watcher.close();
        }
      }

      /** What a tap has kept while git talked through it to a repository of the daemon. */
      async function tapped(repository: string, talk: (url: string) => Promise<unknown>) {
        const output = join(temporaryDirectory(), 'seen.ndjson');
        const { server: tap, port: tapPort } = await startTap(port, ['--format', 'gitPktLine', '--json', '-o', output]);
        await talk(`git://127.0.0.1:${tapPort}/${repository}`);
        const text = await bothEnds(output);
        tap.signal('SIGTERM');
        await tap.succeeds();
        const records = text
          .split('\n')
          .slice(0, -1)
          .map((line) => JSON.parse(line));
        const sideOf = (side: string) => {
          const there = records.filter(({ direction }) => direction === side);
          const packets = there.filter(({ base64 }) => base64 !== undefined);
          let position = 0;
          for (const packet of packets) {
            expect(packet.position).to.equal(position);
            position += packet.length;
          }
          const events = there.filter(({ event }) => event !== undefined);
          return { packets: packets.map(({ base64 }) => Buffer.from(base64, 'base64')), position, events };
        };
        return { output, client: sideOf('->'), server: sideOf('<-') };
      }

      it('ls-remote lists branches, and each packet is seen', async () => {
        const { output, client, server } = await tapped('spec.git', async (url) => {
          const branches = `${commit}\tHEAD\n${commit}\trefs/heads/main\n`;
          expect(await git(host.folder, ['ls-remote', url])).to.equal(branches);
        });
        expect(textsOf(client.packets)).to.include.members(['command=ls-refs', 'peel', 'symrefs']);
        expect(textsOf(server.packets)).to.include.members([
          'version 2',
          `${commit} HEAD symref-target:refs/heads/main`,
          `${commit} refs/heads/main`,
        ]);
        for (const { packets, position, events } of [client, server]) {
          expect(String(packets.at(-1))).to.equal(FLUSH);
          expect(events.map(({ event, position }) => [event, position])).to.deep.equal([['end', position]]);
        }
        const lines = await new Command(['decode', output]).output();
        expect(lines[0]).to.match(/^#1 is 127\.0\.0\.1:\d+$/);
        expect(lines[1]).to.match(/ #1 {2}-> +0 - +\d+ 30 30 [ 0-9a-f]{41} +00..git-upload-p$/);
      });

      it('a clone is whole, and so is the pack that the tap has seen', async () => {
        const { client, server } = await tapped('spec.git', async (url) => {
          await git(host.folder, ['clone', '-q', '--bare', url, 'tapped.git']);
        });
        expect(await git('tapped.git', ['ls-tree', 'main'])).to.equal(TREE);
        expect(textsOf(client.packets)).to.include.members(['command=fetch', `want ${commit}`, 'done']);
        const from = server.packets.findIndex((packet) => String(packet) === '000dpackfile\n') + 1;
        const pieces = server.packets.slice(from, -1).filter((packet) => packet[4] === PACK);
        await git(host.folder, ['init', '-q', '--bare', 'seen.git']);
        await git(
          'seen.git',
          ['index-pack', '--strict', '--stdin'],
          Buffer.concat(pieces.map((each) => each.subarray(5))),
        );
        expect(await git('seen.git', ['ls-tree', commit])).to.equal(TREE);
      });

      // A client sends its pack as it is: only a server has channels for it.
      it('a push arrives; its pack is no packets, which is said, and the answer is seen', async () => {
        await git(host.folder, ['init', '-q', '--bare', 'pushed.git']);
        const { client, server } = await tapped('pushed.git', async (url) => {
          await git('spec.git', ['push', '-q', url, 'main']);
        });
        expect(await git('pushed.git', ['ls-tree', 'main'])).to.equal(TREE);
        expect(client.packets.map(String).at(-1)).to.equal(FLUSH);
        const [error, end] = client.events;
        expect(error).to.include({ code: 'ERR_FRAME_CORRUPT', position: client.position });
        expect(end).to.include({ event: 'end' });
        expect(end.position).to.be.above(client.position + 5_000_000);
        expect(error.message).to.match(/: "P" does not begin four .* passed on, but not decoded$/);
        expect(server.packets.join('')).to.include('unpack ok\n').and.include('ok refs/heads/main\n');
      });
    });
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
