/**
 * What a tap costs: the time of `\copy` of a million rows to and from PostgreSQL, directly, and through `length-prefix tap`
 * with `--json --output`: `node dist/spec/tools/interop/tap-cost.js`.
 */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { startTap } from '../../cli/command.js';
import { cleanUp } from '../../support/programs.js';
import { startPostgres } from './postgres.js';
import { Host } from './servers.js';

const ROUNDS = 5;
const ROWS = 1_000_000;

const host = new Host();
const port = await startPostgres(host);
const file = join(host.folder, 'rows');

async function psql(at: number, command: string): Promise<number> {
  const begin = performance.now();
  await host.run('psql', [
    '-X',
    '-q',
    '-c',
    command,
    `host=127.0.0.1 port=${at} user=bob dbname=postgres sslmode=disable`,
  ]);
  return performance.now() - begin;
}

const median = (times: number[]) => times.sort((a, b) => a - b)[Math.floor(times.length / 2)]!;

await psql(port, `CREATE TABLE rows AS SELECT n, 'a text in row ' || n AS t FROM generate_series(1, ${ROWS}) n`);
await psql(port, 'CREATE UNLOGGED TABLE copies (n int, t text)');
const commands = {
  'to a file': `\\copy rows TO '${file}'`,
  'from a file': `\\copy copies FROM '${file}'`,
};
for (const [way, command] of Object.entries(commands)) {
  const [direct, through]: [number[], number[]] = [[], []];
  let size = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const output = join(host.folder, 'seen.ndjson');
    const { server, port: tapPort } = await startTap(port, ['--format', 'postgres', '--json', '--output', output]);
    direct.push(await psql(port, command));
    through.push(await psql(tapPort, command));
    server.signal('SIGTERM');
    await server.ended;
    size = statSync(output).size;
    await psql(port, 'TRUNCATE copies');
  }
  const [a, b] = [median(direct), median(through)];
  console.log(
    `${way}: ${a.toFixed()} ms, through the tap ${b.toFixed()} ms: ${(b / a).toFixed(2)}; ${size} bytes of JSON`,
  );
}
await cleanUp();
await host.close();
