// Heads and trailers that come in pieces: kept in one block of the pool that grows as they do.
//
// Reading the whole block again at every byte would be quadratic, so it is read again only when it can matter: when the
// empty line is there, when a byte came that cannot be right, when the first line is complete (its refusals need not
// wait), and when the block has to grow, which happens log n times.

import { capacityOf } from "../../core/pool.ts";
import { inputEnd, inputPtr, setInputPtr } from "../http/event.ts";
import { valueEnd } from "../http/syntax.ts";
import { C_PARTIAL, C_PARTIAL_BYTES } from "../tables/connections.ts";
import { growPartial, H_SCANNED, H1_LINE_SEEN, H1_PARTIAL_SPENT, hasH1, setH1 } from "./state.ts";

/** All input was kept; more is needed. */
export const GATHER_MORE: i32 = 0;
/** Read the block: it may be complete, or wrong. */
export const GATHER_TRY: i32 = 1;
/** `bytesMax` bytes without an end. */
export const GATHER_FULL: i32 = 2;
/** The pool is exhausted. */
export const GATHER_EXHAUSTED: i32 = 3;

/** Bytes copied before they are looked at: what lies behind the empty line is copied in vain. */
const PIECE_BYTES: u32 = 2048;

/** Moves input into C_PARTIAL until there is a reason to read it. */
export function gather(connection: u32, bytesMax: u32): i32 {
  let kept = load<u32>(connection, C_PARTIAL_BYTES);
  // What was copied before the last reason to read may hold another.
  if (scan(connection, load<u32>(connection, C_PARTIAL), kept)) return GATHER_TRY;
  while (kept != bytesMax && inputPtr != inputEnd) {
    const from = inputPtr;
    const block = load<u32>(connection, C_PARTIAL);
    const room = capacityOf(block) - kept;
    if (room == 0) {
      if (!growPartial(connection)) return GATHER_EXHAUSTED;
      return GATHER_TRY;
    }
    const piece = min(min(room, bytesMax - kept), min(inputEnd - from, PIECE_BYTES));
    memory.copy(block + kept, from, piece);
    setInputPtr(from + piece);
    kept += piece;
    store<u32>(connection, kept, C_PARTIAL_BYTES);
    if (scan(connection, block, kept)) return GATHER_TRY;
  }
  return kept == bytesMax ? GATHER_FULL : GATHER_MORE;
}

/**
 * The block was read up to `end`: bytes behind it, all of them of this input, are given back. What was read holds until
 * the next receive.
 */
export function finishGather(connection: u32, end: u32): void {
  const block = load<u32>(connection, C_PARTIAL);
  setInputPtr(inputPtr - (block + load<u32>(connection, C_PARTIAL_BYTES) - end));
  setH1(connection, H1_PARTIAL_SPENT);
}

/** Looks at bytes not yet looked at; true when the block is to be read. */
function scan(connection: u32, block: u32, bytes: u32): bool {
  const end = block + bytes;
  let at = block + load<u32>(connection, H_SCANNED);
  at = valueEnd(at, end);
  while (at != end && !(at + 1 == end && load<u8>(at) == 13)) {
    if (load<u8>(at) != 13 || load<u8>(at, 1) != 10) {
      store<u32>(connection, at + 1 - block, H_SCANNED);
      return true;
    }
    const isEmptyLine = at == block || load<u8>(at - 1) == 10;
    at += 2;
    if (isEmptyLine || !hasH1(connection, H1_LINE_SEEN)) {
      setH1(connection, H1_LINE_SEEN);
      store<u32>(connection, at - block, H_SCANNED);
      return true;
    }
    at = valueEnd(at, end);
  }
  store<u32>(connection, at - block, H_SCANNED);
  return false;
}
