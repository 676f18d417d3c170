import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { expect } from 'chai';
import { framed } from '../../lib/index.js';

const names = ['framed', 'fault', 'close'];

describe('diagnostics channels', () => {
  const seen: [name: unknown, message: any][] = [];
  const onMessage = (message: unknown, name: string | symbol) => void seen.push([name, message]);

  beforeEach(() => {
    seen.length = 0;
    for (const name of names) subscribe(`length-prefix:${name}`, onMessage);
  });

  afterEach(() => {
    for (const name of names) unsubscribe(`length-prefix:${name}`, onMessage);
  });

  it('tell of a connection that is framed, once, and is over', async () => {
    const stream = new PassThrough();
    const messages = framed(stream);
    framed(stream);
    messages.resume().end('hello');
    await once(messages, 'close');
    const connection = { framed: messages, readable: stream, writable: stream };
    expect(seen.map(([name]) => name)).to.deep.equal(['length-prefix:framed', 'length-prefix:close']);
    for (const [, message] of seen) {
      expect(Object.keys(message)).to.have.members(Object.keys(connection));
      for (const [name, value] of Object.entries(connection)) expect(message[name]).to.equal(value);
    }
  });

  it('tell of a fault, with its error', async () => {
    const stream = new PassThrough();
    const messages = framed(stream);
    stream.write('no message');
    messages.resume();
    const [error] = await once(messages, 'error');
    expect(seen.map(([name]) => name)).to.deep.equal([
      'length-prefix:framed',
      'length-prefix:fault',
      'length-prefix:close',
    ]);
    expect(seen[1]![1].error).to.equal(error);
    expect(seen[1]![1].framed).to.equal(messages);
  });

  it('tell first that a connection is framed, though its signal is aborted already', async () => {
    const messages = framed(new PassThrough(), { signal: AbortSignal.abort() });
    await once(messages, 'error');
    expect(seen.map(([name]) => name)).to.deep.equal([
      'length-prefix:framed',
      'length-prefix:fault',
      'length-prefix:close',
    ]);
  });
});
