import { inspect } from 'node:util';
import { expect } from 'chai';
import { CutError, checkAnyCut } from '../../lib/fuzz/index.js';

/** The error of a decoder that hands these out, whatever it is given. */
async function errorOf(actual: unknown[], expected: unknown[], bytes = Buffer.of(0)): Promise<CutError> {
  const decoder = async function* (chunks: AsyncIterable<Uint8Array>) {
    for await (const _ of chunks);
    yield* actual;
  };
  const error = await checkAnyCut(decoder, bytes, expected).catch((reason) => reason);
  expect(error).to.be.instanceOf(CutError).with.property('name', 'CutError');
  return error;
}

const all = (...texts: string[]) => texts.map((text) => Buffer.from(text));

describe('a CutError', () => {
  it('says what is wrong in its first line', async () => {
    const cases: [actual: unknown[], expected: unknown[], what: string][] = [
      [all('a', 'c'), all('a', 'b', 'c'), 'message 2 is missing'],
      [all('b'), all('a', 'b'), 'message 1 is missing'],
      [all('b', 'x'), all('a', 'b'), 'message 1 is wrong'],
      [all('a', 'x', 'c'), all('a', 'b', 'c'), 'message 2 is wrong'],
      [all('a', 'b'), all('a'), '2 messages, not 1'],
      [all('a'), all('a', 'b'), '1 of 2 messages'],
      [all('ab', 'c'), all('a', 'b', 'c'), 'message 1 is 2 messages glued together'],
      [all('a', 'bc'), all('a', 'b', '', 'c'), 'message 2 is 3 messages glued together'],
      [all('a', 'bd'), all('a', 'b', 'c'), 'message 2 is wrong'],
      // Empty ones are not seen in what is glued: these may have been lost.
      [all('', 'a'), all('a'), 'message 1 is wrong'],
      [all('a'), all('', 'a'), 'message 1 is missing'],
      [[1, 2], [1, 3], 'message 2 is wrong'],
      [['ab'], ['a', 'b'], 'message 1 is wrong'],
      [[Buffer.from('a')], ['a'], 'message 1 is wrong'],
    ];
    for (const [actual, expected, what] of cases) {
      const { message } = await errorOf(actual, expected);
      expect(message.split('\n')[0]).to.equal(`1 byte in one chunk: ${what}`);
    }
  });

  it('shows bytes as hex and text, other messages as they are, and of long ones both ends', async () => {
    const long = Buffer.from(Array.from({ length: 25 }, (_, i) => i));
    const actual = [
      Buffer.alloc(0),
      Buffer.from(' ~\x7f\x1f'),
      Buffer.of(0, 255),
      Buffer.alloc(24, 'x'),
      long,
      { a: [1] },
    ];
    const { message } = await errorOf(actual, [], Buffer.from('hi'));
    expect(message.split('\n').slice(1)).to.deep.equal([
      '  chunk 1   68 69 |hi|',
      '  expected  none',
      '  actual 1  empty',
      '  actual 2  20 7e 7f 1f | ~..|',
      '  actual 3  00 ff',
      `  actual 4  ${Array(24).fill('78').join(' ')} |${'x'.repeat(24)}|`,
      '  actual 5  00 01 02 03 04 05 06 07 08 09 0a 0b ... 0d 0e 0f 10 11 12 13 14 15 16 17 18, 25 bytes',
      '  actual 6  { a: [ 1 ] }',
    ]);
  });

  it('of many messages shows those around the first that is wrong', async () => {
    const expected = Array.from({ length: 30 }, (_, i) => i);
    const shown = async (wrong: number) => {
      const { message } = await errorOf(
        expected.map((number) => (number === wrong ? -1 : number)),
        expected,
      );
      return message.split('\n').flatMap((line) => (/actual|and/.test(line) ? line.trim().replace(/ +/g, ' ') : []));
    };
    for (const [wrong, from] of [
      [15, 11],
      [0, 0],
      [29, 22],
    ] as const) {
      const numbers = expected.slice(from, from + 8);
      const rows = numbers.map((number) => `actual ${number + 1} ${number === wrong ? -1 : number}`);
      // The same of what was expected, and of the actual ones.
      expect(await shown(wrong)).to.deep.equal(['and 22 more', ...rows, 'and 22 more']);
    }
  });

  it('tells a program more than it prints', async () => {
    const actual = all('b');
    const expected = all('a');
    const error = await errorOf(actual, expected);
    expect(error.chunks).to.deep.equal([Buffer.of(0)]);
    expect(error.expectedMessages).to.equal(expected);
    expect(error.actualMessages).to.deep.equal(actual);
    const [head, below, ...more] = inspect(error).split(error.message);
    expect([head, more]).to.deep.equal([head?.replace(/\n/g, ''), []]);
    for (const line of below!.trim().split('\n')) expect(line).to.match(/^ *at /);
  });
});
