// What decoding a field block can come to.

import { REASON_NONE } from "../../abi/engine-codes.ts";

/** The head is whole and sound. */
export const DECODED_OK: i32 = 0;
/** The message is malformed (RFC 9113 §8.1.1): a stream error. */
export const DECODED_MALFORMED: i32 = 1;
/** It exceeds our limits, or expects what nobody meets: `refusal` is the reason. */
export const DECODED_REFUSED: i32 = 2;
/** HPACK is out of step: a connection error. */
export const DECODED_BROKEN: i32 = 3;
/** So far beyond the limits that reading on is the attack (reliability.md §1.2, A5 and A6). */
export const DECODED_BOMB: i32 = 4;

/** With DECODED_REFUSED: REASON_*. */
export let refusal: u32 = REASON_NONE;
/** With DECODED_BROKEN: HPACK_*. */
export let brokenBy: i32 = 0;

export function broken(by: i32): i32 {
  brokenBy = by;
  return DECODED_BROKEN;
}

export function refuse(reason: u32): i32 {
  refusal = reason;
  return DECODED_REFUSED;
}
