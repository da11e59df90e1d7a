// What `poll` hands to JavaScript: records of eight u32, in order.
//
//   kind · connection · a · b · c · d · e · f
//
// Rule: the order of records of one connection is the order in which they must be carried out.

/** Write `b` bytes at address `a` to the socket; several in a row for one connection are one writev. */
export const RECORD_WRITE = 1;
/** Open a socket to instance slot `a` (generation `b`), give up after `c` ms; answer `connected` or `closed`. */
export const RECORD_CONNECT = 2;
/** Half-close our sending side (FIN) once everything before it is written. */
export const RECORD_SHUTDOWN = 3;
/** Close: `a` = 0 after what was written is flushed, 1 at once with a reset. Then the handle is forgotten. */
export const RECORD_CLOSE = 4;
/** Stop reading from this socket. */
export const RECORD_PAUSE = 5;
/** Read again. */
export const RECORD_RESUME = 6;
/** A finished or failed exchange to be logged: `a` address and `b` length of an entry (abi/log-entry.ts). */
export const RECORD_LOG = 7;

/** Failure kinds that JavaScript reports to `closed(connection, failure)`. */
export const SOCKET_CLOSED = 0;
export const SOCKET_REFUSED = 1;
export const SOCKET_TIMEOUT = 2;
export const SOCKET_RESET = 3;
export const SOCKET_UNREACHABLE = 4;

/** Kinds of listener an accepted connection came through. */
export const LISTENER_OUTBOUND = 0;
export const LISTENER_INBOUND = 1;
/** `--listen host:port=service`: every request goes to that service. */
export const LISTENER_SERVICE = 2;
