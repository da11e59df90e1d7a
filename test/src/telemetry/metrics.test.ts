// Sources as Prometheus text: prom-client formats what the sources list at the moment of the scrape.

import { expect, test } from "vitest";
import { createMetrics, type Sample } from "../../../src/telemetry/index.ts";

test("counters, gauges and histograms are formatted, and read anew by each scrape", async () => {
  let requests = 1;
  const histogram: Sample[] = [
    { labels: { service: "users", le: 0.5 }, value: 2, suffix: "_bucket" },
    { labels: { service: "users", le: "+Inf" }, value: 3, suffix: "_bucket" },
    { labels: { service: "users" }, value: 1.25, suffix: "_sum" },
    { labels: { service: "users" }, value: 3, suffix: "_count" },
  ];
  const metrics = createMetrics([
    { name: "a_total", help: "A.", type: "counter", read: () => [{ labels: { k: 'a"b\\c\n' }, value: requests }] },
    { name: "b", help: "B.", type: "gauge", read: () => [{ labels: {}, value: -2 }] },
    { name: "c_seconds", help: "C.", type: "histogram", read: () => histogram },
  ]);
  const text = await metrics.format();
  expect(text).toContain('# HELP a_total A.\n# TYPE a_total counter\na_total{k="a\\"b\\\\c\\n"} 1\n');
  expect(text).toContain("# TYPE b gauge\nb -2\n");
  expect(text).toContain('# TYPE c_seconds histogram\nc_seconds_bucket{service="users",le="0.5"} 2\n');
  expect(text).toContain('c_seconds_sum{service="users"} 1.25\nc_seconds_count{service="users"} 3\n');
  expect(text).toContain("process_resident_memory_bytes");
  expect(metrics.contentType).toContain("text/plain");
  requests = 2;
  expect(await metrics.format()).toContain('a_total{k="a\\"b\\\\c\\n"} 2\n');
});
