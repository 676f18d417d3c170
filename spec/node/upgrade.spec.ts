import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { createServer, get, type IncomingMessage, request } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { connect as connectTls, TLSSocket } from 'node:tls';
import { expect } from 'chai';
import fc from 'fast-check';
import { type FormatOptions, type Framed, framed, withFormat } from '../../lib/index.js';
import { connections } from '../support/connections.js';
import { upTo } from '../support/fields.js';
import { frame } from '../support/frames.js';
import { recut } from '../support/recut.js';
import { runs } from '../support/runs.js';
import { until } from '../support/streams.js';
import { cert, key } from '../torture/tls-fixture.js';

const UPGRADE = { Connection: 'Upgrade', Upgrade: 'frames' };
const ASKING = 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: frames\r\n\r\n';
const SWITCHING = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: frames\r\n\r\n';

/** The head of a request or an answer is a message as well; frames follow. */
function headFirst() {
  let isFirst = true;
  const formatAfter = (): FormatOptions | undefined => {
    if (!isFirst) return undefined;
    isFirst = false;
    return {};
  };
  return { ...upTo('\r\n\r\n'), formatAfter };
}

const textsOf = async (messages: Framed) => (await messages.toArray()).map(String);

/** The stream that HTTP is done with, what it had read of it in front. */
async function upgraded(emitter: NodeJS.EventEmitter): Promise<Duplex> {
  const [, stream, head] = (await once(emitter, 'upgrade')) as [IncomingMessage, Duplex, Buffer];
  stream.unshift(head);
  return stream;
}

/** A server that answers each request with its path. */
const pathServer = () => createServer((request, response) => response.end(`path ${request.url}`));

describe('one connection with several protocols', () => {
  const { open, track } = connections();

  /** Holds a conversation over bytes as they come, and over bytes that are cut anew at random. */
  function atAnyCut(title: string, converse: (over: (socket: Socket) => Duplex) => Promise<void>): void {
    it(title, () => converse((socket) => socket));
    it(`${title}; at random cuts`, async () => {
      const property = fc.asyncProperty(fc.nat(), (seed) => converse((socket) => recut(socket, { seed })));
      await fc.assert(property, { numRuns: runs(20) });
    });
  }

  atAnyCut('a server of HTTP: messages came with the request to upgrade', async (over) => {
    const { socket, client } = await open();
    const server = createServer();
    const upgrading = upgraded(server);
    server.emit('connection', over(socket));
    const messages = framed(client, headFirst());
    messages.write(ASKING);
    messages.write(withFormat({}, 'first'));
    messages.end('second');

    const stream = await upgrading;
    stream.write(SWITCHING);
    const answers = framed(stream);
    for await (const message of answers) answers.write(`You said ${message}`);
    answers.end();
    expect(await textsOf(messages)).to.deep.equal([SWITCHING, 'You said first', 'You said second']);
  });

  atAnyCut('a client of HTTP: messages came with the answer that says it is upgraded', async (over) => {
    const { socket, client } = await open();
    const asking = request({ createConnection: () => over(client), headers: UPGRADE }).end();
    const upgrading = upgraded(asking);
    const serving = (async () => {
      const messages = framed(socket, headFirst());
      for await (const message of messages) {
        if (`${message}`.startsWith('GET ')) {
          messages.write(SWITCHING);
          messages.write(withFormat({}, 'first'));
          messages.write('second');
        } else {
          messages.write(`You said ${message}`);
        }
      }
    })();
    const messages = framed(await upgrading);
    messages.end('hello');
    expect(await textsOf(messages)).to.deep.equal(['first', 'second', 'You said hello']);
    await serving;
  });

  atAnyCut('a server of HTTP behind messages: requests came with the last one', async (over) => {
    const { socket, client } = await open();
    const requests = ['Connection: keep-alive', 'Connection: close'].map(
      (header, i) => `GET /${i} HTTP/1.1\r\nHost: localhost\r\n${header}\r\n\r\n`,
    );
    client.write(Buffer.concat([frame('hello'), frame('http'), Buffer.from(requests.join(''))]));
    const messages = framed(over(socket), until('http'));
    expect(await textsOf(messages)).to.deep.equal(['hello', 'http']);
    pathServer().emit('connection', await messages.detach());
    const answers = `${await buffer(client)}`;
    expect(answers.match(/200 OK|path .*?\d/g)).to.deep.equal(['200 OK', 'path /0', '200 OK', 'path /1']);
  });

  atAnyCut('client and server of HTTP behind messages', async (over) => {
    const { socket, client } = await open();
    const server = pathServer();
    const serving = (async () => {
      const messages = framed(over(socket), until('http'));
      for await (const message of messages) messages.write(`${message}: ok`);
      server.emit('connection', await messages.detach());
    })();
    const messages = framed(over(client), until('http: ok'));
    messages.write('hello');
    messages.write('http');
    expect(await textsOf(messages)).to.deep.equal(['hello: ok', 'http: ok']);
    const raw = await messages.detach<Socket>();
    const closed = Promise.all([socket, client].map((end) => once(end, 'close')));
    const [response] = await once(get({ createConnection: () => raw, path: '/0' }), 'response');
    expect(await text(response)).to.equal('path /0');
    await serving;
    await closed;
  });

  atAnyCut('TLS behind messages: its first bytes came with the last one', async (over) => {
    const { socket, client } = await open();
    client.write(frame('tls'));
    const secure = connectTls({ socket: client, ca: cert, servername: 'localhost' });
    track(secure);
    // All that comes before an answer, in one chunk.
    const first: Buffer[] = [];
    while (Buffer.concat(first).length < 100) first.push((await once(socket, 'data'))[0]);
    socket.pause().unshift(Buffer.concat(first));
    const messages = framed(over(socket), until('tls'));
    expect(await textsOf(messages)).to.deep.equal(['tls']);
    const answers = framed(new TLSSocket(await messages.detach<Socket>(), { isServer: true, key, cert }));
    answers.on('data', (message) => answers.write(`You said ${message}`));
    const inTls = framed(secure);
    inTls.write('hello');
    expect(`${(await once(inTls, 'data'))[0]}`).to.equal('You said hello');
    inTls.end();
    answers.end();
    expect(await textsOf(inTls)).to.deep.equal([]);
  });

  atAnyCut('messages of one format behind those of another, framed anew for each', async (over) => {
    const { socket, client } = await open();
    const formats: FormatOptions[] = [{ lengthField: 'uint8' }, upTo('\r\n'), {}, { lengthField: 'varint' }];
    const writing = framed(client);
    for (const format of formats)
      for (const message of ['a\r\n', '\r\n', 'last\r\n']) writing.write(withFormat(format, message));
    writing.end();
    let stream: Duplex = over(socket);
    for (const format of formats) {
      const messages = framed(stream, { ...format, ...until('last\r\n') });
      expect(await textsOf(messages)).to.deep.equal(['a\r\n', '\r\n', 'last\r\n']);
      stream = await messages.detach();
    }
    expect(await textsOf(framed(stream))).to.deep.equal([]);
    expect(await textsOf(writing)).to.deep.equal([]);
  });
});
