import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { manifest, root, run, tarball } from './packed.js';

describe('the rules of others', () => {
  it('publint has nothing to say, nor to suggest', async () => {
    const bytes = readFileSync(tarball);
    const packed = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
    const { messages } = await publint({ pack: { tarball: packed }, strict: true });
    expect(messages.map((message) => formatMessage(message, manifest))).to.deep.equal([]);
  });

  // Its CommonJS column counts for a Node that can't require a module: all that are supported can, as consumers do here.
  it('the types are not wrong', () => {
    run(root, 'npx', '--no', 'attw', tarball, '--profile', 'esm-only');
  });
});
