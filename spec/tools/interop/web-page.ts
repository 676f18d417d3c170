// Runs in a browser: takes the messages of each format out of a fetch body, sends them back, and says what it saw.
import {
  decode,
  type FormatOptions,
  formats,
  LengthPrefixDecoderStream,
  LengthPrefixEncoderStream,
} from '../../../lib/web/index.js';

const post = (path: string, body: string | ArrayBuffer) => fetch(path, { method: 'POST', body });

async function bodyOf(path: string): Promise<ReadableStream<Uint8Array>> {
  return (await fetch(path)).body as ReadableStream<Uint8Array>;
}

async function sendBack(name: string, format: FormatOptions): Promise<number> {
  const messages = (await bodyOf(`/frames/${name}`))
    .pipeThrough(new LengthPrefixDecoderStream(format))
    .pipeThrough(new LengthPrefixEncoderStream(format));
  const bytes = await new Response(messages as ReadableStream<Uint8Array<ArrayBuffer>>).arrayBuffer();
  await post(`/frames/${name}`, bytes);
  return [...decode(bytes, format)].length;
}

/** The lengths of bodies that are read as they come, every other one passed over. */
async function bodies(): Promise<number[]> {
  const lengths: number[] = [];
  const messages = (await bodyOf('/frames/dotnet')).pipeThrough(new LengthPrefixDecoderStream({ stream: true }));
  const reader = messages.getReader();
  for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
    if (lengths.length % 2 === 1) await value!.body.cancel();
    else
      expectLength(
        await new Response(value!.body as ReadableStream<Uint8Array<ArrayBuffer>>).arrayBuffer(),
        value!.length,
      );
    lengths.push(value!.length);
  }
  return lengths;
}

function expectLength({ byteLength }: ArrayBuffer, length: number): void {
  if (byteLength !== length) throw new Error(`${byteLength} of ${length} bytes came`);
}

async function truncated(): Promise<unknown> {
  const messages = (await bodyOf('/truncated')).pipeThrough(new LengthPrefixDecoderStream());
  const reader = messages.getReader();
  const lengths: number[] = [];
  try {
    for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
      lengths.push(value!.length);
    }
    return { lengths };
  } catch (error) {
    const { name, code, position } = error as { name: string; code: string; position: number };
    return { lengths, name, code, position };
  }
}

async function main(): Promise<unknown> {
  const counts: Record<string, number> = {};
  for (const [name, format] of Object.entries(formats)) counts[name] = await sendBack(name, format);
  return { counts, bodies: await bodies(), truncated: await truncated() };
}

main()
  .catch((error) => ({ error: String(error.stack ?? error) }))
  .then((result) => post('/result', JSON.stringify(result)));
