/** `length-prefix encode` */
import { LengthPrefixEncoder } from 'length-prefix';
import { describe, UsageError } from './errors.js';
import { formatOf } from './format.js';
import { InputError, sendings } from './input.js';
import type { Values } from './options.js';
import { failureOf, Output } from './output.js';

export async function run(values: Values, names: readonly string[]): Promise<number> {
  const format = formatOf(values);
  const all = sendings(names, values, format);
  let lost: NodeJS.ErrnoException | undefined;
  const output = await Output.open(values.output as string | undefined, (error) => (lost = error));
  if (output.isTerminal)
    throw new UsageError('Frames have bytes that a terminal would obey: use a pipe, or --output FILE');
  const encoder = new LengthPrefixEncoder(format);
  const writing = (async () => {
    for await (const chunk of encoder) {
      output.writeBytes(chunk);
      await output.ready();
      if (lost !== undefined) return;
    }
  })();
  // It is awaited when all was given to it.
  writing.catch(() => {});
  encoder.on('error', () => {});
  for await (const { name, message } of all) {
    if (lost !== undefined) break;
    await new Promise<void>((resolve, reject) => {
      encoder.write(message, (error) =>
        error && lost === undefined ? reject(new InputError(name, error)) : resolve(),
      );
    });
  }
  encoder.end();
  await writing.catch((error) => {
    if (lost === undefined) throw new Error(describe(error));
  });
  await output.end();
  const failure = failureOf(lost);
  if (failure !== undefined) throw failure;
  return 0;
}
