// Metrics of active health checks: who passes, and how often somebody was asked.

import type { HealthState } from "../health/index.ts";
import type { CompiledSnapshot } from "../snapshot/index.ts";
import type { Sample, Source } from "../telemetry/index.ts";

/** What the sources read from. */
export interface HealthMetricInputs {
  readonly snapshot: () => CompiledSnapshot | undefined;
  readonly healthOf: (slot: number) => HealthState | undefined;
}

/** Two metrics over the first `instancesMax` instances that are checked; beyond, nobody is shown. */
export function healthSources({ snapshot, healthOf }: HealthMetricInputs, instancesMax: number): Source[] {
  const perChecked = (read: (state: HealthState) => readonly Sample[]) => () => {
    const { instances = [], services = [] } = snapshot() ?? {};
    const checked = instances.flatMap(({ slot, service, id }) => {
      const state = healthOf(slot);
      return state === undefined
        ? []
        : [{ state, labels: { service: services[service]?.name ?? "unknown", instance: id } }];
    });
    return checked.slice(0, instancesMax).flatMap(({ state, labels }) => {
      return read(state).map((sample) => ({ ...sample, labels: { ...labels, ...sample.labels } }));
    });
  };
  return [
    {
      name: "pillion_instance_healthy",
      help: "1 while an instance passes its health checks, 0 while it does not.",
      type: "gauge",
      read: perChecked(({ isHealthy }) => [{ labels: {}, value: isHealthy ? 1 : 0 }]),
    },
    {
      name: "pillion_health_checks_total",
      help: "Health checks of an instance by outcome.",
      type: "counter",
      read: perChecked(({ passed, failed }) => [
        { labels: { outcome: "passed" }, value: passed },
        { labels: { outcome: "failed" }, value: failed },
      ]),
    },
  ];
}
