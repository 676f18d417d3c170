import { spawnSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const POLICY = '/usr/sbin/policy-rc.d';

/** Runs a program that shows its output here. @returns its exit code; null when it could not be run. */
export function run(command: string, args: string[]): number | null {
  const { status, error } = spawnSync(command, args, {
    stdio: 'inherit',
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  });
  if (error !== undefined) console.error(`${command}: ${error.message}`);
  return status;
}

/** The ones of these packages that are not installed. */
export function missingOf(packages: readonly string[]): string[] {
  return packages.filter((name) => !isInstalled(name));
}

function isInstalled(name: string): boolean {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own template
  const { stdout } = spawnSync('dpkg-query', ['--show', '--showformat', '${db:Status-Status}', name], {
    encoding: 'utf8',
  });
  return stdout === 'installed';
}

/** Installs Debian's packages with apt-get, as root. No service is started. */
export function install(packages: readonly string[]): void {
  const missing = missingOf([...new Set(packages)]);
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

// node dist/spec/tools/debian.js PACKAGE...
if (process.argv[1] === fileURLToPath(import.meta.url)) install(process.argv.slice(2));
