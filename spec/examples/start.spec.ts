import { readdirSync } from 'node:fs';
import { expect } from 'chai';
import { lengthsIn } from '../cli/command.js';
import {
  cleanUp,
  closed,
  connectTo,
  Program,
  portOf,
  replaceWriteFile,
  temporaryDirectory,
} from '../support/programs.js';
import { programArgs, replaceExport } from '../support/runtime.js';

describe('examples/start', () => {
  afterEach(cleanUp);

  function start(preload?: string): { program: Program; temporary: string } {
    const temporary = temporaryDirectory();
    const env = { TMPDIR: temporary, TEMP: temporary, TMP: temporary };
    return { program: new Program('start', [], { env, preload: preload && inPrograms(preload) }), temporary };
  }

  /** Has the programs that are started run the code first. */
  const inPrograms = (code: string) => {
    const args = JSON.stringify(programArgs('', { preload: code }).slice(0, -1));
    const spawning = `(command, rest, options) => original(command, [...${args}, ...rest], options)`;
    return replaceExport('node:child_process', 'spawn', spawning);
  };

  const inProgram = (name: string, code: string) => `if (process.argv[2] === '${name}') { ${code} }`;

  it('shows both programs at work, and leaves nothing behind', async () => {
    const { program, temporary } = start();
    await program.succeeds();
    expect(program.lines[0]).to.match(/^server \| Listening on 127\.0\.0\.1:\d+$/);
    const sizes = [0, 1, 11, 1_000, 65_536, 100_000, 8_000_000];
    for (const size of sizes) {
      const sent = new RegExp(`^client \\| Sent .*/${size}-bytes: ${size} bytes?$`);
      expect(program.lines.filter((line) => sent.test(line))).to.have.lengthOf(1);
    }
    const lines = program.lines.filter((line) => line.startsWith('server | '));
    expect(lengthsIn(lines.map((line) => line.slice('server | '.length)))).to.deep.equal(sizes);
    expect(program.lines.at(-1)).to.equal('All 7 messages arrived as they were sent.');
    expect(readdirSync(temporary)).to.deep.equal([]);
  });

  it('fails in one line when the client dies, and ends the server', async () => {
    const { program, temporary } = start(inProgram('connect', "process.kill(process.pid, 'SIGKILL')"));
    const port = portOf(await program.line(/Listening on/));
    await program.fails(/^start: The client failed: SIGKILL$/);
    expect(readdirSync(temporary)).to.deep.equal([]);
    // A server that is still there keeps this connection.
    await connectTo(port).then(closed, () => 'refused');
  });

  const mishaps: [name: string, preload: string, line: RegExp][] = [
    ['the server does not start', inProgram('listen', 'process.exit(3)'), /^start: The server failed: exit code 3$/],
    [
      'the server dies on the way',
      replaceWriteFile('async () => process.exit(4)'),
      /^start: The client failed: exit code 1$/,
    ],
    [
      'a message is saved wrong',
      replaceWriteFile(`async (file, body) => {
        const parts = [];
        for await (const part of body) parts.push(part);
        const data = Buffer.concat(parts);
        return original(file, data.length === 11 ? data.fill(0) : data);
      }`),
      /^start: The message of 11 bytes is not what was sent$/,
    ],
  ];
  for (const [name, preload, line] of mishaps) {
    it(`fails in one line when ${name}`, async () => {
      const { program, temporary } = start(preload);
      await program.fails(line);
      expect(readdirSync(temporary)).to.deep.equal([]);
    });
  }
});
