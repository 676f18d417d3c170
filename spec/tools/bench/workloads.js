import { connections } from './connections.js';
import { inProcess } from './in-process.js';
import { tcp } from './tcp.js';

/**
 * Each has a `name` for `--only` and for files, a `title`, `measures`, and the `sizes` that it is done in (`quick` for a
 * quick look). `contestants` are functions that make a job for a size, each called in a process of its own. One of them is
 * the `floor`, which all are compared with. Those that are `native` have to be built first.
 */
export const workloads = [...tcp, ...connections, ...inProcess];
