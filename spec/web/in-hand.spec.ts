import { readFileSync } from 'node:fs';
import { runInNewContext } from 'node:vm';
import { expect } from 'chai';
import { decode, encode, json, LengthPrefixEncoderStream, type Message, text } from '../../lib/web/index.js';
import { fromHex, outcomeOf, thrownBy } from '../support/streams.js';
import { writeAll } from './support.js';

const hello = fromHex('05000000 68656c6c6f');

describe('bytes of another realm', () => {
  const foreign = runInNewContext('Uint8Array.of(104, 101, 108, 108, 111)') as Uint8Array;

  it('are taken', async () => {
    expect(foreign).not.to.be.instanceOf(Uint8Array);
    expect(Buffer.from(encode(foreign))).to.deep.equal(hello);
    expect(Buffer.from(encode(foreign, { lengthField: 'uint8', header: foreign.subarray(0, 1) })).at(-1)).to.equal(
      0x6f,
    );
    expect([...decode(hello.buffer.slice(hello.byteOffset, hello.byteOffset + 9), text)]).to.deep.equal(['hello']);
    const { readable, writable } = new LengthPrefixEncoderStream();
    const writes = writeAll<Message>(writable, [foreign, { length: 5, body: foreign }]);
    const { items } = await outcomeOf(readable);
    expect(Buffer.concat(items)).to.deep.equal(Buffer.concat([hello, hello]));
    await writes;
  });
});

describe('text and json of length-prefix/web', () => {
  it('are strict', async () => {
    expect([...decode(encode('\ufeffé\ufffd', text), text)]).to.deep.equal(['\ufeffé\ufffd']);
    const error = thrownBy(() => [...decode(encode(Buffer.of(0xff)), text)]);
    expect(error).to.include({ code: 'ERR_FRAME_CORRUPT' });
    expect(error.cause).to.be.instanceOf(TypeError);
    expect(thrownBy(() => [...decode(encode('nope'), json)])).to.include({ code: 'ERR_FRAME_CORRUPT' });
    expect(thrownBy(() => [...decode(encode('null'), json)])).to.include({ code: 'ERR_FRAME_CORRUPT' });
  });
});

describe('length-prefix/web', () => {
  it('is reached by its name', async () => {
    const entry = await import('length-prefix/web');
    expect(Object.keys(entry).sort()).to.deep.equal([
      'FrameError',
      'LengthPrefixDecoderStream',
      'LengthPrefixEncoderStream',
      'decode',
      'encode',
      'formats',
      'json',
      'text',
      'withFormat',
    ]);
  });

  it('imports nothing but its own files', () => {
    const seen = new Set<string>();
    const visit = (url: URL): void => {
      if (seen.has(url.href)) return;
      seen.add(url.href);
      const source = readFileSync(url, 'utf8');
      for (const [, name] of source.matchAll(/^(?:import|export) .*from ['"](.*)['"];$/gm)) {
        expect(name, url.href).to.match(/^\.\.?\//);
        visit(new URL(name!, url));
      }
    };
    visit(new URL('../../lib/web/index.js', import.meta.url));
    expect(seen.size).to.be.above(10);
  });
});
