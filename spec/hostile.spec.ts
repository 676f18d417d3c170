/** The rows of the README's table of what a peer can do: each has a test here, by its first cell. */

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { expect } from 'chai';
import { type FramedOptions, formats, framed, json, LengthPrefixDecoder, text } from '../lib/index.js';
import { FrameParser } from '../lib/wire/index.js';
import { type Connections, connections } from './support/connections.js';
import { frame } from './support/frames.js';
import { countingMemory } from './support/memory.js';

let opened: Connections;

/** The messages that a server hands out of what a peer writes, and the error that ends them. */
async function serve(options: FramedOptions<false, any, false>, peer: (socket: Socket) => void) {
  const { socket, client } = await opened.open();
  const items: unknown[] = [];
  let error: any;
  peer(client.on('error', () => {}));
  try {
    for await (const item of framed(socket, options)) items.push(item);
  } catch (caught) {
    error = caught;
  }
  return { items, error };
}

const good = frame('good');

/** One good message comes first. It is handed out, and then the error shows. */
async function expectError(
  bytes: Uint8Array,
  code: string,
  message: RegExp,
  options: FramedOptions<false, any, false> = {},
) {
  const { items, error } = await serve(options, (socket) => socket.end(Buffer.concat([good, bytes])));
  expect(items.map(String)).to.deep.equal(['good']);
  expect(error).to.include({ name: 'FrameError', code, position: good.length });
  expect(error.message).to.match(message);
  return error;
}

const rows: Record<string, () => Promise<unknown>> = {
  'announces a message over `maxPayloadLength`': async () => {
    await expectError(
      Buffer.of(0, 0, 0, 0x7f),
      'ERR_FRAME_TOO_LONG',
      /2130706432 bytes is announced, at most 16777216/,
    );
    const { memory, given } = countingMemory();
    const parser = new FrameParser({}, memory);
    parser.push(Buffer.of(0, 0, 0, 0x7f));
    expect(() => parser.next()).to.throw('is announced');
    expect(given).to.deep.equal([]);
  },

  'speaks HTTP, TLS or SSH': async () => {
    await expectError(Buffer.from('GET / HTTP/1.1\r\n\r\n'), 'ERR_FRAME_TOO_LONG', /"GET ", look like HTTP$/);
    await expectError(Buffer.from('16030100a5', 'hex'), 'ERR_FRAME_TOO_LONG', /look like a TLS hello$/, {
      maxPayloadLength: 10_000,
    });
    await expectError(Buffer.from('SSH-2.0-x\r\n'), 'ERR_FRAME_TOO_LONG', /look like an SSH greeting$/);
  },

  'announces a large message and sends little of it': async () => {
    const { memory, given } = countingMemory();
    const parser = new FrameParser({}, memory);
    parser.push(Buffer.of(0, 0, 0, 1));
    for (let sent = 0; sent < 1_000_000; sent += 1000) {
      parser.push(Buffer.alloc(1000));
      expect(parser.next()).to.equal(undefined);
      const allocated = given.reduce((sum, length) => sum + length, 0);
      expect(allocated).to.be.at.most(2 * (sent + 1000) + 65_536);
    }
  },

  'begins a message and stops': async () => {
    const { items, error } = await serve({ frameTimeout: 20 }, (socket) =>
      socket.write(Buffer.concat([good, Buffer.of(5, 0)])),
    );
    expect(items.map(String)).to.deep.equal(['good']);
    expect(error).to.include({ code: 'ERR_FRAME_TIMEOUT', position: good.length });
  },

  'sends its bytes one at a time': async () => {
    const bodies = ['', 'x', 'y'.repeat(300)];
    const wire = Buffer.concat(bodies.map(frame));
    const { items, error } = await serve({}, async (socket) => {
      for (const byte of wire) await new Promise((sent) => socket.write(Buffer.of(byte), sent));
      socket.end();
    });
    expect(error).to.equal(undefined);
    expect(items.map(String)).to.deep.equal(bodies);
  },

  'sends faster than you read': async () => {
    const decoder = new LengthPrefixDecoder({ readableHighWaterMark: 7 });
    decoder.on('readable', () => {});
    const chunk = Buffer.concat(Array(100).fill(good));
    for (let i = 0; i < 1000 && decoder.write(chunk); i++);
    expect(decoder.writableLength).to.be.at.most(decoder.writableHighWaterMark + chunk.length);
    await new Promise(setImmediate);
    expect(decoder.readableLength).to.equal(7);
  },

  'sends very many tiny messages': async () => {
    const decoder = new LengthPrefixDecoder();
    let read = 0;
    let atFirstTurn = 0;
    decoder.on('data', () => {
      if (read === 0) setImmediate(() => (atFirstTurn = read));
      read++;
    });
    decoder.end(Buffer.alloc(4 * 20_000));
    await once(decoder, 'end');
    expect(read).to.equal(20_000);
    expect(atFirstTurn).to.be.within(1, 4096);
  },

  'never reads your answers': async () => {
    const { socket, client } = await opened.open();
    client.pause();
    const messages = framed(socket).on('error', () => {});
    const answer = Buffer.alloc(100_000);
    // The system's own buffers take some megabytes.
    for (let i = 0; i < 1000 && messages.write(answer); i++) await new Promise(setImmediate);
    expect(messages.writableNeedDrain).to.equal(true);
    expect(messages.writableLength).to.be.at.most(2 * (65_536 + answer.length));
    messages.destroy();
  },

  'ends in the middle of a message': async () => {
    await expectError(Buffer.of(5, 0, 0, 0, 1), 'ERR_FRAME_TRUNCATED', /the input ended after 5 of 9 bytes/);
  },

  'sends what is not JSON to `json`, or not UTF-8 to `text`': async () => {
    const { items, error } = await serve(json, (socket) => socket.end(Buffer.concat([frame('"good"'), frame('{')])));
    expect(items).to.deep.equal(['good']);
    expect(error).to.include({ code: 'ERR_FRAME_CORRUPT', position: 10 });
    expect(error.cause).to.be.an.instanceOf(SyntaxError);
    const { cause } = await expectError(frame(Uint8Array.of(0xff)), 'ERR_FRAME_CORRUPT', /utf-8/i, text);
    expect(cause).to.be.an.instanceOf(TypeError);
  },

  'sends a wrong header or checksum': async () => {
    const header = { lengthField: 'uint8', lengthFieldOffset: 1, header: Uint8Array.of(0xca, 0) } as const;
    const one = await serve(header, (socket) => socket.end(Buffer.of(0xca, 1, 1, 0xcb, 1, 2)));
    expect(one.items).to.deep.equal([Buffer.of(1)]);
    expect(one.error).to.include({ code: 'ERR_FRAME_CORRUPT', position: 3 });
    expect(one.error.message).to.match(/ cb.*must be ca/);
    const other = await serve(formats.netstring, (socket) => socket.end('1:x,1:y;'));
    expect(other.error).to.include({ code: 'ERR_FRAME_CORRUPT', position: 4 });
    expect(other.error.message).to.match(/trailer is 3b, and must be 2c/);
  },
};

describe('a peer that', () => {
  opened = connections();
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  const section = readme.slice(readme.indexOf('\n## Safety'), readme.indexOf('\n## Speed'));
  const cells = Array.from(section.matchAll(/^\| ([^|]+) \| [^|]+ \|$/gm), ([, cell]) => cell!).slice(2);

  for (const cell of cells) it(cell, () => rows[cell]!());

  it('does all that the README says: each row of its table has a test here', () => {
    expect(cells).to.deep.equal(Object.keys(rows));
  });
});
