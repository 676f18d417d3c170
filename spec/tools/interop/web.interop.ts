import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import fc from 'fast-check';
import { cutAt } from '../../../lib/fuzz/cut.js';
import { anyMessages } from '../../../lib/fuzz/index.js';
import { type FormatOptions, formats } from '../../../lib/index.js';
import { cleanUp, temporaryDirectory } from '../../support/programs.js';
import { decode, encode } from '../../support/streams.js';
import { Browser } from './browser.js';

const dist = new URL('../../../', import.meta.url);
const all = formats as Record<string, FormatOptions>;

/** Messages of a format: small ones of any length that it has, and a large one where its length needs nothing else. */
function messagesOf(name: string): Uint8Array[] {
  const small = fc.sample(anyMessages(all[name]!), { numRuns: 5, seed: 1 }).flat();
  const hasLarge = ['dotnet', 'erlangPacket4', 'protobuf', 'netstring', 'compactSize', 'syslog'].includes(name);
  return hasLarge ? [...small, Buffer.alloc(5_000_000, 'x'), Buffer.of(1)] : small;
}

describe('length-prefix/web in headless Chromium', () => {
  afterEach(cleanUp);

  it('takes messages out of fetch bodies in awkward chunks, and sends them back, in all formats', async () => {
    const back: Record<string, Buffer> = {};
    const wires: Record<string, Buffer> = {};
    const messages = Object.fromEntries(Object.keys(all).map((name) => [name, messagesOf(name)]));
    for (const [name, format] of Object.entries(all)) wires[name] = await encode(messages[name]!, format);

    const send = async (wire: Buffer, response: ServerResponse) => {
      const odd = [1, 3, 4, 7, 11, 18, 113, 114, 274, 364, 365, 366, 65_901, 131_438, 131_439];
      for (const chunk of cutAt(wire, odd)) {
        if (chunk.length > 0 && !response.write(chunk)) await once(response, 'drain');
        // In a packet of its own.
        await new Promise(setImmediate);
      }
      response.end();
    };
    const collect = async (request: IncomingMessage) => Buffer.concat(await request.toArray());
    let finish: (result: any) => void;
    const finished = new Promise<any>((resolve) => {
      finish = resolve;
    });
    const answer = async (request: IncomingMessage, response: ServerResponse) => {
      const [, folder, name = ''] = request.url!.split('/');
      if (request.method === 'POST') {
        const body = await collect(request);
        if (folder === 'frames') back[name] = body;
        else finish(JSON.parse(String(body)));
        response.end();
      } else if (folder === 'frames') {
        await send(wires[name]!, response);
      } else if (folder === 'truncated') {
        // Two messages, and a byte of a third one.
        await send((await encode(['', 'x', 'y'], formats.dotnet)).subarray(0, 10), response);
      } else if (request.url!.endsWith('.js')) {
        response.setHeader('Content-Type', 'text/javascript').end(readFileSync(new URL(`.${request.url}`, dist)));
      } else {
        const page = '<script type="module" src="/spec/tools/interop/web-page.js"></script>';
        response.setHeader('Content-Type', 'text/html').end(page);
      }
    };
    const server = createServer((request, response) => {
      answer(request, response).catch((error) => response.writeHead(500).end(String(error)));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');

    try {
      const { port } = server.address() as AddressInfo;
      const browser = new Browser(temporaryDirectory(), `http://127.0.0.1:${port}/`);
      const result = await browser.before(finished);
      await browser.quit();
      expect(result.error).to.equal(undefined);
      for (const [name, format] of Object.entries(all)) {
        expect(result.counts[name], name).to.equal(messages[name]!.length);
        expect(back[name]!.equals(wires[name]!), name).to.equal(true);
        expect((await decode([back[name]!], format)).items, name).to.deep.equal(
          messages[name]!.map((each) => Buffer.from(each)),
        );
      }
      expect(result.bodies).to.deep.equal(messages.dotnet!.map(({ length }) => length));
      expect(result.truncated).to.deep.equal({
        lengths: [0, 1],
        name: 'FrameError',
        code: 'ERR_FRAME_TRUNCATED',
        position: 9,
      });
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});
