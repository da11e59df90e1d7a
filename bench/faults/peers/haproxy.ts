// HAProxy: layer 7 retries of GET, redispatch, passive observation and active checks.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { asRunning } from "../../peers/peer.ts";
import { freePort, startServer } from "../../system/process.ts";
import { HEALTH_PATH, type Rival } from "./rival.ts";

export const haproxy: Rival = {
  name: "haproxy",
  async start({ version, servers, folder }) {
    const port = await freePort();
    const proto = version === "h2" ? " proto h2" : "";
    const check = version === "h2" ? " check-proto h2" : "";
    const lines = servers.map((server, index) => `  server s${index} 127.0.0.1:${server}${proto} check${check}`);
    const conf = join(folder, "haproxy.cfg");
    writeFileSync(
      conf,
      `
global
  nbthread 1
  maxconn 4000
defaults
  mode http
  timeout connect 500ms
  timeout client 60s
  timeout server 1s
  timeout queue 1s
  timeout http-keep-alive 60s
  retries 3
  option redispatch 1
  retry-on conn-failure empty-response junk-response response-timeout 0rtt-rejected 502 503 504
  http-reuse safe
frontend f
  bind 127.0.0.1:${port}${proto}
  default_backend b
backend b
  balance leastconn
  option httpchk GET ${HEALTH_PATH}
  http-request disable-l7-retry unless METH_GET
  default-server inter 500ms fastinter 200ms downinter 500ms fall 2 rise 2
  default-server observe layer7 error-limit 3 on-error mark-down
${lines.join("\n")}
`,
    );
    return asRunning("haproxy", startServer("haproxy", "haproxy", ["-f", conf, "-db"]), port);
  },
};
