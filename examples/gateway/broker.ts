/** The broker: its stream, and what to do while it is away. */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  DiscardPolicy,
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamClient,
  type JetStreamManager,
  jetstream,
  jetstreamManager,
  StorageType,
} from '@nats-io/jetstream';
import { connect, errors, type NatsConnection, nanos } from '@nats-io/transport-node';

export const STREAM = 'MESSAGES';
/** A subject is chosen by the client's name, never by the message: its place in the subject is what orders a client's messages. */
export const subjectOf = (client: string) => `messages.${client}`;

const DAY = 24 * 60 * 60 * 1000;
/** A broker that has much to do may answer late. To ask it again sooner would give it more to do. */
const TIMEOUT = 30_000;
const LONGEST_WAIT = 1000;

const settings = {
  name: STREAM,
  subjects: [subjectOf('*')],
  storage: StorageType.File,
  // A full stream refuses messages. By default, it would drop the oldest ones, which clients were told are stored.
  discard: DiscardPolicy.New,
  max_age: nanos(7 * DAY),
  duplicate_window: nanos(2 * 60 * 1000),
};

const { ConnectionError, NoRespondersError, RequestError, TimeoutError } = errors;
const passing = [ConnectionError, NoRespondersError, RequestError, TimeoutError];
const { StreamNotFound, StreamWrongLastSequence } = JetStreamApiCodes;
const OTHER_SETTINGS = 10058;
const WRONG_SETTINGS = 10052;

const codeOf = (error: unknown) => (error instanceof JetStreamApiError ? error.code : undefined);

/** The broker is away, has no leader, or is full. All other errors would be the same the next time. */
function isPassing(error: unknown): boolean {
  if (error instanceof JetStreamApiError) return error.status >= 500 && error.code !== WRONG_SETTINGS;
  const { cause } = error as Error; // that there is no JetStream at the moment is told by one
  return passing.some((type) => error instanceof type || cause instanceof type);
}

export class Broker {
  readonly connection: NatsConnection;
  readonly jetstream: JetStreamClient;
  #manager: JetStreamManager | undefined;
  #isMakingStream: Promise<void> | undefined;
  /** The answers that are waited for. */
  readonly #waiting = new Set<(error: Error) => void>();
  #isInTrouble = false;

  private constructor(connection: NatsConnection) {
    this.connection = connection;
    this.jetstream = jetstream(connection);
    this.#watch();
  }

  /** Connects to NATS, and again whenever it has to. Makes the stream if it is not there. */
  static async connect(servers: string): Promise<Broker> {
    const reconnecting = { maxReconnectAttempts: -1, waitOnFirstConnect: true, reconnectTimeWait: 250 };
    const options = { servers, ...reconnecting, pingInterval: 5000, noAsyncTraces: true };
    const broker = new Broker(await connect(options));
    await broker.untilItWorks(() => broker.#makeStream());
    return broker;
  }

  /** Once the broker is connected. */
  get manager(): JetStreamManager {
    return this.#manager!;
  }

  /** The last message of a subject, and its place in the stream. */
  async lastOf(subject: string, signal: AbortSignal): Promise<{ id: string; place: number } | undefined> {
    const found = await this.#answerOf(
      () => this.manager.streams.getMessage(STREAM, { last_by_subj: subject }),
      signal,
    );
    return found === null ? undefined : { id: found.header.get('Nats-Msg-Id'), place: found.seq };
  }

  /** @returns its place in the stream, which takes it only if the last message of the subject is at this one. */
  async publish(subject: string, id: string, data: Uint8Array, last: number, signal: AbortSignal): Promise<number> {
    const options = { msgID: id, expect: { lastSubjectSequence: last }, timeout: TIMEOUT };
    return (await this.#answerOf(() => this.jetstream.publish(subject, data, options), signal)).seq;
  }

  /** Tries again while the broker is slow, away or full, or when another gateway has stored the message meanwhile. */
  async untilItWorks<T>(attempt: () => Promise<T>, signal?: AbortSignal, onFailure?: () => void): Promise<T> {
    let isStreamThere = true;
    for (let wait = 50; ; wait = Math.min(2 * wait, LONGEST_WAIT)) {
      try {
        if (!isStreamThere) await this.#makeStream();
        isStreamThere = true;
        const answer = await attempt();
        this.#tell();
        return answer;
      } catch (error) {
        signal?.throwIfAborted();
        const code = codeOf(error);
        isStreamThere &&= code !== StreamNotFound;
        // Others cannot always be faster.
        const isOvertaken = code === StreamWrongLastSequence && wait < LONGEST_WAIT;
        if (isStreamThere && !isOvertaken && !isPassing(error)) throw error;
        if (!isOvertaken) this.#tell((error as Error).message);
        onFailure?.();
        await sleep(wait * (0.5 + Math.random()), undefined, signal && { signal });
      }
    }
  }

  /** Those that ask for it at the same time share it. */
  #makeStream(): Promise<void> {
    const make = async () => {
      this.#manager ??= await jetstreamManager(this.connection, { timeout: TIMEOUT });
      try {
        await this.#manager.streams.add(settings);
      } catch (error) {
        if (codeOf(error) !== OTHER_SETTINGS) throw error;
        // Settings that are not among these, such as the number of replicas, stay.
        await this.#manager.streams.update(STREAM, settings);
      }
    };
    this.#isMakingStream ??= make().finally(() => {
      this.#isMakingStream = undefined;
    });
    return this.#isMakingStream;
  }

  #answerOf<T>(ask: () => Promise<T>, signal: AbortSignal): Promise<T> {
    signal.throwIfAborted();
    return new Promise((resolve, reject) => {
      const abort = () => reject(signal.reason);
      signal.addEventListener('abort', abort);
      this.#waiting.add(reject);
      ask()
        .then(resolve, reject)
        .finally(() => {
          signal.removeEventListener('abort', abort);
          this.#waiting.delete(reject);
        });
    });
  }

  async #watch(): Promise<void> {
    for await (const { type } of this.connection.status()) {
      if (type === 'disconnect') this.#tell('the connection was lost');
      if (type !== 'reconnect') continue;
      this.#tell();
      // Answers that were to come over the connection before never come.
      for (const fail of this.#waiting) fail(new ConnectionError('The connection was lost'));
    }
  }

  /** Once when it begins, and once when it is over. */
  #tell(trouble?: string): void {
    if (this.#isInTrouble === (trouble !== undefined)) return;
    this.#isInTrouble = trouble !== undefined;
    console.error(trouble === undefined ? 'The broker works again' : `The broker does not work: ${trouble}`);
  }
}
