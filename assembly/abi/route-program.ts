// The route program: a compiled snapshot as the engine executes it. Written by src/snapshot, read by engine/route.
//
// One relocatable block: every offset counts from its first byte, 0 = absent. Nothing in it is a decision that could be
// made while compiling: matching hashes a host and a path once each, looks into tables, and compares.
//
//   ╒════════╤══════════════════════════════════════════════════════════════════════════════════════════════╕
//   │ header │ services, instances, listeners, hosts, wildcards, paths, virtual hosts, rules; between them,  │
//   │        │ where the header and the records point: buckets, lists, conditions, policies, edits, texts    │
//   └────────┴──────────────────────────────────────────────────────────────────────────────────────────────┘
//
// Rule 1: read by asc and by Node: integer constants only.
// Rule 2: multi-byte values are little-endian and lie on multiples of their size.
// Rule 3: the checksum is over everything behind it. A block whose checksum and header are right is trusted.

/** "PILN" in little-endian order. */
export const PROGRAM_MAGIC = 0x4e4c4950;
/** Grows with every change of this file that an older reader would misunderstand. */
export const PROGRAM_VERSION = 2;

// ── Header ───────────────────────────────────────────────────────────────────────────────────────
export const PROGRAM_MAGIC_AT = 0; // u32
export const PROGRAM_VERSION_AT = 4; // u32
export const PROGRAM_LENGTH_AT = 8; // u32 whole block, a multiple of 8
export const PROGRAM_CHECKSUM_AT = 12; // u32 over the words from PROGRAM_CHECKED_FROM to the end
export const PROGRAM_CHECKED_FROM = 16;
/** f64: etcd revisions have 63 bits, JavaScript's integers 53; both are plenty. */
export const PROGRAM_REVISION_AT = 16;
// Hash tables: offset of the buckets, and their number minus one (a power of two, at most half of them used).
export const PROGRAM_HOSTS_AT = 24;
export const PROGRAM_HOSTS_MASK_AT = 28;
export const PROGRAM_WILDCARDS_AT = 32;
export const PROGRAM_WILDCARDS_MASK_AT = 36;
export const PROGRAM_PATHS_AT = 40;
export const PROGRAM_PATHS_MASK_AT = 44;
// Arrays of records: offset and count.
export const PROGRAM_VHOSTS_AT = 48;
export const PROGRAM_VHOSTS_COUNT_AT = 52;
export const PROGRAM_RULES_AT = 56;
export const PROGRAM_RULES_COUNT_AT = 60;
export const PROGRAM_SERVICES_AT = 64;
export const PROGRAM_SERVICES_COUNT_AT = 68;
/** INSTANCE_* of abi/policy.ts, by slot. */
export const PROGRAM_INSTANCES_AT = 72;
export const PROGRAM_INSTANCES_COUNT_AT = 76;
/** u32 service index by `--listen` number, or NONE. */
export const PROGRAM_LISTENERS_AT = 80;
export const PROGRAM_LISTENERS_COUNT_AT = 84;
/** u32 virtual host of the route without hosts, or NONE. */
export const PROGRAM_CATCH_ALL_AT = 88;
/** u32 service index of the local app, or NONE. */
export const PROGRAM_INBOUND_AT = 92;
export const PROGRAM_HEADER_BYTES = 128;

// ── Hash tables: linear probing; an empty bucket has entry 0 ─────────────────────────────────────
export const BUCKET_HASH = 0; // u32
export const BUCKET_ENTRY = 4; // u32 offset
export const BUCKET_BYTES = 8;

/**
 * FNV-1a over 32 bits with a seed that asc reads as i32; hosts in lower case and from the last byte to the first, so
 * that one pass meets every suffix; paths from the first byte, so that one pass meets every prefix. Finished by
 * `mixHash` (core/hash.ts), because FNV's low bits alone fill a table of powers of two badly.
 */
export const PROGRAM_HASH_SEED = 0x011c9dc5;
export const PROGRAM_HASH_PRIME = 0x01000193;
/** RFC 1035 §2.3.4; a longer authority belongs to the catch-all at most. */
export const HOST_BYTES_MAX = 255;

