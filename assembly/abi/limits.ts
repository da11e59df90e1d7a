// Every capacity and flood budget of the engine, with its value and its reason: the one file to read.
//
// Outside of them a peer meets a status with `x-pillion-reason` where an answer is possible, else RST_STREAM, else
// GOAWAY; and `pillion_glitches_total{kind}` moves. Between Pillion peers, whose connections carry many callers, the
// budgets are PEER_BUDGET_FACTOR times as wide. The attacks, by number, are in test/integration/attacks (real sockets),
// test/assembly/h2/guard.test.ts and test/assembly/engine/proxy/patience.test.ts (virtual time).
//
//   an attack on …           is ended by
//   streams (A1 A2 A11 A28)  H2_RESETS_*, H2_ERROR_RESETS_*, H2_REFUSED_STREAMS_MAX, H2_STREAMS_MAX (of work, not ids)
//   heads (A3-A8 A12 A31)    H2_CONTINUATIONS_MAX, H2_BLOCK_*, HEAD_*, FIELD_*, HEADS_LIVE_BYTES_MAX, HPACK_*
//   frames (A9 A10 A14       H2_ACKS_*, H2_SETTINGS_ENTRIES_MAX, H2_VOID_FRAMES_*, H2_EMPTY_FRAMES_MAX,
//           A16-A22 A24)     H2_SMALL_DATA_*, H2_WINDOW_UPDATES_*, H2_GLITCHES_*
//   our output (A9 A13 A15   OUTPUT_*, WRITE_STALL_*, STREAM_STALL_*, H2_*_WINDOW_BYTES; of many connections
//           A29)             together POOL_PRESSURE_*
//   time (A5 A13 A26 A32)    HEAD_*_TIMEOUT, SETTINGS_ACK_*, STREAM_STALL_*, *_IDLE_*, LINGER_*
//   the others (A30 A35)     FRAMES_PER_TURN_MAX; every step of a stream's or a connection's end is O(1)
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
/** A connection that holds this much unsent output is given no more DATA: whoever wants more reads first (A15). */
export const OUTPUT_HIGH_BYTES = 262144;
/** Below this, writers that wait for room are woken; half, so that they do not flap. */
export const OUTPUT_LOW_BYTES = 131072;
/**
 * A peer that leaves this much unread is not read from either, until it has read; and no frame of any kind (acks,
 * resets, WINDOW_UPDATEs) is queued for it beyond this and OUTPUT_HIGH_BYTES: then it is cut off (A29). nghttp2: 5,000
 * frames; Envoy: 10,000. Not 256 KiB, since a client that uploads before it reads may have that much waiting.
 */
export const OUTPUT_CONTROL_BYTES_MAX = 1048576;
/** An HTTP/1.1 sender is paused while more of its body than this waits: one default window of HTTP/2. */
export const H1_WAITING_BYTES_MAX = 65535;
/**
 * One read(2) of an HTTP/1.1 answer whose client has not yet shown that it reads, and nothing more is read while any of
 * it waits: 256 answers that nobody takes then hold 256 × 64 KiB, as those of HTTP/2 do (A15). Once the client has
 * taken half of this, READ_BUFFER_BYTES and H1_WAITING_BYTES_MAX hold, for H2_WIDE_STREAMS_MAX of its streams at once.
 */
export const H1_NARROW_READ_BYTES = 65536;
/** Bytes of a later pipelined request, or of a busy connection, kept before reading is paused (DESIGN §2 rule 7). */
export const BACKLOG_BYTES_MAX = 65536;
/** Replay bodies may hold an eighth of the pool (DESIGN §2 rule 9). */
export const REPLAY_SHARE = 8;
/**
 * Pool used, in 1/256, from which no answer is read in large portions any more, and it is looked every PRESSURE_LOOK_MS
 * (and a millisecond more for every 256 streams) who moves what he holds: 25 %.
 */
