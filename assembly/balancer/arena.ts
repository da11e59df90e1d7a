// Where member blocks live: first fit over a list of free ranges, ordered by address, neighbours joined.
//
// The main thread alone takes and gives, so there is no lock. Joining keeps ten thousand republications of changing
// size from crumbling the arena; a walk over the free ranges is cheap beside compiling the block that asked.
// A free range describes itself: its first words are its size and the address of the next.

import { ARENA, ARENA_END, ARENA_FREE_OFFSET, ARENA_USED_OFFSET, CACHE_LINE_BYTES } from "../abi/balancer-table.ts";

const RANGE_SIZE: u32 = 0;
const RANGE_NEXT: u32 = 4;

/** Makes the whole arena one free range. */
export function createArena(): void {
  const first = roundUp(ARENA);
  store<u32>(first, (ARENA_END - first) & ~(CACHE_LINE_BYTES - 1), RANGE_SIZE);
  store<u32>(first, 0, RANGE_NEXT);
  store<u32>(ARENA_FREE_OFFSET, first);
  store<u32>(ARENA_USED_OFFSET, 0);
}

/** Bytes taken, retired blocks that wait for their epoch among them. */
export function arenaUsed(): u32 {
  return load<u32>(ARENA_USED_OFFSET);
}

/** Takes `bytes`, rounded up to cache lines; 0 when no range is long enough. */
export function acquireRange(bytes: u32): u32 {
  assert(bytes > 0); // nothing would be the first free range itself
  const wanted = roundUp(bytes);
  let link: u32 = ARENA_FREE_OFFSET;
  let range = load<u32>(link);
  while (range != 0) {
    const size = load<u32>(range, RANGE_SIZE);
    if (size >= wanted) {
      store<u32>(link, takeFront(range, size, wanted));
      store<u32>(ARENA_USED_OFFSET, load<u32>(ARENA_USED_OFFSET) + wanted);
      return range;
    }
    link = range + RANGE_NEXT;
    range = load<u32>(link);
  }
  return 0;
}

/** Gives back what `acquireRange(bytes)` returned. */
export function releaseRange(ptr: u32, bytes: u32): void {
  let size = roundUp(bytes);
  assert(bytes > 0);
  assert(ptr >= u32(ARENA) && ptr + size <= u32(ARENA_END));
  store<u32>(ARENA_USED_OFFSET, load<u32>(ARENA_USED_OFFSET) - size);

  let before: u32 = 0;
  let after = load<u32>(ARENA_FREE_OFFSET);
  while (after != 0 && after < ptr) {
    before = after;
    after = load<u32>(after, RANGE_NEXT);
  }
  assert(after == 0 || ptr + size <= after); // else: released twice

  if (after != 0 && ptr + size == after) {
    size += load<u32>(after, RANGE_SIZE);
    after = load<u32>(after, RANGE_NEXT);
  }
  if (before != 0 && before + load<u32>(before, RANGE_SIZE) == ptr) {
    store<u32>(before, load<u32>(before, RANGE_SIZE) + size, RANGE_SIZE);
    store<u32>(before, after, RANGE_NEXT);
    return;
  }
  store<u32>(ptr, size, RANGE_SIZE);
  store<u32>(ptr, after, RANGE_NEXT);
  store<u32>(before == 0 ? ARENA_FREE_OFFSET : before + RANGE_NEXT, ptr);
}

/** Cuts `wanted` bytes off a range and returns what its predecessor must now point to. */
function takeFront(range: u32, size: u32, wanted: u32): u32 {
  const next = load<u32>(range, RANGE_NEXT);
  if (size == wanted) return next;
  const rest = range + wanted;
  store<u32>(rest, size - wanted, RANGE_SIZE);
  store<u32>(rest, next, RANGE_NEXT);
  return rest;
}

function roundUp(bytes: u32): u32 {
  return (bytes + (CACHE_LINE_BYTES - 1)) & ~(CACHE_LINE_BYTES - 1);
}
