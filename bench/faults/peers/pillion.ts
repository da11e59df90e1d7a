// Pillion as a newcomer starts it: a file with the instances, nothing else said. No health checks, no timeouts.

import { AUTHORITY, startPillion } from "../../peers/pillion.ts";
import type { Rival } from "./rival.ts";

export const pillion: Rival = {
  name: "pillion",
  start({ version, servers, folder }) {
    const instances = servers.map((port, index) => ({ id: `s${index}`, address: `127.0.0.1:${port}` }));
    const service = version === "h2" ? { protocol: "http2", instances } : { instances };
    return startPillion("pillion", { services: { [AUTHORITY]: service } }, folder);
  },
};
