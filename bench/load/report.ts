// What a run says: a table for the terminal, JSON to keep, and a chart for the README.

import { execFileSync } from "node:child_process";
import { cpus, totalmem } from "node:os";
import type { Load } from "./loads.ts";
import type { Sample } from "./measure.ts";
import type { Peer } from "./peers.ts";
import { findProgram } from "./programs.ts";

export interface Row {
  readonly peer: string;
  /** Median over the rounds, with the extremes. */
  readonly cpuUsPerRequest: { readonly median: number; readonly min: number; readonly max: number };
  readonly requestsPerSecond: number;
  readonly residentBytes: number;
  readonly failed: number;
  /** Pillion ÷ this peer, median of the rounds' own ratios: what claims are made of. */
  readonly pillionRatio: number;
}

export interface Result {
  readonly load: Load;
  readonly rows: readonly Row[];
}

export function summarize(load: Load, peers: readonly { peer: string; samples: readonly Sample[] }[]): Result {
  const own = peers.find(({ peer }) => peer === "pillion")?.samples ?? [];
  return {
    load,
    rows: peers.map(({ peer, samples }) => {
      const cpu = samples.map(({ cpuUsPerRequest }) => cpuUsPerRequest);
      return {
        peer,
        cpuUsPerRequest: { median: median(cpu), min: Math.min(...cpu), max: Math.max(...cpu) },
        requestsPerSecond: median(samples.map(({ requestsPerSecond }) => requestsPerSecond)),
        residentBytes: median(samples.map(({ residentBytes }) => residentBytes)),
        failed: samples.reduce((sum, { failed }) => sum + failed, 0),
        pillionRatio: median(
          samples.map((sample, round) => (own[round]?.cpuUsPerRequest ?? 0) / sample.cpuUsPerRequest),
        ),
      };
    }),
  };
}

export function renderTable({ load, rows }: Result): string {
  const lines = [
    `\n${load.title}`,
    "  peer      CPU µs/request (min–max)   Pillion ÷ peer   requests/s   resident   failed",
  ];
  for (const { peer, cpuUsPerRequest: cpu, pillionRatio, requestsPerSecond, residentBytes, failed } of rows) {
    const spread = `${cpu.median.toFixed(2)} (${cpu.min.toFixed(2)}–${cpu.max.toFixed(2)})`;
    const ratio = peer === "pillion" ? "" : pillionRatio.toFixed(2);
    lines.push(
      `  ${peer.padEnd(9)} ${spread.padStart(24)} ${ratio.padStart(16)} ${requestsPerSecond.toFixed(0).padStart(12)} ` +
        `${`${(residentBytes / 1e6).toFixed(0)} MB`.padStart(10)} ${String(failed).padStart(8)}`,
    );
  }
  return lines.join("\n");
}

export function describeMachine(peers: readonly Peer[]): Record<string, unknown> {
  const versions = Object.fromEntries(peers.map((peer) => [peer.name, versionOf(peer)]));
  return {
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    memoryBytes: totalmem(),
    node: process.version,
    commit: commit(),
    versions,
  };
}

/** Bars of CPU µs per request, one group for each load; plain SVG that any page shows. */
export function renderChart(results: readonly Result[]): string {
  const peers = [...new Set(results.flatMap(({ rows }) => rows.map(({ peer }) => peer)))];
  const colours = ["#0b7285", "#c92a2a", "#e67700", "#2b8a3e", "#5f3dc4", "#868e96"];
  const [barHeight, groupGap, labelWidth, plotWidth] = [14, 26, 170, 480];
  const parts: string[] = [];
  let y = 30;
  for (const { load, rows } of results) {
    const longest = Math.max(...rows.map(({ cpuUsPerRequest }) => cpuUsPerRequest.median));
    parts.push(`<text x="8" y="${y + 11}" font-weight="bold">${load.title}</text>`);
    for (const { peer, cpuUsPerRequest } of rows) {
      const width = (cpuUsPerRequest.median / longest) * plotWidth;
      const colour = colours[peers.indexOf(peer) % colours.length];
      const size = `width="${width.toFixed(1)}" height="${barHeight - 2}"`;
      const label = `${peer} ${cpuUsPerRequest.median.toFixed(1)}`;
      parts.push(`<rect x="${labelWidth}" y="${y}" ${size} fill="${colour}"/>`);
      parts.push(`<text x="${labelWidth + width + 4}" y="${y + 10}">${label}</text>`);
      y += barHeight;
    }
    y += groupGap;
  }
  const font = 'font-family="sans-serif" font-size="11"';
  const head = `<svg xmlns="http://www.w3.org/2000/svg" width="800" height="${y}" ${font}>`;
  const title = '<text x="8" y="16" font-size="13">CPU µs per request of the proxy alone (less is better)</text>';
  return `${head}<rect width="100%" height="100%" fill="#fff"/>${title}${parts.join("")}</svg>\n`;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

function versionOf({ program, versionArgs }: Peer): string {
  try {
    const output = execFileSync(findProgram(program), versionArgs, {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    });
    return output.split("\n", 1)[0] ?? "";
  } catch {
    return "unknown";
  }
}

function commit(): string {
  try {
    return execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim();
  } catch {
    return "unknown";
  }
}
