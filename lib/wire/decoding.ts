import { invalidType, invalidValue } from './errors.js';
import { type FormatOptions, formatOf } from './format.js';
import type { ParserSettings } from './parser.js';

/** What a program gets of the messages in a stream of bytes. `M` is what bytes are: `Buffer` in Node's streams. */
export interface DecodingOptionsOver<
  M extends Uint8Array,
  Batch extends boolean = boolean,
  T = unknown,
  Stream extends boolean = boolean,
> extends FormatOptions {
  /**
   * Gives each message memory of its own, so that a small message kept for long does not keep alive the chunk it came
   * in, and a chunk's memory may be used again once its write has called back. Needed to transfer messages to a worker:
   * the memory of the whole chunk would go with one. Default: false, a message that came whole in one chunk is a view of
   * that chunk.
   */
  copy?: boolean | undefined;
  /**
   * Hands out arrays: all the messages that one chunk completes, in one. The fast way to take very many small messages.
   * Default: false.
   */
  batch?: Batch | undefined;
  /**
   * What becomes of a payload longer than `maxPayloadLength`: `'error'` fails the stream with `ERR_FRAME_TOO_LONG`;
   * `'skip'` passes over it without holding it, and emits `'oversize'`. Default: `'error'`.
   */
  oversize?: 'error' | 'skip' | undefined;
  /**
   * Makes a value of each message: what it returns is handed out. The message lies in `bytes` from `start` to before
   * `end`; unless `copy` is true, what is around it belongs to others. What it throws is the `cause` of an
   * `ERR_FRAME_CORRUPT`; so is a result of null or undefined, which streams have no way to hand out.
   * Default: the bytes themselves.
   */
  decode?: ((bytes: M, start: number, end: number) => T) | undefined;
  /**
   * Hands out `{ length, body }` for each message as soon as its length is there, for messages that need not fit in
   * memory. The next one comes when the body of this one was read to its end, or destroyed: what is left of it is then
   * passed over. Not together with `batch` or `decode`. Default: false.
   */
  stream?: Stream | undefined;
}

/** Decoding options, checked. */
export interface CheckedDecoding<M extends Uint8Array>
  extends Omit<ParserSettings<M, unknown>, 'memory' | 'onOversize'> {
  readonly batch: boolean;
  readonly skipOversize: boolean;
}

/**
 * @throws {TypeError} `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
 * @throws {RangeError} `ERR_OUT_OF_RANGE`
 */
export function checkedDecoding<M extends Uint8Array>(options: DecodingOptionsOver<M>): CheckedDecoding<M> {
  const format = formatOf(options);
  const { copy = false, batch = false, stream = false, oversize = 'error', decode } = options;
  for (const [name, value] of Object.entries({ copy, batch, stream })) {
    if (typeof value !== 'boolean') throw invalidType(`options.${name}`, 'of type boolean', value);
  }
  if (oversize !== 'error' && oversize !== 'skip') throw invalidValue('oversize', "'error' or 'skip'", oversize);
  if (decode !== undefined && typeof decode !== 'function') throw invalidType('decode', 'of type function', decode);
  if (stream && batch) throw invalidValue('batch', 'false where stream is true', batch);
  if (stream && decode) throw invalidValue('decode', 'left out where stream is true', decode);
  return { format, copy, batch, inParts: stream, skipOversize: oversize === 'skip', decode };
}
