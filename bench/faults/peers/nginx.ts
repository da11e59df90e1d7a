// nginx: passive failure counts, next upstream for what is idempotent. Upstream HTTP/2 it speaks by grpc_pass only.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { asRunning } from "../../peers/peer.ts";
import { nginxConf } from "../../system/backends.ts";
import { freePort, startServer } from "../../system/process.ts";
import type { Rival } from "./rival.ts";

const NEXT = "error timeout invalid_header http_502 http_503 http_504";

function directives(prefix: string, pass: string): string {
  return `${pass} ${prefix}_connect_timeout 500ms; ${prefix}_read_timeout 1s; ${prefix}_send_timeout 1s;
      ${prefix}_next_upstream ${NEXT}; ${prefix}_next_upstream_tries 3; ${prefix}_next_upstream_timeout 4s;`;
}

export const nginx: Rival = {
  name: "nginx",
  async start({ version, servers, folder }) {
    const port = await freePort();
    const isH2 = version === "h2";
    const http1 = 'proxy_pass http://b; proxy_http_version 1.1; proxy_set_header Connection "";';
    const lines = servers.map((server) => `server 127.0.0.1:${server} max_fails=3 fail_timeout=5s;`);
    const server = `
  upstream b { zone b 64k; least_conn; ${lines.join(" ")} keepalive 64; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:${port}${isH2 ? " http2" : ""};
    location / {
      ${isH2 ? directives("grpc", "grpc_pass grpc://b;") : directives("proxy", http1)}
    }
  }`;
    const conf = join(folder, "nginx-faults.conf");
    writeFileSync(conf, nginxConf(folder, server, "faults"));
    return asRunning("nginx", startServer("nginx", "nginx", ["-c", conf]), port);
  },
};
