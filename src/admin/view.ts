// What the admin and probe servers ask of the sidecar: declared here, answered by src/sidecar.
//
// Plain data, ready for JSON. The servers hold no state of their own.

import type { LogLevel } from "../base/index.ts";

export interface InstanceView {
  readonly service: string;
  readonly id: string;
  readonly address: string;
  readonly weight: number;
  readonly zone: string | undefined;
  readonly tags: Readonly<Record<string, string>>;
  readonly isSidecar: boolean;
  /** ready · draining · ejected · unhealthy · removed. */
  readonly state: string;
  /** Why an ejected instance is set aside, since when, and how long until one request may try it. */
  readonly ejection: { readonly reason: string; readonly sinceMs: number; readonly leftMs: number } | undefined;
  /** What its health check found; absent where none is made. */
  readonly health:
    | {
        readonly check: string;
        readonly isHealthy: boolean;
        readonly passed: number;
        readonly failed: number;
        /** Why the latest check failed. */
        readonly problem: string | undefined;
      }
    | undefined;
  /** Finished requests since the sidecar started, and those among them that failed. */
  readonly requests: number;
  readonly errors: number;
  readonly inFlight: number;
  readonly pending: number;
  readonly connections: number;
  /** Absent before the first answer. */
  readonly p50Us: number | undefined;
  readonly p99Us: number | undefined;
}

export interface ServiceView {
  readonly name: string;
  readonly protocol: string;
  readonly policy: string;
  readonly hosts: readonly string[];
  /** `protocol: tcp`: where apps connect to. */
  readonly addresses: readonly string[];
  readonly instances: number;
  readonly requests: number;
  readonly errors: number;
  readonly inFlight: number;
}

/** A TCP connection that is open. */
export interface ConnectionView {
  readonly direction: string;
  readonly peer: string;
  /** Where the client meant to go; absent: to the port of a service. */
  readonly destination: string | undefined;
  /** Of a TLS ClientHello. */
  readonly serverName: string | undefined;
  /** Absent: it is passed on to its destination. */
  readonly service: string | undefined;
  readonly instance: string | undefined;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  readonly ageMs: number;
}

export interface Readiness {
  readonly isReady: boolean;
  /** What is waited for, a sentence each; empty when ready. */
  readonly waitingFor: readonly string[];
  /** What is served by is old: of when, and why; absent where it is not. */
  readonly stale?: string | undefined;
  /** Flag → address in use, or "off". */
  readonly ports: Readonly<Record<string, string>>;
}

/** Which part of readiness is asked for: everything, all but the app, the app alone. */
export const READINESS_PARTS = ["all", "sidecar", "app"] as const;
export type ReadinessPart = (typeof READINESS_PARTS)[number];

export interface AdminView {
  services(): readonly ServiceView[];
  instances(service: string | undefined): readonly InstanceView[];
  /** TCP connections, as of half a second ago; of very many the latest. */
  connections(service: string | undefined): readonly ConnectionView[];
  /** Flags in force and documents as composed. */
  config(): unknown;
  readiness(part?: ReadinessPart): Readiness;
  /** The Prometheus exposition. */
  formatMetrics(): Promise<{ readonly contentType: string; readonly text: string }>;
  /** Starts draining, as SIGTERM does; true when it was not draining yet. */
  drain(): boolean;
  logLevel: LogLevel;
}
