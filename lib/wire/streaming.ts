import type { ByteChunk } from './chunk.js';
import type { Flow, Work } from './flow.js';
import type { FrameParser } from './parser.js';

/** The body of one message, as a stream of the platform. */
export interface BodyStream<M extends Uint8Array, Body> {
  /** The stream as users see it. */
  readonly stream: Body;
  /** Hands out a part. Returns whether the reader wants more. */
  push(part: M): boolean;
  /** All parts were handed out. Returns whether the next message may come before they are read. */
  end(): boolean;
  /** The input broke off. */
  destroy(reason: unknown): void;
  /** Whether the reader has taken all that was handed out. */
  readonly isRead: boolean;
}

/** A message whose bytes are handed out as they arrive. */
export interface StreamedMessage<Body> {
  /** The number of bytes that the body has. */
  readonly length: number;
  /** The bytes, in chunks. It fails with `ERR_FRAME_TRUNCATED` when the input ends inside them. */
  readonly body: Body;
}

/**
 * Chunks in, messages with their bodies out, one at a time:
 *
 *     between two messages -- next --> inside a body -- its last part was read, or close --> between two messages
 *
 * Inside a body, chunks go to the body as its reader wants them, and there is no next message.
 */
export class Streaming<M extends Uint8Array, Body> implements Work<ByteChunk, StreamedMessage<Body>> {
  readonly parser: FrameParser<M, unknown>;
  readonly #open: (streaming: Streaming<M, Body>) => BodyStream<M, Body>;
  #flow!: Flow<any, any, any>;
  #body: BodyStream<M, Body> | undefined;
  /** The bytes that the body has not got. */
  #due = 0;
  #isWanted = false;

  /** `open` makes the stream of a body, which then calls `want`, `wasRead` and `close`. */
  constructor(parser: FrameParser<M, unknown>, open: (streaming: Streaming<M, Body>) => BodyStream<M, Body>) {
    this.parser = parser;
    this.#open = open;
  }

  /** The flow that this works for. */
  connect(flow: Flow<any, any, any>): void {
    this.#flow = flow;
  }

  push(chunk: ByteChunk): void {
    this.parser.push(chunk);
    this.#feed();
  }

  next(): StreamedMessage<Body> | undefined {
    if (this.#body !== undefined || this.parser.isSettled) return undefined;
    const length = this.parser.nextLength();
    if (length === undefined) return undefined;
    const body = this.#open(this);
    this.#due = length;
    this.#isWanted = false;
    // An empty body is not waited for: there is nothing of it to be read.
    if (length === 0) body.end();
    else this.#body = body;
    return { length, body: body.stream };
  }

  /** The reader of a body wants a part. */
  want(body: BodyStream<M, Body>): void {
    if (body !== this.#body) return;
    this.#isWanted = true;
    try {
      this.#feed();
    } catch (error) {
      this.#flow.breakOff(error);
      return;
    }
    this.#flow.goOn();
  }

  /** The reader of a body has taken a part. */
  wasRead(): void {
    if (this.#leaveBody()) this.#flow.goOn();
    this.#flow.wasRead();
  }

  /** Leaves the body if it was read to its end. Returns whether it was. */
  #leaveBody(): boolean {
    const isOver = this.#body !== undefined && this.#due === 0 && this.#body.isRead;
    if (isOver) this.#body = undefined;
    return isOver;
  }

  /** A body was destroyed: what is left of it is passed over. */
  close(body: BodyStream<M, Body>): void {
    if (body !== this.#body) return;
    this.#body = undefined;
    this.parser.skipRest();
    this.#flow.goOn();
  }

  /** Gives the body the parts that it wants. */
  #feed(): void {
    const body = this.#body;
    // Inside `push`, a listener may ask for more, or destroy the body.
    while (body !== undefined && body === this.#body && this.#isWanted && this.#due > 0) {
      const part = this.parser.nextPart();
      if (part === undefined) break;
      this.#due -= part.length;
      this.#isWanted = false;
      const isLast = this.#due === 0;
      if (body.push(part)) this.#isWanted = true;
      if (isLast && body.end() && body === this.#body) this.#body = undefined;
    }
    this.#leaveBody();
    this.#flow.isBodyWaiting = this.#body !== undefined && this.#isWanted && this.#due > 0;
  }

  get isSettled(): boolean {
    return this.parser.isSettled;
  }

  get isRead(): boolean {
    return this.#body === undefined || this.#body.isRead;
  }

  finish(): void {
    this.parser.finish();
  }

  destroy(reason: unknown): void {
    const body = this.#body;
    this.#body = undefined;
    // A body that has all its bytes can still be read.
    if (this.#due > 0) body?.destroy(reason);
    this.parser.destroy();
  }
}
