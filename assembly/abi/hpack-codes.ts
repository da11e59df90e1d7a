// Small integers of HPACK (RFC 7541): results of `nextField`, static indices, sizes.
//
// Rule: read by asc and by Node: integer constants only.

// Results of `nextField`.
/** The block is over, and the decoder in step with its peer. */
export const HPACK_END = 0;
/** A field: fieldNameId, fieldNamePtr, … say which. */
export const HPACK_FIELD = 1;
/** A field whose text found no room any more: only its lengths and name id are known. The caller drops this head. */
export const HPACK_FIELD_LOST = 2;
// Errors; each is COMPRESSION_ERROR of the connection (RFC 9113 §4.3), and nothing more may be decoded.
/** The block ends within a field. */
export const HPACK_TRUNCATED = -1;
/** An integer of more than five octets (RFC 7541 §5.1: limits are the implementation's). */
export const HPACK_BAD_INTEGER = -2;
/** Padding of more than 7 bits, padding that is not all ones, or EOS (§5.2). */
export const HPACK_BAD_HUFFMAN = -3;
/** Index 0, or beyond both tables (§2.3.3, §6.1). */
export const HPACK_BAD_INDEX = -4;
/** A table size above our limit, not at the start of a block, a third one, or one that is due and missing (§4.2). */
export const HPACK_BAD_SIZE_UPDATE = -5;
/** The pool is exhausted: not the peer's fault, but the tables are out of step all the same. */
export const HPACK_NO_MEMORY = -6;

/** What each entry counts besides its name and value (§4.1). */
export const HPACK_ENTRY_OVERHEAD_BYTES = 32;
/** Entries of the static table (Appendix A). */
export const HPACK_STATIC_ENTRIES = 61;
/** Size of both tables before anybody says otherwise (RFC 9113 §6.5.2). */
export const HPACK_TABLE_BYTES_DEFAULT = 4096;
/** Largest limit that a decoder may be given: its text must fit one block of the pool. */
export const HPACK_DECODER_BYTES_MAX = 65536;
