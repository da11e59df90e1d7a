// The simulator itself, and the main claims of docs/BALANCING.md in a short form: few seeds, short worlds.

import { describe, expect, test } from "vitest";
import { Memories } from "../../sim/balance/memories.ts";
import { Mesh } from "../../sim/balance/mesh.ts";
import { CONTENDERS, simulate } from "../../sim/balance/run.ts";
import { formatRows } from "../../sim/balance/table.ts";
import { WORLDS, type World } from "../../sim/balance/worlds.ts";

const SEEDS = 3;

function worldOf(name: string, seconds: number): World {
  const world = WORLDS.find((one) => one.name === name);
  if (world === undefined) throw new Error(`there is no world ${name}`);
  return { ...world, seconds };
}

/** Rows by contender. */
function play(name: string, seconds: number, ...contenders: string[]) {
  const chosen = CONTENDERS.filter((contender) => contenders.includes(contender.name));
  const rows = simulate(worldOf(name, seconds), chosen, SEEDS);
  return (contender: string) => rows.find((row) => row.contender === contender)!;
}

test("one seed is one run, to the last bit, and another seed is another", () => {
  const memories = new Memories();
  const [adaptive] = CONTENDERS;
  const run = (seed: number) => new Mesh(worldOf("three", 4), adaptive!, seed, memories).run();
  const first = run(1);
  expect(run(1)).toEqual(first);
  expect(run(2)).not.toEqual(first);
  expect(first.requests).toBeGreaterThan(300);
});

test("a table names every contender and marks the best", () => {
  const rows = simulate(worldOf("three", 3), CONTENDERS.slice(0, 3), 1);
  const text = formatRows(rows);
  for (const { name } of CONTENDERS.slice(0, 3)) expect(text).toContain(`| ${name} |`);
  const best = Math.min(...rows.map(({ p99Ms }) => p99Ms));
  expect(text.match(/\*\*/g)).toHaveLength(2 * rows.filter(({ p99Ms }) => p99Ms === best).length);
});

describe("two zones, most callers in one", () => {
  /** `load` of all servers; 80 % of it comes from one zone, half of the servers. */
  const run = (name: string, load: number, prefersZone: boolean) => {
    const contender = CONTENDERS.find((one) => one.name === name)!;
    return new Mesh({ ...worldOf("zones", 6), load, prefersZone }, contender, 1, new Memories()).run();
  };

  test.each(["adaptive", "round-robin", "least-connections"])("%s stays while the zone can bear it", (name) => {
    expect(run(name, 0.4, true).localShare).toBeGreaterThan(0.95);
    expect(run(name, 0.4, false).localShare).toBeLessThan(0.6);
  });

  test.each(["adaptive", "round-robin", "least-connections"])("%s spills what it cannot", (name) => {
    const outcome = run(name, 0.7, true);
    expect(outcome.localShare).toBeGreaterThan(0.7);
    expect(outcome.localShare).toBeLessThan(0.91); // 0.2 + 0.5 / 0.7 is all that the zone can do
    expect(outcome.p99Us).toBeLessThan(run(name, 0.7, false).p99Us * 3);
    expect(outcome.errorShare).toBe(0);
  });
});

describe("adaptive", () => {
  test("equal servers: as good as least connections, within a tenth", () => {
    const rowOf = play("equal", 6, "adaptive", "least-connections", "random");
    expect(rowOf("adaptive").p99Ms).toBeLessThan(rowOf("least-connections").p99Ms * 1.1);
    expect(rowOf("adaptive").p99Ms).toBeLessThan(rowOf("random").p99Ms);
    expect(rowOf("adaptive").imbalance).toBeLessThan(1.2);
  });

  test("two of sixteen are slow: a fifth of least connections' p99", () => {
    const rowOf = play("two-slow", 6, "adaptive", "least-connections");
    expect(rowOf("adaptive").p99Ms).toBeLessThan(rowOf("least-connections").p99Ms / 5);
    expect(rowOf("adaptive").errorShare).toBe(0);
  });

  test("half are twice as slow: three quarters of least connections' p99", () => {
    const rowOf = play("half-slow", 6, "adaptive", "least-connections");
    expect(rowOf("adaptive").p99Ms).toBeLessThan(rowOf("least-connections").p99Ms * 0.85);
  });

  test("one of three fails at once: hardly an error after two seconds, whatever the policy", () => {
    const rowOf = play("failing", 10, "adaptive", "round-robin", "maglev");
    for (const policy of ["round-robin", "maglev"]) {
      expect(rowOf(policy).errorShare).toBeGreaterThan(0); // it is tried, in its turn
      expect(rowOf(policy).errorShare).toBeLessThan(0.01);
    }
    // A failure counts as slow: adaptive has left it before five in a row eject it.
    expect(rowOf("adaptive").errorShare).toBeLessThanOrEqual(rowOf("round-robin").errorShare);
  });

  test("a hundred callers do not herd", () => {
    const rowOf = play("herd", 12, "adaptive", "round-robin");
    expect(rowOf("adaptive").p99Ms).toBeLessThan(rowOf("round-robin").p99Ms * 1.25);
    expect(rowOf("adaptive").imbalance).toBeLessThan(1.5);
  });
});
