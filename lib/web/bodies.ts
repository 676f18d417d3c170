import { BodyParts } from '../wire/body.js';
import { isSource } from '../wire/message.js';

/**
 * Has the writers of a stream of messages let go of the body of each write that fails. A stream does not tell its sink of
 * one that waits in the queue when it fails, nor of one that is written later.
 */
export function watchBodies<T>(writable: WritableStream<T>): void {
  const getWriter = writable.getWriter.bind(writable);
  writable.getWriter = () => {
    const writer = getWriter();
    const write = writer.write.bind(writer) as (message?: T) => Promise<void>;
    writer.write = (message?: T) => {
      return isSource(message) ? watched(new BodyParts(message.body), () => write(message)) : write(message);
    };
    return writer;
  };
}

async function watched(parts: BodyParts, write: () => Promise<void>): Promise<void> {
  try {
    // Node 20 throws an internal assertion where the stream is closed.
    await write();
    parts.release();
  } catch (reason) {
    parts.destroy(reason);
    throw reason;
  }
}
