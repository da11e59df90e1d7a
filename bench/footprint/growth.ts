// How resident memory grows while a cold sidecar answers: between a tenth and all of the requests.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Backends } from "../system/backends.ts";
import { findProgram } from "../system/programs.ts";
import { startSidecar } from "./sidecar.ts";

export interface Shape {
  readonly name: string;
  readonly service: "h1" | "h2";
  readonly args: readonly string[];
}

export const SHAPES: readonly Shape[] = [
  { name: "h2c 10 × 32", service: "h2", args: ["-c", "10", "-m", "32"] },
  { name: "h2c 50 × 1", service: "h2", args: ["-c", "50", "-m", "1"] },
  { name: "h2c 1000 × 1", service: "h2", args: ["-c", "1000", "-m", "1"] },
  { name: "HTTP/1.1 50", service: "h1", args: ["--h1", "-c", "50"] },
];

export interface Growth {
  readonly idleKiB: number;
  /** When a tenth was answered. */
  readonly tenthKiB: number;
  readonly endKiB: number;
}

/** One cold process, one load. */
export async function measureGrowth(shape: Shape, backends: Backends, requests: number): Promise<Growth> {
  await using sidecar = await startSidecar(backends);
  const idleKiB = sidecar.residentKiB();
  let tenthKiB = Number.NaN;
  const target = ["-H", `:authority: ${shape.service}`, `http://127.0.0.1:${sidecar.port}/100`];
  const child = spawn(findProgram("h2load"), ["-n", `${requests}`, ...shape.args, ...target]);
  child.stderr.resume();
  let summary = "";
  for await (const line of createInterface(child.stdout)) {
    if (line.startsWith("progress: 10%")) tenthKiB = sidecar.residentKiB();
    if (line.startsWith("status codes:")) summary = line;
  }
  if (!summary.startsWith(`status codes: ${requests} 2xx`)) throw new Error(`${shape.name}: ${summary}`);
  return { idleKiB, tenthKiB, endKiB: sidecar.residentKiB() };
}
