// `pillion demo`: a whole mesh on this host, with real traffic, to look at and to try by hand.
//
// Three greeter, two users and two web servers, a sidecar beside each, an outbound sidecar for the traffic, a file as
// the registry. Without a flag it runs until Ctrl-C; with --once it sends a fixed number of requests, judges them by
// service and by balancing policy, and exits 0, or 1 if anything was off.

import type { Command } from "commander";
import { messageOf } from "../base/index.ts";
import { formatCount } from "./check.ts";
import { createDemoClients } from "./demo/clients.ts";
import { type DemoMesh, projectPath, startDemoMesh } from "./demo/mesh.ts";
import { runOnce, type Verdict } from "./demo/once.ts";
import { startTraffic, type Traffic } from "./demo/traffic.ts";
import { createBlock, formatInstances, formatLines, type InstanceFigures, readInstances } from "./demo/view.ts";
import { formatTable, paint, processTerminal, type Terminal } from "./terminal.ts";

export interface DemoOptions {
  readonly once?: boolean;
  readonly keep?: boolean;
}

/** How often the table is redrawn, and how often lines are printed where there is no terminal. */
const REDRAW_MS = 500;
const LINES_MS = 5000;

/** Runs the demo; resolves with the exit code. */
export async function runDemo(terminal: Terminal, { once = false, keep = false }: DemoOptions): Promise<number> {
  const startMs = performance.now();
  const interrupt = waitForSignal();
  terminal.write("starting 7 servers and 8 sidecars …\n");
  const mesh = await startDemoMesh({ withPolicies: once, isKept: keep });
  terminal.write(`up in ${((performance.now() - startMs) / 1000).toFixed(1)} s: ${describe(mesh)}\n\n`);
  let code = 1;
  try {
    const work = once ? judgeMesh(terminal, mesh) : watchMesh(terminal, mesh, interrupt);
    // --once has nothing to say when it is interrupted.
    code = await Promise.race([work, ...(once ? [interrupt.received.then(() => 130)] : [])]);
  } finally {
    interrupt.forget();
    const unclean = await mesh.stop();
    if (unclean.length > 0) {
      terminal.writeError(`did not end by themselves: ${unclean.join(", ")}\n`);
      code = 1;
    }
    if (keep) terminal.write(`kept: ${mesh.meshFile}\n`);
  }
  return code;
}

function describe({ instances, outbound }: DemoMesh): string {
  const services = new Set(instances.map(({ service }) => service));
  const counts = [formatCount(services.size, "service"), formatCount(instances.length, "instance")];
  return `${counts.join(", ")}, outbound on ${outbound}`;
}

/** `--once`: sends, judges, prints. */
async function judgeMesh(terminal: Terminal, mesh: DemoMesh): Promise<number> {
  const clients = createDemoClients(mesh.outbound);
  try {
    const print = (verdict: Verdict) => terminal.write(formatVerdict(terminal, verdict));
    const verdicts = await Promise.race([runOnce(clients, print), mesh.failed]);
    terminal.write(`\n${formatInstances(terminal, await readInstances(mesh.admin), [], 0)}`);
    const bad = verdicts.filter(({ isGood }) => !isGood).length;
    const calls = verdicts.reduce((sum, verdict) => sum + verdict.calls, 0);
    const failed = verdicts.reduce((sum, verdict) => sum + verdict.failed, 0);
    const ending = bad === 0 ? "everything as it should be" : `${bad} of ${verdicts.length} not as they should be`;
    terminal.write(`\n${formatCount(calls, "call")}, ${failed} failed; ${ending}\n`);
    return bad === 0 ? 0 : 1;
  } finally {
    await clients.close();
  }
}

function formatVerdict(
  terminal: Terminal,
  { name, calls, failed, shares, expected, isGood, problem }: Verdict,
): string {
  const mark = isGood ? paint(terminal, "green", "✓") : paint(terminal, "red", "✗");
  const counts = Object.keys(shares)
    .sort()
    .map((instance) => shares[instance])
    .join(" / ");
  const line = `${mark} ${name.padEnd(28)} ${`${calls}`.padStart(4)} calls  ${counts.padEnd(17)}  ${expected}\n`;
  const failures = failed > 0 ? `    ${failed} failed: ${problem}\n` : "";
  return line + failures;
}

