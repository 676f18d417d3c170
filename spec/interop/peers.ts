/** A program that nobody here wrote, and what it is to talk to. */
export interface Peer {
  readonly name: string;
  /** Debian's packages that have it; none where it is a development dependency from npm. */
  readonly packages: readonly string[];
  /** Its spec is `<spec>.interop.ts`. */
  readonly spec: string;
  /** The names in `formats` that it is tested with. */
  readonly formats: readonly string[];
}

export const peers: readonly Peer[] = [
  { name: 'openssl s_server and s_client', packages: ['openssl'], spec: 'openssl', formats: ['tls'] },
  { name: 'Chromium, with length-prefix/web in a page', packages: ['chromium'], spec: 'web', formats: [] },
];
