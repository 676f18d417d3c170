import { sizeLabel } from './bytes.js';
import { OURS, OURS_BATCH, OURS_FRAMED, PEERS, RAW_COPIED, RAW_SOCKET } from './contestants.js';
import type { Findings } from './report.js';
import { median } from './statistics.js';

export interface TargetReached {
  readonly measure: string;
  readonly asked: string;
  readonly reached: string;
  readonly met: boolean;
}

/** What this package is to be measured against, and what it reached. Workloads that did not run are left out. */
export function targetsReached(findings: readonly Findings[]): TargetReached[] {
  const book = new Book(findings);
  const inOne = 'end-to-end-one-process';
  const inTwo = 'end-to-end-two-processes';
  const endToEnd = [
    [inOne, 'one process'],
    [inTwo, 'two processes'],
  ] as const;
  const best = (workload: string, size: number) => book.best(workload, size, PEERS);

  return [
    ...endToEnd.flatMap(([workload, where]) => [
      // The only option that may be set.
      ...[OURS, OURS_BATCH].flatMap((ours) => {
        const what = `end to end over TCP, 16 B, ${ours === OURS ? '' : 'batch: true, '}${where}`;
        return [
          book.atLeast(15, what, workload, 16, 'frame-stream', ours),
          book.atLeast(25, what, workload, 16, 'length-prefixed-stream', ours),
        ];
      }),
      book.atLeast(6, `end to end over TCP, 256 B, ${where}`, workload, 256, best(workload, 256)),
      book.atLeast(3, `end to end over TCP, 1 KiB, ${where}`, workload, 1024, best(workload, 1024)),
      ...[65_536, 1_048_576].flatMap((size) => {
        const what = `end to end over TCP, ${sizeLabel(size)}, ${where}`;
        return [RAW_SOCKET, RAW_COPIED].map((raw) => book.atLeast(0.85, what, workload, size, raw));
      }),
    ]),
    book.atMost(4, 'decode from TCP, 16 B, batch: true', 'decode-from-tcp', 16, RAW_SOCKET, OURS_BATCH),
    book.atLeast(1.6, "decode, 16 B, 'data' listener", 'decode-data', 16, best('decode-data', 16)),
    book.atLeast(
      6,
      'decode, 16 B, for await over batches',
      'decode-for-await',
      16,
      best('decode-for-await', 16),
      OURS_BATCH,
    ),
    ...['one', 'two'].flatMap((number) => {
      const workload = `ping-pong-${number}-process${number === 'one' ? '' : 'es'}`;
      const where = `${number} process${number === 'one' ? '' : 'es'}`;
      return [OURS, OURS_FRAMED].map((ours) => {
        const what = `ping-pong p50, 16 B, ${ours === OURS ? '' : 'framed, '}${where}`;
        return book.atMost(1.1, what, workload, 16, RAW_SOCKET, ours, 'p50');
      });
    }),
    book.atMost(1.3, 'one 64 MiB frame in 64 KiB chunks', 'one-frame', 65_536, 'one Buffer.copy'),
  ].filter((target) => target !== undefined);
}

/** The rounds of a run, to look things up in. */
class Book {
  readonly #findings: readonly Findings[];

  constructor(findings: readonly Findings[]) {
    this.#findings = findings;
  }

  #rounds(workload: string, size: number, contestant: string, measure: string): readonly number[] | undefined {
    const found = this.#findings.find((one) => one.workload.name === workload);
    const result = found?.results.find((one) => one.size === size && one.contestant === contestant);
    return result?.measures[measure]?.rounds;
  }

  /** The fastest of these. */
  best(workload: string, size: number, contestants: readonly string[]): string {
    const times = contestants.map((name) => median(this.#rounds(workload, size, name, 'time') ?? [Infinity]));
    return contestants[times.indexOf(Math.min(...times))]!;
  }

  /** How often `a`'s time goes into `b`'s: the median over the rounds, in which both had their turn. */
  #ratio(workload: string, size: number, a: string, b: string, measure: string): number | undefined {
    const ofA = this.#rounds(workload, size, a, measure);
    const ofB = this.#rounds(workload, size, b, measure);
    return ofA && ofB && median(ofA.map((time, round) => ofB[round]! / time));
  }

  /** So many times as fast as another. */
  atLeast(
    asked: number,
    what: string,
    workload: string,
    size: number,
    other: string,
    ours = OURS,
  ): TargetReached | undefined {
    const reached = this.#ratio(workload, size, ours, other, 'time');
    return reached === undefined ? undefined : result(what, `>= ${asked} x`, reached, other, reached >= asked);
  }

  /** At most so many times the time of another. */
  atMost(
    asked: number,
    what: string,
    workload: string,
    size: number,
    other: string,
    ours = OURS,
    measure = 'time',
  ): TargetReached | undefined {
    const reached = this.#ratio(workload, size, other, ours, measure);
    return reached === undefined ? undefined : result(what, `<= ${asked} x`, reached, other, reached <= asked);
  }
}

function result(measure: string, asked: string, reached: number, other: string, met: boolean): TargetReached {
  return { measure, asked: `${asked} ${other}`, reached: reached.toFixed(2), met };
}
