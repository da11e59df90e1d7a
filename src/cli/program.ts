// The table of commands, and what they have in common: help, exit codes, and how an error is said.
//
// Exit codes (DESIGN §4): 0 done, 1 failed, 2 wrong usage. A command that fails throws, or sets process.exitCode.

import { Command, CommanderError } from "commander";
import { isPillionError, messageOf } from "../base/index.ts";
import { registerApply } from "./apply.ts";
import { registerCheck } from "./check.ts";
import { registerDelete } from "./delete.ts";
import { registerDemo } from "./demo.ts";
import { registerGet } from "./get.ts";
import { registerRun } from "./run.ts";
import { processTerminal, type Terminal } from "./terminal.ts";
import { readVersion, registerVersion } from "./version.ts";

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

/** One line for each command, in the order of --help. */
const COMMANDS: readonly ((program: Command) => void)[] = [
  registerRun,
  registerDemo,
  registerApply,
  registerGet,
  registerDelete,
  registerCheck,
  registerVersion,
];

/** Makes the program; nothing runs yet. */
export function createProgram(terminal: Terminal = processTerminal): Command {
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
  for (const register of COMMANDS) register(program);
  // Inherited, it would name the program's own help.
  for (const command of program.commands) command.showHelpAfterError(`(pillion ${command.name()} --help)`);
  return program;
}

/** Runs what `argv` (without node and script) says; resolves with the exit code. */
export async function runProgram(argv: readonly string[], terminal: Terminal = processTerminal): Promise<number> {
  try {
    await createProgram(terminal).parseAsync(argv, { from: "user" });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    // Commander has printed help, version or what was wrong already.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
    terminal.writeError(`error: ${messageOf(error)}\n`);
    return isPillionError(error, "PILLION_USAGE") ? EXIT_USAGE : EXIT_FAILED;
  }
}
