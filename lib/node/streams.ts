import type * as node from 'node:stream';
import * as userland from 'readable-stream';

// The classes are readable-stream's, the same on every runtime. Their types are node:stream's, which users have.
export const { Duplex, Readable, Transform, Writable, addAbortSignal, finished } = userland as unknown as Pick<
  typeof node,
  'Duplex' | 'Readable' | 'Transform' | 'Writable' | 'addAbortSignal' | 'finished'
>;

/** Called once: when done, or with the error. */
export type Callback = (error?: Error | null) => void;

/** Options of all streams, with Node's meaning. */
export interface StreamOptions {
  /**
   * Where reading ahead stops: in messages (batches, under `batch: true`) for a decoder, in bytes for an encoder.
   * Default: 16 messages, or 65,536 bytes.
   */
  readableHighWaterMark?: number | undefined;
  /**
   * The number of bytes from which on `write()` returns false. An encoder counts the bytes of frames; a body counts as
   * 65,536. Default: 65,536, for a decoder 131,072, so that a socket
   * need not stop after each chunk of 65,536.
   */
  writableHighWaterMark?: number | undefined;
  /** Both of the above. */
  highWaterMark?: number | undefined;
  /** Destroys the stream with an `AbortError` when it fires. */
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

/** Destroys the stream when the signal fires. Not in the constructor of a Duplex: there is nothing yet to be destroyed. */
export function abortBy(signal: AbortSignal | undefined, stream: node.Duplex): void {
  if (signal !== undefined) addAbortSignal(signal, stream);
}

/** A Duplex of messages: `In` is read, `Out` is written. All streams of this package are declared by it. */
export interface MessageDuplex<In, Out> extends node.Duplex {
  /** The next message, or null when there is none yet. */
  read(size?: number): In | null;
  // The declarations of @types/node know any chunks only: the overloads marked hidden make this one of their streams.
  /** @hidden */
  read(size?: number): any;
  /** The messages, to the end of the input. Leaving the loop early destroys the stream. */
  [Symbol.asyncIterator](): AsyncIteratorObject<In, undefined, unknown>;
  /** @hidden */
  [Symbol.asyncIterator](): AsyncIteratorObject<any, any, any>;
  /** The messages, in a loop that can be left early without destroying the stream: `destroyOnReturn: false`. */
  iterator(options?: { destroyOnReturn?: boolean }): AsyncIteratorObject<In, undefined, unknown>;
  /** All messages to the end of the input, in one array. */
  toArray(options?: { signal?: AbortSignal }): Promise<In[]>;
  /** Calls the listener with each message as it comes. */
  on(event: 'data', listener: (message: In) => void): this;
  /** With `oversize: 'skip'`: calls the listener with the length of a payload that is passed over, and its frame's place. */
  on(event: 'oversize', listener: (length: number, position: number) => void): this;
  /** Calls the listener with the error that ended the stream. */
  on(event: 'error', listener: (error: Error) => void): this;
  /** The events of Node's Duplex. */
  on(event: string | symbol, listener: (...args: any[]) => void): this;
  /** Calls the listener with the next message. */
  once(event: 'data', listener: (message: In) => void): this;
  /** Calls the listener with the length of the next payload that is passed over, and its frame's place. */
  once(event: 'oversize', listener: (length: number, position: number) => void): this;
  /** Calls the listener with the error that ended the stream. */
  once(event: 'error', listener: (error: Error) => void): this;
  /** The events of Node's Duplex. */
  once(event: string | symbol, listener: (...args: any[]) => void): this;
  /** Writes a message. Returns false when the next one should wait for `'drain'`. */
  write(message: Out, callback?: (error?: Error | null) => void): boolean;
  /** Writes a message whose strings are in this encoding. */
  write(message: Out, encoding?: string | undefined, callback?: (error?: Error | null) => void): boolean;
  /** Ends the writable side. */
  end(callback?: () => void): this;
  /** Writes a last message. */
  end(message: Out, callback?: () => void): this;
  /** Writes a last message whose strings are in this encoding. */
  end(message: Out, encoding?: string | undefined, callback?: () => void): this;
}

/** A {@link MessageDuplex} that is a Transform. */
export interface MessageTransform<In, Out> extends MessageDuplex<In, Out> {
  /** @hidden */
  _transform(chunk: any, encoding: BufferEncoding, callback: node.TransformCallback): void;
  /** @hidden */
  _flush(callback: node.TransformCallback): void;
}

/** The class of decoders and encoders. */
export const MessageTransform = Transform as unknown as new <In, Out>(
  options: node.DuplexOptions,
) => MessageTransform<In, Out>;

/** The class of `framed`. */
export const MessageDuplex = Duplex as unknown as new <In, Out>(options: node.DuplexOptions) => MessageDuplex<In, Out>;

/** A fault as an error that Node's callbacks can carry: anything may be thrown, undefined too. */
export function asError(fault: unknown): Error {
  return (fault || new Error(`${String(fault)} was thrown`)) as Error;
}

/**
 * Calls the callback of a write. Node itself defers the callback of one that is done inside `_write`. One that is done later
 * is deferred here: it may not come before those, nor inside a `read`.
 */
export function release(_stream: unknown, done: Callback, isSync: boolean): void {
  if (isSync) done();
  else process.nextTick(done);
}

/** Calls the callback of a write with its fault. */
export function fail(_stream: unknown, done: Callback, fault: unknown): void {
  process.nextTick(done, asError(fault));
}

const { destroy } = Writable.prototype as unknown as { destroy(error?: Error, callback?: Callback): unknown };

/** Destroys a Duplex as a Writable: calls the callbacks of buffered writes and of `end`, which a Duplex forgets. */
export function destroyWritable(stream: node.Duplex, error?: Error, callback?: Callback): void {
  destroy.call(stream, error, callback);
}
