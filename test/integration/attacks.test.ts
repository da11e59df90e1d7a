// Goal: no attack of the catalogue holds the sidecar up: its author is cut off or bounded, and nobody else notices.
// Method: raw sockets through one real sidecar with one worker. Beside the attacks a bystander asks 200 times a second
// and may see no error; memory grows by less than 64 MiB for one, 128 MiB for all at once; `pillion_glitches_total`
// names it; no worker dies.
//
// Attacks that claim the same kind of glitch run one after another, so that a count can be told apart; the others run
// at once. PILLION_FULL=1: ten times as much of everything that could be shorter, and one after another. How long the
// bystander waited is told at the end, not judged.

import { afterAll, beforeAll, expect, test } from "vitest";
import { waitUntil } from "../support/process.ts";
import { type Arena, createArena } from "./attacks/arena.ts";
import type { Attack } from "./attacks/attack.ts";
import { FRAME_ATTACKS } from "./attacks/frames.ts";
import { HEAD_ATTACKS } from "./attacks/heads.ts";
import { HOSTILE_ATTACKS } from "./attacks/hostile.ts";
import { HTTP1_ATTACKS } from "./attacks/http1.ts";
import { OUTPUT_ATTACKS } from "./attacks/output.ts";
import { STREAM_ATTACKS } from "./attacks/streams.ts";
import { TIME_ATTACKS } from "./attacks/time.ts";

const FAMILIES = {
  streams: STREAM_ATTACKS,
  "field blocks": HEAD_ATTACKS,
  frames: FRAME_ATTACKS,
  "our output": OUTPUT_ATTACKS,
  "HTTP/1.1": HTTP1_ATTACKS,
  apps: HOSTILE_ATTACKS,
  time: TIME_ATTACKS,
};
const ATTACKS: readonly Attack[] = Object.values(FAMILIES).flat();
const TABLE = Object.entries(FAMILIES).flatMap(([family, attacks]) =>
  attacks.map((attack) => [`${attack.id} by ${family}: ${attack.title}`, attack] as const),
);
const isFull = process.env.PILLION_FULL === "1";

let arena: Arena;
const faced = new Map<Attack, Promise<void>>();

beforeAll(async () => {
  arena = await createArena(ATTACKS);
  const lanes = new Map<string, Promise<void>>();
  for (const attack of ATTACKS) {
    const lane = attack.isPatient === true ? attack.title : isFull ? "" : (attack.glitch ?? "none");
    const before = lanes.get(lane) ?? Promise.resolve();
    const outcome = before.then(() => arena.face(attack));
    lanes.set(
      lane,
      outcome.catch(() => {}),
    );
    faced.set(attack, outcome);
    outcome.catch(() => {}); // its test tells
  }
});

afterAll(async () => {
  const { quiet } = arena;
  const busy = arena.lap();
  await arena[Symbol.asyncDispose]();
  const told = `p50 ${quiet.p50} ms, p99 ${quiet.p99} ms before, ${busy.p50} and ${busy.p99} ms during the attacks`;
  process.stdout.write(`attacks: ${busy.count} requests of a bystander: ${told}\n`);
});

test.each(TABLE)("%s", { timeout: isFull ? 1_200_000 : 60_000 }, async (_, attack) => {
  await faced.get(attack);
});

test("nothing is left of them, and no worker died", async () => {
  await waitUntil("all requests are over", async () => (await arena.inFlight("web2")) === 0);
  expect(await arena.sidecar.metric("pillion_worker_restarts_total")).toBe(0);
});

test("every attack of the catalogue is here", () => {
  const known = new Set(ATTACKS.map(({ id }) => id));
  const missing = Array.from({ length: 35 }, (_, index) => `A${index + 1}`).filter((id) => !known.has(id));
  expect(missing).toEqual([]);
});
