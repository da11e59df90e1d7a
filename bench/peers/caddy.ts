// Caddy: Go's machinery with its own HTTP handlers; GOMAXPROCS=1 is its one worker.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort, startServer } from "../system/process.ts";
import { lookUp } from "../system/programs.ts";
import { asRunning, backendPort, isHttp2, type Peer } from "./peer.ts";

export const caddy: Peer = {
  name: "caddy",
  find: () => lookUp("caddy"),
  remedy: "apt-get install caddy",
  versionArgs: ["version"],
  async start(load, backends) {
    const port = await freePort();
    const scheme = isHttp2(load) ? "h2c" : "http";
    const conf = join(backends.folder, "Caddyfile");
    writeFileSync(
      conf,
      `
{
  admin off
  auto_https off
  log default {
    output discard
  }
  servers {
    protocols ${isHttp2(load) ? "h1 h2c" : "h1"}
  }
}
http://127.0.0.1:${port} {
  bind 127.0.0.1
  reverse_proxy ${scheme}://127.0.0.1:${backendPort(load, backends)} {
    transport http {
      keepalive_idle_conns_per_host 256
      ${isHttp2(load) ? "versions h2c 2" : ""}
    }
  }
}
`,
    );
    const args = ["run", "--config", conf, "--adapter", "caddyfile"];
    const child = startServer("caddy", "caddy", args, { GOMAXPROCS: "1", XDG_DATA_HOME: backends.folder });
    return asRunning("caddy", child, port);
  },
};
