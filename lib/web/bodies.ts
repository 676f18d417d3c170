import { BodyParts } from '../wire/body.js';
import { isSource, type MessageSource } from '../wire/message.js';
import { messageOf } from '../wire/with-format.js';

/**
 * Makes the writers of a stream of messages cancel the body of each write that fails. A stream that fails does not tell
 * its sink about writes that wait in its queue, nor about later ones. `pipeTo` uses a writer of its own, out of reach.
 */
export function watchBodies<T>(writable: WritableStream<T>): void {
  const getWriter = writable.getWriter.bind(writable);
  writable.getWriter = () => {
    const writer = getWriter();
    const write = writer.write.bind(writer) as (message?: T) => Promise<void>;
    writer.write = (given?: T) => {
      const message: unknown = messageOf(given);
      return isSource(message) ? watched(message, () => write(given)) : write(given);
    };
    return writer;
  };
}

async function watched(message: MessageSource, write: () => Promise<void>): Promise<void> {
  let body: any;
  try {
    ({ body } = message);
  } catch {
    // Its write fails, too.
  }
  const parts = new BodyParts(body);
  try {
    // Node 20 throws an internal assertion where the stream is closed.
    await write();
    parts.release();
  } catch (reason) {
    parts.destroy(reason);
    throw reason;
  }
}
