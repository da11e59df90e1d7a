// The program: argv → command → exit code.

import { runProgram } from "./cli/index.ts";

process.exitCode = await runProgram(process.argv.slice(2));
