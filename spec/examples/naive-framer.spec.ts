import { expect } from 'chai';
import { cleanUp, Program } from '../support/programs.js';

describe('examples/naive-framer', () => {
  afterEach(cleanUp);

  it('shows how each naive handler fails, with the simplest cut, and that LengthPrefixDecoder does not', async () => {
    // A package that it tries calls what later Nodes warn of.
    const program = new Program('naive-framer', [], { env: { NODE_NO_WARNINGS: '1' } });
    await program.succeeds();
    const at = (start: string) => program.lines.findIndex((line) => line.startsWith(start));
    const cut = '9 bytes in 2 chunks, 1 + 8';
    expect(program.lines.slice(at('takeEachChunk'), at('takeFirstOfChunk') - 1)).to.deep.equal([
      `takeEachChunk: ${cut}: message 1 is wrong`,
      '  chunk 1     05',
      '  chunk 2     00 00 00 68 65 6c 6c 6f |...hello|',
      '  expected 1  68 65 6c 6c 6f |hello|',
      '  actual 1    empty',
      '  actual 2    65 6c 6c 6f |ello|',
    ]);
    for (const name of ['takeFirstOfChunk', 'keepWhatIsLeft']) {
      const failure = `${name}: ${cut}: it fails after 1 of 9 bytes and 0 of 1 messages: ERR_BUFFER_OUT_OF_BOUNDS: `;
      expect(at(failure), name).to.be.greaterThan(0);
    }
    expect(program.lines).to.include('LengthPrefixDecoder: right, in all the 256 cuts there are');
    // What it says of other packages is for them to change.
    const ours = program.lines.filter((line) => line.startsWith('  length-prefix, '));
    expect(ours).to.have.lengthOf(4);
    for (const line of ours) expect(line).to.match(/: right, in 512 cuts$/);
  });
});
