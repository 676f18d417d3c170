/** What one round found: a value for each of the workload's measures. */
export type Values = Record<string, number>;

/** A workload for one contestant and one size, ready to run. */
export interface Job {
  /** @returns the nanoseconds it took, and what was found. */
  run(count: number): Promise<{ ns: number; values: Values }>;
  /** For work that comes in one size only: the count of every round. */
  readonly fixedCount?: number;
}

export interface Measure {
  readonly name: string;
  readonly unit: string;
}

/** Something to be done by several contestants, in several sizes. */
export interface Workload {
  /** For `--only`, file names and the targets. */
  readonly name: string;
  readonly title: string;
  /** What all values are; the less the better. */
  readonly measures: readonly Measure[];
  /** What the sizes are sizes of. */
  readonly sizesOf: string;
  readonly sizes: readonly number[];
  /** The sizes of a quick run. */
  readonly quickSizes: readonly number[];
  readonly contestants: readonly string[];
  /** Limits the time of one round, where the slowest would take minutes. */
  readonly patience?: { readonly quick: number; readonly full: number };
  /** Called in a process of its own. */
  prepare(contestant: string, size: number): Promise<Job>;
}

export const PER_MESSAGE: Measure = { name: 'time', unit: 'ns per message' };

/** The result of a run that carried this many messages. */
export function perMessage(ns: number, messages: number): { ns: number; values: Values } {
  return { ns, values: { [PER_MESSAGE.name]: ns / messages } };
}
