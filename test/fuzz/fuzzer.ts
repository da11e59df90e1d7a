// What every fuzzer is: a name, and one execution by seed that throws when something is wrong.

export interface Fuzzer {
  readonly name: string;
  /** One input by seed; how often the engine was run for it. Throws when something is wrong. */
  run(seed: number): number;
}

export interface Tally {
  readonly seeds: number;
  readonly executions: number;
  readonly seconds: number;
}

/** Something was found: which seed, and how to see it again. */
export class Found extends Error {
  readonly fuzzer: string;
  readonly seed: number;

  constructor(fuzzer: string, seed: number, cause: unknown) {
    const what = cause instanceof Error ? cause.message : String(cause);
    super(`${what}\nreplay with: npm run fuzz -- --only ${fuzzer} --seed ${seed} --count 1`, { cause });
    this.fuzzer = fuzzer;
    this.seed = seed;
  }
}

/** Runs seeds from `first` while `goesOn` says so; throws `Found` at the first failure. */
export function fuzz(fuzzer: Fuzzer, first: number, goesOn: (done: number) => boolean): Tally {
  const startedMs = performance.now();
  let executions = 0;
  let seed = first;
  for (; goesOn(seed - first); seed += 1) {
    try {
      executions += fuzzer.run(seed);
    } catch (error) {
      throw new Found(fuzzer.name, seed, error);
    }
  }
  return { seeds: seed - first, executions, seconds: (performance.now() - startedMs) / 1000 };
}

/** How many seeds of `most` a fuzzer needs to find something; undefined when it finds nothing. */
export function seedsUntilFound(fuzzer: Fuzzer, most: number): number | undefined {
  try {
    fuzz(fuzzer, 1, (done) => done < most);
    return undefined;
  } catch (error) {
    if (error instanceof Found) return error.seed;
    throw error;
  }
}
