/** `--explain`, of every command. */
import { drawFormat } from './drawing.js';
import { formatOf } from './format.js';
import type { Values } from './options.js';
import { Output } from './output.js';

export async function explain(values: Values): Promise<number> {
  const output = await Output.open(undefined, () => {});
  output.write(`${drawFormat(formatOf(values)).join('\n')}\n`);
  await output.end();
  return 0;
}
