// The dice of a fuzzed conversation: one seed, one sequence (mulberry32), and the few questions that it is asked.

export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** A whole number from 0 up to, not including, `below`. */
  below(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) * below) / 4294967296);
  }

  /** Once in `times`. */
  once(times: number): boolean {
    return this.below(times) === 0;
  }

  pick<T>(all: readonly T[]): T {
    return all[this.below(all.length)]!;
  }

  /** A length as bodies have them: mostly tiny, sometimes more than a window. */
  length(): number {
    switch (this.below(8)) {
      case 0:
        return 0;
      case 1:
        return 1;
      case 2:
        return 20_000 + this.below(60_000);
      case 3:
        return this.once(4) ? 300_000 + this.below(200_000) : this.below(5_000);
      default:
        return this.below(200);
    }
  }
}
