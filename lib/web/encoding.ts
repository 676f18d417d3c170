import { type BodyJob, bodyFrameLength, bodyJob, sendBody } from '../wire/body.js';
import { FrameBuilder, LARGE } from '../wire/builder.js';
import type { EncodingSettings } from '../wire/encoding.js';
import { FrameError, streamDestroyed } from '../wire/errors.js';
import { Fifo } from '../wire/fifo.js';
import type { Flow, Work } from '../wire/flow.js';
import { type Bytes, uint8Arrays } from '../wire/memory.js';
import { checkParts, encodeValue, isSource, type Message, type MessagePart, notEncoded } from '../wire/message.js';
import { WithFormat } from '../wire/with-format.js';

/** The number of microtasks within which another write may follow. Node 20 takes up to five, also in `pipeTo`. */
const TURNS = 8;

const done = Promise.resolve();

/**
 * Messages in, chunks of bytes out. Writes of one tick come one after the other, each some microtasks after the one
 * before; where the reader waits already, small messages are gathered, so that they leave as one chunk:
 *
 *                take                   no write in TURNS microtasks,
 *       empty --------> gathering ----- LARGE bytes, a body, the end ----> handing out ----> empty
 *                         | ^
 *                         --- take
 */
export class Encoding<T> implements Work<T, Bytes> {
  readonly #builder: FrameBuilder<Bytes>;
  readonly #encode: ((value: any) => Message) | undefined;
  #flow!: Flow<any, T, Bytes>;
  /** The pieces that the builder gave. */
  readonly #pieces = new Fifo<Bytes>();
  /** The body that is being sent. */
  #job: BodyJob | undefined;
  /** Called when the reader has taken all pieces of the body. */
  #onEmpty: (() => void) | undefined;
  /** The number of turns that are left to gather messages. */
  #turns = 0;
  #isGathered = false;
  #isEnded = false;

  constructor({ format, encode }: EncodingSettings) {
    this.#builder = new FrameBuilder(format, uint8Arrays);
    this.#encode = encode;
  }

  /** The flow that this works for. */
  connect(flow: Flow<any, T, Bytes>): void {
    this.#flow = flow;
  }

  /** The number of bytes in the frames of all messages that were taken. A body counts when it was sent. */
  get bytesWritten(): number {
    return this.#builder.position;
  }

  /** The number of messages that were taken. A body counts when it was sent. */
  get messagesWritten(): number {
    return this.#builder.count;
  }

  push(value: T): void {
    try {
      this.#add(value);
    } catch (error) {
      const isOwn = this.#encode === undefined || error instanceof FrameError;
      // Behind messages that wait here, not in front of them.
      this.#flow.fail(isOwn ? error : notEncoded(error, this.#builder.position));
    }
  }

  #add(value: T): void {
    const builder = this.#builder;
    if (value instanceof WithFormat) {
      builder.useFormat(value.format, () => this.#add(value.message));
      return;
    }
    const message = this.#encode === undefined ? value : encodeValue(this.#encode, value, builder.position);
    if (isSource(message)) {
      void this.#sendBody(bodyJob(message, builder.format, builder.position));
    } else {
      try {
        builder.add(message as MessagePart);
      } catch (error) {
        // The builder knows nothing of bodies and codecs: this error tells more.
        checkParts(message);
        throw error;
      }
      if (this.#turns > 0) this.#turns = TURNS;
    }
  }

  async #sendBody(job: BodyJob): Promise<void> {
    this.#job = job;
    // `encode` may have cancelled the stream.
    if (this.#isEnded) return this.stop(streamDestroyed());
    try {
      const headLength = await sendBody(job, uint8Arrays, (pieces) => this.#send(job, pieces));
      this.#builder.position = job.position + bodyFrameLength(job, headLength);
      this.#builder.count++;
      this.#job = undefined;
      this.#flow.goOn();
    } catch (error) {
      if (this.#job === job) this.#flow.fail(error);
    }
  }

  #send(job: BodyJob, pieces: Uint8Array[]): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#job !== job) return reject(streamDestroyed());
      for (const piece of pieces) this.#builder.addPiece(piece);
      this.#onEmpty = resolve;
      this.#flow.goOn();
    });
  }

  next(): Bytes | undefined {
    if (this.#pieces.length === 0) {
      if (this.#builder.length === 0 || this.#gathers()) return undefined;
      for (const piece of this.#builder.take()) this.#pieces.push(piece);
    }
    const piece = this.#pieces.shift();
    if (this.#isEmpty) this.#onEmpty?.();
    return piece;
  }

  /** Whether the bytes that are there wait for more messages. */
  #gathers(): boolean {
    if (this.#isGathered || this.#isEnded || this.#job !== undefined || this.#builder.length >= LARGE) return false;
    if (this.#turns === 0) {
      this.#turns = TURNS;
      done.then(this.#turn);
    }
    return true;
  }

  readonly #turn = (): void => {
    this.#turns--;
    if (this.#turns > 0) {
      done.then(this.#turn);
      return;
    }
    this.#isGathered = true;
    this.#flow.goOn();
    this.#isGathered = false;
  };

  get #isEmpty(): boolean {
    return this.#pieces.length === 0 && this.#builder.length === 0;
  }

  get isSettled(): boolean {
    return this.#isEmpty && this.#job === undefined;
  }

  /** Small messages are joined before the reader wants them. */
  get hasRoom(): boolean {
    if (this.#isEnded) return this.isSettled;
    return this.#pieces.length === 0 && this.#builder.length < LARGE && this.#job === undefined;
  }

  get isRead(): boolean {
    return true;
  }

  finish(): void {
    this.#isEnded = true;
  }

  stop(reason: unknown): void {
    this.#isEnded = true;
    this.#job?.parts.destroy(reason);
    this.#job = undefined;
  }

  destroy(reason: unknown): void {
    this.stop(reason);
    this.#builder.take();
    this.#pieces.clear();
  }
}
