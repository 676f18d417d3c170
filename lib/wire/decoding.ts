import { invalidType, invalidValue } from './errors.js';
import { type Format, type FormatOptions, formatOf, milliseconds } from './format.js';
import type { Memory } from './memory.js';
import { checkKnown, checkMemory } from './options.js';

/** How messages are handed out. `M` is the class of bytes: `Buffer` in Node's streams. */
export interface DecodingOptions<
  M extends Uint8Array,
  Batch extends boolean = boolean,
  T = any,
  Stream extends boolean = boolean,
> extends FormatOptions {
  /**
   * Gives each message memory of its own. A small message that is kept for long then does not keep alive the chunk it
   * came in, and a chunk's memory may be used again once its write has called back. Messages can be transferred to a
   * worker. Default: false, a message that arrives whole in one chunk is a view of that chunk.
   */
  copy?: boolean | undefined;
  /**
   * Hands out arrays: all the messages that one chunk completes, in one. The fast way to read very many small messages.
   * Default: false.
   */
  batch?: Batch | undefined;
  /**
   * How to treat a payload longer than `maxPayloadLength`: `'error'` fails with `ERR_FRAME_TOO_LONG`; `'skip'` passes
   * over it without holding it, and tells its length and place: Node's streams by the event `'oversize'`, all others by
   * `onOversize`. Default: `'error'`.
   */
  oversize?: 'error' | 'skip' | undefined;
  /**
   * Makes a value of each message, which is handed out instead. The message lies in `bytes` from `start` to before
   * `end`; unless `copy` is true, the bytes around it belong to others. An exception is the `cause` of an
   * `ERR_FRAME_CORRUPT`; so is a result of null or undefined, which streams can't hand out. Default: the bytes themselves.
   */
  decode?: ((bytes: M, start: number, end: number) => T) | undefined;
  /**
   * Hands out `{ length, body }` for each message as soon as its length is there, for messages that need not fit in
   * memory. The next one comes when the body of this one was read to its end, or destroyed: the rest of it is then
   * passed over. The last byte of a body comes when the trailer was checked, where there is one. Not together with `batch` or `decode`. Default: false.
   */
  stream?: Stream | undefined;
  /**
   * Is told of each payload that `oversize: 'skip'` passes over: its length in bytes, and the number of bytes in front of
   * its frame in the stream. Messages before it may still wait to be read. Only with `oversize: 'skip'`. Default: none.
   */
  onOversize?: ((length: number, position: number) => void) | undefined;
  /**
   * For streams: the time in ms from the first byte of a frame to its last. A connection that is quiet between two frames
   * is never hit. Time in which the reader makes the peer wait does not count. With `stream: true`, each 65,536 bytes of a
   * body begin it anew. A frame that takes longer is `ERR_FRAME_TIMEOUT`. Default: 0, there is no limit.
   */
  frameTimeout?: number | undefined;
  /**
   * Is asked once for each message, in order, before the bytes behind it are looked at: which format do these have? It gets
   * the message as it is handed out, each one of a batch, when the message is parsed: that may be up to 16 messages before
   * it is read. A batch ends where the format does. Returned options replace the format as a whole; only those of a format
   * count. Written messages keep their format: see `withFormat`. undefined goes on. null ends framing behind this message: the
   * readable side ends there, and `detach()` gives the bytes behind it. Not together with `stream: true`. Default: none.
   */
  formatAfter?: ((message: T) => FormatOptions | null | undefined) | undefined;
}

/** Decoding options, checked. Parsers can share them. */
export interface DecodingSettings<M extends Uint8Array = Uint8Array> {
  readonly format: Format;
  readonly memory: Memory<M>;
  readonly copy: boolean;
  readonly decode: ((bytes: M, start: number, end: number) => any) | undefined;
  readonly batch: boolean;
  /** Messages are read in parts: their length does not matter. */
  readonly inParts: boolean;
  /**
   * Is told the length of each payload over `maxPayloadLength`, and the place of its frame in the stream; they are passed
   * over. Undefined: they are a fault.
   */
  readonly onOversize: ((length: number, position: number) => unknown) | undefined;
  /** In ms; 0 is none. */
  readonly frameTimeout: number;
  readonly formatAfter: ((message: any) => FormatOptions | null | undefined) | undefined;
  /** Is told that `formatAfter` has ended framing. */
  readonly onStop?: () => void;
  /** Messages are views of their chunk, and nobody is asked about them. */
  readonly isQuick: boolean;
}

/**
 * @throws {TypeError} `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
 * @throws {RangeError} `ERR_OUT_OF_RANGE`
 */
export function decodingSettings<M extends Uint8Array>(
  options: DecodingOptions<M>,
  memory: Memory<M>,
): DecodingSettings<M> {
  checkKnown(options);
  checkMemory(memory);
  const format = formatOf(options);
  const { copy = false, batch = false, stream = false, oversize = 'error', decode, onOversize, formatAfter } = options;
  const frameTimeout = milliseconds('frameTimeout', options.frameTimeout ?? 0);
  for (const [name, value] of Object.entries({ copy, batch, stream })) {
    if (typeof value !== 'boolean') throw invalidType(`options.${name}`, 'of type boolean', value);
  }
  if (oversize !== 'error' && oversize !== 'skip') throw invalidValue('oversize', "'error' or 'skip'", oversize);
  for (const [name, value] of Object.entries({ decode, onOversize, formatAfter })) {
    if (value !== undefined && typeof value !== 'function') throw invalidType(name, 'of type function', value);
  }
  if (onOversize !== undefined && oversize !== 'skip') {
    throw invalidValue('oversize', "'skip' where onOversize is given", oversize);
  }
  if (stream && batch) throw invalidValue('batch', 'false where stream is true', batch);
  for (const [name, value] of Object.entries({ formatAfter, decode })) {
    if (stream && value) throw invalidValue(name, 'left out where stream is true', value);
  }
  const isQuick = !copy && decode === undefined && formatAfter === undefined;
  const told = oversize === 'skip' ? (onOversize ?? (() => {})) : undefined;
  return { format, memory, copy, decode, batch, inParts: stream, onOversize: told, frameTimeout, formatAfter, isQuick };
}
