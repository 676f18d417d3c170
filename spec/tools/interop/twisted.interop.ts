import { formats } from '../../../lib/index.js';
import { cleanUp } from '../../examples/programs.js';
import { expectClient, expectServer, PYTHON, sourceOf } from './programs.js';

describe('Twisted', () => {
  afterEach(cleanUp);

  const small = [5, 0, 1, 255, 0];
  const receivers = [
    { bits: 8, format: formats.erlangPacket1, sizes: small },
    { bits: 16, format: formats.erlangPacket2, sizes: [...small, 65_535] },
    { bits: 32, format: formats.erlangPacket4, sizes: [...small, 5_000_000] },
  ];
  for (const { bits, format, sizes } of receivers) {
    const peer = { command: PYTHON, args: [sourceOf('int_string_receiver.py'), String(bits)], format };

    it(`Int${bits}StringReceiver: its server understands us, and we its answers`, async () => {
      await expectServer(peer, sizes);
    });

    it(`Int${bits}StringReceiver: its client`, async () => {
      await expectClient(peer, sizes);
    });
  }
});
