// Runs a compiled pattern: one table look-up for each byte, whatever the pattern (DESIGN §2 rule 12).
//
// src/snapshot/regex makes the automaton. It matches whole texts: a pattern that may go on says so itself (`.*`).

import {
  AUTOMATON_ACCEPT,
  AUTOMATON_CLASSES,
  AUTOMATON_MAP,
  AUTOMATON_START,
  AUTOMATON_TABLE,
} from "../../abi/route-program.ts";

/** Whether the automaton accepts exactly these bytes. */
export function matchAutomaton(automaton: u32, ptr: u32, length: u32): bool {
  const classes = load<u32>(automaton, AUTOMATON_CLASSES);
  let state = load<u32>(automaton, AUTOMATON_START);
  const end = ptr + length;
  for (let at = ptr; at < end; at += 1) {
    if (state == 0) return false;
    const column = u32(load<u8>(automaton + load<u8>(at), AUTOMATON_MAP));
    state = load<u16>(automaton + (state * classes + column) * 2, AUTOMATON_TABLE);
  }
  return state >= load<u32>(automaton, AUTOMATON_ACCEPT);
}
