import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls, TLSSocket } from 'node:tls';
import { expect } from 'chai';
import { type Framed, framed, text } from '../../../lib/index.js';
import { upTo } from '../../support/fields.js';
import { ways } from '../../support/recut.js';
import { cert, key } from '../../torture/tls-fixture.js';
import { expectSame } from './same.js';
import { Host } from './servers.js';

const lines = { ...upTo('\r\n'), ...text };

/** A reply of the server: its lines. The last one has a space behind the code. */
async function reply(messages: Framed<string, string>): Promise<string[]> {
  const received: string[] = [];
  for await (const line of messages.iterator({ destroyOnReturn: false })) {
    received.push(line);
    if (line[3] === ' ') break;
  }
  return received;
}

const settings = (user: string, folder: string, port: number) => `
protocols = submission
listen = 127.0.0.1
hostname = localhost
base_dir = ${folder}/run
state_dir = ${folder}/run
log_path = /dev/stderr
default_internal_user = ${user}
default_internal_group =
default_login_user = ${user}
ssl = required
ssl_cert = <${folder}/cert
ssl_key = <${folder}/key
submission_relay_host = 127.0.0.1
passdb {
  driver = static
  args = nopassword=y
}
service anvil {
  chroot =
}
service submission-login {
  chroot =
  inet_listener submission {
    port = ${port}
  }
}
`;

describe('formatAfter and detach(), for STARTTLS between lines of SMTP', () => {
  let host: Host;
  before(() => {
    host = new Host();
  });
  after(() => host.close());

  describe('with Dovecot', () => {
    let port: number;
    before(async () => {
      host.file('cert', cert);
      host.file('key', key);
      const args = (port: number) => [
        '-F',
        '-c',
        host.file('dovecot.conf', settings(host.userName, host.folder, port)),
      ];
      port = await host.startOnPort('dovecot', args, /starting up for submission/);
    });

    for (const [way, over] of ways) {
      it(`a client of ours${way}`, async () => {
        const socket = connect(port, '127.0.0.1');
        let isAsked = false;
        const formatAfter = (line: string) => (isAsked && line.startsWith('220 ') ? null : undefined);
        const plain = framed(over(socket), { ...lines, formatAfter });
        const received = [await reply(plain)];
        plain.write('EHLO client\r\n');
        received.push(await reply(plain));
        expect(received[1]).to.include('250-STARTTLS\r\n');
        plain.write('STARTTLS\r\n');
        isAsked = true;
        received.push(await reply(plain));
        expect(received.map((reply) => reply.at(-1)!.slice(0, 4))).to.deep.equal(['220 ', '250 ', '220 ']);
        const raw = await plain.detach<Socket>();
        expect(socket.bytesRead).to.equal(received.flat().join('').length);

        const secure = connectTls({ socket: raw, ca: cert, servername: 'localhost' });
        const messages = framed(secure, lines);
        messages.write('EHLO client\r\n');
        const capabilities = await reply(messages);
        expect(capabilities.at(-1)).to.match(/^250 /);
        expect(capabilities).not.to.include('250-STARTTLS\r\n');
        messages.write('NOOP\r\n');
        messages.write('QUIT\r\n');
        expect((await messages.toArray()).map((line) => line.slice(0, 4))).to.deep.equal(['250 ', '221 ']);
      });
    }
  });

  describe('with openssl s_client', () => {
    async function serve(stream: Duplex): Promise<void> {
      const formatAfter = (line: string) => (line === 'STARTTLS\r\n' ? null : undefined);
      const plain = framed(stream, { ...lines, formatAfter });
      plain.write('220 localhost\r\n');
      for await (const line of plain) {
        if (line.startsWith('EHLO ')) plain.write('250-localhost\r\n');
        plain.write(line.startsWith('EHLO ') ? '250 STARTTLS\r\n' : '220 Go ahead\r\n');
      }
      const raw = await plain.detach<Socket>();
      const messages = framed(new TLSSocket(raw, { isServer: true, key, cert }), lines);
      for await (const line of messages) {
        messages.write(`250 ${line}`);
        if (line === 'QUIT\r\n') messages.end();
      }
    }

    for (const [way, over] of ways) {
      it(`a server of ours${way}`, async () => {
        const port = await host.serve((socket) => serve(over(socket)));
        const args = ['s_client', '-quiet', '-crlf', '-starttls', 'smtp', '-connect', `127.0.0.1:${port}`];
        const said = ['NOOP', ...Array.from({ length: 1000 }, (_, i) => `RCPT TO:<${i}@localhost>`), 'QUIT'];
        const printed = await host.run('openssl', args, said.map((line) => `${line}\n`).join(''));
        expectSame(printed, said.map((line) => `250 ${line}\r\n`).join(''));
      });
    }
  });
});
