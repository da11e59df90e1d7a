// One finished exchange, read out of the engine's log entry (abi/log-entry.ts) into the fields of a log line.
//
// Pure: whoever calls names services and instances, because only the main thread knows them. Text is bytes of the
// peers: it is read as Latin-1, one character a byte, and the log's JSON escapes the rest.

import { NONE, REASON_NONE, REASON_OVERFLOW } from "../../assembly/abi/engine-codes.ts";
import {
  LOG_ATTEMPTS,
  LOG_AUTHORITY_BYTES,
  LOG_BYTES_RECEIVED,
  LOG_BYTES_SENT,
  LOG_DETAIL,
  LOG_DIRECTION,
  LOG_DURATION_US,
  LOG_FIXED_BYTES,
  LOG_GRPC_STATUS,
  LOG_INSTANCE,
  LOG_METHOD_BYTES,
  LOG_PATH_BYTES,
  LOG_PEER_BYTES,
  LOG_REASON,
  LOG_REQUEST_ID_BYTES,
  LOG_SERVICE,
  LOG_STATUS,
  LOG_TCP_FLAG,
  LOG_UPSTREAM_US,
  LOG_VERSION_DOWN,
  LOG_VERSION_UP,
} from "../../assembly/abi/log-entry.ts";
import { DIRECTION_NAMES, LIMIT_NAMES, versionName } from "./names.ts";
import { type Reason, reasonOf } from "./reasons.ts";

const GRPC_STATUS_NONE = 255;

/** What an entry says; fields that do not apply are absent. */
export interface LogEntry {
  readonly reason: Reason;
  readonly direction: string;
  readonly method: string;
  readonly authority: string;
  readonly path: string;
  readonly peer: string;
  readonly requestId: string | undefined;
  /** 0: no response head was sent. */
  readonly status: number;
  readonly grpcStatus: number | undefined;
  /** Index of the service and slot of the instance in the snapshot that the exchange began with. */
  readonly service: number | undefined;
  readonly instance: number | undefined;
  readonly attempts: number;
  readonly versionDown: string | undefined;
  readonly versionUp: string | undefined;
  readonly durationUs: number;
  readonly upstreamUs: number | undefined;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  /** Which limit an overflow met, or the code of a reset. */
  readonly detail: string | number | undefined;
}

/** Reads one entry; `bytes` is exactly that entry. */
export function readLogEntry(bytes: Uint8Array): LogEntry {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = LOG_FIXED_BYTES;
  const text = (lengthAt: number): string => {
    const length = view.getUint16(lengthAt, true);
    at += length;
    return buffer.toString("latin1", at - length, at);
  };
  const method = text(LOG_METHOD_BYTES);
  const authority = text(LOG_AUTHORITY_BYTES);
  const path = text(LOG_PATH_BYTES);
  const requestId = text(LOG_REQUEST_ID_BYTES);
  const peer = text(LOG_PEER_BYTES);
  const reason = reasonOf(view.getUint8(LOG_REASON));
  const grpcStatus = view.getUint8(LOG_GRPC_STATUS);
  const versionUp = versionName(view.getUint8(LOG_VERSION_UP));
  return {
    reason,
    direction: DIRECTION_NAMES[view.getUint8(LOG_DIRECTION)] ?? "outbound",
    method,
    authority,
    path,
    peer,
    requestId: requestId === "" ? undefined : requestId,
    status: view.getUint16(LOG_STATUS, true),
    grpcStatus: grpcStatus === GRPC_STATUS_NONE ? undefined : grpcStatus,
    service: presentOf(view.getUint32(LOG_SERVICE, true)),
    instance: presentOf(view.getUint32(LOG_INSTANCE, true)),
    attempts: view.getUint8(LOG_ATTEMPTS),
    versionDown: versionName(view.getUint8(LOG_VERSION_DOWN)),
    versionUp,
    durationUs: view.getUint32(LOG_DURATION_US, true),
    upstreamUs: versionUp === undefined ? undefined : view.getUint32(LOG_UPSTREAM_US, true),
    bytesReceived: view.getFloat64(LOG_BYTES_RECEIVED, true),
    bytesSent: view.getFloat64(LOG_BYTES_SENT, true),
    detail: detailOf(reason, view.getUint32(LOG_DETAIL, true)),
  };
}

/** One entry of a batch. */
export interface BatchEntry {
  readonly bytes: Uint8Array;
  /** JSON of a TCP connection; else an exchange of the engine. */
  readonly isTcp: boolean;
}

/** Splits a worker's batch: entries one after the other, each behind its length as u32, with the flag in it. */
export function* splitBatch(batch: Uint8Array): Generator<BatchEntry> {
  const view = new DataView(batch.buffer, batch.byteOffset, batch.byteLength);
  for (let at = 0; at + 4 <= batch.length; ) {
    const word = view.getUint32(at, true);
    const isTcp = (word & LOG_TCP_FLAG) !== 0;
    const length = isTcp ? word - LOG_TCP_FLAG : word;
    yield { bytes: batch.subarray(at + 4, at + 4 + length), isTcp };
    at += 4 + length;
  }
}

function presentOf(index: number): number | undefined {
  // asc writes NONE as the i32 0x7fffffff; all ones is what it would be as -1.
  return index === NONE || index === 0xffff_ffff ? undefined : index;
}

function detailOf(reason: Reason, detail: number): string | number | undefined {
  if (reason.code === REASON_NONE) return undefined;
  if (reason.code === REASON_OVERFLOW) return LIMIT_NAMES[detail] ?? detail;
  return detail === 0 ? undefined : detail;
}
