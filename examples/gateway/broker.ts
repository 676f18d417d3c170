/** The broker: its stream, and what to do while it is away. */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  DiscardPolicy,
  JetStreamApiError,
  JetStreamError,
  jetstream,
  jetstreamManager,
  StorageType,
} from '@nats-io/jetstream';
import { connect, errors, type NatsConnection, nanos } from '@nats-io/transport-node';

export const STREAM = 'MESSAGES';
export const subjectOf = (client: string) => `messages.${client}`;
/** Of a message's id, which is `client:number`. */
export const numberOf = (id: string) => Number(id.slice(id.lastIndexOf(':') + 1));

const DAY = 24 * 60 * 60 * 1000;
/** A broker that has much to do may answer late. To ask it again sooner would give it more to do. */
export const TIMEOUT = 30_000;

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
    const manager = await jetstreamManager(connection, { timeout: TIMEOUT });
    await manager.streams.add(stream);
    return manager;
  };
  const manager = await untilItWorks(ask);
  return { manager, connection, jetstream: jetstream(connection), answerOf: answersOf(connection) };
}

export type Broker = Awaited<ReturnType<typeof connectBroker>>;

const { ConnectionError, NoRespondersError, RequestError, TimeoutError } = errors;
const passing = [ConnectionError, NoRespondersError, RequestError, TimeoutError, JetStreamApiError, JetStreamError];

/** Waits for answers. Those that were to come over a connection that is lost never come: they fail with the next connection. */
function answersOf(connection: NatsConnection) {
  const waiting = new Set<(error: Error) => void>();
  const watch = async () => {
    for await (const { type } of connection.status()) {
      if (type === 'reconnect') for (const fail of waiting) fail(new ConnectionError('The connection was lost'));
    }
  };
  watch();
  return <T>(answer: Promise<T>): Promise<T> =>
    new Promise((resolve, reject) => {
      waiting.add(reject);
      answer.then(resolve, reject).finally(() => waiting.delete(reject));
    });
}

/** Tries again while the broker is slow, away or full, or when another gateway has stored the message meanwhile. */
export async function untilItWorks<T>(
  attempt: () => Promise<T>,
  signal?: AbortSignal,
  onFailure?: () => void,
): Promise<T> {
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
