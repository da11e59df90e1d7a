// `npm run sim -- balance [world …] [--seeds N] [--policies a,b]`: the balancer's policies in simulated meshes.
//
// Everything but the network and the servers is real: each sidecar has balancer.wasm over a memory of its own. Time is
// virtual and every draw comes from the seed, so a run repeats itself to the last bit.

import { parseArgs } from "node:util";
import { CONTENDERS, simulate } from "./balance/run.ts";
import { formatRows } from "./balance/table.ts";
import { WORLDS } from "./balance/worlds.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seeds: { type: "string", default: "20" }, policies: { type: "string" } },
});
const [what, ...names] = positionals;
const unknown = names.filter((name) => !WORLDS.some((world) => world.name === name));
if (what !== "balance" || unknown.length > 0) {
  process.stderr.write(`usage: npm run sim -- balance [world …] [--seeds N] [--policies a,b]\n`);
  process.stderr.write(`worlds: ${WORLDS.map(({ name }) => name).join(", ")}\n`);
  process.exit(2);
}
const wanted = values.policies?.split(",");
const contenders = CONTENDERS.filter(({ name }) => wanted === undefined || wanted.includes(name));
for (const world of WORLDS) {
  if (names.length > 0 && !names.includes(world.name)) continue;
  const rows = simulate(world, contenders, Number(values.seeds));
  process.stdout.write(`### ${world.name}: ${world.about}\n\n${formatRows(rows)}\n\n`);
}
