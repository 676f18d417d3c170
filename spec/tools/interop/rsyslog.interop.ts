import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { expect } from 'chai';
import { formats, framed } from '../../../lib/index.js';
import { ways } from '../../support/recut.js';
import { expectSame } from './same.js';
import { Host } from './servers.js';

/** A message; one of a byte, lines, many in a row, and ones of hundreds of kilobytes. */
const MESSAGES = [
  '<34>1 2003-10-11T22:14:15.003Z mymachine su - ID47 - hello',
  'x',
  '<13>two\nlines',
  '7 seven',
  ...Array.from({ length: 1000 }, (_, index) => `<13>${'y'.repeat(index)}`),
  `<13>${'z'.repeat(100_000)}`,
  `<13>${'z'.repeat(1_000_000)}`,
  '<13>last',
];

describe('formats.syslog', () => {
  let host: Host;
  beforeEach(() => {
    host = new Host();
  });
  afterEach(() => host.close());

  for (const [way, over] of ways) {
    it(`rsyslogd takes messages of all lengths from us, and sends them to us${way}`, async () => {
      const { port, connection } = await host.serveOne();
      const settings = `
        global(
          maxMessageSize="2m" parser.escapeControlCharactersOnReceive="off"
          processInternalMessages="on" workDirectory="${host.folder}"
        )
        module(load="imtcp" maxFrameSize="2000000")
        input(type="imtcp" address="127.0.0.1" port="0" listenPortFileName="${host.folder}/port")
        template(name="asItCame" type="string" string="%rawmsg%")
        action(
          type="omfwd" target="127.0.0.1" port="${port}" protocol="tcp"
          TCP_Framing="octet-counted" template="asItCame"
        )\n`;
      const args = ['-n', '-i', 'NONE', '-f', host.file('rsyslog.conf', settings)];
      // It tells us that it is ready; or nothing, and why.
      const never = /(?!)/;
      const outward = await Promise.race([connection, host.start('rsyslogd', args, never).then(() => connection)]);
      const messages = framed(over(outward), formats.syslog);
      const received = messages.iterator({ destroyOnReturn: false });
      expect(String((await received.next()).value)).to.match(/rsyslogd.* start$/);

      const inward = connect(Number(readFileSync(join(host.folder, 'port'))), '127.0.0.1');
      const sent = framed(over(inward), formats.syslog);
      for (const message of MESSAGES) sent.write(message);
      for (const message of MESSAGES) expectSame((await received.next()).value, message);
      sent.end();
      await received.return!();
      // It will say that it ends.
      messages.resume();
    });

    it(`logger sends messages of all lengths to us${way}`, async () => {
      const texts = ['x', 'y'.repeat(1000), 'z'.repeat(1_000_000)];
      const { port, connection } = await host.serveOne();
      const options = ['--tcp', '--octet-count', '--rfc3164', '--size', '2MB', '--tag', 'tag', '--prio-prefix'];
      const input = texts.map((text) => `${text}\n`).join('');
      const logged = host.run('logger', ['--server', '127.0.0.1', '--port', String(port), ...options], input);
      const received = await framed(over(await connection), formats.syslog).toArray();
      await logged;
      expect(received.length).to.equal(texts.length);
      for (const [index, text] of texts.entries()) {
        const head = received[index]!.length - text.length;
        expect(received[index]!.toString('latin1', 0, head)).to.match(/^<13>.{15} \S+ tag: $/);
        expectSame(received[index]!.subarray(head), text);
      }
    });
  }
});
