// The door of base: the nouns that every other folder may lean on. Names only, no logic.

export { type Address, formatAddress, parseAddress, parseListenAddress } from "./address.ts";
export { type Backoff, type BackoffOptions, createBackoff } from "./backoff.ts";
export { type Clock, monotonicUs, systemClock, type Timer } from "./clock.ts";
export {
  DURATION_PATTERN,
  formatDuration,
  formatSize,
  type Parsed,
  parseDuration,
  parseSize,
  SIZE_PATTERN,
} from "./duration.ts";
export {
  assert,
  assertNever,
  Bug,
  ERRORS,
  type ErrorCode,
  type ErrorDetails,
  isPillionError,
  messageOf,
  PillionError,
  pillionError,
} from "./errors.ts";
export {
  createLog,
  LOG_LEVELS,
  type Log,
  type LogFields,
  type LogLevel,
  type LogOptions,
  type RootLog,
  silentLog,
} from "./log.ts";
export { nearestOf } from "./nearest.ts";
export { createRandom, type Random, uniqueId } from "./random.ts";
