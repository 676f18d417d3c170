/** Addresses, as they are given and shown. */
import { UsageError } from './errors.js';

export type Address =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'stdio' };

const FORMS = 'HOST:PORT, [IPV6]:PORT, PORT, unix:PATH or stdio:';

function portOf(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65_535) throw new UsageError(`A port is 0 to 65535, not '${text}'`);
  return port;
}

export function addressOf(text: string, host = '127.0.0.1'): Address {
  if (text === 'stdio:') return { kind: 'stdio' };
  if (text.startsWith('unix:')) {
    const path = text.slice('unix:'.length);
    if (path === '') throw new UsageError(`unix: needs a path behind it`);
    return { kind: 'unix', path };
  }
  if (/^\d+$/.test(text)) return { kind: 'tcp', host, port: portOf(text) };
  const match = /^(?:\[([^[\]]+)\]|([^[\]:]+)):([^:]*)$/.exec(text);
  if (match === null) throw new UsageError(`An address is ${FORMS}, not '${text}'`);
  return { kind: 'tcp', host: (match[1] ?? match[2])!, port: portOf(match[3]!) };
}

/** `127.0.0.1:11000`, `[::1]:11000`. */
export function shownHost(host = 'unknown', port = 0): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
