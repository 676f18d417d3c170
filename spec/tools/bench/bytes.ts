/** What is sent: messages, and prepared bytes that carry them. */

const MIB = 1024 * 1024;

/** What a socket reads at a time. */
export const CHUNK = 65_536;

export const PAYLOADS = [16, 256, 1024, 4096, 65_536, MIB] as const;

/** Different messages of this length, as many as fit in 4 MiB. */
function someMessages(length: number): Buffer[] {
  const count = Math.min(1024, Math.max(1, (4 * MIB) / length));
  return Array.from({ length: count }, (_, i) => Buffer.alloc(length, i));
}

/** Gives `count` messages of this length. */
export function messageSource(length: number): (count: number) => Buffer[] {
  const messages = someMessages(length);
  return (count) => Array.from({ length: count }, (_, i) => messages[i % messages.length]!);
}

/** Bytes that carry a number of messages. */
export interface Wire {
  readonly messages: number;
  readonly bytes: number;
  readonly chunks: Buffer[];
}

/**
 * Gives bytes prepared to carry at least `count` messages of this length, each behind its prefix, in chunks of
 * `chunkLength` bytes, each of its own memory, as a socket's are.
 */
export function wireSource(
  length: number,
  prefix: (length: number) => Uint8Array,
  chunkLength: number,
): (count: number) => Wire {
  const messages = Math.min(32_768, Math.max(4, (4 * MIB) / length));
  const frames = Buffer.concat(messageSource(length)(messages).flatMap((message) => [prefix(message.length), message]));
  const chunks = cut(frames, chunkLength);
  return (count) => {
    const repeats = Math.ceil(count / messages);
    return {
      messages: repeats * messages,
      bytes: repeats * frames.length,
      chunks: Array.from({ length: repeats }, () => chunks).flat(),
    };
  };
}

/** Cuts bytes into chunks, each of its own memory. */
export function cut(bytes: Buffer, chunkLength: number): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += chunkLength) {
    const piece = bytes.subarray(at, at + chunkLength);
    const chunk = Buffer.allocUnsafeSlow(piece.length);
    piece.copy(chunk);
    chunks.push(chunk);
  }
  return chunks;
}

/** `16 B`, `64 KiB`. */
export function sizeLabel(bytes: number): string {
  if (bytes >= MIB) return `${bytes / MIB} MiB`;
  if (bytes >= 1024) return `${bytes / 1024} KiB`;
  return `${bytes} B`;
}
