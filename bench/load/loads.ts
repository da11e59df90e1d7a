// The loads: how many connections and streams, what is asked for, how many requests a round has.

/** One load by h2load. */
export interface Load {
  readonly name: string;
  readonly title: string;
  readonly protocol: "h2c" | "http1";
  readonly connections: number;
  readonly streams: number;
  readonly path: string;
  readonly requests: number;
  /** Sends a small gRPC message as a POST. */
  readonly isGrpc?: boolean;
}

/** Enough for a second or two of each peer on two cores; CPU time is counted in ticks of 10 ms. */
export const LOADS: readonly Load[] = [
  {
    name: "h2-10x32",
    title: "h2c, 10 × 32, 100 B",
    protocol: "h2c",
    connections: 10,
    streams: 32,
    path: "/100",
    requests: 200_000,
  },
  {
    name: "h2-50x1",
    title: "h2c, 50 × 1, 100 B",
    protocol: "h2c",
    connections: 50,
    streams: 1,
    path: "/100",
    requests: 80_000,
  },
  {
    name: "h1-50",
    title: "HTTP/1.1, 50, 100 B",
    protocol: "http1",
    connections: 50,
    streams: 1,
    path: "/100",
    requests: 80_000,
  },
  {
    name: "grpc-10x32",
    title: "gRPC unary, 10 × 32",
    protocol: "h2c",
    connections: 10,
    streams: 32,
    path: "/100",
    requests: 200_000,
    isGrpc: true,
  },
  {
    name: "h2-10k",
    title: "h2c, 10 × 32, 10 KiB",
    protocol: "h2c",
    connections: 10,
    streams: 32,
    path: "/10k",
    requests: 60_000,
  },
  {
    name: "h2-1m",
    title: "h2c, 10 × 4, 1 MiB",
    protocol: "h2c",
    connections: 10,
    streams: 4,
    path: "/1m",
    requests: 1_000,
  },
];
