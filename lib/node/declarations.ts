import type { Abortable } from 'node:events';
import type * as node from 'node:stream';

// The declarations of all streams of this package. The classes are in `streams.ts`.

/** Called once: when done, or with the error. */
export type Callback = (error?: Error | null) => void;

/** A Readable of messages, or of the results of its `map`, `filter` and so on. All events and methods are Node's own. */
export interface MessageReadable<T> extends node.Readable {
  /** The next message, or null when there is none yet. */
  read(size?: number): T | null;
  // @types/node declares all chunks as `any`: with the overloads that are marked hidden, this is one of its streams.
  /** @hidden */
  read(size?: number): any;
  /** The messages, to the end of the input. Leaving the loop early destroys the stream. */
  [Symbol.asyncIterator](): AsyncIteratorObject<T, undefined, unknown>;
  /** @hidden */
  [Symbol.asyncIterator](): AsyncIteratorObject<any, any, any>;
  /**
   * The messages, for a loop. Leaving it early destroys the stream, unless `destroyOnReturn` is false.
   *
   * @param options `destroyOnReturn`: default true
   */
  iterator(options?: { destroyOnReturn?: boolean }): AsyncIteratorObject<T, undefined, unknown>;

  /** The results of `fn`, in order. `fn` is called for up to `concurrency` messages at a time. Default: 1. */
  map<U>(
    fn: (message: T, options: Abortable) => U,
    options?: Abortable & { concurrency?: number },
  ): MessageReadable<Awaited<U>>;
  /** The messages for which `fn` returns true. */
  filter<U extends T>(
    fn: (message: T, options: Abortable) => message is U,
    options?: Abortable & { concurrency?: number },
  ): MessageReadable<U>;
  /** The messages for which `fn` returns true. */
  filter(
    fn: (message: T, options: Abortable) => unknown,
    options?: Abortable & { concurrency?: number },
  ): MessageReadable<T>;
  /** All elements of the results of `fn`, in order. */
  flatMap<U>(
    fn: (message: T, options: Abortable) => Iterable<U> | AsyncIterable<U> | Promise<Iterable<U>>,
    options?: Abortable & { concurrency?: number },
  ): MessageReadable<Awaited<U>>;
  /** @hidden */
  flatMap(
    fn: (message: T, options: Abortable) => any,
    options?: Abortable & { concurrency?: number },
  ): MessageReadable<any>;
  /** The first `limit` messages. */
  take(limit: number, options?: Abortable): MessageReadable<T>;
  /** All messages except for the first `limit`. */
  drop(limit: number, options?: Abortable): MessageReadable<T>;
  /** Calls `fn` with each message. Settles at the end. */
  forEach(
    fn: (message: T, options: Abortable) => unknown,
    options?: Abortable & { concurrency?: number },
  ): Promise<void>;
  /** All messages to the end of the input, in one array. */
  toArray(options?: Abortable): Promise<T[]>;
  /** The first message for which `fn` returns true. */
  find<U extends T>(fn: (message: T, options: Abortable) => message is U): Promise<U | undefined>;
  /** The first message for which `fn` returns true. */
  find(
    fn: (message: T, options: Abortable) => unknown,
    options?: Abortable & { concurrency?: number },
  ): Promise<T | undefined>;
  /** Whether `fn` returns true for at least one message. */
  some(
    fn: (message: T, options: Abortable) => unknown,
    options?: Abortable & { concurrency?: number },
  ): Promise<boolean>;
  /** Whether `fn` returns true for all messages. */
  every(
    fn: (message: T, options: Abortable) => unknown,
    options?: Abortable & { concurrency?: number },
  ): Promise<boolean>;
  /** One value made of all messages, beginning with `initial`. */
  reduce<U>(
    fn: (previous: U, message: T, options: Abortable) => U | Promise<U>,
    initial: U,
    options?: Abortable,
  ): Promise<U>;
  /** One value made of all messages, beginning with the first message. */
  reduce(fn: (previous: T, message: T, options: Abortable) => T | Promise<T>): Promise<T>;
  /** Calls the listener with each message as it comes. */
  on(event: 'data', listener: (message: T) => void): this;
  /** With `oversize: 'skip'`: calls the listener with the length of a payload that is passed over, and its frame's place. */
  on(event: 'oversize', listener: (length: number, position: number) => void): this;
  /** Calls the listener with the error that ended the stream. */
  on(event: 'error', listener: (error: Error) => void): this;
  /** The events of Node's streams. */
  on(event: string | symbol, listener: (...args: any[]) => void): this;
  /** Calls the listener with the next message. */
  once(event: 'data', listener: (message: T) => void): this;
  /** With `oversize: 'skip'`: calls the listener with the length of a payload that is passed over, and its frame's place. */
  once(event: 'oversize', listener: (length: number, position: number) => void): this;
  /** Calls the listener with the error that ended the stream. */
  once(event: 'error', listener: (error: Error) => void): this;
  /** The events of Node's streams. */
  once(event: string | symbol, listener: (...args: any[]) => void): this;
  /** As `on`. */
  addListener(event: 'data', listener: (message: T) => void): this;
  /** The events of Node's streams. */
  addListener(event: string | symbol, listener: (...args: any[]) => void): this;
  /** As `on`, in front of the listeners that are there. */
  prependListener(event: 'data', listener: (message: T) => void): this;
  /** The events of Node's streams. */
  prependListener(event: string | symbol, listener: (...args: any[]) => void): this;
  /** As `once`, in front of the listeners that are there. */
  prependOnceListener(event: 'data', listener: (message: T) => void): this;
  /** The events of Node's streams. */
  prependOnceListener(event: string | symbol, listener: (...args: any[]) => void): this;
  /** Removes a listener. */
  off(event: 'data', listener: (message: T) => void): this;
  /** The events of Node's streams. */
  off(event: string | symbol, listener: (...args: any[]) => void): this;
  /** As `off`. */
  removeListener(event: 'data', listener: (message: T) => void): this;
  /** The events of Node's streams. */
  removeListener(event: string | symbol, listener: (...args: any[]) => void): this;
}

