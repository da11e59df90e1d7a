// Every flood budget of a connection (reliability.md §1.2 and §6; the values are in abi/limits.ts).
//
// A check returns true while the peer is within its budget. Budgets that honest peers use up by bursts are buckets that
// time fills again; those that honest peers use up by working are replenished by that work. A peer that is Pillion too
// carries the traffic of many callers: each budget of it is sixteen times as wide.

import { GLITCH_RESETS, GLITCH_STREAM_STATE, H2_NO_ERROR, ROLE_DOWNSTREAM } from "../../abi/engine-codes.ts";
import {
  H2_ACKS_PER_SECOND,
  H2_ACKS_QUEUED_MAX,
  H2_EMPTY_FRAMES_MAX,
  H2_ERROR_RESETS_BURST,
  H2_ERROR_RESETS_PER_SECOND,
  H2_GLITCHES_BURST,
  H2_GLITCHES_PER_SECOND,
  H2_LATE_HEAD_BYTES,
  H2_REFUSED_STREAMS_MAX,
  H2_RESET_SAMPLE_STREAMS,
  H2_RESETS_BURST,
  H2_RESETS_PER_SECOND,
  H2_SMALL_DATA_BUDGET,
  H2_SMALL_DATA_OVERHEAD,
  H2_VOID_FRAMES_PER_STREAM,
  H2_WINDOW_UPDATES_BASE,
  H2_WINDOW_UPDATES_PER_DATA,
  H2_WINDOW_UPDATES_PER_STREAM,
  HEADS_EARNED_FACTOR,
  HEADS_LIVE_BYTES_MAX,
  OUTPUT_CONTROL_BYTES_MAX,
  OUTPUT_HIGH_BYTES,
  PEER_BUDGET_FACTOR,
} from "../../abi/limits.ts";
import { now } from "../http/event.ts";
import { glitch } from "../http/glitch.ts";
import { C_HEAD_BYTES, C_OUT_BYTES, C_PEER_IS_PILLION, C_ROLE } from "../tables/connections.ts";
import { goawayH2 } from "./shutdown.ts";
import {
  H_ACK_BUCKET,
  H_BLOCKS_RECEIVED,
  H_DATA_SENT,
  H_ERROR_BUCKET,
  H_GLITCH_BUCKET,
  H_LAST_ID,
  H_LATE_CREDIT,
  H_OPENED,
  H_REFUSED,
  H_RESET_BUCKET,
  H_SAMPLE_RESETS,
  H_SAMPLE_STREAMS,
  H_SMALL_BUDGET,
  H_VOID_FRAMES,
  H_WINDOW_UPDATES,
  S_EMPTY_FRAMES,
  S_OUTSTANDING,
  S_OVERHEAD,
} from "./state.ts";

export function startGuard(connection: u32): void {
  fillBuckets(connection, 1);
}

/** The peer turned out to be Pillion: the wider column from here on. */
export function widenGuard(connection: u32): void {
  fillBuckets(connection, PEER_BUDGET_FACTOR);
}

function fillBuckets(connection: u32, factor: u32): void {
  fillBucket(connection + H_RESET_BUCKET, H2_RESETS_BURST * factor);
  fillBucket(connection + H_ERROR_BUCKET, H2_ERROR_RESETS_BURST * factor);
  fillBucket(connection + H_GLITCH_BUCKET, H2_GLITCHES_BURST * factor);
  fillBucket(connection + H_ACK_BUCKET, H2_ACKS_QUEUED_MAX * factor);
  store<i32>(connection, H2_SMALL_DATA_BUDGET * i32(factor), H_SMALL_BUDGET);
}

/** A client opened a stream. */
export function countStream(connection: u32): void {
  countUp(connection, H_OPENED);
  const streams = u32(load<u16>(connection, H_SAMPLE_STREAMS)) + 1;
  if (streams < <u32>H2_RESET_SAMPLE_STREAMS) {
    store<u16>(connection, u16(streams), H_SAMPLE_STREAMS);
  } else {
    // Halving forgets the past gradually: the sample is between half and all of the last 500 streams.
    store<u16>(connection, u16(streams >> 1), H_SAMPLE_STREAMS);
    store<u16>(connection, load<u16>(connection, H_SAMPLE_RESETS) >> 1, H_SAMPLE_RESETS);
  }
}

/**
 * The peer reset a stream (CVE-2023-44487). Only servers are guarded: a client's resets cost the upstream, a server's
 * cost us nothing but the stream that we opened. False when the bucket is empty and at least half of the sampled
 * streams ended so before a response.
 */
export function spendReset(connection: u32, isPremature: bool): bool {
  if (load<u8>(connection, C_ROLE) != ROLE_DOWNSTREAM) return true;
  let resets = u32(load<u16>(connection, H_SAMPLE_RESETS));
  if (isPremature) {
    resets += 1;
    store<u16>(connection, u16(min<u32>(resets, 0xffff)), H_SAMPLE_RESETS);
  }
  if (spend(connection, H_RESET_BUCKET, H2_RESETS_BURST, H2_RESETS_PER_SECOND)) return true;
  glitch(connection, GLITCH_RESETS);
  return resets * 2 < u32(load<u16>(connection, H_SAMPLE_STREAMS));
}

