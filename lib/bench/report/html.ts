import { mainKind } from "../compare/units.ts";
import { percentileRows } from "../hdr/percentile-text.ts";
import { type BenchResult, histogramOf, type RunRecord } from "../result.ts";
import { countText, fractionName, msText } from "./figures.ts";
import { setTable, summaryText } from "./summary.ts";
import { type Axis, escapeHtml, roundTicks, SERIES_COLORS, type Series, svgChart } from "./svg-chart.ts";

/** Runs drawn in one chart; a page with more lines says nothing. */
const DRAWN_MAX = 24;
const POINTS_MAX = 600;

/** Colours of Okabe and Ito, darker on light ground: told apart by the colour-blind as well. */
const LIGHT = ["#0072b2", "#d55e00", "#009e73", "#a34d82", "#8a6d00", "#2f7fb5", "#5a5a5a", "#000000"];
const DARK = ["#56b4e9", "#ff9e4f", "#2fd6a3", "#e59ac6", "#f0e442", "#8ecdf5", "#b8b8b8", "#ffffff"];

const STYLE = `:root{color-scheme:light dark;--ground:#fff;--ink:#1c1c1c;--faint:#d9d9d9;--soft:#f4f4f4;${colors(LIGHT)}}
@media (prefers-color-scheme:dark){:root{--ground:#161616;--ink:#ececec;--faint:#3d3d3d;--soft:#222;${colors(DARK)}}}
body{background:var(--ground);color:var(--ink);font:15px/1.45 system-ui,sans-serif;max-width:900px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}svg{width:100%;height:auto}.grid{stroke:var(--faint)}
.tick{fill:var(--ink);font-size:12px}.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .6rem;text-align:right;border-bottom:1px solid var(--faint);white-space:nowrap}th:first-child,td:first-child{text-align:left}
pre{background:var(--soft);padding:.8rem;overflow-x:auto;font-size:12.5px}.key span{display:inline-block;margin-right:1.2rem}
.key i{display:inline-block;width:1.1em;height:.25em;vertical-align:middle;margin-right:.4em}`;

function colors(list: readonly string[]): string {
  return list.map((color, i) => `--series-${i}:${color};`).join("");
}

/**
 * One page with everything in it (no network, no script): rate over time, latency by percentile, table, each run's summary.
 * Follows the reader's light or dark setting. Text from the result is escaped.
 */
