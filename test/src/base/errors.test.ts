// Every code has a sentence, an explanation and a verdict on retrying; messages carry their details.

import { expect, test } from "vitest";
import { assert, assertNever, Bug, ERRORS, isPillionError, messageOf, pillionError } from "../../../src/base/errors.ts";

test("every row of the table is complete", () => {
  for (const [code, { message, doc }] of Object.entries(ERRORS)) {
    expect(code).toMatch(/^PILLION_[A-Z_]+$/);
    expect(message.length).toBeGreaterThan(0);
    expect(doc, code).toMatch(/\.$/);
  }
});

test("the message is filled in, the rest is kept", () => {
  const cause = new TypeError("why");
  const error = pillionError("PILLION_FILE_READ", { path: "mesh.yaml", problem: "no such file" }, cause);
  expect(error.message).toBe("cannot read mesh.yaml: no such file");
  expect(error).toMatchObject({ code: "PILLION_FILE_READ", retryable: true, cause });
  expect(isPillionError(error, "PILLION_FILE_READ")).toBe(true);
  expect(isPillionError(error, "PILLION_FILE_WRITE")).toBe(false);
  expect(isPillionError(cause)).toBe(false);
});

test("our own mistakes are of another kind", () => {
  expect(() => assert(false, "never so")).toThrow(Bug);
  expect(() => assertNever("x" as never)).toThrow(Bug);
  expect(isPillionError(new Bug("x"))).toBe(false);
});

test("anything thrown has a sentence", () => {
  expect(messageOf("text")).toBe("text");
  expect(messageOf(undefined)).toBe("undefined");
  // What net.connect throws when every address of a name refuses.
  expect(messageOf(new AggregateError([new TypeError("a"), new TypeError("b")]))).toBe("a; b");
});
