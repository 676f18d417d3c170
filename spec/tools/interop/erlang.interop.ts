import { formats } from '../../../lib/index.js';
import { cleanUp } from '../../support/programs.js';
import { expectClient, expectServer, sourceOf } from './programs.js';

describe('Erlang/OTP', () => {
  afterEach(cleanUp);

  const small = [5, 0, 1, 255, 0];
  const packets = [
    { packet: 1, format: formats.erlangPacket1, sizes: small },
    { packet: 2, format: formats.erlangPacket2, sizes: [...small, 65_535] },
    { packet: 4, format: formats.erlangPacket4, sizes: [...small, 5_000_000] },
  ];
  for (const { packet, format, sizes } of packets) {
    const peer = { command: 'escript', args: [sourceOf('packet.escript'), String(packet)], format };

    it(`{packet, ${packet}}: its server understands us, and we its answers`, async () => {
      await expectServer(peer, sizes);
    });

    it(`{packet, ${packet}}: its client`, async () => {
      await expectClient(peer, sizes);
    });
  }
});