/** We reset a stream for what the peer did on it (CVE-2025-8671), whatever was sent before. */
export function spendErrorReset(connection: u32): bool {
  if (load<u8>(connection, C_ROLE) != ROLE_DOWNSTREAM) return true;
  return spend(connection, H_ERROR_BUCKET, H2_ERROR_RESETS_BURST, H2_ERROR_RESETS_PER_SECOND);
}

/** Any other anomaly that left the connection alive. Long before it is too much the peer is asked to go. */
export function spendGlitch(connection: u32, kind: u32): bool {
  glitch(connection, kind);
  if (!spend(connection, H_GLITCH_BUCKET, H2_GLITCHES_BURST, H2_GLITCHES_PER_SECOND)) return false;
  const left = load<u32>(connection, H_GLITCH_BUCKET);
  if (left < widened(connection, H2_GLITCHES_BURST) / 4) goawayH2(connection, H2_NO_ERROR, false);
  return true;
}

/** An acknowledgement is about to be queued (CVE-2019-9512, -9515). */
export function spendAck(connection: u32): bool {
  const waiting = load<u32>(connection, C_OUT_BYTES);
  if (isFlooded(connection)) return false;
  // Each acknowledgement takes nine bytes or more, so an output this short proves how few can wait in it.
  const tokens = widened(connection, H2_ACKS_QUEUED_MAX) - min(waiting / 9, widened(connection, H2_ACKS_QUEUED_MAX));
  if (load<u32>(connection, H_ACK_BUCKET) < tokens) store<u32>(connection, tokens, H_ACK_BUCKET);
  return spend(connection, H_ACK_BUCKET, H2_ACKS_QUEUED_MAX, H2_ACKS_PER_SECOND);
}

/** Whether the peer makes us queue control frames and does not read them (nghttp2 5694e391). */
export function isFlooded(connection: u32): bool {
  return load<u32>(connection, C_OUT_BYTES) > <u32>(OUTPUT_HIGH_BYTES + OUTPUT_CONTROL_BYTES_MAX);
}

/** DATA without data and without END_STREAM (CVE-2019-9518). */
export function spendEmpty(stream: u32): bool {
  const count = u32(load<u8>(stream, S_EMPTY_FRAMES));
  if (count >= <u32>H2_EMPTY_FRAMES_MAX) return false;
  store<u8>(stream, u8(count + 1), S_EMPTY_FRAMES);
  return true;
}

/**
 * A DATA frame of fewer than H2_SMALL_DATA_OVERHEAD bytes: charged until the proxy has passed its bytes on. Clients
 * only, for whether an upstream's bytes are passed on is decided by who asked for them, and one client that does not
 * read must not cost others the connection that they share. Its stream's window bounds what can wait.
 */
export function spendSmallData(connection: u32, stream: u32, length: u32): bool {
  if (load<u8>(connection, C_ROLE) != ROLE_DOWNSTREAM) return true;
  const overhead = <u32>H2_SMALL_DATA_OVERHEAD - length;
  store<u32>(stream, load<u32>(stream, S_OVERHEAD) + overhead, S_OVERHEAD);
  const budget = load<i32>(connection, H_SMALL_BUDGET) - i32(overhead);
  store<i32>(connection, budget, H_SMALL_BUDGET);
  return budget >= 0;
}

/** What the small DATA frames of a stream are charged with, of those whose bytes were not passed on. */
export function smallDataH2(stream: u32): u32 {
  return load<u32>(stream, S_OVERHEAD);
}

/** `bytes` of S_OUTSTANDING, still counted in it, were passed on: their share of the overhead is forgiven. */
export function repaySmallData(connection: u32, stream: u32, bytes: u32): void {
  const overhead = load<u32>(stream, S_OVERHEAD);
  const outstanding = load<u32>(stream, S_OUTSTANDING);
  const share = bytes >= outstanding ? overhead : u32((u64(overhead) * bytes) / outstanding);
  store<u32>(stream, overhead - share, S_OVERHEAD);
  store<i32>(connection, load<i32>(connection, H_SMALL_BUDGET) + i32(share), H_SMALL_BUDGET);
}

/** A frame that means nothing and may still be sent: PRIORITY (RFC 9113 §5.3.2), RST_STREAM of what is over. */
export function spendVoidFrame(connection: u32): bool {
  const count = countUp(connection, H_VOID_FRAMES);
  const streams = streamsOpened(connection);
  return u64(count) <= u64(H2_VOID_FRAMES_PER_STREAM) * (1 + streams) * factorOf(connection);
}

