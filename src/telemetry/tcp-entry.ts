// What is told of one TCP connection when it has ended, and the line that it becomes.
//
// JSON from a worker to the main thread, which knows names: there is one for each connection, not for each request.

import { TCP_END_NOT_REACHED } from "../../assembly/abi/tcp-ends.ts";
import type { LogFields } from "../base/index.ts";
import { TCP_END_NAMES } from "./names.ts";
import { REASONS } from "./reasons.ts";

export interface TcpEntry {
  readonly direction: "outbound" | "inbound";
  /** The client's address. */
  readonly peer: string;
  /** Where the client meant to go; absent: to the port of a service. */
  readonly destination?: string | undefined;
  /** Where it went, if elsewhere. */
  readonly target?: string | undefined;
  /** Index of the service and slot of the instance. */
  readonly service?: number | undefined;
  readonly instance?: number | undefined;
  /** Of a TLS ClientHello; DNS characters only. */
  readonly serverName?: string | undefined;
  /** TCP_END_*. */
  readonly end: number;
  readonly attempts: number;
  readonly durationUs: number;
  /** Until the connection to the destination stood. */
  readonly connectUs?: number | undefined;
  /** From the client, and to it. */
  readonly bytesReceived: number;
  readonly bytesSent: number;
}

/** Names of the snapshot's services and instances. */
interface Names {
  serviceName(index: number): string | undefined;
  instanceId(slot: number): string | undefined;
}

export function readTcpEntry(bytes: Uint8Array): TcpEntry {
  return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()) as TcpEntry;
}

export interface TcpReason {
  readonly text: string;
  readonly message: string;
  /** Nobody took the connection. */
  readonly isNotReached: boolean;
}

export function tcpReasonOf({ end }: TcpEntry): TcpReason {
  const text = TCP_END_NAMES[end] ?? "closed";
  const message = MESSAGES[text] ?? REASONS.find((reason) => reason.text === text)?.message ?? "";
  return { text, message, isNotReached: end >= TCP_END_NOT_REACHED };
}

/** Where the words for requests do not fit a connection. */
const MESSAGES: Readonly<Record<string, string>> = {
  overflow: "The service's limits.connections is reached. Add instances, or raise the limit in its document.",
  "no-route": "The destination is outside of the mesh and --unknown deny keeps it out. Add a service with its address.",
  loop: "The connection was going to a port of this sidecar through the sidecar itself. Exclude the port.",
};

/** The fields of a JSON line; absent ones are left out. */
export function tcpFieldsOf(entry: TcpEntry, names: Names): LogFields {
  const { service, instance, end: _, durationUs, connectUs, ...rest } = entry;
  return {
    protocol: "tcp",
    ...rest,
    reason: tcpReasonOf(entry).text,
    service: service === undefined ? undefined : names.serviceName(service),
    instance: instance === undefined ? undefined : names.instanceId(instance),
    durationMs: durationUs / 1000,
    connectMs: connectUs === undefined ? undefined : connectUs / 1000,
  };
}

/** One line in the manner of those of requests. */
export function formatTcpLine(entry: TcpEntry, names: Names): string {
  const fields = tcpFieldsOf(entry, names);
  const word = (value: unknown) => (value === undefined || value === "" ? "-" : String(value));
  return [
    word(entry.peer),
    entry.direction,
    `"TCP ${word(entry.destination)}"`,
    `${entry.bytesReceived}/${entry.bytesSent}B`,
    `${fields.durationMs}ms`,
    `${word(fields.service)}/${word(fields.instance)}`,
    `attempts=${entry.attempts}`,
    word(fields.reason),
    `sni=${word(entry.serverName)}`,
  ].join(" ");
}
