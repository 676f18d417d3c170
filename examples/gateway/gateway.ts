/**
 * Stores the messages of its clients in a stream of NATS, and tells a client only of messages that the stream has.
 * It stands behind HAProxy, which says in front of each connection whose it is.
 *
 *     node dist/examples/gateway/gateway.js PORT nats://HOST:PORT [IDLE]     milliseconds of silence that are too many
 */
import { createServer, type Socket } from 'node:net';
import { formats, framed } from 'length-prefix';
import { connectBroker } from './broker.js';
import { messagesOf, NOTHING } from './protocol.js';
import { Refusal, Storage } from './storage.js';

const [port, nats = 'nats://127.0.0.1:4222', idle = '60000'] = process.argv.slice(2);
const DEADLINE = 5000;
const MAX_CONNECTIONS = 15_000;

const broker = await connectBroker(nats);
const connections = new Set<Connection>();
let isStopping = false;

class Connection {
  /** None of a health check. */
  address: string | undefined;
  #isStoring = false;
  #isAnswering = false;
  #messages: ReturnType<typeof messagesOf> | undefined;
  readonly #gone = new AbortController();

  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.address = socket.remoteAddress; // until HAProxy has said more
    socket.once('close', () => this.#gone.abort());
    // The broker may take its time. A client that is silent, or does not read, may not.
    socket.setTimeout(Number(idle)).on('timeout', () => {
      if (!this.#isStoring) socket.destroy(new Refusal(`Silent for ${idle} ms`));
    });
  }

  async serve(): Promise<void> {
    const proxied = framed(this.#socket, { ...formats.proxyV2, frameTimeout: DEADLINE, formatAfter: () => null });
    for await (const header of proxied) this.address = addressOf(header);
    this.#messages = messagesOf(await proxied.detach<Socket>());
    let storage: Storage | undefined;
    for await (const { n, data } of this.#messages) {
      if (!this.#messages.writable) continue; // We are stopping. The client will send it again, to another gateway.
      this.#isStoring = true;
      let stored = n;
      if (n > 0) {
        if (storage === undefined) throw new Refusal('A message came before a name');
        await storage.store({ n, data }, this.#gone.signal);
      } else if (data.length > 0) {
        storage = new Storage(broker, checkedName(data));
        stored = await storage.last(this.#gone.signal);
      }
      this.#isStoring = false;
      this.#isAnswering = true;
      // The client's socket, if it is full, is waited for as well. Meanwhile, nothing more is read from it.
      await new Promise((written) => this.#messages?.write({ n: stored, data: NOTHING }, written));
      this.#isAnswering = false;
      if (isStopping) this.stop();
    }
  }

  /** Now, or when the message at hand is stored and acknowledged. */
  stop(): void {
    if (this.#messages === undefined) this.#socket.destroy();
    else if (!this.#isStoring && !this.#isAnswering) this.#messages.close({ deadline: DEADLINE }).catch(() => {});
  }
}

/** The address in a header of HAProxy's, which has none in front of its own health checks. */
function addressOf(header: Buffer): string | undefined {
  if (header[1] === 0x11) return `${header.subarray(4, 8).join('.')}:${header.readUInt16BE(12)}`;
  if (header[1] !== 0x21) return undefined;
  return `[${header.toString('hex', 4, 20).match(/.{4}/g)?.join(':')}]:${header.readUInt16BE(36)}`;
}

/** It becomes part of a subject, where dots, stars and spaces have a meaning. */
function checkedName(data: Uint8Array): string {
  const name = Buffer.from(data).toString('latin1');
  if (/^[\w-]{1,64}$/.test(name)) return name;
  throw new Refusal(`A name is 1 to 64 letters, digits, - and _. Received ${JSON.stringify(name.slice(0, 64))}`);
}

const server = createServer({ noDelay: true }, async (socket) => {
  const connection = new Connection(socket);
  connections.add(connection);
  try {
    await connection.serve();
  } catch (error) {
    // Only its own connection ends. HAProxy resets those of its health checks, which is no news.
    const { name, message } = error as Error;
    if (connection.address !== undefined && name !== 'AbortError') console.error(`${connection.address}: ${message}`);
    socket.destroy();
  } finally {
    connections.delete(connection);
  }
});
server.maxConnections = MAX_CONNECTIONS;

process.once('SIGTERM', () => {
  isStopping = true;
  server.close(() => broker.connection.close());
  for (const connection of connections) connection.stop();
});

server.listen(Number(port), '127.0.0.1', () => console.log('Listening on', JSON.stringify(server.address())));
