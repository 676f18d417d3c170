import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { expect } from 'chai';
import { formats, framed, type MessagePart } from '../../../lib/index.js';
import { ways } from '../../support/recut.js';
import { messageOf } from './programs.js';
import { expectSame } from './same.js';
import { Host } from './servers.js';
import { through } from './through.js';

const [BEGIN_REQUEST, END_REQUEST, PARAMS, STDIN, STDOUT] = [1, 3, 4, 5, 6];
const HEAD_LENGTH = 8;
const LARGEST = 65_535;
const SIZES = [0, 1, LARGEST, LARGEST + 1, 5_000_000];
const HEADERS = 'Content-Type: application/octet-stream\r\n\r\n';

/** A record: two bytes that the content length is written over; and padding to a multiple of eight. */
function record(type: number, content: Uint8Array | string): MessagePart[] {
  const padding = -Buffer.byteLength(content) & 7;
  return [Uint8Array.of(1, type, 0, 1, 0, 0, padding, 0), content, Buffer.alloc(padding)];
}

/** The content in records, and an empty one behind it. */
function records(type: number, content: Buffer): MessagePart[][] {
  const count = Math.ceil(content.length / LARGEST);
  const parts = Array.from({ length: count }, (_, i) => content.subarray(i * LARGEST, (i + 1) * LARGEST));
  return [...parts, ''].map((part) => record(type, part));
}

/** The content of a record: a padding of zeros is behind it. */
function contentOf(message: Buffer): Buffer {
  const end = HEAD_LENGTH + message.readUInt16BE(4);
  expect(message.length).to.equal(end + message[6]!);
  return message.subarray(HEAD_LENGTH, end);
}

/** The parameters of a request, each with the lengths of its name and its value in front. */
function paramsOf(params: Record<string, string>): Buffer {
  const each = Object.entries(params).map(([name, value]) => [
    Uint8Array.of(name.length, 0x80, 0, 0, value.length),
    Buffer.from(name + value),
  ]);
  return Buffer.concat(each.flat());
}

/** Our client posts bodies to a script, all on one connection: each one comes back. */
async function post(stream: Duplex, script: string, sizes: readonly number[]): Promise<void> {
  const messages = framed(stream, formats.fastcgi);
  const received = messages[Symbol.asyncIterator]();
  const next = async () => (await received.next()).value as Buffer;
  for (const size of sizes) {
    messages.write(record(BEGIN_REQUEST, '\0\x01\x01\0\0\0\0\0'));
    const type = { CONTENT_TYPE: 'application/octet-stream', CONTENT_LENGTH: `${size}` };
    const params = paramsOf({ REQUEST_METHOD: 'POST', SCRIPT_FILENAME: script, ...type });
    for (const each of [...records(PARAMS, params), ...records(STDIN, messageOf(size))]) messages.write(each);
    const output: Buffer[] = [];
    let message = await next();
    for (; message[1] === STDOUT; message = await next()) output.push(contentOf(message));
    expect(message[1], `${contentOf(message)}`).to.equal(END_REQUEST);
    // The rest is reserved, and php-fpm has anything there.
    expect(contentOf(message).subarray(0, 5)).to.deep.equal(Buffer.alloc(5));
    const answer = Buffer.concat(output);
    expectSame(answer.subarray(answer.indexOf('\r\n\r\n') + 4), messageOf(size));
  }
  messages.end();
  expect(await next()).to.equal(undefined);
}

/** A server of ours answers each request with its body. */
async function serve(stream: Duplex): Promise<void> {
  const messages = framed(stream, formats.fastcgi);
  const input: Buffer[] = [];
  for await (const message of messages) {
    const [type, content] = [message[1], contentOf(message)];
    if (type === BEGIN_REQUEST) expect(content).to.deep.equal(Buffer.from('\0\x01\0\0\0\0\0\0'));
    if (type === STDIN) input.push(content);
    if (type !== STDIN || content.length > 0) continue;
    const output = Buffer.concat([Buffer.from(HEADERS), ...input]);
    for (const each of records(STDOUT, output)) messages.write(each);
    messages.end(record(END_REQUEST, '\0\0\0\0\0\0\0\0'));
  }
}

describe('formats.fastcgi', () => {
  let host: Host;
  let script: string;
  let phpPort: number;
  before(async () => {
    host = new Host();
    script = host.file('echo.php', "<?php header('Content-Type: x/y'); echo file_get_contents('php://input');");
    const settings = (port: number) =>
      `[global]\nerror_log = ${host.folder}/php-fpm.log\n[www]\nlisten = 127.0.0.1:${port}\npm = static\npm.max_children = 2\n`;
    const args = (port: number) => ['-F', '-O', '-n', '-y', host.file('php-fpm.conf', settings(port))];
    phpPort = await host.startOnPort('php-fpm8.2', args, /ready to handle connections/);
  });
  after(() => host.close());

  /** An nginx in front of a FastCGI server. */
  async function nginx(target: number): Promise<number> {
    const settings = (port: number) => `
daemon off;
worker_processes 1;
pid ${host.folder}/nginx-${port}.pid;
error_log stderr notice;
events {}
http {
  access_log off;
  client_max_body_size 0;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((each) => `${each}_temp_path ${host.folder}/${each};`).join('\n  ')}
  server {
    listen 127.0.0.1:${port};
    location / {
      fastcgi_pass 127.0.0.1:${target};
      fastcgi_param REQUEST_METHOD $request_method;
      fastcgi_param CONTENT_TYPE $content_type;
      fastcgi_param CONTENT_LENGTH $content_length;
      fastcgi_param SCRIPT_FILENAME ${script};
    }
  }
}
`;
    const args = (port: number) => ['-e', 'stderr', '-c', host.file(`nginx-${port}.conf`, settings(port))];
    return await host.startOnPort('nginx', args, /start worker process /);
  }

  async function postOverHttp(port: number, sizes: readonly number[]): Promise<void> {
    for (const size of sizes) {
      const response = await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: messageOf(size) });
      expect(response.status).to.equal(200);
      expectSame(Buffer.from(await response.arrayBuffer()), messageOf(size));
    }
  }

  for (const [way, over] of ways) {
    it(`our client with php-fpm${way}`, async () => {
      await post(over(connect(phpPort, '127.0.0.1')), script, SIZES);
    });

    it(`nginx with our server${way}`, async () => {
      await postOverHttp(await nginx(await host.serve((socket) => serve(over(socket)))), SIZES);
    });

    it(`nginx with php-fpm, each record decoded and encoded anew between them${way}`, async () => {
      const seen = { client: 0, server: 0 };
      let longest = 0;
      const see = (message: Buffer, sender: 'client' | 'server') => {
        longest = Math.max(longest, message.length);
        seen[sender]++;
        // The encoder is to write the content length.
        message.fill(0, 4, 6);
      };
      const { port: proxy } = await through(host, phpPort, { format: formats.fastcgi, over, see });
      await postOverHttp(await nginx(proxy), SIZES);
      expect(longest).to.be.greaterThan(32_768);
      for (const count of Object.values(seen)) expect(count).to.be.greaterThan(5_000_000 / LARGEST);
    });
  }

  // It takes a record's head in one piece only, so the bytes are not cut.
  it('cgi-fcgi with our server', async () => {
    const port = await host.serve(serve);
    for (const size of SIZES) {
      const text = 'x'.repeat(size);
      const command = ['cgi-fcgi', '-bind', '-connect', `127.0.0.1:${port}`];
      const printed = await host.run('env', [`CONTENT_LENGTH=${size}`, ...command], text);
      expectSame(printed, HEADERS + text);
    }
  });
});
