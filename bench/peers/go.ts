// Go's httputil.ReverseProxy in a program of thirty lines (go-proxy/), one thread of execution.

import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { freePort, startServer } from "../system/process.ts";
import { findProgram, lookUp } from "../system/programs.ts";
import { asRunning, backendPort, isHttp2, type Peer } from "./peer.ts";

export const go: Peer = {
  name: "go",
  find: () => lookUp("go"),
  remedy: "https://go.dev/dl, 1.24 or newer",
  versionArgs: ["version"],
  async start(load, backends) {
    const port = await freePort();
    const binary = join(backends.folder, "go-proxy");
    execFileSync(findProgram("go"), ["build", "-o", binary, "."], { cwd: join(import.meta.dirname, "go-proxy") });
    const backend = `http://127.0.0.1:${backendPort(load, backends)}`;
    const child = startServer("go", binary, [`127.0.0.1:${port}`, backend, isHttp2(load) ? "h2c" : "http1"]);
    return asRunning("go", child, port);
  },
};
