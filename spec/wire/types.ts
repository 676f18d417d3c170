import type { Socket } from 'node:net';
import { buffers, type Codec, json } from '../../lib/index.js';
import { FrameBuilder, FrameParser, formats } from '../../lib/wire/index.js';

// The element types, with no cast. This file is never run: it does not compile when they are wrong.
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const sure = <T extends true>(_?: T) => {};

export function types(socket: Socket): void {
  const bytes = new FrameParser().next();
  sure<Same<typeof bytes, Uint8Array | undefined>>();
  const inFormat = new FrameParser(formats.postgres, buffers).next();
  sure<Same<typeof inFormat, Buffer | undefined>>();
  const batch = new FrameParser({ batch: true }).next();
  sure<Same<typeof batch, Uint8Array[] | undefined>>();
  const batchOfBuffers = new FrameParser({ ...formats.dns, batch: true }, buffers).next();
  sure<Same<typeof batchOfBuffers, Buffer[] | undefined>>();
  const values = new FrameParser({ decode: (_bytes: Uint8Array, start: number, end: number) => end - start }).next();
  sure<Same<typeof values, number | undefined>>();
  const batchOfValues = new FrameParser({ batch: true, decode: () => 'a' }).next();
  sure<Same<typeof batchOfValues, string[] | undefined>>();
  const any = new FrameParser(json, buffers).next();
  sure<Same<typeof any, any>>();
  const pairs: Codec<{ a: number }> = json;
  new FrameBuilder(pairs).add({ a: 1 });
  // @ts-expect-error: another value
  new FrameBuilder(pairs).add(5);
  new FrameBuilder(formats.kafka).add(['a', new Uint8Array(1)]);
  // @ts-expect-error: no message
  new FrameBuilder(formats.kafka).add({ a: 1 });
  const parser = new FrameParser(formats.mysql);
  socket.on('data', (chunk: Buffer) => parser.push(chunk));
}
