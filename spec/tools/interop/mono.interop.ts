import { join } from 'node:path';
import { formats } from '../../../lib/index.js';
import { cleanUp, Process, temporaryDirectory } from '../../support/programs.js';
import { expectClient, expectServer, sourceOf } from './programs.js';

/** A program that runs the sample, compiled. */
async function compiled(name: string): Promise<string> {
  const program = join(temporaryDirectory(), `${name}.exe`);
  await new Process('mcs', [`-out:${program}`, sourceOf(`${name}.cs`)]).succeeds();
  return program;
}

describe('.NET, as Mono', () => {
  afterEach(cleanUp);

  const sizes = [5, 0, 1, 0, 1_000, 5_000_000];

  it('the server of the sample understands us, and we its answers', async () => {
    const peer = { command: 'mono', args: [await compiled('sample-server')], format: formats.dotnet };
    await expectServer(peer, sizes);
  });

  it('the client of the sample', async () => {
    const peer = { command: 'mono', args: [await compiled('sample-client')], format: formats.dotnet };
    await expectClient(peer, sizes);
  });
});
