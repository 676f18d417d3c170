import { expect } from 'chai';
import { type FormatOptions, LengthPrefixDecoder } from '../../lib/index.js';
import { decode, encode, fromHex } from './streams.js';

/** A frame drawn in the documentation: what the options are called, and the bytes before and after decoding. */
export interface Drawing {
  options: string;
  before: string;
  after: string;
}

/** The frames drawn in a text. */
export function drawings(text: string): Drawing[] {
  const drawing = /options +(\{.*\}|formats\.\w+)\n.*before +([0-9a-f |]+)\n.*after *([0-9a-f ]*)\n/g;
  return Array.from(text.matchAll(drawing), ([, options, before, after]) => ({
    options: options!,
    before: before!,
    after: after!,
  }));
}

/** The batches that a decoder makes of the chunks. */
export async function decodeBatches(chunks: Buffer[], options: FormatOptions): Promise<Buffer[][]> {
  const decoder = new LengthPrefixDecoder({ ...options, batch: true });
  for (const chunk of chunks) decoder.write(chunk);
  decoder.end();
  return await decoder.toArray();
}

/** Tests that frames become messages as drawn, and messages frames. */
export function itIsAsDrawn({ options, before, after }: Drawing, format: FormatOptions): void {
  it(`${options}: ${before} becomes ${after}, and again ${before}`, async () => {
    const { items, error } = await decode([fromHex(before)], format);
    expect(error).to.equal(undefined);
    expect(items).to.deep.equal([fromHex(after)]);
    expect(await decodeBatches([fromHex(before + before)], format)).to.deep.equal([[fromHex(after), fromHex(after)]]);
    expect(await encode(items, format)).to.deep.equal(fromHex(before));
  });
}
