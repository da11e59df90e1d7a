// The static table (RFC 7541 Appendix A). Every name in it has a NAME_*, so a row is a name id and a value.

import { HPACK_STATIC_ENTRIES } from "../../abi/hpack-codes.ts";
import { equalBytes } from "../../core/bytes.ts";
import { staticIndexOf } from "../http/names.ts";
import { STATIC_ROWS, STATIC_VALUES } from "./static-data.ts";

// All of these take an index from 1 to 61.

export function staticNameId(index: u32): u32 {
  return load<u16>(STATIC_ROWS + index * 8);
}

export function staticValuePtr(index: u32): u32 {
  return <u32>STATIC_VALUES + load<u16>(STATIC_ROWS + index * 8, 2);
}

export function staticValueLen(index: u32): u32 {
  return load<u16>(STATIC_ROWS + index * 8, 4);
}

/** The index with this name and value, 0 when there is none. */
export function findStatic(nameId: u32, valuePtr: u32, valueLen: u32): u32 {
  let index = staticIndexOf(nameId);
  if (index == 0) return 0;
  do {
    if (staticValueLen(index) == valueLen && equalBytes(staticValuePtr(index), valuePtr, valueLen)) return index;
    index += 1;
  } while (index <= <u32>HPACK_STATIC_ENTRIES && staticNameId(index) == nameId);
  return 0;
}