/** Without `--once`: traffic and table until a signal. */
async function watchMesh(terminal: Terminal, mesh: DemoMesh, interrupt: Interrupt): Promise<number> {
  terminal.write(formatHints(terminal, mesh));
  const clients = createDemoClients(mesh.outbound);
  const traffic = startTraffic(clients);
  try {
    await Promise.race([interrupt.received, mesh.failed, showFigures(terminal, mesh, traffic, interrupt.aborted)]);
    await traffic.stop();
    terminal.write(`\nstopping: ${formatCount(traffic.failed, "failed call")}\n`);
    return traffic.failed === 0 ? 0 : 1;
  } finally {
    await traffic.stop();
    await clients.close();
  }
}

async function showFigures(terminal: Terminal, mesh: DemoMesh, traffic: Traffic, stop: AbortSignal): Promise<never> {
  const block = createBlock(terminal);
  const history: { readonly figures: readonly InstanceFigures[]; readonly atMs: number }[] = [];
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, terminal.isTty ? REDRAW_MS : LINES_MS));
    if (stop.aborted) return new Promise<never>(() => undefined);
    const now = { figures: await readInstances(mesh.admin), atMs: performance.now() };
    const before = history.at(0) ?? now;
    // Rates over the last two seconds: smooth enough to read, quick enough to see a change.
    history.push(now);
    if (history.length > 2000 / REDRAW_MS) history.shift();
    const failed = `${traffic.failed} failed, the latest: ${traffic.problem}`;
    const failures = traffic.failed === 0 ? "" : `${paint(terminal, "red", failed)}\n`;
    const table = formatInstances(terminal, now.figures, before.figures, now.atMs - before.atMs);
    if (terminal.isTty) block.draw(`${table}${failures}\nCtrl-C ends everything.\n`);
    else terminal.write(formatLines(now.figures) + failures);
  }
}

function formatHints(terminal: Terminal, { outbound, admin, meshFile }: DemoMesh): string {
  const client = projectPath("examples/greeter/client");
  const rows = [
    [`curl -H 'Host: web' http://${outbound}/`, "HTTP/1.1, balanced per request"],
    [`curl --http2-prior-knowledge -H 'Host: web' http://${outbound}/headers`, "HTTP/2"],
    [`curl -x http://${outbound} http://web/`, "as the app's HTTP proxy"],
    [`curl -i -H 'Host: nobody' http://${outbound}/`, "an answer that says what is wrong"],
    [`node ${client} ${outbound} greeter`, "gRPC: unary, streaming, bidirectional"],
    [`curl http://${admin}/instances`, "what the table below shows"],
    [`$EDITOR ${meshFile}`, "the registry: a save takes effect at once"],
  ];
  const painted = rows.map(([command = "", what = ""]) => [
    `  ${paint(terminal, "cyan", command)}`,
    paint(terminal, "dim", what),
  ]);
  return `Try, in another terminal:\n\n${formatTable(painted, 3)}\n`;
}

interface Interrupt {
  readonly received: Promise<void>;
  readonly aborted: AbortSignal;
  forget(): void;
}

/** Resolves with the first SIGINT, SIGTERM or SIGHUP; a second one ends the process at once. */
function waitForSignal(): Interrupt {
  const { promise: received, resolve } = Promise.withResolvers<void>();
  const controller = new AbortController();
  const note = () => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort();
    resolve();
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, note);
  return {
    received,
    aborted: controller.signal,
    forget() {
      for (const signal of signals) process.off(signal, note);
    },
  };
}

/** Adds `demo`. */
export function registerDemo(program: Command): void {
  program
    .command("demo")
    .description("a whole mesh on this host: instances, sidecars, traffic, a live table")
    .option("--once", "send a fixed number of requests, judge them, end")
    .option("--keep", "leave the temporary folder with mesh.yaml")
    .action(async (options: DemoOptions) => {
      try {
        process.exitCode = await runDemo(processTerminal, options);
      } catch (error) {
        processTerminal.writeError(`the demo failed: ${messageOf(error)}\n`);
        process.exitCode = 1;
      }
    });
}
