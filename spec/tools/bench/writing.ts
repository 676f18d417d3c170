/** Writes all the chunks the natural way: `write` until it returns false, then wait for `'drain'`. */
export async function writeAll(stream: NodeJS.WritableStream, chunks: readonly Buffer[]): Promise<void> {
  for (const chunk of chunks) {
    if (!stream.write(chunk)) await drained(stream);
  }
}

export function drained(stream: NodeJS.WritableStream): Promise<void> {
  return new Promise((resolve) => stream.once('drain', resolve));
}
