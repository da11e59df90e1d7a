// One finished exchange, as the engine leaves it for the access log and for the error log.
//
// A RECORD_LOG points at one; it holds until the next call of `poll`. Entries are written into one block for each turn;
// when it is full further ones are dropped and counted (DESIGN §2 rule 14), the engine never waits for a log.
//
// Rule: read by asc and by Node: integer constants only. Text follows the fixed part in the order of its lengths.

export const LOG_STATUS = 0; // u16; 0 = no response head was sent
export const LOG_REASON = 2; // u8 REASON_*
export const LOG_GRPC_STATUS = 3; // u8; 255 = none
export const LOG_DIRECTION = 4; // u8 LISTENER_*
export const LOG_VERSION_DOWN = 5; // u8 10, 11, 20
export const LOG_VERSION_UP = 6; // u8; 0 = no upstream
export const LOG_ATTEMPTS = 7; // u8
export const LOG_SERVICE = 8; // u32 service index of the snapshot, NONE = none
export const LOG_INSTANCE = 12; // u32 slot, NONE = none
export const LOG_DURATION_US = 16; // u32
export const LOG_UPSTREAM_US = 20; // u32 from the attempt's start to the response head
export const LOG_BYTES_RECEIVED = 24; // f64
export const LOG_BYTES_SENT = 32; // f64
export const LOG_DETAIL = 40; // u32: REASON_OVERFLOW: which limit (balancer counter); upstream reset: code
export const LOG_METHOD_BYTES = 44; // u16
export const LOG_AUTHORITY_BYTES = 46; // u16
export const LOG_PATH_BYTES = 48; // u16
export const LOG_REQUEST_ID_BYTES = 50; // u16
export const LOG_PEER_BYTES = 52; // u16
export const LOG_FIXED_BYTES = 56;
/** Paths are cut at this length in logs. */
export const LOG_PATH_BYTES_MAX = 1024;
/** All entries of one turn. */
export const LOG_BLOCK_BYTES = 65536;

/** In the word before an entry of a worker's batch: it is JSON, of a TCP connection (telemetry/tcp-entry.ts). */
export const LOG_TCP_FLAG = 0x40000000;
