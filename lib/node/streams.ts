import type * as node from 'node:stream';
import * as userland from 'readable-stream';
import type * as declared from './declarations.js';
import type { Callback } from './declarations.js';

// The classes are readable-stream's, the same on every runtime. Their types are node:stream's, which users have.
const streams = userland as unknown as Pick<
  typeof node,
  'Duplex' | 'Readable' | 'Transform' | 'Writable' | 'addAbortSignal' | 'finished'
>;
export const { Duplex, Readable, Writable, finished } = streams;

/** Options of all streams, with the meaning that they have in Node. */
export interface StreamOptions {
  /**
   * Where reading ahead stops. For a decoder in messages, or with `batch: true` in batches; for an encoder in bytes.
   * Default: 16 messages, or 65,536 bytes.
   */
  readableHighWaterMark?: number | undefined;
  /**
   * The number of bytes from which on `write()` returns false. An encoder counts the bytes of frames, and a body as 65,536.
   * Default: 65,536. For a decoder 131,072, so that a socket need not stop after each chunk of 65,536.
   */
  writableHighWaterMark?: number | undefined;
  /** Both of the above, which it overrides. Default: each has its own. */
  highWaterMark?: number | undefined;
  /** Destroys the stream with an `AbortError` when the signal is aborted. Default: none. */
  signal?: AbortSignal | undefined;
  /** False: the writable side ends when the readable side does. Default: true. */
  allowHalfOpen?: boolean | undefined;
  /** False: the stream is not destroyed when it has ended or failed. Default: true. */
  autoDestroy?: boolean | undefined;
  /** False: no `'close'` event. Default: true. */
  emitClose?: boolean | undefined;
}

/** The options for the constructor of a Duplex. `signal` is left to {@link abortBy}. */
export function duplexOptions(
  options: StreamOptions,
  readableObjectMode: boolean,
  readableDefault: number | undefined,
  writableDefault: number,
): node.DuplexOptions {
  const { highWaterMark, allowHalfOpen, autoDestroy, emitClose } = options;
  const { readableHighWaterMark = readableDefault, writableHighWaterMark = writableDefault } = options;
  return {
    readableObjectMode,
    highWaterMark,
    readableHighWaterMark,
    writableHighWaterMark,
    allowHalfOpen,
    autoDestroy,
    emitClose,
  } as node.DuplexOptions;
}

/** Destroys the stream when the signal is aborted. Not in the constructor of a Duplex: nothing can be destroyed there yet. */
export function abortBy(signal: AbortSignal | undefined, stream: node.Duplex): void {
  // As Node: null is none.
  if (signal) streams.addAbortSignal(signal, stream);
}

/** The class of decoders and encoders. */
export const BaseTransform = streams.Transform as unknown as new <In, Out>(
  options: node.DuplexOptions,
) => declared.MessageTransform<In, Out>;

/** The class of `framed`. */
export const BaseDuplex = Duplex as unknown as new <In, Out>(
  options: node.DuplexOptions,
) => declared.MessageDuplex<In, Out>;

/** A fault as an error that Node's callbacks can carry: anything may be thrown, undefined too. */
export function asError(fault: unknown): Error {
  return (fault || new Error(`${String(fault)} was thrown`)) as Error;
}

/**
 * Calls the callback of a write. Node itself defers the callback of a write that is done inside `_write`. The callback of a
 * later one is deferred here: it may not come before those, nor inside a `read`.
 */
export function release(stream: unknown, done: Callback, isSync: boolean): void {
  if (isSync) done.call(stream);
  else process.nextTick(call, done, stream);
}

/** Calls the callback of a write with its fault. */
export function fail(stream: unknown, done: Callback, fault: unknown): void {
  process.nextTick(call, done, stream, asError(fault));
}

/** `this` of a callback is its stream: all streams of a kind can share one. */
function call(done: Callback, stream: unknown, error?: Error): void {
  done.call(stream, error);
}

const { destroy } = Writable.prototype as unknown as { destroy(error?: Error, callback?: Callback): unknown };

/** Destroys a Duplex as a Writable: calls the callbacks of buffered writes and of `end`, which a Duplex forgets. */
export function destroyWritable(stream: node.Duplex, error?: Error, callback?: Callback): void {
  destroy.call(stream, error, callback);
}
