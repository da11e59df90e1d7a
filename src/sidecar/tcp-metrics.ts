// Metrics of TCP connections, by the service that they are for, or `other` for those that pass through.

import {
  SERVICE_TCP_CELLS,
  TCP_CONNECT_FAILURES_CELL,
  TCP_ENDS_CELL,
  TCP_OPENED_CELL,
  TCP_RECEIVED_CELL,
  TCP_SENT_CELL,
} from "../../assembly/abi/metrics.ts";
import type { CompiledSnapshot } from "../snapshot/index.ts";
import { type Sample, type Source, TCP_END_NAMES } from "../telemetry/index.ts";
import type { Block, MetricInputs } from "./metric-sources.ts";

export function tcpSources(
  blocksOf: (snapshot: CompiledSnapshot | undefined) => readonly Block[],
  { balancer, supervisor, snapshot }: MetricInputs,
): Source[] {
  const cellOf = ({ base }: Block, cell: number) => balancer.counters.cellOf(base + SERVICE_TCP_CELLS + cell);
  /** Of those who ever had a connection. */
  const blocks = () => blocksOf(snapshot()).filter((block) => cellOf(block, TCP_OPENED_CELL) > 0);
  const counter = (name: string, help: string, cell: number): Source => ({
    name,
    help,
    type: "counter",
    read: () => blocks().map((block) => ({ labels: labelsOf(block), value: cellOf(block, cell) })),
  });
  return [
    counter("pillion_tcp_connections_total", "TCP connections taken, by direction and service.", TCP_OPENED_CELL),
    counter("pillion_tcp_received_bytes_total", "Bytes that clients of TCP connections sent.", TCP_RECEIVED_CELL),
    counter("pillion_tcp_sent_bytes_total", "Bytes that clients of TCP connections were sent.", TCP_SENT_CELL),
    counter(
      "pillion_tcp_connect_failures_total",
      "Attempts to connect for a TCP connection that failed.",
      TCP_CONNECT_FAILURES_CELL,
    ),
    {
      name: "pillion_tcp_connections_closed_total",
      help: "TCP connections that ended, by reason.",
      type: "counter",
      read: () => blocks().flatMap((block) => endSamples(block, (cell) => cellOf(block, cell))),
    },
    {
      name: "pillion_tcp_connections_open",
      help: "TCP connections that are open, by direction and service.",
      type: "gauge",
      read: () => {
        const open = openBy(supervisor.reports.map(({ tcpOpen }) => tcpOpen));
        return blocks().map((block) => ({ labels: labelsOf(block), value: open.get(block.base) ?? 0 }));
      },
    },
  ];
}

function labelsOf({ direction, service }: Block) {
  return { direction, service };
}

function endSamples(block: Block, cellOf: (cell: number) => number): Sample[] {
  return TCP_END_NAMES.map((reason, end) => ({
    labels: { ...labelsOf(block), reason },
    value: cellOf(TCP_ENDS_CELL + end),
  })).filter(({ value }) => value > 0);
}

/** Sums of [cell, count, cell, count …]. */
function openBy(reports: readonly (readonly number[])[]): Map<number, number> {
  const sums = new Map<number, number>();
  for (const pairs of reports) {
    for (let at = 0; at < pairs.length; at += 2) {
      const base = pairs[at]!;
      sums.set(base, (sums.get(base) ?? 0) + (pairs[at + 1] ?? 0));
    }
  }
  return sums;
}
