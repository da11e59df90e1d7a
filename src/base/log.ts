// Logs: pino's JSON lines, which never make the proxy wait.
//
// Lines go to a buffer that a background write empties. When the reader of our stdout stops reading, the buffer fills
// to its limit and further lines are dropped and counted; nothing ever blocks on a log. The level can be changed while
// running. Everybody else sees only the `Log` interface, so a test can collect lines in an array.

import { type DestinationStream, destination, type Logger, pino } from "pino";

export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Facts of a line; an `error` is written with code, message and stack. */
export type LogFields = Readonly<Record<string, unknown>>;

export interface Log {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  /** A log that adds these fields to every line. */
  child(fields: LogFields): Log;
}

/** The process's log, with what only its owner does. */
export interface RootLog extends Log {
  level: LogLevel;
  /** Lines dropped because nobody read our output. */
  readonly droppedCount: number;
  /** Writes out what is buffered, synchronously; for the end of the process. */
  flush(): void;
}

export interface LogOptions {
  readonly level: LogLevel;
  /** A descriptor; 1 is stdout. */
  readonly descriptor?: number;
  /** Where lines go instead of a descriptor. */
  readonly stream?: DestinationStream;
}

/** Lines that wait for a slow reader: 1 MiB is some 5,000 of them, seconds of a noisy start. */
const BUFFERED_BYTES_MAX = 1024 * 1024;

/** Opens the process's log. */
export function createLog({ level, descriptor = 1, stream }: LogOptions): RootLog {
  let droppedCount = 0;
  const sink = stream ?? destination({ fd: descriptor, sync: false, maxLength: BUFFERED_BYTES_MAX });
  if ("on" in sink && typeof sink.on === "function") {
    sink.on("drop", () => {
      droppedCount += 1;
    });
    // A closed pipe (EPIPE) is the reader's choice; a proxy does not die of it.
    sink.on("error", () => {
      droppedCount += 1;
    });
  }
  const options = { level, base: null, errorKey: "error", timestamp: pino.stdTimeFunctions.isoTime };
  const root: Logger = pino({ ...options, formatters: { level: (label) => ({ level: label }) } }, sink);
  return {
    ...adapt(root),
    get level() {
      return root.level as LogLevel;
    },
    set level(next: LogLevel) {
      root.level = next;
    },
    get droppedCount() {
      return droppedCount;
    },
    flush() {
      if ("flushSync" in sink && typeof sink.flushSync === "function") sink.flushSync();
    },
  };
}

/** A log that keeps nothing. */
export const silentLog: Log = Object.freeze({
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLog,
});

function adapt(logger: Logger): Log {
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn: (fields, message) => logger.warn(fields, message),
    error: (fields, message) => logger.error(fields, message),
    child: (fields) => adapt(logger.child(fields)),
  };
}