export const POOL_PRESSURE_NARROW = 64;
export const PRESSURE_LOOK_MS = 100;
/**
 * … and from which those are ended who do not, beginning with the connections that hold most, until less than
 * POOL_PRESSURE_EASED is used: 75 % and 62 %. So many connections that ask and do not read never take the memory of
 * those who do (12 of 19 MiB would, A15). Envoy's overload manager resets its largest streams, whoever reads them.
 */
export const POOL_PRESSURE_STALLED = 192;
export const POOL_PRESSURE_EASED = 160;
/** They do not move when, by what they took last, they would take longer than this for what they hold … */
export const PRESSURE_MOVE_MS = 64000;
/** … for so long; above POOL_PRESSURE_HIGH and POOL_PRESSURE_FULL there is less time. */
export const PRESSURE_STALL_MS = 1000;
export const PRESSURE_STALL_HIGH_MS = 200;
export const PRESSURE_STALL_FULL_MS = 20;
/** Pool used, in 1/256, from which windows shrink and stalled streams lose their patience: 80 % (DESIGN §2 rule 2). */
export const POOL_PRESSURE_HIGH = 205;
/** … and from which new requests are refused (503 resource-exhausted) and no connection gets credit: 95 %. */
export const POOL_PRESSURE_FULL = 243;
/**
 * Request heads of one connection that are kept at once; a stream beyond is refused (REFUSED_STREAM). It is 3 KiB for
 * each of 256 streams, and less than a hundred times the 10 KiB that a bomb of one-byte references takes to fill it
 * (A5, CVE-2026-47774): without it those streams hold 16 MiB. reliability.md §6: at most 1 MiB a connection.
 */
export const HEADS_LIVE_BYTES_MAX = 786432;
/**
 * A Pillion peer, whose connection carries many callers, may keep more, up to PEER_BUDGET_FACTOR times as much; but
 * this many bytes for each byte of field blocks that it has sent in all, so that saying "I am Pillion" buys no bomb.
 */
export const HEADS_EARNED_FACTOR = 8;

/** Clients may take 1 / so many of the process' descriptors: each can have an upstream, and admin finds one (A32). */
export const CLIENT_DESCRIPTORS_SHARE = 2;
/** What is kept from clients by that is never more: eight services with all the connections that they may have. */
export const KEPT_DESCRIPTORS_MAX = 8192;
/** Connections accepted at a time, then those already here are served (reliability.md §6: 32). */
export const ACCEPTS_PER_TURN_MAX = 16;
/** Connections of one worker, both sides. HAProxy's and Envoy's listeners default near 10,000. */
export const CONNECTIONS_MAX = 24576;
/** Streams of one worker over all connections, both sides. */
export const STREAMS_MAX = 65536;
/** Exchanges of one worker: each holds at least one stream. */
export const EXCHANGES_MAX = 32768;

// ── HTTP messages ────────────────────────────────────────────────────────────────────────────────

/** Decoded size of all fields of one head, name + value + 32 each (Envoy: 60 KiB). 431, header-too-large. */
export const HEAD_BYTES_MAX = 61440;
/** HTTP/2: a block that decodes to this many times HEAD_BYTES_MAX is not read on: the connection ends (h2 #915; A6). */
export const HEAD_BOMB_FACTOR = 4;
/** Fields of one head, cookie crumbs apart (Envoy: 100; people need more). */
export const HEAD_FIELDS_MAX = 200;
/** Cookie crumbs of one head, before they are joined (Envoy's first fix of CVE-2026-47774 broke users above 100). */
export const HEAD_CRUMBS_MAX = 1000;
/** One field's name or value. HAProxy's users live with 16 KiB; Kerberos tickets and joined cookies do not. */
export const FIELD_BYTES_MAX = 32768;
/** A method; IANA's longest, UPDATEREDIRECTREF, has 17 bytes. */
export const METHOD_BYTES_MAX = 32;
/** Request target; nginx and Apache: 8 KiB. 414, uri-too-long. */
export const TARGET_BYTES_MAX = 8192;
/** Trailers of one message (llhttp and Go bound them with the head; these never carry more than checksums). */
export const TRAILER_BYTES_MAX = 8192;
/** All chunk extensions of one message (Go counts the excess likewise). */
export const CHUNK_EXTENSION_BYTES_MAX = 4096;
/** One chunk-size line. */
export const CHUNK_LINE_BYTES_MAX = 256;
/** Hexadecimal digits of a chunk size: 2^52 - 1 at most, a number that every language counts exactly. */
export const CHUNK_SIZE_DIGITS_MAX = 13;
/** Digits of a content-length: 2^53 - 1 at most, as for chunks. */
export const CONTENT_LENGTH_DIGITS_MAX = 16;
/** Options of one message's Connection field that name other fields; real messages name none or two. */
export const CONNECTION_OPTIONS_MAX = 16;
/** Informational responses before the final one; their fields count towards the final head's limits (A31). */
export const INFORMATIONAL_MAX = 16;
/** Empty lines before a request line that are skipped (RFC 9112 §2.2 asks for at least one). */
export const LEADING_CRLF_MAX = 2;

