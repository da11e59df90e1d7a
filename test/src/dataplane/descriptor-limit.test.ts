// Where the half of the descriptors begins that clients do not get; what follows from it is an integration test.

import { expect, test } from "vitest";
import { parseReserved } from "../../../src/dataplane/descriptor-limit.ts";

test("half of the soft limit; no limit where none is said", () => {
  const limits =
    "Max processes 7 8 processes\nMax open files            1024                 524288               files\n";
  expect(parseReserved(limits)).toBe(512);
  expect(parseReserved("Max open files            unlimited            unlimited            files\n")).toBe(Infinity);
  expect(parseReserved("")).toBe(Infinity);
});
