/**
 * Talks to programs that nobody here wrote: `npm run test:interop`, or `npm run test:interop -- postgres erlang` for some.
 *
 * Installs what is missing with apt-get, as root on a Debian. Nothing that it installs is started as a service.
 */
import { fileURLToPath } from 'node:url';
import { install, missingOf, run } from '../debian.js';
import { peers } from './peers.js';

function main(names: string[]): number {
  const unknown = names.filter((name) => !peers.some(({ spec }) => spec === name));
  if (unknown.length > 0) {
    console.error(`No peer is called ${unknown.join(', ')}. There are: ${peers.map(({ spec }) => spec).join(', ')}`);
    return 2;
  }
  const chosen = peers.filter(({ spec, isPrivileged }) => (names.length > 0 ? names.includes(spec) : !isPrivileged));
  install(chosen.flatMap(({ packages }) => packages));
  const absent = chosen.filter(({ packages }) => missingOf(packages).length > 0);
  const specs = chosen
    .filter((peer) => !absent.includes(peer))
    .map(({ spec }) => fileURLToPath(new URL(`${spec}.interop.js`, import.meta.url)));
  const setup = fileURLToPath(new URL('../../setup.js', import.meta.url));
  const mocha = fileURLToPath(import.meta.resolve('mocha/bin/mocha.js'));
  const options = ['--no-config', '--require', setup, '--timeout', '60000', '--parallel', '--jobs', '2'];
  const failed = run(process.execPath, [mocha, ...options, ...specs.flatMap((spec) => ['--spec', spec])]) !== 0;
  for (const peer of absent)
    console.error(`FAILED: ${peer.name}: can't install ${missingOf(peer.packages).join(', ')}`);
  return failed || absent.length > 0 ? 1 : 0;
}

process.exitCode = main(process.argv.slice(2));
