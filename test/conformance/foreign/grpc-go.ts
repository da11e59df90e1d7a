// gRPC's own interoperability suite (google.golang.org/grpc/interop), its Go client against its Go server: directly,
// through an outbound, and through a pair of sidecars.
//
//   node test/conformance/foreign/grpc-go.ts
//
// Not part of `npm test`: it needs Go and the module proxy, and its first build takes minutes. What each case asks for
// is written in grpc's doc/interop-test-descriptions.md.

import { execFile } from "node:child_process";
import { mkdirSync } from "node:fs";
import { createServer } from "node:net";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { startProgram, waitUntil } from "../../support/process.ts";
import { findProgram } from "../../support/programs.ts";
import { createMesh, startSidecar } from "../../support/sidecar.ts";

const VERSION = "v1.85.0";
const CASES = [
  ...["empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream"],
  ...["timeout_on_sleeping_server", "cancel_after_begin", "cancel_after_first_response"],
  ...["status_code_and_message", "special_status_message", "custom_metadata"],
  ...["unimplemented_method", "unimplemented_service", "rpc_soak", "channel_soak"],
];
/** A case takes milliseconds, the soaks some seconds. */
const CASE_TIMEOUT_MS = 120_000;

const execute = promisify(execFile);
const say = (line: string) => void process.stdout.write(`${line}\n`);

async function build(go: string): Promise<string> {
  const folder = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "pillion-conformance", VERSION);
  mkdirSync(folder, { recursive: true });
  const packages = ["client", "server"].map((name) => `google.golang.org/grpc/interop/${name}@${VERSION}`);
  for (const name of packages) await execute(go, ["install", name], { env: { ...process.env, GOBIN: folder } });
  return folder;
}

async function findPort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

async function runCases(client: string, address: string, via: string): Promise<number> {
  const [host = "", port = ""] = address.split(":");
  let failures = 0;
  for (const name of CASES) {
    const args = ["-server_host", host, "-server_port", port, "-test_case", name];
    const soak = ["-soak_iterations", "300", "-soak_overall_timeout_seconds", "60"];
    try {
      await execute(client, [...args, ...soak], { timeout: CASE_TIMEOUT_MS });
      say(`ok    ${via}  ${name}`);
    } catch (error) {
      failures += 1;
      say(`FAIL  ${via}  ${name}\n${(error as { stderr?: string }).stderr ?? error}`);
    }
  }
  return failures;
}

/** Every host goes to the one service: the suite's client names the sidecar's address as its authority. */
const meshOf = (address: string, sidecar: boolean) => ({
  services: { interop: { protocol: "grpc", instances: [{ id: "a", address, sidecar }] } },
  routes: { all: { rules: [{ to: [{ service: "interop" }] }] } },
});

const go = findProgram("go");
if (go === undefined) say("skipped: go is not installed (https://go.dev/dl, or apt-get install golang)");
else {
  const folder = await build(go);
  const address = `127.0.0.1:${await findPort()}`;
  await using server = startProgram(join(folder, "server"), ["-port", address.split(":")[1] ?? ""]);
  const client = join(folder, "client");
  await waitUntil("the server answers", () => {
    if (!server.isRunning) throw new Error(`the server ended: ${server.lines.join("\n")}`);
    const args = [
      "-server_host",
      "127.0.0.1",
      "-server_port",
      address.split(":")[1] ?? "",
      "-test_case",
      "empty_unary",
    ];
    return execute(client, args).then(
      () => true,
      () => false,
    );
  });
  await using bare = createMesh(meshOf(address, false));
  await using outbound = await startSidecar({ mesh: bare });
  const app = { service: "interop", address, id: "a" };
  await using inbound = await startSidecar({ mesh: bare, app, flags: ["--outbound", "off"] });
  await using meshed = createMesh(meshOf(inbound.inbound, true));
  await using pair = await startSidecar({ mesh: meshed });
  let failures = await runCases(client, address, "directly");
  failures += await runCases(client, outbound.outbound, "outbound");
  failures += await runCases(client, pair.outbound, "pair    ");
  say(failures === 0 ? "all cases passed" : `${failures} cases failed`);
  process.exitCode = failures === 0 ? 0 : 1;
}
