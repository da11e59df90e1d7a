// The engine's one memory budget: blocks of powers of two, carved from pages of 128 KiB.
//
// A page serves one class at a time. Its free blocks are linked through themselves; a page whose blocks are all free
// goes back to the other classes, so a burst of one kind does not starve the next. Allocation and release are O(1).
//
//   page table entry (16 bytes)             classes
//   ┌──────┬──────┬────────┬──────┬──────┐   8: 256 B   9: 512 B … 14: 16 KiB (chunks) … 17: 128 KiB (a page)
//   │ free │ used │ carved │ prev │ next │
//   └──────┴──────┴────────┴──────┴──────┘
//
// Rule 1: a block is released once; the debug build fills it so that a late reader shows.
// Rule 2: pages are taken lowest first, so that memory once touched is used again before new memory is.

import { POOL_END, POOL_FIRST, POOL_PAGE_BYTES, POOL_TABLE, POOL_TABLE_BYTES } from "../abi/engine-memory.ts";

const CLASS_MIN: u32 = 8;
const CLASS_MAX: u32 = 17;
const PAGE_SHIFT: u32 = 17;
const ENTRY_BYTES: u32 = 24;
const FREE: u32 = 0; // first free block, 0 = none
const USED: u32 = 4; // blocks handed out
const CARVED: u32 = 8; // bytes of the page that were ever handed out
const PREVIOUS: u32 = 12; // list of pages of this class with room, as page number + 1
const NEXT: u32 = 16;
const CLASS: u32 = 20; // 0 = free page

// Per-instance state: this module's memory is private to one worker.
let pagesBase: u32 = 0;
let pageCount: u32 = 0;
let pagesUsed: u32 = 0;
let firstFreePage: u32 = 0; // no free page has a lower number
let bytesUsed: u32 = 0;
let partialHeads: u32 = 0; // heads of the lists of pages with room are kept in memory behind the table: see partialOf

/** Lays out the pool; called once, before anything else. */
export function createPool(): void {
  pagesBase = (POOL_FIRST + POOL_PAGE_BYTES - 1) & ~(POOL_PAGE_BYTES - 1);
  pageCount = (POOL_END - pagesBase) >> PAGE_SHIFT;
  assert(pageCount * ENTRY_BYTES + 4 * (CLASS_MAX + 1) <= <u32>POOL_TABLE_BYTES);
  memory.fill(POOL_TABLE, 0, pageCount * ENTRY_BYTES + 4 * (CLASS_MAX + 1));
  partialHeads = POOL_TABLE + pageCount * ENTRY_BYTES;
  firstFreePage = 0;
  pagesUsed = 0;
  bytesUsed = 0;
}

/** Leaves the pool at most `bytes`, of which it has handed out none beyond; called once, before traffic. */
export function limitPool(bytes: u32): void {
  const pages = max<u32>(bytes >> PAGE_SHIFT, pagesUsed + 1);
  if (pages < pageCount) pageCount = pages;
}

/** Returns a block of at least `bytes`, at most 128 KiB; 0 when the pool is exhausted. */
export function allocate(bytes: u32): u32 {
  const index = classOf(bytes);
  let page = load<u32>(partialHeads + index * 4);
  if (page == 0) {
    page = takePage(index);
    if (page == 0) return 0;
  }
  const entry = entryOf(page);
  const blockBytes: u32 = 1 << index;
  let block = load<u32>(entry, FREE);
  if (block != 0) {
    store<u32>(entry, load<u32>(block), FREE);
  } else {
    const carved = load<u32>(entry, CARVED);
    block = pagesBase + ((page - 1) << PAGE_SHIFT) + carved;
    store<u32>(entry, carved + blockBytes, CARVED);
  }
  store<u32>(entry, load<u32>(entry, USED) + 1, USED);
  bytesUsed += blockBytes;
  if (load<u32>(entry, FREE) == 0 && load<u32>(entry, CARVED) == POOL_PAGE_BYTES) unlinkPage(page, index);
  return block;
}

