/** Memory and processor time of programs, and of the ones that they have started: Linux's. */
import { readFileSync } from 'node:fs';

/** In bytes; undefined when the process is gone. */
function residentOf(pid: number): number | undefined {
  try {
    return 1024 * Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
  } catch {
    return undefined;
  }
}

function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** The most memory that any process of each name has had. */
export class Watch {
  readonly peaks = new Map<string, number>();
  readonly #timer: NodeJS.Timeout;

  constructor(processes: () => Map<string, number>) {
    this.#timer = setInterval(() => {
      for (const [name, pid] of processes()) for (const process of [pid, ...childrenOf(pid)]) this.#look(name, process);
    }, 100);
  }

  #look(name: string, pid: number): void {
    const bytes = residentOf(pid) ?? 0;
    if (bytes > (this.peaks.get(name) ?? 0)) this.peaks.set(name, bytes);
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

/** The resident memory, in bytes, of a process and those that it has started. */
export function residentSize(pid: number): number {
  return [pid, ...childrenOf(pid)].reduce((sum, process) => sum + (residentOf(process) ?? 0), 0);
}

const TICKS_A_SECOND = 100;

/** The processor's time, in seconds, that a process and those that it has started have had. */
export function processorTime(pid: number): number {
  return [pid, ...childrenOf(pid)].reduce((sum, process) => {
    const stat = readFileSync(`/proc/${process}/stat`, 'latin1');
    const [user, system] = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .slice(11, 13)
      .map(Number);
    return sum + (user! + system!) / TICKS_A_SECOND;
  }, 0);
}