// ── HTTP/2 ───────────────────────────────────────────────────────────────────────────────────────

/** Streams that a foreign client may have open (Envoy edge, HAProxy: 100; nginx: 128; h2load asks for -m). */
export const H2_STREAMS_MAX = 256;
/**
 * Streams between Pillion peers and upstream: many callers share one connection, and more of them take another one.
 * Anybody can say that it is Pillion, so that 512 answers of 64 KiB which it does not read must be bearable (A15).
 */
export const H2_PEER_STREAMS_MAX = 512;
/** Stream receive window that we advertise: a bulk stream needs more than RFC 9113's 64 KiB (node#50972). */
export const H2_STREAM_WINDOW_BYTES = 262144;
/**
 * Stream receive window that an upstream has at first: RFC 9113's. It grows to H2_STREAM_WINDOW_BYTES once the client
 * has taken half of it, for so many streams of a client at a time: else 256 answers that nobody reads hold 64 MiB
 * (A15). So one downstream connection makes at most 256 × 64 KiB + 16 × 192 KiB = 19 MiB of answers wait; one that
 * calls itself Pillion 512 × 64 KiB + 32 × 192 KiB = 38 MiB.
 */
export const H2_UPSTREAM_WINDOW_BYTES = 65535;
export const H2_WIDE_STREAMS_MAX = 16;
export const H2_PEER_WIDE_STREAMS_MAX = 32;
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
/** Size updates at the start of one block: the smallest size meanwhile, and the final one (RFC 7541 §4.2). */
export const HPACK_SIZE_UPDATES_MAX = 2;
/** Octets of an integer behind its prefix: 2^28 is above every length and index; zero-padded ones fail too (A7). */
export const HPACK_INTEGER_OCTETS_MAX = 4;
/** A Pillion peer's connection carries many callers: each budget below is that many times as wide for it. */
export const PEER_BUDGET_FACTOR = 16;
/**
 * Streams that the client resets: a bucket of 1,000, refilled with 33 a second (nghttp2, Node, Envoy). Empty, each
 * reset is a glitch, and the connection ends (GOAWAY ENHANCE_YOUR_CALM) if besides …
 */
export const H2_RESETS_BURST = 1000;
export const H2_RESETS_PER_SECOND = 33;
/** … half of its last 500 streams were reset before a response: callers who cancel a tenth are no attack (Envoy). */
export const H2_RESET_SAMPLE_STREAMS = 500;
/**
 * Streams that the client made us reset (CVE-2025-8671): a bucket of their own, and no second condition, for no honest
 * client sends malformed requests by the thousand (h2: 1,024 in a lifetime; shared connections live too long for that).
 */
