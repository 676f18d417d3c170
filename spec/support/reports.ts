import { expect } from 'chai';

/** A test with the wrong decoder of the README, and the message that `checkAnyCut` fails with. */
const CHECK = `
async function* oneMessagePerChunk(chunks) {
  for await (const chunk of chunks) yield chunk.subarray(4);
}
const wire = Buffer.from('\\x05\\0\\0\\0hello', 'latin1');
it('reads a message', () => checkAnyCut(oneMessagePerChunk, wire, [Buffer.from('hello')]));
`;
const MESSAGE = `9 bytes in 2 chunks, 1 + 8: message 1 is wrong
  chunk 1     05
  chunk 2     00 00 00 68 65 6c 6c 6f |...hello|
  expected 1  68 65 6c 6c 6f |hello|
  actual 1    empty
  actual 2    65 6c 6c 6f |ello|`;

/** The code of a test that fails with a CutError. `it` is imported from the runner, or is a global if none is named. */
export function failingTest(fuzz: string, runner?: string): string {
  const imports = runner === undefined ? '' : `import { it } from '${runner}';\n`;
  return `${imports}import { checkAnyCut } from '${fuzz}';\n${CHECK}`;
}

/** A line of a diff, a property of the error, or a byte in a line of its own. */
const DIFF =
  /^[-+](?!-)|^\d+: *\d*$|^\d+,?$|Buffer|Array|\b(chunks|seed|expected|actual|expectedMessages|actualMessages)\b/i;

/** Expects a test runner to show the message of the failing test once, then the stack, and nothing else of the error. */
export function expectMessageAlone(report: string): void {
  const lines = report.split('\n').flatMap((line) => line.trim() || []);
  const message = MESSAGE.split('\n').map((line) => line.trim());
  const at = lines.findIndex((line) => line.endsWith(message[0]!));
  const shown = lines.splice(at, message.length);
  expect([shown[0]?.slice(-message[0]!.length), ...shown.slice(1)], report).to.deep.equal(message);
  expect(lines.filter((line) => DIFF.test(line) || message.some((part) => line.endsWith(part)))).to.deep.equal([]);
  expect(lines.slice(at).join('\n'), 'the stack').to.match(/^(.*\n){0,4}(at |❯ )?checkAnyCut/);
}
