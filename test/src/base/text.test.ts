// What people write and what code carries: durations, sizes, addresses, nearest names.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatAddress, parseAddress, parseListenAddress } from "../../../src/base/address.ts";
import { formatDuration, formatSize, parseDuration, parseSize } from "../../../src/base/duration.ts";
import { nearestOf } from "../../../src/base/nearest.ts";

describe("durations", () => {
  test.each([
    ["250ms", 250],
    ["1.5s", 1500],
    ["5m", 300_000],
    ["1h", 3_600_000],
    ["1m30s", 90_000],
    ["100us", 0.1],
    ["0", 0],
    ["0s", 0],
  ])("%s", (text, ms) => {
    expect(parseDuration(text)).toEqual({ ok: true, value: ms });
  });

  test.each(["", "5", "5 s", "s", "-1s", "1S", "1.s", "ms5", "1s!", "Infinity"])("refuses %j", (text) => {
    expect(parseDuration(text).ok).toBe(false);
  });

  test("a forgotten unit is named", () => {
    expect(parseDuration("5")).toMatchObject({ problem: expect.stringContaining("5ms or 5s") });
  });

  test("format and parse are each other's inverse for whole milliseconds", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 31 }), (ms) => {
        expect(parseDuration(formatDuration(ms))).toEqual({ ok: true, value: ms });
      }),
    );
  });
});

describe("sizes", () => {
  test.each([
    ["512", 512],
    ["64KiB", 65_536],
    ["1MB", 1_000_000],
    ["1.5 KiB", 1536],
    ["0", 0],
  ])("%s", (text, bytes) => {
    expect(parseSize(text)).toEqual({ ok: true, value: bytes });
  });

  test.each(["", "KiB", "-1", "1kib", "1 000", "1e3"])("refuses %j", (text) => {
    expect(parseSize(text).ok).toBe(false);
  });

  test("format and parse are each other's inverse", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 40 }), (bytes) => {
        expect(parseSize(formatSize(bytes))).toEqual({ ok: true, value: bytes });
      }),
    );
  });
});

describe("addresses", () => {
  test.each([
    ["127.0.0.1:80", "127.0.0.1", 80],
    ["[::1]:8080", "::1", 8080],
    ["users.shop:1", "users.shop", 1],
    ["my_db:5432", "my_db", 5432],
  ])("%s, and back", (text, host, port) => {
    expect(parseAddress(text)).toEqual({ ok: true, value: { host, port } });
    expect(formatAddress({ host, port })).toBe(text);
  });

  test.each([
    "",
    "80",
    ":80",
    "::1:80",
    "[::1]",
    "[1.2.3.4]:80",
    "1.2.3:80",
    "1.2.3.256:80",
    "a:0",
    "a:65536",
    "a b:80",
    "a..b:80",
    "-a:80",
    "http://a:80",
  ])("refuses %j", (text) => {
    expect(parseAddress(text)).toMatchObject({ ok: false, problem: expect.stringContaining("not an address") });
  });

  test("listening: off, any port, all interfaces", () => {
    expect(parseListenAddress("off")).toEqual({ ok: true, value: undefined });
    expect(parseListenAddress("127.0.0.1:0")).toEqual({ ok: true, value: { host: "127.0.0.1", port: 0 } });
    expect(parseListenAddress(":8080")).toEqual({ ok: true, value: { host: "0.0.0.0", port: 8080 } });
    expect(parseListenAddress("on").ok).toBe(false);
  });
});

describe("the nearest name", () => {
  const names = ["balance", "timeout", "retry", "hedge", "limits"];
  test.each([
    ["balanc", "balance"],
    ["blaance", "balance"],
    ["Timeout", "timeout"],
    ["retires", undefined],
    ["rerty", "retry"],
    ["limit", "limits"],
    ["x", undefined],
    ["completely-else", undefined],
  ])("%s → %s", (word, expected) => {
    expect(nearestOf(word, names)).toBe(expected);
  });
});
