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
   * worker. Default: false. A message that arrives whole in one chunk is then a view of that chunk.
   */
  copy?: boolean | undefined;
  /**
   * Hands out arrays: all the messages that one chunk completes, in one array. The fast way to read very many small
   * messages. Not together with `stream`. Default: false.
   *
   * ```ts
   * for await (const messages of framed(socket, { batch: true })) for (const message of messages) handle(message);
   * ```
   */
  batch?: Batch | undefined;
  /**
   * How to treat a payload longer than `maxPayloadLength`: `'error'` fails with `ERR_FRAME_TOO_LONG`; `'skip'` passes
   * over it without holding it, and tells its length and place: by `onOversize`, and in Node's streams also by the event
   * `'oversize'`. Default: `'error'`.
   */
  oversize?: 'error' | 'skip' | undefined;
  /**
   * Makes a value of each message, which is handed out instead. The message lies in `bytes` from `start` to before
   * `end`; unless `copy` is true, the bytes around it belong to others. An exception is the `cause` of an
   * `ERR_FRAME_CORRUPT`. A result of null or undefined, which streams can't hand out, is an `ERR_FRAME_CORRUPT`, and so is
   * a promise. Not together with `stream`. Default: the bytes themselves.
   *
   * ```ts
   * new LengthPrefixDecoder({ decode: (bytes, start) => bytes.readUInt32BE(start), minPayloadLength: 4 })
   * ```
   */
  decode?: ((bytes: M, start: number, end: number) => T) | undefined;
  /**
   * Hands out `{ length, body }` for each message as soon as its length is there, for messages that need not fit in
   * memory. The next message comes when the body of this one was read to its end or destroyed. The rest of a body that is
   * destroyed is passed over. Where there is a trailer, the last byte of a body comes when the trailer was checked. Not
   * together with `batch`, `decode` or `formatAfter`. Default: false.
   *
   * ```ts
   * for await (const { body } of framed(socket, { stream: true })) await pipeline(body, createWriteStream(path));
   * ```
   */
  stream?: Stream | undefined;
  /**
   * Is called for each payload that `oversize: 'skip'` passes over, with its length in bytes and the number of bytes in
   * front of its frame in the stream. Messages before it may still wait to be read. An exception fails the stream. Needs
   * `oversize: 'skip'`. Default: none.
   */
  onOversize?: ((length: number, position: number) => void) | undefined;
  /**
   * For streams: the most time in ms, up to 2,147,483,647, from the first byte of a frame to its last. A frame that takes
   * longer is `ERR_FRAME_TIMEOUT`. A connection that is quiet between two frames is never hit. Time in which the reader makes
   * the peer wait does not count. With `stream: true`, the time begins anew with each 65,536 bytes of a body. Default: 0,
   * which is no limit.
   */
  frameTimeout?: number | undefined;
  /**
   * Is called once for each message, in order, before the bytes behind it are looked at. It returns the format of these
   * bytes: options replace the format as a whole (those that are not of a format do not count), `undefined` keeps it, and
   * `null` ends framing behind this message. The readable side then ends there, and `detach()` gives the bytes behind it.
   *
   * It gets each message as it is handed out, also each message of a batch, when the message is parsed: that may be up to 16
   * messages before it is read. A batch ends where the format does. Messages that are written keep their format: see
   * `withFormat`. An exception is the `cause` of an `ERR_FRAME_CORRUPT`. Not together with `stream`. Default: none.
   *
   * ```ts
   * framed(socket, { ...formats.http2Preface, formatAfter: () => formats.http2 })
   * ```
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
  /** Messages are read in parts. They may be longer than the memory can hold. */
  readonly inParts: boolean;
  /**
   * Payloads over `maxPayloadLength` are passed over: it is called with the length of each, and the place of its frame in
   * the stream. Undefined: they are a fault.
   */
  readonly onOversize: ((length: number, position: number) => unknown) | undefined;
  /** In ms; 0 is none. */
  readonly frameTimeout: number;
  readonly formatAfter: ((message: any) => FormatOptions | null | undefined) | undefined;
  /** Is called when `formatAfter` has ended framing. */
  readonly onStop?: () => void;
  /** Messages are views of their chunk, and no function of the user's is called for them. */
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
