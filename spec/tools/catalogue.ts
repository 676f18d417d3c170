/** Fills the catalogue of formats in `lib/wire/README.md`, and that of programs in `interop/README.md`: `npm run catalogue`. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type FormatOptions, formats } from '../../lib/index.js';
import { peers } from './interop/peers.js';
import { fill, root } from './pages.js';

const groups: Record<string, (keyof typeof formats)[]> = {
  'Lengths alone': [
    'dotnet',
    'erlangPacket1',
    'erlangPacket2',
    'erlangPacket4',
    'netstring',
    'protobuf',
    'compactSize',
  ],
  Databases: ['postgres', 'postgresStartup', 'mysql', 'mongodb', 'tds', 'cassandra', 'memcached'],
  'Queues and remote calls': ['kafka', 'mqtt', 'amqp', 'amqpGreeting', 'grpc', 'thrift'],
  'Web and proxies': ['http2', 'http2Preface', 'tls', 'proxyV2', 'fastcgi'],
  Tools: ['lsp', 'gitPktLine', 'dockerStream', 'sshAgent', 'nativeMessagingToHost', 'nativeMessagingToBrowser'],
  'Networks, files and directories': ['dns', 'ldap', 'bgp', 'diameter', 'dicom', 'smb', 'nineP', 'syslog'],
};

/** Each format's documentation, without the marks of a comment. */
function documentation(): Map<string, string> {
  const source = readFileSync(`${root}lib/wire/formats.ts`, 'utf8');
  const entries = source.matchAll(/^ {2}\/\*\*\n((?: {3}\*.*\n)+?) {3}\*\/\n {2}(\w+):/gm);
  return new Map(Array.from(entries, ([, text, name]) => [name!, text!.replace(/^ {3}\* ?/gm, '')]));
}

function entryOf(name: keyof typeof formats, text: string): string {
  // A drawing is an indented block that begins with the options, which are the heading here.
  const shown = text.replace(/^ +options .*\n/m, '').trim();
  const { maxPayloadLength = 16_777_216 } = formats[name] as FormatOptions;
  const programs = peers.filter((peer) => peer.formats.includes(name)).map((peer) => peer.name);
  const limit = `\`maxPayloadLength\`: ${maxPayloadLength.toLocaleString('en-US')}.`;
  return `### \`${name}\`\n\n${shown}\n\n${limit} Tested with ${programs.join('; ')}.`;
}

/** The page's text: a table of groups, then an entry for each format. */
export function catalogue(): string {
  const texts = documentation();
  const rows = Object.entries(groups).map(
    ([group, names]) => `| ${group} | ${names.map((name) => `[\`${name}\`](#${name.toLowerCase()})`).join(', ')} |`,
  );
  const entries = Object.values(groups).flatMap((names) => names.map((name) => entryOf(name, texts.get(name)!)));
  return `| | |\n| --- | --- |\n${rows.join('\n')}\n\n${entries.join('\n\n')}`;
}

/** The programs that the formats are tested with: a table. */
export function programs(): string {
  const rows = peers.map(({ name, spec, packages, formats, isPrivileged }) => {
    const names = formats.map((each) => `[\`${each}\`](../../../lib/wire/README.md#${each.toLowerCase()})`);
    const from = packages.length > 0 ? packages.map((each) => `\`${each}\``).join(', ') : 'npm';
    return `| ${name} | ${names.join(', ')} | [\`${spec}\`](${spec}.interop.ts)${isPrivileged ? ', only when named' : ''} | ${from} |`;
  });
  return `| program | formats | spec | packages |\n| --- | --- | --- | --- |\n${rows.join('\n')}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  fill('lib/wire/README.md', 'formats', catalogue());
  fill('spec/tools/interop/README.md', 'programs', programs());
}
