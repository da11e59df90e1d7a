// Compiles a route's pattern to an automaton that the engine runs with one look-up for each byte (DESIGN §2 rule 12).
//
//   text ──parse──► tree ──Thompson──► NFA ──subsets over byte classes──► DFA ──Moore──► smallest DFA ──► bytes
//
// Bytes that no set of the pattern tells apart share a class, so a row of the table is a few entries and not 256.
// State 0 is the dead one; accepting states are numbered last. Everything is bounded: copies of repetitions, states,
// and the steps of the subset construction, so that no document can keep the compiler busy.

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
const ASCII_MAX = 127;
const SLASH = 47;

/** A path pattern in two parts: whole segments that every path begins with, and what follows them. */
export type CompiledPathPattern =
  | { readonly ok: true; readonly segments: string; readonly rest: Automaton }
  | { readonly ok: false; readonly problem: string };

/** Compiles a pattern that matches whole texts. */
export function compileRegex(pattern: string): CompiledPattern {
  return attempt(() => ({ ok: true, automaton: createAutomaton(parsePattern(pattern)) }));
}

/** Compiles a path's pattern; the index finds the segments, so the automaton begins behind them. */
export function compilePathRegex(pattern: string): CompiledPathPattern {
  return attempt(() => {
    const { literal, rest } = splitLiteral(parsePattern(pattern));
    if (literal.startsWith("/") && !literal.endsWith("/")) {
      // `/users(/.*)?`: nothing but a slash, or the end, may follow, so the whole literal is segments.
      const after = createAutomaton(rest);
      if (isSegmentStart(after)) return { ok: true, segments: literal, rest: after };
    }
    const cut = Math.max(literal.lastIndexOf("/"), 0);
    const tail = [...literal.slice(cut)].map(literalNode);
    const whole: PatternNode = { kind: "sequence", parts: [...tail, rest] };
    return { ok: true, segments: literal.slice(0, cut), rest: createAutomaton(whole) };
  });
}

/** What is wrong with a pattern; `undefined` when a route may use it. */
export function checkRegex(pattern: string): string | undefined {
  // Merging equal states refuses nothing, so a check does without.
  const checked = attempt(() => ({ ok: true as const, subsets: createSubsets(createNfa(parsePattern(pattern))) }));
  return checked.ok ? undefined : checked.problem;
}

function attempt<T>(compile: () => T): T | { readonly ok: false; readonly problem: string } {
  try {
    return compile();
  } catch (error) {
    if (error instanceof PatternProblem) return { ok: false, problem: error.message };
    throw error;
  }
}

function createAutomaton(tree: PatternNode): Automaton {
  return minimize(createSubsets(createNfa(tree)));
}

/** Takes the ASCII bytes off with which every text begins. */
function splitLiteral(tree: PatternNode): { literal: string; rest: PatternNode } {
  const parts = tree.kind === "sequence" ? tree.parts : [tree];
  let literal = "";
  for (const part of parts) {
    const byte = part.kind === "byte" ? onlyByteOf(part.set) : undefined;
    if (byte === undefined || byte > ASCII_MAX) break;
    literal += String.fromCharCode(byte);
  }
  return { literal, rest: { kind: "sequence", parts: parts.slice(literal.length) } };
}

function onlyByteOf(set: ByteSet): number | undefined {
  const first = set.indexOf(1);
  return first >= 0 && set.indexOf(1, first + 1) < 0 ? first : undefined;
}

function literalNode(character: string): PatternNode {
  const set = new Uint8Array(256);
  set[character.charCodeAt(0)] = 1;
  return { kind: "byte", set };
}

/** Whether every text of an automaton is empty or begins with a slash. */
function isSegmentStart({ start, table, classCount, classOf }: Automaton): boolean {
  for (let byte = 0; byte < 256; byte += 1) {
    if (byte !== SLASH && table[start * classCount + classOf[byte]!] !== 0) return false;
  }
  return true;
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
  const budget = { steps: STEPS_MAX };
  const closure = createClosure(nfa, budget);
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
  for (let state = 0; state < members.length; state += 1) {
    const nodes = members[state]!;
    for (const sample of samples) {
      const reached = nodes.filter((node) => nfa.sets[node]?.[sample] === 1).map((node) => nfa.next[node]!);
      table.push(reached.length === 0 ? 0 : numberOf(reached));
    }
    spend(budget, nodes.length * samples.length);
  }
  return { classOf, classCount, start, accepts, table };
}

function spend(budget: { steps: number }, steps: number): void {
  budget.steps -= steps;
  if (budget.steps < 0) throw new PatternProblem("too complex to compile");
}

/** Splits the 256 bytes into those that some set tells apart; `samples` has one byte of each class. */
function createClasses(nfa: Nfa): { classOf: Uint8Array; classCount: number; samples: number[] } {
  const classOf = new Uint8Array(256);
  let classCount = 1;
  for (const set of new Set(nfa.sets)) {
    if (set === undefined) continue;
    // Class by former class and membership; -1 = no byte has been seen of it.
    const numbers = new Int16Array(classCount * 2).fill(-1);
    classCount = 0;
    for (let byte = 0; byte < 256; byte += 1) {
      const key = classOf[byte]! * 2 + set[byte]!;
      if (numbers[key] === -1) {
        numbers[key] = classCount;
        classCount += 1;
      }
      classOf[byte] = numbers[key]!;
    }
  }
  const samples = Array.from({ length: classCount }, (_, number) => classOf.indexOf(number));
  return { classOf, classCount, samples };
}

/** Follows ways without a byte; returns the sorted nodes that wait for one, or accept. */
function createClosure(nfa: Nfa, budget: { steps: number }): (from: readonly number[]) => number[] {
  const marks = new Uint32Array(nfa.sets.length);
  let round = 0;
  return (from) => {
    round += 1;
    const nodes: number[] = [];
    const waiting = [...from];
    let steps = 0;
    while (waiting.length > 0) {
      const node = waiting.pop()!;
      steps += 1;
      if (node < 0 || marks[node] === round) continue;
      marks[node] = round;
      if (node === ACCEPT || nfa.sets[node] !== undefined) nodes.push(node);
      else waiting.push(nfa.next[node]!, nfa.other[node]!);
    }
    spend(budget, steps);
    return nodes.sort((left, right) => left - right);
  };
}
