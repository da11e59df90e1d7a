// Field names that the engine knows by number. Names it need not know are NAME_OTHER and carried as text.
//
// Rule 1: read by asc and by Node: integer constants only.
// Rule 2: the text of a name is its constant in lower case with dashes (pseudo-headers: with a colon before it), so
//         engine/http/names.ts can be checked against this file.

export const NAME_OTHER = 0;
// Pseudo-headers (RFC 9113 §8.3).
export const NAME_AUTHORITY = 1;
export const NAME_METHOD = 2;
export const NAME_PATH = 3;
export const NAME_SCHEME = 4;
export const NAME_STATUS = 5;
export const NAME_PROTOCOL = 6;
export const NAME_PSEUDO_LAST = 6;
// Connection-specific (RFC 9113 §8.2.2, RFC 9110 §7.6.1): never forwarded.
export const NAME_CONNECTION = 8;
export const NAME_KEEP_ALIVE = 9;
export const NAME_PROXY_CONNECTION = 10;
export const NAME_TRANSFER_ENCODING = 11;
export const NAME_UPGRADE = 12;
export const NAME_HTTP2_SETTINGS = 13;
export const NAME_TE = 14;
export const NAME_HOP_FIRST = 8;
export const NAME_HOP_LAST = 14;
export const NAME_TRAILER = 15;
export const NAME_HOST = 16;
export const NAME_CONTENT_LENGTH = 17;
export const NAME_CONTENT_TYPE = 18;
export const NAME_EXPECT = 19;
export const NAME_COOKIE = 20;
export const NAME_SET_COOKIE = 21;
export const NAME_AUTHORIZATION = 22;
export const NAME_PROXY_AUTHORIZATION = 23;
export const NAME_DATE = 24;
export const NAME_SERVER = 25;
export const NAME_LOCATION = 26;
export const NAME_USER_AGENT = 27;
export const NAME_ACCEPT = 28;
export const NAME_ACCEPT_ENCODING = 29;
export const NAME_ACCEPT_LANGUAGE = 30;
export const NAME_CONTENT_ENCODING = 31;
export const NAME_CACHE_CONTROL = 32;
export const NAME_ETAG = 33;
export const NAME_LAST_MODIFIED = 34;
export const NAME_IF_NONE_MATCH = 35;
export const NAME_IF_MODIFIED_SINCE = 36;
export const NAME_AGE = 37;
export const NAME_VARY = 38;
export const NAME_RETRY_AFTER = 39;
export const NAME_GRPC_STATUS = 40;
export const NAME_GRPC_MESSAGE = 41;
export const NAME_GRPC_TIMEOUT = 42;
export const NAME_GRPC_ENCODING = 43;
export const NAME_GRPC_ACCEPT_ENCODING = 44;
export const NAME_X_REQUEST_ID = 45;
export const NAME_X_FORWARDED_FOR = 46;
export const NAME_X_FORWARDED_PROTO = 47;
export const NAME_X_FORWARDED_HOST = 48;
export const NAME_TRACEPARENT = 49;
export const NAME_TRACESTATE = 50;
export const NAME_IDEMPOTENCY_KEY = 51;
export const NAME_X_PILLION_REASON = 52;
export const NAME_X_PILLION_UNPROCESSED = 53;
export const NAME_X_PILLION_HOPS = 54;
export const NAME_X_PILLION_VERSION = 55;
export const NAME_X_PILLION_SERVICE = 56;
export const NAME_X_PILLION_INSTANCE = 57;
export const NAME_SEC_WEBSOCKET_KEY = 58;
export const NAME_SEC_WEBSOCKET_ACCEPT = 59;
export const NAME_SEC_WEBSOCKET_VERSION = 60;
export const NAME_ORIGIN = 61;
export const NAME_REFERER = 62;
export const NAMES_COUNT = 63;
