// What a run says of one load: a table for the terminal, and the rows of the JSON.

import type { Peer } from "../peers/peer.ts";
import type { Load } from "./loads.ts";
import type { Sample } from "./measure.ts";
import { median, type Spread, spreadOf } from "./statistics.ts";

export interface Row {
  readonly peer: string;
  /** Requests of a round. */
  readonly requests: number;
  readonly cpuUsPerRequest: Spread;
  /** The rest are medians over the rounds. */
  readonly requestsPerSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly residentBytes: number;
  /** This peer ÷ HAProxy in CPU per request: median of the rounds' own ratios; undefined without HAProxy. */
  readonly toHaproxy: number | undefined;
  /** Pillion ÷ this peer, in the same way: what claims are made of. */
  readonly pillionTo: number;
}

/** A peer that did not answer as it should have, and how. */
export interface Failure {
  readonly peer: string;
  readonly problem: string;
}

export interface Result {
  readonly load: Load;
  readonly rows: readonly Row[];
  readonly failures: readonly Failure[];
}

interface Contestant {
  readonly peer: Peer;
  readonly requests: number;
  readonly samples: readonly Sample[];
}

export function summarize(load: Load, contestants: readonly Contestant[], failures: readonly Failure[]): Result {
  const samplesOf = (name: string) => contestants.find(({ peer }) => peer.name === name)?.samples;
  const own = samplesOf("pillion") ?? [];
  const haproxy = samplesOf("haproxy");
  const rows = contestants.map(({ peer, requests, samples }) => ({
    peer: peer.name,
    requests,
    cpuUsPerRequest: spreadOf(samples.map((sample) => sample.cpuUsPerRequest)),
    requestsPerSecond: median(samples.map((sample) => sample.requestsPerSecond)),
    p50Us: median(samples.map((sample) => sample.p50Us)),
    p99Us: median(samples.map((sample) => sample.p99Us)),
    residentBytes: median(samples.map((sample) => sample.residentBytes)),
    toHaproxy: haproxy === undefined ? undefined : ratioOf(samples, haproxy),
    pillionTo: ratioOf(own, samples),
  }));
  return { load, rows, failures };
}

/** Median of the rounds' own ratios, so that a machine whose speed drifts does not spoil it. */
export function ratioOf(
  samples: readonly Pick<Sample, "cpuUsPerRequest">[],
  others: readonly Pick<Sample, "cpuUsPerRequest">[],
): number {
  return median(
    samples.flatMap(({ cpuUsPerRequest }, round) => {
      const other = others[round];
      return other === undefined ? [] : [cpuUsPerRequest / other.cpuUsPerRequest];
    }),
  );
}

export function renderTable({ load, rows, failures }: Result): string {
  const lines = [
    `\n${load.title}`,
    "  peer      CPU µs/request (min–max)   ÷ haproxy   requests/s   p50 ms   p99 ms   resident",
  ];
  for (const { peer, cpuUsPerRequest: cpu, toHaproxy, requestsPerSecond, p50Us, p99Us, residentBytes } of rows) {
    const spread = `${cpu.median.toFixed(2)} (${cpu.min.toFixed(2)}–${cpu.max.toFixed(2)})`;
    lines.push(
      `  ${peer.padEnd(9)} ${spread.padStart(24)} ${(toHaproxy?.toFixed(2) ?? "").padStart(11)} ` +
        `${requestsPerSecond.toFixed(0).padStart(12)} ${(p50Us / 1_000).toFixed(2).padStart(8)} ` +
        `${(p99Us / 1_000).toFixed(2).padStart(8)} ${`${(residentBytes / 1e6).toFixed(0)} MB`.padStart(10)}`,
    );
  }
  for (const { peer, problem } of failures) lines.push(`  ${peer} does not count: ${problem.split("\n", 1)[0]}`);
  return lines.join("\n");
}
