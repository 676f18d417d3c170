/** `length-prefix formats` */
import { formats } from 'length-prefix';
import { drawFormat } from './drawing.js';
import { formatNamed } from './format.js';
import type { Values } from './options.js';
import { Output } from './output.js';
import { safeJson } from './text.js';

/** As the options have it: bytes in hex. */
function jsonOf(name: string): string {
  const plain = Object.entries(formatNamed(name)).map(([key, value]) => {
    if (value instanceof Uint8Array) return [key, Buffer.from(value).toString('hex')];
    return [key, typeof value === 'object' ? `1 to ${(value as { maxWidth: number }).maxWidth} bytes` : value];
  });
  return safeJson({ name, ...Object.fromEntries(plain) });
}

export async function run(values: Values, names: readonly string[]): Promise<number> {
  let lost: NodeJS.ErrnoException | undefined;
  const output = await Output.open(undefined, (error) => (lost = error));
  for (const name of names.length === 0 ? Object.keys(formats) : names) {
    const format = formatNamed(name);
    const lines = values.json === true ? [jsonOf(name)] : [name, ...drawFormat(format).map((line) => `  ${line}`), ''];
    output.write(`${lines.join('\n')}\n`);
  }
  await output.end();
  if (lost !== undefined && lost.code !== 'EPIPE') throw lost;
  return 0;
}
