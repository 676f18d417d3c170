/** `length-prefix encode` */
import { LengthPrefixEncoder, type Message } from 'length-prefix';
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
  let failed: unknown;
  const give = (name: string, message: Message) =>
    new Promise<void>((resolve) => {
      const hasRoom = encoder.write(message, (error) => {
        if (error && lost === undefined) failed ??= new InputError(name, error);
        resolve();
      });
      // Short messages of one tick leave together.
      if (hasRoom && Buffer.isBuffer(message)) resolve();
    });
  try {
    for await (const { name, message } of all) {
      if (lost !== undefined || failed !== undefined) break;
      await give(name, message);
    }
  } catch (error) {
    failed ??= error;
  }
  // Messages in front of a failure are written.
  encoder.end();
  await writing.catch((error) => {
    failed ??= new Error(describe(error));
  });
  await output.end();
  const failure = failureOf(lost) ?? (lost === undefined ? failed : undefined);
  if (failure !== undefined) throw failure;
  return 0;
}
