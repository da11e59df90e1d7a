// Compiles a route's pattern to an automaton that the engine runs with one look-up for each byte (DESIGN §2 rule 12).
//
//   text ──parse──► tree ──Thompson──► NFA ──subsets over byte classes──► DFA ──Moore──► smallest DFA ──► bytes
//
// Bytes that no set of the pattern tells apart share a class, so a row of the table is a few entries and not 256.
// State 0 is the dead one; accepting states are numbered last. Everything is bounded: copies of repetitions, states, and
// the steps of the subset construction, so that no document can keep the compiler busy.

import { REGEX_STATES_MAX } from "../../assembly/abi/limits.ts";
import { assertNever } from "../base/index.ts";
import { minimize } from "./regex-minimize.ts";
import { type ByteSet, type PatternNode, PatternProblem, parsePattern } from "./regex-parser.ts";

/** A deterministic automaton over bytes. */
export interface Automaton {
  /** Class of each of 256 bytes. */
  readonly classOf: Uint8Array;
  readonly classCount: number;
  readonly start: number;
  /** This state and those above accept. */
  readonly acceptFrom: number;
  readonly stateCount: number;
  /** Next state by state × classCount + class. */
  readonly table: Uint16Array;
}

/** A compiled pattern, or why there is none. */
export type CompiledPattern =
  | { readonly ok: true; readonly automaton: Automaton }
  | { readonly ok: false; readonly problem: string };

/** Beyond this the subset construction would not end below REGEX_STATES_MAX for any pattern that people write. */
const NODES_MAX = 16_384;
/** Visits of NFA nodes: a second's work at most. */
const STEPS_MAX = 50_000_000;

/** Compiles a pattern that matches whole texts. */
export function compileRegex(pattern: string): CompiledPattern {
  try {
    const nfa = createNfa(parsePattern(pattern));
    return { ok: true, automaton: minimize(createSubsets(nfa)) };
  } catch (error) {
    if (error instanceof PatternProblem) return { ok: false, problem: error.message };
    throw error;
  }
}

/** What is wrong with a pattern; `undefined` when a route may use it. */
export function checkRegex(pattern: string): string | undefined {
  const compiled = compileRegex(pattern);
  return compiled.ok ? undefined : compiled.problem;
}

/** The bytes that every text that the automaton accepts starts with, and whether only `/…` or nothing may follow. */
export function literalPrefixOf(automaton: Automaton): { readonly text: Uint8Array; readonly endsSegment: boolean } {
  const bytes: number[] = [];
  let state = automaton.start;
  for (;;) {
    const live = liveBytesOf(automaton, state);
    const accepts = state >= automaton.acceptFrom;
    // A circle of single bytes must pass an accepting state, so this ends.
    if (accepts || live.length !== 1) {
      const endsSegment = accepts && live.every((byte) => byte === 47);
      return { text: Uint8Array.from(bytes), endsSegment };
    }
    bytes.push(live[0]!);
    state = automaton.table[state * automaton.classCount + automaton.classOf[live[0]!]!]!;
  }
}

function liveBytesOf(automaton: Automaton, state: number): number[] {
  const live: number[] = [];
  for (let byte = 0; byte < 256 && live.length < 2; byte += 1) {
    if (automaton.table[state * automaton.classCount + automaton.classOf[byte]!] !== 0) live.push(byte);
  }
  return live;
}

// ── NFA ──────────────────────────────────────────────────────────────────────────────────────────

interface Nfa {
  /** Set of the byte that leads on; `undefined`: the node leads on without a byte. */
  readonly sets: (ByteSet | undefined)[];
  readonly next: number[];
  /** A second way on without a byte, -1 = none. */
  readonly other: number[];
  start: number;
}

/** The node that accepts; it leads nowhere. */
const ACCEPT = 0;

function createNfa(tree: PatternNode): Nfa {
  const nfa: Nfa = { sets: [undefined], next: [-1], other: [-1], start: 0 };
  nfa.start = addNode(nfa, tree, ACCEPT);
  return nfa;
}

/** Adds what matches `node` and then goes to `next`; returns where it starts. Built from the end to the front. */
function addNode(nfa: Nfa, node: PatternNode, next: number): number {
  switch (node.kind) {
    case "empty":
      return next;
    case "byte":
      return addState(nfa, node.set, next, -1);
    case "sequence":
      return node.parts.reduceRight((after, part) => addNode(nfa, part, after), next);
    case "choice":
      return node.parts
        .map((part) => addNode(nfa, part, next))
        .reduceRight((other, way) => addState(nfa, undefined, way, other));
    case "repeat":
      return addRepeat(nfa, node, next);
    default:
      return assertNever(node);
  }
}

