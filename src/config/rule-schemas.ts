// What a rule of a route does besides choosing who answers: it changes fields, answers by itself, copies, fails.
//
// The engine adds fields to a head with 64 spare places, some of which it needs itself; so the number of edits is
// bounded here, where whoever writes them is told.

import * as z from "zod";
import { count, duration, name, section, share, token } from "./kinds.ts";

/** Fields that a rule may set and add, for requests and for responses each. */
export const EDITS_MAX = 32;
/** Bytes of a direct response's body (Envoy's default). */
export const DIRECT_BODY_BYTES_MAX = 4096;
const VALUE_LENGTH_MAX = 4096;
/** RFC 9110 §15.4: those that say `location` and nothing else. */
const REDIRECT_STATUSES = [301, 302, 303, 307, 308] as const;

/** RFC 9110 §7.6.1 and §6: fields of one connection or of the framing, which each hop writes by itself. */
const HOP_FIELDS = [
  "connection",
  "content-length",
  "http2-settings",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
];

/** A field that a rule may change: not of the framing, not the host, not Pillion's own. */
const editableField = token({ isFolded: true }).refine((field) => problemOfEdit(field) === undefined, {
  error: ({ input }) => problemOfEdit(String(input).toLowerCase()),
});

function problemOfEdit(field: string): string | undefined {
  if (field === "host") return "host is changed by rewrite.host";
  if (HOP_FIELDS.includes(field)) return `${field} belongs to one connection; no rule can change it`;
  return field.startsWith("x-pillion-") ? `${field} is Pillion's own` : undefined;
}

/** RFC 9110 §5.5. */
const fieldValue = z
  .string()
  .max(VALUE_LENGTH_MAX)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
  .regex(/^([^\x00-\x20\x7f]([^\x00-\x08\x0a-\x1f\x7f]*[^\x00-\x20\x7f])?)?$/, {
    error: "must be a field value: no control characters, no space at its ends",
  });

const fieldEdits = section({
  set: z.record(editableField, fieldValue).prefault({}).describe("Written in place of what is there."),
  add: z.record(editableField, fieldValue).prefault({}).describe("Written besides what is there."),
  remove: z.array(editableField).prefault([]).describe("Taken out."),
})
  .refine(({ set, add }) => Object.keys(set).length + Object.keys(add).length <= EDITS_MAX, {
    error: `sets and adds at most ${EDITS_MAX} fields`,
  })
  .transform(({ set, add, remove }): FieldEdit[] => [
    ...remove.map((field) => ({ kind: "remove" as const, name: field, value: "" })),
    ...Object.entries(set).map(([field, value]) => ({ kind: "set" as const, name: field, value })),
    ...Object.entries(add).map(([field, value]) => ({ kind: "add" as const, name: field, value })),
  ]);

/** One change of the header fields; they are carried out in order. */
export interface FieldEdit {
  readonly kind: "set" | "add" | "remove";
  /** In lower case. */
  readonly name: string;
  /** Empty for `remove`. */
  readonly value: string;
}

export const absolutePath = z.string().regex(/^\//, { error: "must begin with /" });

/** What stands in a request's target: visible ASCII, and no query or fragment. */
const redirectPath = absolutePath.regex(/^[!$->@-~]*$/, { error: "must be a path without a query" });

const redirect = section({
  status: z
    .union(REDIRECT_STATUSES.map((status) => z.literal(status)))
    .prefault(302)
    .describe("One of 301, 302, 303, 307, 308."),
  scheme: z.enum(["http", "https"]).optional().describe("Absent: the request's."),
  host: z
    .string()
    .regex(/^[A-Za-z0-9._-]+(:\d{1,5})?$|^\[[0-9A-Fa-f:.]+\](:\d{1,5})?$/, { error: "must be a host, or host:port" })
    .optional()
    .describe("Host, with a port where it needs one. Absent: the request's."),
  path: redirectPath.optional().describe("Replaces the whole path; the query stays."),
  pathPrefix: redirectPath.optional().describe("Replaces what path.prefix (or path.exact) matched."),
}).check((context) => {
  const { scheme, host, path, pathPrefix } = context.value;
  const hasBoth = path !== undefined && pathPrefix !== undefined;
  const isSame = [scheme, host, path, pathPrefix].every((field) => field === undefined);
  const message = hasBoth ? "has path and pathPrefix, but needs one of them" : "needs scheme, host, path or pathPrefix";
  if (hasBoth || isSame) context.issues.push({ code: "custom", message, input: context.value, continue: true });
});

const directResponse = section({
  status: count({ min: 200, max: 599 }).prefault(200).describe("The answer's status."),
  body: z
    .string()
    .refine((text) => Buffer.byteLength(text) <= DIRECT_BODY_BYTES_MAX, {
      error: `must be at most ${DIRECT_BODY_BYTES_MAX} bytes`,
    })
    .prefault("")
    .describe("Its body; text/plain unless responseHeaders set another content-type."),
}).refine(({ status, body }) => body === "" || ![204, 205, 304].includes(status), {
  error: "an answer of this status has no body (RFC 9110 §15)",
  path: ["body"],
});

const mirror = section({
  service: name().describe("The service that gets a copy, with x-pillion-mirror: 1; its answer is thrown away."),
  share: share().prefault(1).describe("The part of the requests that is copied."),
});

const fault = section({
  delay: section({ share: share(), duration: duration() })
    .transform(({ share, duration }) => ({ share, durationMs: duration }))
    .optional()
    .describe("This part of the requests waits first."),
  abort: section({ share: share(), status: count({ min: 400, max: 599 }).prefault(503) })
    .optional()
    .describe("This part of the requests gets this answer, with the reason fault."),
});

/** The fields of a rule, as zod shapes. */
export const ruleActionShape = {
  requestHeaders: fieldEdits.optional().describe("Header fields of the request that are changed on the way."),
  responseHeaders: fieldEdits.optional().describe("Header fields of the answer that are changed on the way back."),
  redirect: redirect.optional().describe("The answer: ask there instead. In place of `to`."),
  directResponse: directResponse.optional().describe("The answer itself. In place of `to`."),
  mirror: mirror.optional().describe("Who gets a copy."),
  fault: fault.optional().describe("Failures made on purpose."),
} as const;

/** Where a redirect leads. */
export type Redirect = z.output<typeof redirect>;
/** An answer that a rule gives itself. */
export type DirectResponse = z.output<typeof directResponse>;
/** Failures made on purpose. */
export type Fault = z.output<typeof fault>;
/** Who gets copies. */
export type Mirror = z.output<typeof mirror>;
