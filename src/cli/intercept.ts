// `pillion intercept setup | teardown | check`: the rules that lead a pod's connections through its sidecar.
//
// They are set before the app starts, by a container that ends: the sidecar itself never holds NET_ADMIN.

import { type Command, InvalidArgumentError, Option } from "commander";
import {
  BACKEND_NAMES,
  type BackendName,
  checkInterception,
  formatInterception,
  type InterceptionOptions,
  type Network,
  type Outcome,
  type Plan,
  parseNetwork,
  setUpInterception,
  tearDownInterception,
} from "../interception/index.ts";
import { processTerminal, type Terminal } from "./terminal.ts";

export interface InterceptFlags {
  readonly inboundPort?: number;
  readonly outboundPort: number;
  readonly uid: number;
  readonly excludeInboundPorts: readonly number[];
  readonly excludeOutboundPorts: readonly number[];
  readonly excludeOutboundCidrs: readonly Network[];
  readonly backend: BackendName | "auto";
  /** The rules to stdout instead of into the kernel. */
  readonly print?: boolean;
}

type Rest = Omit<InterceptionOptions, "backend">;

/** Puts the rules in force; the exit code. */
export function setUp(terminal: Terminal, flags: InterceptFlags, rest: Rest = {}): number {
  const plan = planOf(flags);
  const options = { ...rest, backend: backendOf(flags) };
  if (flags.print !== true) return report(terminal, setUpInterception(plan, options), "set by");
  for (const [name, text] of Object.entries(formatInterception(plan, options))) {
    terminal.write(`# ── ${name}\n${text}\n`);
  }
  return 0;
}

/** Takes the rules out; the exit code. */
export function tearDown(terminal: Terminal, flags: Pick<InterceptFlags, "backend">, rest: Rest = {}): number {
  return report(terminal, tearDownInterception({ ...rest, backend: backendOf(flags) }), "taken out of");
}

/** Compares the rules with what is in force; the exit code. */
export function check(terminal: Terminal, flags: InterceptFlags, rest: Rest = {}): number {
  return report(terminal, checkInterception(planOf(flags), { ...rest, backend: backendOf(flags) }), "in force by");
}

/** Adds `intercept`. */
export function registerIntercept(program: Command): void {
  const command = program
    .command("intercept")
    .description("lead the connections of this host or pod through its sidecar (needs NET_ADMIN)");
  const finish = (code: number) => {
    process.exitCode = code;
  };
  const setup = command.command("setup").description("set the rules; again changes nothing");
  addPlanOptions(setup)
    .option("--print", "print the rules as files, change nothing")
    .action((flags: InterceptFlags) => finish(setUp(processTerminal, flags)));
  command
    .command("teardown")
    .description("take the rules out")
    .addOption(createBackendOption())
    .action((flags: InterceptFlags) => finish(tearDown(processTerminal, flags)));
  addPlanOptions(
    command.command("check").description("exit 0 if exactly the rules of these flags are in force"),
  ).action((flags: InterceptFlags) => finish(check(processTerminal, flags)));
}

function addPlanOptions(command: Command): Command {
  return command
    .option(
      "--inbound-port <PORT>",
      "the sidecar's inbound port; without it inbound connections are left alone",
      parsePort,
    )
    .option("--outbound-port <PORT>", "the sidecar's outbound port", parsePort, 15001)
    .option("--uid <UID>", "the sidecar's user, whose connections are left alone", parseUid, 1337)
    .option("--exclude-inbound-ports <PORTS>", "ports whose callers reach the app directly: 9090,9091", parsePorts, [])
    .option("--exclude-outbound-ports <PORTS>", "ports that the app reaches directly", parsePorts, [])
    .option("--exclude-outbound-cidrs <CIDRS>", "networks that the app reaches directly", parseNetworks, [])
    .addOption(createBackendOption());
}

function createBackendOption(): Option {
  return new Option("--backend <NAME>", "whose rules; auto: the first of them that works here")
    .choices(["auto", ...BACKEND_NAMES])
    .default("auto");
}

function planOf(flags: InterceptFlags): Plan {
  return {
    inboundPort: flags.inboundPort,
    outboundPort: flags.outboundPort,
    uid: flags.uid,
    excludeInboundPorts: flags.excludeInboundPorts,
    excludeOutboundPorts: flags.excludeOutboundPorts,
    excludeOutboundCidrs: flags.excludeOutboundCidrs,
  };
}

function backendOf({ backend }: Pick<InterceptFlags, "backend">): BackendName | undefined {
  return backend === "auto" ? undefined : backend;
}

function report(terminal: Terminal, { problems, backends }: Outcome, what: string): number {
  for (const problem of problems) terminal.writeError(`error: ${problem}\n`);
  if (problems.length > 0) return 1;
  terminal.write(`interception ${what} ${backends.join(", ")}\n`);
  return 0;
}

function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) throw new InvalidArgumentError(`${text} is not a port (1 to 65535).`);
  return port;
}

function parseUid(text: string): number {
  const uid = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  // The kernel's -1 is nobody at all.
  if (!(uid < 2 ** 32 - 1)) throw new InvalidArgumentError(`${text} is not a user's number.`);
  return uid;
}

function parsePorts(text: string): number[] {
  return listOf(text).map(parsePort);
}

function parseNetworks(text: string): Network[] {
  return listOf(text).map((each) => {
    const parsed = parseNetwork(each);
    if (!parsed.ok) throw new InvalidArgumentError(`${parsed.problem}.`);
    return parsed.value;
  });
}

function listOf(text: string): string[] {
  return text
    .split(",")
    .map((each) => each.trim())
    .filter((each) => each !== "");
}
