// The demo's parts that need no processes: its mesh, its table, the line that names a sidecar's ports.

import { expect, test } from "vitest";
import { formatMesh } from "../../../../src/cli/demo/plan.ts";
import { parseListeningLine } from "../../../../src/cli/demo/ready.ts";
import { createBlock, formatInstances, formatLines } from "../../../../src/cli/demo/view.ts";
import { parseMeshFile } from "../../../../src/config/index.ts";
import { createFakeTerminal } from "../../../support/terminal.ts";

const instances = ["greeter", "greeter", "greeter", "users", "web"].map((service, index) => ({
  service,
  id: `${service}-${index + 1}`,
  app: `127.0.0.1:${9001 + index}`,
  inbound: `127.0.0.1:${15_001 + index}`,
}));

test("the mesh is valid, with and without the policies' services", () => {
  for (const withPolicies of [false, true]) {
    const file = parseMeshFile(formatMesh(instances, { withPolicies }), { fileName: "mesh.yaml" });
    if (!file.ok) throw new Error(JSON.stringify(file.issues));
    expect(file.warnings).toEqual([]);
    expect(file.documents.services.size).toBe(withPolicies ? 9 : 3);
    expect(file.documents.instances.get("greeter")?.get("greeter-1")).toMatchObject({ isSidecar: true });
    if (!withPolicies) continue;
    const weights = [...(file.documents.instances.get("weighted")?.values() ?? [])].map(({ weight }) => weight);
    expect(weights).toEqual([5, 3, 1]);
  }
});

test("instances without a sidecar are not listed yet", () => {
  const file = parseMeshFile(formatMesh([{ ...instances[0]!, inbound: undefined }], { withPolicies: true }), {
    fileName: "mesh.yaml",
  });
  expect(file).toMatchObject({ ok: true });
  expect(file.ok && file.documents.instances.get("greeter")?.size).toBeFalsy();
});

test("ports are read from the log line that names them, and from no other", () => {
  const ports = { outbound: "127.0.0.1:1" };
  expect(parseListeningLine(JSON.stringify({ msg: "listening", ports }))).toEqual(ports);
  expect(parseListeningLine(JSON.stringify({ msg: "ready", ports }))).toBeUndefined();
  expect(parseListeningLine("listening on 127.0.0.1:1")).toBeUndefined();
  expect(parseListeningLine("{broken")).toBeUndefined();
});

const figures = [
  { service: "greeter", id: "greeter-1", requests: 30, errors: 0, inFlight: 2, p50Us: 1234, p99Us: 45_678 },
  { service: "greeter", id: "greeter-2", requests: 10, errors: 3, inFlight: 0 },
  { service: "ring-hash", id: "greeter-1", requests: 99, errors: 0, inFlight: 0 },
];

test("the table shows the demo's services with rates over the time between", () => {
  const before = figures.map((row) => ({ ...row, requests: row.requests - 10 }));
  const lines = formatInstances(createFakeTerminal(), figures, before, 2000).split("\n");
  expect(lines[1]).toMatch(/^greeter +greeter-1 +30 +5\.0 +2 +1\.23 ms +45\.68 ms +0$/);
  expect(lines[2]).toMatch(/^ +greeter-2 +10 +5\.0 +0 +– +– +3$/);
  expect(lines).toHaveLength(4);
  expect(formatLines(figures)).toContain("greeter: 40 requests (greeter-1 30, greeter-2 10), 2 in flight, 3 errors\n");
});

test("a block replaces itself, unless the terminal is too small for that", () => {
  const terminal = createFakeTerminal({ isTty: true });
  const block = createBlock(terminal);
  block.draw("one\ntwo\n");
  block.draw("three\n");
  expect(terminal.out).toBe("one\ntwo\n\x1b[2F\x1b[Jthree\n");
  block.draw("x\n".repeat(50));
  block.draw("y\n");
  expect(terminal.out.endsWith("x\ny\n")).toBe(true);
});
