// What a consistent-hash policy hashes: a header field, a cookie, the caller's address, or the path.
//
// A request without the field or cookie has nothing to be consistent about: it goes anywhere, by the random number that
// its route was drawn with, so that such requests do not all meet on one instance.

import { NAME_COOKIE, NAME_OTHER } from "../../abi/field-names.ts";
import {
  HASH_COOKIE,
  HASH_HEADER,
  HASH_NONE,
  HASH_PATH,
  HASH_SOURCE_ADDRESS,
  POLICY_HASH_NAME,
  POLICY_HASH_NAME_BYTES,
  POLICY_HASH_NAME_ID,
  POLICY_HASH_SOURCE,
} from "../../abi/policy.ts";
import { equalBytes } from "../../core/bytes.ts";
import { hashBytes, mixHash } from "../../core/hash.ts";
import {
  FIELD_BYTES,
  FIELD_FLAGS,
  FIELD_NAME,
  FIELD_NAME_BYTES,
  FIELD_NAME_ID,
  FIELD_REMOVED,
  FIELD_VALUE,
  FIELD_VALUE_BYTES,
  fieldAt,
  fieldsEnd,
} from "../http/head.ts";
import { routeRandom } from "./match.ts";
import { program } from "./program.ts";
import { pathBytes, pathPtr, splitPath } from "./rules.ts";
import { isText } from "./tables.ts";

const SEMICOLON: u32 = 59;
const EQUALS: u32 = 61;
const SPACE: u32 = 32;

/** The hash to pick with, for a policy record of the snapshot in force; `peer` is the caller's address, no port. */
export function hashOf(head: u32, policy: u32, peer: u32, peerBytes: u32): u32 {
  switch (i32(load<u8>(policy, POLICY_HASH_SOURCE))) {
    case HASH_NONE:
      return mixHash(routeRandom);
    case HASH_HEADER:
      return hashHeader(head, policy);
    case HASH_COOKIE:
      return hashCookie(head, policy);
    case HASH_SOURCE_ADDRESS:
      return peerBytes == 0 ? mixHash(routeRandom) : hashBytes(peer, peerBytes, 0);
    case HASH_PATH:
      splitPath(head);
      return hashBytes(pathPtr, pathBytes, 0);
    default:
      assert(false); // the compiler writes no other source
      return 0;
  }
}

function hashHeader(head: u32, policy: u32): u32 {
  const id = u32(load<u16>(policy, POLICY_HASH_NAME_ID));
  const name = program + load<u32>(policy, POLICY_HASH_NAME);
  const field = findNamed(head, id, name, load<u32>(policy, POLICY_HASH_NAME_BYTES));
  if (field == 0) return mixHash(routeRandom);
  return hashBytes(load<u32>(field, FIELD_VALUE), load<u16>(field, FIELD_VALUE_BYTES), 0);
}

/** The first field of that name, known by number (`id`) or by its text; 0 when there is none. */
export function findNamed(head: u32, id: u32, name: u32, nameBytes: u32): u32 {
  const end = fieldsEnd(head);
  for (let field = fieldAt(head, 0); field < end; field += FIELD_BYTES) {
    if (u32(load<u16>(field, FIELD_NAME_ID)) != id || (load<u8>(field, FIELD_FLAGS) & FIELD_REMOVED) != 0) continue;
    if (id == <u32>NAME_OTHER) {
      if (u32(load<u16>(field, FIELD_NAME_BYTES)) != nameBytes) continue;
      if (!equalBytes(load<u32>(field, FIELD_NAME), name, nameBytes)) continue;
    }
    return field;
  }
  return 0;
}

/** The first cookie of that name, over all fields and crumbs: `a=1; name=value` (RFC 6265 §4.2.1). */
function hashCookie(head: u32, policy: u32): u32 {
  const end = fieldsEnd(head);
  for (let field = fieldAt(head, 0); field < end; field += FIELD_BYTES) {
    if (load<u16>(field, FIELD_NAME_ID) != NAME_COOKIE || (load<u8>(field, FIELD_FLAGS) & FIELD_REMOVED) != 0) continue;
    const ptr = load<u32>(field, FIELD_VALUE);
    const value = findCookie(ptr, ptr + load<u16>(field, FIELD_VALUE_BYTES), policy);
    if (value != 0) return hashBytes(value, cookieEnd - value, 0);
  }
  return mixHash(routeRandom);
}

// Result register of `findCookie`: where the value ends.
let cookieEnd: u32 = 0;

function findCookie(from: u32, end: u32, policy: u32): u32 {
  let at = from;
  while (at < end) {
    while (at < end && load<u8>(at) == SPACE) at += 1;
    let stop = at;
    let equals: u32 = 0;
    while (stop < end && load<u8>(stop) != SEMICOLON) {
      if (equals == 0 && load<u8>(stop) == EQUALS) equals = stop;
      stop += 1;
    }
    if (equals != 0 && isText(policy + POLICY_HASH_NAME, at, equals - at)) {
      cookieEnd = stop;
      return equals + 1;
    }
    at = stop + 1;
  }
  return 0;
}
