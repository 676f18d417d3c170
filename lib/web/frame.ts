import { invalidType } from '../wire/errors.js';
import type { Format } from '../wire/format.js';
import { concat, isBytes } from '../wire/memory.js';
import type { MessagePart } from '../wire/message.js';

const utf8 = new TextEncoder();
const nothing = new Uint8Array(0);

/**
 * The bytes of a part, or of a message in one; strings in UTF-8.
 *
 * @throws {TypeError} `ERR_INVALID_ARG_TYPE`
 */
export function bytesOf(part: unknown, name: string): Uint8Array {
  if (typeof part === 'string') return utf8.encode(part);
  if (isBytes(part)) return part;
  throw invalidType(name, 'a string, a Uint8Array, or an array of these', part);
}

/**
 * The frame of a message that would begin at `position` in the stream, in parts: a head, and the message's own bytes.
 *
 * @throws {TypeError} `ERR_INVALID_ARG_TYPE`
 * @throws FrameError when the format can't carry the message.
 */
export function frameOf(format: Format, message: MessagePart | readonly MessagePart[], position: number): Uint8Array[] {
  let parts = (Array.isArray(message) ? message : [message]).map((part) => bytesOf(part, 'message'));
  if (format.keptAtMost > 0) parts = [concat(parts)];
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const first = parts[0] ?? nothing;
  format.frameLength(first, length, position);
  const head = format.writeHead(first, length, position);
  return [head.bytes, first.subarray(head.kept), ...parts.slice(1)];
}
