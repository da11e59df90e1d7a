// Durations and sizes as people write them, as numbers in code.
//
// "250ms", "1.5s", "1m30s" become milliseconds; "64KiB", "1MB", "512" become bytes. A bare number has no unit and is
// refused for durations: `timeout: 5` has meant five seconds to one reader and five milliseconds to the next often
// enough. A bare number of bytes is unambiguous and allowed. Pure; the result is data, not an exception.

/** What parsing yields: the number, or why not. */
export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: string };

const MS_OF_UNIT: Readonly<Record<string, number>> = {
  us: 0.001,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};
const BYTES_OF_UNIT: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
};

/** The grammar of a duration, for JSON Schema and messages. */
export const DURATION_PATTERN = "^(\\d+(\\.\\d+)?(us|ms|s|m|h|d))+$";
/** The grammar of a size. */
export const SIZE_PATTERN = "^\\d+(\\.\\d+)?\\s?(B|KB|MB|GB|KiB|MiB|GiB)?$";

const DURATION = new RegExp(DURATION_PATTERN);
const SIZE = new RegExp(SIZE_PATTERN);

/** Parses "250ms", "1m30s", … into milliseconds. */
export function parseDuration(text: string): Parsed<number> {
  if (text === "0") return { ok: true, value: 0 };
  if (!DURATION.test(text)) {
    const hint = /^\d+(\.\d+)?$/.test(text)
      ? `a unit is missing: ${text}ms or ${text}s`
      : "write 250ms, 1.5s, 5m or 1h";
    return { ok: false, problem: `${JSON.stringify(text)} is not a duration (${hint})` };
  }
  let totalMs = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(us|ms|s|m|h|d)/g)) {
    totalMs += Number(amount) * (MS_OF_UNIT[unit ?? ""] ?? 0);
  }
  return { ok: true, value: totalMs };
}

/** Parses "64KiB", "1MB", "512" into whole bytes. */
export function parseSize(text: string): Parsed<number> {
  if (!SIZE.test(text)) {
    return { ok: false, problem: `${JSON.stringify(text)} is not a size (write 64KiB, 1MiB or a number of bytes)` };
  }
  const [, amount, unit] = /^([\d.]+)\s?(\w*)$/.exec(text) ?? [];
  return { ok: true, value: Math.round(Number(amount) * (unit === "" ? 1 : (BYTES_OF_UNIT[unit ?? ""] ?? 1))) };
}

/** Formats milliseconds with the largest unit that leaves no fraction: 90000 → "90s", 300000 → "5m". */
export function formatDuration(durationMs: number): string {
  if (durationMs === 0) return "0s";
  for (const unit of ["h", "m", "s", "ms"]) {
    const amount = durationMs / (MS_OF_UNIT[unit] ?? 1);
    if (Number.isInteger(amount)) return `${amount}${unit}`;
  }
  return `${Math.round(durationMs * 1000)}us`;
}

/** Formats bytes with the largest binary unit that leaves no fraction: 65536 → "64KiB". */
export function formatSize(bytes: number): string {
  for (const unit of ["GiB", "MiB", "KiB"]) {
    const amount = bytes / (BYTES_OF_UNIT[unit] ?? 1);
    if (bytes > 0 && Number.isInteger(amount)) return `${amount}${unit}`;
  }
  return `${bytes}B`;
}
