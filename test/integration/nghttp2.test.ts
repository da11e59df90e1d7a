// Goal: what we write to a server is what nghttp2 reads. Method: nghttpd stands behind a sidecar and prints each field
// that its decoder yields, with tables of several sizes; each request carries dice, and is looked up in that.

import { tmpdir } from "node:os";
import { request } from "undici";
import { expect, test } from "vitest";
import { Random } from "../fuzz/random.ts";
import { closedAddress } from "../support/ports.ts";
import { startProgram, waitUntil } from "../support/process.ts";
import { requireProgram } from "../support/programs.ts";
import { createMesh, startSidecar } from "../support/sidecar.ts";

const REQUESTS = 150;
/** Names that our encoder indexes, names that it never does, and names that it does not know. */
const NAMES = ["user-agent", "accept", "content-type", "authorization", "if-match", "x-a", "x-b", "x-trace"];
/** `recv (stream_id=13) name: value`; a field that is never indexed is called sensitive. */
const FIELD = /recv \(stream_id=(\d+)(?:, sensitive)?\) (:?[^:]+): (.*)$/;

/** Fields by dice; values repeat now and then, so that tables are used. */
function dice(random: Random): [string, string][] {
  return Array.from({ length: random.below(12) }, () => {
    const length = random.once(20) ? 3_000 : 1 + random.below(random.once(3) ? 200 : 3);
    const value = Array.from({ length }, () => String.fromCharCode(33 + random.below(94))).join("");
    return [random.pick(NAMES), value];
  });
}

test.for([0, 100, 4096])("nghttpd reads every request, with a table of %i bytes", async (size, context) => {
  const nghttpd = requireProgram(context, "nghttpd");
  const stdbuf = requireProgram(context, "stdbuf"); // into a pipe it would print when it pleases
  const address = await closedAddress();
  const [host = "", port = ""] = address.split(":");
  const table = `--header-table-size=${size}`;
  await using server = startProgram(stdbuf, [
    "-oL",
    nghttpd,
    "-v",
    "--no-tls",
    table,
    "-a",
    host,
    "-d",
    tmpdir(),
    port,
  ]);
  await server.waitForLine(/listen/);
  await using mesh = createMesh({ services: { nine: { protocol: "http2", instances: [{ id: "a", address }] } } });
  await using sidecar = await startSidecar({ mesh });
  const random = new Random(size + 1);
  const sent = new Map<string, [string, string][]>();
  for (let count = 0; count < REQUESTS; count += 1) {
    const path = `/${count}-${random.below(1_000_000)}`;
    const fields = dice(random);
    sent.set(path, fields);
    const headers = ["host", "nine", ...fields.flat()];
    const { statusCode, body } = await request(`http://${sidecar.outbound}${path}`, { headers });
    await body.dump();
    expect(statusCode).toBe(404); // nghttpd's own: there is no such file
  }
  const read = () => server.lines.map((line) => FIELD.exec(line)).filter((match) => match !== null);
  await waitUntil("nghttpd printed them", () => read().filter(([, , name]) => name === ":path").length === REQUESTS);
  const byStream = Map.groupBy(read(), ([, stream]) => stream);
  for (const fields of byStream.values()) {
    const all = fields.map(([, , name = "", value = ""]) => [name, value] as const);
    const path = all.find(([name]) => name === ":path")?.[1] ?? "";
    expect(all.slice(0, 4).map(([name]) => name)).toEqual([":method", ":scheme", ":path", ":authority"]);
    expect(all.filter(([name]) => NAMES.includes(name))).toEqual(sent.get(path));
  }
  expect(byStream.size).toBe(REQUESTS);
});
