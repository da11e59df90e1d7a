// Fall and rise: an instance is unhealthy after `fall` failures in a row, and healthy again after `rise` successes.
// A newcomer counts as healthy until it has failed as often.

export interface StreakRules {
  readonly fall: number;
  readonly rise: number;
}

export class Streak {
  readonly #rules: StreakRules;
  #isHealthy: boolean;
  /** Results in a row that speak against the state as it is. */
  #against = 0;

  constructor(rules: StreakRules, isHealthy = true) {
    this.#rules = rules;
    this.#isHealthy = isHealthy;
  }

  get isHealthy(): boolean {
    return this.#isHealthy;
  }

  /** Takes one result; true when the state changed by it. */
  note(isPassed: boolean): boolean {
    if (isPassed === this.#isHealthy) {
      this.#against = 0;
      return false;
    }
    this.#against += 1;
    if (this.#against < (this.#isHealthy ? this.#rules.fall : this.#rules.rise)) return false;
    this.#isHealthy = isPassed;
    this.#against = 0;
    return true;
  }
}
