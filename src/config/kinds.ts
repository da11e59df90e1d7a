// The kinds of fields that documents are made of: a duration, a size, a share, a name.
//
// Each kind is a zod schema that reads what people write ("250ms", "64KiB", none) and yields what code carries
// (milliseconds, bytes, `undefined`). The written grammar is kept as metadata, so that the JSON Schema and
// docs/KEYSPACE.md say the same thing as the parser.
//
// Rule 1: a section is a strict object: a field that nobody knows is an issue, never ignored.
// Rule 2: `.prefault` takes the written form of a default, so the table in docs shows what a person would write.

import * as z from "zod";
import {
  type Address,
  DURATION_PATTERN,
  formatDuration,
  formatSize,
  type Parsed,
  parseAddress,
  parseDuration,
  parseSize,
  SIZE_PATTERN,
} from "../base/index.ts";

/** What a kind tells the generators of docs and JSON Schema beside what zod knows. */
export interface KindMeta {
  /** The grammar of the text. */
  readonly pattern?: string;
  /** Words that stand in place of a value: none, auto. */
  readonly words?: readonly string[];
  /** How docs call the kind. */
  readonly kind: string;
}

export const kindMeta = z.registry<KindMeta>();

/** The longest time that timers (2^31 − 1 ms) and the engine's tables (less two reserved values) can hold. */
export const DURATION_MS_MAX = 2_147_483_000;
/** Counts live in 31 bits of the engine's tables. */
export const COUNT_MAX = 2_147_483_647;
/** Sizes beside which a request body is not a thing to keep in memory. */
export const SIZE_BYTES_MAX = 2 ** 30;

/** RFC 1123 labels joined by dots, in lower case: names of services, routes, rules, and ids of instances. */
export const NAME_PATTERN = "^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$";
const NAME = new RegExp(NAME_PATTERN);
/** RFC 9110 §5.6.2. */
const TOKEN_PATTERN = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$";
const HOST_PATTERN =
  "^(\\*|(\\*\\.)?[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\\.?)$";

/** A strict object; every section of every document is one. */
export function section<Shape extends z.core.$ZodLooseShape>(shape: Shape): z.ZodObject<Shape, z.core.$strict> {
  return z.strictObject(shape);
}

interface DurationRange {
  readonly min?: number;
}

/** A time with a unit, as milliseconds. */
export function duration({ min = 0 }: DurationRange = {}) {
  const schema = textOf((text) => checkDuration(text, min));
  return schema.register(kindMeta, { kind: "duration", pattern: DURATION_PATTERN });
}

/** A time with a unit, or `none` as `undefined`. */
export function durationOrNone({ min = 0 }: DurationRange = {}) {
  const schema = textOf<number | undefined>((text) =>
    text === "none" ? { ok: true, value: undefined } : checkDuration(text, min),
  );
  return schema.register(kindMeta, { kind: "duration", pattern: DURATION_PATTERN, words: ["none"] });
}

/** A time with a unit, `none` as `undefined`, or `auto`. */
export function durationOrAuto({ min = 0 }: DurationRange = {}) {
  const schema = textOf<number | "auto" | undefined>((text) => {
    if (text === "auto") return { ok: true, value: "auto" };
    return text === "none" ? { ok: true, value: undefined } : checkDuration(text, min);
  });
  return schema.register(kindMeta, { kind: "duration", pattern: DURATION_PATTERN, words: ["auto", "none"] });
}

/** A time with a unit, or one of these words. */
export function durationOrWord<const Word extends string>(words: readonly Word[], { min = 0 }: DurationRange = {}) {
  const schema = textOf<number | Word>((text) => {
    const word = words.find((one) => one === text);
    if (word !== undefined) return { ok: true, value: word };
    const parsed = checkDuration(text, min);
    return parsed.ok ? parsed : { ok: false, problem: `${parsed.problem}, or one of ${words.join(", ")}` };
  });
  return schema.register(kindMeta, { kind: "duration", pattern: DURATION_PATTERN, words: [...words] });
}