function addRepeat(nfa: Nfa, { part, min, max }: PatternNode & { kind: "repeat" }, next: number): number {
  let at = next;
  if (max === Number.POSITIVE_INFINITY) {
    at = addState(nfa, undefined, -1, next);
    nfa.next[at] = addNode(nfa, part, at);
  } else {
    for (let copy = min; copy < max; copy += 1) at = addState(nfa, undefined, addNode(nfa, part, at), next);
  }
  for (let copy = 0; copy < min; copy += 1) at = addNode(nfa, part, at);
  return at;
}

function addState(nfa: Nfa, set: ByteSet | undefined, next: number, other: number): number {
  if (nfa.sets.length >= NODES_MAX) throw new PatternProblem("too large: repetitions multiply it");
  nfa.sets.push(set);
  nfa.next.push(next);
  nfa.other.push(other);
  return nfa.sets.length - 1;
}

// ── DFA ──────────────────────────────────────────────────────────────────────────────────────────

/** An automaton whose accepting states may stand anywhere; state 0 is dead. */
export interface RawAutomaton {
  readonly classOf: Uint8Array;
  readonly classCount: number;
  readonly start: number;
  readonly accepts: boolean[];
  readonly table: number[];
}

function createSubsets(nfa: Nfa): RawAutomaton {
  const { classOf, classCount, samples } = createClasses(nfa);
  const closure = createClosure(nfa);
  const numbers = new Map<string, number>([["", 0]]);
  const members: number[][] = [[]];
  const accepts = [false];
  const table: number[] = [];
  const numberOf = (from: number[]): number => {
    const nodes = closure(from);
    const key = nodes.join();
    let number = numbers.get(key);
    if (number !== undefined) return number;
    number = members.length;
    if (number >= REGEX_STATES_MAX) throw new PatternProblem(`needs more than ${REGEX_STATES_MAX} states`);
    numbers.set(key, number);
    members.push(nodes);
    accepts.push(nodes.includes(ACCEPT));
    return number;
  };
  const start = numberOf([nfa.start]);
  let steps = 0;
  for (let state = 0; state < members.length; state += 1) {
    const nodes = members[state]!;
    for (const sample of samples) {
      const reached = nodes.filter((node) => nfa.sets[node]?.[sample] === 1).map((node) => nfa.next[node]!);
      table.push(reached.length === 0 ? 0 : numberOf(reached));
    }
    steps += nodes.length * samples.length;
    if (steps > STEPS_MAX) throw new PatternProblem("too complex to compile");
  }
  return { classOf, classCount, start, accepts, table };
}

/** Splits the 256 bytes into those that some set tells apart; `samples` has one byte of each class. */
function createClasses(nfa: Nfa): { classOf: Uint8Array; classCount: number; samples: number[] } {
  let classOf = new Uint8Array(256);
  let classCount = 1;
  for (const set of new Set(nfa.sets)) {
    if (set === undefined) continue;
    const numbers = new Map<number, number>();
    const refined = new Uint8Array(256);
    for (let byte = 0; byte < 256; byte += 1) {
      const key = classOf[byte]! * 2 + set[byte]!;
      if (!numbers.has(key)) numbers.set(key, numbers.size);
      refined[byte] = numbers.get(key)!;
    }
    classOf = refined;
    classCount = numbers.size;
  }
  const samples = Array.from({ length: classCount }, (_, number) => classOf.indexOf(number));
  return { classOf, classCount, samples };
}

/** Follows ways without a byte; returns the sorted nodes that wait for one, or accept. */
function createClosure(nfa: Nfa): (from: readonly number[]) => number[] {
  const marks = new Uint32Array(nfa.sets.length);
  let round = 0;
  return (from) => {
    round += 1;
    const nodes: number[] = [];
    const waiting = [...from];
    while (waiting.length > 0) {
      const node = waiting.pop()!;
      if (node < 0 || marks[node] === round) continue;
      marks[node] = round;
      if (node === ACCEPT || nfa.sets[node] !== undefined) nodes.push(node);
      else waiting.push(nfa.next[node]!, nfa.other[node]!);
    }
    return nodes.sort((left, right) => left - right);
  };
}
