/** `length-prefix formats` */
import { formats } from 'length-prefix';
import { drawFormat } from './drawing.js';
import { formatNamed } from './format.js';
import type { Values } from './options.js';
import { print } from './output.js';
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
  const drawn = (name: string) => [name, ...drawFormat(formatNamed(name)).map((line) => `  ${line}`), ''].join('\n');
  const chosen = names.length === 0 ? Object.keys(formats) : names;
  return print(chosen.map(values.json === true ? jsonOf : drawn).join('\n'));
}
