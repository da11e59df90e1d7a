// What each metric reads (DESIGN §5): cells and gauges of the shared memory, the workers' reports, the registry.
//
// Labels are bounded: services beyond METRIC_SERVICES_MAX share a block of cells and are `other` (abi/metrics.ts),
// instances beyond INSTANCE_SERIES_MAX are summed up as `other`.

import { STATE_EJECTED } from "../../assembly/abi/balancer-codes.ts";
import {
  GLITCHES_COUNT,
  PROTOCOL_H1,
  PROTOCOL_H2,
  REASON_FAULT,
  REASON_NONE,
} from "../../assembly/abi/engine-codes.ts";
import {
  OTHER_METRICS,
  SERVICE_HEDGE_CELLS,
  SERVICE_LATENCY_CELLS,
  SERVICE_OUTCOME_CELLS,
  SERVICE_REASON_CELLS,
  SERVICE_SKIPPED_CELLS,
  SERVICE_STATUS_CELLS,
  SERVICE_UNHEDGED_CELLS,
  STATUS_CLASS_CELLS,
  UNROUTED_INBOUND_METRICS,
  UNROUTED_OUTBOUND_METRICS,
} from "../../assembly/abi/metrics.ts";
import type { HealthState } from "../health/index.ts";
import type { CompiledSnapshot } from "../snapshot/index.ts";
import {
  GLITCH_NAMES,
  HEDGE_NAMES,
  OUTCOME_NAMES,
  PROTOCOL_NAMES,
  REASONS,
  ROLE_NAMES,
  type Sample,
  SKIPPED_NAMES,
  type Source,
  UNHEDGED_NAMES,
} from "../telemetry/index.ts";
import { type Balancer, LATENCY_BOUNDS_US } from "../wasm/index.ts";
import { healthSources } from "./health-metrics.ts";
import type { Supervisor } from "./supervisor.ts";
import { tcpSources } from "./tcp-metrics.ts";

/** Series of one metric that Prometheus scrapes without anybody noticing. */
const INSTANCE_SERIES_MAX = 2_000;
/** Three digits, five classes. */
const STATUS_CLASSES = 5;

/** What the sources read from. */
export interface MetricInputs {
  readonly balancer: Balancer;
  readonly supervisor: Supervisor;
  readonly snapshot: () => CompiledSnapshot | undefined;
  readonly healthOf: (slot: number) => HealthState | undefined;
  readonly registry: () => { readonly revision: number; readonly isConnected: boolean; readonly rejections: number };
  readonly logDrops: () => number;
}

/** A block of cells and whose it is. */
export interface Block {
  readonly direction: string;
  readonly service: string;
  readonly base: number;
}

export function createSources(inputs: MetricInputs): readonly Source[] {
  return [
    ...serviceSources(inputs),
    ...instanceSources(inputs),
    ...tcpSources(blocksOf, inputs),
    ...healthSources(inputs, INSTANCE_SERIES_MAX),
    ...ownSources(inputs),
  ];
}

function serviceSources({ balancer, snapshot }: MetricInputs): Source[] {
  const { counters } = balancer;
  const eachBlock = (read: (block: Block) => Iterable<Sample>) => () =>
    blocksOf(snapshot()).flatMap((block) => [...read(block)]);
  const named = (base: number, names: readonly string[], label: string) => (block: Block) =>
    names.map((name, index) => ({
      labels: { service: block.service, [label]: name },
      value: counters.cellOf(block.base + base + index),
    }));
  return [
    {
      name: "pillion_requests_total",
      help: "Finished requests by direction, service, status and, where Pillion answered itself, reason.",
      type: "counter",
      read: eachBlock((block) => requestSamples(block, (cell) => counters.cellOf(block.base + cell))),
    },
    {
      name: "pillion_request_duration_seconds",
      help: "From a request's head to the end of its response.",
      type: "histogram",
      read: eachBlock((block) => durationSamples(block, counters.latencyOf(block.base + SERVICE_LATENCY_CELLS))),
    },
    {
      name: "pillion_attempts_total",
      help: "Attempts of requests on instances, by outcome.",
      type: "counter",
      read: eachBlock(named(SERVICE_OUTCOME_CELLS, OUTCOME_NAMES, "outcome")),
    },
    {
      name: "pillion_retries_skipped_total",
      help: "Failed attempts that were not tried again, by cause.",
      type: "counter",
      read: eachBlock(named(SERVICE_SKIPPED_CELLS, SKIPPED_NAMES, "cause")),
    },
    {
      name: "pillion_hedges_total",
      help: "Second attempts beside slow first ones, by what became of them.",
      type: "counter",
      read: eachBlock(named(SERVICE_HEDGE_CELLS, HEDGE_NAMES, "result")),
    },
    {
      name: "pillion_hedges_skipped_total",
      help: "Attempts slow enough for a second one beside them that got none, by cause.",
      type: "counter",
      read: eachBlock(named(SERVICE_UNHEDGED_CELLS, UNHEDGED_NAMES, "cause")),
    },
  ];
}

