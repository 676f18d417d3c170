import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export interface Connections {
  /** The two ends of a connection. */
  open(options?: { allowHalfOpen?: boolean }): Promise<{ socket: Socket; client: Socket }>;
  /** Destroys it behind the test, as it does the ends. */
  track(stream: Socket): void;
}

/** TCP connections for each test of a suite: to be called in its `describe`. */
export function connections(): Connections {
  const tracked: Socket[] = [];
  let server: Server;

  beforeEach(async () => {
    server = createServer();
    await once(server.listen(0), 'listening');
  });

  afterEach(() => {
    for (const socket of tracked.splice(0)) socket.on('error', () => {}).destroy();
    server.close();
  });

  return {
    async open({ allowHalfOpen = false } = {}) {
      const accepted = once(server, 'connection');
      const client = connect({ port: (server.address() as AddressInfo).port, allowHalfOpen });
      const [socket] = (await accepted) as [Socket];
      tracked.push(client, socket);
      return { socket, client };
    },
    track: (stream) => void tracked.push(stream),
  };
}

/** The code that a promise is rejected with, or 'none'. */
export function rejectionCode(promise: Promise<unknown>): Promise<string | undefined> {
  return promise.then(
    () => 'none',
    (error: NodeJS.ErrnoException) => error.code,
  );
}
