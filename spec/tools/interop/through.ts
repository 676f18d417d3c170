import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type FormatOptions, framed, withFormat } from '../../../lib/index.js';
import type { Host } from './servers.js';

type Sender = 'client' | 'server';

interface Proxied {
  readonly format: FormatOptions;
  /** The format of a greeting that the client sends first: it is an empty message. */
  readonly greeting?: FormatOptions;
  /** Cuts the bytes anew. */
  readonly over: (stream: Duplex) => Duplex;
  /** Is shown each message before it is encoded, and may change it. */
  see?(message: Buffer, sender: Sender): void;
}

/** Notes the messages of one direction. */
export function noting(noted: Buffer[]) {
  return async function* (messages: AsyncIterable<Buffer>) {
    for await (const message of messages) {
      noted.push(message);
      yield message;
    }
  };
}

/**
 * A proxy of ours in front of a program: it decodes the messages of both directions, and encodes each anew.
 *
 * @param target the program's port.
 * @returns the proxy's port; and, when its connections are over, the messages of the client and of the server.
 */
export async function through(host: Host, target: number, { format, greeting, over, see }: Proxied) {
  const noted: Record<Sender, Buffer[]> = { client: [], server: [] };
  const connections: Promise<void>[] = [];
  const formatAfter = (message: Buffer) => (message.length === 0 ? format : undefined);

  const forward = (sender: Sender) =>
    async function* (messages: AsyncIterable<Buffer>) {
      let isGreeting = sender === 'client' && greeting !== undefined;
      for await (const message of messages) {
        if (!isGreeting) see?.(message, sender);
        noted[sender].push(message);
        yield withFormat(isGreeting ? greeting! : format, message);
        isGreeting = false;
      }
    };

  const port = await host.serve((near) => {
    const client = framed(over(near), greeting === undefined ? format : { ...greeting, formatAfter });
    const server = framed(over(connect(target, '127.0.0.1')), format);
    const both = [pipeline(client, forward('client'), server), pipeline(server, forward('server'), client)];
    const connection = Promise.all(both).then(
      () => {},
      (error) => {
        // RabbitMQ resets its connections when all is said. A program that misses something finds it out itself.
        if (error.code !== 'ECONNRESET') throw error;
      },
    );
    connections.push(connection);
    return connection;
  });

  const passed = async () => {
    await Promise.all(connections);
    return { there: noted.client, back: noted.server };
  };
  return { port, passed };
}
