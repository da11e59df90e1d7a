// Lists ranges at one revision, page by page.
//
// The first page decides the revision; every further page and range is read at that same one, so the whole is one
// consistent picture however long it takes. A store that is compacted meanwhile refuses, and the caller begins anew.

import type { IKeyValue, IRangeRequest, IRangeResponse } from "etcd3";
import type { EtcdClient } from "./client.ts";
import { RANGE } from "./rpc.ts";

/** Keys from `start` up to, and without, `end`. */
export interface KeyRange {
  readonly start: Buffer;
  readonly end: Buffer;
}

export interface Listing {
  readonly revision: number;
  readonly pairs: readonly IKeyValue[];
}

/** A response stays in the tens of kilobytes for documents as people write them. */
const PAGE_KEYS = 1000;

/** Lists `ranges`, at `revision` or, without one, at the newest. */
export async function listRanges(
  client: EtcdClient,
  ranges: readonly KeyRange[],
  revision: number | undefined,
): Promise<Listing> {
  const pairs: IKeyValue[] = [];
  let pinned = revision;
  for (const { start, end } of ranges) {
    let from: Buffer | undefined = start;
    while (from !== undefined) {
      const request: IRangeRequest = {
        key: from,
        range_end: end,
        limit: PAGE_KEYS,
        ...(pinned === undefined ? {} : { revision: pinned }),
      };
      const page: IRangeResponse = await client.call(RANGE, request);
      pinned ??= Number(page.header.revision);
      pairs.push(...page.kvs);
      const last: IKeyValue | undefined = page.kvs.at(-1);
      // The next key after a key is the key with a zero byte behind it.
      from = page.more && last !== undefined ? Buffer.concat([last.key, Buffer.of(0)]) : undefined;
    }
  }
  return { revision: pinned ?? 0, pairs };
}

/** All keys that begin with `prefix`. */
export function prefixRange(prefix: string): KeyRange {
  const start = Buffer.from(prefix);
  const end = Buffer.from(start);
  // Prefixes end in "/", so raising the last byte cannot overflow.
  end[end.length - 1] = end.at(-1)! + 1;
  return { start, end };
}
