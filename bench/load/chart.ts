// The chart that the README shows: CPU per request as a multiple of HAProxy's, one line for each load, one dot for
// each proxy, on a logarithmic scale. Left of the line at 1 is cheaper than HAProxy.
//
// Plain SVG without a background: its colours hold on white and on black, and its text follows the reader's scheme.

import type { Result, Row } from "./report.ts";

const COLOURS: Readonly<Record<string, string>> = {
  pillion: "#1098ad",
  haproxy: "#868e96",
  nghttpx: "#f08c00",
  nginx: "#37b24d",
  envoy: "#e64980",
  caddy: "#a9823b",
  go: "#4c6ef5",
  naive: "#f03e3e",
};
const [WIDTH, LEFT, RIGHT, TOP, STEP] = [760, 205, 20, 58, 24];
/** Ticks of the scale. */
const TICKS = [0.25, 0.5, 1, 2, 4, 8, 16, 32, 64];

interface Dot {
  readonly peer: string;
  readonly ratio: number;
  readonly row: Row;
}

/** Loads without HAProxy have no line; without any the chart says so. `caption` says what run it is of. */
export function renderChart(results: readonly Result[], caption: string): string {
  const lines = results.flatMap(({ load, rows }) => {
    const dots = rows.flatMap((row): Dot[] =>
      row.toHaproxy === undefined ? [] : [{ peer: row.peer, ratio: row.toHaproxy, row }],
    );
    return dots.length === 0 ? [] : [{ title: load.title, dots }];
  });
  const ratios = lines.flatMap(({ dots }) => dots.map(({ ratio }) => ratio));
  const least = Math.min(...ratios, 0.5);
  const most = Math.max(...ratios, 2);
  const ticks = TICKS.filter((tick) => tick >= least / 2 && tick <= most * 2);
  const [from, to] = [Math.log2(ticks[0] ?? 0.5), Math.log2(ticks.at(-1) ?? 2)];
  const xOf = (ratio: number) => LEFT + ((Math.log2(ratio) - from) / (to - from)) * (WIDTH - LEFT - RIGHT);
  const bottom = TOP + lines.length * STEP;
  const parts = [
    ...ticks.map((tick) => renderTick(tick, xOf(tick), bottom)),
    ...lines.flatMap(({ title, dots }, index) => renderLine(title, dots, TOP + index * STEP + STEP / 2, xOf)),
    ...renderLegend([...new Set(lines.flatMap(({ dots }) => dots.map(({ peer }) => peer)))]),
  ];
  const title = lines.length === 0 ? "Nothing to compare: HAProxy was not there" : "CPU per request ÷ HAProxy's";
  const heading = `<text x="8" y="16" class="b">${title}, less is better</text>`;
  const right = `<text x="${WIDTH - RIGHT}" y="16" text-anchor="end">${caption}</text>`;
  return `${head(bottom + 24)}${heading}${right}${parts.join("\n")}\n</svg>\n`;
}

function head(height: number): string {
  const style =
    "text{font:12px system-ui,sans-serif;fill:#343a40}.b{font-weight:600}.g{stroke:#868e96;stroke-opacity:.3}" +
    ".o{stroke:#868e96;stroke-width:1.5}@media(prefers-color-scheme:dark){text{fill:#dee2e6}}";
  const box = `width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${box} role="img"><style>${style}</style>\n`;
}

function renderTick(tick: number, x: number, bottom: number): string {
  const line = `<line x1="${x.toFixed(1)}" x2="${x.toFixed(1)}" y1="${TOP}" y2="${bottom}"`;
  const label = `<text x="${x.toFixed(1)}" y="${bottom + 15}" text-anchor="middle">${tick}×</text>`;
  return `${line} class="${tick === 1 ? "o" : "g"}"/>${label}`;
}

/** Pillion's dot is drawn last and larger, with its ratio beside it. */
function renderLine(title: string, dots: readonly Dot[], y: number, xOf: (ratio: number) => number): string[] {
  const parts = [`<text x="8" y="${y + 4}">${title}</text>`];
  const ordered = [...dots].sort((left, right) => Number(left.peer === "pillion") - Number(right.peer === "pillion"));
  for (const { peer, ratio, row } of ordered) {
    const isOwn = peer === "pillion";
    const [x, fill] = [xOf(ratio).toFixed(1), COLOURS[peer] ?? "#868e96"];
    const said = `${peer}: ${row.cpuUsPerRequest.median.toFixed(1)} µs, ${ratio.toFixed(2)} × HAProxy`;
    parts.push(`<circle cx="${x}" cy="${y}" r="${isOwn ? 6 : 4.5}" fill="${fill}"><title>${said}</title></circle>`);
    if (isOwn) parts.push(`<text x="${x}" y="${y - 8}" text-anchor="middle" font-size="9">${ratio.toFixed(2)}</text>`);
  }
  return parts;
}

function renderLegend(peers: readonly string[]): string[] {
  return peers.flatMap((peer, index) => {
    const x = LEFT + index * 74;
    return [
      `<circle cx="${x}" cy="36" r="4.5" fill="${COLOURS[peer] ?? "#868e96"}"/>`,
      `<text x="${x + 8}" y="40">${peer}</text>`,
    ];
  });
}
