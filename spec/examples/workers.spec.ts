import { expect } from 'chai';
import { cleanUp, Program } from '../support/programs.js';
import { codeArgs, replaceExport } from '../support/runtime.js';

describe('examples/workers', () => {
  afterEach(cleanUp);

  /** Has two workers, of which the first one runs the code instead, and prints their ids. */
  function start(jobs: number[], code?: string): Program {
    const args = code === undefined ? 'args' : `workers === 1 ? ${JSON.stringify(codeArgs(code))} : args`;
    const spawning = `(command, args, options) => {
      globalThis.workers = (globalThis.workers ?? 0) + 1;
      const child = original(command, ${args}, options);
      console.log('worker', child.pid);
      return child;
    }`;
    const preload =
      replaceExport('node:child_process', 'spawn', spawning) +
      replaceExport('node:os', 'availableParallelism', '() => 2');
    return new Program('workers', jobs.map(String), { preload });
  }

  const results = ({ lines }: Program) => lines.filter((line) => !line.startsWith('worker ')).sort();
  const workers = ({ lines }: Program) => lines.filter((line) => line.startsWith('worker '));

  it('has as many workers as there are processors, or jobs, and gives each the next job when it is done', async () => {
    const many = start([2_000_000, 2, 3, 4, 100]);
    await many.succeeds();
    expect(results(many)).to.deep.equal([
      '0 primes below 2',
      '1 primes below 3',
      '148933 primes below 2000000',
      '2 primes below 4',
      '25 primes below 100',
    ]);
    // The large one took a worker for longer than all others did.
    expect(many.lines.at(-1)).to.equal('148933 primes below 2000000');
    expect(new Set(workers(many)).size).to.equal(2);

    const one = start([10]);
    await one.succeeds();
    expect(results(one)).to.deep.equal(['4 primes below 10']);
    expect(workers(one)).to.have.lengthOf(1);
  });

  const faults: [name: string, code: string, line: RegExp][] = [
    ['ends', 'process.exitCode = 0', /^(A worker ended at \{"below":10\}|write EPIPE)$/],
    ['dies at its job', "process.stdin.once('data', () => process.exit(3))", /^A worker ended at \{"below":10\}$/],
    ['prints something', "console.log('Working...'); process.stdin.resume()", /^Frame at byte 0: .*1802661719 bytes/],
    ['ends in a result', 'process.stdout.write(new Uint8Array(3))', /^(Frame at byte 0: .* 3 of 4 bytes|write EPIPE)/],
    [
      'gives what is no JSON',
      "process.stdin.once('data', () => process.stdout.write(Buffer.of(1, 0, 0, 0, 0x7b))).resume()",
      /^Frame at byte 0: .*JSON/,
    ],
  ];
  for (const [name, code, line] of faults) {
    it(`a worker that ${name} loses its job, in one line; the other one does the rest`, async () => {
      const program = start([10, 100, 2, 3], code);
      await program.fails(line);
      expect(results(program)).to.deep.equal(['0 primes below 2', '1 primes below 3', '25 primes below 100']);
    });
  }
});
