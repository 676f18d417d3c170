import { readFileSync } from 'node:fs';
import process from 'node:process';

/** The most memory that this process has had resident, in bytes. */
export function peakMemory(): number {
  // On Linux, `maxRSS` is never less than what the process had that started this one.
  const status = process.platform === 'linux' ? readFileSync('/proc/self/status', 'latin1') : '';
  return 1024 * Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? process.resourceUsage().maxRSS);
}