// A host, exact ("users.example") or wildcard (".users.example"): whoever claims it.
export const HOST_TEXT = 0; // u32
export const HOST_TEXT_BYTES = 4; // u32
export const HOST_VHOST = 8; // u32 virtual host of a route, or NONE
export const HOST_SERVICE = 12; // u32 service, or NONE
export const HOST_BYTES = 16;

// A path of one virtual host, with the rules that ask for it exactly and those for which it is a prefix.
export const PATH_VHOST = 0; // u32
export const PATH_TEXT = 4; // u32
export const PATH_TEXT_BYTES = 8; // u32
export const PATH_EXACT = 12; // u32 list of rule numbers (u32, ascending)
export const PATH_EXACT_COUNT = 16;
export const PATH_PREFIX = 20;
export const PATH_PREFIX_COUNT = 24;
export const PATH_BYTES = 32;

// ── Virtual hosts: one for each route ────────────────────────────────────────────────────────────
export const VHOST_NAME = 0; // u32 the route's name
export const VHOST_NAME_BYTES = 4;
/** u32 list of the rules whose prefix is the root: looked at without a search. */
export const VHOST_ROOT = 8;
export const VHOST_ROOT_COUNT = 12;
/** u32: bit d = some path with d segments is in the table; bit 31 stands for 31 and more. */
export const VHOST_DEPTHS = 16;
/** u32: no path in the table is longer. */
export const VHOST_PATH_BYTES_MAX = 20;
export const VHOST_BYTES = 32;

// ── Rules, in the order of the documents: the lowest number that matches wins ────────────────────
export const RULE_METHODS = 0; // u32: bit per METHOD_*; 0 = any. Bit METHOD_OTHER: see the list
export const RULE_METHOD_LIST = 4; // u32: METHOD_TEXT records of methods without a number
export const RULE_METHOD_COUNT = 8;
export const RULE_CONDITIONS = 12;
export const RULE_CONDITION_COUNT = 16;
export const RULE_DESTINATIONS = 20;
export const RULE_DESTINATION_COUNT = 24;
export const RULE_WEIGHT = 28; // u32 sum of the destinations' weights; 0 = nowhere to go
export const RULE_ACTION = 32; // u32 RULE_IS_*
export const RULE_PREFIX_BYTES = 36; // u32: how much of the path rewrite.pathPrefix replaces
export const RULE_REWRITE_PATH = 40; // u32, 0 = the path stays
export const RULE_REWRITE_PATH_BYTES = 44;
export const RULE_REWRITE_HOST = 48;
export const RULE_REWRITE_HOST_BYTES = 52;
export const RULE_REQUEST_EDITS = 56;
export const RULE_REQUEST_EDIT_COUNT = 60;
export const RULE_RESPONSE_EDITS = 64;
export const RULE_RESPONSE_EDIT_COUNT = 68;
export const RULE_STATUS = 72; // u32 of a redirect or direct response
export const RULE_REDIRECT_SCHEME = 76; // u32 REDIRECT_SCHEME_*
export const RULE_TEXT = 80; // u32: body of a direct response
export const RULE_TEXT_BYTES = 84;
export const RULE_VHOST = 88; // u32, or NONE for a service's own rule
/** u32: 1 = RULE_REWRITE_PATH replaces the whole path and keeps the query. */
export const RULE_REWRITE_IS_WHOLE = 92;
// Shares are of 2^SHARE_BITS. Failures made on purpose: so many requests are delayed, so many answered with a status.
export const RULE_FAULT_DELAY_SHARE = 96;
export const RULE_FAULT_DELAY_MS = 100;
export const RULE_FAULT_ABORT_SHARE = 104;
export const RULE_FAULT_ABORT_STATUS = 108;
/** u32 index of the service that gets copies, plus one; 0 = none does. */
export const RULE_MIRROR_SERVICE = 112;
export const RULE_MIRROR_SHARE = 116;
export const RULE_BYTES = 120;

export const SHARE_BITS = 31;

export const RULE_IS_FORWARD = 0;
/** Answer with `location`, built of the request and the rule's rewrite. */
export const RULE_IS_REDIRECT = 1;
/** Answer with RULE_STATUS and RULE_TEXT. */
export const RULE_IS_RESPONSE = 2;

