// Decodes field blocks (RFC 7541 §3, §6). Interface first; the body follows.

// The field that nextField has just returned. Pointers hold until the next startBlock of any table.
export let fieldNameId: u32 = 0; // NAME_*
export let fieldNamePtr: u32 = 0;
export let fieldNameLen: u32 = 0;
export let fieldValuePtr: u32 = 0;
export let fieldValueLen: u32 = 0;
export let fieldFlags: u32 = 0; // 0 or FIELD_NEVER_INDEXED

/** Our SETTINGS_HEADER_TABLE_SIZE, once the peer has acknowledged it. */
export function setDecoderLimit(table: u32, bytes: u32): void {
  unreachable();
}

/** Where Huffman-coded text is written. Set before startBlock; `textPtr` is how far it was used. */
export function setTextArea(ptr: u32, end: u32): void {
  unreachable();
}

/** Begins a whole block of contiguous bytes. It must be decoded to its end, or the connection given up. */
export function startBlock(table: u32, ptr: u32, length: u32): void {
  unreachable();
}

/** HPACK_FIELD, HPACK_FIELD_LOST, HPACK_END or a negative error (abi/hpack-codes.ts). */
export function nextField(): i32 {
  unreachable();
  return 0;
}
