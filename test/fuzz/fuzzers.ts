// The four fuzzers, over the engine as it is or with a bug planted in it.

import { H1 } from "../support/h1.ts";
import type { H1Exports } from "../support/h1-exports.ts";
import { H2Engine } from "../support/h2.ts";
import type { H2Exports } from "../support/h2-exports.ts";
import { Hpack, type HpackExports } from "../support/hpack.ts";
import { compileMutant, compileTestingModule, instantiateTestingModule } from "../support/wasm.ts";
import { prepareWorlds } from "../support/world.ts";
import { runConversation } from "./conversation.ts";
import type { Fuzzer } from "./fuzzer.ts";
import { createH1Fuzzer } from "./h1.ts";
import { createH2Fuzzer } from "./h2.ts";
import { createHpackFuzzer } from "./hpack.ts";
import type { Mutant } from "./mutants.ts";

export const FUZZERS = ["h1", "hpack", "h2", "conversation"] as const;
export type FuzzerName = (typeof FUZZERS)[number];

/** A fuzzer of the engine, or of a mutant of it. */
export async function createFuzzer(name: FuzzerName, mutant?: Mutant): Promise<Fuzzer> {
  const part = name === "conversation" ? "engine" : name;
  const module = mutant === undefined ? await compileTestingModule(part) : await compileMutant(part, mutant);
  switch (name) {
    case "h1": {
      const instance = instantiateTestingModule<H1Exports>(module);
      instance.exports.createPool();
      return createH1Fuzzer(new H1(instance));
    }
    case "hpack":
      return createHpackFuzzer(new Hpack(instantiateTestingModule<HpackExports>(module)));
    case "h2":
      return createH2Fuzzer(new H2Engine(instantiateTestingModule<H2Exports>(module)));
    case "conversation": {
      const make = await prepareWorlds(module);
      return { name, run: (seed) => runConversation(make, seed).steps };
    }
  }
}
