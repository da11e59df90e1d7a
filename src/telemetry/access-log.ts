// The access log and the error log: what the workers' log entries become on stdout.
//
// One line for each exchange when the access log is on; when it is off, one for each answer that Pillion made itself
// and whose reason is worth a line (telemetry/reasons.ts), up to so many a second: an instance that is down must not
// turn the log into the bottleneck. Nothing waits: the log drops and counts (base/log.ts).

import { REASON_NONE } from "../../assembly/abi/engine-codes.ts";
import { assertNever, type Log, type LogFields } from "../base/index.ts";
import { type LogEntry, readLogEntry, splitBatch } from "./log-entry.ts";
import { formatTcpLine, readTcpEntry, type TcpEntry, tcpFieldsOf, tcpReasonOf } from "./tcp-entry.ts";

export const ACCESS_LOG_FORMATS = ["off", "json", "text"] as const;
export type AccessLogFormat = (typeof ACCESS_LOG_FORMATS)[number];

/** Names of the snapshot's services and instances. */
export interface EntryNames {
  serviceName(index: number): string | undefined;
  instanceId(slot: number): string | undefined;
}

/** Error lines in a second; further ones are summed up in one line. With the access log on there is no such bound. */
const ERROR_LINES_PER_SECOND = 100;

export interface AccessLogOptions {
  readonly log: Log;
  /** Monotonic milliseconds. */
  readonly nowMs: () => number;
  readonly format: AccessLogFormat;
  readonly names: EntryNames;
  /** Takes a line of the text format, without its newline. */
  readonly writeLine: (line: string) => void;
}

/** Makes the taker of a worker's batches. */
export function createAccessLog(options: AccessLogOptions): (batch: Uint8Array) => void {
  const { log, format, names, writeLine } = options;
  const errors = new ErrorLines(options);
  return (batch) => {
    for (const { bytes, isTcp } of splitBatch(batch)) {
      if (isTcp) {
        writeTcp(readTcpEntry(bytes), options, errors);
        continue;
      }
      const entry = readLogEntry(bytes);
      switch (format) {
        case "off":
          errors.write(entry);
          break;
        case "json":
          writeJson(log, entry, names);
          break;
        case "text":
          writeLine(formatLine(entry, names));
          break;
        default:
          assertNever(format);
      }
    }
  };
}

/** The error log while the access log is off. */
class ErrorLines {
  readonly #options: AccessLogOptions;
  #second = Number.NaN;
  #written = 0;
  readonly #left = new Map<string, number>();

  constructor(options: AccessLogOptions) {
    this.#options = options;
  }

  write(entry: LogEntry): void {
    if (!entry.reason.log) return;
    const { log, names } = this.#options;
    this.bound(entry.reason.text, () => writeJson(log, entry, names));
  }

  /** Writes one more line, or counts it by its reason. */
  bound(reason: string, write: () => void): void {
    const second = Math.floor(this.#options.nowMs() / 1000);
    if (second !== this.#second) this.#begin(second);
    this.#written += 1;
    if (this.#written <= ERROR_LINES_PER_SECOND) write();
    else this.#left.set(reason, (this.#left.get(reason) ?? 0) + 1);
  }

  #begin(second: number): void {
    if (this.#left.size > 0) {
      const reasons = Object.fromEntries(this.#left);
      this.#options.log.warn({ reasons }, "more requests failed than are logged one by one");
    }
    this.#left.clear();
    this.#second = second;
    this.#written = 0;
  }
}

/** A TCP connection's end; without the access log only those that reached nobody come here. */
function writeTcp(entry: TcpEntry, { log, format, names, writeLine }: AccessLogOptions, errors: ErrorLines): void {
  const reason = tcpReasonOf(entry);
  const fields = tcpFieldsOf(entry, names);
  const write = () => {
    if (reason.isNotReached) log.warn(fields, `${reason.text}: ${reason.message}`);
    else log.info(fields, "connection");
  };
  if (format === "text") writeLine(formatTcpLine(entry, names));
  else if (format === "json") write();
  else errors.bound(reason.text, write);
}

function writeJson(log: Log, entry: LogEntry, names: EntryNames): void {
  const { reason } = entry;
  if (reason.code === REASON_NONE || !reason.log) log.info(fieldsOf(entry, names), "request");
  else log.warn(fieldsOf(entry, names), `${reason.text}: ${reason.message}`);
}

/** The fields of a JSON line; absent ones are left out. */
export function fieldsOf(entry: LogEntry, names: EntryNames): LogFields {
  const { reason, service, instance, durationUs, upstreamUs, ...rest } = entry;
  return {
    ...rest,
    reason: reason.code === REASON_NONE ? undefined : reason.text,
    service: service === undefined ? undefined : names.serviceName(service),
    instance: instance === undefined ? undefined : names.instanceId(instance),
    durationMs: durationUs / 1000,
    upstreamMs: upstreamUs === undefined ? undefined : upstreamUs / 1000,
  };
}

/** One line in the manner of the common log format, with what it lacks behind it. */
export function formatLine(entry: LogEntry, names: EntryNames): string {
  const fields = fieldsOf(entry, names);
  const word = (value: unknown) => (value === undefined || value === "" ? "-" : String(value));
  const target = `${word(entry.method)} ${word(entry.authority)}${entry.path}`;
  return [
    word(entry.peer),
    entry.direction,
    `"${clean(target)} HTTP/${word(entry.versionDown)}"`,
    word(entry.status),
    word(entry.grpcStatus),
    `${entry.bytesReceived}/${entry.bytesSent}B`,
    `${fields.durationMs}ms`,
    `${word(fields.service)}/${word(fields.instance)}`,
    `attempts=${entry.attempts}`,
    word(fields.reason),
    clean(word(entry.requestId)),
  ].join(" ");
}

/** Bytes of peers must not forge lines: what is not printable ASCII is written as \xNN. */
function clean(text: string): string {
  return text.replace(/[^ !#-[\]-~]/g, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`);
}