/** A Duplex that reads values of type `In` and writes values of type `Out`. All streams of this package are declared by it. */
export interface MessageDuplex<In, Out> extends MessageReadable<In>, Omit<node.Duplex, keyof node.Readable> {
  // Overloads of `never` take no argument: with them, @types/node's `pipe` and `pipeline` take a stream of any values.
  /** @hidden */
  write(message: never): boolean;
  /** Writes a message. Returns false when the next one should wait for `'drain'`. */
  write(message: Out, callback?: (error?: Error | null) => void): boolean;
  /** Writes a message whose strings are in this encoding. */
  write(message: Out, encoding?: string | undefined, callback?: (error?: Error | null) => void): boolean;
  /** @hidden */
  end(message: never): this;
  /** Ends the writable side. */
  end(callback?: () => void): this;
  /** Writes a last message. */
  end(message: Out, callback?: () => void): this;
  /** Writes a last message whose strings are in this encoding. */
  end(message: Out, encoding?: string | undefined, callback?: () => void): this;
  /** The encoding of strings that are written without one. */
  setDefaultEncoding(encoding: string): this;
  /** @hidden */
  _write(chunk: any, encoding: BufferEncoding, callback: Callback): void;
  /** @hidden */
  _final(callback: Callback): void;
}

/** A {@link MessageDuplex} that is a Transform. */
export interface MessageTransform<In, Out> extends MessageDuplex<In, Out> {
  /** @hidden */
  _transform(chunk: any, encoding: BufferEncoding, callback: node.TransformCallback): void;
  /** @hidden */
  _flush(callback: node.TransformCallback): void;
}
