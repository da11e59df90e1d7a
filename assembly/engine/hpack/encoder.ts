// Encodes field blocks (RFC 7541 §6). Interface first; the body follows.

/** The peer's SETTINGS_HEADER_TABLE_SIZE. */
export function setEncoderLimit(table: u32, bytes: u32): void {
  unreachable();
}

/** Whether literals are Huffman-coded where that is shorter; off at first. */
export function setHuffman(table: u32, on: bool): void {
  unreachable();
}

/** To be called first for every block: writes the table size updates that are due. Returns the new `out`. */
export function encodeSizeUpdates(table: u32, out: u32): u32 {
  unreachable();
  return out;
}

/**
 * Writes one field at `out`, returns the new `out`. At most nameLen + valueLen + 12 bytes, and up to 16 behind them may
 * be overwritten. `nameId` NAME_OTHER: the name is [namePtr, nameLen), in lower case; else those two are not looked at.
 * `flags`: FIELD_NEVER_INDEXED counts.
 */
export function encodeField(
  table: u32,
  out: u32,
  nameId: u32,
  namePtr: u32,
  nameLen: u32,
  valuePtr: u32,
  valueLen: u32,
  flags: u32,
): u32 {
  unreachable();
  return out;
}

/** Writes `:status`. */
export function encodeStatus(table: u32, out: u32, status: u32): u32 {
  unreachable();
  return out;
}
