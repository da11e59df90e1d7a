// What threads.test.ts and its threads share: tasks, reports, and a board of counters beside the balancer.

/** Words of the board. Per thread: progress. Per slot: whether it is published, and when it was last withdrawn. */
export const BOARD_STOP = 0;
export const BOARD_GATE = 1;
/** Advances with each withdrawal of members. */
export const BOARD_CLOCK = 2;
/** Admitted at this moment, by the threads' own count; and the most there ever were. */
export const BOARD_INSIDE = 3;
export const BOARD_INSIDE_MOST = 4;
export const BOARD_PROGRESS = 8;
export const BOARD_PUBLISHED = 64;
export const BOARD_SLOTS = 256;
export const BOARD_WITHDRAWN = BOARD_PUBLISHED + BOARD_SLOTS;
export const BOARD_WORDS = BOARD_WITHDRAWN + BOARD_SLOTS;

export type Task =
  /** So many picks of one set, each released after some others. */
  | { readonly type: "picks"; readonly set: number; readonly picks: number }
  /** Picks of many sets, held for a while, until told to stop. */
  | { readonly type: "churn"; readonly sets: number; readonly held: number }
  /** Admissions that leave again at once. */
  | { readonly type: "admissions"; readonly service: number; readonly tries: number }
  /** Admissions that stay, until the limit is seen to be reached. */
  | { readonly type: "fill"; readonly service: number; readonly limit: number }
  /** Additions of one to a metric cell. */
  | { readonly type: "cells"; readonly cell: number; readonly times: number }
  /** Tokens of `keys` rate limits, tried in turn while the thread's time goes to the end. */
  | { readonly type: "tokens"; readonly keys: number; readonly tries: number; readonly untilUs: number };

export interface HammerData {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly board: Int32Array;
  readonly worker: number;
  readonly threads: number;
  readonly task: Task;
}

export interface HammerReport {
  /** Picks or admissions. */
  readonly done: number;
  /** Picks per slot. */
  readonly counts: ReadonlyMap<number, number>;
  /** Slots that came out of a pick though no published set held them while it ran. */
  readonly strangers: readonly number[];
}
