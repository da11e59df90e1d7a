// When clients are asked to go, and how many: by how the number of our service's ready instances changes.

import { expect, test } from "vitest";
import type { Log } from "../../../src/base/index.ts";
import { parseMeshFile } from "../../../src/config/index.ts";
import type { ToWorker } from "../../../src/dataplane/index.ts";
import { Shedding } from "../../../src/sidecar/shedding.ts";
import { createVirtualClock } from "../../support/virtual-clock.ts";

const SPREAD_MS = 10_000;

function start() {
  const clock = createVirtualClock();
  const said: { round: number; share: number; spreadMs: number }[] = [];
  const lines: unknown[] = [];
  const log = { info: (fields: unknown) => lines.push(fields), debug: () => undefined } as unknown as Log;
  const tellAll = (message: ToWorker) => {
    if (message.type !== "shed") throw new Error(message.type);
    const { round, share, spreadMs } = message;
    said.push({ round, share: Number(share.toFixed(3)), spreadMs });
  };
  const shedding = new Shedding({ service: "web", workers: { tellAll }, clock, log });
  return {
    clock,
    lines,
    shedding,
    /** The service has so many ready instances now, and one that starts; what the workers were told. */
    have(ready: number, shed = "10s") {
      const instances = Array.from({ length: ready }, (_, n) => ({ id: `i${n}`, address: `10.0.0.${n + 1}:80` }));
      const starting = { id: "new", address: "10.0.1.1:80", state: "starting" };
      const other = {
        instances: Array.from({ length: 50 }, (_, n) => ({ id: `o${n}`, address: `10.1.0.${n + 1}:80` })),
      };
      const web = { balance: { shed }, instances: [...instances, starting] };
      const parsed = parseMeshFile(JSON.stringify({ services: { web, other } }), { fileName: "mesh.yaml" });
      if (!parsed.ok) throw new Error(JSON.stringify(parsed.issues));
      shedding.follow(parsed.documents);
      return said.splice(0);
    },
    /** It has had that many for a while. */
    settle(ready: number) {
      this.have(ready);
      clock.advance(SPREAD_MS);
      said.splice(0);
    },
  };
}

test("growth from n to m: 1 − n/m of the connections, and no more than half", () => {
  const world = start();
  world.settle(3);
  expect(world.have(4)).toEqual([{ round: 2, share: 0.25, spreadMs: SPREAD_MS }]);
  expect(world.lines).toEqual([{ service: "web", from: 3, to: 4, share: 0.25, spreadMs: SPREAD_MS }]);
  expect(world.have(4)).toEqual([]);
  world.clock.advance(SPREAD_MS);
  expect(world.have(40)).toEqual([{ round: 3, share: 0.5, spreadMs: SPREAD_MS }]);
});

test("growth in steps is one growth until it has stood still for the time", () => {
  const world = start();
  world.settle(4);
  expect(world.have(5)).toMatchObject([{ round: 2, share: 0.2 }]);
  world.clock.advance(SPREAD_MS - 1);
  expect(world.have(6)).toMatchObject([{ round: 2, share: 0.333 }]);
  world.clock.advance(SPREAD_MS - 1);
  expect(world.have(20)).toMatchObject([{ round: 2, share: 0.5 }]);
  expect(world.have(30)).toEqual([]); // half is all
  world.clock.advance(SPREAD_MS);
  expect(world.have(40)).toMatchObject([{ round: 3, share: 0.25 }]);
});

test("what is undone ends it; what falls and comes back is no growth", () => {
  const world = start();
  world.settle(4);
  expect(world.have(6)).toMatchObject([{ round: 2, share: 0.333 }]);
  expect(world.have(4)).toMatchObject([{ round: 2, share: 0 }]);
  expect(world.have(6)).toMatchObject([{ round: 2, share: 0.333 }]); // not a second time a third
  world.settle(6);
  expect(world.have(1)).toEqual([]);
  world.clock.advance(SPREAD_MS - 1);
  expect(world.have(6)).toEqual([]);
  world.settle(3);
  expect(world.have(4)).toMatchObject([{ share: 0.25 }]);
});

test("from none to many is a start, not growth; so is whatever a sidecar finds when it starts itself", () => {
  const world = start();
  expect(world.have(2)).toEqual([]);
  expect(world.have(5)).toEqual([]);
  world.settle(0);
  expect(world.have(1)).toEqual([]);
  expect(world.have(8)).toEqual([]);
  world.clock.advance(SPREAD_MS);
  expect(world.have(10)).toMatchObject([{ share: 0.2 }]);
});

test("none by default, nor once it is taken back, nor while we drain", () => {
  const world = start();
  expect(world.have(2, "none")).toEqual([]);
  world.clock.advance(SPREAD_MS);
  expect(world.have(4, "none")).toEqual([]);
  expect(world.have(8)).toMatchObject([{ share: 0.5 }]);
  expect(world.have(8, "none")).toMatchObject([{ share: 0 }]);
  world.settle(8);
  world.shedding.stop();
  expect(world.have(16)).toEqual([]);
});
