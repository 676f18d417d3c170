import { EventEmitter } from 'node:events';
import { connect } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { expect } from 'chai';
import { buffers, formats, framed, json } from '../../../lib/index.js';
import { FrameParser } from '../../../lib/wire/index.js';
import { cleanUp, Process } from '../../support/programs.js';
import { ways } from '../../support/recut.js';
import { JsonRpc, stdioOf } from './json-rpc.js';
import { fromNpm, pathFromNpm } from './npm.js';
import { expectSame } from './same.js';
import { Host } from './servers.js';

const { AbstractMessageReader, createMessageConnection, Disposable, StreamMessageReader, StreamMessageWriter } =
  fromNpm('vscode-jsonrpc/node');

const LENGTHS = [0, 1, 30, 70_000, 5_000_000];
const lsp = { ...formats.lsp, ...json };

const uri = 'file:///nowhere/spec.ts';
const initialize = {
  processId: null,
  rootUri: null,
  capabilities: {},
  initializationOptions: {
    disableAutomaticTypingAcquisition: true,
    tsserver: { path: pathFromNpm('typescript/lib/tsserver.js') },
  },
};
/** A document, in which a constant has this comment. */
const didOpen = (comment: string) => {
  const text = `/** ${comment} */\n  const answer = 42;\n`;
  return { textDocument: { uri, languageId: 'typescript', version: 1, text } };
};
const hover = { textDocument: { uri }, position: { line: 1, character: 8 } };
const completion = { textDocument: { uri }, position: { line: 2, character: 0 } };
const COMMENT = 'é'.repeat(500_000);

/** The program, which speaks by its standard input and output. */
function languageServer(): Process {
  const program = pathFromNpm('typescript-language-server/lib/cli.mjs');
  return new Process(process.execPath, [program, '--stdio'], { binary: true });
}

/** vscode-jsonrpc with a reader and a writer. Requests fail when the other end is gone, or can't be read. */
function connectionOf(reader: any, writable: Writable) {
  // It has a timer that would outlive a test that fails.
  reader.partialMessageTimeout = 0;
  const connection = createMessageConnection(reader, new StreamMessageWriter(writable));
  connection.onClose(() => connection.dispose());
  connection.onError(() => connection.dispose());
  return connection;
}

/** In the place of vscode-jsonrpc's reader: a parser of ours, in a class of theirs. */
class FrameReader extends AbstractMessageReader {
  readonly #readable: Readable;

  constructor(readable: Readable) {
    super();
    this.#readable = readable;
  }

