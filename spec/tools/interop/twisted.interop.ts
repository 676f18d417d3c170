import { formats } from '../../../lib/index.js';
import { cleanUp } from '../../support/programs.js';
import { expectClient, expectServer, PYTHON, sourceOf } from './programs.js';

describe('Twisted', () => {
  afterEach(cleanUp);

  const small = [5, 0, 1, 255, 0];
  const receivers = [
    { name: 'Int8StringReceiver', format: formats.erlangPacket1, sizes: small },
    { name: 'Int16StringReceiver', format: formats.erlangPacket2, sizes: [...small, 65_535] },
    { name: 'Int32StringReceiver', format: formats.erlangPacket4, sizes: [...small, 5_000_000] },
    { name: 'NetstringReceiver', format: formats.netstring, sizes: [...small, 9, 10, 99, 100, 5_000_000] },
  ];
  for (const { name, format, sizes } of receivers) {
    const peer = { command: PYTHON, args: [sourceOf('string_receiver.py'), name], format };

    it(`${name}: its server understands us, and we its answers`, async () => {
      await expectServer(peer, sizes);
    });

    it(`${name}: its client`, async () => {
      await expectClient(peer, sizes);
    });
  }
});
