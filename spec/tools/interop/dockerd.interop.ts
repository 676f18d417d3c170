import { once } from 'node:events';
import { join } from 'node:path';
import { PassThrough, type Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { expect } from 'chai';
import { Recut } from '../../../lib/fuzz/index.js';
import { formats, LengthPrefixDecoder } from '../../../lib/index.js';
import { demuxStream, Modem } from './inside.js';
import { expectSame } from './same.js';
import { Host } from './servers.js';

const LARGE = 5_000_000;
const lineOf = (letter: string) => letter.repeat(999);
const textOf = (letter: string) => letter + `${lineOf(letter)}\n`.repeat(LARGE / 1000);
const [OUTPUT, ERRORS] = [textOf('x'), textOf('y')];
/** In a container: a byte to each of its streams, then many to both at once. */
const SCRIPT = `
PATH=/bin
printf x
printf y >&2
busybox yes ${lineOf('x')} | busybox head -c ${LARGE} &
busybox yes ${lineOf('y')} | busybox head -c ${LARGE} >&2
wait
`;

/** What is written to each of two streams. */
function demuxed(stream: Readable, demux: typeof demuxStream): Promise<Buffer>[] {
  const both = [new PassThrough(), new PassThrough()] as const;
  demux(stream, ...both);
  stream.once('end', () => {
    for (const each of both) each.end();
  });
  return both.map((each) => buffer(each));
}

async function expectFrames(decoder: LengthPrefixDecoder): Promise<void> {
  const messages: Buffer[] = await decoder.toArray();
  const written: Buffer[][] = [[], [], []];
  for (const message of messages) {
    expect([message.readUIntBE(1, 3), message.readUInt32BE(4)]).to.deep.equal([0, message.length - 8]);
    written[message[0]!]!.push(message.subarray(8));
  }
  for (const [i, expected] of ['', OUTPUT, ERRORS].entries()) expectSame(Buffer.concat(written[i]!), expected);
}

describe('formats.dockerStream, of the daemon of Docker', () => {
  let host: Host;
  let modem: any;

  const dial = async (method: string, path: string, query: object, options: object = {}): Promise<any> => {
    const statusCodes = { 200: true, 201: true, 204: true };
    const settings = { path: `${path}?`, method, statusCodes, options: { _query: query, _body: {} }, ...options };
    return await new Promise((resolve, reject) => {
      modem.dial(settings, (error: Error | null, answer: unknown) => (error ? reject(error) : resolve(answer)));
    });
  };

  before(async () => {
    host = new Host({ asRoot: true });
    const socketPath = join(host.folder, 'socket');
    const folders = ['--data-root', join(host.folder, 'data'), '--exec-root', join(host.folder, 'exec')];
    const network = ['--bridge=none', '--iptables=false', '--ip6tables=false'];
    const rest = ['--pidfile', join(host.folder, 'pid'), '--storage-driver=vfs', '-H', `unix://${socketPath}`];
    await host.start('dockerd', [...folders, ...network, ...rest], /API listen on/);
    modem = new Modem({ socketPath });
    const file = join(host.folder, 'image.tar');
    await host.run('tar', ['-cf', file, '-C', '/', 'bin/busybox']);
    const image = { fromSrc: '-', repo: 'busybox' };
    await text(await dial('POST', '/images/create', image, { file, isStream: true }));
  });
  after(() => host.close());

  for (const [what, isAttached] of [
    ['as a client is attached', true],
    ['of the logs', false],
  ] as const) {
    it(`the output of a container, ${what}`, async () => {
      const command = ['/bin/busybox', 'sh', '-c', SCRIPT];
      const container = { Image: 'busybox', Cmd: command, HostConfig: { NetworkMode: 'none' } };
      const { Id } = await dial('POST', '/containers/create', {}, { options: container });
      const start = () => dial('POST', `/containers/${Id}/start`, {});
      const streams = { stdout: true, stderr: true };
      let stream: Readable;
      if (isAttached) {
        stream = await dial('POST', `/containers/${Id}/attach`, { ...streams, stream: true }, { isStream: true });
        await start();
      } else {
        await start();
        stream = await dial('GET', `/containers/${Id}/logs`, { ...streams, follow: true }, { isStream: true });
      }
      const ended = once(stream, 'end');
      const outputs = [Modem.prototype.demuxStream, demuxStream].map((demux) => demuxed(stream, demux));
      const decoders = [new LengthPrefixDecoder(formats.dockerStream), new LengthPrefixDecoder(formats.dockerStream)];
      stream.pipe(decoders[0]!);
      stream.pipe(new Recut({ sizes: [1, 2, 3, 1, 5, 1, 1000, 4, 16_381, 1, 70_000] }) as any).pipe(decoders[1]!);
      await Promise.all([ended, ...decoders.map(expectFrames)]);
      for (const [output, errors] of outputs) {
        expectSame(await output, OUTPUT);
        expectSame(await errors, ERRORS);
      }
    });
  }
});
