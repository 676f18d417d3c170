import { sizeLabel } from './bytes.js';
import type { Result } from './measure.js';
import type { TargetReached } from './targets.js';
import type { Workload } from './workload.js';

/** A workload, and what came of it. */
export interface Findings {
  readonly workload: Workload;
  readonly results: readonly Result[];
}

/** Three digits that count: `0.123`, `12.3`, `1,230`. */
export function digits(value: number): string {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en');
  return value.toPrecision(3);
}

/** For each measure a row for each contestant, a column for each size: the median, and the best in brackets. */
export function tableOf({ workload, results }: Findings): string {
  const sizes = [...new Set(results.map(({ size }) => size))];
  const tables = workload.measures.map(({ name, unit }) => {
    const several = workload.measures.length > 1 ? `${name}, ` : '';
    const head = [
      `${workload.title}: ${several}${unit}, median (best)`,
      ...sizes.map((size) => columnLabel(workload, size)),
    ];
    const rows = workload.contestants.map((contestant) => {
      const cells = sizes.map((size) => {
        const result = results.find((other) => other.contestant === contestant && other.size === size)!;
        const series = result.measures[name];
        return series === undefined ? result.failed! : `${digits(series.median)} (${digits(series.best)})`;
      });
      return [`  ${contestant}`, ...cells];
    });
    return columns([head, ...rows]);
  });
  return tables.join('\n');
}

export function columnLabel({ sizesOf }: Workload, size: number): string {
  return sizesOf === 'decoders' ? size.toLocaleString('en') : sizeLabel(size);
}

export function targetTable(targets: readonly TargetReached[]): string {
  const rows = targets.map(({ measure, asked, reached, met }) => [measure, asked, `${met ? ' ' : '!'} ${reached}`]);
  return columns([['measure', 'target', 'reached'], ...rows], 'left');
}

function columns(rows: readonly string[][], align: 'left' | 'right' = 'right'): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) =>
    row
      .map((cell, i) => (i === 0 || align === 'left' ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join('  ')
      .trimEnd(),
  );
  return `${lines.join('\n')}\n`;
}
