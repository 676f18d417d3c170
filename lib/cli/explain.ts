/** `--explain`, of every command. */
import { drawFormat } from './drawing.js';
import { formatOf } from './format.js';
import type { Values } from './options.js';
import { print } from './output.js';

export function explain(values: Values): Promise<number> {
  return print(drawFormat(formatOf(values)).join('\n'));
}
