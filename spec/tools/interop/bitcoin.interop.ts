import { formats } from '../../../lib/index.js';
import { cleanUp } from '../../support/programs.js';
import { expectClient, expectServer, PYTHON, sourceOf } from './programs.js';

describe('python-bitcoinlib', () => {
  afterEach(cleanUp);

  const peer = { command: PYTHON, args: ['-B', sourceOf('compact_size.py')], format: formats.compactSize };
  // The greatest and the least of each width: a CompactSize of 1, 3 and 5 bytes.
  const sizes = [5, 0, 1, 252, 253, 65_535, 65_536, 5_000_000, 0];

  it('its server understands us, and we its answers', async () => {
    await expectServer(peer, sizes);
  });

  it('its client', async () => {
    await expectClient(peer, sizes);
  });
});
