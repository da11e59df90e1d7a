// Every peer, in the order of the tables, and the choice among them.

import { caddy } from "./caddy.ts";
import { envoy, installEnvoy } from "./envoy.ts";
import { go } from "./go.ts";
import { haproxy } from "./haproxy.ts";
import { naive } from "./naive.ts";
import { nghttpx } from "./nghttpx.ts";
import { nginx } from "./nginx.ts";
import type { Peer } from "./peer.ts";
import { pillion } from "./pillion.ts";

export const PEERS: readonly Peer[] = [pillion, haproxy, nghttpx, nginx, envoy, caddy, go, naive];

/**
 * Pillion and those that are wanted (all by default) and there; who is missing is named with a remedy. Envoy is
 * installed when it was asked for by name.
 */
export async function choosePeers(wanted: readonly string[] | undefined, say: (line: string) => void): Promise<Peer[]> {
  const unknown = wanted?.filter((name) => !PEERS.some((peer) => peer.name === name)) ?? [];
  if (unknown.length > 0) {
    throw new Error(`no such peer: ${unknown.join(", ")} (${PEERS.map(({ name }) => name).join(", ")})`);
  }
  if (wanted?.includes("envoy")) await installEnvoy(say);
  const chosen = PEERS.filter(({ name }) => name === "pillion" || wanted === undefined || wanted.includes(name));
  return chosen.filter((peer) => {
    if (peer.find() !== undefined) return true;
    say(`left out: ${peer.name} is not here (${peer.remedy})`);
    return false;
  });
}
