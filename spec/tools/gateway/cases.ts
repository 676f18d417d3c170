import { EventEmitter, once } from 'node:events';
import { cpSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { StorageType } from '@nats-io/jetstream';
import { nanos } from '@nats-io/transport-node';
import { expect } from 'chai';
import { Broker, STREAM, subjectOf } from '../../../examples/gateway/broker.js';
import { type Message, messagesOf } from '../../../examples/gateway/protocol.js';
import { Sender } from '../../../examples/gateway/sender.js';
import { Site } from '../../../examples/gateway/site.js';
import { partsOf } from '../../../examples/gateway/storage.js';
import { readStream } from './stream.js';

const gateways = ['gateway1', 'gateway2'] as const;
/** A header of the PROXY protocol, as in front of a health check. */
const LOCAL = Buffer.from('0d0a0d0a000d0a515549540a20000000', 'hex');
const HOUR = 60 * 60 * 1000;

describe('the gateway, case by case', () => {
  let site: Site;
  let lines: { name: string; line: string }[];
  const heard = new EventEmitter();

  async function open(): Promise<void> {
    lines = [];
    site = await Site.open((line, name) => {
      lines.push({ name, line });
      heard.emit('line');
    });
    await site.startNats();
  }

  async function openAll(settings: Parameters<Site['startGateway']>[1] = {}, ofHAProxy = {}): Promise<void> {
    await open();
    for (const name of gateways) await site.startGateway(name, settings);
    await site.startHAProxy('haproxy', site.ports.haproxy, ofHAProxy);
  }

  afterEach(() => site.close());

  const linesOf = (pattern: RegExp) => lines.filter(({ line }) => pattern.test(line));

  /** Comes back when the programs have written so many lines that match. */
  async function hear(pattern: RegExp, count = 1): Promise<void> {
    while (linesOf(pattern).length < count) await once(heard, 'line');
  }

  const dial = (port = site.ports.haproxy): Socket => connect({ port, host: '127.0.0.1', noDelay: true });

  /** What a sender was told, and what it has sent under each number. */
  class Client {
    readonly sent = new Map<number, string>();
    readonly faults: string[] = [];
    dials = 0;
    readonly sockets: Socket[] = [];
    readonly name: string;
    readonly sender: Sender;

    constructor(name: string) {
      this.name = name;
      this.sender = new Sender(name, () => {
        this.sockets.push(dial());
        return this.sockets.at(-1)!;
      });
      this.sender.on('fault', ({ message }) => this.faults.push(message));
    }

    async send(text: string): Promise<void> {
      this.sent.set(await this.sender.send(Buffer.from(text)), text);
    }

    async stored(n: number): Promise<void> {
      while (this.sender.stored < n) await once(this.sender, 'stored');
    }

    /** The messages that it was told are stored. */
    get claims(): string[] {
      return Array.from(this.sent)
        .filter(([n]) => n <= this.sender.stored)
        .map(([n, text]) => `${this.name} ${n} ${text}`);
    }
  }

  /** The messages that are stored, without the marks of a beginning. */
  async function storedTexts(): Promise<string[]> {
    const all = (await readStream(site.nats)).map(({ id, text }) => ({ ...partsOf(id), text }));
    return all.filter(({ isMarker }) => !isMarker).map(({ name, n, text }) => `${name} ${n} ${text}`);
  }

  async function next(messages: ReturnType<typeof messagesOf>): Promise<Message> {
    let message: Message | null = messages.read();
    while (message === null) {
      await once(messages, 'readable');
      message = messages.read();
    }
    return message;
  }

  it('stores nothing of a run that is over behind what the next one was told', async () => {
    await openAll();
    const oldRun = async (name: string, leave: (socket: Socket) => unknown) => {
      const socket = dial();
      const messages = messagesOf(socket).on('error', () => {});
      messages.write({ n: 0, data: Buffer.from(`${name}:old`) });
      await next(messages);
      for (let n = 1; n <= 64; n++) messages.write({ n, data: Buffer.from(`old ${n}`) });
      while ((await next(messages)).n < 5);
      leave(socket);
    };
    const both = async (name: string, leave: (socket: Socket) => unknown) => {
      await oldRun(name, leave);
      const client = new Client(name);
      for (let i = 0; i < 5; i++) await client.send(`new ${i}`);
      await client.sender.end();
      return client;
    };
    const names = Array.from({ length: 25 }, (_, i) => `client${i}`);
    const clients = await Promise.all([
      ...names.map((name) => both(`${name}-reset`, (socket) => socket.resetAndDestroy())),
      ...names.map((name) => both(`${name}-ended`, (socket) => socket.end())),
      ...names.map((name) => both(`${name}-there`, () => {})),
    ]);
    expect(await storedTexts()).to.include.members(clients.flatMap(({ claims }) => claims));
    expect(clients.flatMap(({ claims }) => claims)).to.have.lengthOf(5 * clients.length);
    expect(clients.flatMap(({ faults }) => faults)).to.deep.equal([]);
  });

  it('refuses a run that goes on when another one has its name', async () => {
    await openAll();
    const [first, quiet] = [new Client('anna'), new Client('ben')];
    const sending = (async () => {
      for (let i = 0; ; i++) await first.send(`first ${i}`);
    })().catch((error: Error) => error.message);
    await quiet.sender.ready();
    await first.stored(10);
    const [second, other] = [new Client('anna'), new Client('ben')];
    for (let i = 0; i < 50; i++) await second.send(`second ${i}`);
    await second.sender.end();
    expect(await sending).to.equal('Another run of anna has taken over');
    expect(first.faults).to.deep.equal(['Another run of anna has taken over']);
    await other.sender.ready();
    // It has nothing to send, and hears of it when it comes again.
    quiet.sockets[0]!.resetAndDestroy();
    while (quiet.faults.length < 2) await once(quiet.sender, 'fault');
    expect(quiet.faults[1]).to.equal('Another run of ben has taken over');
    expect((await quiet.sender.send(Buffer.of()).catch((error) => error)).message).to.equal(quiet.faults[1]);
    await other.sender.end();
    expect(await storedTexts()).to.have.members([...first.claims, ...second.claims]);
    expect(first.sockets).to.have.lengthOf(1);
  });

  it('tells a client why it is refused, and the client does not come again', async () => {
    await openAll();
    const client = new Client('\x9b31m');
    const reason = /^A name is 1 to 64 letters, digits, - and _, and so is a run. Received '.\\x9B31m:/;
    const error = await client.sender.send(Buffer.of()).catch((error) => error);
    expect(error.message).to.match(reason);
    expect(await client.sender.end().catch((error) => error)).to.equal(error);
    expect(client.faults).to.deep.equal([error.message]);
    expect(client.sockets).to.have.lengthOf(1);
    await hear(/:\d+: A name is 1 to 64 .*Received '.\\x9B31m:/);

    const messages = messagesOf(dial());
    messages.write({ n: 0, data: Buffer.from('anna:run') });
    for (const n of [1, 3, 2]) messages.write({ n, data: Buffer.from('x') });
    expect((await messages.toArray()).map(({ n, data }) => `${n} ${data}`)).to.deep.equal([
      '0 ',
      '1 ',
      '0 Message 3 came after 1',
    ]);
  });

  it('tells of messages that the stream has lost, and goes on', async () => {
    await openAll();
    const [store, copy] = [join(site.folder, 'store'), join(site.folder, 'copy')];
    const client = new Client('anna');
    const sendTo = async (last: number) => {
      for (let n = client.sent.size + 1; n <= last; n++) await client.send(`message ${n}`);
      await client.stored(last);
    };
    const restart = async (meanwhile: () => void) => {
      await site.end('nats', 'SIGKILL');
      meanwhile();
      await site.startNats();
    };
    await sendTo(7);
    await restart(() => cpSync(store, copy, { recursive: true }));
    await sendTo(10);
    // As after a power failure.
    await restart(() => {
      rmSync(store, { recursive: true });
      cpSync(copy, store, { recursive: true });
    });
    await sendTo(12);
    expect(client.faults).to.include(
      'The stream has no messages 8 to 10 any more: they are lost, or were there for too long',
    );
    await restart(() => rmSync(store, { recursive: true }));
    await sendTo(13);
    expect(client.faults).to.include(
      'The stream has no messages 1 to 12 any more: they are lost, or were there for too long',
    );
    await client.sender.end();
    expect(await storedTexts()).to.deep.equal(['anna 13 message 13']);
  });

  it('says once that the broker is away or full, and once that it works again', async () => {
    await openAll();
    const { connection, manager } = await Broker.connect(site.nats);
    const clients = Array.from({ length: 20 }, (_, i) => new Client(`client${i}`));
    await Promise.all(clients.map(({ sender }) => sender.ready()));
    await manager.streams.update(STREAM, { max_bytes: 3000 });
    const sending = Promise.all(clients.map((client) => client.send('x'.repeat(1000))));
    await hear(/^The broker does not work: maximum bytes exceeded/, 2);
    await sleep(500);
    await manager.streams.update(STREAM, { max_bytes: -1 });
    await sending;
    await Promise.all(clients.map(({ sender }) => sender.end()));
    await connection.close();
    expect(linesOf(/^The broker does not work/)).to.have.lengthOf.within(2, 4);
    expect(linesOf(/^The broker works again/).length).to.equal(linesOf(/^The broker does not work/).length);
    await site.end('nats', 'SIGKILL');
    await hear(/^The broker does not work: the connection was lost/, 2);
  });

  it('does not keep clients that have gone while the broker is away', async () => {
    await openAll({ BROKER: 2000 });
    const socketsOf = (name: string) => readdirSync(`/proc/${site.processes.get(name)}/fd`).length;
    await site.end('nats', 'SIGKILL');
    const before = gateways.map(socketsOf);
    const open = () => {
      const messages = messagesOf(dial()).on('error', () => {});
      messages.write({ n: 0, data: Buffer.from('anna:run') });
      return messages.resume();
    };
    // Those that have ended their side go at once, whatever the patience.
    const ended = Array.from({ length: 10 }, open);
    await Promise.all(ended.map((messages) => once(messages.end(), 'close')));
    expect(linesOf(/for 2000 ms/)).to.have.lengthOf(0);
    // These are not read any more, so that it does not show that they are reset.
    const reset = Array.from({ length: 10 }, open);
    for (const messages of reset) {
      for (let n = 1; n < 64; n++) messages.write({ n, data: Buffer.alloc(16_000) });
    }
    await hear(/The broker has not stored its message for 2000 ms/);
    for (const messages of reset) messages.destroy(new Error('gone'));
    while (gateways.some((name, i) => socketsOf(name) > before[i]!)) await sleep(50);
  });

  it('lives on when it is full, and so do its clients', async () => {
    await openAll({ CONNECTIONS: 60, GREETING: 2000 }, { MOST_OF_EACH: 50 });
    const client = new Client('anna');
    await client.sender.ready();
    const silent = new Set<Socket>();
    let isOver = false;
    const connectSilent = () => {
      const socket = dial().on('error', () => {});
      silent.add(socket.resume());
      socket.on('close', () => {
        silent.delete(socket);
        if (!isOver) connectSilent();
      });
    };
    for (let i = 0; i < 250; i++) connectSilent();
    const sending = (async () => {
      while (!isOver) await client.send('x');
    })();
    await hear(/No name came for 2000 ms/, 250);
    isOver = true;
    for (const socket of silent) socket.destroy();
    await sending;
    await client.sender.end();
    expect(client.faults).to.deep.equal([]);
    expect(linesOf(/is DOWN/)).to.deep.equal([]);
    expect(await storedTexts()).to.have.lengthOf(client.sent.size);
  });

  it('stops while the broker is away', async function () {
    this.timeout(20_000);
    await openAll();
    const clients = Array.from({ length: 4 }, (_, i) => new Client(`client${i}`));
    await Promise.all(clients.map(({ sender }) => sender.ready()));
    await site.end('nats', 'SIGKILL');
    await Promise.all(clients.map((client) => client.send('x')));
    // HAProxy ends the connections of a gateway that is gone for its checks. These do without it.
    const sockets = gateways.map((name) => dial(site.ports[name]).on('error', () => {}));
    for (const socket of sockets) {
      socket.write(LOCAL);
      const messages = messagesOf(socket).on('error', () => {});
      messages.write({ n: 0, data: Buffer.of() });
      await next(messages);
      await new Promise((sent) => messages.write({ n: 0, data: Buffer.from('anna:run') }, sent));
    }
    const direct = sockets.map((socket) => new Promise((closed) => socket.once('close', closed)));
    expect(await Promise.all(gateways.map((name) => site.end(name)))).to.deep.equal([0, 0]);
    await Promise.all(direct);
    await site.startNats();
    for (const name of gateways) await site.startGateway(name);
    await Promise.all(clients.map(({ sender }) => sender.end()));
    expect(await storedTexts()).to.have.lengthOf(4);
  });

  it('works on messages of any bytes and any origin, once', async () => {
    await openAll();
    const path = join(site.folder, 'worked');
    const startWorker = () => site.startNode('worker', 'worker', [path, site.nats], /are done$/);
    const worked = () => {
      const lines = readFileSync(path, 'utf8').split('\n').slice(0, -1);
      return lines.map((line) => Buffer.from(JSON.parse(line).data, 'base64').toString('latin1'));
    };
    await startWorker();
    const [first, second] = [new Client('first'), new Client('second')];
    await second.sender.ready();
    const [marker] = (await readStream(site.nats)).filter(({ id }) => id.startsWith('second:'));
    const { run } = partsOf(marker!.id);
    const forged = `a\nsecond:${run}:1 forged\n{"id":"second:${run}:1","data":""}\n\xff`;
    await first.sender.send(Buffer.from(forged, 'latin1'));
    await first.sender.end();
    while (worked().length < 1) await sleep(20);
    await site.end('worker', 'SIGKILL');
    await startWorker();
    await second.send('genuine');
    await second.sender.end();
    const { connection, jetstream } = await Broker.connect(site.nats);
    for (const text of ['no id', 'none either']) await jetstream.publish(subjectOf('third'), text);
    await connection.close();
    const third = new Client('third');
    await hear(/:\d+: The last message of third has an id of another kind: ""$/);
    if (third.faults.length === 0) await once(third.sender, 'fault');
    expect(third.sender.stored).to.equal(-1);
    while (worked().length < 4) await sleep(20);
    expect(worked()).to.deep.equal([forged, 'genuine', 'no id', 'none either']);
  });

  it('changes a stream that has other settings, or fails', async () => {
    await open();
    const { connection, manager } = await Broker.connect(site.nats);
    await manager.streams.update(STREAM, { max_age: nanos(HOUR), max_bytes: 1_000_000 });
    await site.startGateway('gateway1');
    const { config } = await manager.streams.info(STREAM);
    expect(config).to.include({ max_age: nanos(7 * 24 * HOUR), max_bytes: 1_000_000 });
    await manager.streams.delete(STREAM);
    await manager.streams.add({ name: STREAM, subjects: [subjectOf('*')], storage: StorageType.Memory });
    await connection.close();
    const error = await site.startGateway('gateway2').catch((error) => error);
    expect(error.message).to.match(/^gateway2 ended with 1:.*storage/s);
  });

  it('says what is wrong with a health check, and takes settings at any time', async () => {
    await openAll();
    await site.reloadHAProxy();
    const socket = dial(site.ports.gateway1).on('error', () => {}); // it is reset
    socket.write(Buffer.concat([LOCAL, Buffer.from('00000005', 'hex'), Buffer.alloc(5)]));
    await hear(/^A health check: .*A message of 5 bytes has no number/);
  });
});
