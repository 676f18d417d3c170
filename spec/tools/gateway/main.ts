/**
 * The example of the gateway, case by case, and then with many messages while its programs are killed: `npm run test:gateway`.
 *
 *     GATEWAY_MESSAGES=20000 GATEWAY_SEED=7 npm run test:gateway
 *
 * Installs what is missing with apt-get, as root on a Debian. Nothing that it installs is started as a service.
 */
import { fileURLToPath } from 'node:url';
import { install, missingOf, run } from '../debian.js';

const PACKAGES = ['haproxy', 'nats-server'];

function main(): number {
  install(PACKAGES);
  const missing = missingOf(PACKAGES);
  if (missing.length > 0) {
    console.error(`FAILED: can't install ${missing.join(', ')}`);
    return 1;
  }
  const fileOf = (name: string) => fileURLToPath(new URL(name, import.meta.url));
  const mocha = fileURLToPath(import.meta.resolve('mocha/bin/mocha.js'));
  const options = ['--no-config', '--require', fileOf('../../setup.js'), '--timeout', '900000', '--exit'];
  return run(process.execPath, [mocha, ...options, fileOf('cases.js'), fileOf('faults.js')]) === 0 ? 0 : 1;
}

process.exitCode = main();
