/** A client's side of a connection to a gateway, which may break at any time. */
import { EventEmitter, once } from 'node:events';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Message, messagesOf } from './protocol.js';

/** So many messages may wait for their acknowledgement. */
const WINDOW = 64;
const FIRST_DELAY = 500;
const LAST_DELAY = 5000;
const PATIENCE = 30_000;

/**
 * Keeps each message until the gateway says that it is stored, and sends those that it keeps again over each new
 * connection, with the same numbers. Emits `'stored'` with a number: all up to this one are stored; and `'fault'`.
 */
export class Sender extends EventEmitter<{ stored: [number]; fault: [Error] }> {
  /** The number of the last message that is stored, for all that is known here; -1 before the first answer. */
  stored = -1;
  /** Their numbers follow `stored`. */
  readonly #kept: Message[] = [];
  /** Once it has answered. */
  #messages: ReturnType<typeof messagesOf> | undefined;
  #delay = FIRST_DELAY;
  readonly #ended = new AbortController();
  readonly #running: Promise<void>;

  readonly #name: string;
  readonly #dial: () => Socket;

  constructor(name: string, dial: () => Socket) {
    super();
    this.#name = name;
    this.#dial = dial;
    this.#running = this.#run();
  }

  /** Comes back when the gateway has said which message is the last one of this client's, perhaps of an earlier run. */
  async ready(): Promise<void> {
    while (this.stored < 0) await once(this, 'stored');
  }

  /** Comes back when the message is kept, and there was room for it. It is stored later. @returns its number. */
  async send(data: Uint8Array): Promise<number> {
    await this.ready();
    while (this.#kept.length >= WINDOW) await once(this, 'stored');
    const message = { n: this.stored + this.#kept.length + 1, data };
    this.#kept.push(message);
    this.#messages?.write(message);
    return message.n;
  }

  /** Comes back when all messages are stored, and the connection is over. */
  async end(): Promise<void> {
    await this.ready();
    while (this.#kept.length > 0) await once(this, 'stored');
    this.#ended.abort();
    this.#messages?.end();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#ended;
    while (!signal.aborted) {
      await this.#converse().catch((error) => this.emit('fault', error));
      // When a gateway goes, thousands of clients see it at the same moment. They must not all come back at the same one.
      await sleep(this.#delay * Math.random(), undefined, { signal }).catch(() => {});
      this.#delay = Math.min(2 * this.#delay, LAST_DELAY);
    }
  }

  async #converse(): Promise<void> {
    const socket = this.#dial();
    const messages = messagesOf(socket);
    socket.setTimeout(PATIENCE, () => messages.destroy(new Error(`Nothing was heard for ${PATIENCE} ms`)));
    messages.write({ n: 0, data: Buffer.from(this.#name) });
    try {
      for await (const { n } of messages) {
        this.#forget(n);
        if (this.#messages === undefined) {
          for (const message of this.#kept) messages.write(message);
          this.#messages = messages;
          this.#delay = FIRST_DELAY;
        }
        this.emit('stored', this.stored);
      }
    } finally {
      this.#messages = undefined;
    }
  }

  /** All messages up to this number. */
  #forget(n: number): void {
    const last = this.stored + this.#kept.length;
    if (this.stored >= 0 && n > last) throw new Error(`The gateway has stored message ${n}, and ${last} was the last`);
    // A smaller number comes when the stream's own time for messages is over.
    this.#kept.splice(0, Math.max(0, n - this.stored));
    this.stored = Math.max(this.stored, n);
  }
}
