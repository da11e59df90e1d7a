// How a TCP connection ended: a metric cell each (TCP_ENDS_CELL), and the reason of its log line.
//
// Rule: read by asc and by Node: integer constants only. The names are telemetry/names.ts's.

/** Both sides said their FIN. */
export const TCP_END_CLOSED = 0;
/** The client reset it. */
export const TCP_END_CLIENT_GONE = 1;
/** Who carried it reset it. */
export const TCP_END_UPSTREAM_RESET = 2;
export const TCP_END_IDLE = 3;

/** From here on: nobody was reached, the client was reset. */
export const TCP_END_NOT_REACHED = 4;
export const TCP_END_NO_INSTANCE = 4;
export const TCP_END_CONNECT_FAILED = 5;
export const TCP_END_CONNECT_TIMEOUT = 6;
/** The service's limits.connections. */
export const TCP_END_OVERFLOW = 7;
/** `--unknown deny`. */
export const TCP_END_NO_ROUTE = 8;
/** It was going to a listener of ours. */
export const TCP_END_LOOP = 9;
export const TCP_ENDS_COUNT = 10;
