// Compiled patterns, kept from one snapshot to the next: every change compiles a snapshot, patterns rarely change.
//
// Equal automata become one object, so a snapshot holds them once: of ten thousand patterns `/<name>/[0-9]+` only the
// names differ, and those are segments.

import {
  type Automaton,
  type CompiledPathPattern,
  type CompiledPattern,
  compilePathRegex,
  compileRegex,
} from "./regex.ts";

/** Beyond this the oldest is forgotten. Twice the routes that a mesh is built for (DESIGN §6's 10,000). */
const PATTERNS_MAX = 20_000;

/** Keeps what `compile` made of the latest patterns. */
class PatternCache<Compiled> {
  readonly #compiled = new Map<string, Compiled>();
  readonly #compile: (pattern: string) => Compiled;

  constructor(compile: (pattern: string) => Compiled) {
    this.#compile = compile;
  }

  compile(pattern: string): Compiled {
    let compiled = this.#compiled.get(pattern);
    if (compiled !== undefined) return compiled;
    compiled = this.#compile(pattern);
    remember(this.#compiled, pattern, compiled);
    return compiled;
  }
}

const automata = new Map<string, Automaton>();

/** Patterns of header fields. */
export const fieldPatterns = new PatternCache<CompiledPattern>((pattern) => {
  const compiled = compileRegex(pattern);
  return compiled.ok ? { ...compiled, automaton: intern(compiled.automaton) } : compiled;
});

/** Patterns of paths. */
export const pathPatterns = new PatternCache<CompiledPathPattern>((pattern) => {
  const compiled = compilePathRegex(pattern);
  return compiled.ok ? { ...compiled, rest: intern(compiled.rest) } : compiled;
});

function intern(automaton: Automaton): Automaton {
  const { start, acceptFrom, classOf, table } = automaton;
  const key = `${start};${acceptFrom};${classOf};${table}`;
  const known = automata.get(key);
  if (known === undefined) remember(automata, key, automaton);
  return known ?? automaton;
}

function remember<T>(map: Map<string, T>, key: string, value: T): void {
  const [oldest] = map.keys();
  if (map.size >= PATTERNS_MAX && oldest !== undefined) map.delete(oldest);
  map.set(key, value);
}
