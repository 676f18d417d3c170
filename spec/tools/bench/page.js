/** The results in words and tables. Of what is in results.json alone: a test makes the same of it. */
import { FRAMED, PEERS, RAW, WS } from './packages.js';

/** Three digits that count: `0.123`, `12.3`, `1,230`. */
export function digits(value) {
  return Math.abs(value) >= 100 ? Math.round(value).toLocaleString('en') : value.toPrecision(3);
}

export function sizeLabel(sizesOf, size) {
  if (sizesOf === 'connections') return size.toLocaleString('en');
  if (size >= 1024 * 1024) return `${size / 1024 / 1024} MiB`;
  return size >= 1024 ? `${size / 1024} KiB` : `${size} B`;
}

export const isOurs = (contestant) => /^length-prefix(,|$)/.test(contestant);

function table(head, rows) {
  const lines = [head, head.map((_, i) => (i === 0 ? '---' : '---:')), ...rows];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

/** For each measure a row for each contestant, and a column for each size. */
export function tablesOf({ measures, sizesOf, floor, results }) {
  const sizes = [...new Set(results.map(({ size }) => size))];
  const contestants = [...new Set(results.map(({ contestant }) => contestant))];
  return measures
    .map(({ name, unit }) => {
      const what = measures.length > 1 ? `${name}, ${unit}` : unit;
      const rows = contestants.map((contestant) => [
        contestant === floor ? `*${contestant}*` : contestant,
        ...sizes.map((size) => {
          const { failed, measures: values } = resultOf(results, contestant, size);
          if (failed !== undefined) return failed;
          const { median, spread, ratio } = values[name];
          return `${digits(median)} ±${Math.round(100 * spread)} %${contestant === floor || ratio === undefined ? '' : `, **${ratio.toFixed(2)}**`}`;
        }),
      ]);
      return table([what, ...sizes.map((size) => sizeLabel(sizesOf, size))], rows);
    })
    .join('\n\n');
}

function resultOf(results, contestant, size) {
  return results.find((result) => result.contestant === contestant && result.size === size);
}

/** A spread above which results are refused; that of a p99, which is made of the few slowest. */
const [WILD, WILD_TAIL] = [0.1, 0.3];

/** The rows of a workload whose rounds are too far apart. */
export function wildRowsOf({ measures, results }) {
  return results.flatMap(({ contestant, size, measures: values = {} }) =>
    measures
      .filter(({ name, isTail }) => values[name]?.spread > (isTail ? WILD_TAIL : WILD))
      .map(({ name }) => [name, size, contestant]),
  );
}

/** Why figures that were written by `--force` are not to be relied on. */
function caveatOf(found) {
  if (found.quick) return 'A quick look: not to be relied on';
  return wildRowsOf(found).length > 0 ? 'The machine was not quiet: the rounds are far apart' : '';
}

/** Every workload: its chart, and its tables. */
export function pageOf(all) {
  const sections = Object.entries(all).map(([name, found]) => {
    const { title, machine, date } = found;
    const caveat = caveatOf(found);
    const run = `\`npm run bench -- --only ${name}\`, ${machine}, ${date}${caveat && `. **${caveat}**`}`;
    return `### ${title}\n\n${run}\n\n![${title}](results/${name}.svg)\n\n${tablesOf(found)}`;
  });
  return sections.join('\n\n');
}

const perSecond = (size) => (time) => `${digits((1e3 * size) / time)}`;

/** The rows of the README: a workload, a size, a measure and how it is said. */
const ROWS = [
  ['16-byte messages per second over TCP, one core, millions', 'end-to-end-one-process', 16, 'time', perSecond(1)],
  ['64 KiB messages over TCP, two cores, MB per second', 'end-to-end-two-processes', 65_536, 'time', perSecond(65_536)],
  ['a 16-byte message there and back, median, µs', 'ping-pong-two-processes', 16, 'p50', digits],
  [
    'an idle connection, socket included, KB of heap',
    'idle-connections',
    1000,
    'heap',
    (bytes) => digits(bytes / 1000),
  ],
  [
    'there and back with 1,000 of 10,000 connections busy, p99, ms',
    'tenth-busy',
    10_000,
    'p99',
    (time) => digits(time / 1000),
  ],
];

/** One chart and five rows for those who read the README. */
export function speedOf(all) {
  const rows = ROWS.map(([what, workload, size, measure, say]) => {
    const values = new Map();
    for (const result of all[workload]?.results ?? []) {
      if (result.size === size && !result.failed) values.set(result.contestant, result.measures[measure].median);
    }
    const cell = (contestant) => (values.has(contestant) ? say(values.get(contestant)) : '–');
    const [best] = PEERS.filter((peer) => values.has(peer)).sort((a, b) => values.get(a) - values.get(b));
    const peer = best === undefined ? '–' : `${cell(best)} (${best})`;
    return [what, cell(FRAMED), peer, cell(WS), cell(RAW)];
  });
  const { machine, date } = all['end-to-end-one-process'] ?? {};
  const caveats = new Set(ROWS.map(([, workload]) => all[workload] && caveatOf(all[workload])).filter(Boolean));
  return [
    '![End to end over TCP, client and server in one process](spec/tools/bench/results/end-to-end-one-process.svg)',
    table(['', '`framed`', 'the best of other packages', '`ws`', 'a bare socket'], rows),
    `Medians on ${machine}, ${date}.${[...caveats].map((caveat) => ` ${caveat}.`).join('')}`,
  ].join('\n\n');
}