export const H2_ERROR_RESETS_BURST = 1000;
export const H2_ERROR_RESETS_PER_SECOND = 33;
/** PING and SETTINGS acknowledgements that wait in the output at once (nghttp2: 1,000). */
export const H2_ACKS_QUEUED_MAX = 1000;
/** They are taken to leave at least this fast: a link may be slow without being dead. */
export const H2_ACKS_PER_SECOND = 330;
/**
 * Anomalies of every other kind (frames of unknown types, small frames for streams that are gone, acks of nothing,
 * a second GOAWAY): a bucket, 330 a second (nghttp2, after it raised its burst tenfold for a false positive). When a
 * quarter is left the connection is asked to go (GOAWAY NO_ERROR, HAProxy at 75 %), and cut off at none.
 */
export const H2_GLITCHES_BURST = 10000;
export const H2_GLITCHES_PER_SECOND = 330;
/**
 * What may come on a stream of an upstream after we reset it: its window in DATA, and so many bytes of field blocks.
 * The rest are anomalies. Honest servers send what was under way (nghttp2 c4e990bc), and a client that cancels must not
 * end the connection that it shares with others.
 */
export const H2_LATE_HEAD_BYTES = 16384;
/** Empty DATA frames without END_STREAM over the life of a stream's message (h2: 100). */
export const H2_EMPTY_FRAMES_MAX = 100;
/**
 * Overhead budget of small DATA frames, replenished as their bytes are passed on: 6,400 tiny frames may wait. (h2 has
 * 25,600 bytes at 256 a frame; but a gRPC stream of six-byte messages behind a slow upstream is honest, and flow
 * control bounds what it can keep here anyway.) For clients only: an upstream's frames wait for those who asked.
 */
export const H2_SMALL_DATA_BUDGET = 1638400;
export const H2_SMALL_DATA_OVERHEAD = 256;
/**
 * Frames that mean nothing and honest peers send a few of for each stream: PRIORITY, PRIORITY_UPDATE, RST_STREAM of a
 * stream that is over. This many for each of (1 + streams opened) (Envoy's bound on PRIORITY).
 */
export const H2_VOID_FRAMES_PER_STREAM = 100;
/** WINDOW_UPDATE frames: 5 + 2 × (streams + 10 × DATA frames sent) (Envoy). */
export const H2_WINDOW_UPDATES_BASE = 5;
export const H2_WINDOW_UPDATES_PER_STREAM = 2;
export const H2_WINDOW_UPDATES_PER_DATA = 20;
/** Streams refused above the limit before the peer is cut off (nginx); each that is accepted forgives one. */
export const H2_REFUSED_STREAMS_MAX = 100;
/** A connection retires well before identifiers run out (HAProxy, nginx: by count; RFC 9113 §5.1.1: 2^31 - 1). */
export const H2_LAST_STREAM_ID = 1073741823;
/**
 * Frames of one connection handled in one turn, then the next connection (HAProxy 5d0f5f816, A35). Resets have no lower
 * bound of their own: each ends its stream in O(1), so a turn of resets costs no more than one of any other frames.
 */
export const FRAMES_PER_TURN_MAX = 100;
/** DATA frames from this size on are work worth their while and do not count towards FRAMES_PER_TURN_MAX. */
export const USEFUL_DATA_BYTES = 1024;

// ── Times ────────────────────────────────────────────────────────────────────────────────────────

/** A whole request head (408, request-header-timeout), or the HTTP/2 preface and SETTINGS (Go 10 s, nginx 60 s). */
export const HEAD_TIMEOUT_MS = 10000;
/** A frame or field block that was begun, while other streams are open: a link that hangs is not slow on purpose. */
export const FRAME_TIMEOUT_MS = 60000;
/** The acknowledgement of our SETTINGS, either side: GOAWAY SETTINGS_TIMEOUT (RFC 9113 §6.5.3 leaves it to us; A26). */
export const SETTINGS_ACK_TIMEOUT_MS = 10000;
/**
 * A response whose client gives no credit (window 0, A5, A13): its stream is reset when it took fewer than
 * STREAM_STALL_BYTES in this time, Envoy's idle time of a stream. A consumer that thinks for minutes is honest.
 */
