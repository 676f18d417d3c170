import { createRequire } from 'node:module';
import { expect } from 'chai';

const names = [
  'FrameError',
  'LengthPrefixDecoder',
  'LengthPrefixEncoder',
  'buffers',
  'decode',
  'encode',
  'formats',
  'framed',
  'json',
  'text',
  'withFormat',
];

describe('the package', () => {
  it('exports a few names, by import and by require', async () => {
    const imported = await import('length-prefix');
    const required = createRequire(import.meta.url)('length-prefix');
    expect(Object.keys(imported).sort()).to.deep.equal(names);
    for (const name of names) {
      expect(required[name]).to.equal((imported as Record<string, unknown>)[name]);
    }
  });
});