/** WINDOW_UPDATE: earned by streams and by DATA that we sent. */
export function spendWindowUpdate(connection: u32): bool {
  const count = countUp(connection, H_WINDOW_UPDATES);
  const streams = streamsOpened(connection);
  const data = u64(load<u32>(connection, H_DATA_SENT));
  const earned = H2_WINDOW_UPDATES_PER_STREAM * streams + H2_WINDOW_UPDATES_PER_DATA * data;
  return u64(count) <= (u64(H2_WINDOW_UPDATES_BASE) + earned) * factorOf(connection);
}

/** A stream above the limit that we advertised; each accepted stream forgives one. */
export function spendRefusal(connection: u32): bool {
  const count = u32(load<u16>(connection, H_REFUSED)) + 1;
  store<u16>(connection, u16(count), H_REFUSED);
  return count <= widened(connection, H2_REFUSED_STREAMS_MAX);
}

/** Whether a client keeps so many heads here that there is no room for another (CVE-2026-47774). */
export function hoardsHeads(connection: u32): bool {
  const kept = load<u32>(connection, C_HEAD_BYTES);
  if (kept <= <u32>HEADS_LIVE_BYTES_MAX) return false;
  const earned = u64(load<u32>(connection, H_BLOCKS_RECEIVED)) * HEADS_EARNED_FACTOR + HEADS_LIVE_BYTES_MAX;
  return u64(kept) > min<u64>(earned, u64(widened(connection, HEADS_LIVE_BYTES_MAX)));
}

/** A client sent a request's field block of `length` bytes. */
export function noteBlock(connection: u32, length: u32): void {
  addUp(connection, H_BLOCKS_RECEIVED, length);
}

/** We reset a stream of an upstream: what it has sent meanwhile, its window and a head at most, may still come. */
export function expectLate(connection: u32, window: i32): void {
  if (load<u8>(connection, C_ROLE) == ROLE_DOWNSTREAM) return;
  addUp(connection, H_LATE_CREDIT, u32(max<i32>(window, 0)) + H2_LATE_HEAD_BYTES);
}

/**
 * A frame of `length` bytes on a stream that we reset. A client's are anomalies; an upstream's were asked for by a
 * client that then left, and count only beyond what may have been under way: its other clients pay for neither.
 */
export function spendLate(connection: u32, length: u32): bool {
  if (load<u8>(connection, C_ROLE) != ROLE_DOWNSTREAM) {
    const credit = load<u32>(connection, H_LATE_CREDIT);
    const price = max<u32>(length, 1);
    if (price <= credit) {
      store<u32>(connection, credit - price, H_LATE_CREDIT);
      return true;
    }
  }
  return spendGlitch(connection, GLITCH_STREAM_STATE);
}

/** A stream was accepted. */
export function forgiveRefusal(connection: u32): void {
  const refused = load<u16>(connection, H_REFUSED);
  if (refused != 0) store<u16>(connection, refused - 1, H_REFUSED);
}

/** A client may step over ids (RFC 9113 §5.1.1), and earns nothing by that; ours follow one another. */
function streamsOpened(connection: u32): u64 {
  if (load<u8>(connection, C_ROLE) == ROLE_DOWNSTREAM) return u64(load<u32>(connection, H_OPENED));
  return u64((load<u32>(connection, H_LAST_ID) + 1) >> 1);
}

/** Adds one to a counter that stays at its largest value: a connection may live for billions of frames. */
export function countUp(connection: u32, counter: u32): u32 {
  const count = load<u32>(connection + counter);
  if (count == u32.MAX_VALUE) return count;
  store<u32>(connection + counter, count + 1);
  return count + 1;
}

/** Adds to a counter that stays at its largest value. */
function addUp(connection: u32, counter: u32, value: u32): void {
  const sum = u64(load<u32>(connection + counter)) + u64(value);
  store<u32>(connection + counter, u32(min<u64>(sum, u64(u32.MAX_VALUE))));
}

function widened(connection: u32, value: u32): u32 {
  return value * factorOf(connection);
}

function factorOf(connection: u32): u32 {
  return load<u8>(connection, C_PEER_IS_PILLION) != 0 ? PEER_BUDGET_FACTOR : 1;
}

// A bucket: u32 tokens, u32 time of the last look in milliseconds (differences survive its wrap after 49 days).

function fillBucket(at: u32, tokens: u32): void {
  store<u32>(at, tokens);
  store<u32>(at, u32(now / 1000), 4);
}

function spend(connection: u32, bucket: u32, burst: u32, perSecond: u32): bool {
  const at = connection + bucket;
  const time = u32(now / 1000);
  const earned = (u64(time - load<u32>(at, 4)) * perSecond * factorOf(connection)) / 1000;
  let tokens = load<u32>(at);
  if (earned != 0) {
    tokens = u32(min<u64>(u64(tokens) + earned, u64(widened(connection, burst))));
    store<u32>(at, time, 4);
  }
  if (tokens == 0) return false;
  store<u32>(at, tokens - 1);
  return true;
}
