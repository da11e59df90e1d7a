// Two ways to the same rules: nftables (one table of both families), iptables (one set for each family).
//
// Both can be in force at once, and the kernel then asks one after the other; so setting up with one takes out what
// another has left, and taking out asks all.

import { formatIptables, formatIptablesRules, formatIptablesTeardown, ownIptablesRules } from "./iptables.ts";
import { formatNftables, formatNftablesTable, NFTABLES_TEARDOWN } from "./nftables.ts";
import type { Plan } from "./plan.ts";
import { hasIPv6, type RunTool } from "./tools.ts";

export const BACKEND_NAMES = ["nftables", "iptables", "iptables-legacy"] as const;
export type BackendName = (typeof BACKEND_NAMES)[number];

/** Each function yields what went wrong; an empty list: nothing. */
export interface Backend {
  readonly name: BackendName;
  /** Why it cannot be used here; undefined: it can. */
  probe(): string | undefined;
  setUp(plan: Plan): readonly string[];
  tearDown(): readonly string[];
  /** Where the rules in force differ from the plan's. */
  compare(plan: Plan): readonly string[];
  /** The rules as files, by name. */
  format(plan: Plan): Readonly<Record<string, string>>;
}

/** All of them, the preferred one first. */
export function createBackends(run: RunTool): readonly Backend[] {
  return [createNftables(run), createIptables(run, "iptables", ""), createIptables(run, "iptables-legacy", "-legacy")];
}

function createNftables(run: RunTool): Backend {
  const list = () => run("nft", ["-y", "-u", "-s", "list", "table", "inet", "pillion"]);
  const problemsOf = (text: string) => {
    const { isDone, problem } = run("nft", ["-f", "-"], text);
    return isDone ? [] : [problem];
  };
  return {
    name: "nftables",
    probe() {
      const { isDone, problem } = run("nft", ["list", "tables"]);
      return isDone ? undefined : problem;
    },
    setUp: (plan) => problemsOf(formatNftables(plan)),
    tearDown: () => (list().isDone ? problemsOf(NFTABLES_TEARDOWN) : []),
    compare(plan) {
      const { isDone, output } = list();
      return isDone ? difference(linesOf(formatNftablesTable(plan)), linesOf(output)) : ["no table inet pillion"];
    },
    format: (plan) => ({ "nftables.nft": formatNftables(plan) }),
  };
}

function createIptables(run: RunTool, name: BackendName, suffix: string): Backend {
  const families = () => (hasIPv6() ? ([4, 6] as const) : ([4] as const));
  const toolOf = (family: 4 | 6, verb: string) => `${family === 4 ? "iptables" : "ip6tables"}${suffix}-${verb}`;
  // Without naming a table, because to name it is to load it.
  const save = (family: 4 | 6) => run(toolOf(family, "save"), []);
  // Another tool may hold the lock for a moment.
  const restore = (family: 4 | 6, text: string) => {
    const { isDone, problem } = run(toolOf(family, "restore"), ["--noflush", "--wait", "5"], text);
    return isDone ? [] : [problem];
  };
  const forEachFamily = (visit: (family: 4 | 6, saved: string) => readonly string[]) =>
    families().flatMap((family) => {
      const { isDone, output, problem } = save(family);
      return isDone ? visit(family, output) : [problem];
    });
  return {
    name,
    probe: () => forEachFamily(() => [])[0],
    setUp: (plan) => forEachFamily((family, saved) => restore(family, formatIptables(plan, family, saved))),
    tearDown: () =>
      forEachFamily((family, saved) => {
        const text = formatIptablesTeardown(saved);
        return text === undefined ? [] : restore(family, text);
      }),
    compare: (plan) =>
      forEachFamily((family, saved) =>
        difference(formatIptablesRules(plan, family), ownIptablesRules(saved)).map((line) => `IPv${family} ${line}`),
      ),
    format: (plan) => ({ "iptables.rules": formatIptables(plan, 4), "ip6tables.rules": formatIptables(plan, 6) }),
  };
}

function linesOf(text: string): string[] {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

/** What is missing, what is there besides; where all is there, whether the order is right. */
function difference(wanted: readonly string[], found: readonly string[]): string[] {
  const rest = [...found];
  const missing = wanted.filter((line) => {
    const at = rest.indexOf(line);
    if (at >= 0) rest.splice(at, 1);
    return at < 0;
  });
  const problems = [...missing.map((line) => `lacks: ${line}`), ...rest.map((line) => `has besides: ${line}`)];
  if (problems.length > 0) return problems;
  return wanted.every((line, index) => line === found[index]) ? [] : ["has the rules in another order"];
}
