// From an exchange to a tunnel: a CONNECT that has succeeded, an Upgrade that was agreed.

import { HEAD_RESPONSE } from "../../abi/engine-codes.ts";
import { ANSWER_HEAD } from "../../abi/engine-memory.ts";
import { HEAD_STATUS, HEAD_VERSION, startHead } from "../http/head.ts";
import { markReady } from "../tables/control.ts";
import {
  EXCHANGE_CONVERTED,
  EXCHANGE_IS_TUNNEL,
  hasX,
  STATE_ANSWERED,
  setX,
  X_DOWN,
  X_REQUEST,
  X_STATE,
  X_STATUS,
  X_UP,
} from "./exchange.ts";
import { connectionOfStream, isH2, sendHead } from "./leg.ts";
import { OUTCOME_ANSWERED, recordAttempt } from "./metrics.ts";
import { dropKept, flushPipe } from "./pipe.ts";
import { armExchange } from "./timeouts.ts";
import { toSwitched } from "./upgrade.ts";

/** A raw connection is open: the CONNECT that it was opened for has succeeded. */
export function confirmTunnel(exchange: u32): void {
  startHead(ANSWER_HEAD, HEAD_RESPONSE);
  store<u16>(ANSWER_HEAD, 200, HEAD_STATUS);
  store<u8>(ANSWER_HEAD, 11, HEAD_VERSION);
  store<u8>(exchange, STATE_ANSWERED, X_STATE);
  store<u16>(exchange, 200, X_STATUS);
  recordAttempt(exchange, OUTCOME_ANSWERED);
  openTunnel(exchange, ANSWER_HEAD);
}

/** The tunnel is agreed: the head that says so goes downstream, and bytes go both ways. */
export function openTunnel(exchange: u32, head: u32): void {
  const down = load<u32>(exchange, X_DOWN);
  if (hasX(exchange, EXCHANGE_CONVERTED)) toSwitched(exchange, head, isH2(down));
  setX(exchange, EXCHANGE_IS_TUNNEL);
  dropKept(exchange + X_REQUEST);
  sendHead(down, head, false);
  flushPipe(exchange + X_REQUEST, down, load<u32>(exchange, X_UP));
  if (!isH2(down)) markReady(connectionOfStream(down)); // what the client said too early is waiting
  armExchange(exchange);
}