/** A size with or without a unit, as bytes. */
export function size() {
  return z
    .union([z.number(), z.string()], { error: "must be a size: 64KiB, 1MiB or a number of bytes" })
    .transform((written, context) => {
      const parsed = parseSize(String(written));
      if (!parsed.ok) return refuse(context, parsed.problem, written);
      if (parsed.value > SIZE_BYTES_MAX)
        return refuse(context, `must be at most ${formatSize(SIZE_BYTES_MAX)}`, written);
      return parsed.value;
    })
    .register(kindMeta, { kind: "size", pattern: SIZE_PATTERN });
}

/** A part of a whole, 0 to 1. */
export function share() {
  return z.number().min(0).max(1).register(kindMeta, { kind: "share, 0 to 1" });
}

/** A whole number. */
export function count({ min = 0, max = COUNT_MAX } = {}) {
  return z.int().min(min).max(max).register(kindMeta, { kind: "integer" });
}

/** A name or an id: DNS labels joined by dots, lower case. */
export function name() {
  return textOf((text): Parsed<string> => {
    if (NAME.test(text)) return { ok: true, value: text };
    const hint = NAME.test(text.toLowerCase())
      ? "names are lower case"
      : "use letters, digits and - in labels joined by dots";
    return { ok: false, problem: `${JSON.stringify(text)} is not a name (${hint})` };
  }).register(kindMeta, { kind: "name", pattern: NAME_PATTERN });
}

/** Whether `text` may name a service, a route or an instance. */
export function isName(text: string): boolean {
  return NAME.test(text);
}

/** The name of a header field or a cookie, in lower case where `isFolded`. */
export function token({ isFolded }: { readonly isFolded: boolean }) {
  return z
    .string()
    .regex(new RegExp(TOKEN_PATTERN), {
      error: "must be a token (RFC 9110 §5.6.2): letters, digits and !#$%&'*+-.^_`|~",
    })
    .transform((text) => (isFolded ? text.toLowerCase() : text))
    .register(kindMeta, { kind: isFolded ? "header name" : "token", pattern: TOKEN_PATTERN });
}

/** A host, `*.host` or `*`; in lower case and without the trailing dot. */
export function hostPattern() {
  const pattern = new RegExp(HOST_PATTERN);
  return textOf((text): Parsed<string> => {
    if (pattern.test(text)) return { ok: true, value: text.toLowerCase().replace(/\.$/, "") };
    const hint = /:\d+$/.test(text)
      ? "write it without the port, ports are ignored"
      : "write a host name, *.domain or *";
    return { ok: false, problem: `${JSON.stringify(text)} is not a host (${hint})` };
  }).register(kindMeta, { kind: "host", pattern: HOST_PATTERN });
}

/** host:port. */
export function address() {
  return textOf<Address>((text) => parseAddress(text)).register(kindMeta, { kind: "host:port" });
}

/** `none` as `undefined`, or what `schema` reads; none by default. */
export function noneOr<Schema extends z.ZodType>(schema: Schema) {
  return z
    .preprocess((written) => (written === "none" ? undefined : written), schema.optional())
    .register(kindMeta, { kind: "section", words: ["none"] });
}

/** Adds an issue unless exactly one of `keys` is written. */
export function checkExactlyOne(keys: readonly string[]) {
  return (context: z.core.ParsePayload<Record<string, unknown>>) => {
    const written = keys.filter((key) => context.value[key] !== undefined);
    if (written.length === 1) return;
    const problem = written.length === 0 ? "needs" : `has ${written.join(" and ")}, but needs exactly`;
    const message = `${problem} one of ${keys.join(", ")}`;
    context.issues.push({ code: "custom", message, input: context.value, continue: true });
  };
}

/** A string that a parser of `base` reads; its problem becomes the issue. */
export function textOf<T>(parse: (text: string) => Parsed<T>) {
  return z.string().transform((text, context): T => {
    const parsed = parse(text);
    return parsed.ok ? parsed.value : refuse(context, parsed.problem, text);
  });
}

function checkDuration(text: string, min: number): Parsed<number> {
  const parsed = parseDuration(text);
  if (!parsed.ok) return parsed;
  if (parsed.value < min) return { ok: false, problem: `must be at least ${formatDuration(min)}` };
  if (parsed.value > DURATION_MS_MAX) return { ok: false, problem: "must be at most 24 days" };
  return parsed;
}

function refuse(context: z.core.$RefinementCtx, message: string, input: unknown): never {
  context.issues.push({ code: "custom", message, input });
  return z.NEVER;
}
