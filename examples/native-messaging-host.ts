/**
 * A native-messaging host: a program that an extension of Chrome, Chromium, Edge or Brave talks to.
 *
 *     npm run native-messaging-host -- --install ~/.config/chromium EXTENSION-ID
 *
 * Then, in the extension: `chrome.runtime.connectNative('com.example.length_prefix')`, and
 * `port.postMessage({ id: 1, command: 'system' })`.
 */
import { Console } from 'node:console';
import { mkdirSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { formats, json, LengthPrefixDecoder, LengthPrefixEncoder } from 'length-prefix';

const NAME = 'com.example.length_prefix';

const usage = `Usage: npm run native-messaging-host -- --install FOLDER EXTENSION-ID...

FOLDER: where the browser keeps its data, such as ~/.config/chromium or ~/.config/google-chrome`;

/** The requests of an extension: `{ id, command, value }` is answered with `{ id, result }`, or `{ id, error }`. */
const commands = new Map<unknown, (value: any) => unknown>([
  ['echo', (value) => value],
  ['length', (text: string) => text.length],
  ['system', () => `${os.type()} ${os.release()}`],
]);

/** The most bytes of an answer that a browser takes. */
const MOST = formats.nativeMessagingToBrowser.maxPayloadLength!;

function resultOf({ id, command, value }: any): object {
  const execute = commands.get(command);
  if (execute === undefined) return { id, error: `There is no command ${String(command).slice(0, 100)}` };
  try {
    // No result is a result, too: without one, nothing would be there.
    return { id, result: execute(value) ?? null };
  } catch (error) {
    return { id, error: String(error).slice(0, 1000) };
  }
}

/** Each request is answered, or it is said why it is not. */
function answerTo(request: any): object {
  if (request === NOTHING) return { error: 'A request is an object, not null' };
  const answer = resultOf(request);
  const length = Buffer.byteLength(JSON.stringify(answer));
  if (length <= MOST) return answer;
  const error = `The answer has ${length} bytes, a browser takes at most ${MOST}`;
  return Buffer.byteLength(JSON.stringify(request.id) ?? '') < MOST / 2 ? { id: request.id, error } : { error };
}

/** A stream can't hand out null. */
const NOTHING = Symbol('null');
const decode: typeof json.decode = (bytes, start, end) => JSON.parse(bytes.toString('utf8', start, end)) ?? NOTHING;

async function* answersTo(messages: AsyncIterable<unknown>): AsyncGenerator<object> {
  for await (const message of messages) yield answerTo(message);
}

/** The browser ends the input when it is done, and so does this. A message that is wrong ends it, too. */
async function serve(): Promise<void> {
  // The standard output has messages, and nothing else.
  globalThis.console = new Console(process.stderr);
  const decoder = new LengthPrefixDecoder({ ...formats.nativeMessagingToHost, decode });
  const encoder = new LengthPrefixEncoder({ ...formats.nativeMessagingToBrowser, encode: json.encode });
  await pipeline(process.stdin, decoder, answersTo, encoder, process.stdout);
}

/** A browser finds its hosts by their manifests. Windows has the path of the manifest in the registry instead. */
function install(folder: string, extensions: string[]): void {
  const wrong = extensions.find((id) => !/^[a-p]{32}$/.test(id));
  if (wrong !== undefined) throw new Error(`'${wrong}' is no id of an extension: 32 letters from a to p`);
  if (extensions.length === 0) throw new Error('There is no EXTENSION-ID. --help tells more');
  const hosts = resolve(folder, 'NativeMessagingHosts');
  const file = join(hosts, `${NAME}.json`);
  const path = join(hosts, `${NAME}.sh`);
  const description = 'An example of the package length-prefix';
  const allowed_origins = extensions.map((id) => `chrome-extension://${id}/`);
  const manifest = { name: NAME, description, path, type: 'stdio', allowed_origins };
  mkdirSync(hosts, { recursive: true });
  // A browser gives a host no arguments of ours, and may not know where node is.
  const words = [process.execPath, fileURLToPath(import.meta.url)].map((word) => `'${word.replaceAll("'", "'\\''")}'`);
  writeFileSync(path, `#!/bin/sh\nexec ${words.join(' ')} "$@"\n`, { mode: 0o755 });
  writeFileSync(file, `${JSON.stringify(manifest, null, 2)}\n`);
  console.log(`Installed ${file}`);
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: {
      install: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
      'parent-window': { type: 'string' }, // said by browsers on Windows
    },
    allowPositionals: true, // A browser says who talks: chrome-extension://EXTENSION-ID/
  });
  if (values.install !== undefined) install(values.install, positionals);
  else if (values.help || process.stdin.isTTY) console.log(usage);
  else await serve();
}

await main().catch((error) => {
  console.error(`native-messaging-host: ${error.message}`);
  process.exitCode = 1;
});
