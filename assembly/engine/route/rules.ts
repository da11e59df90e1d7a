// Whether a rule's other conditions hold: method, header fields, query parameters, and the pattern of its path.
//
// The path index (paths.ts) has already found that the rule's exact path or prefix fits. Conditions stand in the order
// in which the compiler put them, cheap ones first.
//
// A header condition holds when any field of that name fulfils it; ABSENT, when none is there. Query parameters are
// compared as they were sent, without percent-decoding: what the application decodes is the application's.

import { NAME_OTHER } from "../../abi/field-names.ts";
import {
  CONDITION_BYTES,
  CONDITION_IS_AUTHORITY,
  CONDITION_IS_HEADER,
  CONDITION_IS_PATH,
  CONDITION_IS_QUERY,
  CONDITION_KIND,
  CONDITION_NAME,
  CONDITION_NAME_BYTES,
  CONDITION_NAME_ID,
  CONDITION_TEST,
  CONDITION_VALUE,
  CONDITION_VALUE_BYTES,
  METHOD_BYTES,
  RULE_CONDITION_COUNT,
  RULE_CONDITIONS,
  RULE_METHOD_COUNT,
  RULE_METHOD_LIST,
  RULE_METHODS,
  TEST_ABSENT,
  TEST_EXACT,
  TEST_PREFIX,
  TEST_PRESENT,
  TEST_REGEX,
} from "../../abi/route-program.ts";
import { equalBytes } from "../../core/bytes.ts";
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
  HEAD_AUTHORITY,
  HEAD_AUTHORITY_BYTES,
  HEAD_METHOD,
  HEAD_METHOD_BYTES,
  HEAD_METHOD_ID,
  HEAD_PATH,
  HEAD_PATH_BYTES,
  METHOD_OTHER,
} from "../http/head.ts";
import { program } from "./program.ts";
import { matchAutomaton } from "./regex.ts";
import { isText } from "./tables.ts";

const QUESTION: u32 = 63;
const AMPERSAND: u32 = 38;
const EQUALS: u32 = 61;

// Registers: the path without its query, and the query, of the head that is being matched.
export let pathPtr: u32 = 0;
export let pathBytes: u32 = 0;
let queryPtr: u32 = 0;
let queryBytes: u32 = 0;

/** Splits a head's path into path and query. */
export function splitPath(head: u32): void {
  pathPtr = load<u32>(head, HEAD_PATH);
  const length = load<u32>(head, HEAD_PATH_BYTES);
  let at: u32 = 0;
  while (at < length && load<u8>(pathPtr + at) != QUESTION) at += 1;
  pathBytes = at;
  queryPtr = pathPtr + min(at + 1, length);
  queryBytes = at < length ? length - at - 1 : 0;
}

/** Whether everything but the path's place in the index holds. */
export function isRuleMatch(rule: u32, head: u32): bool {
  const methods = load<u32>(rule, RULE_METHODS);
  if (methods != 0) {
    const method = load<u32>(head, HEAD_METHOD_ID);
    if (((methods >> method) & 1) == 0) return false;
    if (method == METHOD_OTHER && !hasMethod(rule, head)) return false;
  }
  const count = load<u32>(rule, RULE_CONDITION_COUNT);
  let condition = program + load<u32>(rule, RULE_CONDITIONS);
  for (let index: u32 = 0; index < count; index += 1) {
    if (!isConditionMet(condition, head)) return false;
    condition += CONDITION_BYTES;
  }
  return true;
}

function hasMethod(rule: u32, head: u32): bool {
  const ptr = load<u32>(head, HEAD_METHOD);
  const length = load<u32>(head, HEAD_METHOD_BYTES);
  const count = load<u32>(rule, RULE_METHOD_COUNT);
  const list = program + load<u32>(rule, RULE_METHOD_LIST);
  for (let index: u32 = 0; index < count; index += 1) {
    if (isText(list + index * METHOD_BYTES, ptr, length)) return true;
  }
  return false;
}

function isConditionMet(condition: u32, head: u32): bool {
  switch (i32(load<u8>(condition, CONDITION_KIND))) {
    case CONDITION_IS_PATH: {
      // The index has found the segments that the pattern begins with.
      const skip = load<u32>(condition, CONDITION_NAME_BYTES);
      return isValueMatch(condition, pathPtr + skip, pathBytes - skip);
    }
    case CONDITION_IS_HEADER:
      return isHeaderMatch(condition, head);
    case CONDITION_IS_QUERY:
      return isQueryMatch(condition);
    case CONDITION_IS_AUTHORITY: {
      const length = load<u32>(head, HEAD_AUTHORITY_BYTES);
      if (load<u8>(condition, CONDITION_TEST) == TEST_ABSENT) return length == 0;
      return length != 0 && isValueMatch(condition, load<u32>(head, HEAD_AUTHORITY), length);
    }
    default:
      assert(false); // the compiler writes no other kind
      return false;
  }
}

function isHeaderMatch(condition: u32, head: u32): bool {
  const id = load<u16>(condition, CONDITION_NAME_ID);
  const isAbsent = load<u8>(condition, CONDITION_TEST) == TEST_ABSENT;
  const end = fieldsEnd(head);
  for (let field = fieldAt(head, 0); field < end; field += FIELD_BYTES) {
    if (load<u16>(field, FIELD_NAME_ID) != id || (load<u8>(field, FIELD_FLAGS) & FIELD_REMOVED) != 0) continue;
    if (
      id == NAME_OTHER &&
      !isText(condition + CONDITION_NAME, load<u32>(field, FIELD_NAME), load<u16>(field, FIELD_NAME_BYTES))
    )
      continue;
    if (isAbsent) return false;
    if (isValueMatch(condition, load<u32>(field, FIELD_VALUE), load<u16>(field, FIELD_VALUE_BYTES))) return true;
  }
  return isAbsent;
}

function isQueryMatch(condition: u32): bool {
  const isAbsent = load<u8>(condition, CONDITION_TEST) == TEST_ABSENT;
  const nameBytes = load<u32>(condition, CONDITION_NAME_BYTES);
  const name = program + load<u32>(condition, CONDITION_NAME);
  const end = queryPtr + queryBytes;
  let at = queryPtr;
  while (at < end) {
    let stop = at;
    let equals: u32 = 0;
    while (stop < end && load<u8>(stop) != AMPERSAND) {
      if (equals == 0 && load<u8>(stop) == EQUALS) equals = stop;
      stop += 1;
    }
    const nameEnd = equals == 0 ? stop : equals;
    // An empty piece ("a=1&&b=2") is no parameter.
    if (stop != at && nameEnd - at == nameBytes && equalBytes(at, name, nameBytes)) {
      if (isAbsent) return false;
      const value = equals == 0 ? stop : equals + 1;
      if (isValueMatch(condition, value, stop - value)) return true;
    }
    at = stop + 1;
  }
  return isAbsent;
}

function isValueMatch(condition: u32, ptr: u32, length: u32): bool {
  switch (i32(load<u8>(condition, CONDITION_TEST))) {
    case TEST_PRESENT:
      return true;
    case TEST_EXACT:
      return isText(condition + CONDITION_VALUE, ptr, length);
    case TEST_PREFIX: {
      const prefix = load<u32>(condition, CONDITION_VALUE_BYTES);
      return prefix <= length && equalBytes(program + load<u32>(condition, CONDITION_VALUE), ptr, prefix);
    }
    case TEST_REGEX:
      return matchAutomaton(program + load<u32>(condition, CONDITION_VALUE), ptr, length);
    default:
      assert(false); // ABSENT has no value; the compiler writes no other test
      return false;
  }
}
