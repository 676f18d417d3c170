import { once } from 'node:events';
import { expect } from 'chai';
import { framed, json } from '../../lib/index.js';
import { cleanUp, closed, connectTo, listen, Program, sized, startExample, throwGarbage } from '../support/programs.js';

describe('examples/chat', () => {
  afterEach(cleanUp);

  const startChat = () => startExample('chat');

  async function member(port: number) {
    const socket = await connectTo(port);
    // `cleanUp` breaks it off.
    return { socket, messages: framed(socket, json).on('error', () => {}) };
  }

  /** Two members that the server knows: the first one's messages reach the second. */
  async function two(port: number) {
    const [ann, ben] = [await member(port), await member(port)];
    // The server knows both when it passes this on.
    ben.messages.write({ from: 'Ben', text: 'hello' });
    expect((await once(ann.messages, 'data'))[0]).to.deep.equal({ from: 'Ben', text: 'hello' });
    return { ann, ben };
  }

  it('passes on what each member says to all others, typed at the keyboard', async () => {
    const { server, port } = await startChat();
    const join = (name: string) => new Program('chat', [String(port), name]);
    const [ann, ben] = [join('Ann'), join('Ben')];
    const test = await member(port);
    // Each says something until both have heard it: nothing else tells when a member is there.
    const heard = new Set<string>();
    test.messages.on('data', ({ from }) => heard.add(from));
    for (const program of [ann, ben]) program.child.stdin!.write('here\n');
    while (heard.size < 2) await once(test.messages, 'data');
    ann.child.stdin!.write('How are you?\n');
    await ben.line('Ann: How are you?');
    ben.child.stdin!.end('Well.\n');
    await ann.line('Ben: Well.');
    await ben.succeeds();
    ann.child.stdin!.end();
    await ann.succeeds();
    expect(ann.lines).to.not.include('Ann: How are you?');
    expect(server.errors).to.deep.equal([]);
  });

  it('a bad member ends its own connection, in one line, and no other', async () => {
    const { server, port } = await startChat();
    const { ann, ben } = await two(port);
    await throwGarbage(port);
    const bad = ['null', '5', '{"from":"Eve"}', '{', `{"from":"Eve","text":"${'x'.repeat(10_000)}"}`];
    for (const json of bad) {
      const socket = await connectTo(port);
      socket.write(sized(json));
      expect(await closed(socket), json).to.equal('ECONNRESET');
    }
    const reset = await connectTo(port);
    reset.resetAndDestroy();
    await server.line(/^A member was lost: /, 3 + bad.length + 1);
    expect(server.errors).to.have.lengthOf(3 + bad.length + 1);

    ann.messages.write({ from: 'Ann', text: 'still here?' });
    expect((await once(ben.messages, 'data'))[0]).to.deep.equal({ from: 'Ann', text: 'still here?' });
  });

  type Member = Awaited<ReturnType<typeof member>>;

  /** So many messages, five at a time: no buffer on the way to the second member is full. */
  async function say(ann: Member, ben: Member, count: number): Promise<string[]> {
    const text = 'x'.repeat(9_000);
    const said: string[] = [];
    const heard: string[] = [];
    const listen = ({ from }: { from: string }) => heard.push(from);
    ben.messages.on('data', listen);
    while (said.length < count) {
      for (let i = 0; i < 5; i++) {
        const from = String(said.length);
        said.push(from);
        ann.messages.write({ from, text });
      }
      while (heard.length < said.length) await once(ben.messages, 'data');
    }
    ben.messages.off('data', listen);
    expect(heard).to.deep.equal(said);
    return said;
  }

  /** More than all buffers on the way to a third member hold: some 4 MB on Linux. */
  const flood = (ann: Member, ben: Member) => say(ann, ben, 1_000);

  /** It heard all from when the server knew it to when the buffers on the way to it were full. */
  function expectHeard(heard: string[], said: string[]): void {
    const first = said.indexOf(heard[0]!);
    expect(heard).to.deep.equal(said.slice(first, first + heard.length));
    expect(first + heard.length).to.be.below(said.length);
  }

  it('a member that has no more to say gets all that it was sent, and then the end', async () => {
    const { server, port } = await startChat();
    const { ann, ben } = await two(port);
    const eve = await member(port);
    eve.socket.pause();
    const said = await flood(ann, ben);
    eve.messages.end();
    await once(eve.socket, 'finish');
    // The server has seen its end, and says no more to it.
    await say(ann, ben, 20);
    eve.socket.resume();
    const got: string[] = [];
    for await (const { from } of eve.messages) got.push(from);
    expectHeard(got, said);
    expect(server.errors).to.deep.equal([]);
  });

  it('goes on when a member that has no more to say breaks off with messages unread', async () => {
    const { server, port } = await startChat();
    const { ann, ben } = await two(port);
    const eve = await member(port);
    eve.socket.pause();
    await flood(ann, ben);
    eve.socket.end();
    await once(eve.socket, 'finish');
    eve.socket.resetAndDestroy();
    await server.line(/^A member was lost: /);
    ben.messages.write({ from: 'Ben', text: 'well' });
    await once(ann.messages, 'data');
  });

  it('a slow member misses messages, keeps nobody waiting, and hears what is said later', async () => {
    const { server, port } = await startChat();
    const { ann, ben } = await two(port);
    const slow = await member(port);
    slow.socket.pause();
    const said = await flood(ann, ben);
    const got: { from: string }[] = [];
    slow.messages.on('data', (message) => got.push(message));
    slow.socket.resume();
    while (got.at(-1)?.from !== 'last') {
      ann.messages.write({ from: 'last', text: '' });
      await once(ben.messages, 'data');
    }
    expectHeard(
      got.map(({ from }) => from).filter((from) => from !== 'last'),
      said,
    );
    expect(server.errors).to.deep.equal([]);
  });

  it('a member ends when the server does', async () => {
    let hangUp: () => void;
    const port = await listen((socket) => {
      hangUp = () => socket.end();
      socket.write(sized('{"from":"server","text":"hello"}'));
    });
    const ann = new Program('chat', [String(port), 'Ann']);
    await ann.line('server: hello');
    hangUp!();
    await ann.succeeds();
  });
});