/** The cells' owners. What reached no service is `other` in its direction, services beyond the cap in none. */
function blocksOf(snapshot: CompiledSnapshot | undefined): Block[] {
  const own = (snapshot?.services ?? [])
    .filter(({ metrics }) => metrics !== OTHER_METRICS)
    .map(({ name, direction, metrics }) => ({ direction, service: name, base: metrics }));
  return [
    ...own,
    { direction: "outbound", service: "other", base: UNROUTED_OUTBOUND_METRICS },
    { direction: "inbound", service: "other", base: UNROUTED_INBOUND_METRICS },
    { direction: "other", service: "other", base: OTHER_METRICS },
  ];
}

/**
 * A request is in one cell: of its status, or of the reason why it did not end as it should. The reason fixes the code
 * that is shown, as a caller of HTTP was told it; only a fault's is the rule's to choose.
 */
function requestSamples({ direction, service }: Block, cellOf: (cell: number) => number): Sample[] {
  const samples: Sample[] = [];
  for (const { code, text, status } of REASONS) {
    const value = code === REASON_NONE ? 0 : cellOf(SERVICE_REASON_CELLS + code);
    if (value === 0) continue;
    const shown = code === REASON_FAULT ? "" : status;
    samples.push({ labels: { direction, service, code: shown, reason: text }, value });
  }
  for (let family = 0; family < STATUS_CLASSES; family += 1) {
    for (let within = 0; within < STATUS_CLASS_CELLS; within += 1) {
      const value = cellOf(SERVICE_STATUS_CELLS + family * STATUS_CLASS_CELLS + within);
      const code = within === STATUS_CLASS_CELLS - 1 ? `${family + 1}xx` : String((family + 1) * 100 + within);
      if (value > 0) samples.push({ labels: { direction, service, code, reason: "" }, value });
    }
  }
  return samples;
}

function durationSamples(
  { direction, service }: Block,
  { counts, sumUs }: { readonly counts: readonly number[]; readonly sumUs: number },
): Sample[] {
  const labels = { direction, service };
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return [];
  let below = 0;
  const buckets = LATENCY_BOUNDS_US.map((boundUs, index) => {
    below += counts[index] ?? 0;
    return { labels: { ...labels, le: boundUs / 1e6 }, value: below, suffix: "_bucket" };
  });
  return [
    ...buckets,
    { labels: { ...labels, le: "+Inf" }, value: total, suffix: "_bucket" },
    { labels, value: sumUs / 1e6, suffix: "_sum" },
    { labels, value: total, suffix: "_count" },
  ];
}

