// What was written in two places, laid over each other.
//
// `mesh.defaults` lies under a service, a service under a rule of a route. Objects are merged field by field; lists,
// numbers and texts of the upper layer replace those below. Two sections are choices between fields (what to hash, how
// to check health): there the upper layer's choice removes the lower one's, or both would stand.

/** A document, or a part of one, as people wrote it: plain JSON. */
export type Written = Readonly<Record<string, unknown>>;

/** Sections whose named fields exclude each other. */
const CHOICES: Readonly<Record<string, readonly string[]>> = {
  hash: ["header", "cookie", "sourceAddress", "path"],
  health: ["path", "grpc", "tcp"],
};

/** Lays `upper` over `lower`; neither is changed. */
export function mergeWritten(lower: Written, upper: Written): Written {
  const merged: Record<string, unknown> = { ...lower };
  for (const [field, value] of Object.entries(upper)) {
    const below = merged[field];
    if (!isSection(value) || !isSection(below)) {
      merged[field] = value;
      continue;
    }
    const choice = CHOICES[field] ?? [];
    const isChosen = choice.some((key) => value[key] !== undefined);
    const kept = isChosen ? Object.entries(below).filter(([key]) => !choice.includes(key)) : Object.entries(below);
    merged[field] = mergeWritten(Object.fromEntries(kept), value);
  }
  return merged;
}

/** Whether `value` is a JSON object. */
export function isSection(value: unknown): value is Written {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
