// Responses that their HTTP/2 client does not let out: a window of 0, or credit by single bytes (reliability.md §1.2,
// A5 and A13). What waits for credit holds memory, so patience has an end, and a near one while memory is short.
//
// HTTP/1.1 needs none of it: there the connection's own output stalls (downstream.ts).

import { GLITCH_STALLED, H2_ENHANCE_YOUR_CALM, REASON_IDLE_TIMEOUT } from "../../abi/engine-codes.ts";
import {
  POOL_PRESSURE_HIGH,
  STREAM_STALL_BYTES,
  STREAM_STALL_PRESSED_MS,
  STREAM_STALL_TIMEOUT_MS,
} from "../../abi/limits.ts";
import { poolPressure } from "../../core/pool.ts";
import { now } from "../http/event.ts";
import { glitch } from "../http/glitch.ts";
import { X_DOWN, X_REASON, X_RESPONSE, X_SENT, X_STALL_SINCE, X_STALL_UNTIL } from "./exchange.ts";
import { finishExchange } from "./finish.ts";
import { connectionOfStream, isH2, reset } from "./leg.ts";
import { pipeWaiting } from "./pipe.ts";
import { armExchange } from "./timeouts.ts";

/** Some of the response waits for its client: looks again when that may have lasted too long. */
export function noteStall(exchange: u32): void {
  if (load<u64>(exchange, X_STALL_SINCE) != 0 || !isH2(load<u32>(exchange, X_DOWN))) return;
  startStall(exchange);
  armExchange(exchange);
}

/** The timer of an exchange fired: true when its client had been waited for long enough, and the exchange is over. */
export function endStall(exchange: u32): bool {
  const since = load<u64>(exchange, X_STALL_SINCE);
  if (since == 0) return false;
  if (pipeWaiting(exchange + X_RESPONSE) == 0) store<u64>(exchange, 0, X_STALL_SINCE);
  else if (goneBytes(exchange) >= load<i64>(exchange, X_STALL_UNTIL)) startStall(exchange);
  else {
    const timeoutMs = poolPressure() >= <u32>POOL_PRESSURE_HIGH ? STREAM_STALL_PRESSED_MS : STREAM_STALL_TIMEOUT_MS;
    if (now - since >= u64(timeoutMs) * 1000) {
      const down = load<u32>(exchange, X_DOWN);
      glitch(connectionOfStream(down), GLITCH_STALLED);
      store<u8>(exchange, u8(REASON_IDLE_TIMEOUT), X_REASON);
      reset(down, H2_ENHANCE_YOUR_CALM);
      finishExchange(exchange);
      return true;
    }
  }
  return false;
}

function startStall(exchange: u32): void {
  const waiting = pipeWaiting(exchange + X_RESPONSE);
  store<u64>(exchange, now, X_STALL_SINCE);
  store<i64>(exchange, goneBytes(exchange) + i64(min<u32>(waiting, STREAM_STALL_BYTES)), X_STALL_UNTIL);
}

/** How far the response has come, from whatever number it began with. */
function goneBytes(exchange: u32): i64 {
  return load<i64>(exchange, X_SENT) - i64(pipeWaiting(exchange + X_RESPONSE));
}
