// Every contender through one world, seed by seed: the same arrivals and the same work for all of them.

import { Memories } from "./memories.ts";
import { type Contender, Mesh } from "./mesh.ts";
import { type Row, rowOf } from "./table.ts";
import type { World } from "./worlds.ts";

export const CONTENDERS: readonly Contender[] = [
  { name: "adaptive", policy: "adaptive", hasReports: true },
  { name: "adaptive without reports", policy: "adaptive", hasReports: false },
  { name: "round-robin", policy: "round-robin", hasReports: false },
  { name: "weighted-round-robin", policy: "weighted-round-robin", hasReports: false },
  { name: "random", policy: "random", hasReports: false },
  { name: "least-connections", policy: "least-connections", hasReports: false },
  { name: "ring-hash", policy: "ring-hash", hasReports: false },
  { name: "maglev", policy: "maglev", hasReports: false },
];

const memories = new Memories();

/** Rows of a world, one for each contender, over `seeds` seeds from 1 on. */
export function simulate(world: World, contenders: readonly Contender[], seeds: number): Row[] {
  return contenders.map((contender) => {
    const outcomes = Array.from({ length: seeds }, (_, index) => {
      return new Mesh(world, contender, index + 1, memories).run();
    });
    return rowOf(contender, outcomes);
  });
}
