// Two lists: how the second grew out of the first. Things with names (containers, variables, volumes) are followed by
// their names; the rest (the items of a List) by their place.

export type ListEdit =
  | { readonly kind: "keep"; readonly from: number; readonly to: number }
  | { readonly kind: "insert"; readonly to: number };

type Named = { readonly name: string };

/** What stands at each place of `after`; undefined when items went or changed places. */
export function editsBetween(before: readonly unknown[], after: readonly unknown[]): ListEdit[] | undefined {
  if (!before.every(isNamed) || !after.every(isNamed)) {
    if (before.length !== after.length) return undefined;
    return before.map((_, index) => ({ kind: "keep", from: index, to: index }));
  }
  const edits: ListEdit[] = [];
  let from = 0;
  for (const [to, item] of after.entries()) {
    if (before[from]?.name === item.name) {
      edits.push({ kind: "keep", from, to });
      from += 1;
    } else edits.push({ kind: "insert", to });
  }
  return from === before.length ? edits : undefined;
}

function isNamed(item: unknown): item is Named {
  return typeof item === "object" && item !== null && typeof (item as Partial<Named>).name === "string";
}
