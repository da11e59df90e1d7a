// What a peer is: a proxy that can be started in front of the backends, as one who knows it well would configure it.
//
// The same for all: one worker thread, access logs off, connections kept alive on both sides, no limit that the loads
// reach, TLS nowhere.

import type { ChildProcess } from "node:child_process";
import type { Load } from "../load/loads.ts";
import type { Backends } from "../system/backends.ts";
import { end, waitForPort } from "../system/process.ts";

export interface RunningPeer {
  readonly name: string;
  readonly port: number;
  readonly pid: number;
  /** Host to ask for, where the peer routes by it. */
  readonly authority: string | undefined;
  stop(): Promise<void>;
}

export interface Peer {
  readonly name: string;
  /** What must be there to run it: a program's name or path; undefined when nothing can be found. */
  find(): string | undefined;
  /** How to get it. */
  readonly remedy: string;
  readonly versionArgs: readonly string[];
  start(load: Load, backends: Backends): Promise<RunningPeer>;
}

/** The backend that answers what a load asks for. */
export function backendPort(load: Load, backends: Backends): number {
  if (load.protocol === "grpc") return backends.grpcPort;
  return load.protocol === "http1" ? backends.http1Port : backends.http2Port;
}

/** Whether a load comes by HTTP/2. */
export function isHttp2(load: Load): boolean {
  return load.protocol !== "http1";
}

/** A started peer, once it accepts. */
export async function asRunning(
  name: string,
  child: ChildProcess,
  port: number,
  authority?: string,
): Promise<RunningPeer> {
  try {
    await waitForPort(port, name, child);
  } catch (error) {
    await end(child);
    throw error;
  }
  const { pid } = child;
  if (pid === undefined) throw new Error(`${name} did not start`);
  return { name, port, pid, authority, stop: () => end(child) };
}
