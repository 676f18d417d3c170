import { parse, View } from 'vega';
import { compile } from 'vega-lite';
import { isOurs, sizeLabel } from './page.js';

/** Ours in blue, what sets the limit in grey; all stand out on light and on dark. */
const COLOURS = { ours: '#2f81f7', others: '#e0823d', floor: '#8b949e' };

const STYLE = `<style>
  svg > rect { fill: #ffffff }
  text { fill: #1f2328 }
  .role-axis-grid line { stroke: #d1d9e0 }
  @media (prefers-color-scheme: dark) {
    svg > rect { fill: #0d1117 }
    text { fill: #f0f6fc }
    .role-axis-grid line { stroke: #30363d }
  }
</style>`;

/** Bars of the first measure, with the quartiles of the rounds. Times per message are shown as messages per second. */
export async function chartOf({ title, measures: [{ name, unit }], sizesOf, floor, results }) {
  const isRate = unit === 'ns per message';
  const show = (value) => (isRate ? 1e9 / value : value);
  const names = [...new Set(results.map(({ contestant }) => contestant))];
  const sizes = [...new Set(results.map(({ size }) => size))].map((size) => sizeLabel(sizesOf, size));
  const values = results.map(({ contestant, size, failed, measures }) => {
    const { median, low, high } = measures?.[name] ?? {};
    return {
      contestant,
      size: sizeLabel(sizesOf, size),
      kind: contestant === floor || contestant.startsWith('raw') ? 'floor' : isOurs(contestant) ? 'ours' : 'others',
      failed,
      ...(failed === undefined && {
        value: show(median),
        low: show(low),
        high: show(high),
        end: show(isRate ? low : high),
      }),
    };
  });
  const spec = {
    title: {
      text: title,
      subtitle: isRate
        ? 'messages per second: more is better'
        : `${unit === 'ms' ? '' : `${name}, `}${unit}: less is better`,
      anchor: 'start',
    },
    background: '#ffffff',
    data: { values },
    columns: Math.min(3, sizes.length),
    facet: { field: 'size', sort: sizes, title: null, header: { labelFontWeight: 'bold' } },
    spec: {
      width: 180,
      encoding: {
        y: { field: 'contestant', sort: names, title: null, axis: { domain: false, ticks: false } },
      },
      layer: [
        {
          mark: 'bar',
          encoding: {
            x: { field: 'value', type: 'quantitative', title: null, axis: { format: '~s', tickCount: 3 } },
            color: {
              field: 'kind',
              legend: null,
              scale: { domain: Object.keys(COLOURS), range: Object.values(COLOURS) },
            },
          },
        },
        {
          mark: { type: 'rule', color: '#57606a' },
          encoding: { x: { field: 'low', type: 'quantitative' }, x2: { field: 'high' } },
        },
        {
          mark: { type: 'text', align: 'left', dx: 4 },
          encoding: {
            x: { field: 'end', type: 'quantitative' },
            text: { field: 'value', type: 'quantitative', format: '.3~s' },
          },
        },
        {
          transform: [{ filter: 'datum.failed' }],
          mark: { type: 'text', align: 'left', dx: 4 },
          encoding: { x: { datum: 0, type: 'quantitative' }, text: { field: 'failed' } },
        },
      ],
    },
    resolve: { scale: { x: 'independent' } },
    config: {
      aria: false,
      axis: { labelLimit: 400 },
      font: "system-ui, 'Segoe UI', sans-serif",
      view: { stroke: null },
    },
  };
  const svg = await new View(parse(compile(spec).spec), { renderer: 'none' }).toSVG();
  return `${svg.replace(/(<svg[^>]*>)/, `$1<title>${title}</title>${STYLE}`)}\n`;
}
