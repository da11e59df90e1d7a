// The table of commands, and what they have in common: help, exit codes, and how an error is said.
//
// Exit codes (DESIGN §4): 0 done, 1 failed, 2 wrong usage. A command that fails throws, or sets process.exitCode.

import { Command, CommanderError } from "commander";
import { isPillionError, messageOf } from "../base/index.ts";
import { processTerminal, type Terminal } from "./terminal.ts";
import { readVersion } from "./version.ts";

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

/** A command, or a few of one file: how to have it added to the program. */
interface CommandRow {
  readonly names: readonly string[];
  readonly load: () => Promise<(program: Command) => void>;
}

/** One line for each file, in the order of --help. Loaded when asked for: a sidecar need not carry the demo about. */
const COMMANDS: readonly CommandRow[] = [
  { names: ["run"], load: async () => (await import("./run.ts")).registerRun },
  { names: ["demo"], load: async () => (await import("./demo.ts")).registerDemo },
  { names: ["apply", "diff"], load: async () => (await import("./apply.ts")).registerApply },
  { names: ["get"], load: async () => (await import("./get.ts")).registerGet },
  { names: ["delete"], load: async () => (await import("./delete.ts")).registerDelete },
  { names: ["check"], load: async () => (await import("./check.ts")).registerCheck },
  { names: ["inject"], load: async () => (await import("./inject.ts")).registerInject },
  { names: ["injector"], load: async () => (await import("./injector.ts")).registerInjector },
  { names: ["intercept"], load: async () => (await import("./intercept.ts")).registerIntercept },
  { names: ["wait"], load: async () => (await import("./wait.ts")).registerWait },
  { names: ["drain"], load: async () => (await import("./drain.ts")).registerDrain },
  { names: ["version"], load: async () => (await import("./version.ts")).registerVersion },
];

/** Makes the program with the command that `name` names, or with all of them; nothing runs yet. */
export async function createProgram(name?: string, terminal: Terminal = processTerminal): Promise<Command> {
  const program = new Command("pillion")
    .description("A service-mesh sidecar: HTTP/1.1, HTTP/2 and gRPC, balanced per request.")
    .version(readVersion(), "-V, --version", "print the version")
    .showHelpAfterError("(pillion --help lists everything)")
    .helpCommand("help [command]", "the same as --help")
    .configureOutput({
      writeOut: (text) => terminal.write(text),
      writeErr: (text) => terminal.writeError(text),
      getOutHelpWidth: () => terminal.columns,
      getErrHelpWidth: () => terminal.columns,
    })
    .exitOverride();
  const named = COMMANDS.filter(({ names }) => name !== undefined && names.includes(name));
  for (const { load } of named.length > 0 ? named : COMMANDS) (await load())(program);
  // Inherited, it would name the program's own help.
  for (const command of program.commands) command.showHelpAfterError(`(pillion ${command.name()} --help)`);
  return program;
}

/** Runs what `argv` (without node and script) says; resolves with the exit code. */
export async function runProgram(argv: readonly string[], terminal: Terminal = processTerminal): Promise<number> {
  try {
    const program = await createProgram(argv[0], terminal);
    await program.parseAsync(argv, { from: "user" });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    // Commander has printed help, version or what was wrong already.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
    terminal.writeError(`error: ${messageOf(error)}\n`);
    return isPillionError(error, "PILLION_USAGE") ? EXIT_USAGE : EXIT_FAILED;
  }
}
