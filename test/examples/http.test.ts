// The plain HTTP example alone.

import { request } from "undici";
import { expect, test } from "vitest";
import { startExample } from "../support/examples.ts";

test("answers each of its paths", async () => {
  await using server = await startExample("http", { name: "a" });
  const url = `http://${server.address}`;

  const hello = await request(`${url}/`);
  expect(hello.headers["x-instance"]).toBe("a");
  expect(await hello.body.json()).toEqual({ message: "Hello!", instance: "a" });

  const headers = await request(`${url}/headers?x=1`, { headers: { "x-mine": "yes" } });
  expect(await headers.body.json()).toMatchObject({ "x-mine": "yes" });

  for (const [path, status] of [
    ["/status/503", 503],
    ["/status/99", 404],
    ["/delay/5", 200],
    ["/else", 404],
  ] as const) {
    const response = await request(`${url}${path}`);
    expect([path, response.statusCode]).toEqual([path, status]);
    await response.body.dump();
  }

  const stream = await request(`${url}/stream/3`);
  expect(await stream.body.text()).toBe("1\n2\n3\n");

  const echo = await request(`${url}/echo`, { method: "POST", body: "once more" });
  expect(await echo.body.text()).toBe("once more");
});
