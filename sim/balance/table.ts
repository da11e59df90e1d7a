// From outcomes to a table: medians over seeds, with the interval that holds nine of ten.

import type { Contender, Outcome } from "./mesh.ts";

export interface Row {
  readonly contender: string;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** 5th and 95th percentile over the seeds. */
  readonly p99Interval: readonly [number, number];
  readonly p999Ms: number;
  readonly errorShare: number;
  readonly imbalance: number;
}

export function rowOf({ name }: Contender, outcomes: readonly Outcome[]): Row {
  const at = (read: (outcome: Outcome) => number, part: number) => {
    const sorted = outcomes.map(read).sort((left, right) => left - right);
    return sorted[Math.round((sorted.length - 1) * part)] ?? 0;
  };
  return {
    contender: name,
    p50Ms: at(({ p50Us }) => p50Us, 0.5) / 1_000,
    p99Ms: at(({ p99Us }) => p99Us, 0.5) / 1_000,
    p99Interval: [at(({ p99Us }) => p99Us, 0.05) / 1_000, at(({ p99Us }) => p99Us, 0.95) / 1_000],
    p999Ms: at(({ p999Us }) => p999Us, 0.5) / 1_000,
    errorShare: at(({ errorShare }) => errorShare, 0.5),
    imbalance: at(({ imbalance }) => imbalance, 0.5),
  };
}

/** A world's rows as a Markdown table; the best p99 is bold. */
export function formatRows(rows: readonly Row[]): string {
  const best = Math.min(...rows.map(({ p99Ms }) => p99Ms));
  const lines = rows.map((row) => {
    const p99 = `${format(row.p99Ms)} (${format(row.p99Interval[0])}–${format(row.p99Interval[1])})`;
    const cells = [
      row.contender,
      format(row.p50Ms),
      row.p99Ms === best ? `**${p99}**` : p99,
      format(row.p999Ms),
      `${(row.errorShare * 100).toFixed(2)} %`,
      row.imbalance.toFixed(2),
    ];
    return `| ${cells.join(" | ")} |`;
  });
  return [
    "| policy | p50 ms | p99 ms (5–95 % of seeds) | p99.9 ms | errors | busiest / mean |",
    "|---|---|---|---|---|---|",
    ...lines,
  ].join("\n");
}

function format(ms: number): string {
  return ms >= 100 ? ms.toFixed(0) : ms.toFixed(1);
}
