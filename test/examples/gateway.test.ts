// The gateway example as it stands in the repository: hosts, paths, what they become, and what is not let in.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseMeshFile } from "../../src/config/index.ts";
import { startExample } from "../support/examples.ts";
import { createClient } from "../support/foreign-clients.ts";
import { createMesh, startSidecar } from "../support/sidecar.ts";
import { projectRoot } from "../support/source.ts";

const text = readFileSync(join(projectRoot, "examples/gateway/mesh.yaml"), "utf8");

test("the file is valid, without a warning", () => {
  expect(parseMeshFile(text, { fileName: "mesh.yaml" })).toMatchObject({ ok: true, warnings: [] });
});

test.each(["http1", "http2"] as const)("%s: routes by host and path, on every interface", async (version) => {
  await using web = await startExample("http", { name: "web" });
  await using first = await startExample("http", { name: "users-1" });
  await using second = await startExample("http", { name: "users-2" });
  const placed = text
    .replaceAll("127.0.0.1:9001", web.address)
    .replaceAll("127.0.0.1:9002", first.address)
    .replaceAll("127.0.0.1:9003", second.address);
  await using mesh = createMesh(placed);
  await using gateway = await startSidecar({ mesh, flags: ["--outbound", "0.0.0.0:0"] });
  expect(gateway.outbound).toMatch(/^0\.0\.0\.0:/);
  await using client = createClient(version, gateway.outbound.replace("0.0.0.0", "127.0.0.1"));
  const ask = async (host: string, path: string, method = "GET") => {
    const { status, headers, body } = await client.send({ host, path, method });
    return { status, instance: `${headers["x-instance"]}`.replace(/-\d$/, ""), headers, body };
  };
  expect(await ask("shop.example", "/")).toMatchObject({ status: 200, instance: "web" });
  expect(await ask("www.shop.example:8080", "/api")).toMatchObject({ status: 404, instance: "web" });
  expect(await ask("shop.example", "/api/users2")).toMatchObject({ status: 404, instance: "web" });
  const seen = await ask("shop.example", "/api/users/headers");
  expect([seen.status, seen.instance]).toEqual([200, "users"]);
  expect(JSON.parse(seen.body.toString())).toMatchObject({
    host: "users",
    "x-forwarded-host": "shop.example",
    "x-forwarded-for": "127.0.0.1",
  });
  expect(await ask("shop.example", "/api/users", "DELETE")).toMatchObject({ status: 404, instance: "web" });
  expect(await ask("api.shop.example", "/status/204")).toMatchObject({ status: 204, instance: "users" });
  const unknown = await ask("elsewhere.example", "/");
  expect([unknown.status, unknown.headers["x-pillion-reason"]]).toEqual([404, "no-route"]);
});
