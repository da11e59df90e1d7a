// The example servers as child processes, each on a port of its own.

import { type Program, startProgram } from "./process.ts";

export interface ExampleServer extends Program {
  /** `127.0.0.1:port`. */
  readonly address: string;
}

/** Starts examples/<example>/server.ts and waits until it listens. */
export async function startExample(
  example: "greeter" | "users" | "http",
  flags: { name?: string; database?: string; listen?: string } = {},
): Promise<ExampleServer> {
  const { name = example, database = ":memory:", listen = "127.0.0.1:0" } = flags;
  const args = [`examples/${example}/server.ts`, "--listen", listen, "--name", name, "--database", database];
  const program = startProgram(process.execPath, args);
  const [, address = ""] = await program.waitForLine(/^listening on (.+)$/);
  return Object.assign(program, { address });
}
