// etcd's remote procedures by name: npm etcd3's protocol files and types, on grpc-js.
//
// etcd3 brings etcd's .proto files and the types generated from them; its own client above them loses watch events and
// leases, retries what must not be retried and has no deadlines, so client.ts, watch.ts and lease.ts stand in its place
// (docs/decisions/0005-own-etcd-loops.md). This file is the only one that knows where the protocol files lie.

import { createRequire } from "node:module";
import type { MethodDefinition } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import type {
  IAuthenticateRequest,
  IAuthenticateResponse,
  ILeaseGrantRequest,
  ILeaseGrantResponse,
  ILeaseKeepAliveRequest,
  ILeaseKeepAliveResponse,
  ILeaseRevokeRequest,
  ILeaseRevokeResponse,
  IRangeRequest,
  IRangeResponse,
  ITxnRequest,
  ITxnResponse,
  IWatchRequest,
  IWatchResponse,
} from "etcd3";
import { assert } from "../../base/index.ts";

/** One procedure: its path, and how its messages are written and read. */
export type Method<Request, Response> = MethodDefinition<Request, Response>;

// 64-bit numbers as text: a revision or a lease does not fit a double.
const LOADER_OPTIONS = { keepCase: true, longs: String, enums: String, defaults: true, oneofs: true } as const;

const definitions = loadSync(createRequire(import.meta.url).resolve("etcd3/proto/rpc.proto"), LOADER_OPTIONS);

export const RANGE = method<IRangeRequest, IRangeResponse>("KV", "Range");
export const TXN = method<ITxnRequest, ITxnResponse>("KV", "Txn");
export const WATCH = method<IWatchRequest, IWatchResponse>("Watch", "Watch");
export const LEASE_GRANT = method<ILeaseGrantRequest, ILeaseGrantResponse>("Lease", "LeaseGrant");
export const LEASE_REVOKE = method<ILeaseRevokeRequest, ILeaseRevokeResponse>("Lease", "LeaseRevoke");
export const LEASE_KEEP_ALIVE = method<ILeaseKeepAliveRequest, ILeaseKeepAliveResponse>("Lease", "LeaseKeepAlive");
export const AUTHENTICATE = method<IAuthenticateRequest, IAuthenticateResponse>("Auth", "Authenticate");

/** The procedure `service.name` of etcd's protocol. */
export function method<Request, Response>(service: string, name: string): Method<Request, Response> {
  const definition = definitions[`etcdserverpb.${service}`];
  assert(definition !== undefined && !("format" in definition), `etcd3 brings no service ${service}`);
  const found = definition[name];
  assert(found !== undefined, `etcd3 brings no procedure ${service}.${name}`);
  return found as unknown as Method<Request, Response>;
}
