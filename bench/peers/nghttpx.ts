// nghttpx, nghttp2's own proxy: one worker in one process.

import { freePort, startServer } from "../system/process.ts";
import { lookUp } from "../system/programs.ts";
import { asRunning, backendPort, isHttp2, type Peer } from "./peer.ts";

export const nghttpx: Peer = {
  name: "nghttpx",
  find: () => lookUp("nghttpx"),
  remedy: "apt-get install nghttp2-proxy",
  versionArgs: ["--version"],
  async start(load, backends) {
    const port = await freePort();
    const backend = `127.0.0.1,${backendPort(load, backends)}${isHttp2(load) ? ";;proto=h2" : ""}`;
    const args = ["-f", `127.0.0.1,${port};no-tls`, "-b", backend, "-n1", "--single-process", "--no-ocsp"];
    // Its default lets a connection to a backend carry as many streams as the backend allows.
    const child = startServer("nghttpx", "nghttpx", [...args, "--accesslog-file=/dev/null", "--conf=/dev/null"]);
    return asRunning("nghttpx", child, port);
  },
};
