// Every version to every version, through an outbound alone and through a pair of sidecars.
//
// One list of exchanges; client and server know nothing of Pillion (node:http, node:http2). What is looked at is what
// either side can see: the message whole and unchanged, its trailers, and that a failure is never a clean end.

import { createHash, randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createClient, type HttpClient } from "../support/foreign-clients.ts";
import { type ForeignServer, type Inspection, startServer, type Version } from "../support/foreign-servers.ts";
import { waitUntil } from "../support/process.ts";
import { createMesh, type MeshFolder, type Sidecar, startSidecar } from "../support/sidecar.ts";

const VERSIONS: readonly Version[] = ["http1", "http2"];

describe.each(["outbound", "pair"] as const)("through %s", (via) => {
  describe.each(VERSIONS)("to an app that speaks %s", (upstream) => {
    let server: ForeignServer;
    let mesh: MeshFolder;
    let outbound: Sidecar;
    let inbound: Sidecar | undefined;

    beforeAll(async () => {
      server = await startServer(upstream);
      const protocol = upstream === "http1" ? "http" : "http2";
      mesh = createMesh({ services: { web: { protocol } } });
      if (via === "pair") {
        const flags = ["--outbound", "off", "--app-protocol", upstream];
        inbound = await startSidecar({ mesh, app: { service: "web", address: server.address, id: "a" }, flags });
      }
      const address = inbound?.inbound ?? server.address;
      mesh.write({ services: { web: { protocol, instances: [{ id: "a", address, sidecar: via === "pair" }] } } });
      outbound = await startSidecar({ mesh });
      await outbound.waitForInstances("web", ["a"]);
    });

    afterAll(async () => {
      await outbound.stop();
      await inbound?.stop();
      await server.close();
      await mesh[Symbol.asyncDispose]();
    });

    describe.each(VERSIONS)("from a client that speaks %s", (downstream) => {
      let client: HttpClient;
      beforeAll(() => {
        client = createClient(downstream, outbound.outbound);
      });
      afterAll(() => client.close());

      const send = (path: string, more: Omit<Parameters<HttpClient["send"]>[0], "host" | "path"> = {}) =>
        client.send({ host: "web", path, ...more });
      const inspect = async (path: string, more: Parameters<typeof send>[1] = {}): Promise<Inspection> => {
        const { status, body } = await send(path, more);
        expect([status, body.toString()]).toEqual([200, expect.stringMatching(/^\{/)]);
        return JSON.parse(body.toString());
      };

      test("a request arrives as it was sent, with what is added on the way", async () => {
        const seen = await inspect("/inspect/a%20b?x=1&y=%2F", {
          method: "PATCH",
          body: "hello",
          headers: { "x-mine": "yes", cookie: "a=1; b=2", "x-request-id": "kept", "x-empty": "" },
        });
        expect(seen).toMatchObject({
          version: upstream === "http1" ? "1.1" : "2.0",
          method: "PATCH",
          path: "/inspect/a%20b?x=1&y=%2F",
          bodyBytes: 5,
        });
        expect(seen.headers).toMatchObject({
          "x-mine": "yes",
          cookie: "a=1; b=2",
          "x-request-id": "kept",
          "x-empty": "",
          "content-length": "5",
          [upstream === "http1" ? "host" : ":authority"]: "web",
        });
        expect(seen.headers["x-forwarded-for"]).toMatch(/^127\.0\.0\.1/);
        expect(seen.headers.traceparent).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/);
        expect(seen.headers.via).toBeUndefined();
      });

      test("bodies of known and unknown length, both ways", async () => {
        const body = randomBytes(1_500_000);
        const known = await send("/echo", { method: "POST", body });
        expect(known.status).toBe(200);
        expect(known.body.equals(body)).toBe(true);
        const parts = Array.from({ length: 200 }, (_, index) => randomBytes(1 + index * 37));
        const whole = Buffer.concat(parts);
        const streamed = await inspect("/inspect", { method: "PUT", body: parts });
        expect(streamed.bodyBytes).toBe(whole.length);
        expect(streamed.bodySha256).toBe(createHash("sha256").update(whole).digest("hex"));
        const large = await send("/bytes/5000000");
        expect(large.body.length).toBe(5_000_000);
        expect(large.headers["content-length"]).toBe("5000000");
        const chunks = await send("/chunks/50");
        expect(chunks.body.toString()).toBe(Array.from({ length: 50 }, (_, index) => `chunk ${index + 1}\n`).join(""));
      });

      test("messages without a body", async () => {
        const head = await send("/bytes/1000", { method: "HEAD" });
        expect([head.status, head.headers["content-length"], head.body.length]).toEqual([200, "1000", 0]);
        for (const status of [204, 304]) {
          const empty = await send(`/status/${status}`);
          expect([empty.status, empty.body.length]).toEqual([status, 0]);
        }
        const empty = await inspect("/inspect", { method: "POST", body: "" });
        expect(empty.bodyBytes).toBe(0);
        // The connection is still in step after all of these.
        expect((await send("/status/200")).body.toString()).toBe("status 200");
      });

      test("the app's own errors are the app's", async () => {
        for (const status of [400, 404, 429, 500, 503]) {
          const answer = await send(`/status/${status}`, { method: "POST", body: "x" });
          expect([answer.status, answer.body.toString()]).toEqual([status, `status ${status}`]);
          expect(answer.headers["x-pillion-reason"]).toBeUndefined();
        }
      });

      test("trailers of requests and of answers", async () => {
        const trailers = { "x-checksum": "abc", "x-late": "yes" };
        const seen = await inspect("/inspect", { method: "POST", body: ["one", "two"], trailers });
        expect([seen.bodyBytes, seen.trailers]).toEqual([6, trailers]);
        const answer = await send("/trailers", { headers: { te: "trailers" } });
        expect([answer.body.toString(), answer.trailers]).toEqual([
          "body, then trailers",
          { "x-sum": "42", "x-end": "yes" },
        ]);
      });

      test("informational answers, and 100 before the body", async () => {
        const hinted = await send("/hints");
        expect([hinted.status, hinted.informational]).toEqual([200, [103]]);
        const { informational, body } = await send("/inspect", { method: "POST", body: "x", isContinueExpected: true });
        expect(informational).toEqual([100]);
        expect(JSON.parse(body.toString()).bodyBytes).toBe(1);
      });

      test("an answer that does not wait for the body", async () => {
        const answer = await send("/early", { method: "POST", body: randomBytes(300_000) });
        expect([answer.status, answer.body.toString()]).toEqual([200, "early"]);
        expect((await send("/status/200")).status).toBe(200);
      });

      test("an answer cut short is an error, never a clean end", async () => {
        await expect(send("/reset")).rejects.toThrow();
        expect((await send("/status/200")).status).toBe(200);
      });

      test("a request that is never answered fails with a reason", async () => {
        const answer = await send("/drop");
        expect([answer.status, answer.headers["x-pillion-reason"]]).toEqual([502, "upstream-reset"]);
        expect(JSON.parse(answer.body.toString()).error).toMatchObject({ reason: "upstream-reset", service: "web" });
      });

      test("the app sees that the client went away", async () => {
        const { requests, aborts } = server;
        const controller = new AbortController();
        const answer = send("/hang", { signal: controller.signal });
        answer.catch(() => undefined);
        await waitUntil("the app has the request", () => server.requests === requests + 1);
        controller.abort();
        await expect(answer).rejects.toThrow();
        await waitUntil("the app sees the end", () => server.aborts === aborts + 1);
        expect((await send("/status/200")).status).toBe(200);
      });

      test("a hundred at once, each with its own answer", async () => {
        const lengths = Array.from({ length: 100 }, (_, index) => (index * 7919) % 50_000);
        const answers = await Promise.all(
          lengths.map((length) => send("/echo", { method: "POST", body: Buffer.alloc(length, `${length}`) })),
        );
        for (const [index, { body }] of answers.entries()) {
          expect(body.equals(Buffer.alloc(lengths[index] ?? 0, `${lengths[index]}`))).toBe(true);
        }
      });
    });
  });
});
