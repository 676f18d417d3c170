import type { LengthPrefixEncoderOptions } from '../../lib/index.js';
import { LengthPrefixDecoder, type LengthPrefixDecoderOptions, LengthPrefixEncoder } from '../../lib/index.js';

/** What came out of a stream: everything in order, and what ended it. */
export interface Outcome<T> {
  items: T[];
  error: (Error & { code?: string; position?: number }) | undefined;
}

/** Reads a stream to its end or its error. */
export async function outcomeOf<T>(stream: AsyncIterable<T>): Promise<Outcome<T>> {
  const items: T[] = [];
  try {
    for await (const item of stream) items.push(item);
    return { items, error: undefined };
  } catch (error) {
    return { items, error: error as Error };
  }
}

/** Writes the chunks to a decoder, ends it, and reads what comes out. */
export async function decode(chunks: Iterable<Uint8Array>, options?: LengthPrefixDecoderOptions<false>) {
  const decoder = new LengthPrefixDecoder(options);
  for (const chunk of chunks) decoder.write(chunk);
  decoder.end();
  return await outcomeOf(decoder);
}

/** The bytes that an encoder makes of the messages. */
export async function encode(messages: Iterable<Uint8Array | string>, options?: LengthPrefixEncoderOptions) {
  const encoder = new LengthPrefixEncoder(options);
  for (const message of messages) encoder.write(message);
  encoder.end();
  const { items, error } = await outcomeOf<Buffer>(encoder);
  if (error !== undefined) throw error;
  return Buffer.concat(items);
}

/** `05 00 | 68` and the like. */
export function fromHex(text: string): Buffer {
  return Buffer.from(text.replace(/[^0-9a-f]/g, ''), 'hex');
}

/** The code of an error, if there is one. */
export function codeOf(error: unknown): string | undefined {
  return (error as { code?: string } | null | undefined)?.code;
}

/** The error that `run` throws. */
export function thrownBy(run: () => unknown): Error & { code?: string } {
  try {
    run();
  } catch (error) {
    return error as Error;
  }
  throw new Error('nothing was thrown');
}

/** Ends framing behind this message. */
export const until = (last: string) => ({
  formatAfter: (message: Buffer) => (`${message}` === last ? null : undefined),
});
