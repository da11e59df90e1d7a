// One measurement of one proxy: so many requests of a load, and the CPU time that the proxy took meanwhile.

import type { RunningPeer } from "../peers/peer.ts";
import { cpuUsOf, residentBytesOf } from "../system/process.ts";
import { send } from "./clients.ts";
import type { Load } from "./loads.ts";

const WARM_UP_MS = 1_000;

export interface Sample {
  readonly requests: number;
  readonly cpuUsPerRequest: number;
  readonly requestsPerSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly residentBytes: number;
}

/** Rejects when any answer was not as it should be. */
export async function measure(load: Load, peer: RunningPeer, requests: number): Promise<Sample> {
  const beforeUs = cpuUsOf(peer.pid);
  const answers = await send(load, peer, requests);
  const cpuUs = cpuUsOf(peer.pid) - beforeUs;
  return { requests, cpuUsPerRequest: cpuUs / requests, ...answers, residentBytes: residentBytesOf(peer.pid) };
}

/**
 * Warms a peer up and says how many requests take it about `seconds`. Rounds of different length are fair because CPU
 * is counted for each request; an equal number would spend the run on the slowest, who is thirty times slower. What
 * comes first is thrown away: a just-in-time compiler (V8's for Wasm too) takes a good part of a second.
 */
export async function warmUp(load: Load, peer: RunningPeer, seconds: number): Promise<number> {
  const least = load.firstRequests;
  const countOf = (rate: number, time: number) => Math.max(least, Math.round(rate * time));
  const endMs = performance.now() + WARM_UP_MS;
  let { requestsPerSecond } = await measure(load, peer, least);
  do {
    ({ requestsPerSecond } = await measure(load, peer, countOf(requestsPerSecond, WARM_UP_MS / 3_000)));
  } while (performance.now() < endMs);
  return countOf(requestsPerSecond, seconds);
}
