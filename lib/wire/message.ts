import { bytes, FrameError, invalidType, outOfRange, reason } from './errors.js';

/** Bytes, or a string, which is sent in the encoding that the write says, UTF-8 by default. */
export type MessagePart = Uint8Array | string;

/** Where the bytes of a message come from: a stream, an iterable or an async iterable of parts, or a part. */
export type Body = MessagePart | Iterable<MessagePart> | AsyncIterable<MessagePart>;

/** A message of a known length whose bytes need not be there yet, nor fit in memory. */
export interface MessageSource {
  /** In bytes. */
  readonly length: number;
  /** So many bytes: fewer or more fail the stream. It is taken over: a stream is destroyed when it can't be sent. */
  readonly body: Body;
}

/** What one `write` takes: a message in one part or several, or a {@link MessageSource}. */
export type Message = MessagePart | readonly MessagePart[] | MessageSource;

export function isSource(message: unknown): message is MessageSource {
  return typeof message === 'object' && message !== null && 'body' in message;
}

/**
 * @throws {TypeError} `ERR_INVALID_ARG_TYPE`
 * @throws {RangeError} `ERR_OUT_OF_RANGE`
 */
export function checkedSource(source: MessageSource): MessageSource {
  const { length, body } = source;
  if (typeof length !== 'number') throw invalidType('message.length', 'of type number', length);
  if (!Number.isSafeInteger(length) || length < 0) {
    throw outOfRange('message.length', `an integer >= 0 and <= ${Number.MAX_SAFE_INTEGER}`, length);
  }
  const isIterable =
    typeof body === 'object' && body !== null && (Symbol.asyncIterator in body || Symbol.iterator in body);
  if (typeof body !== 'string' && !isIterable) {
    throw invalidType('message.body', 'a stream, an iterable, a string, a Buffer or a Uint8Array', body);
  }
  return source;
}

/** For a body of more bytes than `length`, of a frame that begins at `position`. */
export function bodyTooLong(length: number, position: number): FrameError {
  const what = `the body goes on after the ${bytes(length)} that it was said to have`;
  return new FrameError('ERR_FRAME_TOO_LONG', position, what);
}

/** For a body that ended when `left` bytes of `length` were due. */
export function bodyTruncated(length: number, left: number, position: number): FrameError {
  return new FrameError('ERR_FRAME_TRUNCATED', position, `the body ended after ${length - left} of ${bytes(length)}`);
}

/** For a value of which `encode` threw `cause`. */
export function notEncoded(cause: unknown, position: number): FrameError {
  return new FrameError('ERR_FRAME_CORRUPT', position, `the message can't be encoded: ${reason(cause)}`, { cause });
}

/** What is read in the place of a body until its turn comes, and then. */
export function adoptBody(body: Body): Body {
  const { on, getReader } = (body ?? {}) as Partial<NodeJS.EventEmitter & ReadableStream>;
  // A stream may fail before its turn comes: what reads it then is told so.
  if (typeof on === 'function') on.call(body, 'error', () => {});
  return typeof getReader === 'function' ? new WebBody(body as unknown as ReadableStream) : body;
}

/** A web stream that is being read can be cancelled by its reader only: by an iterator not while that waits for a part. */
class WebBody implements AsyncIterable<MessagePart> {
  readonly #stream: ReadableStream<MessagePart>;
  #reader: ReadableStreamDefaultReader<MessagePart> | undefined;

  constructor(stream: ReadableStream<MessagePart>) {
    this.#stream = stream;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<MessagePart, void, undefined> {
    this.#reader = this.#stream.getReader();
    for (;;) {
      const { done, value } = await this.#reader.read();
      if (done) return;
      yield value;
    }
  }

  cancel(): Promise<void> {
    return (this.#reader ?? this.#stream).cancel();
  }
}

/** Lets go of what a body holds, such as a file. */
export function destroyBody(body: Body): void {
  const { destroy, cancel, return: leave } = (body ?? {}) as unknown as Record<string, unknown>;
  const letGo = destroy ?? cancel ?? leave;
  // A generator may be running just now, and throws then.
  if (typeof letGo === 'function') new Promise((resolve) => resolve(letGo.call(body))).catch(() => {});
}
