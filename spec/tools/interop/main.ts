/**
 * Talks to programs that nobody here wrote: `npm run test:interop`, or `npm run test:interop -- postgres erlang` for some.
 *
 * Installs what is missing with apt-get, as root on a Debian. Nothing that it installs is started as a service.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Peer, peers } from './peers.js';

const POLICY = '/usr/sbin/policy-rc.d';

function run(command: string, args: string[]): number | null {
  const { status, error } = spawnSync(command, args, {
    stdio: 'inherit',
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  });
  if (error !== undefined) console.error(`${command}: ${error.message}`);
  return status;
}

function isInstalled(name: string): boolean {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own template
  const { stdout } = spawnSync('dpkg-query', ['--show', '--showformat', '${db:Status-Status}', name], {
    encoding: 'utf8',
  });
  return stdout === 'installed';
}

const missingOf = ({ packages }: Peer) => packages.filter((name) => !isInstalled(name));

function install(chosen: readonly Peer[]): void {
  const missing = [...new Set(chosen.flatMap(missingOf))];
  if (missing.length === 0) return;
  // Servers would be started as services, on ports of their own.
  const policy = !existsSync(POLICY);
  try {
    if (policy) writeFileSync(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
    const options = ['-o', 'DPkg::Lock::Timeout=300', '-y', '--no-install-recommends'];
    run('apt-get', ['update', '-q']);
    // One that is not to be had must not keep the others away.
    if (run('apt-get', ['install', ...options, '-q', ...missing]) !== 0) {
      for (const name of missing) run('apt-get', ['install', ...options, '-q', name]);
    }
  } catch (error) {
    console.error(error);
  } finally {
    if (policy) rmSync(POLICY, { force: true });
  }
}

function main(names: string[]): number {
  const unknown = names.filter((name) => !peers.some(({ spec }) => spec === name));
  if (unknown.length > 0) {
    console.error(`No peer is called ${unknown.join(', ')}. There are: ${peers.map(({ spec }) => spec).join(', ')}`);
    return 2;
  }
  const chosen = names.length > 0 ? peers.filter(({ spec }) => names.includes(spec)) : peers;
  install(chosen);
  const absent = chosen.filter((peer) => missingOf(peer).length > 0);
  const specs = chosen
    .filter((peer) => !absent.includes(peer))
    .map(({ spec }) => fileURLToPath(new URL(`${spec}.interop.js`, import.meta.url)));
  const setup = fileURLToPath(new URL('../../setup.js', import.meta.url));
  const mocha = fileURLToPath(import.meta.resolve('mocha/bin/mocha.js'));
  const options = ['--no-config', '--require', setup, '--timeout', '60000'];
  const failed = run(process.execPath, [mocha, ...options, ...specs.flatMap((spec) => ['--spec', spec])]) !== 0;
  for (const peer of absent) console.error(`FAILED: ${peer.name}: can't install ${missingOf(peer).join(', ')}`);
  return failed || absent.length > 0 ? 1 : 0;
}

process.exitCode = main(process.argv.slice(2));
