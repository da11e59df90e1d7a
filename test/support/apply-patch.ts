// The obvious RFC 6902, as the API server carries out an admission patch.

interface Operation {
  readonly op: string;
  readonly path: string;
  readonly value?: unknown;
}

/** Applies operations in order; throws where a path leads nowhere. */
export function applyPatch(value: unknown, operations: readonly Operation[]): unknown {
  let root = structuredClone(value);
  for (const { op, path, value: next } of operations) {
    const steps = path
      .split("/")
      .slice(1)
      .map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
    const last = steps.pop();
    if (last === undefined) {
      root = structuredClone(next);
      continue;
    }
    let parent = root as Record<string, unknown>;
    for (const step of steps) {
      if (parent[step] === undefined) throw new Error(`${path} leads nowhere`);
      parent = parent[step] as Record<string, unknown>;
    }
    if (Array.isArray(parent) && op === "add") parent.splice(last === "-" ? parent.length : Number(last), 0, next);
    else if (Array.isArray(parent) && op === "remove") parent.splice(Number(last), 1);
    else if (op === "remove") delete parent[last];
    else if (op === "replace" && parent[last] === undefined) throw new Error(`${path} is not there`);
    else parent[last] = structuredClone(next);
  }
  return root;
}
