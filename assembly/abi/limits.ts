// Every capacity and flood budget of the engine, with its value and its reason: the one file to read.
//
// Rule 1: read by asc and by Node, so integers below 2^31 built with + - * only.
// Rule 2: a limit is named after what it bounds, units last, `_MAX` for ceilings.

// ── Memory (engine.wasm: private, fixed; pages that are never touched cost nothing) ──────────────

/** Fixed size of the engine's memory; asconfig.json's 4096 pages of 64 KiB. */
export const ENGINE_MEMORY_BYTES = 268435456;
/** One read(2): bigger reads mean fewer calls for bulk (libuv stops after a short read). */
export const READ_BUFFER_BYTES = 262144;
/** Output and body bytes live in chunks of this size, header included (HTTP/2's default frame is as long). */
export const CHUNK_BYTES = 16384;
/** A connection that holds this much unsent output is given no more DATA. Two reads' worth. */
export const OUTPUT_HIGH_BYTES = 262144;
/** Below this, writers that wait for room are woken; half, so that they do not flap. */
export const OUTPUT_LOW_BYTES = 131072;
/** Control frames (acks, resets) queued beyond the high mark before the peer is cut off; nghttp2: 5,000 frames. */
export const OUTPUT_CONTROL_BYTES_MAX = 1048576;
/** Bytes of a later pipelined request, or of a busy connection, kept before reading is paused (DESIGN §2 rule 7). */
export const BACKLOG_BYTES_MAX = 65536;
/** Replay bodies may hold an eighth of the pool (DESIGN §2 rule 9). */
export const REPLAY_SHARE = 8;

/** Connections of one worker, both sides. HAProxy's and Envoy's listeners default near 10,000. */
export const CONNECTIONS_MAX = 24576;
/** Streams of one worker over all connections, both sides. */
export const STREAMS_MAX = 65536;
/** Exchanges of one worker: each holds at least one stream. */
export const EXCHANGES_MAX = 32768;

// ── HTTP messages ────────────────────────────────────────────────────────────────────────────────

/** Decoded size of all fields of one head, name + value + 32 each (Envoy: 60 KiB). */
export const HEAD_BYTES_MAX = 61440;
/** Fields of one head, cookie crumbs apart (Envoy: 100; people need more). */
export const HEAD_FIELDS_MAX = 200;
/** Cookie crumbs of one head (Envoy's first fix of CVE-2026-47774 broke users with more than 100). */
export const HEAD_CRUMBS_MAX = 1000;
/** One field's value (reliability.md §6). */
export const FIELD_BYTES_MAX = 32768;
/** Request target; nginx and Apache: 8 KiB. */
export const TARGET_BYTES_MAX = 8192;
/** Trailers of one message. */
export const TRAILER_BYTES_MAX = 8192;
/** All chunk extensions of one message (Go counts the excess likewise). */
export const CHUNK_EXTENSION_BYTES_MAX = 4096;
/** One chunk-size line. */
export const CHUNK_LINE_BYTES_MAX = 256;
/** Hexadecimal digits of a chunk size: 2^52 - 1 at most. */
export const CHUNK_SIZE_DIGITS_MAX = 13;
/** Informational responses before the final one. */
export const INFORMATIONAL_MAX = 16;
/** Empty lines before a request line that are skipped (RFC 9112 §2.2 asks for at least one). */
export const LEADING_CRLF_MAX = 2;

// ── HTTP/2 ───────────────────────────────────────────────────────────────────────────────────────

/** Streams that a foreign client may have open (Envoy edge, HAProxy: 100; nginx: 128; h2load asks for -m). */
export const H2_STREAMS_MAX = 256;
/** Streams between Pillion peers and upstream: many callers share one connection. */
export const H2_PEER_STREAMS_MAX = 1024;
/** Stream receive window that we advertise: a bulk stream needs more than RFC 9113's 64 KiB (node#50972). */
export const H2_STREAM_WINDOW_BYTES = 262144;
/** Connection receive window: credit is returned on receipt, so this only covers one turn of all streams. */
export const H2_CONNECTION_WINDOW_BYTES = 4194304;
/** SETTINGS_MAX_FRAME_SIZE that we advertise: the default. */
export const H2_FRAME_BYTES_MAX = 16384;
/** HPACK decoder table that we allow, and the encoder's cap whatever the peer allows. */
export const HPACK_TABLE_BYTES_MAX = 4096;
/** CONTINUATION frames of one block, empty ones too (nghttp2: 8). */
export const H2_CONTINUATIONS_MAX = 8;
/** Compressed size of one field block. */
export const H2_BLOCK_BYTES_MAX = 65536;
/** Entries of one SETTINGS frame (nghttp2: 32). */
export const H2_SETTINGS_ENTRIES_MAX = 32;
/** Stream resets: a bucket of 1,000, refilled with 33 a second (nghttp2, Node). */
export const H2_RESETS_BURST = 1000;
export const H2_RESETS_PER_SECOND = 33;
/** … and a connection is cut off only when half of its last 500 streams were reset before a response. */
export const H2_RESET_SAMPLE_STREAMS = 500;
/** PING and SETTINGS acknowledgements that wait in the output at once (nghttp2: 1,000). */
export const H2_ACKS_QUEUED_MAX = 1000;
/** Generic anomalies: 10,000 burst, 330 a second (nghttp2 after it raised it tenfold). */
export const H2_GLITCHES_BURST = 10000;
export const H2_GLITCHES_PER_SECOND = 330;
/** Empty DATA frames without END_STREAM over the life of a stream's message (h2: 100). */
export const H2_EMPTY_FRAMES_MAX = 100;
/**
 * Overhead budget of small DATA frames, replenished as their bytes are passed on: 6,400 tiny frames may wait. (h2 has
 * 25,600 bytes at 256 a frame; but a gRPC stream of six-byte messages behind a slow upstream is honest, and flow
 * control bounds what it can keep here anyway.)
 */
