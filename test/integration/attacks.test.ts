// Goal: no attack of the catalogue holds the sidecar up: its author is cut off or bounded, and nobody else notices.
// Method: raw sockets through one real sidecar with one worker. Beside the attacks a bystander asks 200 times a second
// and may see no error; memory grows by less than 64 MiB for one, 128 MiB for all at once; `pillion_glitches_total`
// names it; no worker dies.
//
// Attacks that claim the same kind of glitch run one after another, so that a count can be told apart; the others run
// at once. PILLION_FULL=1: ten times as much of everything that could be shorter, one after another, each on a sidecar
// of its own; and a second time by attackers who say that they are Pillion, whose budgets are wider. With
// PILLION_TABLE=1 too, docs/ATTACKS.md is written. How long the bystander waited is told, not judged.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { waitUntil } from "../support/process.ts";
import { projectRoot } from "../support/source.ts";
import { type Arena, type Cost, createArena } from "./attacks/arena.ts";
import type { Attack } from "./attacks/attack.ts";
import { FRAME_ATTACKS } from "./attacks/frames.ts";
import { HEAD_ATTACKS } from "./attacks/heads.ts";
import { HOSTILE_ATTACKS } from "./attacks/hostile.ts";
import { HTTP1_ATTACKS } from "./attacks/http1.ts";
import { OUTPUT_ATTACKS } from "./attacks/output.ts";
import { attacksPage } from "./attacks/page.ts";
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
const isFull = process.env.PILLION_FULL === "1";

/** Who attacks: a stranger; or, at full length, somebody who says that it is Pillion too. */
const TABLE = Object.entries(FAMILIES).flatMap(([family, attacks]) =>
  attacks.map((attack) => [`${attack.id} by ${family}: ${attack.title}`, attack] as const),
);
const DECLARED = TABLE.filter(([, { app, id }]) => id !== "H1" && id !== "A33" && app?.protocol !== "http1");

let arena: Arena;
const faced = new Map<Attack, Promise<Cost>>();
const rows: string[] = [];

/** A sidecar for each: what it takes more than before, that attack took. */
async function faceAlone(name: string, attack: Attack, isDeclared: boolean): Promise<void> {
  await using own = await createArena([attack], { isAlone: true, isDeclared });
  const { growth, seconds, glitches } = await own.face(attack);
  await waitUntil("all requests are over", async () => (await own.inFlight("web2")) === 0);
  const busy = own.lap();
  const kind = attack.glitch === undefined ? "" : `${attack.glitch} ${glitches}`;
  const cells = [name, isDeclared ? "Pillion" : "stranger", attack.ends, kind, (growth / 2 ** 20).toFixed(1)];
  rows.push(`| ${[...cells, seconds.toFixed(1), `${own.quiet.p99} / ${busy.p99}`].join(" | ")} |`);
}

const eachAlone = () => {
  afterAll(() => {
    if (process.env.PILLION_TABLE === "1") writeFileSync(join(projectRoot, "docs/ATTACKS.md"), attacksPage(rows));
  });

  describe("by a stranger", () => {
    test.each(TABLE)("%s", (name, attack) => faceAlone(name, attack, false));
  });

  describe("by somebody who says that it is Pillion", () => {
    test.each(DECLARED)("%s", (name, attack) => faceAlone(name, attack, true));
  });
};

const atOnce = () => {
  beforeAll(async () => {
    arena = await createArena(ATTACKS, { isAlone: false });
    const lanes = new Map<string, Promise<unknown>>();
    for (const attack of ATTACKS) {
      const lane = attack.isPatient === true ? attack.title : (attack.glitch ?? "none");
      const before = lanes.get(lane) ?? Promise.resolve();
      const outcome = before.then(() => arena.face(attack));
      const isOver = outcome.catch(() => {}); // its test tells
      lanes.set(lane, isOver);
      faced.set(attack, outcome);
    }
  });

  afterAll(() => {
    const { quiet } = arena;
    const busy = arena.lap();
    const told = `p50 ${quiet.p50} ms, p99 ${quiet.p99} ms before, ${busy.p50} and ${busy.p99} ms during the attacks`;
    process.stdout.write(`attacks: ${busy.count} requests of a bystander: ${told}\n`);
  });

  test.each(TABLE)("%s", { timeout: 60_000 }, async (_, attack) => {
    await faced.get(attack);
  });

  test("nothing is left of them, and no worker died", async () => {
    await waitUntil("all requests are over", async () => (await arena.inFlight("web2")) === 0);
    expect(await arena.sidecar.metric("pillion_worker_restarts_total")).toBe(0);
  });

  test("the sidecar ends in order: it waits for none of them", { timeout: 60_000 }, async () => {
    await arena[Symbol.asyncDispose]();
    const [, isOrderly] = await arena.sidecar.program.waitForLine(/"isOrderly":(\w+)/);
    expect(isOrderly).toBe("true");
  });
};

if (isFull) describe("each alone", { timeout: 300_000 }, eachAlone);
else describe("at once", atOnce);

test("every attack of the catalogue is here", () => {
  const known = new Set(ATTACKS.map(({ id }) => id));
  const missing = Array.from({ length: 35 }, (_, index) => `A${index + 1}`).filter((id) => !known.has(id));
  expect(missing).toEqual([]);
});
