import { expect } from 'chai';
import { formats, framed, json } from '../../../lib/index.js';
import { cleanUp, Process } from '../../support/programs.js';
import { ways } from '../../support/recut.js';
import { JsonRpc, stdioOf } from './json-rpc.js';
import { expectSame } from './same.js';

const LARGE = 5_000_000;
const FUNCTIONS = 5000;

const uri = 'file:///nowhere/spec.c';
const didOpen = (text: string) => ({ textDocument: { uri, languageId: 'c', version: 1, text } });
const nameOf = (i: number) => `${'f'.repeat(200)}${i}`;

describe('formats.lsp with clangd', () => {
  afterEach(cleanUp);

  for (const [way, over] of ways) {
    it(`a document of several MB, hover and symbols${way}`, async () => {
      const clangd = new Process('clangd', ['--background-index=false', '--log=error'], { binary: true });
      const client = new JsonRpc(framed(over(stdioOf(clangd.child)), { ...formats.lsp, ...json }));

      const { serverInfo } = await client.request('initialize', { processId: null, rootUri: null, capabilities: {} });
      expect(serverInfo.name).to.equal('clangd');
      client.notify('initialized', {});

      // What clangd shows of a variable is its comment, too.
      const comment = 'é'.repeat(LARGE / 2);
      const functions = Array.from({ length: FUNCTIONS }, (_, i) => `void ${nameOf(i)}();`);
      client.notify('textDocument/didOpen', didOpen([`int answer; // ${comment}`, ...functions].join('\n')));
      const at = { textDocument: { uri }, position: { line: 0, character: 5 } };
      const { contents } = await client.request('textDocument/hover', at);
      expectSame(contents.value.match(/é+/)?.[0], comment);
      const symbols: { name: string }[] = await client.request('textDocument/documentSymbol', {
        textDocument: { uri },
      });
      expect(symbols.map(({ name }) => name)).to.deep.equal(['answer', ...functions.map((_, i) => nameOf(i))]);

      expect(await client.request('shutdown', null)).to.equal(null);
      client.notify('exit', null);
      expect(await client.messages.toArray()).to.deep.equal([]);
      expect(await clangd.ended).to.equal(0);
    });
  }
});
