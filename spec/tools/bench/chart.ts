import { OURS, OURS_BATCH, OURS_FRAMED, PEERS, RAW_COPIED } from './contestants.js';
import { columnLabel, digits, type Findings } from './report.js';
import { PER_MESSAGE } from './workload.js';

/** Ours in blue, the peers in other colours, what sets the limit in grey; all of them stand out on light and dark. */
const COLOURS: Record<string, string> = {
  [OURS]: '#2f81f7',
  [OURS_BATCH]: '#79b8ff',
  [OURS_FRAMED]: '#1a56b0',
  [PEERS[0]]: '#e0823d',
  [PEERS[1]]: '#c9a227',
  [PEERS[2]]: '#8a63d2',
  [PEERS[3]]: '#3fa55b',
  [RAW_COPIED]: '#b1bac4',
};
const GREY = '#8b949e';

// Without custom properties, which not everything that draws SVG knows.
const STYLE = `
  text { font: 12px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #1f2328 }
  .title { font-size: 15px; font-weight: 600 }
  .value { font-size: 10px }
  .faint, .value { fill: #59636e }
  .ground { fill: #ffffff }
  line { stroke: #d1d9e0 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .faint, .value { fill: #9198a1 }
    .ground { fill: #0d1117 }
    line { stroke: #30363d }
  }`;

const WIDTH = 860;
const LEFT = 64;
const RIGHT = 16;
const TOP = 132;
const PLOT = 260;
const BOTTOM = 44;
const LEGEND_COLUMNS = 4;

interface Bar {
  readonly contestant: string;
  readonly value: number | undefined;
  readonly hint: string;
}

/** Bars of the first measure, grouped by size. Times per message are shown as messages per second. */
export function chartOf({ workload, results }: Findings): string {
  const measure = workload.measures[0]!;
  const rate = measure === PER_MESSAGE;
  const unit = rate ? 'messages per second, the more the better' : `${measure.unit}, the less the better`;
  const sizes = [...new Set(results.map(({ size }) => size))];
  const groups = sizes.map((size) => {
    const bars = results
      .filter((result) => result.size === size)
      .map(({ contestant, measures, failed }): Bar => {
        const time = measures[measure.name]?.median;
        const value = time === undefined ? undefined : rate ? 1e9 / time : time;
        return { contestant, value, hint: value === undefined ? failed! : digits(value) };
      });
    return { label: columnLabel(workload, size), bars };
  });
  const name = measure.name === 'time' || measure.name === 'memory' ? '' : `${measure.name}, `;
  const failures = new Set(results.flatMap(({ failed }) => failed ?? []));
  const subtitle = [
    name + unit,
    ...(sizes.length > 1 ? [`by length of ${workload.sizesOf}`] : []),
    ...(failures.size > 0 ? [`× ${[...failures].join(', ')}`] : []),
  ].join('; ');
  return draw(workload.title, subtitle, workload.contestants, groups);
}

