// `--state`: a sidecar that is killed and starts again while etcd is away serves by what it kept, says so, and takes
// etcd's word again as soon as there is one.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { formatAddress } from "../../src/base/index.ts";
import { putKeys, startEtcd } from "../support/etcd.ts";
import { createClient } from "../support/foreign-clients.ts";
import { startServer } from "../support/foreign-servers.ts";
import { waitUntil } from "../support/process.ts";
import { requireProgram } from "../support/programs.ts";
import { type Sidecar, startSidecar } from "../support/sidecar.ts";

const TIMEOUT = { timeout: 60_000 };
const INSTANCE = "/pillion/instances/web/";
const at = (address: string) => JSON.stringify({ address });

interface Ready {
  readonly ready: boolean;
  readonly stale?: string;
}

async function ask(sidecar: Sidecar): Promise<string> {
  await using client = createClient("http1", sidecar.outbound);
  const { status, headers } = await client.send({ host: "web", path: "/inspect" });
  return `${status} ${headers["x-instance"] ?? headers["x-pillion-reason"]}`;
}

test("killed, and started again without etcd: the kept mesh serves until etcd is back", TIMEOUT, async (context) => {
  await using etcd = await startEtcd(requireProgram(context, "etcd"));
  const [a, b] = await Promise.all(["a", "b"].map((name) => startServer("http1", name)));
  if (a === undefined || b === undefined) throw new Error("no servers");
  const folder = mkdtempSync(join(tmpdir(), "pillion-state-"));
  onTestFinished(async () => {
    rmSync(folder, { recursive: true, force: true });
    await a.close();
    await b.close();
  });
  await putKeys(etcd.client, { "/pillion/services/web": "{}", [`${INSTANCE}a`]: at(a.address) });
  const mesh = `etcd://${formatAddress(etcd.address)}`;
  const start = () => startSidecar({ mesh, flags: ["--state", folder] });
  const first = await start();
  expect(await ask(first)).toMatch(/^200/);
  expect((await first.read<Ready>("/ready")).stale).toBeUndefined();
  await putKeys(etcd.client, { "/pillion/routes/r": JSON.stringify({ hosts: ["r.example"], rules: [] }) });
  await waitUntil("it is kept", async () => readKept(folder).includes("/pillion/routes/r"));
  await etcd.kill();
  first.program.signal("SIGKILL");
  await first.program.ended;

  const second = await start();
  expect(await ask(second)).toMatch(/^200/);
  expect(await second.read<Ready>("/ready")).toMatchObject({
    ready: true,
    stale: expect.stringMatching(/^the mesh is/),
  });
  expect(await second.read("/config")).toMatchObject({ keptAtMs: expect.any(Number) });
  expect(second.program.lines.join("\n")).toContain("etcd does not answer; the mesh is stale");
  await etcd.start();
  await putKeys(etcd.client, { [`${INSTANCE}a`]: undefined, [`${INSTANCE}b`]: at(b.address) });
  await second.waitForInstances("web", ["b"]);
  await waitUntil("a has gone", async () => !(await second.instanceNames()).includes("web/a"));
  expect((await second.read<Ready>("/ready")).stale).toBeUndefined();
  expect(await ask(second)).toMatch(/^200/);
  await second.stop();
  expect(readKept(folder)).toContain(b.address);

  // What cannot be read is told, and then there is nothing to serve by.
  writeFileSync(join(folder, "mesh.json"), '{"version":1,"mesh":');
  await etcd.kill();
  await using third = await startSidecar({ mesh, flags: ["--state", folder], isReadyAwaited: false });
  await third.program.waitForLine(/the kept mesh is ignored: it is no JSON/);
  await etcd.start();
  await third.waitForInstances("web", ["b"]);
});

function readKept(folder: string): string {
  try {
    return readFileSync(join(folder, "mesh.json"), "utf8");
  } catch {
    return "";
  }
}
