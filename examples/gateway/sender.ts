/** A client's side of a connection to a gateway, which may break at any time. */
import { randomBytes } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { helloOf, type Message, MOST_DATA, messagesOf, NOTHING, Refusal } from './protocol.js';

/** So many messages may wait for their acknowledgement. */
const WINDOW = 64;
const FIRST_DELAY = 500;
const LAST_DELAY = 5000;
const PATIENCE = 30_000;

interface Events {
  /** All messages up to this number are stored. */
  stored: [number];
  /** A connection broke, the stream has lost messages, or the client is refused. */
  fault: [Error];
}

/**
 * Keeps each message until the gateway says that it is stored, and sends those that it keeps again over each new
 * connection, with the same numbers. When a gateway refuses it, it stops, and `send()` and `end()` reject.
 */
export class Sender extends EventEmitter<Events> {
  /** The number of the last message that is stored, for all that is known here; -1 before the first answer. */
  stored = -1;
  /** Their numbers follow `stored`. */
  readonly #kept: Message[] = [];
  /** Of the connection at hand. */
  #messages: ReturnType<typeof messagesOf> | undefined;
  #isAnswered = false;
  #delay = FIRST_DELAY;
  /** The last call of `send()`. */
  #sending: Promise<unknown> = Promise.resolve();
  #isEnding = false;
  readonly #over = new AbortController();
  readonly #running: Promise<void>;

  readonly #name: string;
  /** Tells it from others with its name, such as the same program before it was started again. */
  readonly #run = randomBytes(8).toString('hex');
  readonly #dial: () => Socket;
  readonly #patience: number;

  constructor(name: string, dial: () => Socket, patience = PATIENCE) {
    super();
    this.#name = name;
    this.#dial = dial;
    this.#patience = patience;
    this.#running = this.#keepConnected();
  }

  /** Comes back when the gateway has said which message is the last one of this client's, perhaps of an earlier run. */
  async ready(): Promise<void> {
    await this.#until(() => this.stored >= 0);
  }

  /**
   * Comes back when the message is kept, and there was room for it. It is stored later. Messages have the order of the
   * calls. @returns its number.
   */
  async send(data: Uint8Array): Promise<number> {
    if (data.length > MOST_DATA)
      throw new RangeError(`${data.length} bytes are too many: at most ${MOST_DATA} are allowed`);
    const sent = this.#sending.then(() => this.#keep(data));
    this.#sending = sent.catch(() => {});
    return await sent;
  }

  /** Comes back when all messages are stored, and the connection is over. */
  async end(): Promise<void> {
    await this.#sending;
    await this.#until(() => this.#kept.length === 0);
    this.#isEnding = true;
    this.#over.abort(new Error('The sender has ended'));
    if (this.#isAnswered) this.#messages?.end();
    else this.#messages?.destroy();
    await this.#running;
  }

  async #keep(data: Uint8Array): Promise<number> {
    await this.#until(() => this.stored >= 0 && this.#kept.length < WINDOW);
    const message = { n: this.stored + this.#kept.length + 1, data };
    this.#kept.push(message);
    if (this.#isAnswered) this.#messages?.write(message);
    return message.n;
  }

  async #until(isSo: () => boolean): Promise<void> {
    const { signal } = this.#over;
    for (signal.throwIfAborted(); !isSo(); signal.throwIfAborted())
      await once(this, 'stored', { signal }).catch(() => {});
  }

  async #keepConnected(): Promise<void> {
    const { signal } = this.#over;
    while (!signal.aborted) {
      await this.#converse().catch((error) => {
        if (!this.#isEnding) this.emit('fault', error);
      });
      // When a gateway goes, thousands of clients see it at the same moment. They must not all come back at the same one.
      await sleep(this.#delay * Math.random(), undefined, { signal }).catch(() => {});
      this.#delay = Math.min(2 * this.#delay, LAST_DELAY);
    }
  }

  async #converse(): Promise<void> {
    const socket = this.#dial();
    const messages = messagesOf(socket);
    this.#messages = messages;
    let isAsked = false;
    socket.setTimeout(this.#patience).on('timeout', () => {
      // A client that waits for no answer asks for one, before the gateway takes it for one that is gone.
      if (!this.#isAnswered || this.#kept.length > 0 || isAsked || this.#isEnding) {
        messages.destroy(new Error(`Nothing was heard for ${this.#patience} ms`));
      } else {
        isAsked = true;
        messages.write({ n: 0, data: NOTHING });
      }
    });
    const told = this.stored < 0 ? undefined : this.stored;
    messages.write({ n: 0, data: helloOf({ name: this.#name, run: this.#run, told }) });
    try {
      for await (const { n, data } of messages) {
        isAsked = false;
        if (data.length > 0) this.#refuse(Buffer.from(data).toString());
        if (!this.#isAnswered && n < this.stored) this.emit('fault', new Lost(n, this.stored));
        this.#forget(n);
        if (this.#isAnswered) continue;
        for (const message of this.#kept) messages.write(message);
        this.#isAnswered = true;
      }
    } finally {
      this.#messages = undefined;
      this.#isAnswered = false;
    }
    if (!this.#isEnding) throw new Error('The gateway has ended the connection');
  }

  /** All messages up to this number. */
  #forget(n: number): void {
    const last = this.stored + this.#kept.length;
    if (this.stored >= 0 && n > last) throw new Error(`The gateway has stored message ${n}, and ${last} was the last`);
    if (n <= this.stored) return;
    if (this.#kept.splice(0, n - this.stored).length > 0) this.#delay = FIRST_DELAY;
    this.stored = n;
    this.emit('stored', n);
  }

  #refuse(reason: string): never {
    const error = new Refusal(reason);
    this.#over.abort(error);
    throw error;
  }
}

/** The client was told that they are stored. */
class Lost extends Error {
  constructor(n: number, told: number) {
    super(`The stream has no messages ${n + 1} to ${told} any more: they are lost, or were there for too long`);
  }
}
