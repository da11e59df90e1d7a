// Preloaded into a sidecar (NODE_OPTIONS=--import): each of its threads writes down which of Node's modules it has
// loaded, again and again, in a file of the folder PILLION_TEST_MODULES: `0` the main thread's, `1` the first worker's.

import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { threadId } from "node:worker_threads";

const file = join(process.env.PILLION_TEST_MODULES, `${threadId}`);
const PERIOD_MS = 50;

setInterval(() => {
  writeFileSync(`${file}.new`, JSON.stringify(process.moduleLoadList));
  renameSync(`${file}.new`, file);
}, PERIOD_MS).unref();
