// The door of the HTTP/1.1 codec (RFC 9112, HTTP/1.0 too): the verbs of every codec, with the suffix H1.
//
//   life      startH1(connection)  stopH1(connection)  openH1(connection): u32  releaseStreamH1(stream)
//   receive   receiveH1(connection): i32 EVENT_*       endH1(connection): i32 EVENT_* at the peer's FIN
//   send      sendHeadH1(stream, head, end)            sendInformationalH1(stream, head)
//             sendDataH1(stream, ptr, length, end)     sendTrailersH1(stream, head)  sendEndH1(stream)
//             sendableH1(stream): u32                  creditH1(stream, bytes)       resetH1(stream, code)
//   closing   isReusableH1(connection): bool           wantsCloseH1(connection): bool
//             closeAfterResponseH1(connection)          keepAliveSecondsH1(connection): u32
//   tunnel    becomeTunnelH1(stream): done by the codec after a 2xx to CONNECT and after 101
//
// Rule 1: a connection has one stream at a time. After the end of a request the codec says EVENT_BLOCKED to further
//         input until `releaseStreamH1`; then `isReusableH1` says whether it goes on, else the owner closes the socket.
// Rule 2: the head of a CONNECT or Upgrade request has eventEnd = false. When the answer makes no tunnel, sendHeadH1
//         sets STREAM_RECEIVED_END by itself; no EVENT_END comes, and the connection closes.
// Rule 3: EVENT_REFUSE may come for a stream whose head was delivered (a broken chunk): no response head was sent yet,
//         so there can be an answer. When one was sent, EVENT_RESET comes instead and the socket is to be aborted.
// Rule 4: `endH1` is called when all input before the FIN was taken.

import {
  becomeTunnelH1,
  closeAfterResponseH1,
  creditH1,
  earnsWideH1,
  isNarrowH1,
  isReusableH1,
  keepAliveSecondsH1,
  openH1,
  releaseStreamH1,
  resetH1,
  sendableH1,
  startH1,
  stopH1,
  wantsCloseH1,
  widenH1,
} from "./lifecycle.ts";
import { endH1, receiveH1 } from "./receive.ts";
import { sendDataH1, sendEndH1, sendHeadH1, sendInformationalH1, sendTrailersH1 } from "./send.ts";

export {
  becomeTunnelH1,
  closeAfterResponseH1,
  creditH1,
  earnsWideH1,
  endH1,
  isNarrowH1,
  isReusableH1,
  keepAliveSecondsH1,
  openH1,
  receiveH1,
  releaseStreamH1,
  resetH1,
  sendableH1,
  sendDataH1,
  sendEndH1,
  sendHeadH1,
  sendInformationalH1,
  sendTrailersH1,
  startH1,
  stopH1,
  wantsCloseH1,
  widenH1,
};
