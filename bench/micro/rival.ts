// The second thread of picks.ts: picks from the set it was told, without a pause.

import { workerData } from "node:worker_threads";
import { createLoops, RIVAL_IDLE, RIVAL_STOP, type RivalSetup } from "./picks.ts";

/** Picks between two looks at the orders. */
const BATCH = 2_000;
const setup = workerData as RivalSetup;
const loops = createLoops(setup, 1);
for (;;) {
  const set = Atomics.load(setup.orders, 0);
  if (set === RIVAL_STOP) break;
  if (set === RIVAL_IDLE) Atomics.wait(setup.orders, 0, RIVAL_IDLE);
  else loops.pickRepeatedly(set, BATCH);
}
