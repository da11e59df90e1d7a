// The two HPACK tables of a connection: where they lie in its record, and their life.
//
//   at           at + 48        at + 96
//   ├ decoder    ┼ encoder      ┤            memory for entries: core/pool, from the first insertion on

export const HPACK_TABLES_BYTES: u32 = 96;

/** Makes both tables empty, 4,096 bytes, Huffman off. `at` is zeroed memory or not; nothing is allocated. */
export function createTables(at: u32): void {
  unreachable();
}

/** Gives their memory back; harmless when called twice. */
export function destroyTables(at: u32): void {
  unreachable();
}

/** The table for startBlock and setDecoderLimit. */
export function decoderOf(at: u32): u32 {
  return at;
}

/** The table for encodeField and its like. */
export function encoderOf(at: u32): u32 {
  return at + 48;
}