function instanceSources({ balancer, snapshot }: MetricInputs): Source[] {
  const nameOf = (service: number) => snapshot()?.services[service]?.name ?? "unknown";
  const perInstance = (valueAt: (slot: number) => number) => () => {
    const samples: Sample[] = [];
    let rest = 0;
    for (const { slot, service, id } of snapshot()?.instances ?? []) {
      const value = valueAt(slot);
      if (samples.length >= INSTANCE_SERIES_MAX) rest += value;
      else samples.push({ labels: { service: nameOf(service), instance: id }, value });
    }
    if (rest > 0) samples.push({ labels: { service: "other", instance: "other" }, value: rest });
    return samples;
  };
  return [
    {
      name: "pillion_inflight",
      help: "Requests under way by service.",
      type: "gauge",
      read: () => {
        const sums = new Map<string, number>();
        for (const { slot, service } of snapshot()?.instances ?? []) {
          const name = nameOf(service);
          sums.set(name, (sums.get(name) ?? 0) + balancer.gaugesOf(slot).inflight);
        }
        return [...sums].map(([service, value]) => ({ labels: { service }, value }));
      },
    },
    {
      name: "pillion_instance_inflight",
      help: "Requests under way by instance.",
      type: "gauge",
      read: perInstance((slot) => balancer.gaugesOf(slot).inflight),
    },
    {
      name: "pillion_instance_ejected",
      help: "1 while an instance is set aside by outlier detection.",
      type: "gauge",
      read: perInstance((slot) => ((balancer.stateOf(slot) & STATE_EJECTED) === 0 ? 0 : 1)),
    },
    {
      name: "pillion_instance_ejection_seconds",
      help: "For how long an instance has been set aside, and why; absent while it is not.",
      type: "gauge",
      read: () => {
        const samples: Sample[] = [];
        for (const { slot, service, id } of snapshot()?.instances ?? []) {
          const ejection = samples.length < INSTANCE_SERIES_MAX ? balancer.ejectionOf(slot) : undefined;
          if (ejection === undefined) continue;
          const { reason, sinceMs } = ejection;
          samples.push({ labels: { service: nameOf(service), instance: id, reason }, value: sinceMs / 1000 });
        }
        return samples;
      },
    },
  ];
}

function ownSources({ supervisor, registry, logDrops }: MetricInputs): Source[] {
  const single = (type: Source["type"], name: string, help: string, read: () => number): Source => {
    return { name, help, type, read: () => [{ labels: {}, value: read() }] };
  };
  return [
    {
      name: "pillion_connections",
      help: "Open connections: downstream, who connected to us; upstream, whom we connected to.",
      type: "gauge",
      read: () =>
        ROLE_NAMES.flatMap((direction, role) =>
          PROTOCOL_NAMES.map((protocol, code) => ({
            labels: { direction, protocol },
            value: supervisor.reports.reduce(
              (sum, { connectionsBy }) => sum + (connectionsBy[role * 3 + code] ?? 0),
              0,
            ),
          })),
        ),
    },
    {
      name: "pillion_connections_shed_total",
      help: "Connections of clients without a sidecar that were asked to go elsewhere because our service had grown.",
      type: "counter",
      read: () =>
        [PROTOCOL_H1, PROTOCOL_H2].map((code) => ({
          labels: { protocol: PROTOCOL_NAMES[code] ?? "" },
          value: supervisor.shed[code] ?? 0,
        })),
    },
    {
      name: "pillion_glitches_total",
      help: "Anomalies of peers by kind.",
      type: "counter",
      read: () =>
        Array.from({ length: GLITCHES_COUNT }, (_, kind) => ({
          kind: GLITCH_NAMES[kind],
          value: supervisor.glitches[kind],
        }))
          .filter(({ kind }) => kind !== undefined)
          .map(({ kind = "", value = 0 }) => ({ labels: { kind }, value })),
    },
    single("gauge", "pillion_registry_revision", "Revision of the registry in force.", () => registry().revision),
    single("gauge", "pillion_registry_connected", "1 while the registry is seen.", () =>
      registry().isConnected ? 1 : 0,
    ),
    single("counter", "pillion_config_rejected_total", "Documents or saves refused.", () => registry().rejections),
    single("counter", "pillion_worker_restarts_total", "Workers started again.", () => supervisor.restarts),
    single(
      "counter",
      "pillion_accept_failures_total",
      "Connections that could not be taken.",
      () => supervisor.acceptFailures,
    ),
    single(
      "counter",
      "pillion_log_dropped_total",
      "Log entries dropped: nobody took them, or a turn had no room for them.",
      () => {
        return supervisor.logDrops + logDrops();
      },
    ),
    single("gauge", "pillion_memory_used_bytes", "Bytes of the workers' pools in use.", () =>
      supervisor.reports.reduce((sum, { poolUsedBytes }) => sum + poolUsedBytes, 0),
    ),
    single("gauge", "pillion_memory_bytes", "Bytes of the workers' pools.", () =>
      supervisor.reports.reduce((sum, { poolBytes }) => sum + poolBytes, 0),
    ),
  ];
}
