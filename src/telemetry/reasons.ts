// Why Pillion answered by itself: the one table from reason to status, gRPC code, log flag and remedy (DESIGN §5).
//
// Everything else derives from it: metric labels, log lines, docs/ERRORS, and the engine's texts, which
// tools/generate-reasons.mjs writes into assembly/engine/http/reasons-table.ts. The numbers are the engine's
// (abi/engine-codes.ts). Classification is total: a number without a row here is a bug, and `reasonOf` says so.
//
// Statuses are RFC 9110 §15's and RFC 6585's; gRPC codes follow gRPC's own HTTP mapping, except where a reason says
// more than its status does (a limit is RESOURCE_EXHAUSTED, a deadline DEADLINE_EXCEEDED).

import {
  REASON_BAD_REQUEST,
  REASON_BODY_TOO_LARGE,
  REASON_CLIENT_GONE,
  REASON_CONNECT_FAILED,
  REASON_CONNECT_TIMEOUT,
  REASON_DENIED,
  REASON_DRAINING,
  REASON_FAULT,
  REASON_HEADER_TOO_LARGE,
  REASON_IDLE_TIMEOUT,
  REASON_LOOP,
  REASON_NO_INSTANCE,
  REASON_NO_ROUTE,
  REASON_NONE,
  REASON_NOT_IMPLEMENTED,
  REASON_NOT_READY,
  REASON_OVERFLOW,
  REASON_RATE_LIMITED,
  REASON_REQUEST_HEADER_TIMEOUT,
  REASON_REQUEST_TIMEOUT,
  REASON_RESOURCE_EXHAUSTED,
  REASON_UNAUTHENTICATED,
  REASON_UPSTREAM_PROTOCOL,
  REASON_UPSTREAM_RESET,
  REASON_URI_TOO_LONG,
  REASON_VERSION_UNSUPPORTED,
} from "../../assembly/abi/engine-codes.ts";

/** Codes of google.rpc.Code that the table uses. */
const CANCELLED = 1;
const DEADLINE_EXCEEDED = 4;
const PERMISSION_DENIED = 7;
const RESOURCE_EXHAUSTED = 8;
const UNIMPLEMENTED = 12;
const INTERNAL = 13;
const UNAVAILABLE = 14;
const UNAUTHENTICATED = 16;

export interface Reason {
  /** REASON_* of the engine. */
  readonly code: number;
  /** As in `x-pillion-reason`, metrics and logs. */
  readonly text: string;
  /** HTTP status; 0 where no answer is made. */
  readonly status: number;
  /** google.rpc.Code. */
  readonly grpcStatus: number;
  /** Written to the error log even while the access log is off. */
  readonly log: boolean;
  /** The same request may succeed elsewhere or a moment later. */
  readonly retryable: boolean;
  /** What happened and what to do about it; ASCII, at most 255 bytes: it goes into JSON and `grpc-message` as it is. */
  readonly message: string;
}

function row(
  code: number,
  text: string,
  status: number,
  grpcStatus: number,
  flags: { log: boolean; retryable: boolean },
  message: string,
): Reason {
  return { code, text, status, grpcStatus, log: flags.log, retryable: flags.retryable, message };
}

// Logged unless a caller could fill the log with it at will and the operator asked for it (limits, faults).
const AGAIN = { log: true, retryable: true };
const FINAL = { log: true, retryable: false };
const QUIET_AGAIN = { log: false, retryable: true };
const QUIET = { log: false, retryable: false };

