import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type FormatOptions, framed, withFormat } from '../../../lib/index.js';
import type { Host } from './servers.js';

/** Somebody between client and server, who decodes each message and encodes it anew. */
export interface Between {
  readonly format: FormatOptions;
  /** The format of a greeting that the client sends first: it is an empty message. */
  readonly greeting?: FormatOptions;
  readonly over: (stream: Duplex) => Duplex;
  /** Sees each message before it is encoded, and may change it. */
  see(message: Buffer, sender: 'client' | 'server'): void;
}

/** @returns the port that leads to `target` through it. */
export async function between(host: Host, target: number, { format, greeting, over, see }: Between): Promise<number> {
  const formatAfter = (message: Buffer) => (message.length === 0 ? format : undefined);
  return await host.serve(async (socket) => {
    const client = framed(over(socket), greeting === undefined ? format : { ...greeting, formatAfter });
    const server = framed(over(connect(target, '127.0.0.1')), format);
    const forward = (sender: 'client' | 'server') =>
      async function* (messages: AsyncIterable<Buffer>) {
        let isFirst = sender === 'client' && greeting !== undefined;
        for await (const message of messages) {
          if (!isFirst) see(message, sender);
          yield withFormat(isFirst ? greeting! : format, message);
          isFirst = false;
        }
      };
    const both = [pipeline(client, forward('client'), server), pipeline(server, forward('server'), client)];
    await Promise.all(both).catch((error) => {
      // RabbitMQ resets its connections when all is said. One that misses something finds it out itself.
      if (error.code !== 'ECONNRESET') throw error;
    });
  });
}
