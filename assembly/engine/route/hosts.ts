// Whose host is it: a route's, exactly or by wildcard, a service's, or nobody's (DESIGN §3).
//
// One pass over the authority from its last byte to its first lowers the case, hashes, and meets every suffix that
// starts at a dot, shortest first. So the last wildcard found is the longest, and the final hash is the exact host's.
//
//   users.Example.:8080  ──►  users.example       exact: users.example    wildcard: .example

import { NONE } from "../../abi/engine-codes.ts";
import {
  HOST_BYTES_MAX,
  HOST_SERVICE,
  HOST_TEXT,
  HOST_VHOST,
  PROGRAM_CATCH_ALL_AT,
  PROGRAM_HASH_PRIME,
  PROGRAM_HASH_SEED,
  PROGRAM_HOSTS_AT,
  PROGRAM_WILDCARDS_AT,
} from "../../abi/route-program.ts";
import { lowerCase } from "../../core/bytes.ts";
import { mixHash } from "../../core/hash.ts";
import { program } from "./program.ts";
import { isText, probe, probeStep } from "./tables.ts";

const DOT: u32 = 46;
const COLON: u32 = 58;

/** Scratch: the host in lower case, written from the end. */
const text = <u32>memory.data(256);

// Result registers of `findHost`; one of them, or neither, is not NONE.
/** Virtual host of a route. */
export let hostVhost: u32 = NONE;
/** Service that the host names. */
export let hostService: u32 = NONE;

/** Looks up who claims an authority (host, perhaps with a port and a trailing dot). */
export function findHost(ptr: u32, length: u32): void {
  hostVhost = NONE;
  hostService = NONE;
  const hostBytes = hostBytesOf(ptr, length);
  if (hostBytes != 0 && hostBytes <= <u32>HOST_BYTES_MAX) searchHost(ptr, hostBytes);
  if (hostVhost == <u32>NONE && hostService == <u32>NONE) hostVhost = load<u32>(program, PROGRAM_CATCH_ALL_AT);
}

/** Whether a route or a service claims an authority. */
export function isClaimed(ptr: u32, length: u32): bool {
  findHost(ptr, length);
  return hostVhost != <u32>NONE || hostService != <u32>NONE;
}

function searchHost(ptr: u32, length: u32): void {
  let wildVhost: u32 = NONE;
  let wildService: u32 = NONE;
  let hash: u32 = PROGRAM_HASH_SEED;
  const end = text + HOST_BYTES_MAX;
  let at = end;
  for (let index = length; index > 0; index -= 1) {
    const byte = lowerCase(load<u8>(ptr + index - 1));
    at -= 1;
    store<u8>(at, u8(byte));
    hash = (hash ^ byte) * PROGRAM_HASH_PRIME;
    // A wildcard stands for at least one byte, so the dot at the very beginning starts none.
    if (byte != DOT || index == 1) continue;
    const entry = findEntry(PROGRAM_WILDCARDS_AT, mixHash(hash), at, end - at);
    if (entry == 0) continue;
    if (load<u32>(entry, HOST_VHOST) != <u32>NONE) wildVhost = load<u32>(entry, HOST_VHOST);
    if (load<u32>(entry, HOST_SERVICE) != <u32>NONE) wildService = load<u32>(entry, HOST_SERVICE);
  }
  const exact = findEntry(PROGRAM_HOSTS_AT, mixHash(hash), at, end - at);
  if (exact != 0 && load<u32>(exact, HOST_VHOST) != <u32>NONE) hostVhost = load<u32>(exact, HOST_VHOST);
  else if (wildVhost != <u32>NONE) hostVhost = wildVhost;
  else if (exact != 0 && load<u32>(exact, HOST_SERVICE) != <u32>NONE) hostService = load<u32>(exact, HOST_SERVICE);
  else hostService = wildService;
}

function findEntry(table: u32, hash: u32, ptr: u32, length: u32): u32 {
  let entry = probe(table, hash, 0);
  while (entry != 0 && !isText(entry + HOST_TEXT, ptr, length)) entry = probe(table, hash, probeStep);
  return entry;
}

/** Length of the host: without `:port` (but "[::1]" keeps its colons) and without one trailing dot. */
export function hostBytesOf(ptr: u32, length: u32): u32 {
  let end = length;
  for (let index = length; index > 0; index -= 1) {
    const byte = u32(load<u8>(ptr + index - 1));
    if (byte == COLON) {
      end = index - 1;
      break;
    }
    if (byte - 48 >= 10) break;
  }
  return end > 0 && load<u8>(ptr + end - 1) == DOT ? end - 1 : end;
}