/** Gives a block back. */
export function release(block: u32): void {
  assert(block >= pagesBase);
  const page = ((block - pagesBase) >> PAGE_SHIFT) + 1;
  const entry = entryOf(page);
  const index = load<u32>(entry, CLASS);
  const used = load<u32>(entry, USED);
  assert(index != 0 && used > 0); // else released twice
  bytesUsed -= 1 << index;
  if (ASC_OPTIMIZE_LEVEL == 0) memory.fill(block, 0xdb, 1 << index);
  const wasFull = load<u32>(entry, FREE) == 0 && load<u32>(entry, CARVED) == POOL_PAGE_BYTES;
  store<u32>(block, load<u32>(entry, FREE));
  store<u32>(entry, block, FREE);
  store<u32>(entry, used - 1, USED);
  if (wasFull) linkPage(page, index);
  if (used == 1) givePage(page, index);
}

/** How many bytes the block at `block` holds. */
export function capacityOf(block: u32): u32 {
  const page = ((block - pagesBase) >> PAGE_SHIFT) + 1;
  return 1 << load<u32>(entryOf(page), CLASS);
}

/** Bytes handed out now. */
export function poolUsedBytes(): u32 {
  return bytesUsed;
}

/** Bytes that the pool can hand out in all. */
export function poolBytes(): u32 {
  return pageCount << PAGE_SHIFT;
}

/** Whole pages in use, in 1/256 of all: what the thresholds of DESIGN §2 rule 2 look at. */
export function poolPressure(): u32 {
  return (pagesUsed << 8) / pageCount;
}

function classOf(bytes: u32): u32 {
  assert(bytes <= <u32>POOL_PAGE_BYTES);
  if (bytes <= 1 << CLASS_MIN) return CLASS_MIN;
  return 32 - clz<u32>(bytes - 1);
}

function entryOf(page: u32): u32 {
  return POOL_TABLE + (page - 1) * ENTRY_BYTES;
}

function takePage(index: u32): u32 {
  for (let page = firstFreePage; page < pageCount; page += 1) {
    const entry = entryOf(page + 1);
    if (load<u32>(entry, CLASS) != 0) continue;
    firstFreePage = page + 1;
    pagesUsed += 1;
    store<u32>(entry, 0, FREE);
    store<u32>(entry, 0, USED);
    store<u32>(entry, 0, CARVED);
    store<u32>(entry, index, CLASS);
    linkPage(page + 1, index);
    return page + 1;
  }
  return 0;
}

function givePage(page: u32, index: u32): void {
  // One page of a class stays, so that a single block coming and going does not take and give pages.
  const head = partialHeads + index * 4;
  if (load<u32>(head) == page && load<u32>(entryOf(page), NEXT) == 0 && index != CLASS_MAX) return;
  unlinkPage(page, index);
  store<u32>(entryOf(page), 0, CLASS);
  pagesUsed -= 1;
  if (page - 1 < firstFreePage) firstFreePage = page - 1;
}

function linkPage(page: u32, index: u32): void {
  const head = partialHeads + index * 4;
  const next = load<u32>(head);
  const entry = entryOf(page);
  store<u32>(entry, 0, PREVIOUS);
  store<u32>(entry, next, NEXT);
  if (next != 0) store<u32>(entryOf(next), page, PREVIOUS);
  store<u32>(head, page);
}

function unlinkPage(page: u32, index: u32): void {
  const entry = entryOf(page);
  const previous = load<u32>(entry, PREVIOUS);
  const next = load<u32>(entry, NEXT);
  if (previous != 0) store<u32>(entryOf(previous), next, NEXT);
  else store<u32>(partialHeads + index * 4, next);
  if (next != 0) store<u32>(entryOf(next), previous, PREVIOUS);
}
