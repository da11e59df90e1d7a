// Which rules of a virtual host may match a path: those of the path itself and those of its prefixes, by hashing.
//
// A prefix ends where a segment ends: `/users` is one of `/users`, `/users/7` and `/users/`, not of `/usersx`. One pass
// over the path hashes it and stops at every slash where the virtual host has paths so deep. Each list found is in the
// order of the documents, and the lowest rule number over all lists that passes its other conditions is the answer: a
// list is left as soon as it reaches what was found before.

import { NONE } from "../../abi/engine-codes.ts";
import {
  PATH_EXACT,
  PATH_EXACT_COUNT,
  PATH_PREFIX,
  PATH_PREFIX_COUNT,
  PATH_TEXT,
  PATH_VHOST,
  PROGRAM_HASH_PRIME,
  PROGRAM_HASH_SEED,
  PROGRAM_PATHS_AT,
  PROGRAM_RULES_AT,
  PROGRAM_VHOSTS_AT,
  RULE_BYTES,
  VHOST_BYTES,
  VHOST_DEPTHS,
  VHOST_PATH_BYTES_MAX,
  VHOST_ROOT,
  VHOST_ROOT_COUNT,
} from "../../abi/route-program.ts";
import { mixHash } from "../../core/hash.ts";
import { program } from "./program.ts";
import { isRuleMatch } from "./rules.ts";
import { isText, probe, probeStep } from "./tables.ts";

const SLASH: u32 = 47;

/** The first rule of a virtual host that matches, or NONE. `length` is the path's without its query. */
export function findRule(vhost: u32, head: u32, ptr: u32, length: u32): u32 {
  const record = program + load<u32>(program, PROGRAM_VHOSTS_AT) + vhost * VHOST_BYTES;
  let best: u32 = NONE;
  const depths = load<u32>(record, VHOST_DEPTHS);
  const longest = load<u32>(record, VHOST_PATH_BYTES_MAX);
  if (depths != 0) {
    let hash = (<u32>PROGRAM_HASH_SEED ^ vhost) * PROGRAM_HASH_PRIME;
    let depth: u32 = 0; // slashes so far
    const walked = min(length, longest);
    for (let at: u32 = 0; at < walked; at += 1) {
      const byte = u32(load<u8>(ptr + at));
      if (byte == SLASH) {
        if (at != 0 && (depths & bitOf(depth)) != 0) best = searchPath(vhost, head, ptr, length, at, hash, best);
        depth += 1;
      }
      hash = (hash ^ byte) * PROGRAM_HASH_PRIME;
    }
    // The whole path, or its longest part that a path of the table can equal.
    const isBoundary = walked == length || load<u8>(ptr + walked) == SLASH;
    if (isBoundary && (depths & bitOf(depth)) != 0) best = searchPath(vhost, head, ptr, length, walked, hash, best);
  }
  return searchList(load<u32>(record, VHOST_ROOT), load<u32>(record, VHOST_ROOT_COUNT), head, best);
}

/** The first `prefix` bytes of the path, as a prefix, and if that is all of it, as an exact path. */
function searchPath(vhost: u32, head: u32, ptr: u32, length: u32, prefix: u32, hash: u32, best: u32): u32 {
  const mixed = mixHash(hash);
  let entry = probe(PROGRAM_PATHS_AT, mixed, 0);
  while (entry != 0 && (load<u32>(entry, PATH_VHOST) != vhost || !isText(entry + PATH_TEXT, ptr, prefix))) {
    entry = probe(PROGRAM_PATHS_AT, mixed, probeStep);
  }
  if (entry == 0) return best;
  let found = best;
  if (prefix == length) {
    found = searchList(load<u32>(entry, PATH_EXACT), load<u32>(entry, PATH_EXACT_COUNT), head, found);
  }
  return searchList(load<u32>(entry, PATH_PREFIX), load<u32>(entry, PATH_PREFIX_COUNT), head, found);
}

/** The first rule of a list, below `best`, that passes; else `best`. */
function searchList(list: u32, count: u32, head: u32, best: u32): u32 {
  const rules = program + load<u32>(program, PROGRAM_RULES_AT);
  const end = program + list + 4 * count;
  for (let at = program + list; at < end; at += 4) {
    const number = load<u32>(at);
    if (number >= best) return best;
    if (isRuleMatch(rules + number * RULE_BYTES, head)) return number;
  }
  return best;
}

function bitOf(depth: u32): u32 {
  return 1 << min(depth, <u32>31);
}
