import { pipeline } from 'node:stream/promises';
import * as source from '../lib/index.js';

// The element types, with no cast. This file is never run: it does not compile when they are wrong.
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const sure = <T extends true>(_?: T) => {};

export async function types(): Promise<void> {
  const one = new source.LengthPrefixDecoder();
  sure<Same<typeof one, source.LengthPrefixDecoder<false>>>();
  const read = one.read();
  sure<Same<typeof read, Buffer | null>>();
  one.on('data', (message) => sure<Same<typeof message, Buffer>>());
  one.once('data', (message) => sure<Same<typeof message, Buffer>>());
  one.on('oversize', (length, position) => sure<Same<[typeof length, typeof position], [number, number]>>());
  one.on('error', (error: source.FrameError) => error.code);
  for await (const message of one) sure<Same<typeof message, Buffer>>();
  for await (const message of one.iterator({ destroyOnReturn: false })) sure<Same<typeof message, Buffer>>();
  const all = await one.toArray();
  sure<Same<typeof all, Buffer[]>>();

  const many = new source.LengthPrefixDecoder({ batch: true, lengthField: 'varint' });
  const batch = many.read();
  sure<Same<typeof batch, Buffer[] | null>>();
  many.on('data', (messages) => sure<Same<typeof messages, Buffer[]>>());
  for await (const messages of many) sure<Same<typeof messages, Buffer[]>>();

  await pipeline(process.stdin, one, async (messages) => messages.read());
  await pipeline(process.stdin, many, async (batches) => batches.read());
  await pipeline(process.stdin, one, new source.LengthPrefixEncoder(), process.stdout);

  const off = new source.LengthPrefixDecoder({ batch: false, copy: true });
  for await (const message of off) sure<Same<typeof message, Buffer>>();

  // One object for both ends.
  const format = { lengthField: 'uint16be', header: Buffer.alloc(2), batch: true } as const;
  new source.LengthPrefixDecoder(format).pipe(process.stdout);
  process.stdin.pipe(new source.LengthPrefixDecoder(format)).pipe(new source.LengthPrefixEncoder(format));
}
