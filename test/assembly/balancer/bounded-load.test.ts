// Consistent hashing with bounded load: nobody above 125 % of the average, and no key moves without need.

import { describe, expect, test } from "vitest";
import { createFixture, equalMembers, NO_SKIP, publish } from "./fixture.ts";

const SET = 1;
const KEY = 77;

describe.each(["ring-hash", "maglev"] as const)("%s", (policy) => {
  const { main, startWorker } = createFixture();
  const workers = [startWorker(0), startWorker(1)] as const;
  const pick = (hash: number, worker: 0 | 1 = 0) => workers[worker].pick(SET, hash, NO_SKIP, NO_SKIP, NO_SKIP);

  test("keeps one hot key within ceil(1.25 × average), over all workers", () => {
    expect(publish(main, SET, policy, equalMembers(8), 1)).toBe(0);
    const held: { slot: number; worker: 0 | 1 }[] = [];
    for (let count = 1; count <= 200; count += 1) {
      const worker = count % 2 === 0 ? 0 : 1;
      held.push({ slot: pick(KEY, worker), worker });
      const most = Math.max(...equalMembers(8).map(({ slot }) => main.inflightOf(slot)));
      expect(most).toBeLessThanOrEqual(Math.ceil((1.25 * count) / 8));
    }
    for (const { slot, worker } of held) workers[worker].release(slot);
    expect(equalMembers(8).map(({ slot }) => main.inflightOf(slot))).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
  });

  test("follows the weights", () => {
    const members = [
      { slot: 0, weight: 300, hash: 5 },
      { slot: 1, weight: 100, hash: 6 },
    ];
    expect(publish(main, SET, policy, members, 1)).toBe(0);
    const held = Array.from({ length: 100 }, (_, hash) => pick(Math.imul(hash, 0x9e3779b9)));
    expect(main.inflightOf(0)).toBeLessThanOrEqual(94);
    expect(main.inflightOf(1)).toBeLessThanOrEqual(32);
    for (const slot of held) workers[0].release(slot);
  });

  test("leaves keys with their owner while it has room, and gives them back to it", () => {
    expect(publish(main, SET, policy, equalMembers(8), 1)).toBe(0);
    const owner = pick(KEY);
    workers[0].release(owner);
    // Everybody equally busy: the owner has room for a quarter more.
    for (const { slot } of equalMembers(8)) for (let one = 0; one < 8; one += 1) workers[1].adopt(slot);
    expect(pick(KEY)).toBe(owner);
    workers[0].adopt(owner);
    workers[0].adopt(owner);
    const spilled = pick(KEY);
    expect(spilled).not.toBe(owner);
    workers[0].release(spilled);
    for (let one = 0; one < 3; one += 1) workers[0].release(owner);
    expect(pick(KEY)).toBe(owner);
    workers[0].release(owner);
    for (const { slot } of equalMembers(8)) for (let one = 0; one < 8; one += 1) workers[1].release(slot);
  });
});
