// Whether a server says SERVING by the gRPC health checking protocol (grpc/grpc doc/health-checking.md), over HTTP/2
// without TLS.
//
// The two messages have one field each, so they are written and read here and no .proto travels along:
//   HealthCheckRequest {string service = 1}      HealthCheckResponse {ServingStatus status = 1}

import { Client, credentials, Metadata, status } from "@grpc/grpc-js";
import { formatAddress } from "../base/index.ts";
import type { Asked, Problem } from "./probe.ts";

const METHOD = "/grpc.health.v1.Health/Check";
const STATUSES = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"] as const;
const SERVING = 1;
/** Field 1 as a length-delimited text, and as a varint. */
const TAG_SERVICE = 0x0a;
const TAG_STATUS = 0x08;

export function askGrpc({ service, address }: Asked, name: string, timeoutMs: number): Promise<Problem> {
  const client = new Client(formatAddress(address), credentials.createInsecure(), {
    "grpc.default_authority": service,
    "grpc.enable_retries": 0,
    // A connection of its own for each question: shared ones would answer for one another.
    "grpc.use_local_subchannel_pool": 1,
  });
  return new Promise<Problem>((resolve) => {
    const options = { deadline: Date.now() + timeoutMs };
    client.makeUnaryRequest(METHOD, encodeRequest, decodeStatus, name, new Metadata(), options, (error, found) => {
      if (error !== null) resolve(problemOf(error.code, error.details, timeoutMs));
      else resolve(found === SERVING ? undefined : `says ${STATUSES[found ?? 0] ?? `status ${found}`}`);
    });
  }).finally(() => client.close());
}

function problemOf(code: status, details: string, timeoutMs: number): string {
  if (code === status.DEADLINE_EXCEEDED) return `no answer within ${timeoutMs} ms`;
  return code === status.UNIMPLEMENTED ? "has no grpc.health.v1 service" : `${status[code]}: ${details}`;
}

function encodeRequest(service: string): Buffer {
  const text = Buffer.from(service);
  if (text.length === 0) return text;
  return Buffer.concat([Buffer.from([TAG_SERVICE, ...varint(text.length)]), text]);
}

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)];
}

/** An empty message is status 0; fields that we do not know do not come before field 1 from any server there is. */
function decodeStatus(bytes: Buffer): number {
  return bytes[0] === TAG_STATUS ? (bytes[1] ?? 0) : 0;
}