/** The scheme of the request. */
export const REDIRECT_SCHEME_SAME = 0;
export const REDIRECT_SCHEME_HTTP = 1;
export const REDIRECT_SCHEME_HTTPS = 2;

export const METHOD_TEXT = 0; // u32
export const METHOD_TEXT_BYTES = 4;
export const METHOD_BYTES = 8;

// A condition besides path and method: all of a rule's must hold.
export const CONDITION_KIND = 0; // u8 CONDITION_IS_*
export const CONDITION_TEST = 1; // u8 TEST_*
export const CONDITION_NAME_ID = 2; // u16 NAME_*
export const CONDITION_NAME = 4; // u32; of a path: the segments that the index has found, not tested again
export const CONDITION_NAME_BYTES = 8;
export const CONDITION_VALUE = 12; // u32 text, or automaton
export const CONDITION_VALUE_BYTES = 16;
export const CONDITION_BYTES = 20;

export const CONDITION_IS_PATH = 0;
export const CONDITION_IS_HEADER = 1;
export const CONDITION_IS_QUERY = 2;
/** The head's authority, as it was sent. */
export const CONDITION_IS_AUTHORITY = 3;

export const TEST_PRESENT = 0;
export const TEST_ABSENT = 1;
export const TEST_EXACT = 2;
export const TEST_PREFIX = 3;
export const TEST_REGEX = 4;

// Where a rule's requests go: drawn by weight.
export const DESTINATION_UP_TO = 0; // u32 sum of the weights so far, this one's included
export const DESTINATION_SET = 4; // u32 set of the balancer
export const DESTINATION_POLICY = 8; // u32 offset of a policy record (abi/policy.ts)
export const DESTINATION_SERVICE = 12; // u32
export const DESTINATION_BYTES = 16;

// A change of the header fields, in order.
export const EDIT_KIND = 0; // u16 EDIT_*
export const EDIT_NAME_ID = 2; // u16 NAME_*
export const EDIT_NAME = 4; // u32
export const EDIT_NAME_BYTES = 8;
export const EDIT_VALUE = 12; // u32
export const EDIT_VALUE_BYTES = 16;
export const EDIT_BYTES = 20;

export const EDIT_ADD = 0;
export const EDIT_SET = 1;
export const EDIT_REMOVE = 2;

// ── Services, by index; gone ones keep their name until their index is used again ────────────────
export const SERVICE_NAME = 0; // u32
export const SERVICE_NAME_BYTES = 4;
/** u32 offset of the rule that takes everything to this service; 0 = no longer in the mesh. */
export const SERVICE_RULE = 8;
export const SERVICE_METRICS = 12; // u32 first metric cell
export const SERVICE_DIRECTION = 16; // u32 DIRECTION_*
export const SERVICE_BYTES = 32;

export const DIRECTION_OUTBOUND = 0;
export const DIRECTION_INBOUND = 1;

// ── Automata: deterministic, over bytes; state 0 is where nothing can match any more ─────────────
export const AUTOMATON_CLASSES = 0; // u32
export const AUTOMATON_START = 4; // u32 state
export const AUTOMATON_ACCEPT = 8; // u32: this state and those above accept
export const AUTOMATON_STATES = 12; // u32
export const AUTOMATON_MAP = 16; // u8 × 256: class of a byte
export const AUTOMATON_TABLE = 272; // u16 × states × classes: next state

// ── Results of activateSnapshot ──────────────────────────────────────────────────────────────────
export const ACTIVATE_OK = 0;
/** Not at SNAPSHOT_FIRST or SNAPSHOT_SECOND, or on top of the one in force. */
export const ACTIVATE_PLACE = 1;
/** Wrong magic or version. */
export const ACTIVATE_MAGIC = 2;
/** A length that does not fit the area, the header or what was said. */
export const ACTIVATE_LENGTH = 3;
/** Bytes were changed or lost on the way. */
export const ACTIVATE_CHECKSUM = 4;
/** A table of the header lies outside of the block. */
export const ACTIVATE_BOUNDS = 5;
