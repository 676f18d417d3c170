import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { cert, key } from '../../torture/tls-fixture.js';
import type { Host } from './servers.js';

/** Starts PostgreSQL, with the user `bob`, no passwords, and TLS for those who ask for it: its port. */
export async function startPostgres(host: Host): Promise<number> {
  const [version] = readdirSync('/usr/lib/postgresql').sort((a, b) => Number(b) - Number(a));
  const bin = join('/usr/lib/postgresql', version!, 'bin');
  const data = join(host.folder, 'data');
  await host.run(join(bin, 'initdb'), ['-D', data, '-U', 'bob', '-A', 'trust', '-E', 'UTF8', '--no-sync']);
  const files = [`ssl_cert_file=${host.file('cert', cert)}`, `ssl_key_file=${host.file('key', key)}`];
  const settings = ['listen_addresses=127.0.0.1', 'unix_socket_directories=', 'fsync=off', 'ssl=on', ...files];
  const args = (port: number) => ['-D', data, '-p', String(port), ...settings.flatMap((each) => ['-c', each])];
  return await host.startOnPort(join(bin, 'postgres'), args, /ready to accept connections/);
}
