// The pool, the timing wheel and the digests by themselves, for their tests.

import { PROXY_SCRATCH, READ_BUFFER } from "../abi/engine-memory.ts";
import { encodeBase64 } from "../core/base64.ts";
import { allocate, capacityOf, createPool, poolBytes, poolPressure, poolUsedBytes, release } from "../core/pool.ts";
import { SHA1_BYTES, sha1 } from "../core/sha1.ts";
import { writeWebSocketAccept } from "../engine/http/websocket.ts";
import {
  armTimer,
  connectionTimer,
  disarmTimer,
  exchangeTimer,
  isConnectionTimer,
  nextDeadline,
  startTimers,
  takeDueTimer,
  timerOwner,
} from "../engine/timers.ts";

export { allocate, capacityOf, createPool, poolBytes, poolPressure, poolUsedBytes, release };

export function start(nowUs: f64): void {
  startTimers(u64(nowUs));
}

/** Node of a number: even ones are connections', odd ones exchanges'. */
function nodeOf(timer: u32): u32 {
  return timer & 1 ? exchangeTimer(timer >> 1) : connectionTimer(timer >> 1);
}

export function arm(timer: u32, deadlineUs: f64): void {
  armTimer(nodeOf(timer), u64(deadlineUs));
}

export function disarm(timer: u32): void {
  disarmTimer(nodeOf(timer));
}

/** The next timer that is due, -1 = none. */
export function takeDue(nowUs: f64): i32 {
  const node = takeDueTimer(u64(nowUs));
  if (node == 0) return -1;
  return i32(timerOwner(node) * 2 + (isConnectionTimer(node) ? 0 : 1));
}

export function deadline(): f64 {
  return f64(nextDeadline());
}

/** Base64 of the digest of what lies in the read buffer, written behind it; returns where. Its length is 28. */
export function digest(length: u32): u32 {
  const out: u32 = READ_BUFFER + length;
  sha1(READ_BUFFER, length, out, PROXY_SCRATCH);
  encodeBase64(out, SHA1_BYTES, out + SHA1_BYTES);
  return out + SHA1_BYTES;
}

/** Base64 of what lies in the read buffer, written behind it; returns how many characters. */
export function base64(length: u32): u32 {
  return encodeBase64(READ_BUFFER, length, READ_BUFFER + length);
}

/** What a server answers to the WebSocket key in the read buffer, written behind it. */
export function webSocketAccept(): void {
  writeWebSocketAccept(READ_BUFFER, READ_BUFFER + 24);
}
