// Where the half of the descriptors begins that clients do not get; what follows from it is an integration test.

import { expect, test } from "vitest";
import { parseReserved } from "../../../src/dataplane/descriptor-limit.ts";

test("half of the soft limit, more of a high one; no limit where none is said", () => {
  const limits = (soft: number) =>
    `Max processes 7 8 processes\nMax open files            ${soft}                 524288               files\n`;
  expect(parseReserved(limits(1024))).toBe(512);
  expect(parseReserved(limits(20_000))).toBe(11_808);
  expect(parseReserved("Max open files            unlimited            unlimited            files\n")).toBe(Infinity);
  expect(parseReserved("")).toBe(Infinity);
});
