// A connection whose codec gave up: because of what came, or of what did not come in time.

import {
  EVENT_FATAL,
  PROTOCOL_H2,
  REASON_UPSTREAM_PROTOCOL,
  REASON_UPSTREAM_RESET,
  ROLE_UPSTREAM,
} from "../abi/engine-codes.ts";
import { checkPatienceH2 } from "./h2/index.ts";
import { failWaiting, loseStreams, serveWaiting } from "./proxy/loss.ts";
import { isMute, noteRefusedH2 } from "./proxy/upstream.ts";
import {
  C_INSTANCE,
  C_PROTOCOL,
  C_ROLE,
  CONNECTION_CLOSE_WANTED,
  CONNECTION_CONNECTING,
  CONNECTION_DRAINING,
  CONNECTION_LINGER,
  hasFlag,
  setFlag,
} from "./tables/connections.ts";
import { requestClose } from "./tables/control.ts";

/** What it had to say is in the output. */
export function failConnection(connection: u32): void {
  setFlag(connection, CONNECTION_DRAINING);
  const isUpstream = load<u8>(connection, C_ROLE) == ROLE_UPSTREAM;
  // A close over bytes that were not read is a reset, and what was said may be lost with it.
  const isServerTold = isUpstream && load<u8>(connection, C_PROTOCOL) == PROTOCOL_H2;
  if (isServerTold) setFlag(connection, CONNECTION_LINGER);
  if (isUpstream && isMute(connection)) {
    // What came first was not SETTINGS (RFC 9113 §3.4): the peer speaks something else.
    noteRefusedH2(connection);
    failWaiting(connection, REASON_UPSTREAM_PROTOCOL);
  } else loseStreams(connection, REASON_UPSTREAM_PROTOCOL);
  if (isServerTold) serveWaiting(load<u32>(connection, C_INSTANCE)); // who waits for room need not see it close
  if (hasFlag(connection, CONNECTION_CLOSE_WANTED)) return;
  if (!isUpstream) setFlag(connection, CONNECTION_LINGER);
  requestClose(connection);
}

/** The connection's timer fired: true when its peer is late with what it owes the codec, and the connection is over. */
export function failLate(connection: u32): bool {
  if (load<u8>(connection, C_PROTOCOL) != PROTOCOL_H2) return false;
  if (hasFlag(connection, CONNECTION_CONNECTING | CONNECTION_CLOSE_WANTED)) return false;
  if (checkPatienceH2(connection) != EVENT_FATAL) return false;
  setFlag(connection, CONNECTION_DRAINING);
  loseStreams(connection, REASON_UPSTREAM_RESET);
  requestClose(connection);
  return true;
}
