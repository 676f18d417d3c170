import { join } from 'node:path';
import { expect } from 'chai';
import { type Framed, formats, framed, json } from '../../../lib/index.js';
import { cleanUp, Process } from '../../support/programs.js';
import { ways } from '../../support/recut.js';
import { stdioOf } from './json-rpc.js';
import { PYTHON } from './programs.js';
import { expectSame } from './same.js';
import { Host } from './servers.js';

const LARGE = 2_000_000;

/** A client of the Debug Adapter Protocol. */
class Client {
  readonly messages: Framed<any>;
  /** The events that came. */
  readonly events: any[] = [];
  #lastNumber = 0;

  constructor(messages: Framed<any>) {
    this.messages = messages;
  }

  /** Sends a request, and returns its number. */
  send(command: string, args: unknown = {}): number {
    const seq = ++this.#lastNumber;
    this.messages.write({ seq, type: 'request', command, arguments: args });
    return seq;
  }

  /** Reads up to the answer to a request. */
  async answerTo(number: number): Promise<any> {
    const { success, message, body } = await this.#read(({ request_seq }) => request_seq === number);
    if (!success) throw new Error(message);
    return body;
  }

  /** Reads up to an event, unless it came before. */
  async event(name: string): Promise<any> {
    const isIt = (message: any) => message.event === name;
    return this.events.find(isIt) ?? (await this.#read(isIt));
  }

  async #read(isWanted: (message: any) => boolean): Promise<any> {
    for await (const message of this.messages.iterator({ destroyOnReturn: false })) {
      if (message.type === 'event') this.events.push(message);
      if (isWanted(message)) return message;
    }
    throw new Error('the debugger has ended');
  }
}

describe('formats.lsp with debugpy, in the Debug Adapter Protocol', () => {
  let host: Host;
  before(() => {
    host = new Host();
  });
  after(() => host.close());
  afterEach(cleanUp);

  for (const [way, over] of ways) {
    it(`a program that is stopped, what it has and what it writes${way}`, async () => {
      const adapter = new Process(PYTHON, ['-m', 'debugpy.adapter'], { binary: true, cwd: host.folder });
      const client = new Client(framed(over(stdioOf(adapter.child)), { ...formats.lsp, ...json }));
      expect(await client.answerTo(client.send('initialize', { adapterID: 'spec' }))).to.include({
        supportsConfigurationDoneRequest: true,
      });

      const program = host.file('spec.py', `print('x' * ${LARGE})\n`);
      const launch = { program, console: 'internalConsole', redirectOutput: true, stopOnEntry: true };
      const launched = client.send('launch', launch);
      await client.event('initialized');
      client.send('configurationDone');
      await client.answerTo(launched);
      const { threadId } = (await client.event('stopped')).body;
      const { stackFrames } = await client.answerTo(client.send('stackTrace', { threadId }));
      expect(stackFrames[0].source.path).to.equal(join(host.folder, 'spec.py'));
      const expression = `len('${'é'.repeat(LARGE)}')`;
      const length = await client.answerTo(client.send('evaluate', { expression, frameId: stackFrames[0].id }));
      expect(length.result).to.equal(`${LARGE}`);

      await client.answerTo(client.send('continue', { threadId }));
      await client.event('terminated');
      const outputs = client.events.filter(({ event, body }) => event === 'output' && body.category === 'stdout');
      expectSame(outputs.map(({ body }) => body.output).join(''), `${'x'.repeat(LARGE)}\n`);
      await client.answerTo(client.send('disconnect'));
      client.messages.end();
      await client.messages.toArray();
      expect(await adapter.ended).to.equal(0);
    });
  }
});
