// The door of telemetry: reasons, names, metrics and logs. Names only, no logic.

export {
  ACCESS_LOG_FORMATS,
  type AccessLogFormat,
  createAccessLog,
  type EntryNames,
} from "./access-log.ts";
export { createLineWriter, type LineWriter } from "./line-writer.ts";
export { type LogEntry, readLogEntry } from "./log-entry.ts";
export { createMetrics, type Metrics, type Sample, type Source } from "./metrics.ts";
export {
  DIRECTION_NAMES,
  GLITCH_NAMES,
  HEDGE_NAMES,
  LIMIT_NAMES,
  OUTCOME_NAMES,
  PROTOCOL_NAMES,
  ROLE_NAMES,
  SKIPPED_NAMES,
  TCP_END_NAMES,
  UNHEDGED_NAMES,
} from "./names.ts";
export { REASONS, type Reason, reasonOf } from "./reasons.ts";
export type { TcpEntry } from "./tcp-entry.ts";
