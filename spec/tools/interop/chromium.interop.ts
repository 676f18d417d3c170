import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { expect } from 'chai';
import { cleanUp, Program, temporaryDirectory } from '../../support/programs.js';
import { Browser } from './browser.js';
import { sourceOf } from './programs.js';

/** An extension's key is what its id is made of: 32 letters from a to p. */
const key = Buffer.from('the key of an extension');
const hash = createHash('sha256').update(key).digest('hex').slice(0, 32);
const id = Array.from(hash, (digit) => 'abcdefghijklmnop'[Number.parseInt(digit, 16)]).join('');

function extensionThatTells(server: string): string {
  const folder = temporaryDirectory();
  const manifest = {
    manifest_version: 3,
    name: 'length-prefix',
    version: '1',
    key: key.toString('base64'),
    background: { service_worker: 'worker.js' },
    permissions: ['nativeMessaging'],
    host_permissions: ['http://127.0.0.1/*'],
  };
  writeFileSync(join(folder, 'manifest.json'), JSON.stringify(manifest));
  const worker = readFileSync(sourceOf('extension.js'), 'utf8');
  writeFileSync(join(folder, 'worker.js'), `const server = '${server}';\n${worker}`);
  return folder;
}

describe('Chromium', () => {
  afterEach(cleanUp);

  it('talks to examples/native-messaging-host, which says why where an answer is too long for it', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    try {
      await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      const profile = temporaryDirectory();
      await new Program('native-messaging-host', ['--install', profile, id]).succeeds();
      const extension = extensionThatTells(`http://127.0.0.1:${port}/`);
      const chromium = new Browser(profile, `--load-extension=${extension}`, 'about:blank');
      const [request, response] = await chromium.before(
        once(server, 'request') as Promise<[IncomingMessage, ServerResponse]>,
      );
      const told = await json(request);
      response.end();
      await chromium.quit();

      expect(told).to.deep.equal({
        empty: { error: 'There is no command undefined' },
        small: { id: 1, result: { text: 'é', list: [1, null, true] } },
        two: [
          { id: 1, result: 1 },
          { id: 2, result: 2 },
        ],
        large: { id: 1, result: 20_000_000 },
        single: { id: 1, result: 'single' },
        longest: true,
        // It is the host that hangs up, not the browser.
        tooLong: { id: 1, error: 'The answer has 1048577 bytes, a browser takes at most 1048576' },
      });
      expect(chromium.errors.filter((line) => line.startsWith('native-messaging-host: '))).to.deep.equal([]);
    } finally {
      server.close();
    }
  });
});
