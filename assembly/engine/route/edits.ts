// Header fields that a rule adds, sets and removes.
//
// Texts of the program are pointed at, not copied: a scratch head lives shorter than a snapshot, and what lives longer
// is copied by `persistHead`. A response comes when the snapshot may long be another, so an exchange keeps its rule's
// response edits in a block of the pool (`keepEdits`); few rules have any.
//
//   kept block: count u32 │ length u32 │ edits, 20 bytes each (offsets from the block) │ texts
//
// Fields that the codecs own (Host, Content-Length, hop-by-hop ones) are not in a head, so edits cannot reach them.

import { NAME_OTHER } from "../../abi/field-names.ts";
import {
  EDIT_ADD,
  EDIT_BYTES,
  EDIT_KIND,
  EDIT_NAME,
  EDIT_NAME_BYTES,
  EDIT_NAME_ID,
  EDIT_REMOVE,
  EDIT_VALUE,
  EDIT_VALUE_BYTES,
  RULE_RESPONSE_EDIT_COUNT,
  RULE_RESPONSE_EDITS,
} from "../../abi/route-program.ts";
import { equalBytes } from "../../core/bytes.ts";
import { allocate, release } from "../../core/pool.ts";
import {
  addField,
  FIELD_BYTES,
  FIELD_FLAGS,
  FIELD_NAME,
  FIELD_NAME_BYTES,
  FIELD_NAME_ID,
  FIELD_REMOVED,
  fieldAt,
  fieldsEnd,
} from "../http/head.ts";
import { program } from "./program.ts";

const KEPT_HEADER_BYTES: u32 = 8;

/** Carries out `count` edits at `edits`, whose texts are offsets from `base`; false when the head has no room. */
export function applyEdits(head: u32, base: u32, edits: u32, count: u32): bool {
  for (let index: u32 = 0; index < count; index += 1) {
    const edit = edits + index * EDIT_BYTES;
    const kind = u32(load<u16>(edit, EDIT_KIND));
    const name = base + load<u32>(edit, EDIT_NAME);
    const nameBytes = load<u32>(edit, EDIT_NAME_BYTES);
    const id = u32(load<u16>(edit, EDIT_NAME_ID));
    if (kind != <u32>EDIT_ADD) removeNamed(head, id, name, nameBytes);
    if (kind == <u32>EDIT_REMOVE) continue;
    const value = base + load<u32>(edit, EDIT_VALUE);
    if (!addField(head, id, name, nameBytes, value, load<u32>(edit, EDIT_VALUE_BYTES))) return false;
  }
  return true;
}

/** Keeps a rule's response edits for as long as an exchange lives; 0 when there are none, or no memory for them. */
export function keepEdits(rule: u32): u32 {
  const count = load<u32>(rule, RULE_RESPONSE_EDIT_COUNT);
  if (count == 0) return 0;
  const edits = program + load<u32>(rule, RULE_RESPONSE_EDITS);
  const textAt = KEPT_HEADER_BYTES + count * EDIT_BYTES;
  let length = textAt;
  for (let edit = edits; edit < edits + count * EDIT_BYTES; edit += EDIT_BYTES) {
    length += load<u32>(edit, EDIT_NAME_BYTES) + load<u32>(edit, EDIT_VALUE_BYTES);
  }
  const block = allocate(length);
  if (block == 0) return 0;
  store<u32>(block, count);
  store<u32>(block, length, 4);
  memory.copy(block + KEPT_HEADER_BYTES, edits, count * EDIT_BYTES);
  let at = textAt;
  for (let edit = block + KEPT_HEADER_BYTES; edit < block + textAt; edit += EDIT_BYTES) {
    at = moveText(block, edit + EDIT_NAME, at);
    at = moveText(block, edit + EDIT_VALUE, at);
  }
  return block;
}

/** Fields that kept edits may add; 0 = none are kept. */
export function editCount(kept: u32): u32 {
  return kept == 0 ? 0 : load<u32>(kept);
}

/**
 * Carries out kept response edits on a head: a scratch one, or a persisted one with room for `editCount` fields more.
 * 0 = none. False when the head has no room.
 */
export function editResponse(head: u32, kept: u32): bool {
  return kept == 0 || applyEdits(head, kept, kept + KEPT_HEADER_BYTES, load<u32>(kept));
}

/** Gives back what `keepEdits` returned; 0 is allowed. */
export function releaseEdits(kept: u32): void {
  if (kept != 0) release(kept);
}

function removeNamed(head: u32, id: u32, name: u32, nameBytes: u32): void {
  const end = fieldsEnd(head);
  for (let field = fieldAt(head, 0); field < end; field += FIELD_BYTES) {
    if (u32(load<u16>(field, FIELD_NAME_ID)) != id) continue;
    if (id == <u32>NAME_OTHER) {
      if (u32(load<u16>(field, FIELD_NAME_BYTES)) != nameBytes) continue;
      if (!equalBytes(load<u32>(field, FIELD_NAME), name, nameBytes)) continue;
    }
    store<u8>(field, load<u8>(field, FIELD_FLAGS) | u8(FIELD_REMOVED), FIELD_FLAGS);
  }
}

/** Copies a text of the program behind the block's others and points `at` (offset, length) to it. */
function moveText(block: u32, at: u32, to: u32): u32 {
  const length = load<u32>(at, 4);
  memory.copy(block + to, program + load<u32>(at), length);
  store<u32>(at, to);
  return to + length;
}
