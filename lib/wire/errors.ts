import { isBytes } from './memory.js';

/** The kinds of faults of a frame: {@link FrameError} describes each. */
export type FrameErrorCode = 'ERR_FRAME_TOO_LONG' | 'ERR_FRAME_TRUNCATED' | 'ERR_FRAME_CORRUPT' | 'ERR_FRAME_TIMEOUT';

/**
 * A frame that can't be decoded or encoded. The message says what was found and what was allowed, in bytes.
 *
 * - `ERR_FRAME_TOO_LONG`: the payload that was announced or given is longer than `maxPayloadLength`, than the length field
 *   can say, or than one `Buffer` can hold; or a body has more bytes than its `length`.
 * - `ERR_FRAME_TRUNCATED`: the input ended inside a frame, or inside its length field; or a body has fewer bytes than its
 *   `length`.
 * - `ERR_FRAME_CORRUPT`: the length can't be right: it is negative after the adjustment, less than `minPayloadLength`, or
 *   above `Number.MAX_SAFE_INTEGER`, a varint has no end, or the frame is shorter than `initialBytesToStrip`. Or the
 *   `header` or the `trailer` is wrong. Or one of your functions threw: `decode`, `encode`, `formatAfter`, or a function of a
 *   length field or a checksum; the `cause` is what it threw.
 * - `ERR_FRAME_TIMEOUT`: a frame that had begun was not complete within `frameTimeout`; or `close()` of a `framed` was not
 *   done at its `deadline`.
 *
 * ```ts
 * messages.on('error', (error) => {
 *   if (error instanceof FrameError) console.error(error.code, error.position, error.message);
 * });
 * ```
 */
export class FrameError extends Error {
  /** `'FrameError'`. */
  override readonly name = 'FrameError';
  /** The kind of fault. */
  readonly code: FrameErrorCode;
  /** Where the frame begins: the number of bytes in front of it in the stream. */
  readonly position: number;

  /**
   * An error of the frame that begins at `position`.
   *
   * @param what what was found and what was allowed, as the message says it behind the place of the frame
   */
  constructor(code: FrameErrorCode, position: number, what: string, options?: { cause?: unknown }) {
    super(`Frame at byte ${position}: ${what}`, options);
    this.code = code;
    this.position = position;
  }
}

/** For bytes, or for what a function made, that can't be right. */
export function corrupt(position: number, what: string, options?: { cause?: unknown }): FrameError {
  return new FrameError('ERR_FRAME_CORRUPT', position, what, options);
}

/** `1 byte`, `2 bytes`. */
export function bytes(count: number): string {
  return `${count} byte${count === 1 ? '' : 's'}`;
}

/** The most bytes that an error shows. */
export const MOST_SHOWN = 16;

/** The bytes as hex pairs: `0d 0a`. At most 16 of them. */
export function hex(data: Uint8Array): string {
  return Array.from(data.subarray(0, MOST_SHOWN), (byte) => byte.toString(16).padStart(2, '0')).join(' ');
}

/** A value that was thrown, as the end of a sentence. */
export function reason(thrown: unknown): string {
  try {
    return thrown instanceof Error ? thrown.message : String(thrown);
  } catch {
    // An object with no prototype, or a proxy that was revoked.
    return 'a value was thrown that has no text';
  }
}

const HTTP = /^(GET |POST|PUT |HEAD|HTTP|OPTI|DELE|PATC|CONN|TRAC|PRI )/;

/**
 * Names the protocol that the first bytes of a frame look like, as the end of a sentence; empty when they look like none.
 * Nearly always, an absurd length means that the peer speaks another protocol. With `mayBeText`, text is no sign of that.
 */
