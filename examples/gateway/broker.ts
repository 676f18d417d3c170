/** The stream of the broker: its settings, and how to store a client's messages in order, each once. */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  DiscardPolicy,
  JetStreamApiError,
  JetStreamError,
  jetstream,
  jetstreamManager,
  StorageType,
} from '@nats-io/jetstream';
import { connect, errors, nanos } from '@nats-io/transport-node';
import type { Message } from './protocol.js';

export const STREAM = 'MESSAGES';
export const subjectOf = (client: string) => `messages.${client}`;
const DAY = 24 * 60 * 60 * 1000;

/** Connects to NATS, and again whenever it has to. Makes the stream if it is not there. */
export async function connectBroker(servers: string) {
  const reconnecting = { maxReconnectAttempts: -1, waitOnFirstConnect: true, reconnectTimeWait: 250 };
  const connection = await connect({ servers, ...reconnecting, pingInterval: 5000, noAsyncTraces: true });
  const stream = {
    name: STREAM,
    subjects: [subjectOf('*')],
    storage: StorageType.File,
    // A full stream refuses messages. By default, it would drop the oldest ones, which clients were told are stored.
    discard: DiscardPolicy.New,
    max_age: nanos(7 * DAY),
    duplicate_window: nanos(2 * 60 * 1000),
  };
  const ask = async () => {
    const manager = await jetstreamManager(connection);
    await manager.streams.add(stream);
    return manager;
  };
  const manager = await untilItWorks(ask);
  return { connection, manager, jetstream: jetstream(connection) };
}

export type Broker = Awaited<ReturnType<typeof connectBroker>>;

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
    const options = { msgID: `${this.#client}:${n}`, expect, timeout: 2000 };
    const { seq } = await this.#broker.jetstream.publish(subjectOf(this.#client), data, options);
    this.#last = { n, place: seq };
  }

  async #find(): Promise<{ n: number; place: number }> {
    if (this.#last !== undefined) return this.#last;
    const found = await this.#broker.manager.streams.getMessage(STREAM, { last_by_subj: subjectOf(this.#client) });
    const n = found === null ? 0 : numberOf(found.header.get('Nats-Msg-Id'));
    this.#last = { n, place: found?.seq ?? 0 };
    return this.#last;
  }
}

/** Of a message's id, which is `client:number`. */
export const numberOf = (id: string) => Number(id.slice(id.lastIndexOf(':') + 1));

/** The client has done something wrong. */
export class Refusal extends Error {}

const { ConnectionError, NoRespondersError, RequestError, TimeoutError } = errors;
const passing = [ConnectionError, NoRespondersError, RequestError, TimeoutError, JetStreamApiError, JetStreamError];

/** Tries again while the broker is slow, away or full, or when another gateway has stored the message meanwhile. */
async function untilItWorks<T>(attempt: () => Promise<T>, signal?: AbortSignal, onFailure?: () => void): Promise<T> {
  for (let wait = 50; ; wait = Math.min(2 * wait, 1000)) {
    try {
      return await attempt();
    } catch (error) {
      const { cause } = error as Error; // that there is no JetStream at the moment is told by one
      if (!passing.some((type) => error instanceof type || cause instanceof type)) throw error;
      onFailure?.();
      signal?.throwIfAborted();
      await sleep(wait * (0.5 + Math.random()), undefined, signal && { signal });
    }
  }
}
