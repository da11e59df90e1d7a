// The loads: which client, how many connections and streams, what is asked for.

import { BODIES, GRPC_ANSWER_BYTES, GRPC_PATH } from "../system/backends.ts";

/** What a proxy speaks on both sides. */
export type Protocol = "h2c" | "http1" | "grpc";

export interface Load {
  readonly name: string;
  readonly title: string;
  readonly client: "h2load" | "autocannon" | "grpc-js";
  readonly protocol: Protocol;
  readonly connections: number;
  /** Requests at once on each connection. */
  readonly streams: number;
  readonly path: string;
  /** Bytes of one whole answer's body. */
  readonly bodyBytes: number;
  /** Requests of the very first look at a peer: enough for every stream, quick even for the slowest. */
  readonly firstRequests: number;
}

type Shape = Pick<Load, "client" | "protocol" | "connections" | "streams">;

function load(name: string, title: string, shape: Shape, path: keyof typeof BODIES): Load {
  const bodyBytes = shape.protocol === "grpc" ? GRPC_ANSWER_BYTES + 5 : (BODIES[path] ?? 0);
  const firstRequests = Math.max(shape.connections * shape.streams, bodyBytes > 100_000 ? 100 : 2_000);
  return { name, title, ...shape, path: shape.protocol === "grpc" ? GRPC_PATH : path, bodyBytes, firstRequests };
}

const h2 = (connections: number, streams: number): Shape => ({
  client: "h2load",
  protocol: "h2c",
  connections,
  streams,
});
const h1 = (connections: number, client: "h2load" | "autocannon" = "h2load"): Shape => ({
  client,
  protocol: "http1",
  connections,
  streams: 1,
});
const grpc = (client: "h2load" | "grpc-js"): Shape => ({ client, protocol: "grpc", connections: 10, streams: 32 });

/** In the order of the tables; `--quick` takes the first three. */
export const LOADS: readonly Load[] = [
  load("h2-10x32", "h2c, 10 × 32, 100 B", h2(10, 32), "/100"),
  load("h2-50x1", "h2c, 50 × 1, 100 B", h2(50, 1), "/100"),
  load("h1-50", "HTTP/1.1, 50, 100 B", h1(50), "/100"),
  load("h1-autocannon", "HTTP/1.1, 50, 100 B (autocannon)", h1(50, "autocannon"), "/100"),
  load("grpc-10x32", "gRPC unary, 10 × 32 (h2load)", grpc("h2load"), "/100"),
  load("grpc-js", "gRPC unary, 10 × 32 (grpc-js)", grpc("grpc-js"), "/100"),
  load("h2-10k", "h2c, 10 × 32, 10 KiB", h2(10, 32), "/10k"),
  load("h1-10k", "HTTP/1.1, 50, 10 KiB", h1(50), "/10k"),
  load("h2-1m", "h2c, 10 × 4, 1 MiB", h2(10, 4), "/1m"),
  load("h1-1m", "HTTP/1.1, 10, 1 MiB", h1(10), "/1m"),
];

/** Loads whose names begin with one of these; an unknown beginning is an error. */
export function chooseLoads(beginnings: readonly string[]): Load[] {
  const unknown = beginnings.filter((name) => !LOADS.some((one) => one.name.startsWith(name)));
  if (unknown.length > 0) {
    throw new Error(`no such load: ${unknown.join(", ")} (${LOADS.map(({ name }) => name).join(", ")})`);
  }
  return LOADS.filter((one) => beginnings.some((name) => one.name.startsWith(name)));
}
