import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { formats, framed, json } from '../../lib/index.js';
import { cleanUp, Process, Program, temporaryDirectory } from '../support/programs.js';

const ID = 'abcdefghijklmnopabcdefghijklmnop';
const MIB = 1_048_576;

/** How many bytes of an answer are not those of the text in `{ id: 1, result: text }`. */
const AROUND = '{"id":1,"result":""}'.length;

const startHost = (preload = '') =>
  new Program('native-messaging-host', [`chrome-extension://${ID}/`], { preload, binary: true });

/** What the browser has of a host. Here both directions may have up to 64 MiB. */
function portTo({ child }: Process) {
  return framed({ readable: child.stdout!, writable: child.stdin! }, { ...formats.nativeMessagingToHost, ...json });
}

describe('examples/native-messaging-host', () => {
  afterEach(cleanUp);

  it('answers each message, in order, and ends when its input does', async () => {
    const host = startHost();
    const port = portTo(host);
    port.write({ id: 1, command: 'echo', value: { a: [1, null, 'é'] } });
    port.write({ id: 2, command: 'length', value: 'x'.repeat(5_000_000) });
    port.write({});
    port.write('text');
    port.write({ id: 'three', command: 'length' });
    for (let id = 4; id < 1000; id++) port.write({ id, command: 'echo', value: id });
    port.end({ command: 'system' });
    const answers = await port.toArray();
    expect(answers.splice(0, 4)).to.deep.equal([
      { id: 1, result: { a: [1, null, 'é'] } },
      { id: 2, result: 5_000_000 },
      { error: 'There is no command undefined' },
      { error: 'There is no command undefined' },
    ]);
    expect(answers.shift().error).to.match(/^TypeError: /);
    expect(answers.pop().result).to.match(/^\w+ \d/);
    expect(answers).to.deep.equal(Array.from({ length: 996 }, (_, i) => ({ id: i + 4, result: i + 4 })));
    await host.succeeds();
  });

  it('prints to its standard error what else is printed', async () => {
    const host = startHost("process.once('beforeExit', () => console.log('printed'));");
    const port = portTo(host);
    port.end({ id: 1, command: 'echo', value: 1 });
    expect(await port.toArray()).to.deep.equal([{ id: 1, result: 1 }]);
    expect(await host.ended).to.equal(0);
    expect(host.errors).to.deep.equal(['printed']);
  });

  it('answers with an error where a browser would not take the answer, and goes on', async () => {
    const host = startHost();
    const port = portTo(host);
    const longest = 'x'.repeat(MIB - AROUND);
    port.write({ id: 1, command: 'echo', value: longest });
    port.write({ id: 1, command: 'echo', value: `${longest}x` });
    port.end({ id: 2, command: 'length', value: 'abc' });
    const error = 'The answer has 1048577 bytes, a browser takes at most 1048576';
    expect(await port.toArray()).to.deep.equal([
      { id: 1, result: longest },
      { id: 1, error },
      { id: 2, result: 3 },
    ]);
    await host.succeeds();
  });

  it('answers each request, or says why not, however odd it is', async () => {
    const host = startHost();
    const messages = framed(
      { readable: host.child.stdout!, writable: host.child.stdin! },
      formats.nativeMessagingToHost,
    );
    const ask = async (request: string) => {
      messages.write(request);
      return JSON.parse((await once(messages, 'data'))[0].toString());
    };
    expect(await ask('null')).to.deep.equal({ error: 'A request is an object, not null' });
    expect(await ask('{"id":1,"command":"echo"}')).to.deep.equal({ id: 1, result: null });
    const long = 'x'.repeat(2 * MIB);
    expect(await ask(JSON.stringify({ id: 2, command: long }))).to.deep.equal({
      id: 2,
      error: `There is no command ${long.slice(0, 100)}`,
    });
    const answer = await ask(JSON.stringify({ id: long, command: 'length', value: '' }));
    expect(answer.error).to.match(/^The answer has 2\d+ bytes, a browser takes at most 1048576$/);
    messages.end();
    await host.succeeds();
  });

  it('fails in one line for a message that is none', async () => {
    const length = (bytes: number) => new Uint8Array(Uint32Array.of(bytes).buffer);
    const faults: [bytes: Uint8Array[], line: RegExp][] = [
      [[length(3), Buffer.from('{a}')], /^native-messaging-host: .*JSON/],
      [[length(4), Buffer.from('{}')], /^native-messaging-host: Frame at byte \d+: the input ended/],
      [[length(64 * MIB + 1)], /^native-messaging-host: Frame at byte \d+: a payload of 67108865 bytes/],
    ];
    for (const [bytes, line] of faults) {
      const host = startHost();
      const port = portTo(host);
      port.write({ id: 1, command: 'echo', value: 1 });
      expect((await once(port, 'data'))[0]).to.deep.equal({ id: 1, result: 1 });
      host.child.stdin!.end(Buffer.concat(bytes));
      await host.fails(line);
    }
  });

  it('fails in one line when the browser is gone', async () => {
    const host = startHost();
    host.child.stdout!.destroy();
    host.child.stdin!.write(Buffer.concat([new Uint8Array(Uint32Array.of(2).buffer), Buffer.from('{}')]));
    await host.fails(/^native-messaging-host: .*EPIPE/);
  });

  it('--install: writes a manifest, and what it names answers', async () => {
    const folder = join(temporaryDirectory(), "a browser's");
    const program = new Program('native-messaging-host', ['--install', folder, ID, ID.replaceAll('a', 'b')]);
    await program.succeeds();
    const file = join(folder, 'NativeMessagingHosts', 'com.example.length_prefix.json');
    expect(program.lines).to.deep.equal([`Installed ${file}`]);
    const { path, description, ...manifest } = JSON.parse(readFileSync(file, 'utf8'));
    expect(description).to.be.a('string');
    expect(manifest).to.deep.equal({
      name: 'com.example.length_prefix',
      type: 'stdio',
      allowed_origins: [`chrome-extension://${ID}/`, `chrome-extension://${ID.replaceAll('a', 'b')}/`],
    });

    const host = new Process(path, [`chrome-extension://${ID}/`], { binary: true });
    const port = portTo(host);
    port.end({ id: 1, command: 'echo', value: 'hello' });
    expect(await port.toArray()).to.deep.equal([{ id: 1, result: 'hello' }]);
    await host.succeeds();
  });

  it('--install: refuses what is no id in one line; shows its usage', async () => {
    const folder = temporaryDirectory();
    const install = (...ids: string[]) => new Program('native-messaging-host', ['--install', folder, ...ids]);
    await install(ID, 'abc').fails(/^native-messaging-host: 'abc' is no id of an extension: 32 letters/);
    await install().fails(/^native-messaging-host: There is no EXTENSION-ID\. --help tells more$/);
    const help = new Program('native-messaging-host', ['--help']);
    await help.succeeds();
    expect(help.lines[0]).to.match(/^Usage: npm run native-messaging-host -- --install FOLDER EXTENSION-ID/);
  });
});
