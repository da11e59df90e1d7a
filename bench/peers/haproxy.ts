// HAProxy: one thread, connections to the backend shared by all callers.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort, startServer } from "../system/process.ts";
import { lookUp } from "../system/programs.ts";
import { asRunning, backendPort, isHttp2, type Peer } from "./peer.ts";

export const haproxy: Peer = {
  name: "haproxy",
  find: () => lookUp("haproxy"),
  remedy: "apt-get install haproxy",
  versionArgs: ["-v"],
  async start(load, backends) {
    const port = await freePort();
    const proto = isHttp2(load) ? " proto h2" : "";
    const conf = join(backends.folder, "haproxy.cfg");
    writeFileSync(
      conf,
      `
global
  nbthread 1
  maxconn 4000
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend f
  bind 127.0.0.1:${port}${proto}
  default_backend b
backend b
  server s 127.0.0.1:${backendPort(load, backends)}${proto}
`,
    );
    return asRunning("haproxy", startServer("haproxy", "haproxy", ["-f", conf, "-db"]), port);
  },
};
