// nginx. Its upstream side speaks HTTP/1.1 for plain requests, whatever is in front: with h2c it converts, which the
// others do not have to. gRPC it carries as HTTP/2.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { nginxConf } from "../system/backends.ts";
import { freePort, startServer } from "../system/process.ts";
import { lookUp } from "../system/programs.ts";
import { asRunning, isHttp2, type Peer } from "./peer.ts";

export const nginx: Peer = {
  name: "nginx",
  find: () => lookUp("nginx"),
  remedy: "apt-get install nginx-light",
  versionArgs: ["-v"],
  async start(load, backends) {
    const port = await freePort();
    const isGrpc = load.protocol === "grpc";
    const plain = 'proxy_pass http://b; proxy_http_version 1.1; proxy_set_header Connection "";';
    // Without the last line, bodies of a megabyte would go by way of the disk.
    const buffers = "proxy_buffers 16 16k; proxy_buffer_size 16k; proxy_max_temp_file_size 0;";
    const server = `
  upstream b { server 127.0.0.1:${isGrpc ? backends.grpcPort : backends.http1Port}; keepalive 256; \
keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:${port}${isHttp2(load) ? " http2" : ""};
    location / { ${isGrpc ? "grpc_pass grpc://b;" : `${plain} ${buffers}`} }
  }`;
    const conf = join(backends.folder, "nginx-peer.conf");
    writeFileSync(conf, nginxConf(backends.folder, server, "peer"));
    return asRunning("nginx", startServer("nginx", "nginx", ["-c", conf]), port);
  },
};