export const STREAM_STALL_TIMEOUT_MS = 300000;
/** The same while the pool is above POOL_PRESSURE_HIGH: who holds memory and does not move goes first. */
export const STREAM_STALL_PRESSED_MS = 30000;
/** Less is a drip: a client with a window of one byte still takes this much in seconds. */
export const STREAM_STALL_BYTES = 256;
/** What a request with a small body so far may take to end after its answer; then RST_STREAM NO_ERROR (early.ts). */
export const ANSWERED_GRACE_MS = 1000;
/** More of a body is an upload that goes on for nothing: it is told to stop at once. One frame of the default size. */
export const ANSWERED_BODY_BYTES = 16384;
/** With more streams open on a connection none is given that time: what is answered must not hold up what is not. */
export const ANSWERED_STREAMS_MAX = 32;
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
/** An answer of unknown length from an instance that has yet to prove itself waits so long for its end. */
export const UNPROVEN_HOLD_MS = 100;
/** An instance that owes answers may be silent this long, and for so many times the service's p99 (DESIGN §6). */
export const SILENCE_MIN_MS = 1000;
export const SILENCE_P99_FACTOR = 10;
/** An idle pooled HTTP/2 upstream connection. */
export const UPSTREAM_H2_IDLE_TIMEOUT_MS = 300000;
/** The same beside another one of its instance: a burst opened it, and the next burst may come soon. */
export const UPSTREAM_H2_SPARE_TIMEOUT_MS = 10000;
/** A socket that takes none of our bytes: the connection is aborted (nginx's send_timeout; A15, A29). */
export const WRITE_STALL_TIMEOUT_MS = 60000;
/** An idle half-closed or silent tunnel. */
export const TUNNEL_IDLE_TIMEOUT_MS = 3600000;
/** Connections that are shed (proxy/shed.ts) are looked for at most so often; thousands go in portions. */
export const SHED_GAP_MS = 20;
/** After our GOAWAY 2^31-1, before the final one: a round trip, generously (RFC 9113 §6.8). */
export const GOAWAY_GRACE_MS = 1000;
/**
 * A FIN this soon after the last byte of an HTTP/1.1 request came with it (a script's half-close), though a busy loop
 * may read it a few turns later. Later it is a client that gave up, as nginx, Envoy and Go take it.
 */
export const HALF_CLOSE_MS = 100;
/**
 * After a refused HTTP/1.1 message, or a GOAWAY for an error: how long we read and discard so that the answer is not
 * lost to an RST.
 */
export const LINGER_TIMEOUT_MS = 1000;

// ── Proxying ─────────────────────────────────────────────────────────────────────────────────────

/** Connections that are looked at for one to close when a service's limit of them is reached. */
export const ROOM_SCAN_MAX = 256;
/** How often those whom that limit keeps waiting ask again: other workers free connections without telling. */
export const REFUSED_RETRY_MS = 20;

/** Instances that a worker visits to see whether they are back, at once; a request finds out for those beyond. */
export const VISITS_MAX = 64;
/** Before the first visit and between the later ones: a second is what a caller may wait for one that is back. */
export const VISIT_GAP_MS = 50;
export const VISIT_GAP_MS_MAX = 1000;
/** Sidecars that a request may pass (DESIGN §2: above 8, `loop`). */
export const HOPS_MAX = 8;
/** Attempts of one exchange, the first included; the skip list of a pick holds three. */
export const ATTEMPTS_MAX = 4;
/** A second attempt beside a first one waits at least this long, whatever the percentile says. */
export const HEDGE_WAIT_MIN_MS = 2;
/** Hedges that a service may save up while none is needed: an instance that stops has so many requests at once. */
export const HEDGE_BURST = 100;
/** Answers before their percentiles are believed; p99 then stands on one or two of them. */
export const HEDGE_SAMPLES_MIN = 128;
/** A copy of a request that its service gives no time of its own (Envoy's default for any request). */
export const MIRROR_TIMEOUT_MS = 15000;
/** DFA states of a route's regex (DESIGN §2 rule 12). */
export const REGEX_STATES_MAX = 2048;
