/** Addresses, as they are given and shown. */
import { isIPv4, isIPv6 } from 'node:net';
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
    if (path === '') throw new UsageError('unix: needs a path, as in unix:/tmp/socket');
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

/** The bytes of an IP address; undefined where it is none. IPv4 in IPv6 is IPv4, and a zone has no bytes. */
export function bytesOfAddress(text = ''): Buffer | undefined {
  const plain = text.replace(/^::ffff:(?=.*\.)|%.*$/g, '');
  if (isIPv4(plain)) return Buffer.from(plain.split('.').map(Number));
  if (!isIPv6(plain)) return undefined;
  const groups = (part = '') =>
    part
      .split(':')
      .map((group) => group.padStart(4, '0'))
      .join(''); // none has none
  const [front, back] = plain.split('::').map(groups);
  return Buffer.from(back === undefined ? front! : front + back.padStart(32 - front!.length, '0'), 'hex');
}

/** The text of the 4 or 16 bytes of an IP address. */
export function textOfAddress(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.');
  const groups = bytes.toString('hex').replace(/.{4}(?=.)/g, '$&:');
  return new URL(`http://[${groups}]`).hostname.slice(1, -1);
}
