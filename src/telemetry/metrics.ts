// Prometheus metrics: prom-client formats, the values come from where the data plane counts.
//
// Workers add to cells of shared memory (abi/metrics.ts) and know nothing of Prometheus; a scrape sums the cells of all
// workers. So no metric object is ever incremented: each is a name, a help text and a function that lists samples.
// prom-client's registry takes anything that answers `get`, and adds the process's own metrics.

import type { Metric } from "prom-client";
// Past its door, which loads its push gateway and cluster too, and with them Node's HTTP clients.
import collectDefaultMetrics from "prom-client/lib/defaultMetrics.js";
import Registry from "prom-client/lib/registry.js";

/** The probe of event loop lag is a timer: prom-client's 10 ms would wake an idle sidecar 100 times a second. */
const LAG_PRECISION_MS = 1_000;

export interface Sample {
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
  /** A histogram's `_bucket`, `_sum` or `_count`; empty for all others. */
  readonly suffix?: string;
}

export interface Source {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  read(): Iterable<Sample>;
}

export interface Metrics {
  readonly contentType: string;
  /** The exposition, read now. */
  format(): Promise<string>;
}

/** Joins sources into one exposition, with the process's own metrics. */
export function createMetrics(sources: readonly Source[]): Metrics {
  const registry = new Registry();
  for (const source of sources) registry.registerMetric(adapt(source));
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: LAG_PRECISION_MS });
  return { contentType: registry.contentType, format: () => registry.metrics() };
}

/** What prom-client's registry asks of a metric (its own classes do no more for it). */
function adapt({ name, help, type, read }: Source): Metric {
  const get = async () => ({
    name,
    help,
    type,
    aggregator: "sum",
    values: Array.from(read(), ({ labels, value, suffix }) => ({
      labels,
      value,
      metricName: `${name}${suffix ?? ""}`,
    })),
  });
  return { name, help, type, get, reset: () => undefined } as unknown as Metric;
}
