// The tables: one row for each fault, a column for each proxy; and the sums.

import type { Summary } from "./client/tally.ts";
import type { Fault, Version } from "./faults.ts";

export interface Cell extends Summary {
  readonly proxy: string;
  /** POSTs executed more than once: their further executions. */
  readonly duplicates: number;
}

export interface Row {
  readonly fault: string;
  readonly title: string;
  readonly version: Version;
  readonly cells: readonly Cell[];
}

export interface Sum {
  readonly proxy: string;
  readonly requests: number;
  readonly failures: number;
  readonly duplicates: number;
  /** Summed over the faults, ms. */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const WIDTH = 22;

/** Further executions of requests that were executed before. */
export function duplicatesOf(executed: readonly number[]): number {
  return executed.length - new Set(executed).size;
}

export function sumUp(rows: readonly Row[]): Sum[] {
  const names = [...new Set(rows.flatMap(({ cells }) => cells.map(({ proxy }) => proxy)))];
  return names.map((proxy) => {
    const cells = rows.flatMap((row) => row.cells.filter((cell) => cell.proxy === proxy));
    const sum = (pick: (cell: Cell) => number) => cells.reduce((total, cell) => total + pick(cell), 0);
    return {
      proxy,
      requests: sum(({ requests }) => requests),
      failures: sum(({ failures }) => failures),
      duplicates: sum(({ duplicates }) => duplicates),
      p50Ms: sum(({ p50Ms }) => p50Ms),
      p99Ms: sum(({ p99Ms }) => p99Ms),
    };
  });
}

export function renderHead(proxies: readonly string[]): string {
  const columns = proxies.map((name) => name.padStart(WIDTH)).join("");
  return `  failures / executed twice / p99 ms\n  ${"".padEnd(42)}${columns}`;
}

export function renderRow({ title, version, cells }: Row): string {
  const columns = cells.map(({ failures, duplicates, p99Ms }) =>
    `${failures} / ${duplicates} / ${p99Ms.toFixed(0)}`.padStart(WIDTH),
  );
  return `  ${`${version === "h2" ? "h2" : "h1"} ${title}`.padEnd(42)}${columns.join("")}`;
}

export function renderSums(sums: readonly Sum[]): string {
  const lines = ["  sums        requests   failures   executed twice   p50 ms   p99 ms"];
  for (const { proxy, requests, failures, duplicates, p50Ms, p99Ms } of sums) {
    lines.push(
      `  ${proxy.padEnd(10)} ${`${requests}`.padStart(9)} ${`${failures}`.padStart(10)} ` +
        `${`${duplicates}`.padStart(16)} ${p50Ms.toFixed(0).padStart(8)} ${p99Ms.toFixed(0).padStart(8)}`,
    );
  }
  return lines.join("\n");
}

/** Failures by kind of one proxy, for those who ask. */
export function renderKinds({ cells }: Row): string {
  const words = cells.flatMap(({ proxy, kinds }) => {
    const list = Object.entries(kinds).map(([kind, count]) => `${count} ${kind}`);
    return list.length === 0 ? [] : [`${proxy}: ${list.join(", ")}`];
  });
  return words.length === 0 ? "" : `      ${words.join("; ")}`;
}

/** Whether a fault belongs to a run of this version. */
export function appliesTo(fault: Fault, version: Version): boolean {
  return fault.versions.includes(version);
}
