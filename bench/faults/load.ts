// The load: an open loop of GETs and POSTs, the same at the same time to every proxy.

import type { RunningPeer } from "../peers/peer.ts";
import { openH2 } from "./client/h2.ts";
import { type Caller, openHttp1 } from "./client/http1.ts";
import { PATIENCE_MS, type Summary, Tally } from "./client/tally.ts";
import type { Version } from "./faults.ts";

/** One in five is a POST. */
const POST_EVERY = 5;

export interface Course {
  readonly version: Version;
  /** Requests a second to each proxy. */
  readonly rate: number;
  readonly seconds: number;
  /** Called once when this share of the time is over. */
  readonly onset: number;
  readonly strike: () => Promise<void>;
}

interface Lane {
  readonly tally: Tally;
  readonly caller: Caller;
}

let nextId = 1;

/** Runs the load against all proxies side by side; what each client saw. */
export async function runLoad(proxies: readonly RunningPeer[], course: Course): Promise<Summary[]> {
  const open = course.version === "h2" ? openH2 : openHttp1;
  const lanes: Lane[] = proxies.map(({ port, authority }) => {
    const tally = new Tally();
    return { tally, caller: open(port, authority ?? "bench", tally) };
  });
  const total = Math.round(course.rate * course.seconds);
  const periodMs = 1_000 / course.rate;
  const startMs = performance.now();
  const endMs = startMs + course.seconds * 1_000 + PATIENCE_MS + 500;
  let sent = 0;
  let isStruck = course.onset === 0;
  while (performance.now() < endMs) {
    const nowMs = performance.now();
    if (!isStruck && nowMs - startMs >= course.onset * course.seconds * 1_000) {
      isStruck = true;
      await course.strike();
    }
    for (; sent < total && startMs + sent * periodMs <= nowMs; sent += 1) {
      const method = sent % POST_EVERY === POST_EVERY - 1 ? "POST" : "GET";
      for (const { caller } of lanes) {
        caller.send({ id: nextId, method, dueMs: startMs + sent * periodMs });
        nextId += 1;
      }
    }
    for (const { tally } of lanes) tally.giveUp(performance.now());
    if (sent === total && lanes.every(({ tally }) => tally.openCount === 0)) break;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  for (const { caller } of lanes) caller.close();
  return lanes.map(({ tally }) => tally.summarize());
}
