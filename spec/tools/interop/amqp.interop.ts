import { formats } from '../../../lib/index.js';
import { cleanUp } from '../../support/programs.js';
import { expectClient, expectServer, PYTHON, sourceOf } from './programs.js';

/** Type 3 is a content body: it has any bytes. */
const head = Buffer.of(3, 0, 1, 0, 0, 0, 0);

describe('pika', () => {
  afterEach(cleanUp);

  const format = {
    ...formats.amqp,
    encode: (content: string | Uint8Array) => [head, content],
    decode: (bytes: Buffer, start: number, end: number) => bytes.subarray(start + head.length, end),
  };
  const peer = { command: PYTHON, args: ['-B', sourceOf('amqp_frame.py')], format };
  const sizes = [5, 0, 1, 255, 256, 65_536, 131_064, 0];

  it('its server understands us, and we its answers', async () => {
    await expectServer(peer, sizes);
  });

  it('its client', async () => {
    await expectClient(peer, sizes);
  });
});
