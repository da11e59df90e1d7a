// One question to one instance: does it answer? Which question is the document's `health` section.
//
// Every question opens a connection of its own and closes it: what is asked is whether a new caller is served. The
// libraries are loaded with the first question of their kind, because a mesh without checks must not pay for them.

import type { Address } from "../base/index.ts";
import type { Policy } from "../config/index.ts";
import type { InstanceProtocol } from "../snapshot/index.ts";

export type HealthCheck = NonNullable<Policy["health"]>;

/** Who is asked. */
export interface Asked {
  /** The service's name: what the question says in `host`. */
  readonly service: string;
  readonly address: Address;
  readonly protocol: InstanceProtocol;
}

/** Why a check failed, in words for people; `undefined` when it passed. */
export type Problem = string | undefined;

/** Asks once; settles within `check.timeoutMs`, or a little after it. */
export type Probe = (asked: Asked, check: HealthCheck) => Promise<Problem>;

/** Asks by what the check names: a path, a gRPC service, or a connection. */
export const probe: Probe = async (asked, check) => {
  if (check.path !== undefined) {
    const { askHttp } = await import("./ask-http.ts");
    return askHttp(asked, check.path, check.timeoutMs);
  }
  if (check.grpc !== undefined) {
    const { askGrpc } = await import("./ask-grpc.ts");
    return askGrpc(asked, check.grpc, check.timeoutMs);
  }
  const { askTcp } = await import("./ask-tcp.ts");
  return askTcp(asked.address, check.timeoutMs);
};

/** How a check is named in the log and on the admin port. */
export function formatCheck({ path, grpc }: HealthCheck): string {
  if (path !== undefined) return `GET ${path}`;
  return grpc === undefined ? "connect" : `grpc.health.v1 ${grpc === "" ? "(whole server)" : grpc}`;
}
