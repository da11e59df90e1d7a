// The whole engine, debug build, as test/support/world.ts drives it: every export of the product, and what it counts.

import { POOL_PAGE_BYTES } from "../abi/engine-memory.ts";
import { CONNECTIONS_MAX, EXCHANGES_MAX, STREAMS_MAX } from "../abi/limits.ts";
import { allocate, release } from "../core/pool.ts";
import {
  accept,
  advance,
  closed,
  connected,
  connectionCount,
  deadline,
  drain,
  drainDownstream,
  ended,
  exchangeCount,
  glitchCount,
  limitPool,
  loadSnapshot,
  logDropped,
  more,
  poll,
  poolSize,
  poolUsed,
  receive,
  setAccessLog,
  shed,
  shedCount,
  snapshotArea,
  start,
  written,
} from "../engine/index.ts";
import { createExchange } from "../engine/proxy/exchange.ts";
import {
  CONNECTION_CLOSED,
  connectionCount as connectionsInUse,
  createConnection,
  setFlag,
} from "../engine/tables/connections.ts";
import { createStream, streamCount } from "../engine/tables/streams.ts";

// Scarcity: the tables and the pool with next to nothing left, as under a flood.

let hoarded: u32 = 0; // chain of hoarded pages

/** Takes records until so many of each table are left, for good; how many connections were taken. */
export function hoardTables(connectionsLeft: u32, streamsLeft: u32, exchangesLeft: u32): u32 {
  const before = connectionsInUse();
  const owner = createConnection();
  setFlag(owner, CONNECTION_CLOSED);
  while (streamCount() + streamsLeft < <u32>STREAMS_MAX) createStream(owner, 0);
  while (exchangeCount() + exchangesLeft < <u32>EXCHANGES_MAX) createExchange();
  while (connectionsInUse() + connectionsLeft < <u32>CONNECTIONS_MAX) setFlag(createConnection(), CONNECTION_CLOSED);
  return connectionsInUse() - before;
}

/** Takes whole pages of the pool until at most so many are left. */
export function hoardPool(pagesLeft: u32): void {
  let page = allocate(POOL_PAGE_BYTES);
  while (page != 0) {
    store<u32>(page, hoarded);
    hoarded = page;
    page = allocate(POOL_PAGE_BYTES);
  }
  for (let index: u32 = 0; index < pagesLeft && hoarded != 0; index += 1) dropPage();
}

/** Gives all of them back. */
export function unhoardPool(): void {
  while (hoarded != 0) dropPage();
}

function dropPage(): void {
  const page = hoarded;
  hoarded = load<u32>(page);
  release(page);
}

export {
  accept,
  advance,
  closed,
  connected,
  connectionCount,
  deadline,
  drain,
  drainDownstream,
  ended,
  exchangeCount,
  glitchCount,
  limitPool,
  loadSnapshot,
  logDropped,
  more,
  poll,
  poolSize,
  poolUsed,
  receive,
  setAccessLog,
  shed,
  shedCount,
  snapshotArea,
  start,
  streamCount,
  written,
};
