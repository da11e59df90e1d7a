// The access log and the error log: what the workers' log entries become on stdout.
//
// One line for each exchange when the access log is on; when it is off, one for each answer that Pillion made itself
// and whose reason is worth a line (telemetry/reasons.ts). Nothing waits: the log drops and counts (base/log.ts).

import { REASON_NONE } from "../../assembly/abi/engine-codes.ts";
import { assertNever, type Log, type LogFields } from "../base/index.ts";
import { type LogEntry, readLogEntry, splitBatch } from "./log-entry.ts";

export const ACCESS_LOG_FORMATS = ["off", "json", "text"] as const;
export type AccessLogFormat = (typeof ACCESS_LOG_FORMATS)[number];

/** Names of the snapshot's services and instances. */
export interface EntryNames {
  serviceName(index: number): string | undefined;
  instanceId(slot: number): string | undefined;
}

export interface AccessLogOptions {
  readonly log: Log;
  readonly format: AccessLogFormat;
  readonly names: EntryNames;
  /** Takes a line of the text format, without its newline. */
  readonly writeLine: (line: string) => void;
}

/** Makes the taker of a worker's batches. */
export function createAccessLog({ log, format, names, writeLine }: AccessLogOptions): (batch: Uint8Array) => void {
  return (batch) => {
    for (const bytes of splitBatch(batch)) {
      const entry = readLogEntry(bytes);
      if (entry.reason.code !== REASON_NONE && entry.reason.log) {
        log.warn(fieldsOf(entry, names), `${entry.reason.text}: ${entry.reason.message}`);
      } else if (format === "json") {
        log.info(fieldsOf(entry, names), "request");
      }
      if (format === "text") writeLine(formatLine(entry, names));
      else if (format !== "off" && format !== "json") assertNever(format);
    }
  };
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
  const target = `${word(entry.method)} ${word(entry.authority)}${clean(entry.path)}`;
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
    word(entry.requestId),
  ].join(" ");
}

/** Bytes of peers must not forge lines: what is not printable ASCII is written as \xNN. */
function clean(text: string): string {
  return text.replace(/[^ !#-[\]-~]/g, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`);
}