export const H2_SMALL_DATA_BUDGET = 1638400;
export const H2_SMALL_DATA_OVERHEAD = 256;
/** PRIORITY frames: 100 × (1 + streams opened) (Envoy). */
export const H2_PRIORITY_PER_STREAM = 100;
/** WINDOW_UPDATE frames: 5 + 2 × (streams + 10 × DATA frames sent) (Envoy). */
export const H2_WINDOW_UPDATES_BASE = 5;
/** Streams refused above the limit before the peer is cut off (nginx: max(concurrent, 100)). */
export const H2_REFUSED_STREAMS_MAX = 100;
/** A connection retires well before identifiers run out (HAProxy, nginx: by count; RFC 9113 §5.1.1: 2^31 - 1). */
export const H2_LAST_STREAM_ID = 1073741823;
/** Frames of one connection handled in one turn, then the next connection (HAProxy 5d0f5f816). */
export const FRAMES_PER_TURN_MAX = 100;

// ── Times, microseconds unless named otherwise ───────────────────────────────────────────────────

/** A whole request head, or the HTTP/2 preface and first SETTINGS (Go 10 s, nginx 60 s). */
export const HEAD_TIMEOUT_MS = 10000;
/** An idle downstream connection (Envoy 1 h; Go's and nginx's defaults are shorter). */
export const DOWNSTREAM_IDLE_TIMEOUT_MS = 3600000;
/** An idle pooled HTTP/1.1 upstream connection: below Node's 5 s keep-alive, the shortest common default. */
export const UPSTREAM_H1_IDLE_TIMEOUT_MS = 3000;
/** The same where the server announced a longer one (`keep-alive: timeout=`): a promise is worth this much. */
export const UPSTREAM_H1_IDLE_TIMEOUT_MAX_MS = 60000;
/** A learned or announced idle time is shortened by a quarter, within these bounds: our FIN must get there first. */
export const IDLE_MARGIN_MIN_MS = 50;
export const IDLE_MARGIN_MAX_MS = 1000;
/** A shorter idle time than this is no timeout but a server that goes away: nothing is learned from it. */
export const IDLE_LEARNED_MIN_MS = 100;
/** Two closes at about the same age teach; those of one restart come together, those of a timeout do not. */
export const IDLE_EVIDENCE_APART_MS = 100;
export const IDLE_EVIDENCE_TOGETHER_MS = 60000;
/** An upstream HTTP/2 connection that owes an answer and says nothing is asked by PING (DESIGN §6). */
export const PING_AFTER_MS = 10000;
/** … and has this long to answer. */
export const PING_TIMEOUT_MS = 3000;
/**
 * The second question of one silence, and every further one. gRPC servers count PINGs that come within 5 minutes of
 * one another while they send nothing, and end the connection at the third (`too_many_pings`): two must do.
 */
export const PING_SECOND_MS = 60000;
export const PING_FURTHER_MS = 310000;
/** An answer that waits for its trailers (DESIGN §2 rule 10): so long at most … */
export const HOLD_TIMEOUT_MS = 2;
/** … and one message of ordinary size. */
export const HOLD_BYTES_MAX = 16384;
/** An instance that owes answers may be silent this long, and for so many times the service's p99 (DESIGN §6). */
export const SILENCE_MIN_MS = 1000;
export const SILENCE_P99_FACTOR = 10;
/** An idle pooled HTTP/2 upstream connection. */
export const UPSTREAM_H2_IDLE_TIMEOUT_MS = 300000;
/** The same beside another one of its instance: a burst opened it, and the next burst may come soon. */
export const UPSTREAM_H2_SPARE_TIMEOUT_MS = 10000;
/** A socket that takes none of our bytes (Envoy edge; reliability.md §6). */
export const WRITE_STALL_TIMEOUT_MS = 60000;
/** An idle half-closed or silent tunnel. */
export const TUNNEL_IDLE_TIMEOUT_MS = 3600000;
/** After our GOAWAY 2^31-1, before the final one: a round trip, generously (RFC 9113 §6.8). */
export const GOAWAY_GRACE_MS = 1000;
/** After a refused HTTP/1.1 message: how long we read and discard so that the answer is not lost to an RST. */
export const LINGER_TIMEOUT_MS = 1000;

// ── Proxying ─────────────────────────────────────────────────────────────────────────────────────

/** Connections that are looked at for one to close when a service's limit of them is reached. */
export const ROOM_SCAN_MAX = 256;
/** How often those whom that limit keeps waiting ask again: other workers free connections without telling. */
export const REFUSED_RETRY_MS = 20;
/** Sidecars that a request may pass (DESIGN §2: above 8, `loop`). */
export const HOPS_MAX = 8;
/** Attempts of one exchange, the first included; the skip list of a pick holds three. */
export const ATTEMPTS_MAX = 4;
/** A copy of a request that its service gives no time of its own (Envoy's default for any request). */
export const MIRROR_TIMEOUT_MS = 15000;
/** DFA states of a route's regex (DESIGN §2 rule 12). */
export const REGEX_STATES_MAX = 2048;