/** Every reason, ascending by code. */
export const REASONS: readonly Reason[] = [
  row(REASON_NONE, "none", 0, 0, QUIET, ""),
  row(
    REASON_NO_ROUTE,
    "no-route",
    404,
    UNIMPLEMENTED,
    FINAL,
    "No route or service matches this host and path. Check the host header, or add a service or route for it.",
  ),
  row(
    REASON_NO_INSTANCE,
    "no-instance",
    503,
    UNAVAILABLE,
    AGAIN,
    "The service has no instance that may be used. Start one, or see /instances on the admin port for their states.",
  ),
  row(
    REASON_CONNECT_FAILED,
    "connect-failed",
    503,
    UNAVAILABLE,
    AGAIN,
    "No connection to the instance could be opened. Check that it listens on the address that the registry names.",
  ),
  row(
    REASON_CONNECT_TIMEOUT,
    "connect-timeout",
    504,
    UNAVAILABLE,
    AGAIN,
    "The instance did not accept a connection in time. Check the network to it, or raise timeout.connect.",
  ),
  row(
    REASON_UPSTREAM_RESET,
    "upstream-reset",
    502,
    UNAVAILABLE,
    AGAIN,
    "The instance closed or reset the request before it answered. Look for a crash or a timeout in its own log.",
  ),
  row(
    REASON_UPSTREAM_PROTOCOL,
    "upstream-protocol",
    502,
    INTERNAL,
    AGAIN,
    "The instance answered with bytes that are not valid in its protocol. Check the service's protocol setting.",
  ),
  row(
    REASON_REQUEST_TIMEOUT,
    "request-timeout",
    504,
    DEADLINE_EXCEEDED,
    AGAIN,
    "The request's time was over before the answer came. Raise timeout.request, or the caller's own deadline.",
  ),
  row(
    REASON_IDLE_TIMEOUT,
    "idle-timeout",
    504,
    DEADLINE_EXCEEDED,
    AGAIN,
    "Nothing was sent in either direction for longer than timeout.idle allows.",
  ),
  row(
    REASON_OVERFLOW,
    "overflow",
    503,
    UNAVAILABLE,
    AGAIN,
    "A limit of the service is reached. Add instances, or raise the limit under limits in its document.",
  ),
  row(
    REASON_RATE_LIMITED,
    "rate-limited",
    429,
    RESOURCE_EXHAUSTED,
    QUIET_AGAIN,
    "The caller sent more requests than rateLimit allows. Slow down, or raise it in the service's document.",
  ),
  row(
    REASON_DENIED,
    "denied",
    403,
    PERMISSION_DENIED,
    FINAL,
    "The access documents do not allow this caller. Add a rule that names it.",
  ),
  row(
    REASON_UNAUTHENTICATED,
    "unauthenticated",
    401,
    UNAUTHENTICATED,
    FINAL,
    "The caller did not prove its identity. Call through its own sidecar.",
  ),
  row(
    REASON_BAD_REQUEST,
    "bad-request",
    400,
    INTERNAL,
    FINAL,
    "The request is malformed or ambiguous and was refused unread. Fix the client that made it.",
  ),
  row(
    REASON_REQUEST_HEADER_TIMEOUT,
    "request-header-timeout",
    408,
    DEADLINE_EXCEEDED,
    QUIET_AGAIN,
    "The request's head did not arrive in time. Check the network to the client.",
  ),
  row(
    REASON_BODY_TOO_LARGE,
    "body-too-large",
    413,
    RESOURCE_EXHAUSTED,
    FINAL,
    "The request's body is larger than allowed. Send less.",
  ),
  row(
    REASON_URI_TOO_LONG,
    "uri-too-long",
    414,
    RESOURCE_EXHAUSTED,
    FINAL,
    "The request's target is longer than 8 KiB. Send the data in the body.",
  ),
  row(
    REASON_HEADER_TOO_LARGE,
    "header-too-large",
    431,
    RESOURCE_EXHAUSTED,
    FINAL,
    "The header fields are larger or more than allowed (60 KiB, 200 fields, 1000 cookies). Send fewer.",
  ),
  row(
    REASON_NOT_IMPLEMENTED,
    "not-implemented",
    501,
    UNIMPLEMENTED,
    FINAL,
    "The request asks for something that this sidecar does not do: a method, a transfer coding or an upgrade.",
  ),
  row(
    REASON_VERSION_UNSUPPORTED,
    "version-unsupported",
    505,
    UNIMPLEMENTED,
    FINAL,
    "This version of HTTP is not spoken here. Use HTTP/1.0, HTTP/1.1 or HTTP/2.",
  ),
  row(
    REASON_LOOP,
    "loop",
    508,
    INTERNAL,
    FINAL,
    "The request went in a circle of sidecars. Look for a route or an instance address that leads back to a sidecar.",
  ),
  row(
    REASON_RESOURCE_EXHAUSTED,
    "resource-exhausted",
    503,
    RESOURCE_EXHAUSTED,
    AGAIN,
    "The sidecar's memory budget is used up. Look for clients that do not read their answers, or add workers.",
  ),
  row(
    REASON_DRAINING,
    "draining",
    503,
    UNAVAILABLE,
    AGAIN,
    "The sidecar is shutting down and takes nothing new. Use another instance.",
  ),
  row(
    REASON_FAULT,
    "fault",
    503,
    UNAVAILABLE,
    QUIET_AGAIN,
    "This answer was injected by a fault rule of the route. Remove the rule to stop it.",
  ),
  row(
    REASON_NOT_READY,
    "not-ready",
    503,
    UNAVAILABLE,
    AGAIN,
    "The sidecar has not loaded its registry yet. See /ready on the probe port for what it waits for.",
  ),
  row(
    REASON_CLIENT_GONE,
    "client-gone",
    499,
    CANCELLED,
    QUIET,
    "The caller closed or reset the request before the answer was complete.",
  ),
];

/** The row of an engine's REASON_*; throws on a number that the table lacks, because then the halves disagree. */
export function reasonOf(code: number): Reason {
  const reason = REASONS[code];
  if (reason === undefined) throw new RangeError(`no reason has the code ${code}`);
  return reason;
}
