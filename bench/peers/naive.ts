// The floor: a proxy of Node's own modules and undici, as one writes it in ten minutes (naive-proxy.ts).

import { join } from "node:path";
import { freePort, startServer } from "../system/process.ts";
import { asRunning, backendPort, isHttp2, type Peer } from "./peer.ts";

export const naive: Peer = {
  name: "naive",
  find: () => process.execPath,
  remedy: "",
  versionArgs: ["--version"],
  async start(load, backends) {
    const port = await freePort();
    const script = join(import.meta.dirname, "naive-proxy.ts");
    const args = [script, String(port), String(backendPort(load, backends)), isHttp2(load) ? "h2c" : "http1"];
    return asRunning("naive", startServer("naive", process.execPath, args), port);
  },
};