  listen(handle: (message: unknown) => void) {
    const parser = new FrameParser(lsp, buffers);
    const parse = (chunk: Buffer) => {
      try {
        parser.push(chunk);
        for (let message = parser.next(); message !== undefined; message = parser.next()) handle(message);
      } catch (error) {
        this.fireError(error);
      }
    };
    this.#readable
      .on('data', parse)
      .on('error', (error) => this.fireError(error))
      .on('close', () => this.fireClose());
    return Disposable.create(() => this.#readable.off('data', parse));
  }
}

describe('formats.lsp', () => {
  afterEach(cleanUp);

  describe('with vscode-jsonrpc', () => {
    let host: Host;
    before(() => {
      host = new Host();
    });
    after(() => host.close());

    for (const [way, over] of ways) {
      it(`messages of all lengths, by its client to our server${way}`, async () => {
        const port = await host.serve(async (socket) => {
          const messages = framed(over(socket), lsp);
          for await (const { id, params } of messages) messages.write({ jsonrpc: '2.0', id, result: params });
          messages.end();
        });
        const socket = connect(port, '127.0.0.1');
        const connection = connectionOf(new StreamMessageReader(socket), socket);
        connection.listen();
        const sent = LENGTHS.map((length) => 'é'.repeat(length));
        const received = await Promise.all(sent.map((text) => connection.sendRequest('echo', { text })));
        for (const [i, text] of sent.entries()) expectSame(received[i].text, text);
        socket.end();
      });

      it(`messages of all lengths, by us to its server${way}`, async () => {
        const port = await host.serve((socket) => {
          const connection = connectionOf(new StreamMessageReader(socket), socket);
          connection.onRequest('echo', (text: string) => [text]);
          connection.listen();
        });
        const client = new JsonRpc(framed(over(connect(port, '127.0.0.1')), lsp));
        for (const length of LENGTHS) {
          const text = 'é'.repeat(length);
          expectSame((await client.request('echo', [text]))[0], text);
        }
        client.messages.end();
        expect(await client.messages.toArray()).to.deep.equal([]);
      });
    }
  });

  describe('with typescript-language-server', () => {
    for (const [way, over] of ways) {
      it(`a document, and hover${way}`, async () => {
        const server = languageServer();
        const client = new JsonRpc(framed(over(stdioOf(server.child)), lsp));
        const { capabilities } = await client.request('initialize', initialize);
        expect(capabilities.hoverProvider).to.equal(true);
        client.notify('initialized', {});
        client.notify('textDocument/didOpen', didOpen(COMMENT));
        const { contents } = await client.request('textDocument/hover', hover);
        expectSame(contents.value.match(/é+/)?.[0], COMMENT);
        expect(await client.request('shutdown', null)).to.equal(null);
        client.notify('exit', null);
        expect(await client.messages.toArray()).to.deep.equal([]);
        expect(await server.ended).to.equal(0);
      });
    }
  });

  describe('in vscode-jsonrpc, in the place of its reader', () => {
    it('a client of typescript-language-server, which then reads the same as before', async () => {
      const server = languageServer();
      const { stdout, stdin } = server.child;
      const chunks: Buffer[] = [];
      stdout!.on('data', (chunk) => chunks.push(chunk));
      const connection = connectionOf(new FrameReader(stdout!), stdin!);
      connection.listen();
      await connection.sendRequest('initialize', initialize);
      connection.sendNotification('initialized', {});
      for (const [comment, times] of [
        [COMMENT, 3],
        ['all that counts', 100],
      ] as const) {
        connection.sendNotification('textDocument/didOpen', didOpen(comment));
        const hovers = Array.from({ length: times }, () => connection.sendRequest('textDocument/hover', hover));
        for (const { contents } of await Promise.all(hovers)) expectSame(contents.value.split('\n').at(-1), comment);
        const { items } = await connection.sendRequest('textDocument/completion', completion);
        expect(items).to.have.lengthOf.above(100);
        connection.sendNotification('textDocument/didClose', hover);
      }
      await connection.sendRequest('shutdown');
      connection.sendNotification('exit');
      expect(await server.ended).to.equal(0);

      const readers = [StreamMessageReader, FrameReader];
      const [theirs, ours] = await Promise.all(readers.map((Reader) => messagesIn(chunks, Reader)));
      expect(ours).to.deep.equal(theirs);
      const times = readers.map(() => Number.POSITIVE_INFINITY);
      for (let round = 0; round < 9; round++) {
        for (const [i, Reader] of readers.entries()) {
          const before = process.cpuUsage();
          await messagesIn(chunks, Reader);
          const { user, system } = process.cpuUsage(before);
          times[i] = Math.min(times[i]!, (user + system) / 1000);
        }
      }
      const size = chunks.reduce((sum, { length }) => sum + length, 0);
      console.log(
        `      CPU time for ${ours!.length} messages, ${size} bytes: ${times[1]} ms, its own reader ${times[0]} ms`,
      );
    });
  });
});

/** The messages that a reader makes of these chunks. */
async function messagesIn(chunks: readonly Buffer[], Reader: new (readable: Readable) => any): Promise<unknown[]> {
  const readable = new EventEmitter() as Readable;
  const messages: unknown[] = [];
  const reader = new Reader(readable);
  reader.onError((error: Error) => messages.push(error));
  reader.listen((message: unknown) => messages.push(message));
  for (const chunk of chunks) {
    readable.emit('data', chunk);
    await new Promise(setImmediate);
  }
  return messages;
}
