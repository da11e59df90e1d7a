// The users example alone: accounts survive in their file, passwords are checked, statuses say what is wrong.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createUsersClient, type UsersClient } from "../../examples/users/protocol.ts";
import { type ExampleServer, startExample } from "../support/examples.ts";

const PASSWORD = "correct horse battery";
let folder: string;
let server: ExampleServer;
let client: UsersClient;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "pillion-users-"));
  server = await startExample("users", { name: "a", database: join(folder, "users.db") });
  client = createUsersClient(server.address);
});

afterEach(async () => {
  client.close();
  await server.stop();
  rmSync(folder, { recursive: true });
});

/** The status that a call fails with. */
async function statusOf(call: Promise<unknown>): Promise<number | undefined> {
  return call.then(
    () => status.OK,
    (error: { code: number }) => error.code,
  );
}

test("registers, logs in, tells who one is", async () => {
  const { id } = await client.register({ name: "ann", password: PASSWORD });
  const { token } = await client.login({ name: "ann", password: PASSWORD });
  const info = await client.getInfo("ann", token);
  expect(info).toMatchObject({ id, name: "ann", instance: "a" });
  expect(Date.parse(info.created)).toBeLessThanOrEqual(Date.now());
});

test("says what is wrong by gRPC's codes", async () => {
  await client.register({ name: "ann", password: PASSWORD });
  const { token } = await client.login({ name: "ann", password: PASSWORD });
  expect(await statusOf(client.register({ name: "ann", password: PASSWORD }))).toBe(status.ALREADY_EXISTS);
  expect(await statusOf(client.register({ name: "Not A Name", password: PASSWORD }))).toBe(status.INVALID_ARGUMENT);
  expect(await statusOf(client.register({ name: "bob", password: "short" }))).toBe(status.INVALID_ARGUMENT);
  expect(await statusOf(client.login({ name: "ann", password: `${PASSWORD}!` }))).toBe(status.UNAUTHENTICATED);
  expect(await statusOf(client.login({ name: "nobody", password: PASSWORD }))).toBe(status.UNAUTHENTICATED);
  expect(await statusOf(client.getInfo("ann", undefined))).toBe(status.UNAUTHENTICATED);
  expect(await statusOf(client.getInfo("ann", `${token}x`))).toBe(status.UNAUTHENTICATED);
  expect(await statusOf(client.getInfo("nobody", token))).toBe(status.NOT_FOUND);
});

test("two instances share one file, which holds neither passwords nor tokens", async () => {
  await using second = await startExample("users", { name: "b", database: join(folder, "users.db") });
  const other = createUsersClient(second.address);
  try {
    await client.register({ name: "ann", password: PASSWORD });
    const { token } = await other.login({ name: "ann", password: PASSWORD });
    expect(await client.getInfo("ann", token)).toMatchObject({ name: "ann", instance: "a" });
    const names = Array.from({ length: 8 }, (_, index) => `user-${index}`);
    const registered = names.flatMap((name) =>
      [client, other].map((each) => each.register({ name, password: PASSWORD })),
    );
    const outcomes = await Promise.all(registered.map(statusOf));
    expect(outcomes.filter((code) => code === status.OK)).toHaveLength(names.length);
    expect(outcomes.filter((code) => code === status.ALREADY_EXISTS)).toHaveLength(names.length);
    await second.stop();
    await server.stop();
    const stored = readFileSync(join(folder, "users.db"), "latin1");
    expect(stored).toContain("user-7");
    expect(stored).not.toContain(PASSWORD);
    expect(stored).not.toContain(token);
  } finally {
    other.close();
  }
});
