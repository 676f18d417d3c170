/**
 * A server that takes length-prefixed messages: from many clients at a time, and as many from each as it has to send.
 *
 *     npm run server -- --port 11000 --save messages
 */
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { isatty } from 'node:tty';
import { parseArgs } from 'node:util';
import { type Framed, framed, type StreamedMessage } from 'length-prefix';
import {
  checkedOptions,
  describe,
  listen,
  run,
  sharedOptions,
  sharedUsage,
  shownAddress,
  type WireFormat,
} from './options.js';

const usage = `Usage: npm run server -- [options]

Receives messages, and prints the size of each. SIGINT (Ctrl+C) or SIGTERM stops
it as soon as it has the messages that are under way, a second one at once.

  --save DIR               keeps each message as a file in this directory; one that
                           is not whole ends in .part
${sharedUsage}`;

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { ...sharedOptions, save: { type: 'string' } } });
  if (values.help) return console.log(usage);
  const { host, port, format } = checkedOptions(values);
  const directory = values.save;
  if (directory !== undefined) await mkdir(directory, { recursive: true });

  // A file is named after the start of the server, its process, the connection and the message, such as
  // 20250131T120000000Z-4711-000002-000001. No two have one name, and those of a connection sort in their order.
  const thisRun = `${new Date().toISOString().replace(/[-:.]/g, '')}-${process.pid}`;
  let connectionCount = 0;
  const connections = new Set<Connection>();

  // Half-open: a client that has no more to send is hung up on when its messages are dealt with, and not before.
  const server = createServer({ allowHalfOpen: true }, async (socket) => {
    const client = shownAddress(socket.remoteAddress, socket.remotePort);
    const files = `${thisRun}-${padded(++connectionCount)}`;
    let messageCount = 0;
    const connection = new Connection(socket, format);
    connections.add(connection);
    try {
      await connection.receive(async ({ length, body }) => {
        if (directory === undefined) await finished(body.resume());
        else await save(join(directory, `${files}-${padded(++messageCount)}`), body);
        console.log(`Data received. Size: ${length}`);
      });
    } catch (error) {
      console.error(`${client} ${describe(error)}`);
    }
    connections.delete(connection);
  });

  const address = await listen(server, host, port);

  let stopping = false;
  const stop = () => {
    if (stopping) return;
    stopping = true;
    // Without a listener the next signal does what it does to any program: it ends it at once. On a terminal that has
    // to wait a moment: Ctrl+C can come twice there, from the terminal and from npm, which passes on what it got.
    const stopListening = () => process.off('SIGINT', stop).off('SIGTERM', stop);
    if (isatty(0)) setTimeout(stopListening, 500).unref();
    else stopListening();

    server.close();
    for (const connection of connections) connection.hangUp();
    const busy = [...connections].filter((connection) => connection.isInsideFrame).length;
    if (busy > 0) console.error(`Stopping after the messages under way. Connections: ${busy}`);
    // There is nothing to wait for: a program ends when it has no connection open, and no file to write.
  };
  process.on('SIGINT', stop).on('SIGTERM', stop);

  console.log(`Listening on ${address}`);
}

/** The messages of one client. */
class Connection {
  readonly #socket: Socket;
  readonly #format: WireFormat;
  readonly #messages: Framed<StreamedMessage>;
  /** The bytes of all frames whose messages are dealt with. */
  #taken = 0;
  /** The number of bytes after which to hang up. */
  #last = Number.POSITIVE_INFINITY;

  constructor(socket: Socket, format: WireFormat) {
    this.#socket = socket;
    this.#format = format;
    this.#messages = framed(socket, { ...format, stream: true });
    this.#messages.on('error', () => {}); // `receive` tells

    const { destroy } = socket;
    socket.destroy = (error) => {
      // A reset is what tells a client that not all it sent was taken. What breaks the socket itself needs none.
      const isOurs = error !== undefined && error === this.#messages.errored && !socket.destroyed;
      return isOurs ? socket.resetAndDestroy() : destroy.call(socket, error);
    };
  }

  /**
   * Takes one message after the other, and the next one only when that is done: a client that is faster than the disk
   * has to wait. Fails when the client does something wrong, or the connection breaks, or a message can't be taken.
   */
  async receive(take: (message: StreamedMessage) => Promise<void>): Promise<void> {
    const messages = this.#messages;
    try {
      for await (const message of messages) {
        try {
          await take(message);
        } catch (error) {
          messages.destroy(error as Error);
        }
        this.#taken += frameLength(message.length, this.#format);
        if (this.#taken < this.#last) continue;
        if (this.isInsideFrame) messages.destroy(new Error('Hung up before all was taken: stopping'));
        break;
      }
    } catch {
      // What is destroyed without an error was hung up on.
    }
    messages.destroy();
    // The first error: others follow from it.
    if (messages.errored) throw messages.errored;
  }

  /** Whether there are bytes of a message that is not dealt with. */
  get isInsideFrame(): boolean {
    return this.#socket.bytesRead > this.#taken;
  }

  /**
   * Hangs up: at once between two frames; inside one when that is taken.
   *
   * A stream does not tell whether it has half a length, but that can be counted: all bytes that were read belong to
   * frames that are dealt with, or else there is one under way. (A varint in more bytes than it needs is counted short.
   * Such a client keeps the server until it hangs up itself, or until the second signal.)
   */
  hangUp(): void {
    this.#last = this.#socket.bytesRead;
    if (!this.isInsideFrame) this.#messages.destroy();
  }
}

/** The bytes of the frame that a message came in: those of the message, and those cut off in front of it. */
function frameLength(length: number, format: WireFormat): number {
  return length + (format.initialBytesToStrip ?? format.lengthFieldOffset + fieldWidth(length, format));
}

function fieldWidth(length: number, { lengthField, lengthAdjustment }: WireFormat): number {
  if (lengthField !== 'varint') return Number.parseInt(lengthField.slice('uint'.length), 10) / 8;
  let width = 1;
  for (let rest = length - lengthAdjustment; rest > 127; rest = Math.floor(rest / 128)) width++;
  return width;
}

/** Writes a file that has its name only once it is whole: who looks into the directory never takes half a message for one. */
async function save(file: string, body: StreamedMessage['body']): Promise<void> {
  const part = `${file}.part`;
  try {
    await writeFile(part, body);
    await rename(part, file);
  } catch (error) {
    await rm(part, { force: true }).catch(() => {});
    throw error;
  }
}

function padded(count: number): string {
  return String(count).padStart(6, '0');
}

await run('server', main);
