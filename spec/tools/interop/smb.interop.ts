import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { expect } from 'chai';
import { formats, framed, type MessagePart } from '../../../lib/index.js';
import { ways } from '../../support/recut.js';
import { messageOf } from './programs.js';
import { expectSame } from './same.js';
import { Host } from './servers.js';
import { through } from './through.js';

const NEGOTIATE = 0;
const ECHO = 13;
const IS_ANSWER = 1;
const STATUS_NOT_SUPPORTED = 0xc000_00bb;
const HEAD_LENGTH = 64;
const SMB_2_1 = 0x0210;
const SIZES = [0, 1, 65_536, 5_000_000];

/** The head of a message. MS-SMB2, section 2.2.1.2. */
function head(command: number, id: bigint, { status = 0, flags = 0 } = {}): Buffer {
  const bytes = Buffer.alloc(HEAD_LENGTH);
  bytes.write('\xfeSMB', 'latin1');
  bytes.writeUInt16LE(HEAD_LENGTH, 4);
  bytes.writeUInt32LE(status, 8);
  bytes.writeUInt16LE(command, 12);
  bytes.writeUInt16LE(1, 14);
  bytes.writeUInt32LE(flags, 16);
  bytes.writeBigUInt64LE(id, 24);
  return bytes;
}

const uint16s = (...values: number[]) => Buffer.from(Uint16Array.from(values).buffer);

/** The request for one of these dialects. Section 2.2.3. */
const negotiate = (dialects: number[]): MessagePart[] => [
  head(NEGOTIATE, 0n),
  uint16s(36, dialects.length, 1),
  Buffer.alloc(30),
  uint16s(...dialects),
];

/** An answer that is an error. Section 2.2.2. */
const refusal = (request: Buffer): MessagePart[] => [
  head(request.readUInt16LE(12), request.readBigUInt64LE(24), { status: STATUS_NOT_SUPPORTED, flags: IS_ANSWER }),
  uint16s(9, 0, 0, 0),
  '\0',
];

describe('formats.smb', () => {
  let host: Host;
  let port: number;
  let smbclient: (port: number, commands: string) => Promise<string>;
  before(async () => {
    host = new Host();
    const { folder } = host;
    const directories = ['private dir', 'lock directory', 'state directory', 'cache directory', 'pid directory'];
    const settings = (port: number) => `
[global]
server role = standalone server
${directories.map((name) => `${name} = ${folder}`).join('\n')}
ncalrpc dir = ${folder}/ncalrpc
smb ports = ${port}
interfaces = 127.0.0.1/8
bind interfaces only = yes
map to guest = Bad User
guest account = ${host.userName}
disable netbios = yes
disable spoolss = yes
[share]
path = ${folder}
guest ok = yes
read only = no
`;
    const file = (port: number) => host.file(`smb-${port}.conf`, settings(port));
    // Without -D it would take a socket that it is given as its input for a connection.
    const args = (port: number) => ['-D', '-F', '--debug-stdout', '-d', '2', '--no-process-group', '-s', file(port)];
    port = await host.startOnPort('smbd', args, /waiting for connections/);
    smbclient = async (through, commands) =>
      await host.run('smbclient', ['-s', file(port), '-p', `${through}`, '-N', '//127.0.0.1/share', '-c', commands]);
  });
  after(() => host.close());

  for (const [way, over] of ways) {
    it(`our client with smbd${way}`, async () => {
      const messages = framed(over(connect(port, '127.0.0.1')), formats.smb);
      messages.write(negotiate([0x0202, SMB_2_1]));
      for (const id of [1n, 2n]) messages.write([head(ECHO, id), uint16s(4, 0)]);
      const [negotiated, ...echoes] = await messages.take(3).toArray();
      expect(negotiated.subarray(0, 12)).to.deep.equal(head(NEGOTIATE, 0n).subarray(0, 12));
      expect(negotiated.readUInt16LE(HEAD_LENGTH + 4)).to.equal(SMB_2_1);
      for (const [i, echo] of echoes.entries()) {
        expect(echo).to.have.lengthOf(HEAD_LENGTH + 4);
        expect([echo.readUInt16LE(12), echo.readUInt32LE(16)]).to.deep.equal([ECHO, IS_ANSWER]);
        expect(echo.readBigUInt64LE(24)).to.equal(BigInt(i + 1));
      }
    });

    it(`smbclient with smbd, each message decoded and encoded anew between them${way}`, async () => {
      const longest = { client: 0, server: 0 };
      const see = (message: Buffer, sender: 'client' | 'server') => {
        longest[sender] = Math.max(longest[sender], message.length);
      };
      const { port: proxy } = await through(host, port, { format: formats.smb, over, see });
      const commands = SIZES.map((size) => {
        writeFileSync(`${host.folder}/from-${size}`, messageOf(size), { mode: 0o644 });
        return `put from-${size} there-${size}; get there-${size} back-${size}`;
      });
      await smbclient(proxy, commands.join('; '));
      for (const size of SIZES) expectSame(readFileSync(`${host.folder}/back-${size}`), messageOf(size));
      for (const length of Object.values(longest)) expect(length).to.be.greaterThan(1_000_000);
    });

    it(`smbclient with our server, which refuses all its dialects${way}`, async () => {
      const asked: Buffer[] = [];
      const serve = async (stream: Duplex) => {
        const messages = framed(stream, formats.smb);
        for await (const message of messages) {
          asked.push(message);
          messages.write(refusal(message));
        }
      };
      const refused = await smbclient(await host.serve((socket) => serve(over(socket))), 'ls').catch(String);
      expect(refused).to.include('NT_STATUS_NOT_SUPPORTED');
      expect(asked).to.have.lengthOf(1);
      expect(asked[0]!.subarray(0, 6)).to.deep.equal(head(NEGOTIATE, 0n).subarray(0, 6));
    });
  }
});
