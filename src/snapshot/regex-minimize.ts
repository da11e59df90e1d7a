// The smallest automaton for the same texts: Moore's partition refinement, then a numbering that the engine likes.
//
// States that no further text can tell apart become one. Most patterns shrink little, but ten thousand routes share one
// memory area, and a dead end found early ends a match early.

import type { Automaton, RawAutomaton } from "./regex.ts";

/** Merges equal states; state 0 stays the dead one, accepting states come last. */
export function minimize(raw: RawAutomaton): Automaton {
  const blocks = partition(raw);
  // Number the blocks: the dead one, then those that do not accept, then those that do.
  const order = new Map<number, number>([[blocks[0]!, 0]]);
  for (const isAccepting of [false, true]) {
    for (let state = 0; state < blocks.length; state += 1) {
      if (raw.accepts[state] === isAccepting && !order.has(blocks[state]!)) order.set(blocks[state]!, order.size);
    }
  }
  const table = new Uint16Array(order.size * raw.classCount);
  const accepting = new Set<number>();
  for (let state = 0; state < blocks.length; state += 1) {
    const number = order.get(blocks[state]!)!;
    if (raw.accepts[state]) accepting.add(number);
    for (let column = 0; column < raw.classCount; column += 1) {
      const next = raw.table[state * raw.classCount + column]!;
      table[number * raw.classCount + column] = order.get(blocks[next]!)!;
    }
  }
  return {
    classOf: raw.classOf,
    classCount: raw.classCount,
    start: order.get(blocks[raw.start]!)!,
    acceptFrom: order.size - accepting.size,
    stateCount: order.size,
    table,
  };
}

/** Block of each state: split until no block holds two states whose steps lead into different blocks. */
function partition(raw: RawAutomaton): Uint32Array {
  const count = raw.accepts.length;
  let blocks = Uint32Array.from(raw.accepts, (accepts) => (accepts ? 1 : 0));
  let blockCount = new Set(blocks).size;
  for (;;) {
    const numbers = new Map<string, number>();
    const refined = new Uint32Array(count);
    for (let state = 0; state < count; state += 1) {
      let key = `${blocks[state]}`;
      for (let column = 0; column < raw.classCount; column += 1) {
        key += `,${blocks[raw.table[state * raw.classCount + column]!]}`;
      }
      let number = numbers.get(key);
      if (number === undefined) {
        number = numbers.size;
        numbers.set(key, number);
      }
      refined[state] = number;
    }
    blocks = refined;
    if (numbers.size === blockCount) return blocks;
    blockCount = numbers.size;
  }
}
