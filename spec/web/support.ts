import type { Outcome } from '../support/streams.js';

/** Reads a web stream to its end or its error. */
export async function outcomeOf<T>(readable: ReadableStream<T>): Promise<Outcome<T>> {
  const items: T[] = [];
  const reader = readable.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return { items, error: undefined };
      items.push(value);
    }
  } catch (error) {
    return { items, error: error as Error };
  }
}

/** Writes all of it, then closes. What becomes of that is seen at the other side, and in `outcome`. */
export function writeAll<T>(writable: WritableStream<T>, chunks: Iterable<T>): Promise<PromiseSettledResult<void>[]> {
  const writer = writable.getWriter();
  writer.closed.catch(() => {});
  const writes = Array.from(chunks, (chunk) => writer.write(chunk));
  return Promise.allSettled([...writes, writer.close()]);
}

/** A stream of these chunks, which then fails if there is an error. */
export function streamOf<T>(chunks: Iterable<T>, error?: Error): ReadableStream<T> {
  const iterator = chunks[Symbol.iterator]();
  return new ReadableStream<T>(
    {
      pull(controller) {
        const { done, value } = iterator.next();
        if (!done) controller.enqueue(value);
        else if (error !== undefined) controller.error(error);
        else controller.close();
      },
    },
    { highWaterMark: 0 },
  );
}

/** All that promises and their like have to do is done then. */
export const settled = () => new Promise((resolve) => setImmediate(resolve));

export const utf8 = (bytes: Uint8Array) => Buffer.from(bytes).toString();
