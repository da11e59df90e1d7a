// A pod in a network namespace whose connections are led through its sidecar, and a host beside it.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { createNamespaces, type Namespaces, POD, requireNamespaces } from "./namespaces.ts";
import type { Program } from "./process.ts";
import { requireProgram } from "./programs.ts";
import { createMesh, type MeshFolder } from "./sidecar.ts";
import { projectRoot } from "./source.ts";

const PILLION = join(projectRoot, "bin/pillion");

export interface InterceptedPod extends AsyncDisposable {
  readonly hosts: Namespaces;
  readonly mesh: MeshFolder;
  readonly sidecar: Program;
  /** The exposition of the sidecar's metrics. */
  metrics(): string;
}

export interface PodOptions {
  readonly documents: unknown;
  readonly driver: string;
  readonly flags?: readonly string[];
  /** `--service` and `--app`; without one only what goes out is intercepted. */
  readonly app?: { readonly service: string; readonly address: string };
  /** Starts what stands on both hosts, before the sidecar; resolves when it listens. */
  readonly start: (hosts: Namespaces) => Promise<unknown>;
}

/** Skips where namespaces or a program cannot be had. */
export function requireInterception(context: { skip(note?: string): never }, ...programs: readonly string[]): void {
  requireNamespaces(context);
  for (const program of ["nft", "curl", "setpriv", ...programs]) requireProgram(context, program);
  if (!existsSync(join(projectRoot, "build/wasm/engine.wasm")))
    throw new Error("build first: node tools/task.mjs build");
}

/** The app's user calls; what the program printed, or how it ended. */
export function callerOf(hosts: Namespaces, from: string) {
  return (...args: string[]) => {
    const { code, output } = hosts.run(from, "setpriv", ["--reuid", "65534", "--clear-groups", "--", ...args]);
    return code === 0 ? output : `exit ${code}`;
  };
}

export async function startInterceptedPod(options: PodOptions): Promise<InterceptedPod> {
  const { documents, driver, flags = [], app, start } = options;
  const hosts = createNamespaces();
  const mesh = createMesh(documents);
  const close = async () => {
    await hosts[Symbol.asyncDispose]();
    await mesh[Symbol.asyncDispose]();
  };
  try {
    await start(hosts);
    const rules = app === undefined ? [] : ["--inbound-port", "15006", "--exclude-inbound-ports", "15021"];
    expect(hosts.run(hosts.pod, PILLION, ["intercept", "setup", ...rules])).toMatchObject({ code: 0, errors: "" });
    const own = app === undefined ? [] : ["--service", app.service, "--app", app.address, "--advertise", POD.ipv4];
    const way = ["--intercept", "redirect", "--socket-driver", driver, "--drain", "2s"];
    const run = ["run", "--mesh", mesh.url, ...own, ...way, ...flags];
    const user = ["--reuid", "1337", "--regid", "1337", "--clear-groups", "--"];
    hosts.run(hosts.pod, "chmod", ["-R", "a+rX", mesh.folder]);
    const sidecar = hosts.start(hosts.pod, "setpriv", [...user, PILLION, ...run]);
    await sidecar.waitForLine(/"msg":"ready"/);
    const metrics = () => hosts.run(hosts.pod, "curl", ["-sS", "http://127.0.0.1:15000/metrics"]).output;
    return { hosts, mesh, sidecar, metrics, [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}
