// Prometheus metrics: prom-client formats, the values come from where the data plane counts.
//
// Workers add to cells of shared memory (abi/metrics.ts) and know nothing of Prometheus; a scrape sums the cells of all
// workers. So no metric object is ever incremented: each is a name, a help text and a function that lists samples.
// prom-client's registry takes anything that answers `get`, and adds the process's own metrics.

import { collectDefaultMetrics, type Metric, Registry } from "prom-client";

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
  // Their probe of event loop lag keeps a histogram that is read and reset by each scrape; cheap enough to leave on.
  collectDefaultMetrics({ register: registry });
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
