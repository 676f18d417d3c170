import { channel } from 'node:diagnostics_channel';
import type { Duplex } from 'node:stream';

/** The message of the channels. */
export interface Connection {
  /** The `framed` Duplex. */
  readonly framed: Duplex;
  /** The stream or the streams that it was made of. */
  readonly readable: object;
  readonly writable: object;
  /** Of `length-prefix:fault` alone. */
  readonly error?: Error;
}

const framed = channel('length-prefix:framed');
const fault = channel('length-prefix:fault');
const close = channel('length-prefix:close');

/** A stream was framed. */
export function publishFramed(connection: Connection): void {
  if (framed.hasSubscribers) framed.publish(connection);
}

/** A framed stream is over, with an error or without one. */
export function publishClose(error: Error | null, connection: () => Connection): void {
  if (error && fault.hasSubscribers) fault.publish({ ...connection(), error });
  if (close.hasSubscribers) close.publish(connection());
}
