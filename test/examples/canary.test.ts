// The canary example as it stands in the repository: its shares, its header, and a change of weights while running.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseMeshFile } from "../../src/config/index.ts";
import { startExample } from "../support/examples.ts";
import { createClient } from "../support/foreign-clients.ts";
import { waitUntil } from "../support/process.ts";
import { createMesh, startSidecar } from "../support/sidecar.ts";
import { projectRoot } from "../support/source.ts";

const text = readFileSync(join(projectRoot, "examples/canary/mesh.yaml"), "utf8");

test("the file is valid, without a warning", () => {
  expect(parseMeshFile(text, { fileName: "mesh.yaml" })).toMatchObject({ ok: true, warnings: [] });
});

test("nine in ten go to v1, the header chooses v2, weights change by a save", async () => {
  await using v1 = await startExample("http", { name: "v1" });
  await using v2 = await startExample("http", { name: "v2" });
  const placed = text.replaceAll("127.0.0.1:9001", v1.address).replaceAll("127.0.0.1:9002", v2.address);
  await using mesh = createMesh(placed);
  await using sidecar = await startSidecar({ mesh });
  await using client = createClient("http1", sidecar.outbound);
  const count = async (calls: number, headers: Record<string, string> = {}) => {
    const shares: Record<string, number> = { v1: 0, v2: 0 };
    for (let call = 0; call < calls; call += 1) {
      const answer = await client.send({ host: "web", path: "/", headers });
      const name = answer.headers["x-instance"] ?? `${answer.status}`;
      shares[name] = (shares[name] ?? 0) + 1;
    }
    return shares;
  };
  const calls = 500;
  const shares = await count(calls);
  expect((shares.v1 ?? 0) + (shares.v2 ?? 0)).toBe(calls);
  // Drawn: five standard deviations.
  expect(Math.abs((shares.v2 ?? 0) - calls / 10)).toBeLessThan(5 * Math.sqrt(calls * 0.09));
  expect(await count(20, { "x-canary": "1" })).toEqual({ v1: 0, v2: 20 });

  mesh.write(placed.replace("weight: 90", "weight: 0").replace("weight: 10", "weight: 100"));
  await waitUntil("all go to v2", async () => (await count(20)).v2 === 20);
});