export function htmlReport(result: BenchResult): string {
  const drawn = result.runs.filter(({ verb }) => verb !== "").slice(0, DRAWN_MAX);
  const { machine } = result;
  const { header, rows } = setTable(result.runs);
  const left = result.runs.length - drawn.length;
  const body = [
    "<h1>mq bench</h1>",
    `<p>${escapeHtml(`${new Date(result.startedAt).toISOString()}, mq ${result.mq}: ${result.command}`)}<br>${escapeHtml(
      `${machine.hostname}, ${machine.cores} cores of ${machine.cpu}, ${machine.kernel}`,
    )}</p>`,
    `<div class="wide"><table><tr>${header.map((name) => `<th>${escapeHtml(name)}</th>`).join("")}</tr>${rows
      .map((row) => `<tr>${row.map((cell) => `<td>${escapeHtml(cell)}</td>`).join("")}</tr>`)
      .join("")}</table></div>`,
    key(drawn),
    ...(left > 0 ? [`<p>${left} more runs are in the table only.</p>`] : []),
    "<h2>Messages a second</h2>",
    throughputChart(drawn),
    "<h2>Latency by percentile</h2>",
    latencyChart(drawn),
    ...result.runs.map(
      (run) => `<h2>${escapeHtml(runName(run))}</h2><pre>${escapeHtml(summaryText(result, run))}</pre>`,
    ),
  ];
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>mq bench ${escapeHtml(new Date(result.startedAt).toISOString())}</title><style>${STYLE}</style></head>
<body>
${body.join("\n")}
</body></html>
`;
}

function runName({ work, target, round }: RunRecord): string {
  return [work, target, round > 0 ? `round ${round + 1}` : ""].filter((part) => part !== "").join(", ");
}

function key(runs: readonly RunRecord[]): string {
  const names = runs.map(
    (run, i) => `<span><i style="background:var(--series-${i % SERIES_COLORS})"></i>${escapeHtml(runName(run))}</span>`,
  );
  return `<p class="key">${names.join("")}</p>`;
}

function throughputChart(runs: readonly RunRecord[]): string {
  const all = runs.map((run) => ({ name: runName(run), points: ratesOf(run) }));
  const longest = Math.max(1, ...all.map(({ points }) => points.at(-1)?.second ?? 0));
  const ticks = roundTicks(
    Math.max(0, ...all.map(({ points }) => points.reduce((most, { rate }) => Math.max(most, rate), 0))),
  );
  const top = ticks.at(-1)!;
  const series = all.map(
    ({ name, points }): Series => ({
      name,
      points: points.map(({ second, rate }) => ({
        x: second / longest,
        y: rate / top,
        title: `${countText(rate)}/s at ${second.toFixed(0)} s`,
      })),
    }),
  );
  const x: Axis = {
    label: "seconds",
    ticks: roundTicks(longest)
      .filter((tick) => tick <= longest)
      .map((tick) => ({ at: tick / longest, text: String(tick) })),
  };
  const y: Axis = {
    label: "messages a second",
    ticks: ticks.map((tick) => ({ at: tick / top, text: shortCount(tick) })),
  };
  return svgChart("messages a second over time", series, x, y);
}

/** Rate of every interval; long runs are thinned by taking neighbours together. */
function ratesOf(run: RunRecord): { second: number; rate: number }[] {
  const every = Math.ceil(run.samples.length / POINTS_MAX);
  const points: { second: number; rate: number }[] = [];
  let before = 0;
  let messages = 0;
  run.samples.forEach((sample, i) => {
    messages += run.counts.acked > 0 ? sample.acked : sample.received;
    const length = sample.second - before;
    if ((i + 1) % every !== 0 || length < 0.5) return;
    points.push({ second: sample.second, rate: messages / length });
    before = sample.second;
    messages = 0;
  });
  return points;
}

/** Percentiles on an axis on which every further nine has the same width, latencies on a logarithmic one. */
function latencyChart(runs: readonly RunRecord[]): string {
  const curves = runs.flatMap((run) => {
    const kind = mainKind(run);
    const record = kind === undefined ? undefined : run.latencies[kind];
    return [
      { name: `${runName(run)} ${kind ?? ""}`, rows: record === undefined ? [] : percentileRows(histogramOf(record)) },
    ];
  });
  const values = curves.flatMap(({ rows }) => rows.map(({ us }) => us)).filter((us) => us > 0);
  if (values.length === 0) return "<p>No latencies were recorded.</p>";
  const nines = Math.max(2, ...curves.map(({ rows }) => Math.log10(Math.max(1, rows.at(-1)?.count ?? 1))));
  const lowest = Math.floor(Math.log10(values.reduce((least, us) => Math.min(least, us))));
  const highest = Math.max(lowest + 1, Math.ceil(Math.log10(values.reduce((most, us) => Math.max(most, us)))));
  const across = (fraction: number) => Math.min(1, -Math.log10(Math.max(1 - fraction, 10 ** -nines)) / nines);
  const series = curves.map(
    ({ name, rows }): Series => ({
      name,
      points: rows.map(({ us, fraction }) => ({
        x: across(fraction),
        y: (Math.log10(Math.max(us, 1)) - lowest) / (highest - lowest),
        title: `${fraction === 1 ? "max" : fractionName(fraction)} ${msText(us)} ms`,
      })),
    }),
  );
  const marks = [0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999].filter((mark) => -Math.log10(1 - mark) <= nines);
  const x: Axis = { label: "percentile", ticks: marks.map((mark) => ({ at: across(mark), text: fractionName(mark) })) };
  const decades = Array.from({ length: highest - lowest + 1 }, (_, i) => lowest + i);
  const y: Axis = {
    label: "ms",
    ticks: decades.map((decade) => ({
      at: (decade - lowest) / (highest - lowest),
      text: String(Number((10 ** decade / 1000).toPrecision(1))),
    })),
  };
  return svgChart("latency by percentile", series, x, y);
}

function shortCount(value: number): string {
  if (value >= 1e6) return `${Number((value / 1e6).toPrecision(3))} M`;
  return value >= 1000 ? `${Number((value / 1000).toPrecision(3))} k` : String(Number(value.toPrecision(3)));
}
