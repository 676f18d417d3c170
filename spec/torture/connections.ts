import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type ConnectionOptions,
  type TLSSocket,
  connect as tlsConnect,
  createServer as tlsCreateServer,
} from 'node:tls';
import { cert, key } from './tls-fixture.js';

export type Peers = [client: Socket, server: Socket];

/** What is to be destroyed after a test. */
export const opened: { destroy(): void }[] = [];
const servers: Server[] = [];
const folders: string[] = [];

export function closeAll(): void {
  for (const socket of opened.splice(0)) socket.destroy();
  for (const server of servers.splice(0)) server.close();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
}

/** A connected pair of sockets. */
async function pairOver(server: Server, open: () => Socket, where: object, ready: string): Promise<Peers> {
  servers.push(server);
  server.listen(where);
  await once(server, 'listening');
  const client = open();
  const [[peer]] = await Promise.all([
    once(server, ready === 'secureConnect' ? 'secureConnection' : 'connection') as Promise<[Socket]>,
    once(client, ready),
  ]);
  opened.push(client, peer);
  server.close();
  return [client, peer];
}

const local = { port: 0, host: '127.0.0.1' };

/** The same option for both ends. */
export const transports: Record<string, (allowHalfOpen?: boolean) => Promise<Peers>> = {
  TCP: async (allowHalfOpen = true) => {
    const server = createServer({ allowHalfOpen });
    const open = () => connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen });
    return pairOver(server, open, local, 'connect');
  },
  TLS: async (allowHalfOpen = true) => {
    const server = tlsCreateServer({ key, cert, allowHalfOpen });
    const open = (): TLSSocket => {
      const { port } = server.address() as AddressInfo;
      const options = { port, host: '127.0.0.1', servername: 'localhost', ca: [cert], allowHalfOpen };
      return tlsConnect(options as ConnectionOptions);
    };
    return pairOver(server, open, local, 'secureConnect');
  },
  'a Unix socket': async (allowHalfOpen = true) => {
    const folder = mkdtempSync(join(tmpdir(), 'length-prefix-'));
    folders.push(folder);
    const path = join(folder, 's');
    const server = createServer({ allowHalfOpen });
    return pairOver(server, () => connect({ path, allowHalfOpen }), { path }, 'connect');
  },
};
