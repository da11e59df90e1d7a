// The door of the command line. Names only, no logic.

export { runProgram } from "./program.ts";
