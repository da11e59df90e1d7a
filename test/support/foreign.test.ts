// The foreign clients against the foreign servers, without anything between: what a test through Pillion may expect.

import { describe, expect, test } from "vitest";
import { createClient } from "./foreign-clients.ts";
import { type Inspection, startServer } from "./foreign-servers.ts";

describe.each(["http1", "http2"] as const)("%s", (version) => {
  test("carries bodies, trailers, informational answers and resets", async () => {
    await using server = await startServer(version);
    await using client = createClient(version, server.address);
    const send = (path: string, more = {}) => client.send({ host: "web", path, ...more });
    const inspect = await send("/inspect", { method: "POST", body: ["one", "two"], trailers: { "x-t": "1" } });
    const seen: Inspection = JSON.parse(inspect.body.toString());
    expect(seen).toMatchObject({ method: "POST", bodyBytes: 6, trailers: { "x-t": "1" } });
    expect(seen.version).toBe(version === "http1" ? "1.1" : "2.0");

    expect((await send("/echo", { method: "POST", body: "text" })).body.toString()).toBe("text");
    expect(await send("/trailers")).toMatchObject({ status: 200, trailers: { "x-sum": "42", "x-end": "yes" } });
    expect((await send("/hints")).informational).toEqual([103]);
    expect((await send("/bytes/100000")).body.length).toBe(100_000);
    const expecting = await send("/inspect", { method: "POST", body: "x", isContinueExpected: true });
    expect(expecting.informational).toEqual([100]);
    await expect(send("/reset")).rejects.toThrow();
    await expect(send("/drop")).rejects.toThrow();
    await expect(send("/hang", { signal: AbortSignal.timeout(20) })).rejects.toThrow();
    expect(server.requests).toBe(9);
  });
});
