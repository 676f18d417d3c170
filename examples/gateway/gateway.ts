/**
 * Stores the messages of its clients in a stream of NATS, and tells a client only of messages that the stream has.
 * It stands behind HAProxy, which says in front of each connection whose it is.
 *
 *     node dist/examples/gateway/gateway.js PORT nats://HOST:PORT
 *
 * IDLE, GREETING and BROKER in the environment are milliseconds: see `patience`. CONNECTIONS is the most it takes.
 */
import { createServer, type Socket } from 'node:net';
import { FrameError, formats, framed } from 'length-prefix';
import { Broker } from './broker.js';
import { checkedHello, type Message, messagesOf, NOTHING, Refusal } from './protocol.js';
import { Storage } from './storage.js';

const [port, nats = 'nats://127.0.0.1:4222'] = process.argv.slice(2);
const { IDLE = '60000', GREETING = '10000', BROKER = '45000', CONNECTIONS = '15000' } = process.env;

/** For how long a connection may be in a state, and what is wrong then. */
const patience = {
  greets: { most: Number(GREETING), fault: 'No name came for' },
  reads: { most: Number(IDLE), fault: 'Silent for' },
  // Longer than a client waits for it. So one that is still here then does not know that its client is gone.
  stores: { most: Number(BROKER), fault: 'The broker has not stored its message for' },
  answers: { most: Number(IDLE), fault: 'An answer was not read for' },
  leaves: { most: 5000, fault: 'It was refused, and has not gone for' },
};
/** For how long connections may be there when the gateway stops. */
const DEADLINE = 5000;

console.log(`Connecting to ${nats}`);
const broker = await Broker.connect(nats);
const connections = new Set<Connection>();
/** When all of them must be gone. */
let end = Infinity;

/**
 * A connection is in one state at a time, and not for longer than its patience. While it stores or answers, nothing is read.
 *
 *     greets --- a message ---> stores --- it is stored ---> answers --- and has a name ---> reads
 *        ^                         ^                           |  |                            |
 *        |                         '-------- a message --------|--|----------------------------'
 *        '------------------------- and has no name yet -------'  '--- and is refused ---> leaves
 */
class Connection {
  /** None of a health check. */
  address: string | undefined;
  #state: keyof typeof patience = 'greets';
  #timer: NodeJS.Timeout | undefined;
  #messages: ReturnType<typeof messagesOf> | undefined;
  #storage: Storage | undefined;
  readonly #gone = new AbortController();
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.address = socket.remoteAddress; // until HAProxy has said more
    // A client has all its answers before it ends its side. One that ends it earlier is gone, and must not be waited for.
    for (const event of ['end', 'close']) socket.once(event, () => this.#gone.abort());
  }

  async serve(): Promise<void> {
    this.#enter('greets');
    const proxied = framed(this.#socket, { ...formats.proxyV2, frameTimeout: DEADLINE, formatAfter: () => null });
    for await (const header of proxied) this.address = addressOf(header);
    const messages = messagesOf(await proxied.detach<Socket>());
    this.#messages = messages;
    for await (const message of messages) {
      // It was refused, or we are stopping: then the client will send it again, to another gateway.
      if (!messages.writable) continue;
      this.#enter('stores');
      const answer = await this.#answerTo(message);
      this.#enter('answers');
      await new Promise((written) => messages.write(answer, written));
      if (answer.data.length === 0) this.#enter(this.#storage === undefined ? 'greets' : 'reads');
      else {
        messages.end();
        this.#enter('leaves');
      }
    }
  }

  async #answerTo({ n, data }: Message): Promise<Message> {
    const { signal } = this.#gone;
    try {
      if (n > 0) {
        if (this.#storage === undefined) throw new Refusal('A message came before a name');
        await this.#storage.store({ n, data }, signal);
      } else if (data.length > 0) {
        const storage = new Storage(broker, checkedHello(data));
        n = await storage.open(signal);
        this.#storage = storage;
      }
      return { n, data: NOTHING };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      console.error(`${this.address}: ${error.message}`);
      return { n: 0, data: Buffer.from(error.message) };
    }
  }

  /** It goes now, or when the message at hand is stored and acknowledged, or at the end. */
  stop(): void {
    this.#enter(this.#state);
  }

  /** Its socket is closed. */
  over(): void {
    clearTimeout(this.#timer);
    connections.delete(this);
  }

  #enter(state: keyof typeof patience): void {
    this.#state = state;
    clearTimeout(this.#timer);
    const { most, fault } = patience[state];
    const left = Math.max(1, end - Date.now());
    if (left < Infinity && (state === 'greets' || state === 'reads')) this.#close(left);
    else {
      const time = Math.min(most, left);
      this.#timer = setTimeout(() => this.#fail(new Error(`${fault} ${time} ms`)), time);
    }
  }

  #close(deadline: number): void {
    if (this.#messages === undefined) this.#socket.destroy();
    else this.#messages.close({ deadline }).catch(() => {});
  }

  #fail(error: Error): void {
    this.#gone.abort(error);
    (this.#messages ?? this.#socket).destroy(error);
  }
}

/** The address in a header of HAProxy's, which has none in front of its own health checks. */
function addressOf(header: Buffer): string | undefined {
  if (header[1] === 0x11) return `${header.subarray(4, 8).join('.')}:${header.readUInt16BE(12)}`;
  if (header[1] !== 0x21) return undefined;
  return `[${header.toString('hex', 4, 20).match(/.{4}/g)?.join(':')}]:${header.readUInt16BE(36)}`;
}

const server = createServer({ noDelay: true }, async (socket) => {
  const connection = new Connection(socket);
  connections.add(connection);
  try {
    await connection.serve();
  } catch (error) {
    // Only its own connection ends. HAProxy resets those of its health checks, which is no news.
    const { address = error instanceof FrameError ? 'A health check' : undefined } = connection;
    const { name, message } = error as Error;
    if (address !== undefined && name !== 'AbortError') console.error(`${address}: ${message}`);
    socket.destroy();
  } finally {
    connection.over();
  }
});
server.maxConnections = Number(CONNECTIONS);

process.once('SIGTERM', () => {
  end = Date.now() + DEADLINE;
  server.close(() => broker.connection.close());
  for (const connection of connections) connection.stop();
});

server.listen(Number(port), '127.0.0.1', () => console.log('Listening on', JSON.stringify(server.address())));
