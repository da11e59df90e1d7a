// Hashing and random draws with nothing around them, for their unit tests.

import { hashBytes, mixHash } from "../core/hash.ts";
import { randomBelow, randomNext, startRandom } from "../core/random.ts";

/** Where a test puts bytes: above all static data. */
export function scratch(): u32 {
  return 1048576;
}

export { hashBytes, mixHash, randomBelow, randomNext, startRandom };
