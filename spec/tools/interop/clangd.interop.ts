import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect } from 'chai';
import { formats, framed, json } from '../../../lib/index.js';
import { main } from '../../cli/command.js';
import { cleanUp, Process, temporaryDirectory } from '../../support/programs.js';
import { ways } from '../../support/recut.js';
import { JsonRpc, stdioOf } from './json-rpc.js';
import { expectSame } from './same.js';

const LARGE = 5_000_000;
const FUNCTIONS = 5000;

const uri = 'file:///nowhere/spec.c';
const didOpen = (text: string, at = uri) => ({ textDocument: { uri: at, languageId: 'c', version: 1, text } });
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

  describe('the command length-prefix', () => {
    /** Requests, one a line, and the answers of clangd: `$lp` stands for the command in the pipe. */
    async function pipe(script: string, requests: object[]): Promise<string[]> {
      const shell = new Process(
        'bash',
        ['-o', 'pipefail', '-c', script.replaceAll('$lp', '"$0" "$1"'), process.execPath, main],
        {
          group: true,
        },
      );
      shell.child.stdin!.end(requests.map((each) => `${JSON.stringify({ jsonrpc: '2.0', ...each })}\n`).join(''));
      await shell.succeeds();
      return shell.lines;
    }

    // It looks for the folder, and says so where there is none.
    const here = pathToFileURL(join(tmpdir(), 'spec.c')).href;
    const SYMBOLS = 100;
    const text = Array.from({ length: SYMBOLS }, (_, i) => `void ${nameOf(i)}();`).join('\n');
    const requests = [
      { id: 1, method: 'initialize', params: { processId: null, rootUri: null, capabilities: {} } },
      { method: 'initialized', params: {} },
      { method: 'textDocument/didOpen', params: didOpen(text, here) },
      { id: 2, method: 'textDocument/documentSymbol', params: { textDocument: { uri: here } } },
      { id: 3, method: 'shutdown', params: null },
      { method: 'exit', params: null },
    ];
    const clangd = 'clangd --background-index=false --log=error';

    it('encode asks, and decode shows the answers', async () => {
      const lines = await pipe(
        `$lp encode --format lsp --input ndjson | ${clangd} | $lp decode --format lsp --json --text`,
        requests,
      );
      const messages = lines.map((line) => JSON.parse(JSON.parse(line).text));
      const answerTo = (id: number) => messages.find((each) => each.id === id && each.method === undefined)?.result;
      expect(answerTo(1).serverInfo.name).to.equal('clangd');
      expect(answerTo(2).map(({ name }: { name: string }) => name)).to.deep.equal(
        Array.from({ length: SYMBOLS }, (_, i) => nameOf(i)),
      );
      expect(answerTo(3)).to.equal(null);
    });

    it('decode shows both sides of a conversation that tee has kept', async () => {
      const folder = temporaryDirectory();
      const [asked, answered] = [join(folder, 'asked'), join(folder, 'answered')];
      const kept = `tee ${asked} | ${clangd} | tee ${answered}`;
      const direct = await pipe(
        `$lp encode --format lsp --input ndjson | ${kept} | $lp decode --format lsp --text`,
        requests,
      );
      const shown = (file: string) => pipe(`$lp decode --format lsp --text ${file}`, []);
      expect(await shown(answered)).to.deep.equal(direct);
      expect((await shown(asked)).map((line) => JSON.parse(line).method)).to.deep.equal(
        requests.map(({ method }) => method),
      );
    });
  });
});
