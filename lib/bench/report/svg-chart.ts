/** One line of a chart; `title` is what a pointer over its points shows. */
export interface Series {
  name: string;
  points: readonly { x: number; y: number; title: string }[];
}

export interface Axis {
  label: string;
  /** Position of a value between 0 and 1, for the given ends. */
  ticks: readonly { at: number; text: string }[];
}

const WIDTH = 860;
const HEIGHT = 300;
const LEFT = 70;
const RIGHT = 16;
const TOP = 14;
const BOTTOM = 46;
/** Colours that are told apart in light and dark, by CSS variables of the page; more series repeat them. */
export const SERIES_COLORS = 8;

/** Escapes text for HTML and SVG, attributes included. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}

/** A line chart. Points are given in axis units from 0 to 1: `x` from the left, `y` from the bottom. */
export function svgChart(label: string, series: readonly Series[], x: Axis, y: Axis): string {
  const px = (at: number) => (LEFT + at * (WIDTH - LEFT - RIGHT)).toFixed(1);
  const py = (at: number) => (HEIGHT - BOTTOM - at * (HEIGHT - TOP - BOTTOM)).toFixed(1);
  const parts = [`<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeHtml(label)}">`];
  for (const { at, text } of y.ticks)
    parts.push(
      `<line class="grid" x1="${px(0)}" x2="${px(1)}" y1="${py(at)}" y2="${py(at)}"/>`,
      `<text class="tick" x="${LEFT - 8}" y="${py(at)}" text-anchor="end" dominant-baseline="middle">${escapeHtml(text)}</text>`,
    );
  for (const { at, text } of x.ticks)
    parts.push(
      `<line class="grid" x1="${px(at)}" x2="${px(at)}" y1="${py(0)}" y2="${py(1)}"/>`,
      `<text class="tick" x="${px(at)}" y="${HEIGHT - BOTTOM + 16}" text-anchor="middle">${escapeHtml(text)}</text>`,
    );
  parts.push(
    `<text class="tick" x="${px(0.5)}" y="${HEIGHT - 8}" text-anchor="middle">${escapeHtml(x.label)}</text>`,
    `<text class="tick" transform="translate(14 ${py(0.5)}) rotate(-90)" text-anchor="middle">${escapeHtml(y.label)}</text>`,
  );
  series.forEach(({ name, points }, i) => {
    const color = `var(--series-${i % SERIES_COLORS})`;
    const path = points.map((point) => `${px(point.x)},${py(point.y)}`).join(" ");
    parts.push(`<polyline fill="none" stroke="${color}" stroke-width="2" points="${path}"/>`);
    for (const point of points)
      parts.push(
        `<circle cx="${px(point.x)}" cy="${py(point.y)}" r="3" fill="${color}"><title>${escapeHtml(`${name}: ${point.title}`)}</title></circle>`,
      );
  });
  parts.push("</svg>");
  return parts.join("");
}

/** Round steps from 0 to at least `highest`: 1, 2 or 5 times a power of ten, four to eight of them. */
export function roundTicks(highest: number): number[] {
  if (!(highest > 0)) return [0, 1];
  const rough = highest / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough)!;
  const ticks: number[] = [];
  for (let i = 0; i * step < highest + step * 0.999; i++) ticks.push(i * step);
  return ticks;
}
