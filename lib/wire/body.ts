import { streamDestroyed } from './errors.js';
import type { Format } from './format.js';
import { concat, isBytes, type Memory, uint8Arrays, viewOf } from './memory.js';
import { type Body, bodyTooLong, bodyTruncated, checkSource, type MessageSource, PartEncoder } from './message.js';
import type { Summing } from './trailer.js';

const nothing = new Uint8Array(0);
const ignore = (): void => {};

/** The parts of a body. Once it is made, it lets go of the body in the end: by `release` or by `destroy`. */
export class BodyParts {
  readonly #body: any;
  #iterator: Iterator<unknown> | AsyncIterator<unknown> | undefined;
  #reader: any;
  #isDestroyed = false;

  constructor(body: Body) {
    this.#body = body;
    // A stream may fail before its turn comes. Its reader gets the error later.
    if (typeof this.#body?.on === 'function') this.#body.on('error', ignore);
  }

  /** The next part. Nothing is asked of a body that was destroyed. */
  async next(): Promise<IteratorResult<unknown>> {
    if (this.#isDestroyed) throw streamDestroyed();
    const body = this.#body;
    if (this.#reader === undefined && this.#iterator === undefined) {
      if (typeof body === 'string' || isBytes(body)) this.#iterator = [body][Symbol.iterator]();
      // An iterator of a web stream can't cancel it while it waits for a part.
      else if (typeof body.getReader === 'function') this.#reader = body.getReader();
      else this.#iterator = (body[Symbol.asyncIterator] ?? body[Symbol.iterator]).call(body);
    }
    const { done, value } = await (this.#reader?.read() ?? this.#iterator!.next());
    return { done, value: await value };
  }

  /** The body was sent to its end. */
  release(): void {
    this.#body?.off?.('error', ignore);
    this.#reader?.releaseLock();
  }

  /** The body can't be sent: it is destroyed or cancelled. */
  destroy(reason: unknown): void {
    this.#isDestroyed = true;
    const body = this.#body ?? {};
    const letGo = async (): Promise<void> => {
      const reader = this.#reader;
      if (reader !== undefined) await reader.cancel(reason).finally(() => reader.releaseLock());
      else if (typeof body.destroy === 'function') body.destroy(reason);
      else if (typeof body.cancel === 'function') await body.cancel(reason);
      else await (this.#iterator ?? body).return?.();
    };
    // A generator may be running just now, and throws then.
    letGo().catch(ignore);
  }
}

/** A body to be sent. */
export interface BodyJob {
  /** In bytes. */
  readonly length: number;
  readonly parts: BodyParts;
  /** Where its frame begins in the stream. */
  readonly position: number;
  readonly format: Format;
  /** Undefined: the head depends on the first bytes of the body. */
  readonly head: Uint8Array | undefined;
  /** The encoding of its strings. */
  readonly encoding: string | undefined;
}

/**
 * Takes over a body. Where it can't be sent, it is destroyed.
 *
 * @throws {TypeError} `ERR_INVALID_ARG_TYPE`
 * @throws {RangeError} `ERR_OUT_OF_RANGE`
 * @throws FrameError when the format can't carry the message.
 */
export function bodyJob(source: MessageSource, format: Format, position: number, encoding?: string): BodyJob {
  const parts = new BodyParts(source.body);
  try {
    const { length } = source;
    checkSource(source);
    let head: Uint8Array | undefined;
    if (!format.keepsOwn || length === 0) {
      const { bytes } = format.writeHead(nothing, length, position);
      // A length field of the user's own may write in the same place each time.
      if (format.keptAtMost === 0 || length === 0) head = concat([bytes], uint8Arrays);
    }
    return { length, parts, position, format, head, encoding };
  } catch (error) {
    parts.destroy(error);
    throw error;
  }
}

/** The length of a body's frame, where its head has this length. */
export function bodyFrameLength({ length, format }: BodyJob, headLength: number): number {
  return headLength + length + format.trailerWidth;
}

/** Sends pieces of a frame, and is done when more are wanted. */
export type Send<M extends Uint8Array> = (pieces: M[]) => Promise<void>;

/**
 * Sends the frame of a body, a part at a time. The next part is asked for when the one before is sent.
 *
 * @param soon settles when the head must not wait longer for the first part. A head in a packet of its own makes a socket
 * hold back a small body until the peer has acknowledged the head. Default: the head waits.
 * @returns the length of the frame's head, without bytes that are part of the body.
 * @throws FrameError for a body of another length; the error of the body, when that fails.
 */
export async function sendBody<M extends Uint8Array>(
  { length, parts, position, format, head: known, encoding }: BodyJob,
  memory: Memory<M>,
  sendAll: Send<M>,
  soon?: () => Promise<void>,
): Promise<number> {
  const send = (...pieces: Uint8Array[]) => sendAll(pieces.map((piece) => viewOf(piece, memory)));
  const keptAtMost = Math.min(format.keptAtMost, length);
  /** The first bytes, until the head can be written. */
  let start: Uint8Array | undefined = nothing;
  let headLength = 0;
  let left = length;
  let trailer: Summing | undefined;
  /** Sends bytes of the message, behind its head, and in front of its trailer where they are the last ones. */
  const sendOn = async (message: Uint8Array, head: Uint8Array = nothing): Promise<void> => {
    const end = trailer?.update(message);
    const pieces = [head, message, left === 0 && end ? end.end() : nothing];
    await send(...pieces.filter((piece) => piece.length > 0));
  };
  const sendHead = async (first: Uint8Array): Promise<void> => {
    start = undefined;
    const head = known === undefined ? format.writeHead(first, length, position) : { bytes: known, kept: 0 };
    headLength = head.bytes.length - head.kept;
    trailer = format.beginTrailer(head.bytes, position);
    await sendOn(first.subarray(head.kept), head.bytes);
  };

  const sendPart = async (data: Uint8Array): Promise<void> => {
    if (data.length > left) throw bodyTooLong(length, length - left + data.length, position);
    left -= data.length;
    if (start === undefined) {
      if (data.length > 0) await sendOn(data);
      return;
    }
    const first: Uint8Array = start.length === 0 ? data : concat([start, data], memory);
    if (first.length >= keptAtMost && first.length > 0) await sendHead(first);
    else start = first;
  };

  const encoder = new PartEncoder('message.body', memory, encoding);
  let next = parts.next();
  if (soon !== undefined && known !== undefined) {
    next.catch(ignore);
    const isThere = await Promise.race([
      next.then(
        () => true,
        () => true,
      ),
      soon().then(() => false),
    ]);
    if (!isThere) await sendHead(nothing);
  }
  for (let part = await next; part.done !== true; part = await next) {
    await sendPart(encoder.bytes(part.value));
    next = parts.next();
  }
  await sendPart(encoder.rest());
  if (left > 0) throw bodyTruncated(length, left, position);
  if (start !== undefined) await sendHead(start);
  parts.release();
  return headLength;
}
