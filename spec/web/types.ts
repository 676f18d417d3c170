import * as web from '../../lib/web/index.js';

// The element types, with no cast. This file is never run: it does not compile when they are wrong.
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
// TypeScript 5.6 does not know `Uint8Array<ArrayBuffer>`.
type Bytes = ReturnType<Uint8Array['slice']>;
const sure = <T extends true>(_?: T) => {};

export async function types(bytes: Uint8Array, response: Response): Promise<void> {
  const body = response.body!;
  const one = body.pipeThrough(new web.LengthPrefixDecoderStream());
  sure<Same<typeof one, ReadableStream<Bytes>>>();
  const many = body.pipeThrough(new web.LengthPrefixDecoderStream({ batch: true, ...web.formats.kafka }));
  sure<Same<typeof many, ReadableStream<Bytes[]>>>();
  const texts = body.pipeThrough(new web.LengthPrefixDecoderStream(web.text));
  sure<Same<typeof texts, ReadableStream<string>>>();
  const lists = body.pipeThrough(new web.LengthPrefixDecoderStream({ ...web.text, batch: true }));
  sure<Same<typeof lists, ReadableStream<string[]>>>();
  const streamed = body.pipeThrough(new web.LengthPrefixDecoderStream({ stream: true }));
  sure<Same<typeof streamed, ReadableStream<web.StreamedMessage>>>();

  const { value } = await one.getReader().read();
  sure<Same<typeof value, Bytes | undefined>>();

  const encoded = texts.pipeThrough(new web.LengthPrefixEncoderStream(web.text));
  sure<Same<typeof encoded, ReadableStream<Bytes>>>();
  one.pipeThrough(new web.LengthPrefixEncoderStream({ lengthField: 'varint' }));
  streamed.pipeThrough(new web.LengthPrefixEncoderStream());
  const writer = new web.LengthPrefixEncoderStream().writable.getWriter();
  await writer.write(['a', new Uint8Array(1)]);
  await writer.write({ length: 1, body: ['a'] });
  // @ts-expect-error: no message
  await writer.write(5);
  const numbers: web.Codec<number, number | bigint> = {
    decode: (data, start) => data[start]!,
    encode: (number) => Uint8Array.of(Number(number)),
  };
  await new web.LengthPrefixEncoderStream(numbers).writable.getWriter().write(1n);
  // @ts-expect-error: not a number
  await new web.LengthPrefixEncoderStream(numbers).writable.getWriter().write('1');

  for (const message of web.decode(bytes)) sure<Same<typeof message, Bytes>>();
  for (const message of web.decode([bytes, bytes.buffer], numbers)) sure<Same<typeof message, number>>();
  for (const messages of web.decode([bytes], { batch: true })) sure<Same<typeof messages, Bytes[]>>();
  for await (const message of web.decode(body, web.text)) sure<Same<typeof message, string>>();
  // @ts-expect-error: not for bytes in hand
  web.decode(bytes, { stream: true });

  const frame = web.encode('a', web.formats.dns);
  sure<Same<typeof frame, Bytes>>();
  new Response(frame);
  new Blob([value!]);
  web.encode(1n, numbers);
  // @ts-expect-error: not a number
  web.encode('1', numbers);
  // @ts-expect-error: its bytes are not in hand
  web.encode({ length: 1, body: ['a'] });
}
