/** Stores a client's messages in order, each once. */
import { type Broker, subjectOf } from './broker.js';
import { type Hello, type Message, NOTHING, Refusal } from './protocol.js';

/** A message in the stream has the id `name:run:number`. Where a run begins there is a marker, `name:run:number:start`. */
export function partsOf(id: string) {
  const [name, run, n, start] = id.split(':');
  return { name, run, n: Number(n), isMarker: start !== undefined };
}

/** A client's messages in the stream. One call at a time: the next message waits until the stream has this one. */
export class Storage {
  /** The number of the last message that is stored, and the place of the last one in the stream; undefined if not known. */
  #last: { n: number; place: number } | undefined;
  /** The last number of this run that was seen in the stream. */
  #seen = 0;
  /** The number that the client was told is stored. */
  #told: number | undefined;
  readonly #broker: Broker;
  readonly #name: string;
  readonly #run: string;

  constructor(broker: Broker, { name, run, told }: Hello) {
    this.#broker = broker;
    this.#name = name;
    this.#run = run;
    this.#told = told;
  }

  /**
   * From here on, no other run's messages can be stored. @returns the number of the last message that is stored; if it is
   * less than the client was told, the stream has lost some.
   */
  async open(signal: AbortSignal): Promise<number> {
    await this.#untilItWorks(() => this.#find(signal), signal);
    return this.#seen;
  }

  /** Comes back when the message is stored, now or before, however long this takes. */
  async store(message: Message, signal: AbortSignal): Promise<void> {
    await this.#untilItWorks(() => this.#store(message, signal), signal);
  }

  #untilItWorks(attempt: () => Promise<unknown>, signal: AbortSignal): Promise<unknown> {
    return this.#broker.untilItWorks(attempt, signal, () => {
      this.#last = undefined; // It may be stored, or not: the stream knows.
    });
  }

  async #store({ n, data }: Message, signal: AbortSignal): Promise<void> {
    const { n: last, place } = await this.#find(signal);
    if (n <= last) return;
    if (n !== last + 1) throw new Refusal(`Message ${n} came after ${last}`);
    await this.#publish(n, `${this.#name}:${this.#run}:${n}`, data, place, signal);
  }

  async #find(signal: AbortSignal): Promise<{ n: number; place: number }> {
    if (this.#last !== undefined) return this.#last;
    const found = await this.#broker.lastOf(subjectOf(this.#name), signal);
    const { run, n } = found === undefined ? { run: undefined, n: 0 } : partsOf(found.id);
    if (Number.isNaN(n)) throw new Error(`The last message of ${this.#name} has an id of another kind: "${found?.id}"`);
    const place = found?.place ?? 0;
    if (this.#told === undefined && run !== this.#run) {
      await this.#publish(n, `${this.#name}:${this.#run}:${n}:start`, NOTHING, place, signal);
    } else {
      if (run !== undefined && run !== this.#run) throw new Refusal(`Another run of ${this.#name} has taken over`);
      // The client hears of it when it comes again.
      if (n < this.#seen) throw new Error(`The stream has lost messages ${n + 1} to ${this.#seen} of ${this.#name}`);
      this.#seen = n;
      this.#last = { n: Math.max(n, this.#told ?? 0), place };
    }
    this.#told ??= n;
    return this.#last!;
  }

  /** The stream takes it only if no other one was stored in between. So none can overtake, and none can be twice. */
  async #publish(n: number, id: string, data: Uint8Array, place: number, signal: AbortSignal): Promise<void> {
    this.#last = { n, place: await this.#broker.publish(subjectOf(this.#name), id, data, place, signal) };
    this.#seen = n;
  }
}
