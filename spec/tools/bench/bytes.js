/** What is sent: messages, and prepared bytes that carry them. */

const KIB = 1024;
const MIB = KIB * KIB;

/** What a socket reads at a time. */
export const CHUNK = 64 * KIB;

export const PAYLOADS = [16, 256, KIB, 4 * KIB, 64 * KIB, MIB];

/** How many messages make a cycle: all work is done in whole cycles. */
export function cycleOf(size) {
  return Math.min(65_536, Math.max(4, (4 * MIB) / size));
}

/** The messages of a cycle. No more than 1,024 of them are different. */
export function messagesOf(size) {
  const cycle = cycleOf(size);
  const different = Array.from({ length: Math.min(1024, cycle) }, (_, i) => Buffer.alloc(size, i));
  return Array.from({ length: cycle }, (_, i) => different[i % different.length]);
}

/** The frames of these messages, in chunks that have memory of their own, as a socket's have. */
export function wireOf(messages, prefix, chunkLength = CHUNK) {
  return cut(Buffer.concat(messages.flatMap((message) => [prefix(message.length), message])), chunkLength);
}

export function cut(bytes, chunkLength) {
  return Array.from({ length: Math.ceil(bytes.length / chunkLength) }, (_, i) => {
    const piece = bytes.subarray(i * chunkLength, (i + 1) * chunkLength);
    const chunk = Buffer.allocUnsafeSlow(piece.length);
    piece.copy(chunk);
    return chunk;
  });
}

/** Counts what comes, and knows when all of it has. */
export class Tally {
  #messages = 0;
  #bytes = 0;
  #due = { messages: Infinity };

  /** Resolves when so many messages of this size have come since; fails when others have. */
  expect(messages, size) {
    this.#messages = 0;
    this.#bytes = 0;
    return new Promise((resolve, reject) => {
      this.#due = { messages, bytes: messages * size, resolve, reject };
    });
  }

  take = (messages, bytes) => {
    this.#messages += messages;
    this.#bytes += bytes;
    if (this.#messages < this.#due.messages) return;
    const { messages: due, bytes: dueBytes, resolve, reject } = this.#due;
    if (this.#messages === due && this.#bytes === dueBytes) resolve();
    else reject(new Error(`${this.#messages} messages of ${this.#bytes} bytes came, not ${due} of ${dueBytes}`));
  };
}

/** Writes the natural way: `write` until it returns false, then wait for `'drain'`. */
export async function writeAll(stream, chunks) {
  for (const chunk of chunks) {
    if (!stream.write(chunk)) await drained(stream);
  }
}

export function drained(stream) {
  return new Promise((resolve) => stream.once('drain', resolve));
}

export function uint32le(length) {
  return Buffer.from(Uint32Array.of(length).buffer);
}

export function uint32be(length) {
  return uint32le(length).reverse();
}

export function varint(length) {
  return Buffer.from(length > 0x7f ? [(length & 0x7f) | 0x80, ...varint(length >>> 7)] : [length]);
}

export function compactSize(length) {
  if (length < 0xfd) return Buffer.of(length);
  if (length <= 0xffff) return Buffer.of(0xfd, length & 0xff, length >> 8);
  return Buffer.concat([Buffer.of(0xfe), uint32le(length)]);
}
