// HTTP/2 (RFC 9113), both roles, behind one door. `connection` and `stream` are addresses of records.
//
//   startH2(connection)                      queues the preface: role is C_ROLE; input starts with the peer's preface
//   stopH2(connection)                       gives all codec memory back; streams were released before
//   startTurnH2(connection)                  a new turn: FRAMES_PER_TURN_MAX counts from zero
//   receiveH2(connection): i32               EVENT_*, from [inputPtr, inputEnd); call until EVENT_NONE or EVENT_BLOCKED
//   endH2(connection): i32                   the peer's FIN: EVENT_RESET for each stream cut short, then EVENT_NONE
//   openH2(connection): u32                  a stream for a new request, 0 when canOpenH2 is false; its id comes with
//                                            its head, so streams may send their heads in any order
//   canOpenH2(connection): bool              below the peer's limit, no GOAWAY either way, identifiers left
//   maxStreamsH2(connection): u32            how many streams may be open at once (100 until the peer's SETTINGS)
//   hasExtendedConnectH2(connection): bool   the peer said SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441)
//   sendHeadH2(stream, head, end)            request or response
//   sendInformationalH2(stream, head)        1xx
//   sendableH2(stream): u32                  DATA bytes that may be sent now
//   sendDataH2(stream, ptr, length, end)     length <= sendableH2
//   sendTrailersH2(stream, head)             ends our side
//   sendEndH2(stream)                        ends our side without data
//   resetH2(stream, code)                    RST_STREAM, once
//   creditH2(stream, bytes)                  `bytes` of EVENT_DATA were passed on
//   smallDataH2(stream): u32                 what its small DATA frames are charged with: bytes not passed on yet
//   isNarrowH2(stream)  widenH2(stream)      an upstream's stream may have, and gets, the large window
//   releaseStreamH2(stream)                  destroys the record; resets the stream first where it is not over
//   goawayH2(connection, code, final)        first notice (2^31 - 1), then the final one
//   repeatGoawayH2(connection)               says the GOAWAY of EVENT_FATAL again, where it was taken back
//   pingH2(connection)                       answered by EVENT_PONG
//   takesReportsH2(connection): bool         the peer is Pillion too: it takes load reports
//   reportedAtH2(connection): u64            when the last one was sent, µs
//   sendReportH2(connection, inflight, latencyUs, flags, nowUs)   EVENT_REPORT at the peer
//   patienceH2(connection): i64              µs after which checkPatienceH2 has something to do; -1 = never
//   checkPatienceH2(connection): i32         EVENT_FATAL when the peer is late with what it owes, else EVENT_NONE
//
// After a send on a stream that is STREAM_RESET or whose side is over nothing happens: the caller learns it by events.

import { isOpenH2, pingH2, startH2, startTurnH2, stopH2 } from "./connection.ts";
import { smallDataH2 } from "./guard.ts";
import { checkPatienceH2, patienceH2 } from "./patience.ts";
import { receiveH2 } from "./receive.ts";
import { reportedAtH2, sendReportH2, takesReportsH2 } from "./report.ts";
import { sendDataH2, sendEndH2, sendHeadH2, sendInformationalH2, sendTrailersH2 } from "./send.ts";
import { endH2, goawayH2, isDeadH2, isFinalH2, repeatGoawayH2 } from "./shutdown.ts";
import { STREAM_WIDE } from "./state.ts";
import { canOpenH2, hasExtendedConnectH2, maxStreamsH2, openH2, releaseStreamH2, resetH2 } from "./streams.ts";
import { creditH2, isNarrowH2, sendableH2, widenH2 } from "./window.ts";

export {
  canOpenH2,
  checkPatienceH2,
  creditH2,
  endH2,
  goawayH2,
  hasExtendedConnectH2,
  isDeadH2,
  isFinalH2,
  isNarrowH2,
  isOpenH2,
  maxStreamsH2,
  openH2,
  patienceH2,
  pingH2,
  receiveH2,
  releaseStreamH2,
  repeatGoawayH2,
  reportedAtH2,
  resetH2,
  STREAM_WIDE,
  sendableH2,
  sendDataH2,
  sendEndH2,
  sendHeadH2,
  sendInformationalH2,
  sendReportH2,
  sendTrailersH2,
  smallDataH2,
  startH2,
  startTurnH2,
  stopH2,
  takesReportsH2,
  widenH2,
};
