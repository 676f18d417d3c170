import type { Buffer } from 'node:buffer';
import type * as node from 'node:stream';
import { clearTimeout, setImmediate, setTimeout } from 'node:timers';
import { type Clock, timed } from '../wire/deadline.js';
import {
  type DecodingOptions as AnyDecodingOptions,
  type DecodingSettings,
  decodingSettings,
} from '../wire/decoding.js';
import { type FrameError, streamDestroyed } from '../wire/errors.js';
import { Flow, type Outlet, type Work } from '../wire/flow.js';
import { FrameParser } from '../wire/parser.js';
import { type BodyStream, type StreamedMessage as StreamedMessageOf, Streaming } from '../wire/streaming.js';
import { buffers } from './buffers.js';
import { fail, Readable, release } from './streams.js';

/** How messages are handed out. */
export interface DecodingOptions<Batch extends boolean = boolean, T = any, Stream extends boolean = boolean>
  extends AnyDecodingOptions<Buffer, Batch, T, Stream> {}

/** A message whose bytes are handed out as they arrive: its `length` in bytes, and its `body`, a Readable of these bytes. */
export interface StreamedMessage extends StreamedMessageOf<node.Readable> {}

/**
 * The type of a stream's messages: a `Buffer`, or the result of `decode`. With `batch` it is an array of these, and with
 * `stream` a {@link StreamedMessage}.
 */
export type Decoded<Batch extends boolean = false, T = Buffer, Stream extends boolean = false> = Stream extends true
  ? StreamedMessage
  : Batch extends true
    ? T[]
    : T;

// One object for all streams without options: there may be very many.
let usual: DecodingSettings<Buffer> | undefined;

/**
 * @throws {TypeError} `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
 * @throws {RangeError} `ERR_OUT_OF_RANGE`
 */
export function readingSettings(options: DecodingOptions): DecodingSettings<Buffer> {
  const settings = decodingSettings(options, buffers);
  usual ??= decodingSettings({}, buffers);
  const { format, isQuick, batch, inParts, onOversize, frameTimeout } = settings;
  const isUsual = format === usual.format && isQuick && !batch && !inParts && !onOversize && frameTimeout === 0;
  return isUsual ? usual : settings;
}

/**
 * The way from chunks to the readable side of a stream. The stream's `read` tells it of each piece that was taken.
 *
 * @param onTimeout is called when a frame was not complete in time: fails the stream, behind the messages that came before
 * @param stop is called when `formatAfter` has ended framing: ends the readable side
 */
export function readingFlow<S extends node.Duplex>(
  stream: S,
  settings: DecodingSettings<Buffer>,
  onTimeout: (stream: S, error: FrameError) => void,
  stop: (stream: S) => void,
): Flow<any, Uint8Array, unknown> {
  const { onOversize, formatAfter } = settings;
  let own = settings;
  // The message is still to be handed out.
  if (formatAfter !== undefined) own = { ...own, onStop: () => process.nextTick(stop, stream) };
  if (onOversize !== undefined) {
    const tell = (length: number, position: number): unknown => {
      stream.emit('oversize', length, position);
      return onOversize(length, position);
    };
    own = { ...own, onOversize: tell };
  }
  const parser = new FrameParser<Buffer, unknown>(own);
  const flowOf = <Out>(outlet: Outlet<any, Out>, work: Work<Uint8Array, Out>) =>
    new Flow(
      stream,
      outlet,
      timed(work, parser, own.frameTimeout, clock, (error) => onTimeout(stream, error)),
    );
  if (!own.inParts) return flowOf(own.batch ? batchOutlet : readingOutlet, parser);
  const streaming = new Streaming<Buffer, node.Readable>(parser, (each) => new Body(each));
  const flow = flowOf(readingOutlet, streaming);
  streaming.connect(flow);
  return flow;
}

const clock: Clock = {
  now: () => performance.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms).unref();
    return () => clearTimeout(timer);
  },
  nextTurn: (run) => void setImmediate(run),
};

/** To the reader of a stream in object mode. */
export const readingOutlet: Outlet<node.Duplex, unknown> = {
  isEager: false,

  push: (stream, piece) => stream.push(piece),

  // `push` makes the same test, and then emits 'data' and does nothing that it has not done for the first piece. This takes
  // longer than the listener of a small message. Inside `_read`, the first piece waits in the buffer, and this is false.
  flows: (stream) =>
    stream.readableFlowing === true &&
    stream.readableLength === 0 &&
    stream.readableEncoding === null &&
    stream.listenerCount('data') > 0,

  emit: (stream, piece) => void stream.emit('data', piece),

  isRead: (stream) => stream.readableLength === 0,

  release,
  fail,
  rest: (goOn) => void setImmediate(goOn),
};

const batchOutlet: Outlet<node.Duplex, any> = { ...readingOutlet, hasBatches: true };

/** Destroys the flow of a stream: the write in hand fails with the error, or with the fault that waits to show. */
export function destroyFlow(flow: Flow<any, any, unknown>, error: Error | undefined): void {
  const reason = error ?? flow.fault ?? streamDestroyed();
  const done = flow.destroy(error);
  // Not at once: the write itself may still be on the stack.
  if (done !== undefined) process.nextTick(done, reason);
}

/** The bytes of one message, as {@link Streaming} sees them. */
class Body implements BodyStream<Buffer, node.Readable> {
  readonly stream: node.Readable;

  constructor(streaming: Streaming<Buffer, node.Readable>) {
    this.stream = new BodyReadable(this, streaming);
  }

  push(part: Buffer): boolean {
    return this.stream.push(part);
  }

  end(): boolean {
    this.stream.push(null);
    return false;
  }

  destroy(reason: unknown): void {
    // A body without listeners must not end the process: the stream itself shows the error.
    this.stream.on('error', () => {}).destroy(reason as Error | undefined);
  }

  get isRead(): boolean {
    return this.stream.readableLength === 0;
  }
}

class BodyReadable extends Readable {
  readonly #body: Body;
  readonly #streaming: Streaming<Buffer, node.Readable>;

  constructor(body: Body, streaming: Streaming<Buffer, node.Readable>) {
    super();
    this.#body = body;
    this.#streaming = streaming;
  }

  override _read(): void {
    this.#streaming.want(this.#body);
  }

  // Only here can it be seen that the reader took the last piece: a fault may wait for that.
  override read(size?: number): any {
    const bytes = super.read(size);
    this.#streaming.wasRead();
    return bytes;
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#streaming.close(this.#body);
    callback(error);
  }
}
