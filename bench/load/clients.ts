// The three clients behind one face: so many requests of a load against a port, every answer looked at.
//
// A client that got an answer which is not 2xx, or one of another length, or too few, throws: such a round says
// nothing.

import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fire } from "../autocannon/fire.ts";
import { runProgram } from "../system/process.ts";
import { fireUnary } from "./grpc.ts";
import type { Load } from "./loads.ts";
import { quantileOf } from "./statistics.ts";

export interface Target {
  readonly port: number;
  /** Host to ask for, where the proxy routes by it. */
  readonly authority: string | undefined;
}

export interface Answers {
  readonly requestsPerSecond: number;
  /** Closed loop: what a request took while so many others were under way. */
  readonly p50Us: number;
  readonly p99Us: number;
}

/** A length-prefixed gRPC message of ten bytes (gRPC over HTTP/2, "Length-Prefixed-Message"). */
const GRPC_MESSAGE = Buffer.from([0, 0, 0, 0, 10, ...Buffer.from("0123456789")]);
const TIMEOUT_S = 60;

/** Sends `requests` and resolves when all are answered as they should be. */
export async function send(load: Load, target: Target, requests: number): Promise<Answers> {
  switch (load.client) {
    case "h2load":
      return sendByH2load(load, target, requests);
    case "autocannon":
      return sendByAutocannon(load, target, requests);
    case "grpc-js":
      return fireUnary(load, target, requests);
    default:
      throw new Error(`no such client: ${load.client satisfies never}`);
  }
}

async function sendByAutocannon(load: Load, { port, authority }: Target, requests: number): Promise<Answers> {
  const shot = await fire({
    url: `http://127.0.0.1:${port}${load.path}`,
    host: authority,
    connections: load.connections,
    requests,
    bodyBytes: load.bodyBytes,
  });
  if (shot.problem !== undefined) throw new Error(shot.problem);
  return shot;
}

async function sendByH2load(load: Load, { port, authority }: Target, requests: number): Promise<Answers> {
  const stem = join(tmpdir(), `pillion-bench-${process.pid}`);
  const [log, body] = [`${stem}.log`, `${stem}.body`];
  rmSync(log, { force: true });
  const args = ["-n", `${requests}`, "-c", `${load.connections}`, "-m", `${load.streams}`, `--log-file=${log}`];
  args.push("-N", `${TIMEOUT_S}`, "-T", `${TIMEOUT_S}`);
  if (load.protocol === "http1") args.push("--h1");
  if (authority !== undefined) args.push("-H", `:authority: ${authority}`);
  if (load.protocol === "grpc") {
    writeFileSync(body, GRPC_MESSAGE);
    args.push("-d", body, "-H", "content-type: application/grpc", "-H", "te: trailers");
  }
  args.push(`http://127.0.0.1:${port}${load.path}`);
  try {
    const output = await runProgram("h2load", args);
    return readOutput(load, requests, output, readFileSync(log, "utf8"));
  } finally {
    rmSync(log, { force: true });
    rmSync(body, { force: true });
  }
}

/** A line of the log for each request: start in µs, status, µs until the answer's end; and h2load's own sums. */
function readOutput(load: Load, requests: number, output: string, log: string): Answers {
  const took: number[] = [];
  for (const line of log.split("\n")) {
    const [, status = "", us = ""] = line.split("\t");
    if (status.startsWith("2")) took.push(Number(us));
  }
  const bytes = Number(/, [\d.]+\w+ \((\d+)\) data/.exec(output)?.[1] ?? 0);
  const expected = requests * load.bodyBytes;
  if (took.length !== requests || bytes !== expected || !output.includes(" 0 failed, 0 errored, 0 timeout")) {
    throw new Error(`${took.length} of ${requests} answers were 2xx, ${bytes} of ${expected} bytes came:\n${output}`);
  }
  const sorted = Float64Array.from(took).sort();
  return {
    requestsPerSecond: Number(/, ([\d.]+) req\/s/.exec(output)?.[1] ?? 0),
    p50Us: quantileOf(sorted, 0.5),
    p99Us: quantileOf(sorted, 0.99),
  };
}
