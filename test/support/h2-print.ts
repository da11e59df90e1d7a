// Events of the HTTP/2 codec as lines of text.

import { ERROR_CODES, printBytes, printFields } from "./frames.ts";
import type { HeadOutput } from "./h2-exports.ts";

/** NONE of abi/engine-codes.ts: an event of the whole connection. */
export const NONE = 0x7fffffff;

// Events of abi/engine-codes.ts by number.
export const EVENTS = [
  "NONE",
  "HEAD",
  "DATA",
  "TRAILERS",
  "END",
  "RESET",
  "CREDIT",
  "GOAWAY",
  "REFUSE",
  "FATAL",
  "BLOCKED",
  "INFORMATIONAL",
  "READY",
  "PONG",
] as const;
export type EventName = (typeof EVENTS)[number];

/** REASON_* that EVENT_REFUSE gives. */
const REASONS: Readonly<Record<number, string>> = { 16: "uri-too-long", 17: "header-too-large" };
/** HEAD_FLAGS worth printing. */
const HEAD_FLAGS: readonly (readonly [number, string])[] = [
  [1, "te"],
  [2, "continue"],
  [4, "grpc"],
  [32, "extended"],
];
export interface H2Event {
  readonly name: EventName;
  /** Address of the stream; NONE for the connection. */
  readonly stream: number;
  readonly id: number;
  readonly end: boolean;
  readonly code: number;
  readonly flags: number;
  readonly last: number;
  readonly bytes: Buffer;
  readonly head: HeadOutput | undefined;
}

/** Events as lines, pieces of DATA joined: what must not depend on how the input was cut. */
export function printEvents(events: readonly H2Event[]): string[] {
  const joined: H2Event[] = [];
  for (const event of events) {
    const before = joined.at(-1);
    if (event.name === "DATA" && before?.name === "DATA" && before.id === event.id && !before.end) {
      joined[joined.length - 1] = { ...event, bytes: Buffer.concat([before.bytes, event.bytes]) };
    } else joined.push(event);
  }
  return joined.map(printEvent);
}

export function printEvent(event: H2Event): string {
  const { name, id, code, flags } = event;
  const end = event.end ? " end" : "";
  switch (name) {
    case "HEAD":
    case "TRAILERS":
    case "INFORMATIONAL":
      return `${name} ${id}${name === "HEAD" ? end : ""}${printHead(event.head!)}`;
    case "DATA":
      return `DATA ${id}${end} ${printBytes(event.bytes)}`;
    case "RESET": {
      const marks = `${flags & 1 ? " peer" : ""}${flags & 2 ? " unprocessed" : ""}`;
      return `RESET ${id} ${ERROR_CODES[code]}${marks}`;
    }
    case "CREDIT":
      return event.stream === NONE ? "CREDIT" : `CREDIT ${id}`;
    case "GOAWAY":
      return `GOAWAY ${ERROR_CODES[code]} last=${event.last}`;
    case "REFUSE":
      return `REFUSE ${id} ${REASONS[code] ?? code}`;
    case "FATAL":
      return `FATAL ${ERROR_CODES[code]}`;
    default:
      return id === 0 ? name : `${name} ${id}`;
  }
}

function printHead(head: HeadOutput): string {
  const flags = HEAD_FLAGS.filter(([bit]) => (head.flags & bit) !== 0).map(([, word]) => ` ${word}`);
  const length = head.contentLength < 0 ? "" : ` length=${head.contentLength}`;
  const protocol = head.protocol === "" ? "" : ` protocol=${head.protocol}`;
  const target = head.path === "" ? "" : ` ${head.path}`;
  const scheme = head.path === "" ? "" : ` ${head.scheme}`;
  const status = head.status === 0 ? "" : ` ${head.status}`;
  const line = head.method === "" ? status : ` ${head.method}${scheme} ${head.authority}${target}`;
  const never = head.neverIndexed.length === 0 ? "" : ` never=${head.neverIndexed.join(",")}`;
  const fields = head.fields.length === 0 ? "" : ` ${printFields(head.fields)}`;
  return `${line}${protocol}${length}${flags.join("")}${never}${fields}`;
}