function draw(
  title: string,
  subtitle: string,
  series: readonly string[],
  groups: readonly { label: string; bars: readonly Bar[] }[],
): string {
  const values = groups.flatMap(({ bars }) => bars.flatMap(({ value }) => value ?? []));
  const scale = scaleOf(values);
  const height = TOP + PLOT + BOTTOM;
  const floor = TOP + PLOT;
  const y = (value: number) => floor - PLOT * scale.share(value);
  const groupWidth = (WIDTH - LEFT - RIGHT) / groups.length;
  const barWidth = Math.min(40, (groupWidth * 0.86) / series.length);

  const grid = scale.ticks.map(
    (tick) =>
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${round(y(tick))}" y2="${round(y(tick))}"/>` +
      `<text class="faint" x="${LEFT - 8}" y="${round(y(tick) + 4)}" text-anchor="end">${short(tick)}</text>`,
  );
  const drawn = groups.flatMap(({ label, bars }, group) => {
    const middle = LEFT + groupWidth * (group + 0.5);
    const left = middle - (barWidth * bars.length) / 2;
    return [
      ...bars.map((bar, i) => drawBar(bar, left + i * barWidth, barWidth, bar.value && y(bar.value), floor)),
      `<text x="${round(middle)}" y="${floor + 20}" text-anchor="middle">${label}</text>`,
    ];
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">
<title>${escaped(title)}</title>
<style>${STYLE}
</style>
<rect class="ground" width="${WIDTH}" height="${height}" rx="6"/>
<text class="title" x="16" y="28">${escaped(title)}</text>
<text class="faint" x="16" y="47">${escaped(subtitle + (scale.log ? '; the scale is logarithmic' : ''))}</text>
${[...legend(series), ...grid, ...drawn].join('\n')}
</svg>
`;
}

function drawBar(bar: Bar, x: number, width: number, top: number | undefined, floor: number): string {
  const middle = round(x + width / 2);
  const hint = `<title>${escaped(`${bar.contestant}: ${bar.hint}`)}</title>`;
  if (bar.value === undefined || top === undefined) {
    return `<text class="value" x="${middle}" y="${floor - 4}" text-anchor="middle">×${hint}</text>`;
  }
  const shape = `x="${round(x + 0.5)}" y="${round(top)}" width="${round(width - 1)}" height="${round(floor - top)}"`;
  const rectangle = `<rect ${shape} fill="${colourOf(bar.contestant)}">${hint}</rect>`;
  const label = short(bar.value);
  // Upright where the bar is too narrow.
  const place =
    width >= 30
      ? `x="${middle}" y="${round(top - 4)}" text-anchor="middle"`
      : `transform="translate(${round(x + width / 2 + 3.5)} ${round(top - 4)}) rotate(-90)"`;
  return `${rectangle}<text class="value" ${place}>${label}</text>`;
}

function legend(series: readonly string[]): string[] {
  return series.map((name, i) => {
    const x = 16 + (i % LEGEND_COLUMNS) * ((WIDTH - 32) / LEGEND_COLUMNS);
    const y = 60 + Math.floor(i / LEGEND_COLUMNS) * 18;
    const square = `<rect x="${x}" y="${y}" width="11" height="11" rx="2" fill="${colourOf(name)}"/>`;
    return `${square}<text x="${x + 16}" y="${y + 10}">${escaped(name)}</text>`;
  });
}

interface Scale {
  readonly log: boolean;
  readonly ticks: readonly number[];
  /** From 0 at the floor to 1 at the top. */
  share(value: number): number;
}

/** Logarithmic where the values are far apart. The top is left free for a label. */
function scaleOf(values: readonly number[]): Scale {
  const least = Math.min(...values);
  const most = Math.max(...values);
  if (most / least < 20) {
    const step = 10 ** Math.floor(Math.log10(most));
    const spacing = most / step < 2 ? step / 5 : most / step < 5 ? step / 2 : step;
    const ticks = Array.from({ length: Math.floor(most / spacing) + 1 }, (_, i) => i * spacing);
    return { log: false, ticks, share: (value) => value / (most * 1.15) };
  }
  const from = Math.floor(Math.log10(least * 0.8));
  const to = Math.log10(most) + 0.4;
  const ticks = Array.from({ length: Math.floor(to) - from + 1 }, (_, i) => 10 ** (from + i));
  return { log: true, ticks, share: (value) => (Math.log10(value) - from) / (to - from) };
}

function colourOf(contestant: string): string {
  return COLOURS[contestant] ?? GREY;
}

/** `850`, `1.2k`, `34M`. */
function short(value: number): string {
  if (value >= 1e6) return `${trim(value / 1e6)}M`;
  if (value >= 1e3) return `${trim(value / 1e3)}k`;
  return trim(value);
}

function trim(value: number): string {
  return value >= 10 ? String(Math.round(value)) : String(Number(value.toPrecision(2)));
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
