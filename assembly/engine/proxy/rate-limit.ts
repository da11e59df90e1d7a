// Rate limits: which bucket a request takes its token from. The buckets are the balancer's (balancer/rates.ts).
//
// A limit has a seed of its own; with what it counts by, the caller's address or the value of a field, it makes the
// key. Requests without that field share one bucket. A request that is refused has taken nothing else: no place among
// the service's requests, no instance.

import {
  POLICY_RATE,
  RATE_BY,
  RATE_BY_HEADER,
  RATE_BY_SOURCE,
  RATE_INTERVAL,
  RATE_NAME,
  RATE_NAME_BYTES,
  RATE_NAME_ID,
  RATE_SEED,
  RATE_TOLERANCE,
} from "../../abi/policy.ts";
import { hashBytes, mixHash } from "../../core/hash.ts";
import { takeToken } from "../balancer.ts";
import { FIELD_VALUE, FIELD_VALUE_BYTES } from "../http/head.ts";
import { findNamed, program } from "../route/index.ts";

/** A second seed for the upper half of a key. */
const UPPER: u32 = 0x1e3779b9;

/** Takes a token by the policy record of the snapshot in force: 0, or the milliseconds until there is one. */
export function takeRateToken(head: u32, policy: u32, peer: u32, peerBytes: u32): u32 {
  const offset = load<u32>(policy, POLICY_RATE);
  if (offset == 0) return 0;
  const limit = program + offset;
  let text: u32 = 0;
  let bytes: u32 = 0;
  const by = u32(load<u8>(limit, RATE_BY));
  if (by == <u32>RATE_BY_SOURCE) {
    text = peer;
    bytes = peerBytes;
  } else if (by == <u32>RATE_BY_HEADER) {
    const field = findNamed(
      head,
      u32(load<u16>(limit, RATE_NAME_ID)),
      program + load<u32>(limit, RATE_NAME),
      load<u32>(limit, RATE_NAME_BYTES),
    );
    if (field != 0) {
      text = load<u32>(field, FIELD_VALUE);
      bytes = u32(load<u16>(field, FIELD_VALUE_BYTES));
    }
  }
  const seed = load<u32>(limit, RATE_SEED);
  const lower = hashBytes(text, bytes, seed);
  const upper = hashBytes(text, bytes, mixHash(seed ^ UPPER));
  const key = (u64(upper) << 32) | u64(lower);
  return takeToken(key == 0 ? 1 : key, load<u64>(limit, RATE_INTERVAL), load<u64>(limit, RATE_TOLERANCE));
}
