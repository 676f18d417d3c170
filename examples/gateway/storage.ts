/** Stores a client's messages in order, each once. */
import { type Broker, numberOf, STREAM, subjectOf, TIMEOUT, untilItWorks } from './broker.js';
import type { Message } from './protocol.js';

/** The client has done something wrong. */
export class Refusal extends Error {}

/** A client's messages in the stream. One call at a time: the next message waits until the stream has this one. */
export class Storage {
  /** The number of the last message that is stored, and its place in the stream. */
  #last: { n: number; place: number } | undefined;
  readonly #broker: Broker;
  readonly #client: string;

  constructor(broker: Broker, client: string) {
    this.#broker = broker;
    this.#client = client;
  }

  /** The number of the last message that is stored; 0 if there is none. */
  async last(signal: AbortSignal): Promise<number> {
    return (await untilItWorks(() => this.#find(), signal)).n;
  }

  /** Comes back when the message is stored, now or before, however long this takes. */
  async store(message: Message, signal: AbortSignal): Promise<void> {
    await untilItWorks(
      () => this.#store(message),
      signal,
      () => {
        this.#last = undefined; // It may be stored, or not: the stream knows.
      },
    );
  }

  async #store({ n, data }: Message): Promise<void> {
    const { n: last, place } = await this.#find();
    if (n <= last) return;
    if (last > 0 && n !== last + 1) throw new Refusal(`Message ${n} came after ${last}`);
    // The stream takes it only if no other one was stored in between. So none can overtake, and none can be twice.
    const expect = { lastSubjectSequence: place };
    const options = { msgID: `${this.#client}:${n}`, expect, timeout: TIMEOUT };
    const { jetstream, answerOf } = this.#broker;
    const { seq } = await answerOf(jetstream.publish(subjectOf(this.#client), data, options));
    this.#last = { n, place: seq };
  }

  async #find(): Promise<{ n: number; place: number }> {
    if (this.#last !== undefined) return this.#last;
    const { manager, answerOf } = this.#broker;
    const found = await answerOf(manager.streams.getMessage(STREAM, { last_by_subj: subjectOf(this.#client) }));
    const n = found === null ? 0 : numberOf(found.header.get('Nats-Msg-Id'));
    this.#last = { n, place: found?.seq ?? 0 };
    return this.#last;
  }
}