export function lookalike(frame: Uint8Array, mayBeText = false): string {
  const text = String.fromCharCode(...frame.subarray(0, 4));
  if (HTTP.test(text)) return `; its first bytes, ${JSON.stringify(text)}, look like HTTP`;
  // RFC 6101 and RFC 8446: record type 22 (handshake), then the version, 3.x.
  if (frame[0] === 0x16 && frame[1] === 0x03) return `; its first bytes, ${hex(frame)}, look like a TLS hello`;
  if (text === 'SSH-') return '; its first bytes, "SSH-", look like an SSH greeting';
  if (/^[[{]["{[]/.test(text))
    return `; its first bytes, ${JSON.stringify(text)}, look like JSON with no length in front`;
  if (!mayBeText && /^[\t\n\r -~]{4}$/.test(text)) return `; its first bytes, ${JSON.stringify(text)}, look like text`;
  return '';
}

type NodeError<E extends Error> = E & { code: string };

/** An error with a code of Node's. */
export function nodeError<E extends Error>(error: E, code: string): NodeError<E> {
  return Object.assign(error, { code });
}

/** A value as Node's errors write it behind "Received". */
export function typeOf(value: unknown): string {
  if (value === null || value === undefined) return `${value}`;
  if (typeof value === 'string') return `'${value.length > 28 ? `${value.slice(0, 25)}...` : value}'`;
  if (isBytes(value)) return bytes(value.length);
  if (typeof value === 'function') return `function ${value.name}`;
  if (typeof value === 'object') return `an instance of ${value.constructor?.name || 'Object'}`;
  return `type ${typeof value} (${String(value)})`;
}

/** Names of arguments, which are no options. */
const ARGUMENTS = new Set([
  'options',
  'stream',
  'chunk',
  'source',
  'message',
  'decoder',
  'bytes',
  'messages',
  'memory',
]);

/** The name of an option, an argument or a property of a message, as Node's errors write it. */
function nameOf(option: string): string {
  return ARGUMENTS.has(option) || /^(options|message)\./.test(option) ? option : `options.${option}`;
}

function kindOf(name: string): string {
  return name.includes('.') ? 'property' : 'argument';
}

/** As Node's own `ERR_INVALID_ARG_TYPE`. */
export function invalidType(option: string, expected: string, value: unknown): NodeError<TypeError> {
  const name = nameOf(option);
  const message = `The "${name}" ${kindOf(name)} must be ${expected}. Received ${typeOf(value)}`;
  return nodeError(new TypeError(message), 'ERR_INVALID_ARG_TYPE');
}

/** As Node's own `ERR_INVALID_ARG_VALUE`. */
export function invalidValue(option: string, expected: string, value: unknown): NodeError<TypeError> {
  const name = nameOf(option);
  const message = `The ${kindOf(name)} '${name}' must be ${expected}. Received ${typeOf(value)}`;
  return nodeError(new TypeError(message), 'ERR_INVALID_ARG_VALUE');
}

/** As Node's own `ERR_OUT_OF_RANGE`. */
export function outOfRange(option: string, expected: string, value: unknown): NodeError<RangeError> {
  const message = `The value of "${nameOf(option)}" is out of range. It must be ${expected}. Received ${String(value)}`;
  return nodeError(new RangeError(message), 'ERR_OUT_OF_RANGE');
}

/** As Node's own `ERR_INVALID_RETURN_VALUE`: `got` is the value in words. */
export function invalidReturn(name: string, expected: string, got: string): NodeError<TypeError> {
  const message = `Expected ${expected} to be returned from the "${name}" function but got ${got}.`;
  return nodeError(new TypeError(message), 'ERR_INVALID_RETURN_VALUE');
}

/** As Node's own `ERR_STREAM_NULL_VALUES`, for a stream that writes values. */
export function nullValue(): NodeError<TypeError> {
  const message = 'May not write null values to stream; write an object or an array around it, such as [null]';
  return nodeError(new TypeError(message), 'ERR_STREAM_NULL_VALUES');
}

/** As Node's own `ERR_INVALID_STATE`. */
export function invalidState(message: string): NodeError<TypeError> {
  return nodeError(new TypeError(message), 'ERR_INVALID_STATE');
}

/** For a chunk whose memory is gone, as after a message that is a view of it was transferred to a worker. */
export function memoryGone(): NodeError<TypeError> {
  return invalidState(
    'The memory of a chunk is gone, and with it messages that were still to be read; copy: true gives each its own',
  );
}

/** As Node's own `ERR_STREAM_DESTROYED`, for a write that is in hand when its stream is destroyed without an error. */
export function streamDestroyed(): NodeError<Error> {
  return nodeError(new Error('Cannot call write after a stream was destroyed'), 'ERR_STREAM_DESTROYED');
}

/** As Node's own `ERR_STREAM_WRITE_AFTER_END`. */
export function writeAfterEnd(): NodeError<Error> {
  return nodeError(new Error('write after end'), 'ERR_STREAM_WRITE_AFTER_END');
}
