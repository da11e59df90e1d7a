// The engine's log entries as lines: every field, the two formats, the error log and its bound.

import { expect, test } from "vitest";
import { NONE, REASON_CLIENT_GONE, REASON_NO_ROUTE, REASON_OVERFLOW } from "../../../assembly/abi/engine-codes.ts";
import { LISTENER_INBOUND } from "../../../assembly/abi/engine-records.ts";
import * as L from "../../../assembly/abi/log-entry.ts";
import type { Log, LogFields } from "../../../src/base/index.ts";
import { type AccessLogFormat, createAccessLog } from "../../../src/telemetry/index.ts";
import { readLogEntry } from "../../../src/telemetry/log-entry.ts";

interface Written {
  status?: number;
  reason?: number;
  detail?: number;
  path?: string;
}

function encodeEntry({ status = 200, reason = 0, detail = 0, path = "/a?b" }: Written): Buffer {
  const texts = ["GET", "users.example", path, "r-1", "10.0.0.7"];
  const entry = Buffer.alloc(L.LOG_FIXED_BYTES + texts.join("").length);
  entry.writeUInt16LE(status, L.LOG_STATUS);
  entry.writeUInt8(reason, L.LOG_REASON);
  entry.writeUInt8(255, L.LOG_GRPC_STATUS);
  entry.writeUInt8(LISTENER_INBOUND, L.LOG_DIRECTION);
  entry.writeUInt8(20, L.LOG_VERSION_DOWN);
  entry.writeUInt8(11, L.LOG_VERSION_UP);
  entry.writeUInt8(2, L.LOG_ATTEMPTS);
  entry.writeUInt32LE(3, L.LOG_SERVICE);
  entry.writeUInt32LE(NONE, L.LOG_INSTANCE);
  entry.writeUInt32LE(12_345, L.LOG_DURATION_US);
  entry.writeUInt32LE(10_000, L.LOG_UPSTREAM_US);
  entry.writeDoubleLE(5, L.LOG_BYTES_RECEIVED);
  entry.writeDoubleLE(6e9, L.LOG_BYTES_SENT);
  entry.writeUInt32LE(detail, L.LOG_DETAIL);
  const lengths = [
    L.LOG_METHOD_BYTES,
    L.LOG_AUTHORITY_BYTES,
    L.LOG_PATH_BYTES,
    L.LOG_REQUEST_ID_BYTES,
    L.LOG_PEER_BYTES,
  ];
  let at = L.LOG_FIXED_BYTES;
  texts.forEach((text, index) => {
    entry.writeUInt16LE(text.length, lengths[index]!);
    at += entry.write(text, at, "latin1");
  });
  return entry;
}

function batchOf(entries: readonly Buffer[]): Uint8Array {
  return Buffer.concat(
    entries.flatMap((entry) => {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(entry.length);
      return [length, entry];
    }),
  );
}

function setUp(format: AccessLogFormat) {
  const lines: { level: string; fields: LogFields; message: string }[] = [];
  const texts: string[] = [];
  const writer = (level: string) => (fields: LogFields, message: string) => void lines.push({ level, fields, message });
  const log: Log = {
    debug: writer("debug"),
    info: writer("info"),
    warn: writer("warn"),
    error: writer("error"),
    child: () => log,
  };
  let nowMs = 0;
  const take = createAccessLog({
    log,
    nowMs: () => nowMs,
    format,
    names: { serviceName: (index) => `service-${index}`, instanceId: () => undefined },
    writeLine: (line) => texts.push(line),
  });
  const pass = (ms: number) => {
    nowMs += ms;
  };
  return { lines, texts, take, pass };
}

test("an entry is read field by field", () => {
  expect(readLogEntry(encodeEntry({ status: 503, reason: REASON_OVERFLOW, detail: 1 }))).toMatchObject({
    direction: "inbound",
    method: "GET",
    authority: "users.example",
    path: "/a?b",
    requestId: "r-1",
    peer: "10.0.0.7",
    status: 503,
    grpcStatus: undefined,
    service: 3,
    instance: undefined,
    attempts: 2,
    versionDown: "2.0",
    versionUp: "1.1",
    durationUs: 12_345,
    upstreamUs: 10_000,
    bytesReceived: 5,
    bytesSent: 6e9,
    detail: "pending",
  });
});

test("json: a line for each exchange, a warning where Pillion answered", () => {
  const { lines, take } = setUp("json");
  take(batchOf([encodeEntry({}), encodeEntry({ status: 404, reason: REASON_NO_ROUTE })]));
  expect(lines.map(({ level }) => level)).toEqual(["info", "warn"]);
  expect(lines[0]?.fields).toMatchObject({ service: "service-3", durationMs: 12.345, reason: undefined });
  expect(lines[1]?.fields).toMatchObject({ reason: "no-route", status: 404 });
});

test("text: one line each, which no byte of a peer can break", () => {
  const { texts, lines, take } = setUp("text");
  take(batchOf([encodeEntry({ path: '/"\n\\\x1b' })]));
  expect(texts).toEqual([
    '10.0.0.7 inbound "GET users.example/\\x22\\x0a\\x5c\\x1b HTTP/2.0" 200 - 5/6000000000B 12.345ms ' +
      "service-3/- attempts=2 - r-1",
  ]);
  expect(lines).toEqual([]);
});

test("off: only what the table says is worth a line", () => {
  const { lines, take } = setUp("off");
  const gone = encodeEntry({ status: 0, reason: REASON_CLIENT_GONE });
  take(batchOf([encodeEntry({}), gone, encodeEntry({ status: 404, reason: REASON_NO_ROUTE })]));
  expect(lines.map(({ fields }) => fields.reason)).toEqual(["no-route"]);
});

test("off: a flood is summed up", () => {
  const { lines, take, pass } = setUp("off");
  const failed = encodeEntry({ status: 404, reason: REASON_NO_ROUTE });
  take(batchOf(Array.from({ length: 250 }, () => failed)));
  expect(lines.length).toBe(100);
  pass(1_000);
  take(batchOf([failed]));
  expect(lines.length).toBe(102);
  expect(lines[100]?.fields).toEqual({ reasons: { "no-route": 150 } });
});
