// Small integers that the parts of the engine exchange: events, protocols, errors.
//
// Rule: read by asc and by Node: integer constants only.

/** "No such thing": an absent index of any table. */
export const NONE = 0x7fffffff;

// Connection role and protocol.
export const ROLE_DOWNSTREAM = 0;
export const ROLE_UPSTREAM = 1;

export const PROTOCOL_UNKNOWN = 0;
export const PROTOCOL_H1 = 1;
export const PROTOCOL_H2 = 2;

// Events that a codec's receive returns; fields are in engine/http/event.ts.
/** All input was taken; nothing more to say. */
export const EVENT_NONE = 0;
/** A request head (downstream) or final response head (upstream): eventStream, eventHead, eventEnd. */
export const EVENT_HEAD = 1;
/** Body bytes: eventStream, eventPtr, eventLen, eventEnd. The proxy takes all of them at once. */
export const EVENT_DATA = 2;
/** Trailers, and with them the end: eventStream, eventHead. */
export const EVENT_TRAILERS = 3;
/** The end of a message whose last DATA did not say so: eventStream. */
export const EVENT_END = 4;
/** A stream is over early: eventStream, eventCode (RFC 9113 §7), eventFlags. */
export const EVENT_RESET = 5;
/** There is credit again: eventStream, or NONE for the whole connection. */
export const EVENT_CREDIT = 6;
/** The peer goes away: eventCode, eventLast = last stream id it will process. */
export const EVENT_GOAWAY = 7;
/** A request that must be answered by us: eventStream, eventCode = a REASON_*; h1 connections close after it. */
export const EVENT_REFUSE = 8;
/** The connection is beyond repair: output already holds what is to be said; flush and close. eventCode. */
export const EVENT_FATAL = 9;
/** Input is left at inputPtr: call again next turn (fairness), or when the stream before it is done (pipelining). */
export const EVENT_BLOCKED = 10;
/** An informational response (1xx, not 101): eventStream, eventHead. */
export const EVENT_INFORMATIONAL = 11;
/** The peer's first SETTINGS arrived: limits and peer kind are known. */
export const EVENT_READY = 12;
/** An acknowledgement of our PING. */
export const EVENT_PONG = 13;
/** A load report of another sidecar (HTTP/2, private frame); eventPtr: its payload. */
export const EVENT_REPORT = 14;

// eventFlags of EVENT_RESET.
/** The peer did it (else: we did, because the message was malformed; RST_STREAM is already queued). */
export const RESET_BY_PEER = 1;
/** Proven not processed: REFUSED_STREAM, or above GOAWAY's last id. */
export const RESET_UNPROCESSED = 2;

// Kinds of head.
export const HEAD_REQUEST = 0;
export const HEAD_RESPONSE = 1;
export const HEAD_TRAILERS = 2;

// Error codes of HTTP/2 (RFC 9113 §7).
export const H2_NO_ERROR = 0;
export const H2_PROTOCOL_ERROR = 1;
export const H2_INTERNAL_ERROR = 2;
export const H2_FLOW_CONTROL_ERROR = 3;
export const H2_SETTINGS_TIMEOUT = 4;
export const H2_STREAM_CLOSED = 5;
export const H2_FRAME_SIZE_ERROR = 6;
export const H2_REFUSED_STREAM = 7;
export const H2_CANCEL = 8;
export const H2_COMPRESSION_ERROR = 9;
export const H2_CONNECT_ERROR = 10;
export const H2_ENHANCE_YOUR_CALM = 11;
export const H2_INADEQUATE_SECURITY = 12;
export const H2_HTTP_1_1_REQUIRED = 13;

// Reasons of the answers that Pillion makes itself (DESIGN §5); the texts are in src/telemetry/reasons.ts.
export const REASON_NONE = 0;
export const REASON_NO_ROUTE = 1;
export const REASON_NO_INSTANCE = 2;
export const REASON_CONNECT_FAILED = 3;
export const REASON_CONNECT_TIMEOUT = 4;
export const REASON_UPSTREAM_RESET = 5;
export const REASON_UPSTREAM_PROTOCOL = 6;
export const REASON_REQUEST_TIMEOUT = 7;
export const REASON_IDLE_TIMEOUT = 8;
export const REASON_OVERFLOW = 9;
export const REASON_RATE_LIMITED = 10;
export const REASON_DENIED = 11;
export const REASON_UNAUTHENTICATED = 12;
export const REASON_BAD_REQUEST = 13;
export const REASON_REQUEST_HEADER_TIMEOUT = 14;
export const REASON_BODY_TOO_LARGE = 15;
export const REASON_URI_TOO_LONG = 16;
export const REASON_HEADER_TOO_LARGE = 17;
export const REASON_NOT_IMPLEMENTED = 18;
export const REASON_VERSION_UNSUPPORTED = 19;
export const REASON_LOOP = 20;
export const REASON_RESOURCE_EXHAUSTED = 21;
export const REASON_DRAINING = 22;
export const REASON_FAULT = 23;
export const REASON_NOT_READY = 24;
/** Not an answer: the client went away first. For logs and metrics only. */
export const REASON_CLIENT_GONE = 25;
export const REASONS_COUNT = 32;

// Glitches: anomalies of peers, one counter each (pillion_glitches_total{kind}).
export const GLITCH_BAD_MESSAGE = 0;
export const GLITCH_FRAME_SIZE = 1;
export const GLITCH_STREAM_STATE = 2;
export const GLITCH_FLOW_CONTROL = 3;
export const GLITCH_COMPRESSION = 4;
export const GLITCH_CONTINUATION = 5;
export const GLITCH_RESETS = 6;
export const GLITCH_SETTINGS = 7;
export const GLITCH_PING = 8;
export const GLITCH_EMPTY_FRAMES = 9;
export const GLITCH_SMALL_DATA = 10;
export const GLITCH_PRIORITY = 11;
export const GLITCH_WINDOW_UPDATES = 12;
export const GLITCH_REFUSED_STREAMS = 13;
export const GLITCH_HEAD_LIMIT = 14;
export const GLITCH_SLOW_HEAD = 15;
export const GLITCH_OUTPUT = 16;
export const GLITCH_PUSH = 17;
export const GLITCH_PREFACE = 18;
export const GLITCH_UNKNOWN_FRAMES = 19;
export const GLITCH_GOAWAY = 20;
export const GLITCH_STALLED = 21;
export const GLITCHES_COUNT = 24;
